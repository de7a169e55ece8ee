//! How a pull, a push or a load is shown: a bar for each layer in a terminal, a line for each elsewhere, or nothing.

use crate::complain;
use engine::Event;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::Mutex;

/// What listens to a pull. Everything goes to standard error.
pub enum Progress {
    /// `--quiet`.
    Silent,
    /// A line when a layer is there.
    Lines,
    /// Bars, by layer, and what is said of one that is done.
    Bars(MultiProgress, Mutex<HashMap<String, ProgressBar>>, &'static str),
}

/// The first digits of a digest, as docker shows a layer.
fn short(digest: &str) -> &str {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.get(..12).unwrap_or(hex)
}

impl Progress {
    /// Bars where there is a terminal to draw them on.
    pub fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Silent;
        }
        let target = ProgressDrawTarget::stderr();
        // Also a terminal that cannot move its cursor.
        if target.is_hidden() || !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        Self::Bars(MultiProgress::with_draw_target(target), Mutex::default(), "pulled")
    }

    /// Of a load: bars, or nothing.
    pub fn of_load(quiet: bool) -> Self {
        match Self::new(quiet) {
            Self::Bars(all, by_digest, _) => Self::Bars(all, by_digest, "loaded"),
            Self::Lines | Self::Silent => Self::Silent,
        }
    }

    /// Hears what happened; called from several threads.
    pub fn hear(&self, event: Event) {
        match self {
            Self::Silent => {}
            Self::Lines => match event {
                Event::Existing { digest } => complain(&format!("{}: already here", short(&digest))),
                Event::Done { digest } => complain(&format!("{}: pulled", short(&digest))),
                Event::Pushed { digest } => complain(&format!("{}: pushed", short(&digest))),
                _ => {}
            },
            Self::Bars(all, by_digest, done) => {
                let Ok(mut by_digest) = by_digest.lock() else { return };
                draw(all, &mut by_digest, done, event);
            }
        }
    }
}

fn draw(all: &MultiProgress, by_digest: &mut HashMap<String, ProgressBar>, done: &'static str, event: Event) {
    let template =
        |text: &str| ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar());
    match event {
        Event::Layer { digest, total } => {
            let bar = all.add(ProgressBar::new(total));
            bar.set_style(template("{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}"));
            bar.set_prefix(short(&digest).to_owned());
            by_digest.insert(digest, bar);
        }
        Event::Progress { digest, done: bytes } => {
            if let Some(bar) = by_digest.get(&digest) {
                bar.set_position(bytes);
            }
        }
        Event::Done { digest } => {
            if let Some(bar) = by_digest.get(&digest) {
                bar.set_style(template("{prefix} {msg}"));
                bar.finish_with_message(done);
            }
        }
        Event::Pushed { digest } => {
            if let Some(bar) = by_digest.get(&digest) {
                bar.set_style(template("{prefix} {msg}"));
                bar.finish_with_message("pushed");
            }
        }
        Event::Existing { digest } => {
            let bar = all.add(ProgressBar::new(0));
            bar.set_style(template("{prefix} {msg}"));
            bar.set_prefix(short(&digest).to_owned());
            bar.finish_with_message("already here");
        }
        _ => {}
    }
}
