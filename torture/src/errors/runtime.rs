//! The commands of the runtime, each in a host with another container.

use super::{Make, Subject, facts};
use crate::arguments::Arguments;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use testkit::bundle::ROOT;
use testkit::deadline::poll;
use testkit::injector::Injected;
use testkit::{Host, Oci};

/// How long what a command started may take to do what it does.
const SETTLES: Duration = Duration::from_secs(5);

/// All of them.
const COMMANDS: [(&str, Make); 7] = [
    ("create", |arguments| OfRuntime::boxed(arguments, "create", &[])),
    ("start", |arguments| OfRuntime::boxed(arguments, "start", &["create"])),
    ("run", |arguments| OfRuntime::boxed(arguments, "run", &[])),
    ("exec", |arguments| OfRuntime::boxed(arguments, "exec", &["create", "start"])),
    ("kill", |arguments| OfRuntime::boxed(arguments, "kill", &["create", "start"])),
    ("delete", |arguments| OfRuntime::boxed(arguments, "delete", &["create", "start"])),
    ("checkpoint", |arguments| OfRuntime::boxed(arguments, "checkpoint", &["create", "start"])),
];

/// Those that can be carried out here: a checkpoint takes CRIU.
pub fn commands() -> Vec<(&'static str, Make)> {
    let has_criu = Command::new("criu").arg("check").output().is_ok_and(|said| said.status.success());
    COMMANDS.into_iter().filter(|(command, _)| has_criu || *command != "checkpoint").collect()
}

/// Where a checkpoint goes.
const IMAGE: &str = "/tmp/output/image";

struct OfRuntime {
    oci: Oci,
    command: &'static str,
    before: &'static [&'static str],
    id: String,
    bundle: String,
    /// What is there without the container.
    there: Vec<String>,
    /// Namespaces of the host.
    namespaces: Vec<String>,
    /// The facts without an error.
    expected: RefCell<Option<Vec<String>>>,
    outputs: Cell<u32>,
}

impl OfRuntime {
    fn boxed(
        arguments: &Arguments,
        command: &'static str,
        before: &'static [&'static str],
    ) -> Box<dyn Subject> {
        let oci = Oci::new(Host::root(&arguments.programs.join("devoxx-runtime")));
        let other = oci.bundle(|config| config["process"]["args"] = json!(["sleep", "100000"]));
        for words in [&["create", "--bundle", &other.directory, &other.id][..], &["start", &other.id]] {
            oci.call(words.iter().copied()).ok();
        }
        let script = match command {
            "run" => facts::SCRIPT.to_owned(),
            _ => format!("exec >/facts\n{}\nexec sleep 1000", facts::SCRIPT),
        };
        let bundle = oci.bundle(|config| facts::configure(config, &script));
        let (id, bundle) = (bundle.id.clone(), bundle.directory.clone());
        let namespaces =
            oci.host.admin("readlink /proc/self/ns/*").stdout.lines().map(str::to_owned).collect();
        let mut made = Self {
            oci,
            command,
            before,
            id,
            bundle,
            there: Vec::new(),
            namespaces,
            expected: RefCell::default(),
            outputs: Cell::default(),
        };
        made.begin();
        Box::new(made)
    }

    /// The words of a command.
    fn words(&self, verb: &'static str) -> Vec<&str> {
        let id = self.id.as_str();
        match verb {
            "create" | "run" => vec![verb, "--bundle", &self.bundle, id],
            "exec" => vec![verb, id, "sh", "-c", facts::SCRIPT],
            "kill" => vec![verb, id, "KILL"],
            "delete" => vec![verb, "--force", id],
            "checkpoint" => vec![verb, "--image-path", IMAGE, id],
            _ => vec![verb, id],
        }
    }

    fn facts_file(&self) -> PathBuf {
        self.oci.host.path(format!("{}/rootfs/facts", self.bundle))
    }

    /// What a container that was started says of itself.
    fn facts_of_container(&self) -> Result<(), String> {
        let file = self.facts_file();
        let text = poll(SETTLES, || {
            let text = std::fs::read_to_string(&file).ok()?;
            text.ends_with("end\n").then_some(text)
        });
        self.facts(&text.ok_or("its command does not run")?)
    }

    /// The facts are the same as those of the first.
    fn facts(&self, text: &str) -> Result<(), String> {
        let found = facts::compared(text, &self.namespaces);
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

    fn status(&self) -> String {
        let outcome = self.oci.call(["state", &self.id]);
        match serde_json::from_str::<Value>(&outcome.stdout) {
            Ok(state) => state["status"].as_str().unwrap_or_default().to_owned(),
            Err(_) => outcome.stderr,
        }
    }

    /// Fails unless it has, soon, a status that begins so, or an error that has it.
    fn becomes(&self, wanted: &str) -> Result<(), String> {
        let mut last = String::new();
        let reached = poll(SETTLES, || {
            last = self.status();
            last.contains(wanted).then_some(())
        });
        reached.ok_or_else(|| format!("not {wanted}, but {last}"))
    }

    fn left(&self) -> Vec<String> {
        self.oci.leftovers().into_iter().filter(|one| !self.there.contains(one)).collect()
    }
}

