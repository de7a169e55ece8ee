//! Where errors and warnings go: standard error, and the log that a daemon reads.

use super::arguments::Words;
use runtime::error::{Error, Kind, Result, shortened};
use runtime::timestamp;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use sys::{Context, called};

/// Where records go besides standard error.
enum Target {
    None,
    File(File),
    /// The socket of a daemon, and how a record looks to it.
    Daemon(UnixDatagram, fn(&str, &str, &str) -> Vec<u8>, String),
}

/// The log of one command.
pub struct Log {
    target: Target,
    json: bool,
    warnings: bool,
    debug: bool,
}

impl Log {
    /// Standard error alone: before the options are known.
    pub fn plain() -> Self {
        Self { target: Target::None, json: false, warnings: false, debug: false }
    }

    /// As the options say.
    pub fn open(global: &Words) -> Result<Self> {
        let invalid = |text: String| Error::new(Kind::Invalid, text);
        let json = match global.value("log-format").unwrap_or("text") {
            "text" | "" => false,
            "json" => true,
            other => return Err(invalid(format!("invalid log-format: {other}"))),
        };
        let (warnings, debug) = match global.value("log-level").unwrap_or("error") {
            "error" | "fatal" | "panic" => (false, false),
            "warning" | "warn" => (true, false),
            "info" => (true, false),
            "debug" | "trace" => (true, true),
            other => return Err(invalid(format!("invalid log-level: {other}"))),
        };
        let debug = debug || global.is_set("debug");
        let target = match global.value("log") {
            _ if global.is_set("systemd-log") => journald("devoxx-runtime")?,
            None | Some("") => Target::None,
            Some(text) => match text.split_once(':') {
                Some(("file", path)) => file(path)?,
                Some(("journald", id)) => journald(id)?,
                Some(("syslog", id)) => syslog(id)?,
                Some((kind, _)) if !kind.contains('/') && !kind.contains('.') => {
                    return Err(invalid(format!("unknown log type {kind:?}")));
                }
                _ => file(text)?,
            },
        };
        Ok(Self { target, json, warnings: warnings || debug, debug })
    }

    /// A record that ends the command: in the log and on standard error, which is the log where no other is named.
    pub fn error(&mut self, error: &Error) {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let text = one_line(&format!("{error}{hint}"));
        if !matches!(self.target, Target::None) {
            self.record("error", &text);
            self.json = false;
        }
        self.complain("error", &text);
    }

    /// A record of what is not wrong and not as it was perhaps meant. A command that succeeds prints nothing, so it is one only
    /// when that is asked for.
    pub fn warning(&mut self, text: &str) {
        if self.warnings {
            self.note("warning", text);
        }
    }

    /// A record of what is missing in the output, that nobody would miss otherwise.
    pub fn omission(&mut self, text: &str) {
        self.note("warning", text);
        if !matches!(self.target, Target::None) {
            self.complain("warning", &one_line(text));
        }
    }

    /// A record for who looks for a mistake.
    pub fn debug(&mut self, text: &str) {
        if self.debug {
            self.note("debug", text);
        }
    }

    fn note(&mut self, level: &str, text: &str) {
        let text = one_line(text);
        match self.target {
            Target::None => self.complain(level, &text),
            _ => self.record(level, &text),
        }
    }

    fn line(&self, level: &str, text: &str) -> String {
        match self.json {
            true => serde_json::json!({"level": level, "msg": text, "time": timestamp::now()}).to_string(),
            false => text_record(level, text),
        }
    }

    fn complain(&self, level: &str, text: &str) {
        // Nothing to be done about a standard error that is gone.
        let _gone = writeln!(std::io::stderr(), "{}", self.line(level, text));
    }

    fn record(&mut self, level: &str, text: &str) {
        let line = self.line(level, text);
        // A log that cannot be written to must not hide what is logged: standard error has it as well.
        let _gone = match &mut self.target {
            Target::None => Ok(()),
            // One write(2) a record: others append to the same file.
            Target::File(file) => file.write_all(format!("{line}\n").as_bytes()),
            Target::Daemon(socket, form, id) => socket.send(&form(id, level, text)).map(drop),
        };
    }
}

/// The longest text of a record, in bytes: what is in it of a config.json may be of any length.
const LONGEST: usize = 8192;

fn one_line(text: &str) -> String {
    shortened(text, LONGEST).replace(['\n', '\r'], " ").trim_end().to_owned()
}

/// As runc has it: `time="..." level=error msg="..."`.
fn text_record(level: &str, text: &str) -> String {
    format!("time={:?} level={level} msg={}", timestamp::now(), serde_json::Value::from(text))
}

fn file(path: &str) -> Result<Target> {
    let file = File::options().create(true).append(true).mode(0o644).open(path);
    Ok(Target::File(file.map_err(called(|| format!("open({path:?}, O_APPEND)"))).within(|| "--log")?))
}

fn daemon(path: &str, form: fn(&str, &str, &str) -> Vec<u8>, id: &str) -> Result<Target> {
    let socket =
        UnixDatagram::unbound().map_err(called(|| "socket(AF_UNIX)".to_owned())).within(|| "--log")?;
    socket.connect(path).map_err(called(|| format!("connect({path:?})"))).within(|| "--log")?;
    Ok(Target::Daemon(socket, form, id.to_owned()))
}

/// Levels as syslog(3) numbers them.
fn priority(level: &str) -> u8 {
    match level {
        "error" => 3,
        "warning" => 4,
        _ => 7,
    }
}

/// The native protocol of systemd's journal: a field a line (systemd.journal-fields(7)).
fn journald(id: &str) -> Result<Target> {
    daemon(
        "/run/systemd/journal/socket",
        |id, level, text| {
            format!("MESSAGE={text}\nPRIORITY={}\nSYSLOG_IDENTIFIER={id}\n", priority(level)).into_bytes()
        },
        id,
    )
}

/// The form of syslog(3): `<facility * 8 + severity>tag: text`; the facility is that of daemons.
fn syslog(id: &str) -> Result<Target> {
    daemon(
        "/dev/log",
        |id, level, text| format!("<{}>{id}: {text}", 3 * 8 + priority(level)).into_bytes(),
        id,
    )
}
