//! The functions of Go's templates and those that docker adds.

use super::Mistake;
use super::evaluate::{Got, Null, is_true};
use super::printf;
use serde_json::Value;
use std::cmp::Ordering;

/// Every function, by name.
pub const NAMES: [&str; 25] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or", "pad",
    "print", "printf", "println", "slice", "split", "title", "truncate", "upper", "contains", "replace",
];

/// A value that a function gets, with where it stands.
#[derive(Debug)]
pub struct Argument {
    pub at: usize,
    pub got: Got,
}

/// What a value is called.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// A value as an action prints it.
pub fn shown(got: &Got) -> String {
    match (&got.value, got.null) {
        (Value::Null, Null::NoValue) => "<no value>".to_owned(),
        (Value::Null, Null::Nothing) => String::new(),
        (value, _) => plain(value),
    }
}

/// As Go's `%v`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

/// Applies a function.
pub fn call(name: &str, at: usize, arguments: Vec<Argument>) -> Result<Got, Mistake> {
    let most = match name {
        "json" | "len" | "lower" | "not" | "title" | "upper" => 1..=1,
        "join" | "split" | "truncate" | "lt" | "le" | "gt" | "ge" | "ne" | "contains" => 2..=2,
        "pad" | "replace" => 3..=3,
        "eq" => 2..=usize::MAX,
        "and" | "or" | "index" | "printf" => 1..=usize::MAX,
        "slice" => 1..=3,
        _ => 0..=usize::MAX,
    };
    if !most.contains(&arguments.len()) {
        let reason = format!("{name} cannot take {} arguments", arguments.len());
        return Err(Mistake::new(at, reason));
    }
    let values: Vec<&Value> = arguments.iter().map(|argument| &argument.got.value).collect();
    let wrong = |index: usize, wanted: &str| {
        let place = arguments.get(index).map_or(at, |argument| argument.at);
        let what = values.get(index).map_or("nothing", |value| kind(value));
        Mistake::new(place, format!("{name} needs {wanted}, and this is {what}"))
    };
    let text = |index: usize| match values[index] {
        Value::String(text) => Ok(text.as_str()),
        Value::Null => Ok(""),
        _ => Err(wrong(index, "a text")),
    };
    let count = |index: usize| {
        let number = values[index].as_u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| wrong(index, "a number that is not negative"))
    };
    let value: Value = match name {
        "and" | "or" => {
            let stops = |argument: &Argument| is_true(&argument.got.value) == (name == "or");
            let index = arguments.iter().position(stops).unwrap_or(arguments.len() - 1);
            return Ok(arguments[index].got.clone());
        }
        "not" => (!is_true(values[0])).into(),
        "eq" => {
            let mut any = false;
            for index in 1..values.len() {
                any |= equal(values[0], values[index])
                    .ok_or_else(|| wrong(index, &format!("{} to compare with", kind(values[0]))))?;
            }
            any.into()
        }
        "ne" => (!equal(values[0], values[1])
            .ok_or_else(|| wrong(1, &format!("{} to compare with", kind(values[0]))))?)
        .into(),
        "lt" | "le" | "gt" | "ge" => {
            let order = order(values[0], values[1]).ok_or_else(|| wrong(1, "two numbers or two texts"))?;
            match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }
            .into()
        }
        "json" => values[0].to_string().into(),
        "len" => match values[0] {
            Value::Null => 0.into(),
            Value::String(text) => text.len().into(),
            Value::Array(list) => list.len().into(),
            Value::Object(map) => map.len().into(),
            _ => return Err(wrong(0, "a text, a list or a map")),
        },
        "lower" => text(0)?.to_lowercase().into(),
        "upper" => text(0)?.to_uppercase().into(),
        "title" => title(text(0)?).into(),
        "contains" => text(0)?.contains(text(1)?).into(),
        "replace" => text(0)?.replace(text(1)?, text(2)?).into(),
        "split" => {
            let (whole, sign) = (text(0)?, text(1)?);
            let parts: Vec<Value> = if sign.is_empty() {
                whole.chars().map(|c| c.to_string().into()).collect()
            } else {
                whole.split(sign).map(Value::from).collect()
            };
            parts.into()
        }
        "join" => {
            let parts: Vec<String> = match values[0] {
                Value::Array(list) => list.iter().map(plain).collect(),
                Value::Null => Vec::new(),
                _ => return Err(wrong(0, "a list")),
            };
            parts.join(text(1)?).into()
        }
        "truncate" => text(0)?.chars().take(count(1)?).collect::<String>().into(),
        "pad" => {
            let (before, after) = (count(1)?.min(printf::WIDEST), count(2)?.min(printf::WIDEST));
            format!("{}{}{}", " ".repeat(before), text(0)?, " ".repeat(after)).into()
        }
        "slice" => match values[0] {
            Value::String(text) => {
                let (from, to) = span(text.len(), &values, &count)?;
                let part = text.get(from..to).ok_or_else(|| wrong(1, "places within the text"))?;
                part.into()
            }
            Value::Array(list) => {
                let (from, to) = span(list.len(), &values, &count)?;
                let part = list.get(from..to).ok_or_else(|| wrong(1, "places within the list"))?;
                part.to_vec().into()
            }
            _ => return Err(wrong(0, "a text or a list")),
        },
        "index" => return index(&arguments),
        "print" => {
            let mut out = String::new();
            for (index, value) in values.iter().enumerate() {
                let spaced = index > 0 && !value.is_string() && !values[index - 1].is_string();
                out.push_str(if spaced { " " } else { "" });
                out.push_str(&shown(&arguments[index].got));
            }
            out.into()
        }
        "println" => {
            let all: Vec<String> = arguments.iter().map(|argument| shown(&argument.got)).collect();
            format!("{}\n", all.join(" ")).into()
        }
        "printf" => printf::printf(text(0)?, &values[1..]).into(),
        _ => return Err(Mistake::new(at, format!("no function {name:?}"))),
    };
    Ok(Got::of(value))
}

