//! What runs have shown, for people and for programs. Each part is written down when it is done, and stays until it runs again: the long forms
//! of all parts need not be one run.

use crate::arguments::Arguments;
use crate::kills::Swept;
use crate::parts;
use crate::replay::Told;
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A part that has run.
pub struct Part {
    name: &'static str,
    title: String,
    /// What came of it, in a line.
    figures: String,
    /// As markdown, heading included.
    text: String,
    json: Value,
    /// What is not as it must be.
    wrong: Vec<String>,
}

/// The parts of a run, where they are written down.
pub struct Report {
    directory: PathBuf,
    /// How this run was asked for.
    how: String,
    /// Without the rows and what is random.
    form: String,
    /// What is not as it must be, of all parts.
    wrong: Vec<String>,
}

/// How many lines of what is wrong stand below a table.
const SHOWN: usize = 20;

/// Where each part has its files.
const PARTS: &str = "parts";

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
    /// What came of it, in a line.
    pub figures: String,
    /// What else is said below it.
    pub notes: Vec<String>,
    /// What is not as it must be, said below that.
    pub wrong: Vec<String>,
}

impl Section {
    /// A table without rows.
    pub fn new(name: &'static str, title: &'static str, columns: &'static [&'static str]) -> Self {
        let (figures, rows) = (String::new(), Vec::new());
        Self { name, title, columns, rows, figures, notes: Vec::new(), wrong: Vec::new() }
    }

    /// Takes over the row that begins with this cell, and what was wrong with it, from what is [`kept`].
    pub fn take_over(&mut self, kept: Option<&Value>, what: &str) {
        let texts = |value: &Value| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|cell| cell.as_str().map(str::to_owned))
                .collect()
        };
        let Some(kept) = kept else { return };
        let mut rows = kept["rows"].as_array().into_iter().flatten().map(texts);
        self.rows.extend(rows.find(|row| row.len() == self.columns.len() && row[0] == what));
        let about = |line: &String| {
            line.strip_prefix(what).is_some_and(|rest| rest.starts_with(", ") || rest.starts_with(": "))
        };
        self.wrong.extend(texts(&kept["wrong"]).into_iter().filter(about));
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.figures);
        text += &line(self.columns.to_vec());
        text += &line(self.columns.iter().map(|_| "---").collect());
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| plain(&cell.replace('|', "/"))).collect();
            text += &line(cells.iter().map(String::as_str).collect());
        }
        let below = self.notes.iter().chain(self.wrong.iter().take(SHOWN));
        below.fold(text, |text, line| text + "\n" + line + "\n") + "\n"
    }

    /// As a part.
    pub fn part(self) -> Part {
        let json =
            json!({"columns": self.columns, "rows": self.rows, "notes": self.notes, "wrong": self.wrong});
        let text = self.markdown();
        Part {
            name: self.name,
            title: self.title.to_owned(),
            figures: self.figures,
            text,
            json,
            wrong: self.wrong,
        }
    }
}

impl Report {
    /// A report in the directory that is asked for.
    pub fn new(arguments: &Arguments) -> Self {
        let date = Command::new("date").args(["-u", "+%F"]).output().map(|output| output.stdout);
        let date = String::from_utf8_lossy(&date.unwrap_or_default()).trim().to_owned();
        Self {
            directory: arguments.out.clone(),
            how: format!("{date}, {}", arguments.told()),
            form: arguments.form(),
            wrong: Vec::new(),
        }
    }

    /// Writes a part down and prints it.
    #[expect(clippy::print_stdout, reason = "a program, for who runs it")]
    pub fn add(&mut self, part: &Part) {
        let text = format!("{}\n\nRun on {}.\n\n", part.text.trim_end(), self.how);
        print!("{text}");
        let json = json!({"title": part.title, "figures": part.figures, "run": self.how, "form": self.form, "fine": part.wrong.is_empty(), "found": part.json});
        let parts = self.directory.join(PARTS);
        let file = |kind: &str| parts.join(format!("{}.{kind}", part.name));
        let written = fs::create_dir_all(&parts)
            .and_then(|()| fs::write(file("md"), text))
            .and_then(|()| fs::write(file("json"), format!("{json:#}")));
        let wrong = part.wrong.iter().map(|line| format!("{}: {}", part.name, plain(line)));
        self.wrong.extend(wrong.chain(unwritten(&parts, written)));
    }

    /// Writes `report.md` and `report.json`, of all parts that are written down; what is not as it must be in this run.
    pub fn publish(mut self) -> Vec<String> {
        let parts = self.directory.join(PARTS);
        let read = |name: &str, kind: &str| fs::read_to_string(parts.join(format!("{name}.{kind}"))).ok();
        let text: String = parts::names().filter_map(|name| read(name, "md")).collect();
        let json: serde_json::Map<String, Value> = parts::names()
            .filter_map(|name| Some((name.to_owned(), serde_json::from_str(&read(name, "json")?).ok()?)))
            .collect();
        let written = fs::write(self.directory.join("report.md"), text)
            .and_then(|()| fs::write(self.directory.join("report.json"), format!("{:#}", Value::from(json))));
        self.wrong.extend(unwritten(&self.directory, written));
        self.wrong
    }
}

