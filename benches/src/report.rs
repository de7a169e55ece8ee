//! What was measured, as it is kept: report.json, from which the page and the picture are made, also later.

use crate::demand::{self, Demand};
use crate::entry::Entry;
use crate::fact::{Fact, median};
use crate::sample::{Failure, Sample};
use serde::{Deserialize, Serialize};

/// All of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Kernel and processors.
    pub machine: String,
    /// Contestants with their versions.
    pub versions: Vec<String>,
    /// How often each did each work.
    pub rounds: usize,
    /// Works in the order in which they came, each with its contestants.
    pub rows: Vec<Row>,
    /// What is not the time of a work.
    pub facts: Vec<Fact>,
    /// What is asked for, and what came of it.
    pub demands: Vec<Demand>,
    /// See [`Said`].
    pub notes: Vec<String>,
    /// See [`Said`].
    pub absent: Vec<String>,
}

/// What a reader has to know of how it was measured.
#[derive(Debug, Default)]
pub struct Said {
    /// What is not as it is without being asked.
    pub notes: Vec<String>,
    /// Who and what was not measured, and why.
    pub absent: Vec<String>,
}

/// The figures of a contestant at a work. Times are in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is done.
    pub work: String,
    /// By whom.
    pub who: String,
    /// How often it was done.
    pub runs: usize,
    /// Of those that did not fail.
    pub median: Option<f64>,
    /// The same.
    pub ninetieth: Option<f64>,
    /// Median of the processors' time.
    pub cpu: Option<f64>,
    /// The most memory that one process had in any run, in bytes.
    pub peak: u64,
    /// How many failed, the hung ones among them.
    pub failed: usize,
    /// How many were killed after half a minute.
    pub hung: usize,
    /// Why one of them failed.
    pub why: Option<String>,
}

impl Row {
    /// Of an entry and what came of it.
    pub fn of(entry: &Entry) -> Self {
        let good: Vec<&Sample> = entry.samples.iter().flatten().collect();
        let mut walls: Vec<f64> = good.iter().map(|sample| sample.milliseconds()).collect();
        walls.sort_by(f64::total_cmp);
        let cpus = good.iter().map(|sample| sample.cpu.as_secs_f64() * 1000.0).collect();
        let why = entry.samples.iter().find_map(|sample| match sample {
            Err(Failure::Failed(why)) => Some(why.clone()),
            _ => None,
        });
        Self {
            work: entry.work.clone(),
            who: entry.who.clone(),
            runs: entry.samples.len(),
            median: median(walls.clone()),
            ninetieth: walls.get(walls.len().saturating_sub(1) * 9 / 10).copied(),
            cpu: median(cpus),
            peak: good.iter().map(|sample| sample.peak).max().unwrap_or(0),
            failed: entry.samples.len() - good.len(),
            hung: entry.samples.iter().filter(|sample| matches!(sample, Err(Failure::Hung))).count(),
            why: entry.out.clone().or(why).map(|why| why.replace(['|', '\n'], " ")),
        }
    }
}

impl Report {
    /// Of all that was done.
    pub fn of(entries: &[Entry], facts: Vec<Fact>, rounds: usize, versions: Vec<String>, said: Said) -> Self {
        let rows: Vec<Row> = entries.iter().map(Row::of).collect();
        // Together what is one work, in the order in which it came first.
        let mut together: Vec<Row> = Vec::new();
        for row in &rows {
            if together.iter().all(|other| other.work != row.work) {
                together.extend(rows.iter().filter(|other| other.work == row.work).cloned());
            }
        }
        let demands = demand::all(&together, &facts);
        let system = rustix::system::uname();
        let machine = format!("Linux {}, {} processors", system.release().to_string_lossy(), processors());
        Self {
            machine,
            versions,
            rounds,
            rows: together,
            facts,
            demands,
            notes: said.notes,
            absent: said.absent,
        }
    }

    /// The figures of one at a work.
    pub fn row(&self, work: &str, who: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.work == work && row.who == who)
    }
}

/// How many this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
