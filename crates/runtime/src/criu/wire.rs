//! The wire format of protocol buffers, as much of it as CRIU's messages take (protobuf.dev, "Encoding"): numbers as
//! varints, everything else with its length before it.

use crate::error::{Error, Kind, Result};

/// How a field is written: its number in the low bits of its tag.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// A message that is being written.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The whole message.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            // Seven bits at a time, the lowest first; the eighth says that more come.
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number.
    pub fn number(&mut self, field: u32, value: u64) {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value);
    }

    /// A number, where there is one.
    pub fn optional(&mut self, field: u32, value: Option<u32>) {
        if let Some(value) = value {
            self.number(field, value.into());
        }
    }

    /// A flag, where it is up: CRIU takes one that is missing as down.
    pub fn flag(&mut self, field: u32, value: bool) {
        if value {
            self.number(field, 1);
        }
    }

    /// A text or a message.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.varint(u64::from(field) << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// A text, where there is one.
    pub fn text(&mut self, field: u32, value: Option<&str>) {
        if let Some(value) = value {
            self.bytes(field, value.as_bytes());
        }
    }

    /// A message in this one.
    pub fn message(&mut self, field: u32, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A text or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A number of 32 bits with its sign, which is written as one of 64; 0 for anything else.
    pub fn signed(self) -> i32 {
        match self {
            Self::Number(number) => number as u32 as i32,
            Self::Bytes(_) => 0,
        }
    }

    /// A flag.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Number(number) if number != 0)
    }

    /// A text; empty for anything else.
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.message()).into_owned()
    }

    /// A message; empty for anything else.
    pub fn message(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }
}

/// The fields of a message in their order. Fields of fixed size, which CRIU has none of, are left out.
pub fn fields(message: &[u8]) -> Result<Vec<(u32, Value<'_>)>> {
    let mut rest = message;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let field = u32::try_from(tag >> 3).map_err(|_| torn())?;
        match tag & 7 {
            VARINT => fields.push((field, Value::Number(varint(&mut rest)?))),
            BYTES => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| torn())?;
                fields.push((field, Value::Bytes(take(&mut rest, length)?)));
            }
            FIXED64 => drop(take(&mut rest, 8)?),
            FIXED32 => drop(take(&mut rest, 4)?),
            _ => return Err(torn()),
        }
    }
    Ok(fields)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(torn)?;
    *rest = left;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(torn())
}

fn torn() -> Error {
    Error::new(Kind::Other, "criu: a message that cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_as_the_format_says() {
        // Examples of protobuf.dev, "Encoding": 150, "testing", and the first in a message.
        let mut writer = Writer::default();
        writer.number(1, 150);
        writer.text(2, Some("testing"));
        writer.message(3, |inner| inner.number(1, 150));
        writer.optional(4, None);
        writer.flag(5, false);
        let expected = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01";
        assert_eq!(writer.finish(), expected);
        let read = fields(expected).unwrap();
        assert_eq!(read[0], (1, Value::Number(150)));
        assert_eq!(read[1].1.text(), "testing");
        assert_eq!(fields(read[2].1.message()).unwrap(), [(1, Value::Number(150))]);
    }

    #[test]
    fn a_torn_message_is_an_error() {
        fn check(bytes: &[u8]) {
            assert_eq!(
                fields(bytes).unwrap_err().to_string(),
                "criu: a message that cannot be read",
                "{bytes:?}"
            );
        }
        check(b"\x08");
        check(b"\x08\x96");
        check(b"\x12\x07test");
        check(b"\x0b");
        check(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f");
        check(&[0xff; 11]);
    }

    proptest! {
        #[test]
        fn reads_what_was_written(number: u64, signed: i32, bytes: Vec<u8>) {
            let mut writer = Writer::default();
            writer.number(7, number);
            writer.number(8, i64::from(signed) as u64);
            writer.bytes(600, &bytes);
            let written = writer.finish();
            let read = fields(&written).unwrap();
            prop_assert_eq!(read[0], (7, Value::Number(number)));
            prop_assert_eq!(read[1].1.signed(), signed);
            prop_assert_eq!(read[2], (600, Value::Bytes(&bytes)));
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            drop(fields(&bytes));
        }
    }
}
