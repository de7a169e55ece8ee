//! `stats`: what containers use, once or as a table that stays up to date.

use crate::human;
use crate::listing::{Listing, Row};
use crate::place::{Place, place, print};
use engine::{Listed, Result, Status, Usage};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Show what containers use
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container stats --no-stream\n  devoxx-container stats --format '{{.Name}} {{.MemUsage}}' web"
)]
pub struct Stats {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Once
    #[arg(long)]
    no_stream: bool,
    /// Show nothing shortened
    #[arg(long)]
    no_trunc: bool,
    /// Names or ids; every one that runs when there is none
    containers: Vec<String>,
}

const USUAL: &str =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

const HEADERS: [(&str, &str); 9] = [
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// Between two tables.
const PERIOD: Duration = Duration::from_secs(1);
/// Between the two readings that the first table needs: long enough for a share in percent.
const FIRST: Duration = Duration::from_millis(200);

/// `stats`.
pub fn stats(arguments: &Stats) -> Result<i32> {
    let listing = Listing::new(arguments.format.as_deref(), USUAL, &HEADERS)?;
    let place = place()?;
    // There is nothing to be tidied up.
    place.interrupted.store(true, Ordering::Relaxed);
    // A name that is none is one at once.
    let mut before = read(&place, &chosen(&place, arguments)?)?;
    let terminal = std::io::stdout().is_terminal();
    let mut pause = FIRST;
    loop {
        std::thread::sleep(pause);
        let listed = chosen(&place, arguments)?;
        let now = read(&place, &listed)?;
        let rows: Vec<Row> = listed
            .iter()
            .map(|one| row(one, before.get(&one.record.id), now.get(&one.record.id), arguments.no_trunc))
            .collect();
        if arguments.no_stream {
            listing.print(&rows)?;
            return Ok(0);
        }
        let text = listing.text(&rows)?;
        if terminal {
            // From the top, each line to its end, and nothing below: without the flicker of a screen that is empty first.
            let table: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
            let mut out = std::io::stdout();
            let shown = write!(out, "\x1b[H{table}\x1b[J").and_then(|()| out.flush());
            shown.map_err(sys::called(|| "write(stdout)".to_owned()))?;
        } else if !text.is_empty() {
            print(&text)?;
        }
        // Those that were asked for by name are gone.
        if !arguments.containers.is_empty() && listed.iter().all(|one| one.status == Status::Exited) {
            return Ok(0);
        }
        (before, pause) = (now, PERIOD);
    }
}

fn chosen(place: &Place, arguments: &Stats) -> Result<Vec<Listed>> {
    if arguments.containers.is_empty() {
        let mut all = engine::list(&place.paths)?;
        all.retain(|one| arguments.all || is_up(one));
        return Ok(all);
    }
    arguments.containers.iter().map(|name| engine::get(&place.paths, name)).collect()
}

fn is_up(one: &Listed) -> bool {
    matches!(one.status, Status::Running | Status::Paused)
}

fn read(place: &Place, listed: &[Listed]) -> Result<BTreeMap<String, Usage>> {
    let mut all = BTreeMap::new();
    for one in listed.iter().filter(|one| is_up(one)) {
        let usage = engine::usage(&place.paths, &one.record.id)
            .map_err(|error| error.within(format!("statistics of {}", one.record.name)))?;
        all.extend(usage.map(|usage| (one.record.id.clone(), usage)));
    }
    Ok(all)
}

fn row(one: &Listed, before: Option<&Usage>, now: Option<&Usage>, whole: bool) -> Row {
    let id = if whole { one.record.id.as_str() } else { engine::names::short(&one.record.id) };
    let row = Row::default().with("Container", id).with("ID", id).with("Name", one.record.name.as_str());
    let Some(now) = now else {
        let unknown = ["CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
        return unknown.into_iter().fold(row, |row, name| row.with(name, "--"));
    };
    let percent =
        |part: f64, of: f64| if of > 0.0 { format!("{:.2}%", part / of * 100.0) } else { "--".to_owned() };
    // One processor in full is 100 %.
    let cpu = before.map_or_else(
        || "--".to_owned(),
        |before| {
            let used = now.cpu.saturating_sub(before.cpu) as f64;
            percent(used, now.at.duration_since(before.at).as_nanos() as f64)
        },
    );
    let pair = |(one, other): (u64, u64)| format!("{} / {}", human::size(one), human::size(other));
    row.with("CPUPerc", cpu)
        .with("MemUsage", format!("{} / {}", human::binary_size(now.memory), human::binary_size(now.limit)))
        .with("MemPerc", percent(now.memory as f64, now.limit as f64))
        .with("NetIO", pair(now.network))
        .with("BlockIO", pair(now.block))
        .with("PIDs", now.tasks.to_string())
}
