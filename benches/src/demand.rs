//! What is asked of this project's programs, as ratios of medians in one run, and what a run had.

use crate::engines::{ALONE, AT_ONCE, BRIDGE, OURS as ENGINE};
use crate::fact::Fact;
use crate::report::{Row, processors};
use crate::runtimes::OURS as RUNTIME;
use crate::{alive, in_a_row, pull, supervisors};
use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Demand {
    /// Of what.
    pub work: String,
    /// In words.
    pub at_most: String,
    /// In words.
    pub measured: String,
    /// None where there was nothing to compare with.
    pub met: Option<bool>,
}

/// What is looked up in a run.
struct Found<'a> {
    rows: &'a [Row],
    facts: &'a [Fact],
}

/// A demand, and the figure that a run has for it.
type Asked = (&'static str, &'static str, f64, &'static str, Option<f64>);

/// All of them.
pub fn all(rows: &[Row], facts: &[Fact]) -> Vec<Demand> {
    let found = Found { rows, facts };
    let mut all: Vec<Demand> = found.times().into_iter().chain(found.others()).map(demand).collect();
    all.extend(found.words());
    all
}

fn demand((work, of, most, unit, measured): Asked) -> Demand {
    let shown = |figure: f64| match unit {
        "" => format!("{figure:.0}"),
        "x" => format!("{figure:.2} x"),
        _ => format!("{figure:.2} {unit}"),
    };
    let limit = match unit {
        "x" => format!("{most} x {of}"),
        "" => format!("{most} {of}"),
        _ => format!("{most} {unit} {of}"),
    };
    Demand {
        work: work.to_owned(),
        at_most: limit.trim_end().to_owned(),
        measured: measured.map_or("not measured".to_owned(), shown),
        met: measured.map(|figure| figure <= most),
    }
}

impl Found<'_> {
    fn row(&self, work: &str, who: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.work == work && row.who == who)
    }

    fn time(&self, work: &str, who: &str) -> Option<f64> {
        self.row(work, who)?.median
    }

    fn ratio(&self, work: &str, own: &str, other: &str) -> Option<f64> {
        Some(self.time(work, own)? / self.time(work, other)?)
    }

    /// All at once beside one after the other on all processors.
    fn crowd(&self, at_once: &str, one: &str, who: &str) -> Option<f64> {
        Some(self.time(at_once, who)? / (self.time(one, who)? * 32.0 / processors() as f64))
    }

    fn fact(&self, subject: &str, who: &str, what: &str) -> Option<&Fact> {
        self.facts
            .iter()
            .find(|fact| fact.subject == subject && fact.who == who && fact.what.starts_with(what))
    }

    fn figure(&self, subject: &str, who: &str, what: &str) -> Option<f64> {
        self.fact(subject, who, what)?.value
    }

    fn times(&self) -> Vec<Asked> {
        let filter = self.time("run, filtered", RUNTIME).zip(self.time("run", RUNTIME));
        let steps = "create, start, delete";
        let hybrid = "run, hybrid v1 host";
        let floor = self.time("run", "floor");
        let of_floor = |work: &str| Some(self.time(work, ENGINE)? / floor?);
        vec![
            ("run", "the floor", 1.5, "x", self.ratio("run", RUNTIME, "floor")),
            ("run", "crun", 0.4, "x", self.ratio("run", RUNTIME, "crun")),
            ("run", "runc", 0.2, "x", self.ratio("run", RUNTIME, "runc")),
            (steps, "crun", 0.5, "x", self.ratio(steps, RUNTIME, "crun")),
            (
                "run with the default seccomp profile",
                "more",
                0.3,
                "ms",
                filter.map(|(with, without)| with - without),
            ),
            (
                "the default seccomp profile compiled",
                "",
                100.0,
                "µs",
                self.figure("seccomp", RUNTIME, "default profile compiled"),
            ),
            ("exec", "crun", 0.7, "x", self.ratio("exec", RUNTIME, "crun")),
            ("exec", "nsenter", 1.4, "x", self.ratio("exec", RUNTIME, "nsenter")),
            (hybrid, "runc", 0.4, "x", self.ratio(hybrid, RUNTIME, "runc")),
            ("32 starts at once", "serial / processors", 1.2, "x", self.crowd("32 at once", "run", RUNTIME)),
            ("engine, no network", "the floor", 2.5, "x", of_floor(ALONE)),
            ("engine, no network", "podman", 0.05, "x", self.ratio(ALONE, ENGINE, "podman")),
            ("engine, bridge", "the floor", 4.0, "x", of_floor(BRIDGE)),
            ("engine, bridge", "podman", 0.05, "x", self.ratio(BRIDGE, ENGINE, "podman")),
            ("engine, bridge", "docker", 0.05, "x", self.ratio(BRIDGE, ENGINE, "docker")),
            ("32 engine runs at once", "serial / processors", 1.3, "x", self.crowd(AT_ONCE, ALONE, ENGINE)),
            (pull::WORK, "podman", 0.4, "x", self.ratio(pull::WORK, ENGINE, "podman")),
            (pull::WORK, "containerd", 0.4, "x", self.ratio(pull::WORK, ENGINE, "ctr")),
            (pull::WORK, pull::BOUND, 1.5, "x", self.ratio(pull::WORK, ENGINE, pull::BOUND)),
        ]
    }

    fn others(&self) -> Vec<Asked> {
        let peak = |work: &str| {
            let of = |who: &str| self.row(work, who).map(|row| row.peak as f64).filter(|peak| *peak > 0.0);
            Some(of(RUNTIME)? / of("crun")?)
        };
        let failures = self.row("32 at once", RUNTIME).map(|row| row.failed as f64);
        let (alive, row) = (alive::SUBJECT, in_a_row::SUBJECT);
        let left_of =
            |row: &str, who: &str| self.fact(row, who, "left").map(|fact| f64::from(fact.shown != "nothing"));
        vec![
            ("peak memory of run", "crun's", 1.0, "x", peak("run")),
            ("peak memory of create", "crun's", 1.0, "x", peak("create")),
            ("32 starts at once", "failures", 0.0, "", failures),
            (
                "containers alive: last start",
                "the first",
                1.3,
                "x",
                self.figure(alive, RUNTIME, "last of first"),
            ),
            ("containers alive: list", "", 50.0, "ms", self.figure(alive, RUNTIME, "list")),
            (
                "containers alive: last start of the engine",
                "the first",
                1.3,
                "x",
                self.figure(alive, ENGINE, "last of first"),
            ),
            ("containers alive: list of the engine", "", 50.0, "ms", self.figure(alive, ENGINE, "list")),
            (
                "containers alive: mounts outside, for each",
                "",
                0.0,
                "",
                self.figure(alive, ENGINE, "mounts outside"),
            ),
            (
                "a supervisor's memory (PSS), of many",
                "",
                300.0,
                "kB",
                self.figure(alive, ENGINE, "their memory (PSS)"),
            ),
            (
                "a supervisor's wake-ups while idle",
                "",
                0.0,
                "",
                self.figure(supervisors::SUBJECT, ENGINE, "wake-ups"),
            ),
            ("starts in a row", "hung", 0.0, "", self.figure(row, RUNTIME, "hung")),
            ("starts in a row", "leaks", 0.0, "", left_of(row, RUNTIME)),
            (
                "starts in a row: the last tenth",
                "the first tenth",
                1.05,
                "x",
                self.figure(row, RUNTIME, "last of first"),
            ),
            ("starts of the engine in a row", "hung", 0.0, "", self.figure(row, ENGINE, "hung")),
            ("starts of the engine in a row", "leaks", 0.0, "", left_of(row, ENGINE)),
            (
                "starts of the engine in a row: the last tenth",
                "the first tenth",
                1.05,
                "x",
                self.figure(row, ENGINE, "last of first"),
            ),
        ]
    }

    /// What is no figure.
    fn words(&self) -> Vec<Demand> {
        let tiny = self.row(TINY, RUNTIME);
        let measured = match tiny {
            None => "not measured".to_owned(),
            Some(row) if row.failed == 0 => "it starts".to_owned(),
            Some(row) => {
                format!("{} of {} failed: {}", row.failed, row.runs, row.why.as_deref().unwrap_or("hung"))
            }
        };
        vec![Demand {
            work: "a static container under a memory limit of 512 KiB".to_owned(),
            at_most: "it starts".to_owned(),
            measured,
            met: tiny.map(|row| row.failed == 0),
        }]
    }
}

/// The work under a limit of memory.
pub const TINY: &str = "run, hybrid v1 host, memory limit of 512 KiB";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(who: &str, work: &str, median: f64) -> Row {
        Row { work: work.to_owned(), who: who.to_owned(), median: Some(median), ..Row::default() }
    }

    #[test]
    fn compares_medians_of_one_run() {
        let rows = [row("floor", "run", 4.0), row(RUNTIME, "run", 8.0), row("crun", "run", 25.0)];
        let all = all(&rows, &[]);
        let of = |at_most: &str| all.iter().find(|demand| demand.at_most == at_most).expect("a demand");
        assert_eq!(
            (of("1.5 x the floor").measured.as_str(), of("1.5 x the floor").met),
            ("2.00 x", Some(false))
        );
        assert_eq!((of("0.4 x crun").measured.as_str(), of("0.4 x crun").met), ("0.32 x", Some(true)));
        assert_eq!(of("0.2 x runc").met, None);
    }
}
