//! The values of D-Bus and their types (D-Bus specification, "Type system").

/// How deep containers may be in each other, as the specification has it.
pub(super) const DEEPEST: usize = 32;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Byte(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    Path(String),
    Signature(String),
    /// The type of its elements, and they.
    Array(String, Vec<Value>),
    Tuple(Vec<Value>),
    /// In an array alone: it is a dictionary then.
    Entry(Box<(Value, Value)>),
    Variant(Box<Value>),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn texts(texts: &[&str]) -> Self {
        Self::Array("s".to_owned(), texts.iter().map(|text| Self::text(text)).collect())
    }

    pub(super) fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".to_owned(), bytes.iter().map(|byte| Self::Byte(*byte)).collect())
    }

    /// Its type.
    pub(super) fn signature(&self) -> String {
        match self {
            Self::Bool(_) => "b".to_owned(),
            Self::Byte(_) => "y".to_owned(),
            Self::I16(_) => "n".to_owned(),
            Self::U16(_) => "q".to_owned(),
            Self::I32(_) => "i".to_owned(),
            Self::U32(_) => "u".to_owned(),
            Self::I64(_) => "x".to_owned(),
            Self::U64(_) => "t".to_owned(),
            Self::F64(_) => "d".to_owned(),
            Self::Text(_) => "s".to_owned(),
            Self::Path(_) => "o".to_owned(),
            Self::Signature(_) => "g".to_owned(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Tuple(fields) => format!("({})", fields.iter().map(Self::signature).collect::<String>()),
            Self::Entry(pair) => format!("{{{}{}}}", pair.0.signature(), pair.1.signature()),
            Self::Variant(_) => "v".to_owned(),
        }
    }
}

/// The first complete type of a signature, and what follows it.
pub(super) fn first_type(signature: &str) -> Option<(&str, &str)> {
    let end = complete(signature.as_bytes(), 0)?;
    Some((&signature[..end], &signature[end..]))
}

/// How long the complete type is that a signature begins with.
fn complete(signature: &[u8], depth: usize) -> Option<usize> {
    if depth > DEEPEST {
        return None;
    }
    match signature.first()? {
        b'b' | b'y' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v' => Some(1),
        b'a' if signature.get(1) == Some(&b'{') => {
            let key = signature.get(2).filter(|key| b"bynqiuxtdsog".contains(key));
            let value = complete(signature.get(3..)?, depth + 1).filter(|_| key.is_some())?;
            (signature.get(3 + value) == Some(&b'}')).then_some(4 + value)
        }
        b'a' => Some(1 + complete(&signature[1..], depth + 1)?),
        b'(' => {
            let mut at = 1;
            while *signature.get(at)? != b')' {
                at += complete(&signature[at..], depth + 1)?;
            }
            (at > 1).then_some(at + 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_signatures() {
        fn check(signature: &str, first: Option<(&str, &str)>) {
            assert_eq!(first_type(signature), first, "{signature}");
        }
        check("sv", Some(("s", "v")));
        check("a(sv)a{s(as)}x", Some(("a(sv)", "a{s(as)}x")));
        check("a{s(as)}x", Some(("a{s(as)}", "x")));
        check("(s(iu))", Some(("(s(iu))", "")));
        for bad in ["", "z", "a", "(", "()", "(s", ")", "{sv}", "a{vs}", "a{s}", "a{sss}", "ä"] {
            check(bad, None);
        }
        check(&"a".repeat(100), None);
        check(&"(".repeat(100_000), None);
    }
}
