//! `--explain` and `--trace`: each step of a start as it happens, with its kernel calls, and a picture of all of them.

use crate::error::Result;
use runtime::steps::{ROLES, tell};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use sys::{Context, Errno, called};

/// The file of a trace while steps are told to it.
#[derive(Debug)]
pub struct Trace(Option<PathBuf>);

/// Tells the steps of what this process starts from now on: to standard error with `explain`, to a file with `trace`.
pub fn explain(explain: bool, trace: Option<&Path>) -> Result<Trace> {
    if !explain && trace.is_none() {
        return Ok(Trace(None));
    }
    let text = match explain {
        true => Some(
            rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)
                .map_err(called::<Errno>(|| "dup(2)".to_owned()))?,
        ),
        false => None,
    };
    let file = trace.map(open).transpose()?;
    tell(text, file);
    Ok(Trace(trace.map(Path::to_owned)))
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::APPEND | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))
        .map_err(called::<Errno>(|| format!("open({path:?})")))
        .within(|| format!("--trace {}", path.display()))?;
    Ok(file)
}

/// One step of a trace.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    name: String,
    calls: String,
    role: usize,
    began: f64,
    took: f64,
}

fn events(text: &str) -> Vec<Event> {
    let mut events: Vec<Event> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.trim_end_matches(',')).ok())
        .filter_map(|one| {
            Some(Event {
                name: one["name"].as_str()?.to_owned(),
                calls: one["args"]["calls"].as_str()?.to_owned(),
                role: usize::try_from(one["tid"].as_u64()?).ok()?.min(ROLES.len() - 1),
                began: one["ts"].as_f64()?,
                took: one["dur"].as_f64()?,
            })
        })
        .collect();
    events.sort_by(|a, b| a.began.total_cmp(&b.began));
    events
}

impl Trace {
    /// Makes the file whole, and the picture beside it; the steps are over.
    pub fn finish(&self) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let text = std::fs::read_to_string(path).map_err(called(|| format!("read {path:?}")))?;
        let names = ROLES.iter().enumerate().map(|(role, name)| {
            serde_json::json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": role, "args": {"name": name}})
        });
        let lines: Vec<String> = names
            .map(|name| name.to_string())
            .chain(text.lines().map(|line| line.trim_end_matches(',').to_owned()))
            .collect();
        std::fs::write(path, format!("[\n{}\n]\n", lines.join(",\n")))
            .map_err(called(|| format!("write {path:?}")))?;
        let mut picture = path.as_os_str().to_owned();
        picture.push(".svg");
        std::fs::write(&picture, svg(&events(&text))).map_err(called(|| format!("write {picture:?}")))?;
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A bar for each step, one below the other, by time.
fn svg(events: &[Event]) -> String {
    const WIDTH: f64 = 1200.0;
    const ROW: usize = 22;
    const COLORS: [&str; 3] = ["#4c78a8", "#72b7b2", "#f58518"];
    let first = events.first().map_or(0.0, |event| event.began);
    let last = events.iter().map(|event| event.began + event.took).fold(first, f64::max);
    let scale = (WIDTH - 640.0) / (last - first).max(1.0);
    let height = events.len() * ROW + 60;
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">A start in {:.2} ms</text>",
        (last - first) / 1000.0
    );
    for (role, name) in ROLES.iter().enumerate() {
        let x = 200 + role * 120;
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"10\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"20\">{name}</text>",
            COLORS[role],
            x + 18
        );
    }
    for (index, event) in events.iter().enumerate() {
        let y = 40 + index * ROW;
        let _ = writeln!(
            text,
            "<g><title>{}: {}, {:.3} ms</title><text x=\"10\" y=\"{}\">{}</text><text x=\"430\" y=\"{}\" text-anchor=\"end\">{:.3} ms</text>\
             <rect x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"16\" fill=\"{}\"/></g>",
            escaped(&event.name),
            escaped(&event.calls),
            event.took / 1000.0,
            y + 13,
            escaped(&event.name),
            y + 13,
            event.took / 1000.0,
            450.0 + (event.began - first) * scale,
            (event.took * scale).max(1.0),
            COLORS[event.role],
        );
    }
    text += "</svg>\n";
    text
}
