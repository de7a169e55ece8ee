//! What libFuzzer's logs say of the runs, as a page.

use crate::ALL;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// The runs of one target, together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Runs {
    seconds: u64,
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
        let after = |line: &str, words: &str| -> Option<u64> {
            let rest = line.split_once(words)?.1.trim_start();
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        for line in log.lines() {
            // "Done 123 runs in 45 second(s)"
            if line.starts_with("Done ") {
                self.executions += after(line, "Done ").unwrap_or_default();
                self.seconds += after(line, " runs in ").unwrap_or_default();
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
    }
}

const HEAD: &str = "# What was fuzzed

Made from libFuzzer's logs by `make fuzz`; what the targets are, is in `src/`. With AddressSanitizer, checks of overflow, and the limits
of `run.sh` for one input: its time, the memory of one allocation and of all.

| target | minutes | executions | edges reached | slowest input, s | memory with the sanitizer, MiB | failures |
| --- | --- | --- | --- | --- | --- | --- |
";

/// Makes the page of the logs in a directory: `TARGET-*.log`.
///
/// # Errors
/// Where files cannot be read or written.
pub fn publish(logs: &Path, page: &Path) -> io::Result<()> {
    let mut text = HEAD.to_owned();
    for target in ALL {
        let mut runs = Runs::default();
        let mut names: Vec<_> = fs::read_dir(logs)?.flatten().map(|entry| entry.path()).collect();
        names.sort();
        let own = |path: &&std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix(target.name).is_some_and(|rest| rest.starts_with('-'))
        };
        for path in names.iter().filter(own) {
            runs.add(&String::from_utf8_lossy(&fs::read(path)?));
        }
        let Runs { seconds, executions, slowest, memory, edges, failures } = runs;
        let minutes = seconds / 60;
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {} | {minutes} | {executions} | {edges} | {slowest} | {memory} | {failures} |",
            target.name
        );
    }
    fs::write(page, text)
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
        let expected =
            Runs { seconds: 122, executions: 200, slowest: 2, memory: 77, edges: 345, failures: 1 };
        assert_eq!(runs, expected);
    }
}
