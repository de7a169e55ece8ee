//! Values as text, in which annotations say the properties of a unit (GVariant text format): `uint64 5`, `['a', 'b']`,
//! `@a(sv) []`. Pure. Of a number without a type only `int32` and `double` are assumed, as there.

use super::value::{DEEPEST, Value, first_type};

/// Reads one value.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let value = parser.value(None)?;
    parser.space();
    if parser.at < text.len() { Err(parser.unexpected()) } else { Ok(value) }
}

/// The names of types that may stand before a value.
const NAMES: [(&str, &str); 12] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\n']).len();
    }

    fn unexpected(&self) -> String {
        match self.rest().chars().next() {
            Some(found) => format!("unexpected {found:?} at byte {}", self.at),
            None => "it ends too early".to_owned(),
        }
    }

    /// Takes a sign of punctuation, if it is next.
    fn take(&mut self, sign: char) -> bool {
        self.space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }

    fn need(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// A value, of a type where one was said.
    fn value(&mut self, of: Option<&str>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("more than {DEEPEST} values in each other"));
        }
        self.space();
        let start = self.at;
        let value = match self.rest().chars().next() {
            Some('@') => self.typed()?,
            Some('\'' | '"') => text_as(self.quoted()?, of)?,
            Some('[') => self.array(of)?,
            Some('{') => self.dictionary(of)?,
            Some('(') => self.tuple(of)?,
            Some('<') => {
                self.at += 1;
                let inner = self.value(None)?;
                self.need('>')?;
                Value::Variant(Box::new(inner))
            }
            Some('b') if matches!(self.rest().as_bytes().get(1), Some(b'\'' | b'"')) => {
                self.at += 1;
                let mut bytes = self.quoted()?.into_bytes();
                bytes.push(0);
                Value::bytes(&bytes)
            }
            Some(_) => self.word(of)?,
            None => return Err(self.unexpected()),
        };
        self.depth -= 1;
        match of {
            Some(of) if value.signature() != of => {
                Err(format!("at byte {start}: a value of type {:?}, not {of:?}", value.signature()))
            }
            _ => Ok(value),
        }
    }

    /// `@TYPE VALUE`
    fn typed(&mut self) -> Result<Value, String> {
        let rest = &self.rest()[1..];
        let (of, _) = first_type(rest).ok_or_else(|| format!("no type at byte {}", self.at + 1))?;
        self.at += 1 + of.len();
        self.value(Some(of))
    }

    /// A number, a truth value, or the name of a type before a value.
    fn word(&mut self, of: Option<&str>) -> Result<Value, String> {
        let rest = self.rest();
        let end = rest.find(|sign: char| !(sign.is_ascii_alphanumeric() || "+-._".contains(sign)));
        let word = &rest[..end.unwrap_or(rest.len())];
        if word.is_empty() {
            return Err(self.unexpected());
        }
        if let Some((_, of)) = NAMES.iter().find(|(name, _)| *name == word) {
            self.at += word.len();
            return self.value(Some(of));
        }
        let value = match word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => number(word, of),
        };
        let value = value.ok_or_else(|| format!("{word:?} at byte {} is no value", self.at))?;
        self.at += word.len();
        Ok(value)
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        let mut signs = self.rest().char_indices();
        let quote = signs.next().map(|(_, quote)| quote);
        while let Some((at, sign)) = signs.next() {
            if Some(sign) == quote {
                self.at += at + 1;
                return Ok(text);
            }
            if sign != '\\' {
                text.push(sign);
                continue;
            }
            let digits = |signs: &mut std::str::CharIndices<'_>, count: usize| {
                let digits: String = signs.take(count).map(|(_, digit)| digit).collect();
                let hex = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                u32::from_str_radix(&digits, 16).ok().filter(|_| hex).and_then(char::from_u32)
            };
            let escaped = match signs.next().map(|(_, sign)| sign) {
                Some('n') => Some('\n'),
                Some('t') => Some('\t'),
                Some('r') => Some('\r'),
                Some('a') => Some('\x07'),
                Some('b') => Some('\x08'),
                Some('f') => Some('\x0c'),
                Some('v') => Some('\x0b'),
                Some('u') => digits(&mut signs, 4),
                Some('U') => digits(&mut signs, 8),
                other => other,
            };
            text.push(escaped.ok_or_else(|| format!("no character is meant at byte {}", self.at + at))?);
        }
        Err("a string has no end".to_owned())
    }

    /// What stands between commas, up to `close`. The last comma may be followed by nothing.
    fn list(
        &mut self,
        close: char,
        mut one: impl FnMut(&mut Self, usize) -> Result<Value, String>,
    ) -> Result<Vec<Value>, String> {
        let mut values = Vec::new();
        loop {
            if self.take(close) {
                return Ok(values);
            }
            values.push(one(self, values.len())?);
            if !self.take(',') {
                self.need(close)?;
                return Ok(values);
            }
        }
    }

    fn array(&mut self, of: Option<&str>) -> Result<Value, String> {
        self.at += 1;
        let mut element = of.and_then(|of| of.strip_prefix('a')).map(str::to_owned);
        let values = self.list(']', |parser, _| {
            let value = parser.value(element.as_deref())?;
            element.get_or_insert_with(|| value.signature());
            Ok(value)
        })?;
        let element = element.ok_or("an empty array needs its type, such as @as []")?;
        Ok(Value::Array(element, values))
    }

    fn dictionary(&mut self, of: Option<&str>) -> Result<Value, String> {
        self.at += 1;
        let inner = of.and_then(|of| of.strip_prefix("a{")).and_then(|of| of.strip_suffix('}'));
        let mut types = inner.and_then(first_type).map(|(key, value)| (key.to_owned(), value.to_owned()));
        let values = self.list('}', |parser, _| {
            let key = parser.value(types.as_ref().map(|types| &*types.0))?;
            parser.need(':')?;
            let value = parser.value(types.as_ref().map(|types| &*types.1))?;
            types.get_or_insert_with(|| (key.signature(), value.signature()));
            Ok(Value::Entry(Box::new((key, value))))
        })?;
        let (key, value) = types.ok_or("an empty dictionary needs its type, such as @a{sv} {}")?;
        let element = format!("{{{key}{value}}}");
        first_type(&format!("a{element}")).ok_or("a key is a plain value")?;
        Ok(Value::Array(element, values))
    }

    fn tuple(&mut self, of: Option<&str>) -> Result<Value, String> {
        self.at += 1;
        let mut types = of.and_then(|of| of.strip_prefix('(')).and_then(|of| of.strip_suffix(')'));
        let values = self.list(')', |parser, _| {
            let (of, more) = types.and_then(first_type).unzip();
            types = more;
            parser.value(of)
        })?;
        if values.is_empty() { Err("D-Bus has no empty tuples".to_owned()) } else { Ok(Value::Tuple(values)) }
    }
}

