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
        });
        let written = std::fs::create_dir_all(out)
            .and_then(|()| std::fs::write(out.join("report.md"), &text))
            .and_then(|()| std::fs::write(out.join("report.json"), format!("{json:#}")));
        print!("{text}");
        let ours = self.kills.iter().filter(|one| one.is_ours).all(Swept::is_fine);
        written.is_ok() && ours && self.replays.iter().chain(&self.attested).all(Told::is_fine)
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
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} |",
                    one.program,
                    one.command,
                    one.stops,
                    one.kills,
                    one.hung.len(),
                    one.left.len(),
                    one.unusable.len()
                );
            }
            for one in &self.kills {
                for (what, stop) in one.left.iter().take(3) {
                    let _ = writeln!(
                        text,
                        "\n{} {}, {stop}: {}",
                        one.program,
                        one.command,
                        what.replace('\n', "; ")
                    );
                }
            }
        }
        text
    }
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
