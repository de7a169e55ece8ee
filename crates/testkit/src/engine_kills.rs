//! Commands of the engine that are killed: on a host with a registry, networks and a container that stays, and what the next command
//! makes of what is left.

use crate::stop_killer::trace;
use crate::sweep::{Share, Tally, Turn, sweep};
use crate::{Host, Registry, Snapshot, Victim, When};
use std::path::Path;

/// A command, with what has to be there before it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it is called in a report.
    pub name: &'static str,
    /// What makes ready for it: words for the program, see [`Case::command`]; nothing where it needs nothing.
    pub before: &'static [&'static str],
    /// Its words. `UP` stands for the options and the image of the container `it`, `IMAGE` for that image, `OTHER` for another.
    pub command: &'static str,
    /// What removes what it is about where that is no container: each that is not there is fine.
    pub after: &'static [&'static str],
}

const fn case(
    name: &'static str,
    before: &'static [&'static str],
    command: &'static str,
    after: &'static [&'static str],
) -> Case {
    Case { name, before, command, after }
}

const RUNS: &[&str] = &["run -d UP sleep 1000"];

/// All that are killed.
pub const CASES: &[Case] = &[
    case("run --rm", &[], "run --rm UP true", &[]),
    case("run -d", &[], "run -d UP sleep 1000", &[]),
    case("create", &[], "create UP sleep 1000", &[]),
    case("start", &["create UP sleep 1000"], "start it", &[]),
    case("stop", RUNS, "stop -t 0 it", &[]),
    case("restart", RUNS, "restart -t 0 it", &[]),
    case("kill", RUNS, "kill it", &[]),
    case("exec", RUNS, "exec it true", &[]),
    case("pause", RUNS, "pause it", &[]),
    case("unpause", &["run -d UP sleep 1000", "pause it"], "unpause it", &[]),
    case("rename", RUNS, "rename it other", &[]),
    case("update", RUNS, "update --memory 64m --restart on-failure it", &[]),
    case("rm -f", RUNS, "rm -f -v it", &[]),
    case("commit", RUNS, "commit it made:1", &["rmi made:1", "image prune -f"]),
    case("pull", &[], "pull -q OTHER", &["pull -q OTHER", "rmi OTHER"]),
    case("rmi", &["pull -q OTHER"], "rmi OTHER", &["pull -q OTHER", "rmi OTHER"]),
    case("volume create", &[], "volume create more", &["volume rm -f more"]),
    case("volume rm", &["volume create more"], "volume rm more", &["volume rm -f more"]),
    case("network create", &[], "network create third", &["network rm -f third"]),
    case(
        "network rm",
        &["network create third", "run --rm --network third IMAGE true"],
        "network rm third",
        &["network rm -f third"],
    ),
    case("network connect", RUNS, "network connect more it", &[]),
    case(
        "network disconnect",
        &["run -d UP sleep 1000", "network connect more it"],
        "network disconnect more it",
        &[],
    ),
];

/// A host, and what it is like between two kills.
pub struct Ground {
    registry: Registry,
    host: Host,
    /// Options of every container.
    options: &'static str,
    before: Snapshot,
}

impl Ground {
    /// Of root, on the network that is always there.
    #[track_caller]
    pub fn root(program: &Path) -> Self {
        Self::new(Host::root(program), "")
    }

    /// Of an ordinary user, on a network that was made.
    #[track_caller]
    pub fn rootless(program: &Path) -> Self {
        Self::new(Host::rootless(program), "--network app ")
    }

    #[track_caller]
    fn new(host: Host, options: &'static str) -> Self {
        let registry = Registry::start(&host);
        let before = Snapshot::take(&host);
        let mut ground = Self { registry, host, options, before };
        for words in [
            "pull IMAGE",
            "network create app",
            "network create more",
            // The files of each network are made with its first container, and stay.
            "run --rm IMAGE true",
            "run --rm --network app --network more IMAGE true",
            "run -d --name stays --network app IMAGE sleep 100000",
        ] {
            ground.call(words).ok();
        }
        // There will be one at some time: so many commands have much to tell.
        ground.host.sh("touch $DEVOXX_ROOT/events/log.1").ok();
        ground.before = Snapshot::take(&ground.host);
        ground
    }

    /// The words of a command, with what stands in it for something else.
    fn words(&self, command: &str) -> Vec<String> {
        let up = format!("--name it --label killed {}-v data:/data -p 8080:80 IMAGE", self.options);
        let (image, other) = (self.registry.image("busybox"), self.registry.image("team/plain:1"));
        let all = command.replace("UP", &up).replace("IMAGE", &image).replace("OTHER", &other);
        all.split_whitespace().map(str::to_owned).collect()
    }

    fn call(&self, command: &str) -> crate::Outcome {
        self.host.run(self.words(command))
    }

    /// Kills a command at those of its stops that `share` says. False where it does not work at all.
    #[track_caller]
    pub fn sweep(&mut self, tally: &mut Tally, case: &Case, share: Share) -> bool {
        let works = sweep(tally, share, |kill_at| self.once(case, kill_at));
        if self.call("exec stays ip link show eth0").code != 0 {
            tally.left.push(("another container has ended".to_owned(), "the end".to_owned()));
        }
        works
    }

    fn once(&mut self, case: &Case, kill_at: Option<(When, Victim)>) -> Turn {
        for command in case.before {
            self.call(command).ok();
        }
        let command = self.host.command(self.words(case.command));
        let traced = trace(command, "devoxx-container", kill_at);
        let mut left = Vec::new();
        // Whatever its name is now, there is at most one.
        let listed = self.call("ps -aq -f label=killed");
        if listed.code != 0 || listed.stdout.lines().count() > 1 {
            left.push(listed.to_string());
        }
        // What is not there any more is fine: the command may have been done, and with --rm a container goes by itself.
        let mut mend = |command: &str| {
            let mended = self.call(command);
            let is_gone = mended.stderr.contains("no such") || mended.stderr.contains("not found");
            left.extend((mended.code != 0 && !is_gone).then(|| mended.to_string()));
        };
        listed.stdout.lines().for_each(|id| mend(&format!("rm -f -v {id}")));
        case.after.iter().for_each(|command| mend(command));
        // The name, the port and the volume can be had at once.
        let again = self.call("run --rm UP true");
        self.call("volume rm -f data");
        left.extend(self.before.settled(&self.host));
        if !left.is_empty() {
            // What is here now is told once.
            self.before = Snapshot::take(&self.host);
        }
        Turn { traced, left: left.join("\n"), usable: again.code == 0 }
    }
}
