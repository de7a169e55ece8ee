//! `printf`: Go's verbs for what JSON has.

use super::functions::plain;
use serde_json::Value;

/// Wider is nobody's table.
pub const WIDEST: usize = 1000;

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Fills in a format. What does not fit is said in its place, as Go does.
pub fn printf(format: &str, values: &[&Value]) -> String {
    let mut out = String::new();
    let mut letters = format.chars().peekable();
    let mut values = values.iter();
    while let Some(c) = letters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = letters.next_if(|c| matches!(c, '-' | '+' | '0' | '#' | ' ')) {
            verb.minus |= flag == '-';
            verb.plus |= flag == '+';
            verb.zero |= flag == '0';
            verb.sharp |= flag == '#';
        }
        let number = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number: Option<usize> = None;
            while let Some(digit) = letters.peek().and_then(|c| c.to_digit(10)) {
                letters.next();
                number =
                    Some(number.unwrap_or(0).saturating_mul(10).saturating_add(digit as usize).min(WIDEST));
            }
            number
        };
        verb.width = number(&mut letters);
        if letters.next_if_eq(&'.').is_some() {
            verb.precision = Some(number(&mut letters).unwrap_or(0));
        }
        match letters.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(letter) => match values.next() {
                None => out.push_str(&format!("%!{letter}(MISSING)")),
                Some(value) => out.push_str(&verb.fill(letter, value)),
            },
        }
    }
    let rest: Vec<String> = values.map(|value| plain(value)).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

impl Verb {
    fn fill(&self, letter: char, value: &Value) -> String {
        let cut = |text: &str| match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text.to_owned(),
        };
        let signed =
            |text: String, negative: bool| if self.plus && !negative { format!("+{text}") } else { text };
        let float = value.as_f64();
        let digits = self.precision.unwrap_or(6);
        let text = match (letter, value) {
            ('v', Value::String(text)) if self.sharp => quoted(text),
            ('v', _) => plain(value),
            ('s', Value::String(text)) => cut(text),
            ('s', Value::Array(_) | Value::Object(_)) => plain(value),
            ('q', Value::String(text)) => quoted(text),
            ('q', Value::Array(list)) => {
                let all: Vec<String> = list.iter().map(|one| self.fill('q', one)).collect();
                format!("[{}]", all.join(" "))
            }
            ('t', Value::Bool(yes)) => yes.to_string(),
            ('d', Value::Number(number)) if !number.is_f64() => {
                signed(number.to_string(), number.as_i64().is_some_and(|number| number < 0))
            }
            ('x', Value::Number(number)) if number.is_u64() => format!("{:x}", number.as_u64().unwrap_or(0)),
            ('X', Value::Number(number)) if number.is_u64() => format!("{:X}", number.as_u64().unwrap_or(0)),
            ('o', Value::Number(number)) if number.is_u64() => format!("{:o}", number.as_u64().unwrap_or(0)),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('c', Value::Number(number)) => {
                let code = number.as_u64().and_then(|code| u32::try_from(code).ok());
                code.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
            }
            ('f' | 'F', Value::Number(_)) => {
                signed(format!("{:.digits$}", float.unwrap_or(0.0)), float.is_some_and(|number| number < 0.0))
            }
            ('g', Value::Number(_)) => float.unwrap_or(0.0).to_string(),
            _ => format!("%!{letter}({})", plain(value)),
        };
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if self.minus {
            return text + &" ".repeat(missing);
        }
        if self.zero && value.is_number() {
            let (sign, number) = match text.strip_prefix(['-', '+']) {
                Some(number) => text.split_at(text.len() - number.len()),
                None => ("", text.as_str()),
            };
            return format!("{sign}{}{number}", "0".repeat(missing));
        }
        " ".repeat(missing) + &text
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
