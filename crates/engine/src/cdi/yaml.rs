//! YAML as the JSON that it means: the core schema of YAML 1.2, with limits, and every name once.

use crate::error::{Error, Kind, Result};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;

/// How deep values may be in each other.
const DEEPEST: usize = 64;
/// How many values there may be, those that aliases stand for counted again.
const MOST: usize = 100_000;

/// Reads one document.
pub fn read(text: &str) -> Result<Value> {
    let mut reading = Reading { parser: Parser::new_from_str(text), anchors: HashMap::new(), count: 0 };
    let value = loop {
        match reading.next()?.0 {
            Event::StreamStart | Event::DocumentStart(_) => {}
            Event::StreamEnd => return Err(invalid("it is empty".to_owned())),
            first => break reading.value(first, 0)?,
        }
    };
    loop {
        match reading.next()? {
            (Event::DocumentEnd, _) => {}
            (Event::StreamEnd, _) => return Ok(value),
            (_, span) => return Err(at(&span, "a second document")),
        }
    }
}

fn invalid(why: String) -> Error {
    Error::new(Kind::Failed, why)
}

fn at(span: &Span, why: &str) -> Error {
    invalid(format!("line {}: {why}", span.start.line()))
}

struct Reading<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// What has a name to be used again, with its size.
    anchors: HashMap<usize, (Value, usize)>,
    count: usize,
}

impl<'a> Reading<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.parser.next_event() {
            None => Err(invalid("it ends early".to_owned())),
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let text: String = error.to_string().escape_debug().take(200).collect();
                Err(invalid(text))
            }
        }
    }

    fn add(&mut self, count: usize) -> Result<()> {
        self.count = self.count.saturating_add(count);
        if self.count > MOST {
            return Err(invalid(format!("more than {MOST} values")));
        }
        Ok(())
    }

    fn value(&mut self, first: Event<'a>, depth: usize) -> Result<Value> {
        if depth > DEEPEST {
            return Err(invalid(format!("values nest deeper than {DEEPEST}")));
        }
        self.add(1)?;
        let before = self.count;
        let (value, anchor) = match first {
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !text_tag;
                (if plain { scalar(&text) } else { Value::String(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (value, size) = known.ok_or_else(|| invalid("an alias of nothing".to_owned()))?;
                self.add(size)?;
                return Ok(value);
            }
            _ => return Err(invalid("a value is missing".to_owned())),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.count - before + 1));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value> {
        let mut all = Vec::new();
        loop {
            match self.next()?.0 {
                Event::SequenceEnd => return Ok(Value::Array(all)),
                first => all.push(self.value(first, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value> {
        let mut all = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(all)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(at(&span, "a name that is no text")),
            };
            let (first, _) = self.next()?;
            let value = self.value(first, depth + 1)?;
            if all.insert(key.clone(), value).is_some() {
                return Err(at(&span, &format!("{key:?} is there twice")));
            }
        }
    }
}

/// A word without quotes. A number that begins with 0 is octal, as the readers of Go have it in which other engines are written:
/// the mode of a device is never meant to be decimal then.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let based = |digits: &str, radix: u32| {
        // from_str_radix takes a sign of its own.
        let plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        plain.then(|| i64::from_str_radix(digits, radix).ok()).flatten()
    };
    let whole = if let Some(hex) = digits.strip_prefix("0x") {
        based(hex, 16)
    } else if let Some(octal) = digits.strip_prefix("0o") {
        based(octal, 8)
    } else if digits.len() > 1 && digits.starts_with('0') && based(digits, 8).is_some() {
        based(digits, 8)
    } else {
        based(digits, 10)
    };
    if let Some(number) = whole {
        return Value::Number(Number::from(number * sign));
    }
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && digits.contains(|one: char| one.is_ascii_digit());
    match text.parse::<f64>().ok().filter(|_| is_number).and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn documents() {
        fn check(text: &str, expected: Result<Value, &str>) {
            match (read(text), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text}"),
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{text}: {error}"),
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
        check("a: 1\nb: [x, 'y', \"z\"]\n", Ok(json!({"a": 1, "b": ["x", "y", "z"]})));
        check(
            "---\na:\n- b: true\n  c: ~\n- d: no\n...\n",
            Ok(json!({"a": [{"b": true, "c": null}, {"d": "no"}]})),
        );
        check("{\"a\": {\"b\": [1, -2]}}", Ok(json!({"a": {"b": [1, -2]}})));
        check(
            "a: 0666\nb: 0o666\nc: 0x1f\nd: 08\ne: '0666'\nf: 1.5\ng: 0",
            Ok(json!({"a": 438, "b": 438, "c": 31, "d": 8, "e": "0666", "f": 1.5, "g": 0})),
        );
        check(
            "v: 0.8.0\nw: 1.0\nx: !!str 5\ny: '5'\nz: +-5",
            Ok(json!({"v": "0.8.0", "w": 1.0, "x": "5", "y": "5", "z": "+-5"})),
        );
        check("a: &x {b: 1}\nc: *x", Ok(json!({"a": {"b": 1}, "c": {"b": 1}})));
        check("a: |\n  one\n  two\n", Ok(json!({"a": "one\ntwo\n"})));
        check("# nothing\n", Err("empty"));
        check("", Err("empty"));
        check("a: 1\na: 2", Err("line 2: \"a\" is there twice"));
        check("a: 1\n---\nb: 2", Err("line 2: a second document"));
        check("[a]: 1", Err("a name that is no text"));
        check("a: *y", Err("line 1"));
        check("a: [1, 2", Err("line"));
        check("\ta: 1\n\tb: 2", Err("line"));
        check(&"[".repeat(100), Err("deeper"));
        let bomb: String = (1..20).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |all, level| {
            let alias = format!("*a{}", level - 1);
            all + &format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", "))
        });
        check(&bomb, Err("more than 100000 values"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-z0-9 :,\\[\\]{}&*!|>'\"#%~\n\t-]{0,80}") {
            let _any = read(&text);
        }

        #[test]
        fn json_is_yaml(numbers in prop::collection::vec(any::<i64>(), 0..5), texts in prop::collection::vec("[ -~]{0,20}", 0..5)) {
            let value = json!({"numbers": numbers, "texts": texts, "deep": [[{"x": texts}]]});
            prop_assert_eq!(read(&value.to_string()).ok(), Some(value));
        }
    }
}
