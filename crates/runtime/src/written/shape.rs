//! The shapes that values of a file may have, and the walk that checks them and puts them into oci_spec's words.

use crate::bundle::capability_number;
use serde_json::Value;
use std::fmt::Write;

/// What a value may be.
pub enum Shape {
    /// An object with known fields; others are extensions, dropped with a warning.
    Object(&'static [Field]),
    /// An object whose keys are names of anything.
    Map(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A list of at least one.
    Filled(&'static Shape),
    /// Any text without a NUL.
    Text,
    /// The name of a host or a domain, which the kernel takes in 64 bytes (`__NEW_UTS_LEN`).
    Name,
    /// A version that is understood (config.md, "Specification version").
    Version,
    /// Text of a shape of its own: whether it is right, and what it should be.
    Pattern(fn(&str) -> bool, &'static str),
    /// Processors, as ranges: normalised.
    Processors,
    /// True or false.
    Bool,
    /// A whole number.
    Whole(i128, i128),
    /// A whole number that oci_spec keeps in an i64: what is above is as good as its largest.
    Capped,
    /// One of some words.
    Word(&'static [&'static str]),
    /// One of some words for which oci_spec has others.
    Renamed(&'static [(&'static str, &'static str)]),
    /// The name of a capability; one that is not known is dropped with a warning (config.md, "Linux Process").
    Capabilities,
    /// For another platform: dropped with a warning.
    Elsewhere,
}

/// A field of an object.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub shape: &'static Shape,
    /// Whether it has to be there.
    pub required: bool,
}

/// A field that may be there.
pub const fn may(name: &'static str, shape: &'static Shape) -> Field {
    Field { name, shape, required: false }
}

/// A field that must be there.
pub const fn must(name: &'static str, shape: &'static Shape) -> Field {
    Field { name, shape, required: true }
}

/// Checks a tree; returns what is wrong with which field. Says what it drops.
pub fn check(tree: &mut Value, shape: &Shape, warnings: &mut Vec<String>) -> Result<(), String> {
    if let Shape::Object(_) = shape
        && !tree.is_object()
    {
        return Err(format!("not an object but {}", kind(tree)));
    }
    walk(tree, shape, Path { above: None, step: Step::Top }, warnings)
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Top,
    Key(&'a str),
    Index(usize),
}

/// The way to a value, told only when something is to be said about it.
#[derive(Clone, Copy)]
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    step: Step<'a>,
}

impl<'a> Path<'a> {
    fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { above: Some(self), step: Step::Key(key) }
    }

    fn index(&'a self, index: usize) -> Path<'a> {
        Path { above: Some(self), step: Step::Index(index) }
    }

    fn shown(&self) -> String {
        let mut path = self.above.map(Path::shown).unwrap_or_default();
        match self.step {
            Step::Top => {}
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                let plain =
                    key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.') && !key.is_empty();
                if plain {
                    path.push_str(key);
                } else {
                    path.push_str(&format!("{key:?}"));
                }
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }

    fn wrong<T>(&self, why: &str) -> Result<T, String> {
        Err(format!("{}: {why}", self.shown()))
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => {
            let mut short = String::new();
            let written = write!(short, "the text {:?}", text.chars().take(40).collect::<String>());
            if written.is_err() { "a text".to_owned() } else { short }
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn walk(value: &mut Value, shape: &Shape, path: Path<'_>, warnings: &mut Vec<String>) -> Result<(), String> {
    match shape {
        Shape::Object(fields) => object(value, fields, path, warnings),
        Shape::Map(inner) => map(value, inner, path, warnings),
        Shape::List(inner) => list(value, inner, path, warnings),
        Shape::Filled(inner) => {
            list(value, inner, path, warnings)?;
            if value.as_array().is_some_and(Vec::is_empty) { path.wrong("empty") } else { Ok(()) }
        }
        Shape::Capabilities => capabilities(value, path, warnings),
        Shape::Bool if value.is_boolean() => Ok(()),
        Shape::Bool => path.wrong(&format!("not true or false but {}", kind(value))),
        Shape::Whole(least, most) => whole(value, *least, *most, path),
        Shape::Capped => {
            whole(value, i128::from(i64::MIN), i128::from(u64::MAX), path)?;
            if value.as_i64().is_none() {
                *value = i64::MAX.into();
            }
            Ok(())
        }
        Shape::Elsewhere => Ok(()),
        _ => match value {
            Value::String(text) => words(text, shape, path),
            other => path.wrong(&format!("not a text but {}", kind(other))),
        },
    }
}

fn object(
    value: &mut Value,
    fields: &[Field],
    path: Path<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    let Value::Object(map) = value else {
        return path.wrong(&format!("not an object but {}", kind(value)));
    };
    // What a serializer writes for a field that is not set.
    map.retain(|_, value| !value.is_null());
    for field in fields.iter().filter(|field| field.required) {
        if !map.contains_key(field.name) {
            return path.key(field.name).wrong("missing");
        }
    }
    let mut dropped = Vec::new();
    for (key, value) in map.iter_mut() {
        let here = path.key(key);
        match fields.iter().find(|field| field.name == key) {
            None => {
                warnings.push(format!("{}: unknown, ignored", here.shown()));
                dropped.push(key.clone());
            }
            Some(Field { shape: Shape::Elsewhere, .. }) => {
                warnings.push(format!("{}: for another platform, ignored", here.shown()));
                dropped.push(key.clone());
            }
            Some(field) => {
                // What a serializer writes for a word that is not set.
                let unset = matches!(
                    field.shape,
                    Shape::Word(_) | Shape::Renamed(_) | Shape::Processors | Shape::Pattern(..)
                ) && !field.required
                    && value.as_str() == Some("");
                if unset {
                    dropped.push(key.clone());
                    continue;
                }
                walk(value, field.shape, here, warnings)?;
                if matches!(field.shape, Shape::Processors) && value.as_str() == Some("") {
                    dropped.push(key.clone());
                }
            }
        }
    }
    for key in dropped {
        map.remove(&key);
    }
    Ok(())
}

fn map(value: &mut Value, inner: &Shape, path: Path<'_>, warnings: &mut Vec<String>) -> Result<(), String> {
    let Value::Object(map) = value else {
        return path.wrong(&format!("not an object but {}", kind(value)));
    };
    for (key, value) in map.iter_mut() {
        let here = path.key(key);
        if key.contains('\0') {
            return here.wrong("has a NUL in its name");
        }
        walk(value, inner, here, warnings)?;
    }
    Ok(())
}

fn list(value: &mut Value, inner: &Shape, path: Path<'_>, warnings: &mut Vec<String>) -> Result<(), String> {
    let Value::Array(items) = value else {
        return path.wrong(&format!("not a list but {}", kind(value)));
    };
    for (index, item) in items.iter_mut().enumerate() {
        walk(item, inner, path.index(index), warnings)?;
    }
    Ok(())
}

fn capabilities(value: &mut Value, path: Path<'_>, warnings: &mut Vec<String>) -> Result<(), String> {
    list(value, &Shape::Text, path, warnings)?;
    if let Value::Array(items) = value {
        items.retain(|item| {
            let name = item.as_str().unwrap_or_default();
            let known = capability_number(name).is_some();
            if !known {
                warnings.push(format!("{}: unknown capability {name:?}, ignored", path.shown()));
            }
            known
        });
    }
    Ok(())
}

fn whole(value: &Value, least: i128, most: i128, path: Path<'_>) -> Result<(), String> {
    let number = value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from));
    match number {
        None => path.wrong(&format!("not a whole number but {}", kind(value))),
        Some(number) if number < least || number > most => {
            path.wrong(&format!("{number} is out of range, {least} to {most}"))
        }
        Some(_) => Ok(()),
    }
}

fn words(text: &mut String, shape: &Shape, path: Path<'_>) -> Result<(), String> {
    if text.contains('\0') {
        return path.wrong("has a NUL in it");
    }
    match shape {
        Shape::Name if text.len() > 64 => path.wrong(&format!("{} bytes, the kernel takes 64", text.len())),
        Shape::Name if text.contains(char::is_control) => path.wrong("has a control character in it"),
        Shape::Version => version(text).or_else(|why| path.wrong(&why)),
        Shape::Pattern(right, _) if right(text) => Ok(()),
        Shape::Pattern(_, wanted) => path.wrong(&format!("{text:?} is not {wanted}")),
        Shape::Processors => match processors(text) {
            Some(normal) => {
                *text = normal;
                Ok(())
            }
            None => path.wrong(&format!("{text:?} is not a list of processors such as 0-3,7")),
        },
        Shape::Word(words) if !words.contains(&text.as_str()) => {
            path.wrong(&format!("unknown value {text:?}"))
        }
        Shape::Renamed(pairs) => match pairs.iter().find(|(written, _)| *written == text.as_str()) {
            Some((_, theirs)) => {
                text.clear();
                text.push_str(theirs);
                Ok(())
            }
            None => path.wrong(&format!("unknown value {text:?}")),
        },
        _ => Ok(()),
    }
}

/// Semantic versions (semver.org 2.0.0) whose documents are understood: those before 1.0.0 are the drafts of it.
fn version(text: &str) -> Result<(), String> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let rest = &text[core.len()..];
    let numbers: Vec<Option<u64>> = core
        .split('.')
        .map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            (digits && (part == "0" || !part.starts_with('0'))).then(|| part.parse().ok()).flatten()
        })
        .collect();
    let fine_rest = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
        && !rest.split(['.', '+']).any(|part| part.is_empty() && !rest.is_empty() && !rest.starts_with('+'))
        && rest.len() != 1;
    match numbers.as_slice() {
        [Some(major), Some(_), Some(_)] if fine_rest => match major {
            0 | 1 => Ok(()),
            _ => Err(format!("version {text} is not supported, 1.3.0 is")),
        },
        _ => Err(format!("{text:?} is not a semantic version")),
    }
}

/// `0-3,7`, without spaces and empty parts.
fn processors(text: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // No kernel has more (CONFIG_NR_CPUS).
            digits.then(|| text.parse::<u32>().ok()).flatten().filter(|number| *number < 8192)
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return None;
        }
        parts.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    Some(parts.join(","))
}