fn span(
    length: usize,
    values: &[&Value],
    count: &dyn Fn(usize) -> Result<usize, Mistake>,
) -> Result<(usize, usize), Mistake> {
    let from = if values.len() > 1 { count(1)? } else { 0 };
    let to = if values.len() > 2 { count(2)? } else { length };
    Ok((from, to))
}

/// Whether two are equal; none where they cannot be compared.
fn equal(one: &Value, other: &Value) -> Option<bool> {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) | (Value::Bool(_), Value::Bool(_)) => Some(one == other),
        _ => order(one, other).map(Ordering::is_eq),
    }
}

fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => Some(one.cmp(&other)),
            _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
        },
        _ => None,
    }
}

fn title(text: &str) -> String {
    let mut begins = true;
    let mut out = String::new();
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        begins = !(c.is_alphanumeric() || matches!(c, '_' | '\''));
    }
    out
}

fn index(arguments: &[Argument]) -> Result<Got, Mistake> {
    let mut got = arguments[0].got.clone();
    for key in &arguments[1..] {
        got = match (got.value, &key.got.value) {
            (Value::Object(mut map), Value::String(name)) => {
                map.remove(name).map_or_else(Got::nothing, Got::of)
            }
            (Value::Array(mut list), Value::Number(number)) => {
                let place = number.as_u64().and_then(|place| usize::try_from(place).ok());
                match place.filter(|place| *place < list.len()) {
                    Some(place) => Got::of(list.swap_remove(place)),
                    None => {
                        let reason = format!("there is no [{number}] in a list of {}", list.len());
                        return Err(Mistake::new(key.at, reason));
                    }
                }
            }
            (Value::Null, Value::String(_)) => Got::nothing(),
            (Value::Null, Value::Number(number)) => {
                return Err(Mistake::new(key.at, format!("there is no [{number}] in what is empty here")));
            }
            (of, by) => {
                return Err(Mistake::new(
                    key.at,
                    format!("{} cannot be the index of {}", kind(by), kind(&of)),
                ));
            }
        };
    }
    Ok(got)
}
