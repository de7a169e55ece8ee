//! What libFuzzer's logs say of the runs, as a page that grows: a line for each target, with all of its runs.

use crate::ALL;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// The runs of one target, together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Runs {
    minutes: u64,
    executions: u64,
    /// Seconds of the slowest input.
    slowest: u64,
    /// MiB.
    memory: u64,
    /// Edges of the program that were reached, in the last run.
    edges: u64,
    failures: u64,
}

impl Runs {
    /// Adds what a log says.
    fn add(&mut self, log: &str) {
        let mut seconds = 0;
        let after = |line: &str, words: &str| -> Option<u64> {
            let rest = line.split_once(words)?.1.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        for line in log.lines() {
            // "Done 123 runs in 45 second(s)"
            if line.starts_with("Done ") {
                self.executions += after(line, "Done ").unwrap_or_default();
                seconds += after(line, " runs in ").unwrap_or_default();
            }
            if line.starts_with("SUMMARY: ") {
                self.failures += 1;
            }
            self.slowest = self.slowest.max(after(line, "stat::slowest_unit_time_sec:").unwrap_or_default());
            self.memory = self.memory.max(after(line, "stat::peak_rss_mb:").unwrap_or_default());
            if line.starts_with('#') {
                self.edges = after(line, " cov: ").unwrap_or(self.edges);
            }
        }
        self.minutes += (seconds + 30) / 60;
    }

    /// Its figures, as they stand in the page.
    fn of_cells(cells: &[&str]) -> Option<Self> {
        let figures: Option<Vec<u64>> = cells.iter().map(|cell| cell.parse().ok()).collect();
        let [minutes, executions, edges, slowest, memory, failures] = figures?.try_into().ok()?;
        Some(Self { minutes, executions, slowest, memory, edges, failures })
    }

    fn cells(&self) -> String {
        let Self { minutes, executions, slowest, memory, edges, failures } = self;
        format!("{minutes} | {executions} | {edges} | {slowest} | {memory} | {failures}")
    }
}

const HEAD: &str = "# What was fuzzed

Made from libFuzzer's logs by `make fuzz`; what the targets are, is in `src/`. With AddressSanitizer, checks of overflow, and the limits
of `run.sh` for one input: its time, the memory of one allocation and of all.

| target | minutes | executions | edges reached | slowest input, s | memory with the sanitizer, MiB | failures |
| --- | --- | --- | --- | --- | --- | --- |
";

/// Adds a run of a target to the page, by its log.
///
/// # Errors
/// Where files cannot be read or written.
pub fn add(target: &str, log: &Path, page: &Path) -> io::Result<()> {
    let text = match fs::read_to_string(page) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let mut all = read(&text);
    all.entry(target.to_owned()).or_default().add(&String::from_utf8_lossy(&fs::read(log)?));
    fs::write(page, shown(&all))
}

fn read(page: &str) -> BTreeMap<String, Runs> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let runs = lines.filter_map(|line| {
        let (name, cells) = line.split_once(" | ")?;
        Some((name.to_owned(), Runs::of_cells(&cells.split(" | ").collect::<Vec<_>>())?))
    });
    runs.collect()
}

fn shown(all: &BTreeMap<String, Runs>) -> String {
    let mut text = HEAD.to_owned();
    for target in ALL {
        if let Some(runs) = all.get(target.name) {
            // Writing to a String does not fail.
            let _ = writeln!(text, "| {} | {} |", target.name, runs.cells());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_read() {
        let mut runs = Runs::default();
        let log = "#2\tINITED cov: 12 ft: 13 corp: 1/1b\n#99\tNEW    cov: 345 ft: 400 corp: 9/1Kb\n#100\tDONE   cov: 345 ft: 400\n\
            Done 100 runs in 61 second(s)\nstat::number_of_executed_units: 100\nstat::slowest_unit_time_sec: 2\nstat::peak_rss_mb: 77\n";
        runs.add(log);
        runs.add(log);
        runs.add("SUMMARY: libFuzzer: deadly signal\n");
        let expected = Runs { minutes: 2, executions: 200, slowest: 2, memory: 77, edges: 345, failures: 1 };
        assert_eq!(runs, expected);
        let all = BTreeMap::from([(ALL[0].name.to_owned(), runs)]);
        assert_eq!(read(&shown(&all)), all);
        assert!(read("").is_empty());
    }
}
