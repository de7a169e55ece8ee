//! What is asked for.

use crate::parts;
use std::path::PathBuf;

/// The command line.
pub struct Arguments {
    /// Where the programs are.
    pub programs: PathBuf,
    /// Where the same programs are with every mutant in them; without, none is shown able to fail.
    pub mutants: Option<PathBuf>,
    /// Where the report goes.
    pub out: PathBuf,
    /// Where docs/security.md goes, and from where its parts are: the first that has one.
    pub publish: Option<(PathBuf, Vec<PathBuf>)>,
    /// How often each command is killed; without, each of its victims at each of its moments.
    pub kills: Option<u64>,
    /// What the random choices come from, printed with what came of them.
    pub seed: u64,
    /// How many starts each race has.
    pub starts: Option<u32>,
    /// How many calls of each command fail; all of them, in every way, without.
    pub errors: Option<u64>,
    /// Whether it is to take minutes, for each change, and not hours.
    pub quick: bool,
    parts: Vec<String>,
    words: Vec<String>,
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option} {text:?}: not a number"))
}

/// Another one each time.
fn any_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs())
}

impl Arguments {
    /// Reads it.
    pub fn of(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut all = Self {
            programs: PathBuf::from("target/debug"),
            mutants: None,
            out: PathBuf::from("target/torture"),
            kills: None,
            seed: any_seed(),
            starts: None,
            errors: None,
            quick: false,
            publish: None,
            parts: Vec::new(),
            words: Vec::new(),
        };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--programs" => all.programs = value()?.into(),
                "--mutants" => all.mutants = Some(value()?.into()),
                "--out" => all.out = value()?.into(),
                "--publish" => {
                    let docs = value()?.into();
                    all.publish = Some((docs, words.by_ref().map(PathBuf::from).collect()));
                }
                "--quick" => all.quick = true,
                "--kills" => all.kills = Some(number(word.as_str(), &value()?)?),
                "--seed" => all.seed = number(word.as_str(), &value()?)?,
                "--starts" => all.starts = Some(number(word.as_str(), &value()?)?),
                "--errors" => all.errors = Some(number(word.as_str(), &value()?)?),
                option if option.starts_with('-') => return Err(format!("{option}: not an option")),
                part if parts::names().any(|name| name == part) => all.parts.push(part.to_owned()),
                other => all.words.push(other.to_owned()),
            }
        }
        Ok(all)
    }

    /// How much was asked for.
    pub fn form(&self) -> String {
        let mut told = if self.quick { "the short form" } else { "the long form" }.to_owned();
        let mut add = |words: String| told += &format!(", {words}");
        self.kills.into_iter().for_each(|number| add(format!("kills {number}")));
        self.errors.into_iter().for_each(|number| add(format!("errors {number}")));
        self.starts.into_iter().for_each(|number| add(format!("starts {number}")));
        told
    }

    /// What was asked for, but for the parts.
    pub fn told(&self) -> String {
        let mut told = self.form();
        let mut add = |words: String| told += &format!(", {words}");
        if !self.words.is_empty() {
            add(format!("of all rows last those with {}", self.words.join(", ")));
        }
        add(format!("seed {}", self.seed));
        told
    }

    /// Whether only some rows are wanted.
    pub fn has_words(&self) -> bool {
        !self.words.is_empty()
    }

    /// Whether a part is wanted: all of them when none is named.
    pub fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }

    /// Whether a row is wanted, by a part of its name: all of them when none is named.
    pub fn wants(&self, row: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| row.contains(word.as_str()))
    }
}