impl Subject for OfRuntime {
    fn program(&self) -> &'static str {
        "devoxx-runtime"
    }

    fn begin(&mut self) {
        self.there = self.oci.leftovers();
    }

    fn holds(&self) -> bool {
        matches!(self.command, "run" | "exec")
    }

    fn prepare(&self) -> Result<(), String> {
        // They may never have been there.
        std::fs::remove_file(self.facts_file()).ok();
        std::fs::remove_dir_all(self.oci.host.path(IMAGE)).ok();
        for verb in self.before {
            let outcome = self.oci.call(self.words(verb));
            if outcome.code != 0 {
                return Err(format!("the id cannot be used: {outcome}"));
            }
        }
        Ok(())
    }

    fn host(&self) -> &Host {
        &self.oci.host
    }

    fn command(&self, before: &str) -> Command {
        let words = self.words(self.command);
        if before.is_empty() {
            return self.oci.command(words);
        }
        let mut command = self.oci.host.script(&format!("{before}\nexec $C --root {ROOT} \"$@\""));
        command.arg("limited").args(words);
        command
    }

    fn outputs(&self) -> &Cell<u32> {
        &self.outputs
    }

    fn has_succeeded(&self, injected: &Injected) -> Result<(), String> {
        match self.command {
            "create" => {
                self.becomes("created")?;
                let started = self.oci.call(["start", &self.id]);
                if started.code != 0 {
                    return Err(format!("cannot be started: {started}"));
                }
                self.facts_of_container()
            }
            "start" => {
                self.becomes("running")?;
                self.facts_of_container()
            }
            "run" => {
                self.facts(&injected.stdout)?;
                self.becomes("does not exist")
            }
            "exec" => {
                self.facts(&injected.stdout)?;
                self.becomes("running")
            }
            "kill" => self.becomes("stopped"),
            _ => {
                if self.command == "checkpoint" && !self.oci.host.path(IMAGE).join("inventory.img").exists() {
                    return Err("there is no image".to_owned());
                }
                self.becomes("does not exist")?;
                let mut left = Vec::new();
                let gone = poll(SETTLES, || {
                    left = self.left();
                    left.is_empty().then_some(())
                });
                gone.ok_or_else(|| format!("left: {}", left.join("; ")))
            }
        }
    }

    fn has_failed(&self, _injected: &Injected) -> Result<(), String> {
        match self.command {
            // The container has nothing to do with it, or runs on.
            "exec" | "checkpoint" => self.becomes("running"),
            _ => Ok(()),
        }
    }

    fn cleaned(&self) -> Vec<String> {
        let said = self.oci.call(["delete", "--force", &self.id]);
        let mut left = Vec::new();
        let clean = poll(SETTLES, || {
            left = self.left();
            left.is_empty().then_some(())
        });
        if clean.is_some() {
            return Vec::new();
        }
        for pid in left.iter().filter_map(|line| line.strip_prefix("process ")?.split(' ').next()) {
            self.oci.host.admin(&format!("kill -9 {pid} || :"));
        }
        left.extend((said.code != 0).then_some(said.stderr));
        left
    }

    fn bystander(&self) -> Result<(), String> {
        let now = self.oci.leftovers();
        match self.there.iter().find(|one| !now.contains(one)) {
            None => Ok(()),
            Some(gone) => Err(format!("of another container is gone: {gone}")),
        }
    }
}
