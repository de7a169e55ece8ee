//! Kills at the stops of system calls: of each command of a runtime, and what one `delete --force` makes of that. The same of the peers
//! that are here.

use crate::arguments::Arguments;
use crate::replay::tried;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::deadline::poll;
use testkit::stop_killer::trace;
use testkit::{Bundle, Host, Oci, Victim};

/// How long what a killed program started may take to end.
const SETTLES: Duration = Duration::from_secs(3);

/// What came of one command.
pub struct Swept {
    /// The program.
    pub program: String,
    /// Whether its figures decide.
    pub is_ours: bool,
    /// The command.
    pub command: &'static str,
    /// How many stops it has.
    pub stops: u64,
    /// How many of the kills met somebody.
    pub kills: u64,
    /// Where it never ended.
    pub hung: Vec<String>,
    /// What was left after `delete --force`, and where it was killed.
    pub left: Vec<(String, String)>,
    /// Where the id could not be used again.
    pub unusable: Vec<String>,
}

impl Swept {
    fn none(program: &str, command: &'static str) -> Self {
        Self {
            program: program.to_owned(),
            is_ours: false,
            command,
            stops: 0,
            kills: 0,
            hung: Vec::new(),
            left: Vec::new(),
            unusable: Vec::new(),
        }
    }

    /// Whether nothing was left anywhere.
    pub fn is_fine(&self) -> bool {
        self.hung.is_empty() && self.left.is_empty() && self.unusable.is_empty()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"program": self.program, "command": self.command, "stops": self.stops, "kills": self.kills,
            "hung": self.hung, "left": self.left, "unusable": self.unusable})
    }
}

/// A command, with what has to be there before it: none, a container that was created, or one that runs.
const COMMANDS: [(&str, &[&str]); 6] = [
    ("create", &[]),
    ("run", &[]),
    ("start", &["create"]),
    ("exec", &["create", "start"]),
    ("kill", &["create", "start"]),
    ("delete", &["create", "start"]),
];

/// Sweeps over all commands of all runtimes.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn all(arguments: &Arguments) -> Vec<Swept> {
    let ours = arguments.programs.join("devoxx-runtime");
    let peers = ["/usr/bin/runc", "/usr/bin/crun"].map(PathBuf::from);
    let mut swept = Vec::new();
    for program in std::iter::once(&ours).chain(peers.iter().filter(|peer| peer.exists())) {
        for (command, before) in COMMANDS {
            let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if arguments.wants(&name) || arguments.wants(command) {
                let mut one = Swept::none(&name, command);
                let panicked = tried(|| sweep(&mut one, program, before, arguments.kills));
                one.left.extend(panicked.map(|words| (words, "the sweep itself".to_owned())));
                eprintln!(
                    "{} {}: {} kills, {} left something",
                    one.program,
                    one.command,
                    one.kills,
                    one.left.len()
                );
                swept.push(Swept { is_ours: *program == ours, ..one });
            }
        }
    }
    swept
}

fn sweep(swept: &mut Swept, program: &Path, before: &[&str], most: Option<u64>) {
    let command = swept.command;
    // crun knows no hybrid host.
    let oci = Oci::new(Host::root_cgroup2_view(program));
    // Another container, which has nothing to do with it.
    let bystander = oci.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"])).start(&[]);
    let whole = once(&oci, &swept.program, (command, before), None, &mut swept.left);
    swept.stops = whole.0;
    let kills = most.unwrap_or(u64::MAX).min(swept.stops);
    for turn in 0..kills {
        let stop = 1 + turn * swept.stops / kills.max(1);
        let victim = Victim::ALL[usize::try_from(turn).unwrap_or_default() % Victim::ALL.len()];
        let shown = format!("{victim:?} at {stop}");
        let (_, killed, hung, usable) =
            once(&oci, &swept.program, (command, before), Some((stop, victim)), &mut swept.left);
        swept.kills += u64::from(killed);
        if hung {
            swept.hung.push(shown.clone());
        }
        if !usable {
            swept.unusable.push(shown);
        }
    }
    if bystander.status() != "running" {
        swept.left.push(("another container has ended".to_owned(), "at the end".to_owned()));
    }
}

/// One turn: how many stops there were, whether somebody was killed, whether it hung, whether the id can be used again.
fn once(
    oci: &Oci,
    program: &str,
    (command, before): (&str, &[&str]),
    kill_at: Option<(u64, Victim)>,
    left: &mut Vec<(String, String)>,
) -> (u64, bool, bool, bool) {
    let there = oci.leftovers();
    let bundle = oci.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    let quick = oci.bundle(|config| config["process"]["args"] = json!(["true"]));
    let words = |verb: &str, bundle: &Bundle<'_>| -> Vec<String> {
        let words: &[&str] = match verb {
            "create" | "run" => &["--bundle", &bundle.directory],
            "delete" => &["--force"],
            _ => &[],
        };
        let behind: &[&str] = match verb {
            "exec" => &["true"],
            "kill" => &["KILL"],
            _ => &[],
        };
        let id = [bundle_id(bundle)];
        [&[verb], words, &id, behind].concat().into_iter().map(str::to_owned).collect()
    };
    let used = if command == "run" { &quick } else { &bundle };
    for verb in before {
        oci.call(words(verb, used));
    }
    let traced = trace(oci.command(words(command, used)), program, kill_at);
    oci.call(["delete", "--force", &used.id]);
    let mut now = Vec::new();
    let clean = poll(SETTLES, || {
        now = oci.leftovers().into_iter().filter(|one| !there.contains(one)).collect();
        now.is_empty().then_some(())
    });
    if clean.is_none() {
        let at =
            kill_at.map_or_else(|| "at its end".to_owned(), |(stop, victim)| format!("{victim:?} at {stop}"));
        left.push((now.join("\n"), at));
        for pid in now.iter().filter_map(|line| line.strip_prefix("process ")?.split(' ').next()) {
            oci.host.admin(&format!("kill -9 {pid} || :"));
        }
    }
    let again = oci.call(["run", "--bundle", &quick.directory, &used.id]);
    oci.call(["delete", "--force", &used.id]);
    (traced.stops, traced.killed, traced.hung, again.code == 0)
}

fn bundle_id<'a>(bundle: &'a Bundle<'_>) -> &'a str {
    &bundle.id
}
