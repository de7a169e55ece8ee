//! Commands of the engine, each in a host with a registry and another container.

use super::{Make, Subject, facts};
use crate::arguments::Arguments;
use std::cell::{Cell, RefCell};
use std::process::Command;
use std::time::Duration;
use testkit::deadline::poll;
use testkit::injector::Injected;
use testkit::{Host, Registry, Snapshot};

/// How long what a command started may take to do what it does.
const SETTLES: Duration = Duration::from_secs(5);

const IMAGE: &str = "127.0.0.1:5000/busybox";

/// What is pulled, and not there before.
const PULLED: &str = "127.0.0.1:5000/team/plain:1";

/// What has a network, a port, a volume, a name, and limits, also those that a test sets for who makes it.
const OPTIONS: &str =
    "--hostname box --pids-limit 50 --ulimit nofile=100:200 --ulimit fsize=-1 -v data:/data -p 8080:80";

/// All of them, with what is there before.
pub const COMMANDS: &[(&str, Make)] = &[
    ("run --rm", |arguments| OfEngine::boxed(arguments, "run --rm", false)),
    ("run -d", |arguments| OfEngine::boxed(arguments, "run -d", false)),
    ("exec", |arguments| OfEngine::boxed(arguments, "exec", true)),
    ("stop", |arguments| OfEngine::boxed(arguments, "stop", true)),
    ("rm -f", |arguments| OfEngine::boxed(arguments, "rm -f", true)),
    ("pull", |arguments| OfEngine::boxed(arguments, "pull", false)),
    ("rmi", |arguments| OfEngine::boxed(arguments, "rmi", false)),
    ("volume create", |arguments| OfEngine::boxed(arguments, "volume create", false)),
];

struct OfEngine {
    // Dropped before its host.
    _registry: Registry,
    host: Host,
    command: &'static str,
    /// Whether a container runs before the command.
    runs: bool,
    before: Snapshot,
    namespaces: Vec<String>,
    expected: RefCell<Option<Vec<String>>>,
    outputs: Cell<u32>,
}

impl OfEngine {
    fn boxed(arguments: &Arguments, command: &'static str, runs: bool) -> Box<dyn Subject> {
        let host = Host::root(&arguments.programs.join("devoxx-container"));
        let registry = Registry::start(&host);
        // Of their own, so that there can be too little of them alone.
        host.admin("for place in $DEVOXX_ROOT $DEVOXX_RUN; do mount -t tmpfs -o mode=755,size=64m,nr_inodes=16k data $place; done");
        host.run(["pull", "-q", IMAGE]).ok();
        // The files of the network come with the first container, and stay.
        let other = ["run", "-d", "--name", "other", "-v", "kept:/data", IMAGE, "sleep", "100000"];
        host.run(other).ok();
        host.admin("mkdir /tmp/output; touch $DEVOXX_ROOT/events/log.1");
        let namespaces = host.admin("readlink /proc/self/ns/*").stdout.lines().map(str::to_owned).collect();
        let mut made = Self {
            _registry: registry,
            before: Snapshot::take(&host),
            host,
            command,
            runs,
            namespaces,
            expected: RefCell::default(),
            outputs: Cell::default(),
        };
        made.begin();
        Box::new(made)
    }

    fn words(&self) -> Vec<String> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let script = |text: String| ["sh".to_owned(), "-c".to_owned(), text];
        match self.command {
            "run --rm" => {
                let mut all = words(&format!("run --rm --name it {OPTIONS} {IMAGE}"));
                all.extend(script(facts::SCRIPT.to_owned()));
                all
            }
            "run -d" => self.words_of_up(),
            "exec" => {
                let mut all = words("exec it");
                all.extend(script(facts::SCRIPT.to_owned()));
                all
            }
            "stop" => words("stop -t 0 it"),
            "rm -f" => words("rm -f -v it"),
            "pull" => words(&format!("pull -q {PULLED}")),
            "rmi" => words("rmi mine:1"),
            _ => words("volume create data"),
        }
    }

    fn words_of_up(&self) -> Vec<String> {
        let mut all: Vec<String> =
            format!("run -d --name it {OPTIONS} {IMAGE} sh -c").split(' ').map(str::to_owned).collect();
        all.push(format!("{}\nexec sleep 1000", facts::SCRIPT));
        all
    }

    /// Calls the engine; what it prints, or why it fails.
    fn called(&self, words: &[&str]) -> Result<String, String> {
        let outcome = self.host.run(words);
        if outcome.code == 0 { Ok(outcome.stdout) } else { Err(outcome.to_string()) }
    }

    /// The facts are those of the first; what has the id of a container in it is always another.
    fn facts(&self, text: &str) -> Result<(), String> {
        let lines = facts::compared(text, &self.namespaces);
        let found: Vec<String> = lines.iter().map(|line| without_ids(&without_size(line))).collect();
        let mut expected = self.expected.borrow_mut();
        match &*expected {
            Some(expected) => facts::same(expected, &found),
            None if !text.ends_with("end\n") => Err(format!("the facts have no end: {text}")),
            None => {
                *expected = Some(found);
                Ok(())
            }
        }
    }

    fn status(&self) -> Result<String, String> {
        self.called(&["inspect", "--format", "{{.State.Status}}", "it"])
    }

    fn becomes(&self, wanted: &str) -> Result<(), String> {
        let mut last = Ok(String::new());
        let reached = poll(SETTLES, || {
            last = self.status();
            last.as_ref().is_ok_and(|status| status.trim() == wanted).then_some(())
        });
        reached.ok_or_else(|| format!("not {wanted}, but {last:?}"))
    }

    fn is_gone(&self) -> Result<(), String> {
        match self.called(&["ps", "-aq", "--filter", "name=^it$"])?.trim() {
            "" => Ok(()),
            id => Err(format!("container {id} is there")),
        }
    }

    /// The container's log has the facts, soon.
    fn facts_of_log(&self) -> Result<(), String> {
        let mut text = Ok(String::new());
        poll(SETTLES, || {
            text = self.called(&["logs", "it"]);
            text.as_ref().is_ok_and(|text| text.ends_with("end\n")).then_some(())
        });
        self.facts(&text?)
    }

    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        poll(SETTLES, || {
            left = self.before.difference(&Snapshot::take(&self.host));
            left.is_empty().then_some(())
        });
        left
    }
}

