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
    /// From where to where a report is published.
    pub publish: Option<(PathBuf, PathBuf)>,
    /// How many stops of each command are its last; all of them without.
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

/// What can be asked for, besides the parts that are a table ([`crate::parts`]).
const PARTS: [&str; 3] = ["replays", "attestation", "kills"];

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
                "--publish" => all.publish = Some((value()?.into(), value()?.into())),
                "--quick" => all.quick = true,
                "--kills" => all.kills = Some(number(word.as_str(), &value()?)?),
                "--seed" => all.seed = number(word.as_str(), &value()?)?,
                "--starts" => all.starts = Some(number(word.as_str(), &value()?)?),
                "--errors" => all.errors = Some(number(word.as_str(), &value()?)?),
                option if option.starts_with('-') => return Err(format!("{option}: not an option")),
                part if PARTS.contains(&part) || parts::ALL.iter().any(|(name, _)| *name == part) => {
                    all.parts.push(part.to_owned())
                }
                other => all.words.push(other.to_owned()),
            }
        }
        Ok(all)
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
