//! Templates as Go's text/template has them, for `--format`: what docker's users type, over JSON.
//!
//! Text is split into texts and actions (`lex`), which become a tree (`parse`), which is walked over the data (`evaluate`) with
//! the functions of Go and of docker (`functions`). Own code: the one crate for it has had no release for years, and says neither
//! where a mistake is nor which fields there are.

mod evaluate;
mod functions;
mod lex;
mod parse;
mod printf;

use crate::error::{Error, Kind, Result};
use parse::Node;
use serde_json::Value;

/// A template that was read.
#[derive(Debug)]
pub struct Template {
    source: String,
    nodes: Vec<Node>,
}

/// What is called by `.Name "argument"` at the root; none where there is no such method.
pub type Methods<'a> = &'a dyn Fn(&str, &[Value]) -> Option<Value>;

/// The same data for a terminal: what images and containers say of themselves must not steer it. Lines and tabs stay, every other
/// control character is shown as an escape.
pub fn printable(data: &Value) -> Value {
    match data {
        Value::String(text) => Value::String(printable_text(text)),
        Value::Array(all) => all.iter().map(printable).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (printable_text(key), printable(value))).collect()
        }
        other => other.clone(),
    }
}

fn printable_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            letter if letter.is_control() => shown.extend(letter.escape_default()),
            letter => shown.push(letter),
        }
    }
    shown
}

/// A mistake, at a byte of the source.
#[derive(Debug)]
struct Mistake {
    at: usize,
    reason: String,
    hint: Option<String>,
}

impl Mistake {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into(), hint: None }
    }

    /// Line and column, both from 1, in front of the reason.
    fn error(self, source: &str) -> Error {
        let before = source.get(..self.at).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let error =
            Error::new(Kind::Usage, format!("template: line {line}, column {column}: {}", self.reason));
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is malformed, with its line and column.
    pub fn parse(source: &str) -> Result<Self> {
        let nodes = lex::pieces(source).and_then(parse::tree).map_err(|mistake| mistake.error(source))?;
        Ok(Self { source: source.to_owned(), nodes })
    }

    /// Fills it in.
    ///
    /// # Errors
    /// A field that is not there, a function that cannot be applied, with its line and column.
    pub fn render(&self, data: &Value) -> Result<String> {
        self.render_with(data, &|_, _| None)
    }

    /// As [`Template::render`], with methods.
    pub fn render_with(&self, data: &Value, methods: Methods<'_>) -> Result<String> {
        evaluate::render(&self.nodes, data, methods).map_err(|mistake| mistake.error(&self.source))
    }
}

#[cfg(test)]
mod tests;