/// A mount of what the engine keeps, without how large that is now.
fn without_size(line: &str) -> String {
    let Some((mount, options)) = line.split_once(" - tmpfs data ") else { return line.to_owned() };
    let kept = options.split(',').filter(|one| !one.starts_with("size=") && !one.starts_with("nr_inodes="));
    format!("{mount} - tmpfs data {}", kept.collect::<Vec<_>>().join(","))
}

/// A line with `ID` in the place of what looks like the id of a container, whole or short.
fn without_ids(line: &str) -> String {
    let parts = line.split_inclusive(|letter: char| !letter.is_ascii_hexdigit());
    let replaced = parts.map(|part| {
        let digits = part.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
        match digits.len() {
            12 | 64 => format!("ID{}", &part[digits.len()..]),
            _ => part.to_owned(),
        }
    });
    replaced.collect()
}

impl Subject for OfEngine {
    fn program(&self) -> &'static str {
        "devoxx-container"
    }

    fn host(&self) -> &Host {
        &self.host
    }

    fn begin(&mut self) {
        self.before = Snapshot::take(&self.host);
    }

    fn prepare(&self) -> Result<(), String> {
        let up = self.words_of_up();
        match self.command {
            _ if self.runs => {
                self.called(&up.iter().map(String::as_str).collect::<Vec<_>>())?;
                // Its log is whole, and nothing of the start goes on.
                self.becomes("running")?;
                poll(SETTLES, || {
                    self.called(&["logs", "it"]).is_ok_and(|text| text.ends_with("end\n")).then_some(())
                })
                .ok_or_else(|| "it does not come up".to_owned())
            }
            "rmi" => self.called(&["tag", IMAGE, "mine:1"]).map(drop),
            _ => Ok(()),
        }
    }

    fn command(&self, before: &str) -> Command {
        let words = self.words();
        if before.is_empty() {
            return self.host.command(words);
        }
        let mut command = self.host.script(&format!("{before}\nexec $C \"$@\""));
        command.arg("limited").args(words);
        command
    }

    fn outputs(&self) -> &Cell<u32> {
        &self.outputs
    }

    fn lines_of_error(&self, stderr: &str) -> usize {
        stderr.lines().filter(|line| !line.starts_with("devoxx-container: warning: ")).count()
    }

    fn has_succeeded(&self, injected: &Injected) -> Result<(), String> {
        match self.command {
            "run --rm" => {
                self.facts(&injected.stdout)?;
                // The code is the container's, also where it is told that something of it could not be removed.
                if injected.stderr.contains("warning: something is left of container it") {
                    Ok(())
                } else {
                    self.is_gone()
                }
            }
            "run -d" => {
                self.becomes("running")?;
                self.facts_of_log()
            }
            "exec" => {
                self.facts(&injected.stdout)?;
                self.becomes("running")
            }
            "stop" => self.becomes("exited"),
            "rm -f" => self.is_gone(),
            "pull" => {
                self.called(&["image", "inspect", PULLED])?;
                // Every layer is what its digest says.
                self.called(&["system", "check"]).map(drop)
            }
            "rmi" => match self.called(&["images", "-q", "mine:1"])?.trim() {
                "" => Ok(()),
                id => Err(format!("image {id} is there")),
            },
            _ => self.called(&["volume", "inspect", "data"]).map(drop),
        }
    }

    fn has_failed(&self, _injected: &Injected) -> Result<(), String> {
        match self.command {
            "exec" => self.becomes("running"),
            _ => Ok(()),
        }
    }

    fn resume(&self) {
        if self.command == "pull" {
            // It goes on with the layers of the one before.
            self.called(&["pull", "-q", PULLED]).ok();
        }
    }

    fn cleaned(&self) -> Vec<String> {
        // One removal, of what there may be.
        let removals: &[&[&str]] = match self.command {
            "pull" => &[&["rmi", "-f", PULLED]],
            "rmi" => &[&["rmi", "-f", "mine:1"]],
            "volume create" => &[&["volume", "rm", "-f", "data"]],
            _ => &[&["rm", "-f", "-v", "it"], &["volume", "rm", "-f", "data"]],
        };
        let mut failed = Vec::new();
        for words in removals {
            if let Err(why) = self.called(words)
                && !why.to_lowercase().contains("no such")
            {
                failed.push(why);
            }
        }
        let mut left = self.left();
        if !left.is_empty() {
            left.extend(failed);
        }
        left
    }

    fn bystander(&self) -> Result<(), String> {
        match self.called(&["inspect", "--format", "{{.State.Status}}", "other"])?.trim() {
            "running" => Ok(()),
            status => Err(format!("another container is {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_for_one_another() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(without_ids(&format!("/c/{id}/x {} y", &id[..12])), "/c/ID/x ID y");
        let line = "mount /x /data rw - tmpfs data rw,size=2056k,nr_inodes=16384,mode=755";
        assert_eq!(without_size(line), "mount /x /data rw - tmpfs data rw,mode=755");
        assert_eq!(without_ids("Cap: 00000000a80425fb deadbeef"), "Cap: 00000000a80425fb deadbeef");
    }
}
