//! Messages of D-Bus as bytes (D-Bus specification, "Message Protocol"). Pure: little-endian, bounded when read.

use super::value::{DEEPEST, Value, first_type};

/// The longest message that is taken: systemd's answers are short.
pub(super) const LONGEST: usize = 1 << 20;
/// How long the part is that says how long the others are.
pub(super) const PREFIX: usize = 16;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Call,
    Return,
    Error,
    Signal,
}

/// A message. Fields that it lacks are empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) serial: u32,
    /// The call that it answers.
    pub(super) answers: u32,
    pub(super) destination: String,
    pub(super) path: String,
    pub(super) interface: String,
    pub(super) member: String,
    pub(super) error: String,
    pub(super) body: Vec<Value>,
}

impl Message {
    /// The bytes of a message.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        self.body.iter().for_each(|value| put(&mut body, value));
        let signature: String = self.body.iter().map(Value::signature).collect();
        let kind = match self.kind {
            Kind::Call => 1,
            Kind::Return => 2,
            Kind::Error => 3,
            Kind::Signal => 4,
        };
        let mut all = vec![b'l', kind, 0, 1];
        #[allow(clippy::cast_possible_truncation, reason = "what we send is short")]
        all.extend((body.len() as u32).to_le_bytes());
        all.extend(self.serial.to_le_bytes());
        let mut fields = Vec::new();
        let mut field = |code: u8, value: Value| {
            fields.push(Value::Tuple(vec![Value::Byte(code), Value::Variant(Box::new(value))]));
        };
        if !self.path.is_empty() {
            field(1, Value::Path(self.path.clone()));
        }
        for (code, text) in
            [(2, &self.interface), (3, &self.member), (4, &self.error), (6, &self.destination)]
        {
            if !text.is_empty() {
                field(code, Value::Text(text.clone()));
            }
        }
        if self.answers != 0 {
            field(5, Value::U32(self.answers));
        }
        if !signature.is_empty() {
            field(8, Value::Signature(signature));
        }
        put(&mut all, &Value::Array("(yv)".to_owned(), fields));
        pad(&mut all, 8);
        all.extend(body);
        all
    }

    /// Reads a whole message; `None` for one that is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if length(bytes.get(..PREFIX)?)? != bytes.len() {
            return None;
        }
        let kind = match bytes[1] {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => return None,
        };
        let mut reader = Reader { bytes, at: 8 };
        let serial = reader.u32()?;
        let Value::Array(_, fields) = reader.value("a(yv)", 0)? else { return None };
        let mut message = Self {
            kind,
            serial,
            answers: 0,
            destination: String::new(),
            path: String::new(),
            interface: String::new(),
            member: String::new(),
            error: String::new(),
            body: Vec::new(),
        };
        let mut signature = String::new();
        for field in fields {
            let Value::Tuple(field) = field else { return None };
            let [Value::Byte(code), Value::Variant(value)] = <[Value; 2]>::try_from(field).ok()? else {
                return None;
            };
            match (code, *value) {
                (1, Value::Path(path)) => message.path = path,
                (2, Value::Text(text)) => message.interface = text,
                (3, Value::Text(text)) => message.member = text,
                (4, Value::Text(text)) => message.error = text,
                (5, Value::U32(number)) => message.answers = number,
                (6, Value::Text(text)) => message.destination = text,
                (8, Value::Signature(text)) => signature = text,
                _ => {}
            }
        }
        reader.align(8)?;
        let mut rest = signature.as_str();
        while !rest.is_empty() {
            let (one, more) = first_type(rest)?;
            message.body.push(reader.value(one, 0)?);
            rest = more;
        }
        (reader.at == bytes.len()).then_some(message)
    }
}

/// How long a message is, from the first [`PREFIX`] bytes of it.
pub(super) fn length(prefix: &[u8]) -> Option<usize> {
    let number = |at: usize| -> Option<usize> {
        let bytes = prefix.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if prefix.first() != Some(&b'l') || prefix.get(3) != Some(&1) {
        return None;
    }
    let (body, fields) = (number(4)?, number(12)?);
    if body > LONGEST || fields > LONGEST {
        return None;
    }
    Some((PREFIX + fields).next_multiple_of(8) + body).filter(|length| *length <= LONGEST)
}

fn pad(to: &mut Vec<u8>, boundary: usize) {
    to.resize(to.len().next_multiple_of(boundary), 0);
}

/// Where a value of a type begins.
fn boundary(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'n' | b'q') => 2,
        Some(b'b' | b'i' | b'u' | b's' | b'o' | b'a') => 4,
        Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
        _ => 1,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "what we send is short")]
