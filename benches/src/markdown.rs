//! A report as text: what is asked for first, then every work and every other figure, then what a reader has to know.

use crate::fact::Fact;
use crate::report::{Report, Row};

/// All of it.
pub fn of(report: &Report) -> String {
    let mut text = format!(
        "{} rounds on {}; times in milliseconds, medians of what did not fail.\n\nWho took part: {}.\n",
        report.rounds,
        report.machine,
        report.versions.join("; ")
    );
    text += "\n## What is asked for\n\n| work | at most | measured | met |\n| --- | --- | ---: | --- |\n";
    for demand in &report.demands {
        let met = match demand.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        text += &format!("| {} | {} | {} | {met} |\n", demand.work, demand.at_most, demand.measured);
    }
    text += &works(report);
    text += &facts(&report.facts);
    text += &list("How it was measured", &report.notes);
    text += &list("Absent", &report.absent);
    text
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("- {line}\n")).collect();
    format!("\n## {title}\n\n{lines}")
}

fn works(report: &Report) -> String {
    let (mut text, mut work) = (String::new(), "");
    for row in &report.rows {
        if row.work != work {
            work = &row.work;
            text += &format!(
                "\n## {work}\n\n| who | median | 90% | CPU | peak memory | of the floor | ours of theirs | failed |\n\
                 | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            );
        }
        text += &line(report, row);
    }
    text
}

fn line(report: &Report, row: &Row) -> String {
    let Some(median) = row.median else {
        let why = row.why.as_deref().unwrap_or("it hung");
        return format!("| {} | {why} | | | | | | {} of {} |\n", row.who, row.failed, row.runs);
    };
    let of = |who: &str| report.row(&row.work, who).and_then(|row| row.median);
    let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    let is_ours = row.who.starts_with("devoxx");
    let ours = of("devoxx-runtime").or_else(|| of("devoxx-container")).filter(|_| !is_ours);
    let failed = match (&row.why, row.failed, row.hung) {
        (_, 0, _) => "0".to_owned(),
        (Some(why), failed, _) => format!("{failed} of {}: {why}", row.runs),
        (None, failed, hung) => format!("{failed} of {} ({hung} hung)", row.runs),
    };
    format!(
        "| {} | {median:.2} | {:.2} | {:.2} | {} | {} | {} | {failed} |\n",
        row.who,
        row.ninetieth.unwrap_or_default(),
        row.cpu.unwrap_or_default(),
        if row.peak == 0 { String::new() } else { format!("{:.1} MB", row.peak as f64 / 1e6) },
        ratio(of("floor").map(|floor| median / floor)),
        ratio(ours.map(|ours| ours / median)),
    )
}

/// A table for each subject: a line for each contestant.
fn facts(facts: &[Fact]) -> String {
    let mut text = String::new();
    for subject in firsts(facts.iter().map(|fact| fact.subject.as_str())) {
        let of: Vec<&Fact> = facts.iter().filter(|fact| fact.subject == subject).collect();
        let columns = firsts(of.iter().map(|fact| fact.what.as_str()));
        text += &format!(
            "\n## {subject}\n\n| who | {} |\n| --- |{}\n",
            columns.join(" | "),
            " ---: |".repeat(columns.len())
        );
        for who in firsts(of.iter().map(|fact| fact.who.as_str())) {
            let cell = |column: &&str| {
                let fact = of.iter().find(|fact| fact.who == who && fact.what == *column);
                fact.map_or("", |fact| fact.shown.as_str())
            };
            let cells: Vec<&str> = columns.iter().map(cell).collect();
            text += &format!("| {who} | {} |\n", cells.join(" | "));
        }
    }
    text
}

/// Each once, in the order in which they came first.
fn firsts<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Facts;

    #[test]
    fn facts_of_a_subject_are_one_table() {
        let mut found = Facts::default();
        found.number(("alive", "ours"), "list", 3.25, "ms");
        found.word(("alive", "crun"), "left", "nothing");
        assert_eq!(
            facts(&found.all),
            "\n## alive\n\n| who | list | left |\n| --- | ---: | ---: |\n| ours | 3.2 ms |  |\n| crun |  | nothing |\n"
        );
    }
}
