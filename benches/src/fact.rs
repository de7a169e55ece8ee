//! What is found once in a run, and is not the time of a work: a number with its unit, or a word.

use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about: facts of one subject are one table.
    pub subject: String,
    /// Of whom.
    pub who: String,
    /// What was found out.
    pub what: String,
    /// The figure; none where it is a word.
    pub value: Option<f64>,
    /// As people read it.
    pub shown: String,
}

/// All of them, with the subject and the contestant that the next ones are of.
#[derive(Debug, Default)]
pub struct Facts {
    /// In the order in which they were found.
    pub all: Vec<Fact>,
}

impl Facts {
    /// A figure.
    pub fn number(&mut self, (subject, who): (&str, &str), what: &str, value: f64, unit: &str) {
        let shown = match unit {
            "" => format!("{value:.0}"),
            "x" => format!("{value:.2}"),
            _ => format!("{value:.1} {unit}"),
        };
        self.add((subject, who), what, Some(value), shown);
    }

    /// A word.
    pub fn word(&mut self, (subject, who): (&str, &str), what: &str, shown: &str) {
        self.add((subject, who), what, None, shown.replace(['|', '\n'], " "));
    }

    fn add(&mut self, (subject, who): (&str, &str), what: &str, value: Option<f64>, shown: String) {
        let (subject, who, what) = (subject.to_owned(), who.to_owned(), what.to_owned());
        self.all.push(Fact { subject, who, what, value, shown });
    }
}

/// The middle one of some figures.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().saturating_sub(1) / 2).copied()
}
