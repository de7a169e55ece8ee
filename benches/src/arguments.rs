//! The command line of bench.

use std::path::PathBuf;
use std::time::Duration;

/// What is to be done.
pub enum Asked {
    /// A run.
    Measure(Arguments),
    /// The page in the documentation, from a run that was.
    Publish {
        /// Where report.json is.
        from: PathBuf,
        /// Where performance.md goes.
        docs: PathBuf,
    },
}

/// How much of it.
pub struct Arguments {
    /// How often each entry is measured.
    pub rounds: usize,
    /// Containers alive at a time.
    pub alive: usize,
    /// Starts in a row.
    pub starts: usize,
    /// Pulls by each.
    pub pulls: usize,
    /// Layers of the image that is pulled.
    pub layers: usize,
    /// Containers of each engine whose supervisors are looked at.
    pub kept: usize,
    /// How long a supervisor is looked at.
    pub idle: Duration,
    /// Where the report goes.
    pub out: PathBuf,
    /// The archive of a root file system of Debian.
    pub debian: PathBuf,
    /// A runtime that reads nothing again of what it has set, unless it is told to.
    pub unattested: Option<PathBuf>,
    /// Only works with one of these in their names.
    works: Vec<String>,
}

const USAGE: &str = "usage: bench [--rounds N] [--alive N] [--starts N] [--pulls N] [--layers N] [--kept N] [--idle SECONDS] [--out DIRECTORY] \
                     [--debian ARCHIVE] [--unattested RUNTIME] [WORD-OF-A-WORK...] | bench --publish DIRECTORY-OF-A-REPORT DIRECTORY";

impl Arguments {
    /// Whether a work, or a subject of facts, is to be looked at.
    pub fn wants(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|word| work.contains(word.as_str()))
    }
}

/// From words.
pub fn read(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Arguments {
        rounds: 50,
        alive: 1000,
        starts: 1000,
        pulls: 5,
        layers: 6,
        kept: 20,
        idle: Duration::from_secs(10),
        out: "target/bench".into(),
        debian: "target/testkit/debian-12.tar".into(),
        unattested: None,
        works: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE.to_owned());
        let number = |text: String| text.parse::<usize>().map_err(|_| format!("{word} {text}: not a number"));
        match word.as_str() {
            "--rounds" => asked.rounds = number(value()?)?,
            "--alive" => asked.alive = number(value()?)?,
            "--starts" => asked.starts = number(value()?)?,
            "--pulls" => asked.pulls = number(value()?)?,
            "--layers" => asked.layers = number(value()?)?,
            "--kept" => asked.kept = number(value()?)?,
            "--idle" => asked.idle = Duration::from_secs(number(value()?)? as u64),
            "--out" => asked.out = value()?.into(),
            "--unattested" => asked.unattested = Some(value()?.into()),
            "--debian" => asked.debian = value()?.into(),
            "--publish" => return Ok(Asked::Publish { from: value()?.into(), docs: value()?.into() }),
            word if word.starts_with('-') => return Err(USAGE.to_owned()),
            _ => asked.works.push(word),
        }
    }
    Ok(Asked::Measure(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str) -> Result<Asked, String> {
        read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_choose_works() {
        let Ok(Asked::Measure(asked)) = check("--rounds 3 exec pull") else { panic!("not measured") };
        assert_eq!(asked.rounds, 3);
        assert!(asked.wants("exec") && asked.wants("pull and unpack") && !asked.wants("run"));
    }

    #[test]
    fn says_what_is_no_number() {
        assert_eq!(check("--rounds many").err().as_deref(), Some("--rounds many: not a number"));
        assert!(check("--such").err().is_some_and(|error| error.starts_with("usage")));
    }
}
