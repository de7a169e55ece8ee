//! Where what a container writes goes at a start: its log is opened, or the descriptors of who starts it are taken.

use crate::error::{Error, Kind, Result, of_runtime};
use crate::host::Host;
use crate::log_driver::{self, Options, value};
use crate::record::{self, Record};
use crate::wish::{LogDriver, Wish};
use crate::{base, bundle, launch, names};
use regex_lite::Regex;
use rustix::fd::{AsFd, OwnedFd};
use std::collections::BTreeMap;
use supervisor::log::journal::{self, SOCKET};
use supervisor::log::syslog::Manner;
use supervisor::log::{File, Journal, Syslog};
use supervisor::{Log, Rotation};
use sys::{Errno, called};

/// Opens the log of a container that is about to start; none where nothing is kept.
///
/// # Errors
/// There is nobody who keeps it: said before anything is started.
pub fn open(host: &Host<'_>, record: &Record) -> Result<Option<Log>> {
    let options = &record.wish.log_options;
    if let Some((max_size, max_files)) = record.wish.log.files() {
        let path = record::log(host.paths, &record.id);
        let mut attributes = chosen(host, record)?;
        if value(options, "tag").is_some() {
            attributes.insert("tag".to_owned(), tag(record, options)?);
        }
        let attributes = match attributes.is_empty() {
            true => None,
            false => serde_json::to_string(&attributes).ok(),
        };
        let file = File::open(&path, Rotation { max_size, max_files }, attributes.as_deref());
        return Ok(Some(Log::new(file.map_err(of_runtime)?)));
    }
    let most = log_driver::buffer(options);
    match record.wish.log {
        LogDriver::Journald => {
            let fields = journal_fields(record, &tag(record, options)?, chosen(host, record)?);
            let journal = Journal::open(&fields, most).map_err(|error| {
                of_runtime(error)
                    .within(format!("--log-driver journald: there is no journal at {SOCKET}"))
                    .with_hint("systemd-journald is not running on this machine: use another --log-driver")
            });
            Ok(Some(Log::new(journal?)))
        }
        LogDriver::Syslog => {
            let (address, form) = log_driver::server(options)?;
            let manner = Manner {
                form,
                facility: log_driver::facility(options),
                tag: tag(record, options)?,
                host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            };
            let told = address.to_string();
            let server = Syslog::open(address, manner, most).map_err(|error| {
                of_runtime(error)
                    .within(format!("--log-driver syslog: there is no server at {told}"))
                    .with_hint("name another with --log-opt syslog-address=udp://HOST:PORT")
            });
            Ok(Some(Log::new(server?)))
        }
        _ => Ok(None),
    }
}

/// Docker's fields.
fn journal_fields(record: &Record, tag: &str, chosen: BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = [
        ("CONTAINER_ID", names::short(&record.id)),
        ("CONTAINER_ID_FULL", &record.id),
        ("CONTAINER_NAME", &record.name),
        ("CONTAINER_TAG", tag),
        ("IMAGE_NAME", &record.image),
        ("SYSLOG_IDENTIFIER", tag),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (key, value) in chosen {
        // What is ours already is not another's.
        let name = journal::field_name(&key).filter(|name| !fields.iter().any(|(known, _)| known == name));
        fields.extend(name.map(|name| (name, value)));
    }
    fields
}

/// The tag of its lines; its id, where none was typed.
fn tag(record: &Record, options: &Options) -> Result<String> {
    let Some(template) = value(options, "tag").filter(|text| !text.is_empty()) else {
        return Ok(names::short(&record.id).to_owned());
    };
    let hex = record.image_id.rsplit(':').next().unwrap_or_default();
    let command = record.command.join(" ");
    let hostname = launch::hostname(&record.wish, &record.id);
    log_driver::tag(
        template,
        &log_driver::tag_fields([
            &record.id,
            names::short(&record.id),
            &record.name,
            &record.image_id,
            hex.get(..12).unwrap_or(hex),
            &record.image,
            &command,
            &hostname,
        ]),
    )
}

/// Names, as a list and as a pattern.
struct Choice<'a> {
    names: Vec<&'a str>,
    pattern: Option<Regex>,
}

impl<'a> Choice<'a> {
    /// What two options choose; none where neither is given.
    fn of(options: &'a Options, list: &str, pattern: &str) -> Option<Self> {
        let (list, pattern) = (value(options, list), value(options, pattern));
        (list.is_some() || pattern.is_some()).then(|| Self {
            names: list.unwrap_or_default().split(',').map(str::trim).collect(),
            pattern: pattern.and_then(|text| Regex::new(text).ok()),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.names.contains(&name) || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(name))
    }
}

/// The labels and variables that `--log-opt` chose to go with every line.
fn chosen(host: &Host<'_>, record: &Record) -> Result<BTreeMap<String, String>> {
    let options = &record.wish.log_options;
    let mut all = BTreeMap::new();
    if let Some(choice) = Choice::of(options, "labels", "labels-regex") {
        all.extend(record.labels.iter().filter(|(key, _)| choice.has(key)).cloned());
    }
    if let Some(choice) = Choice::of(options, "env", "env-regex") {
        let base = base::of_record(host, record)?;
        let hostname = launch::hostname(&record.wish, &record.id);
        for entry in bundle::environment(&record.wish, &base.config, &hostname) {
            if let Some((key, value)) = entry.split_once('=').filter(|(key, _)| choice.has(key)) {
                all.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    Ok(all)
}

/// Standard input, output and error of whoever starts a container, for the container.
#[derive(Debug)]
pub struct Passed([OwnedFd; 3]);

impl Passed {
    /// Copies of this process's own descriptors, where the container is to have them.
    ///
    /// # Errors
    /// One of them is a terminal: through it, the container could type into the person's shell (TIOCSTI, tty_ioctl(4)).
    pub fn of(wish: &Wish) -> Result<Option<Self>> {
        if wish.log != LogDriver::Passthrough {
            return Ok(None);
        }
        let ours = [
            ("standard input", rustix::stdio::stdin()),
            ("standard output", rustix::stdio::stdout()),
            ("standard error", rustix::stdio::stderr()),
        ];
        if let Some((name, _)) = ours.iter().find(|(_, fd)| rustix::termios::isatty(fd)) {
            let message =
                format!("--log-driver passthrough: {name} is a terminal, which a container never gets");
            return Err(Error::new(Kind::Usage, message)
                .with_hint("redirect it, or use -t with another --log-driver"));
        }
        for (name, fd) in &ours {
            // From a directory of the host a path leads anywhere on it.
            let stat = rustix::fs::fstat(fd).map_err(called::<Errno>(|| format!("fstat({name})")))?;
            if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
                let message =
                    format!("--log-driver passthrough: {name} is a directory, which a container never gets");
                return Err(Error::new(Kind::Usage, message));
            }
        }
        Self::copies(ours.map(|(_, fd)| fd)).map(Some)
    }

    fn copies(fds: [impl AsFd; 3]) -> Result<Self> {
        let copy = |fd: &dyn AsFd| {
            rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 3)
                .map_err(called::<Errno>(|| "fcntl(F_DUPFD_CLOEXEC)".to_owned()))
        };
        let [input, output, error] = &fds;
        Ok(Self([copy(input)?, copy(output)?, copy(error)?]))
    }

    /// The descriptors of one start.
    pub fn stdio(&self) -> Result<runtime::Stdio> {
        let Self([input, output, error]) = Self::copies([&self.0[0], &self.0[1], &self.0[2]])?;
        Ok(runtime::Stdio { input: Some(input), output: Some(output), error: Some(error) })
    }
}
