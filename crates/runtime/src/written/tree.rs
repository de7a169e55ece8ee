//! JSON as a tree, read more strictly than serde_json reads it by itself (RFC 8259): a key that is there twice is
//! refused, and whatever is wrong is told with the path to it.

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// More values than any container needs: an object of one takes 40 times the memory of its text.
const MOST: usize = 100_000;

/// Reads a text; what is wrong with it is said with its place. Depth is bounded by serde_json (128).
pub fn read(text: &[u8]) -> Result<Value, String> {
    let text = decoded(text)?;
    let failed_at = RefCell::new(Vec::new());
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let left = Cell::new(MOST);
    let tree = Node { failed_at: &failed_at, left: &left }.deserialize(&mut deserializer);
    tree.and_then(|tree| deserializer.end().map(|()| tree)).map_err(|error| {
        let path = shown(&failed_at.borrow());
        if path.is_empty() { error.to_string() } else { format!("{path}: {error}") }
    })
}

/// The text, which has to be UTF-8 without a mark.
fn decoded(text: &[u8]) -> Result<&str, String> {
    match text {
        [] => return Err("empty".to_owned()),
        [0xef, 0xbb, 0xbf, ..] => return Err("begins with a byte order mark (UTF-8)".to_owned()),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{', ..] | [b'{', 0, ..] => {
            return Err("is UTF-16, not UTF-8".to_owned());
        }
        _ => {}
    }
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("not UTF-8 at line {line} column {column}")
    })
}

/// The path to a failure, from the innermost step to the outermost.
fn shown(steps: &[String]) -> String {
    // Of a path that is absurdly deep the beginning tells enough.
    const MOST: usize = 12;
    let mut path = String::new();
    for step in steps.iter().rev().take(MOST) {
        if !path.is_empty() && !step.starts_with('[') {
            path.push('.');
        }
        path.push_str(step);
    }
    if steps.len() > MOST {
        path.push_str("...");
    }
    path
}

#[derive(Clone, Copy)]
struct Node<'a> {
    /// Filled on the way out of a failure, so that success pays nothing for it.
    failed_at: &'a RefCell<Vec<String>>,
    /// How many values there may be yet.
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom(format!("more than {MOST} entries")))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let next = items
                .next_element_seed(self)
                .inspect_err(|_| self.failed_at.borrow_mut().push(format!("[{}]", list.len())))?;
            match next {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("{key:?} is there twice")));
            }
            let value = entries
                .next_value_seed(self)
                .inspect_err(|_| self.failed_at.borrow_mut().push(key.escape_debug().to_string()))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
