//! What was measured: report.json, report.md and report.svg, and the table on standard output.

use crate::contest::Entry;
use crate::picture;
use crate::sample::{Failure, Sample};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The figures of one entry.
pub struct Row {
    /// What is done.
    pub work: &'static str,
    /// By whom.
    pub who: String,
    /// Median and 90th percentile.
    pub wall: Option<(Duration, Duration)>,
    /// Median.
    pub cpu: Duration,
    /// The most of all, in bytes.
    pub peak: u64,
    /// How many failed, and how many of them hung.
    pub failed: usize,
    /// See above.
    pub hung: usize,
    /// Why one of them failed.
    pub why: Option<String>,
}

impl Row {
    fn of(entry: &Entry) -> Self {
        let good: Vec<&Sample> = entry.samples.iter().flatten().collect();
        let mut walls: Vec<Duration> = good.iter().map(|sample| sample.wall).collect();
        let mut cpus: Vec<Duration> = good.iter().map(|sample| sample.cpu).collect();
        walls.sort_unstable();
        cpus.sort_unstable();
        let at =
            |list: &[Duration], part: usize| list.get(list.len().saturating_sub(1) * part / 100).copied();
        Self {
            work: entry.work,
            who: entry.who.clone(),
            wall: at(&walls, 50).zip(at(&walls, 90)),
            cpu: at(&cpus, 50).unwrap_or_default(),
            peak: good.iter().map(|sample| sample.peak).max().unwrap_or(0),
            failed: entry.samples.len() - good.len(),
            hung: entry.samples.iter().filter(|sample| matches!(sample, Err(Failure::Hung))).count(),
            why: entry.samples.iter().find_map(|sample| match sample {
                Err(Failure::Failed(why)) => Some(why.replace(['|', '\n'], " ")),
                _ => None,
            }),
        }
    }

    /// Milliseconds of its median.
    pub fn milliseconds(&self) -> Option<f64> {
        self.wall.map(|(median, _)| median.as_secs_f64() * 1000.0)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The median of another one at the same work.
fn of_other(rows: &[Row], row: &Row, who: &str) -> Option<f64> {
    rows.iter().find(|other| other.work == row.work && other.who == who).and_then(Row::milliseconds)
}

/// Writes all of them.
#[expect(clippy::print_stdout, reason = "a program")]
pub fn write(entries: &[Entry], rounds: usize, out: &Path) -> Result<(), String> {
    let rows: Vec<Row> = entries.iter().map(Row::of).collect();
    let text = markdown(&rows, rounds);
    print!("{text}");
    let keep = |name: &str, text: &str| {
        let place = out.join(name);
        std::fs::write(&place, text).map_err(|error| format!("{}: {error}", place.display()))
    };
    keep("report.md", &text)?;
    keep("report.json", &format!("{:#}\n", as_json(&rows, rounds)))?;
    keep("report.svg", &picture::of(&rows))
}

fn machine() -> String {
    let system = rustix::system::uname();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("Linux {}, {processors} processors", system.release().to_string_lossy())
}

fn markdown(rows: &[Row], rounds: usize) -> String {
    let mut text = format!("{rounds} rounds on {}; times in milliseconds.\n", machine());
    let mut work = "";
    for row in rows.iter().enumerate().flat_map(|(first, row)| {
        // Together what is one work, in the order in which it came first.
        let is_first = rows[..first].iter().all(|other| other.work != row.work);
        let same: Vec<&Row> = rows.iter().filter(|other| is_first && other.work == row.work).collect();
        same
    }) {
        if row.work != work {
            work = row.work;
            text += &format!(
                "\n## {work}\n\n| who | median | 90% | CPU | peak memory | of the floor | ours of theirs | failed |\n"
            );
            text += "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        }
        let Some((median, ninety)) = row.wall else {
            let why = row.why.as_deref().unwrap_or("it hung");
            text += &format!("| {} | {why} | | | | | | {} |\n", row.who, row.failed);
            continue;
        };
        let ratio = |other: Option<f64>, up: bool| {
            let own = milliseconds(median);
            other
                .map(|other| format!("{:.2}", if up { own / other } else { other / own }))
                .unwrap_or_default()
        };
        let ours = of_other(rows, row, "devoxx-runtime").or_else(|| of_other(rows, row, "devoxx-container"));
        text += &format!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.1} MB | {} | {} | {}{} |\n",
            row.who,
            milliseconds(median),
            milliseconds(ninety),
            milliseconds(row.cpu),
            row.peak as f64 / 1e6,
            ratio(of_other(rows, row, "floor"), true),
            if row.who.starts_with("devoxx") { String::new() } else { ratio(ours, false) },
            row.failed,
            match (&row.why, row.hung) {
                (Some(why), _) => format!(": {why}"),
                (None, 0) => String::new(),
                (None, hung) => format!(" ({hung} hung)"),
            },
        );
    }
    text
}

fn as_json(rows: &[Row], rounds: usize) -> Value {
    let row = |row: &Row| {
        json!({
            "work": row.work, "who": row.who, "failed": row.failed, "hung": row.hung, "why": row.why,
            "medianMilliseconds": row.milliseconds(),
            "ninetiethMilliseconds": row.wall.map(|(_, ninety)| milliseconds(ninety)),
            "cpuMilliseconds": milliseconds(row.cpu), "peakBytes": row.peak,
        })
    };
    json!({"machine": machine(), "rounds": rounds, "rows": rows.iter().map(row).collect::<Value>()})
}
