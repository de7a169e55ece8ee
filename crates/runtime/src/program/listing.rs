//! What is there: state, list, ps.

use super::arguments::Words;
use super::{Program, invalid, print};
use runtime::error::{Error, Kind, Result, of_cgroup};
use runtime::id_map::user_name;
use runtime::state::{self, Record, State};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use sys::called;

fn state_of(root: &Path, record: &Record) -> Result<State> {
    let status = record.status(root)?;
    Ok(record.state(status, record.init.map_or(0, |init| init.pid)))
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Error::new(Kind::Other, error.to_string()))
}

/// `state ID`.
pub fn state(program: &mut Program, words: &Words) -> Result<i32> {
    let record = state::read(&program.root, &words.arguments[0])?;
    print(&format!("{}\n", json(&state_of(&program.root, &record)?)?))
}

/// Every container, with the name of who made it; one that cannot be read is a warning.
fn all(program: &mut Program) -> Result<Vec<State>> {
    if program.root_given && !program.root.exists() {
        return Err(invalid(&format!("--root {}: no such file or directory", program.root.display())));
    }
    let mut states = Vec::new();
    for id in state::ids(&program.root)? {
        let one = state::read(&program.root, &id).and_then(|record| {
            let mut one = state_of(&program.root, &record)?;
            let name = user_name(record.owner);
            one.owner = if name.is_empty() { format!("#{}", record.owner) } else { name };
            Ok(one)
        });
        match one {
            Ok(one) => states.push(one),
            // Removed while it was looked at.
            Err(error) if error.kind == Kind::NoSuchContainer => {}
            Err(error) => program.log.omission(&error.to_string()),
        }
    }
    Ok(states)
}

/// `list`.
pub fn list(program: &mut Program, words: &Words) -> Result<i32> {
    let format = words.value("format").unwrap_or("table");
    if !matches!(format, "table" | "json") {
        return Err(invalid(&format!("invalid format option {format:?}")));
    }
    let states = all(program)?;
    if words.is_set("quiet") {
        return print(&states.iter().map(|one| format!("{}\n", one.id)).collect::<String>());
    }
    if format == "json" {
        let text =
            serde_json::to_string(&states).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
        return print(&format!("{text}\n"));
    }
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = states.iter().map(|one| {
        [
            one.id.clone(),
            one.pid.to_string(),
            one.status.to_string(),
            one.bundle.display().to_string(),
            one.created.clone(),
            one.owner.clone(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    print(&table(&rows))
}

/// Columns as runc has them: three spaces wider than their widest cell, and no narrower than twelve; the last one ends
/// where its text does.
fn table(rows: &[[String; 6]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count() + 3).fold(12, |widest: usize, one| widest.max(one))
    };
    let widths = [width(0), width(1), width(2), width(3), width(4), 0];
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            write!(text, "{cell:<width$}").unwrap_or_default();
        }
        text.push('\n');
    }
    text
}

/// `ps ID [PS-OPTION...]`.
pub fn ps(program: &mut Program, words: &Words) -> Result<i32> {
    let record = state::read(&program.root, &words.arguments[0])?;
    let pids: Vec<i32> = match &record.cgroup {
        Some(cgroup) => cgroup.processes().map_err(of_cgroup)?,
        None => match record.init {
            Some(init) if init.is_alive()? => vec![init.pid],
            _ => Vec::new(),
        },
    };
    match words.value("format").unwrap_or("table") {
        "table" => {}
        "json" => {
            let text =
                serde_json::to_string(&pids).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
            return print(&format!("{text}\n"));
        }
        other => return Err(invalid(&format!("invalid format option {other:?}"))),
    }
    let options = match &words.arguments[1..] {
        [] => &["-ef".to_owned()][..],
        given => given,
    };
    let output = Command::new("ps")
        .args(options)
        .output()
        .map_err(called(|| "execve(\"ps\")".to_owned()))
        .map_err(|error| Error::from(error).with_hint("apt install procps"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        return Err(invalid(&format!("ps {}: {said}", options.join(" "))));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    print(&lines_of(&text, &pids).ok_or_else(|| invalid("couldn't find PID field in ps output"))?)
}

/// The header of ps(1) and the lines of these processes.
fn lines_of(text: &str, pids: &[i32]) -> Option<String> {
    let head = text.lines().next()?;
    let column = head.split_whitespace().position(|word| word == "PID")?;
    let ours = |line: &&str| {
        line.split_whitespace()
            .nth(column)
            .and_then(|word| word.parse().ok())
            .is_some_and(|pid| pids.contains(&pid))
    };
    let lines = text.lines().skip(1).filter(ours);
    Some(std::iter::once(head).chain(lines).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let row = |words: [&str; 6]| words.map(str::to_owned);
        let rows = [
            row(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]),
            row(["a-longer-name", "0", "stopped", "/b", "2026", "root"]),
        ];
        assert_eq!(
            table(&rows),
            "ID              PID         STATUS      BUNDLE      CREATED     OWNER\n\
             a-longer-name   0           stopped     /b          2026        root\n"
        );
    }

    #[test]
    fn lines_of_processes() {
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(lines_of(text, &[7, 9]).as_deref(), expected);
        }
        check("UID PID CMD\nroot 7 a\nroot 8 b\nroot 9 c d\n", Some("UID PID CMD\nroot 7 a\nroot 9 c d\n"));
        check("UID CMD\nroot a\n", None);
        check("", None);
    }
}