/// What a part has found in its last run here, where only some of its rows run now: the others stay as they are, so that the long form of a
/// part need not be one run either. It has to be of the same form.
pub fn kept(arguments: &Arguments, part: &str) -> Option<Value> {
    if !arguments.has_words() {
        return None;
    }
    let file = arguments.out.join(PARTS).join(format!("{part}.json"));
    let json: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let same = json["form"].as_str() == Some(&arguments.form());
    same.then(|| json["found"].clone())
}

fn unwritten(place: &Path, written: std::io::Result<()>) -> Option<String> {
    written.err().map(|error| format!("{}: {error}", place.display()))
}

/// In one line.
fn plain(text: &str) -> String {
    text.trim_end().replace('\n', "; ")
}

/// A table of replays as a part.
pub fn of_replays(name: &'static str, title: &str, told: &[Told]) -> Part {
    let figures = figures(told);
    let mut text = format!("## {title}\n\n{figures}\n\n");
    table(&mut text, told);
    Part {
        name,
        title: title.to_owned(),
        figures,
        text,
        json: told.iter().map(row).collect(),
        wrong: told.iter().filter_map(Told::wrong).collect(),
    }
}

/// Kills as a part, with what is to be said of them.
pub fn of_kills(name: &'static str, title: &str, swept: &[Swept], notes: &[String]) -> Part {
    let figures = figures_of_kills(swept);
    let mut text = format!("## {title}\n\n{figures}\n\n");
    text += "| program | command | stops | moments | kills | hung | left something | id not usable |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for one in swept {
        let tally = &one.tally;
        // Writing to a String does not fail; the same below.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            one.program,
            one.command,
            tally.stops,
            tally.moments,
            tally.kills,
            tally.hung.len(),
            tally.left.len(),
            tally.unusable.len()
        );
    }
    for note in notes {
        let _ = writeln!(text, "\n{note}");
    }
    let mut wrong = Vec::new();
    for one in swept {
        let mut say = |when: &str, what: &str| {
            let line = format!("{} {}, {when}: {}", one.program, one.command, plain(what));
            let _ = writeln!(text, "\n{line}");
            wrong.extend(one.is_ours.then_some(line));
        };
        let tally = &one.tally;
        tally.left.iter().take(3).for_each(|(what, when)| say(when, what));
        tally.hung.iter().take(3).for_each(|when| say(when, "it hangs"));
        tally.unusable.iter().take(3).for_each(|when| say(when, "its id cannot be used again"));
    }
    let title = title.to_owned();
    Part { name, title, figures, text, json: swept.iter().map(Swept::json).collect(), wrong }
}

/// Ours in a line, and the peers beside them.
fn figures_of_kills(swept: &[Swept]) -> String {
    let mut peers: Vec<&str> =
        swept.iter().filter(|one| !one.is_ours).map(|one| one.program.as_str()).collect();
    peers.dedup();
    let line = |who: &str, fits: &dyn Fn(&&Swept) -> bool| {
        let sum = |count: fn(&Swept) -> u64| swept.iter().filter(fits).map(count).sum::<u64>();
        format!(
            "{who}: {} kills of {} commands; {} left something, {} hung, {} ids could not be used again.",
            sum(|one| one.tally.kills),
            swept.iter().filter(fits).count(),
            sum(|one| one.tally.left.len() as u64),
            sum(|one| one.tally.hung.len() as u64),
            sum(|one| one.tally.unusable.len() as u64),
        )
    };
    let ours = line("Ours", &|one| one.is_ours);
    peers.iter().fold(ours, |all, peer| all + " " + &line(peer, &|one| one.program == **peer))
}

/// What was written by hand of it.
const TEXT: &str = include_str!("../text/security.md");

/// Writes docs/security.md, and the figures in the SECURITY.md beside it: of each part what the first of these directories has.
pub fn publish(from: &[PathBuf], docs: &Path) -> Result<(), String> {
    let read = |name: &str, kind: &str| {
        let mut files = from.iter().map(|directory| directory.join(PARTS).join(format!("{name}.{kind}")));
        files.find_map(|file| fs::read_to_string(file).ok())
    };
    let report: String = parts::names().filter_map(|name| read(name, "md")).collect();
    if report.is_empty() {
        return Err(format!("{from:?}: no part has run"));
    }
    let page = format!(
        "# Security, shown\n\nGenerated by `make torture` and `make torture-docs` from runs; the rest is in \
         `torture/text/security.md`.\n\n{report}\n{TEXT}"
    );
    write(&docs.join("security.md"), &page)?;
    let figures: String = parts::names()
        .filter_map(|name| serde_json::from_str::<Value>(&read(name, "json")?).ok())
        .map(|part| {
            let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
            format!("- {}: {} (Run on {}.)\n", text("title"), text("figures"), text("run"))
        })
        .collect();
    let place = docs.join("../SECURITY.md");
    let page = fs::read_to_string(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let (before, rest) =
        page.split_once(FIGURES).ok_or_else(|| format!("SECURITY.md has no line {FIGURES:?}"))?;
    let after = rest.split_once("\n## ").map(|(_, after)| format!("\n\n## {after}")).unwrap_or_default();
    write(&place, &format!("{before}{FIGURES}\n\n{}{after}", figures.trim_end()))
}

/// What the figures in SECURITY.md stand below.
const FIGURES: &str = "Made by `make torture-docs`:";

fn write(place: &Path, text: &str) -> Result<(), String> {
    let text = text.trim_end().to_owned() + "\n";
    fs::write(place, text).map_err(|error| format!("{}: {error}", place.display()))
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
