//! What a run has shown, for people and for programs.

use crate::kills::Swept;
use crate::replay::Told;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// All parts.
#[derive(Default)]
pub struct Report {
    /// Published escapes.
    pub replays: Vec<Told>,
    /// Facts that are read again before the execve, each with the step that sets it left out.
    pub attested: Vec<Told>,
    /// Commands that were killed.
    pub kills: Vec<Swept>,
    /// What is to be said of that.
    pub of_kills: Vec<String>,
    /// All further parts.
    pub sections: Vec<Section>,
}

/// A part that is a table.
pub struct Section {
    /// Its part's name, on the command line and for programs.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What its columns are.
    pub columns: &'static [&'static str],
    /// Its rows, each with as many cells.
    pub rows: Vec<Vec<String>>,
    /// What is said below it: the figures in a line, and what went wrong, if anything did.
    pub notes: Vec<String>,
    /// Whether all is as it must be.
    pub fine: bool,
}

impl Section {
    fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("## {}\n\n", self.title);
        text += &line(self.columns.to_vec());
        text += &line(self.columns.iter().map(|_| "---").collect());
        let plain = |cell: &String| cell.replace('|', "/").replace('\n', "; ");
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(plain).collect();
            text += &line(cells.iter().map(String::as_str).collect());
        }
        self.notes.iter().fold(text, |text, note| text + "\n" + note + "\n") + "\n"
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "columns": self.columns, "rows": self.rows, "notes": self.notes, "fine": self.fine})
    }
}

impl Report {
    /// Writes `report.md` and `report.json`, and prints what matters; whether all is as it must be.
    #[expect(clippy::print_stdout, reason = "a program, for who runs it")]
    pub fn publish(&self, out: &Path) -> bool {
        let text = self.markdown();
        let json = json!({
            "replays": self.replays.iter().map(row).collect::<Vec<_>>(),
            "attested": self.attested.iter().map(row).collect::<Vec<_>>(),
            "kills": self.kills.iter().map(Swept::json).collect::<Vec<_>>(),
            "sections": self.sections.iter().map(Section::json).collect::<Vec<_>>(),
        });
        let written = std::fs::create_dir_all(out)
            .and_then(|()| std::fs::write(out.join("report.md"), &text))
            .and_then(|()| std::fs::write(out.join("report.json"), format!("{json:#}")));
        print!("{text}");
        let ours = self.kills.iter().filter(|one| one.is_ours).all(Swept::is_fine);
        let sections = self.sections.iter().all(|section| section.fine);
        written.is_ok() && ours && sections && self.replays.iter().chain(&self.attested).all(Told::is_fine)
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail; the same below.
        if !self.replays.is_empty() {
            let _ = writeln!(text, "## Published escapes\n\n{}\n", figures(&self.replays));
            table(&mut text, &self.replays);
        }
        if !self.attested.is_empty() {
            let _ = writeln!(
                text,
                "## What is read again before a command may run\n\n{}\n",
                figures(&self.attested)
            );
            table(&mut text, &self.attested);
        }
        if !self.kills.is_empty() {
            let _ = writeln!(text, "## Kills at the stops of system calls\n");
            text += "| program | command | stops | kills | hung | left something | id not usable |\n";
            text += "| --- | --- | --- | --- | --- | --- | --- |\n";
            for one in &self.kills {
                let tally = &one.tally;
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    one.program,
                    one.command,
                    tally.stops,
                    tally.kills,
                    tally.hung.len(),
                    tally.left.len(),
                    tally.unusable.len()
                );
            }
            for note in &self.of_kills {
                let _ = writeln!(text, "\n{note}");
            }
            for one in &self.kills {
                for (what, stop) in one.tally.left.iter().take(3) {
                    let _ = writeln!(
                        text,
                        "\n{} {}, {stop}: {}",
                        one.program,
                        one.command,
                        what.replace('\n', "; ")
                    );
                }
                for stop in one.tally.hung.iter().take(3) {
                    let _ = writeln!(text, "\n{} {}, {stop}: it hangs", one.program, one.command);
                }
                for stop in one.tally.unusable.iter().take(3) {
                    let _ = writeln!(
                        text,
                        "\n{} {}, {stop}: its id cannot be used again",
                        one.program, one.command
                    );
                }
            }
            text += "\n";
        }
        self.sections.iter().fold(text, |text, section| text + &section.markdown())
    }
}

/// What was written by hand of it.
const TEXT: &str = include_str!("../text/security.md");

/// Writes docs/security.md, from the report of a directory.
pub fn publish(from: &Path, docs: &Path) -> Result<(), String> {
    let file = from.join("report.md");
    let report = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let page = format!(
        "# Security, shown\n\nGenerated by `make torture` and `make torture-docs` from a run; the rest is in \
         `torture/text/security.md`.\n\n{report}\n{TEXT}"
    );
    let place = docs.join("security.md");
    std::fs::write(&place, page.trim_end().to_owned() + "\n")
        .map_err(|error| format!("{}: {error}", place.display()))
}

/// The three figures.
fn figures(told: &[Told]) -> String {
    let count = |fine: &dyn Fn(&Told) -> bool| told.iter().filter(|one| fine(one)).count();
    let mutants: Vec<&Told> = told.iter().filter(|one| one.mutant.is_some()).collect();
    let caught = mutants.iter().filter(|one| matches!(one.mutant, Some(Ok(_)))).count();
    let all = told.len();
    format!(
        "{all} replays, {} succeed; {caught} of {} mutants caught; {} of {all} controls pass.",
        count(&|one| one.attack.is_some()),
        mutants.len(),
        count(&|one| one.control.is_none() && one.mutant_control.is_none()),
    )
}

fn table(text: &mut String, told: &[Told]) {
    *text +=
        "| row | what is tried | attack | control | without the defence |\n| --- | --- | --- | --- | --- |\n";
    for one in told {
        let first = |words: &Option<String>| {
            words.as_ref().map(|words| words.lines().take(5).collect::<Vec<_>>().join(" ").replace('|', "/"))
        };
        let mutant = match (&one.mutant, &one.mutant_control) {
            (None, _) => "not built".to_owned(),
            (Some(Err(())), _) => "**not caught**".to_owned(),
            (Some(Ok(_)), Some(words)) => format!("caught; control fails: {words}"),
            (Some(Ok(_)), None) => "caught".to_owned(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {mutant} |",
            one.row,
            one.what,
            first(&one.attack).map_or_else(|| "fails".to_owned(), |words| format!("**succeeds**: {words}")),
            first(&one.control).map_or_else(|| "works".to_owned(), |words| format!("**fails**: {words}")),
        );
    }
    *text += "\n";
}

fn row(one: &Told) -> Value {
    json!({"row": one.row, "what": one.what, "attack": one.attack, "control": one.control,
        "mutant": one.mutant.as_ref().map(|mutant| mutant.clone().ok()), "mutant_control": one.mutant_control})
}
