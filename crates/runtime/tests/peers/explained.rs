//! Differences that are meant, each with its reason.

use std::fmt;
use std::path::Path;

/// One thing that two runtimes do not have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about, such as `accepts` or `mount /proc`.
    pub about: String,
    /// What ours says.
    pub ours: String,
    /// What the other one says.
    pub theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ours {:?}, theirs {:?}", self.about, self.ours, self.theirs)
    }
}

/// A line of the table: `PEER | CHANGE | ABOUT | OURS | THEIRS | WHY`. A change or a text that ends with `*` is one that begins
/// so; `*` alone is any.
struct Line {
    text: String,
    fields: Vec<String>,
    used: bool,
}

/// The table.
pub struct Explanations(Vec<Line>);

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

impl Explanations {
    /// Reads the lines for these peers.
    #[track_caller]
    pub fn read(peers: impl Iterator<Item = &'static str>) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/explained.txt");
        let table = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let peers: Vec<&str> = peers.collect();
        let lines = table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let lines = lines.map(|line| {
            let fields: Vec<String> = line.split('|').map(|field| field.trim().to_owned()).collect();
            assert!(
                fields.len() == 6 && !fields[5].is_empty(),
                "explained.txt: six fields, the last a reason: {line}"
            );
            Line { text: line.to_owned(), fields, used: false }
        });
        Self(lines.filter(|line| peers.contains(&line.fields[0].as_str())).collect())
    }

    /// Whether a difference is explained.
    pub fn explain(&mut self, peer: &str, changes: &[String], difference: &Difference) -> bool {
        let found = self.0.iter_mut().find(|line| {
            line.fields[0] == peer
                && changes
                    .iter()
                    .map(String::as_str)
                    .chain(["any"])
                    .any(|change| fits(&line.fields[1], change))
                && fits(&line.fields[2], &difference.about)
                && fits(&line.fields[3], &difference.ours)
                && fits(&line.fields[4], &difference.theirs)
        });
        found.map(|line| line.used = true).is_some()
    }

    /// The lines that have explained nothing.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|line| !line.used && !line.fields[5].starts_with("sometimes"))
            .map(|line| line.text.as_str())
    }
}