fn put(to: &mut Vec<u8>, value: &Value) {
    pad(to, boundary(&value.signature()));
    match value {
        Value::Bool(truth) => to.extend(u32::from(*truth).to_le_bytes()),
        Value::Byte(byte) => to.push(*byte),
        Value::I16(number) => to.extend(number.to_le_bytes()),
        Value::U16(number) => to.extend(number.to_le_bytes()),
        Value::I32(number) => to.extend(number.to_le_bytes()),
        Value::U32(number) => to.extend(number.to_le_bytes()),
        Value::I64(number) => to.extend(number.to_le_bytes()),
        Value::U64(number) => to.extend(number.to_le_bytes()),
        Value::F64(number) => to.extend(number.to_le_bytes()),
        Value::Text(text) | Value::Path(text) => {
            to.extend((text.len() as u32).to_le_bytes());
            to.extend(text.as_bytes());
            to.push(0);
        }
        Value::Signature(text) => {
            to.push(text.len() as u8);
            to.extend(text.as_bytes());
            to.push(0);
        }
        Value::Array(element, values) => {
            let at = to.len();
            to.extend([0; 4]);
            pad(to, boundary(element));
            let start = to.len();
            values.iter().for_each(|value| put(to, value));
            let length = (to.len() - start) as u32;
            to[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        Value::Tuple(values) => values.iter().for_each(|value| put(to, value)),
        Value::Entry(pair) => {
            put(to, &pair.0);
            put(to, &pair.1);
        }
        Value::Variant(value) => {
            put(to, &Value::Signature(value.signature()));
            put(to, value);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        Some(taken)
    }

    fn align(&mut self, boundary: usize) -> Option<()> {
        let at = self.at.next_multiple_of(boundary);
        self.bytes.get(self.at..at)?;
        self.at = at;
        Some(())
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        self.take().map(u32::from_le_bytes)
    }

    /// A string of so many bytes, and the zero byte behind it.
    fn text(&mut self, length: usize) -> Option<String> {
        let end = self.at.checked_add(length)?;
        let text = std::str::from_utf8(self.bytes.get(self.at..end)?).ok()?.to_owned();
        self.at = end;
        (self.take::<1>()? == [0]).then_some(text)
    }

    fn value(&mut self, of: &str, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        self.align(boundary(of))?;
        Some(match of.as_bytes().first()? {
            b'b' => Value::Bool(self.u32()? != 0),
            b'y' => Value::Byte(self.take::<1>()?[0]),
            b'n' => Value::I16(i16::from_le_bytes(self.take()?)),
            b'q' => Value::U16(u16::from_le_bytes(self.take()?)),
            b'i' => Value::I32(i32::from_le_bytes(self.take()?)),
            b'u' => Value::U32(self.u32()?),
            b'x' => Value::I64(i64::from_le_bytes(self.take()?)),
            b't' => Value::U64(u64::from_le_bytes(self.take()?)),
            b'd' => Value::F64(f64::from_le_bytes(self.take()?)),
            kind @ (b's' | b'o') => {
                let length = usize::try_from(self.u32()?).ok()?;
                let text = self.text(length)?;
                if *kind == b's' { Value::Text(text) } else { Value::Path(text) }
            }
            b'g' => {
                let length = usize::from(self.take::<1>()?[0]);
                Value::Signature(self.text(length)?)
            }
            b'v' => {
                let length = usize::from(self.take::<1>()?[0]);
                let of = self.text(length)?;
                let (one, more) = first_type(&of)?;
                let value = self.value(one, depth + 1)?;
                Value::Variant(Box::new(Some(value).filter(|_| more.is_empty())?))
            }
            b'a' => {
                let (element, length) = (&of[1..], usize::try_from(self.u32()?).ok()?);
                self.align(boundary(element))?;
                let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
                let mut values = Vec::new();
                while self.at < end {
                    values.push(self.value(element, depth + 1)?);
                }
                (self.at == end).then_some(Value::Array(element.to_owned(), values))?
            }
            b'(' => Value::Tuple(self.fields(of, depth)?),
            b'{' => {
                let [key, value] = <[Value; 2]>::try_from(self.fields(of, depth)?).ok()?;
                Value::Entry(Box::new((key, value)))
            }
            _ => return None,
        })
    }

    fn fields(&mut self, of: &str, depth: usize) -> Option<Vec<Value>> {
        let mut rest = of.get(1..of.len().checked_sub(1)?)?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let (one, more) = first_type(rest)?;
            fields.push(self.value(one, depth + 1)?);
            rest = more;
        }
        Some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gvariant::parse;
    use super::*;
    use proptest::prelude::*;

    fn message(body: Vec<Value>) -> Message {
        Message {
            kind: Kind::Call,
            serial: 7,
            answers: 3,
            destination: "a.b".to_owned(),
            path: "/a".to_owned(),
            interface: "a.c".to_owned(),
            member: "Do".to_owned(),
            error: "a.Error".to_owned(),
            body,
        }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for text in [
            "true",
            "byte 5",
            "int16 -5",
            "uint16 5",
            "-5",
            "uint32 5",
            "int64 -5",
            "uint64 5",
            "1.5",
            "'text'",
            "objectpath '/a/b'",
            "signature 'a{sv}'",
            "['a', 'b']",
            "@at []",
            "@at [1, 2]",
            "<<'x'>>",
            "(byte 1, uint64 2, 'x', [(byte 1, 'y')])",
            "{'k': <1>, 'l': <@as []>}",
        ] {
            let value = parse(text).unwrap();
            let sent = message(vec![Value::Byte(1), value.clone(), Value::Bool(true), value]);
            let bytes = sent.encode();
            assert_eq!(length(&bytes[..PREFIX]), Some(bytes.len()), "{text}");
            assert_eq!(Message::decode(&bytes), Some(sent), "{text}");
            for end in 0..bytes.len() {
                assert_eq!(Message::decode(&bytes[..end]), None, "{text}, {end} bytes of it");
            }
        }
    }

    proptest! {
        #[test]
        fn any_change_is_read_or_refused(at in 0_usize..200, byte: u8) {
            let body = vec![parse("[('a', <{'k': <uint64 5>}>)]").unwrap(), Value::text("x")];
            let mut bytes = message(body).encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            drop(Message::decode(&bytes));
        }

        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(Message::decode(&bytes));
        }
    }
}
