//! How far something is whose bytes go by: how many, how fast, of how many. In a terminal only, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Read, Result, Write};

/// A line that tells bytes; none where nobody looks.
pub struct Meter(Option<ProgressBar>);

impl Meter {
    /// Says what is done, such as `copying`, of how many bytes if that is known. `quiet` where nobody wants to hear.
    pub fn new(what: &'static str, total: Option<u64>, quiet: bool) -> Self {
        let target = ProgressDrawTarget::stderr();
        // Also a terminal that cannot move its cursor.
        if quiet || target.is_hidden() || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (bar, text) = match total {
            Some(total) => {
                (ProgressBar::new(total), "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}")
            }
            None => (ProgressBar::no_length(), "{msg} {bytes} {bytes_per_sec}"),
        };
        bar.set_draw_target(target);
        bar.set_style(ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        bar.tick();
        Self(Some(bar))
    }

    /// So many bytes so far.
    pub fn set(&self, done: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(done);
        }
    }

    /// Whether somebody looks.
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// The same bytes, told as they go by.
    pub fn on<T>(&self, stream: T) -> Metered<'_, T> {
        Metered { stream, meter: self, done: 0 }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A stream whose bytes are told.
pub struct Metered<'a, T> {
    stream: T,
    meter: &'a Meter,
    done: u64,
}

impl<T> Metered<'_, T> {
    fn add(&mut self, count: usize) {
        self.done += count as u64;
        self.meter.set(self.done);
    }
}

impl<T: Read> Read for Metered<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.stream.read(buffer)?;
        self.add(count);
        Ok(count)
    }
}

impl<T: Write> Write for Metered<'_, T> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        let count = self.stream.write(buffer)?;
        self.add(count);
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.flush()
    }
}
