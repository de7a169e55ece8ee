//! From characters to texts and the tokens of actions.

use super::Mistake;
use serde_json::Value;

/// A text, or what is between `{{` and `}}`.
#[derive(Debug)]
pub enum Piece {
    Text(String),
    Action { at: usize, tokens: Vec<Token> },
}

/// A word of an action, with where it is.
#[derive(Debug, Clone)]
pub struct Token {
    pub at: usize,
    /// Whether nothing stands between it and the one before.
    pub glued: bool,
    pub word: Word,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    Dot,
    /// `.A.B`
    Fields(Vec<String>),
    /// `$x`, without the dollar.
    Variable(String),
    Name(String),
    Literal(Value),
    Pipe,
    Open,
    Close,
    Declare,
    Assign,
    Comma,
}

/// Splits a template; texts next to `{{-` and `-}}` are trimmed.
pub fn pieces(source: &str) -> Result<Vec<Piece>, Mistake> {
    let mut pieces = Vec::new();
    let (mut rest, mut at, mut trims) = (source, 0, false);
    while let Some(found) = rest.find("{{") {
        let text = &rest[..found];
        let begin = at + found;
        let mut inner = &rest[found + 2..];
        let mut inner_at = begin + 2;
        let before = inner.starts_with('-') && inner[1..].starts_with(char::is_whitespace);
        if before {
            (inner, inner_at) = (&inner[1..], inner_at + 1);
        }
        push_text(&mut pieces, text, trims, before);
        let lexed = action(inner, inner_at, begin)?;
        if let Some(tokens) = lexed.tokens {
            pieces.push(Piece::Action { at: begin, tokens });
        }
        trims = lexed.trims;
        at = lexed.end;
        rest = &source[at..];
    }
    push_text(&mut pieces, rest, trims, false);
    Ok(pieces)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str, at_start: bool, at_end: bool) {
    let text = if at_start { text.trim_start() } else { text };
    let text = if at_end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// An action that was read: none of a comment.
struct Lexed {
    tokens: Option<Vec<Token>>,
    trims: bool,
    end: usize,
}

fn action(inner: &str, base: usize, begin: usize) -> Result<Lexed, Mistake> {
    let unclosed = || Mistake::new(begin, "unclosed action: }} is missing");
    if let Some(comment) = inner.trim_start().strip_prefix("/*") {
        let start = base + (inner.len() - comment.len());
        let close = comment.find("*/").ok_or_else(|| Mistake::new(begin, "unclosed comment"))?;
        let after = &comment[close + 2..];
        let trimmed = after.trim_start();
        let (trims, tail) = match trimmed.strip_prefix('-') {
            Some(tail) if trimmed.len() < after.len() => (true, tail),
            _ => (false, after),
        };
        let left = tail
            .strip_prefix("}}")
            .ok_or_else(|| Mistake::new(begin, "a comment has to be all of its action"))?;
        return Ok(Lexed { tokens: None, trims, end: start + comment.len() - left.len() });
    }
    let mut tokens: Vec<Token> = Vec::new();
    let mut place = 0;
    let mut glued = false;
    loop {
        let rest = &inner[place..];
        let Some(first) = rest.chars().next() else { return Err(unclosed()) };
        if rest.starts_with("}}") {
            return Ok(Lexed { tokens: Some(tokens), trims: false, end: base + place + 2 });
        }
        if first.is_whitespace() {
            if rest.trim_start().starts_with("-}}") {
                let end = base + place + (rest.len() - rest.trim_start().len()) + 3;
                return Ok(Lexed { tokens: Some(tokens), trims: true, end });
            }
            place += first.len_utf8();
            glued = false;
            continue;
        }
        let at = base + place;
        let (word, length) = word(rest, at)?;
        tokens.push(Token { at, glued, word });
        place += length;
        glued = true;
    }
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

fn word(rest: &str, at: usize) -> Result<(Word, usize), Mistake> {
    let single = |word| Ok((word, 1));
    let bytes = rest.as_bytes();
    match bytes[0] {
        b'|' => single(Word::Pipe),
        b'(' => single(Word::Open),
        b')' => single(Word::Close),
        b',' => single(Word::Comma),
        b':' if rest.starts_with(":=") => Ok((Word::Declare, 2)),
        b'=' => single(Word::Assign),
        b'"' => string(rest, at),
        b'`' => {
            let end = rest[1..].find('`').ok_or_else(|| Mistake::new(at, "unclosed string: ` is missing"))?;
            Ok((Word::Literal(rest[1..=end].into()), end + 2))
        }
        b'\'' => character(rest, at),
        b'$' => {
            let length = name_length(&rest[1..]);
            Ok((Word::Variable(rest[1..=length].to_owned()), length + 1))
        }
        b'.' if !bytes.get(1).is_some_and(u8::is_ascii_digit) => {
            let (mut fields, mut place) = (Vec::new(), 0);
            while rest[place..].starts_with('.') {
                let length = name_length(&rest[place + 1..]);
                if length == 0 {
                    break;
                }
                fields.push(rest[place + 1..place + 1 + length].to_owned());
                place += 1 + length;
            }
            if fields.is_empty() { single(Word::Dot) } else { Ok((Word::Fields(fields), place)) }
        }
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(rest, at),
        _ => {
            let length = name_length(rest);
            if length == 0 {
                let bad = rest.chars().next().unwrap_or_default();
                return Err(Mistake::new(at, format!("unexpected {bad:?} in an action")));
            }
            let name = &rest[..length];
            let word = match name {
                "true" => Word::Literal(true.into()),
                "false" => Word::Literal(false.into()),
                "nil" => Word::Literal(Value::Null),
                _ => Word::Name(name.to_owned()),
            };
            Ok((word, length))
        }
    }
}

fn number(rest: &str, at: usize) -> Result<(Word, usize), Mistake> {
    let sign = usize::from(rest.starts_with(['+', '-']));
    let mut length = sign;
    let bytes = rest.as_bytes();
    while let Some(byte) = bytes.get(length) {
        let exponent_sign = matches!(byte, b'+' | b'-') && matches!(bytes[length - 1], b'e' | b'E');
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || (exponent_sign && length > sign))
        {
            break;
        }
        length += 1;
    }
    let text = rest[..length].replace('_', "");
    let (negative, digits) = (text.starts_with('-'), text.trim_start_matches(['+', '-']));
    let radix = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let whole = if radix == 10 { digits } else { digits.get(2..).unwrap_or_default() };
    let value = match i64::from_str_radix(whole, radix) {
        Ok(number) => Some(Value::from(if negative { -number } else { number })),
        Err(_) => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
    };
    match value.filter(|_| !digits.is_empty()) {
        Some(value) => Ok((Word::Literal(value), length)),
        None => Err(Mistake::new(at, format!("{:?} is not a number", &rest[..length.max(1)]))),
    }
}

/// A string in double quotes; its length counts the bytes in the source.
fn string(rest: &str, at: usize) -> Result<(Word, usize), Mistake> {
    let unclosed = || Mistake::new(at, "unclosed string: \" is missing");
    let mut text = String::new();
    let mut place = 1;
    loop {
        let c = rest[place..].chars().next().ok_or_else(unclosed)?;
        match c {
            '"' => return Ok((Word::Literal(text.into()), place + 1)),
            '\n' => return Err(unclosed()),
            '\\' => {
                let (escaped, length) = escape(&rest[place..], at + place)?;
                text.push(escaped);
                place += length;
            }
            _ => {
                text.push(c);
                place += c.len_utf8();
            }
        }
    }
}

fn character(rest: &str, at: usize) -> Result<(Word, usize), Mistake> {
    let wrong = || Mistake::new(at, "a character is one between single quotes; strings are in double quotes");
    let first = rest[1..].chars().next().ok_or_else(wrong)?;
    let (c, length) = if first == '\\' { escape(&rest[1..], at)? } else { (first, first.len_utf8()) };
    if !rest[1 + length..].starts_with('\'') {
        return Err(wrong());
    }
    Ok((Word::Literal(u32::from(c).into()), length + 2))
}

fn escape(rest: &str, at: usize) -> Result<(char, usize), Mistake> {
    let wrong = || Mistake::new(at, "unknown escape in a string");
    let hex = |digits: usize| {
        let text = rest.get(2..2 + digits).ok_or_else(wrong)?;
        let code = u32::from_str_radix(text, 16).map_err(|_| wrong())?;
        Ok((char::from_u32(code).ok_or_else(wrong)?, 2 + digits))
    };
    let letter = rest[1..].chars().next().ok_or_else(wrong)?;
    let plain = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        '\\' | '"' | '\'' => letter,
        'x' => return hex(2),
        'u' => return hex(4),
        'U' => return hex(8),
        _ => return Err(wrong()),
    };
    Ok((plain, 2))
}