fn text_as(text: String, of: Option<&str>) -> Result<Value, String> {
    if text.contains('\0') {
        return Err("a string with a zero character".to_owned());
    }
    Ok(match of {
        Some("o") => {
            let part = |part: &str| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            let sound = text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
            if !sound {
                return Err(format!("{text:?} is no object path"));
            }
            Value::Path(text)
        }
        Some("g") => {
            let mut rest = text.as_str();
            while !rest.is_empty() {
                rest = first_type(rest).ok_or_else(|| format!("{text:?} is no signature"))?.1;
            }
            if text.len() > 255 {
                return Err("a signature of more than 255 bytes".to_owned());
            }
            Value::Signature(text)
        }
        _ => Value::Text(text),
    })
}

/// A number: decimal, `0x` or `0` before it for another base, of the type that is wanted.
fn number(word: &str, of: Option<&str>) -> Option<Value> {
    let floating = || word.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::F64);
    if of == Some("d") {
        return floating();
    }
    let (negative, digits) = match word.strip_prefix(['-', '+']) {
        Some(digits) => (word.starts_with('-'), digits),
        None => (false, word),
    };
    let (base, digits) = match digits {
        _ if digits.starts_with("0x") || digits.starts_with("0X") => (16, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    let whole = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let size = u64::from_str_radix(digits, base).ok().filter(|_| whole).map(i128::from);
    let Some(size) = size else { return if of.is_none() { floating() } else { None } };
    let value = if negative { -size } else { size };
    match of.unwrap_or("i") {
        "y" => value.try_into().ok().map(Value::Byte),
        "n" => value.try_into().ok().map(Value::I16),
        "q" => value.try_into().ok().map(Value::U16),
        "i" => value.try_into().ok().map(Value::I32),
        "u" => value.try_into().ok().map(Value::U32),
        "x" => value.try_into().ok().map(Value::I64),
        "t" => value.try_into().ok().map(Value::U64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_values() {
        fn check(text: &str, value: Value) {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        check("true", Value::Bool(true));
        check(" -5 ", Value::I32(-5));
        check("uint64 5", Value::U64(5));
        check("@t 0xff", Value::U64(255));
        check("byte 017", Value::Byte(15));
        check("1.5", Value::F64(1.5));
        check("double 3", Value::F64(3.0));
        check("'it\\'s \\u00e9\\n'", Value::text("it's é\n"));
        check("\"it's\"", Value::text("it's"));
        check("objectpath '/a/b'", Value::Path("/a/b".to_owned()));
        check("signature 'a{sv}'", Value::Signature("a{sv}".to_owned()));
        check("b'ab'", Value::bytes(b"ab\0"));
        check("['a', 'b',]", Value::texts(&["a", "b"]));
        check("@as []", Value::texts(&[]));
        check("@at [1]", Value::Array("t".to_owned(), vec![Value::U64(1)]));
        check("<'x'>", Value::Variant(Box::new(Value::text("x"))));
        check("('a', uint32 2)", Value::Tuple(vec![Value::text("a"), Value::U32(2)]));
        check("@(st) ('a', 2)", Value::Tuple(vec![Value::text("a"), Value::U64(2)]));
        let entry = Value::Entry(Box::new((Value::text("k"), Value::Variant(Box::new(Value::I32(1))))));
        check("{'k': <1>}", Value::Array("{sv}".to_owned(), vec![entry.clone()]));
        check("@a{sv} {'k': <1>}", Value::Array("{sv}".to_owned(), vec![entry]));
    }

    #[test]
    fn refuses_what_is_none() {
        let mut deep = "[".repeat(100_000);
        for bad in [
            "",
            " ",
            "tru",
            "5 5",
            "'",
            "'a",
            "'\\u12'",
            "'\\ud800'",
            "[",
            "[]",
            "[1, 'a']",
            "{}",
            "{1}",
            "{1: 2",
            "()",
            "(1",
            "<1",
            "<>",
            "@",
            "@z 1",
            "@s 1",
            "uint64 -1",
            "byte 256",
            "2147483648",
            "uint64",
            "1e999",
            "nan",
            "0x",
            "++1",
            "objectpath 'a'",
            "objectpath '/a/'",
            "signature 'z'",
            "nothing",
            "just 1",
            "ä",
            "@ä",
            "{[1]: 2}",
            "string 5",
            "'a\\u0000'",
            "@(s) ('a', 'b')",
            ",",
            "[,]",
            "b",
            "\\",
        ] {
            assert!(parse(bad).is_err(), "{bad}: {:?}", parse(bad));
        }
        assert!(parse(&deep).is_err());
        deep = "<".repeat(100_000);
        assert!(parse(&deep).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,60}") {
            drop(parse(&text));
        }

        #[test]
        fn any_text_of_its_signs_has_one_type(text in "[\\[\\](){}<>@astv'\",:0-9 -]{0,40}") {
            if let Ok(value) = parse(&text) {
                let signature = value.signature();
                prop_assert_eq!(first_type(&signature), Some((&*signature, "")));
            }
        }
    }
}
