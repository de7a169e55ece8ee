//! Tables of rows, as `ps` and other lists print them: in columns, as a template has it, or as JSON.

use crate::place::print;
use engine::Result;
use engine::template::{Template, printable};
use serde_json::{Map, Value};

/// One row: fields by docker's names. All are texts, as docker has them.
#[derive(Debug, Clone, Default)]
pub struct Row {
    fields: Map<String, Value>,
    labels: Vec<(String, String)>,
}

impl Row {
    /// With a field more.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// With what `.Label "KEY"` finds, and `.Labels`.
    pub fn with_labels(mut self, labels: &[(String, String)]) -> Self {
        let all: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        self.labels = labels.to_vec();
        self.with("Labels", all.join(","))
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        let [Value::String(wanted)] = arguments else { return None };
        let found = self.labels.iter().find(|(key, _)| key == wanted);
        (name == "Label").then(|| found.map_or("", |(_, value)| value.as_str()).into())
    }
}

/// How a list is to be printed; read before there is a list, so that a mistake is one also of an empty list.
#[derive(Debug)]
pub struct Listing {
    kind: Shape,
    headers: Map<String, Value>,
}

#[derive(Debug)]
enum Shape {
    Json,
    Table(Template),
    Lines(Template),
}

impl Listing {
    /// `format` is what was typed, `usual` the template of the table without it, `headers` the words above every column.
    pub fn new(format: Option<&str>, usual: &str, headers: &[(&str, &str)]) -> Result<Self> {
        // As docker: a shell's single quotes leave the escapes.
        let clear = |text: &str| text.replace("\\t", "\t").replace("\\n", "\n");
        let kind = match format.map(str::trim) {
            Some("json") => Shape::Json,
            None | Some("" | "table") => Shape::Table(Template::parse(&clear(usual))?),
            Some(text) => match text.strip_prefix("table ") {
                Some(columns) => Shape::Table(Template::parse(&clear(columns.trim()))?),
                None => Shape::Lines(Template::parse(&clear(text))?),
            },
        };
        let headers: Map<String, Value> =
            headers.iter().map(|(name, shown)| ((*name).to_owned(), Value::from(*shown))).collect();
        let listing = Self { kind, headers };
        // A column that is none is a mistake of an empty table too.
        if matches!(listing.kind, Shape::Table(_)) {
            listing.header()?;
        }
        Ok(listing)
    }

    /// The words above the columns.
    fn header(&self) -> Result<String> {
        match &self.kind {
            Shape::Json => Ok(String::new()),
            Shape::Table(template) | Shape::Lines(template) => {
                template.render_with(&Value::Object(self.headers.clone()), &|name, arguments| match arguments
                {
                    // Above the column of a label stands its name.
                    [Value::String(label)] if name == "Label" => {
                        Some(label.rsplit('.').next().unwrap_or(label).into())
                    }
                    _ => None,
                })
            }
        }
    }

    /// The text of the rows.
    pub fn text(&self, rows: &[Row]) -> Result<String> {
        let filled = |template: &Template, row: &Row| {
            let fields = printable(&Value::Object(row.fields.clone()));
            template.render_with(&fields, &|name, arguments| {
                row.call(name, arguments).map(|value| printable(&value))
            })
        };
        let mut lines = Vec::new();
        match &self.kind {
            Shape::Json => {
                lines.extend(rows.iter().map(|row| Value::Object(row.fields.clone()).to_string()));
            }
            Shape::Lines(template) => {
                for row in rows {
                    lines.push(filled(template, row)?);
                }
            }
            Shape::Table(template) => {
                lines.push(self.header()?);
                for row in rows {
                    lines.push(filled(template, row)?);
                }
                lines = columns(&lines);
            }
        }
        Ok(lines.join("\n"))
    }

    /// Prints the rows.
    pub fn print(&self, rows: &[Row]) -> Result<()> {
        if rows.is_empty() && !matches!(self.kind, Shape::Table(_)) {
            return Ok(());
        }
        print(&self.text(rows)?)
    }
}

/// Cells that are parted by tabs, in columns at least ten wide and three apart; the last of a line is as long as it is.
pub fn columns(lines: &[String]) -> Vec<String> {
    let cells: Vec<Vec<&str>> =
        lines.iter().flat_map(|line| line.split('\n')).map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for line in &cells {
        for (index, cell) in line.iter().take(line.len() - 1).enumerate() {
            if widths.len() <= index {
                widths.push(7);
            }
            widths[index] = widths[index].max(cell.chars().count());
        }
    }
    let padded = |line: &Vec<&str>| {
        let mut text = String::new();
        for (index, cell) in line.iter().enumerate() {
            text.push_str(cell);
            if index + 1 < line.len() {
                text.push_str(&" ".repeat(widths[index] + 3 - cell.chars().count()));
            }
        }
        text
    };
    cells.iter().map(padded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let labels = [("com.a".to_owned(), "x".to_owned())];
        let rows = [
            Row::default().with("ID", "4c01").with("Names", "a-long-name-of-one").with_labels(&labels),
            Row::default().with("ID", "5d02").with("Names", "b").with_labels(&[]),
        ];
        let check = |format: Option<&str>, expected: &str| {
            let headers = [("ID", "ID"), ("Names", "NAMES"), ("Labels", "LABELS")];
            let listing = Listing::new(format, "{{.Names}}\\t{{.ID}}", &headers).expect("a format");
            assert_eq!(listing.text(&rows).expect("rows"), expected, "{format:?}");
        };
        let hostile = [("com.a".to_owned(), "\u{1b}[31mred".to_owned())];
        let listing =
            Listing::new(Some("{{.ID}} {{.Label \"com.a\"}} {{.Labels}}"), "", &[]).expect("a format");
        let row = Row::default().with("ID", "\u{9b}2J").with_labels(&hostile);
        let shown = listing.text(&[row]).expect("a row");
        assert_eq!(shown, "\\u{9b}2J \\u{1b}[31mred com.a=\\u{1b}[31mred");
        check(None, "NAMES                ID\na-long-name-of-one   4c01\nb                    5d02");
        check(Some("{{.ID}}"), "4c01\n5d02");
        check(Some("table {{.ID}}\t{{.Label \"com.a\"}}"), "ID        a\n4c01      x\n5d02      ");
        check(Some("{{.ID}}={{.Label \"com.a\"}}\\n"), "4c01=x\n\n5d02=\n");
        check(
            Some("json"),
            "{\"ID\":\"4c01\",\"Labels\":\"com.a=x\",\"Names\":\"a-long-name-of-one\"}\n{\"ID\":\"5d02\",\"Labels\":\"\",\"Names\":\"b\"}",
        );
        for bad in ["{{", "table {{.ID 1}}", "table {{.Nope}}"] {
            assert!(Listing::new(Some(bad), "", &[("ID", "ID")]).is_err(), "{bad}");
        }
    }
}
