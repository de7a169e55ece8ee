//! Commands of a runtime that are killed: ours, and those of the peers, which have the same command line.

use std::path::Path;
use std::time::Duration;
use testkit::deadline::poll;
use testkit::stop_killer::trace_into;
use testkit::sweep::{Turn, sweep};
use testkit::{Host, Oci, Share, Tally, Victim, When};

/// How long what a killed program started may take to end.
const SETTLES: Duration = Duration::from_secs(3);

/// A command, with what has to be there before it: none, a container that was created, one that runs, one that is paused, an image.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    before: &'static [&'static str],
    /// Whether it is CRIU's work.
    pub needs_criu: bool,
    /// Whether it has to do with a controller of cgroups: then the host has those of the machine.
    needs_controllers: bool,
}

const fn command(name: &'static str, before: &'static [&'static str]) -> Command {
    Command { name, before, needs_criu: false, needs_controllers: false }
}

const RUNS: &[&str] = &["create", "start"];

/// All that are swept.
pub const COMMANDS: &[Command] = &[
    command("create", &[]),
    command("run", &[]),
    command("start", &["create"]),
    command("exec", RUNS),
    command("pause", RUNS),
    command("resume", &["create", "start", "pause"]),
    Command { needs_controllers: true, ..command("update", RUNS) },
    command("kill", RUNS),
    command("delete", RUNS),
    Command { needs_criu: true, ..command("checkpoint", RUNS) },
    Command { needs_criu: true, ..command("restore", &["create", "start", "checkpoint"]) },
];

/// A host with a runtime, the command, and the bundles that it is about.
pub struct Runtime<'a> {
    oci: Oci,
    command: &'a Command,
    name: String,
    /// Where a bundle is whose container stays, and one whose container ends at once.
    stays: String,
    ends: String,
    turn: u64,
    /// What it says where it fails and nobody was killed.
    why: String,
}

impl<'a> Runtime<'a> {
    /// A host for it. Without controllers it has cgroup v2 alone, as crun knows no hybrid host.
    pub fn new(program: &Path, command: &'a Command) -> Self {
        let host =
            if command.needs_controllers { Host::root(program) } else { Host::root_cgroup2_view(program) };
        let oci = Oci::new(host);
        let bundle = |args: &[&str]| {
            oci.bundle(|config| config["process"]["args"] = serde_json::json!(args)).directory.clone()
        };
        let (stays, ends) = (bundle(&["sleep", "100000"]), bundle(&["true"]));
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { oci, command, name, stays, ends, turn: 0, why: String::new() }
    }

    /// Kills the command at those of its stops that `share` says, with another container beside it. False where it does not work.
    pub fn sweep(mut self, tally: &mut Tally, share: Share) -> bool {
        // It has nothing to do with it, and runs on.
        let bystander = "bystander";
        for verb in RUNS {
            self.oci.call(self.words(verb, bystander)).ok();
        }
        let works = sweep(tally, share, |kill_at| self.once(kill_at));
        if !works {
            let why = self.why.trim_end();
            tally.left.push((format!("it fails when nobody is killed: {why}"), "its end".to_owned()));
        }
        let state = self.oci.call(["state", bystander]);
        if !state.stdout.contains("\"running\"") {
            tally.left.push((format!("another container has ended: {state}"), "the end".to_owned()));
        }
        self.oci.call(["delete", "--force", bystander]);
        works
    }

    fn words(&self, verb: &str, id: &str) -> Vec<String> {
        let bundle = if verb == "run" { &self.ends } else { &self.stays };
        let image = format!("/tmp/output/image-{id}");
        let image = ["--image-path", &image, "--work-path", &image];
        let options: &[&str] = match verb {
            "create" | "run" => &["--bundle", bundle],
            "delete" => &["--force"],
            "update" => &["--pids-limit", "50"],
            "checkpoint" => &image,
            "restore" => &[&image[..], &["--detach", "--bundle", bundle]].concat(),
            _ => &[],
        };
        let behind: &[&str] = match verb {
            "exec" => &["true"],
            "kill" => &["KILL"],
            _ => &[],
        };
        [&[verb], options, &[id], behind].concat().into_iter().map(str::to_owned).collect()
    }

    fn once(&mut self, kill_at: Option<(When, Victim)>) -> Turn {
        self.turn += 1;
        let oci = &self.oci;
        let there = oci.leftovers();
        // What a peer leaves of one is not in the way of the next.
        let id = format!("killed-{}", self.turn);
        for verb in self.command.before {
            oci.call(self.words(verb, &id));
        }
        let (out, err) = (oci.host.path("/tmp/output/out"), oci.host.path("/tmp/output/err"));
        let command = oci.command(self.words(self.command.name, &id));
        let traced = trace_into(command, &self.name, Some((&out, &err)), kill_at);
        if kill_at.is_none() && traced.code != 0 {
            self.why = std::fs::read_to_string(&err).unwrap_or_default();
        }
        oci.call(["delete", "--force", &id]);
        let mut now = Vec::new();
        let clean = poll(SETTLES, || {
            now = oci.leftovers().into_iter().filter(|one| !there.contains(one)).collect();
            now.is_empty().then_some(())
        });
        if clean.is_none() {
            for pid in now.iter().filter_map(|line| line.strip_prefix("process ")?.split(' ').next()) {
                oci.host.admin(&format!("kill -9 {pid} || :"));
            }
        }
        let again = oci.call(["run", "--bundle", &self.ends, &id]);
        oci.call(["delete", "--force", &id]);
        Turn { traced, left: now.join("\n"), usable: again.code == 0 }
    }
}
