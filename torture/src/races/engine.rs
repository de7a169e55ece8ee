//! The races of the engine: what it puts into a container, what it makes there for it, and what `cp` takes out.

use super::{Row, Told, UNTIL_WON, tally_or};
use crate::arguments::Arguments;
use crate::canary::Canary;
use crate::storm::{Exchanged, Tally, Turn, storm};
use std::path::Path;
use testkit::{Host, Snapshot};

/// What is exchanged while the engine is at work.
pub struct Race {
    /// For people.
    pub what: &'static str,
    /// Where it is, in the host.
    at: &'static str,
    links: &'static [&'static str],
    /// Makes what is at that place.
    makes: &'static str,
    /// The command, after the program; `$turn` is the number of the start.
    command: &'static str,
    /// Whether a container runs that the command is about.
    runs: bool,
    /// What the container has mounted, in the words of its mountinfo (proc_pid_mountinfo(5)): where it is not there, it is mounted over
    /// something else.
    mounts: &'static str,
    /// The defence without which it is lost; none where the new root has been entered before, and no link leads out of that.
    mutant: Option<&'static str>,
}

const LINKS: &[&str] = &["/tmp/canary", "../../../../../../tmp/canary"];
const FILES: &[&str] = &["/tmp/canary/secret", "../../../../../../tmp/canary/secret", "/dev/zero"];
/// Those of a user whom a file of the host makes somebody else.
const USERS: &[&str] =
    &["/tmp/theirs/passwd", "../../../../../../tmp/theirs/passwd", "/tmp/canary/secret", "/dev/zero"];
const THEIRS: &str = "4321";
/// Reads what can be read where it should not be, and tells who it is (id(1) would read /etc/passwd) and whether it has its mount.
const READS: &str = "sh -c 'cat /vol/t/secret secret /x/secret 2>/dev/null; grep ^Uid: /proc/self/status; grep -q MOUNTS /proc/self/mountinfo || echo astray'";

/// A volume of the host at `/vol/t` of the root file system.
const VOLUME: Race = Race {
    what: "engine: the target of --volume",
    at: "/tmp/tree/vol/t",
    links: LINKS,
    makes: "mkdir -p /tmp/tree/vol/t",
    command: "run --rm --net none -v /tmp/source:/vol/t --rootfs /tmp/tree READS",
    runs: false,
    mounts: "/source /",
    // What went astray is not executed, unless that is left out too.
    mutant: Some("mutant_rt_08_unread"),
};

/// All of them.
pub const RACES: &[Race] = &[
    VOLUME,
    Race {
        what: "engine: the target of a new volume, which begins with what is there",
        command: "run --rm --net none -v /vol/t --rootfs /tmp/tree READS",
        mounts: "/_data /",
        ..VOLUME
    },
    Race {
        what: "engine: the target of --tmpfs",
        command: "run --rm --net none --tmpfs /vol/t/made-$turn --rootfs /tmp/tree READS",
        mounts: "/made-",
        mutant: Some("mutant_rt_06"),
        ..VOLUME
    },
    Race {
        what: "engine: where --workdir is made",
        command: "run --rm --net none --workdir /vol/t/made-$turn --rootfs /tmp/tree READS",
        mounts: "",
        mutant: None,
        ..VOLUME
    },
    Race {
        what: "engine: --workdir",
        command: "run --rm --net none --workdir /vol/t --rootfs /tmp/tree READS",
        mounts: "",
        mutant: None,
        ..VOLUME
    },
    Race {
        what: "engine: /etc, with hosts, hostname, resolv.conf and passwd",
        at: "/tmp/tree/etc",
        makes: "true",
        command: "run --rm --net none --user app --rootfs /tmp/tree READS",
        mounts: "/hosts /",
        mutant: Some("mutant_rt_14"),
        ..VOLUME
    },
    Race {
        what: "engine: /etc/passwd",
        at: "/tmp/tree/etc/passwd",
        links: USERS,
        makes: "mkdir /tmp/theirs; echo app:x:4321:4321::/:/bin/sh >/tmp/theirs/passwd",
        command: "run --rm --net none --user app --rootfs /tmp/tree READS",
        mounts: "",
        mutant: None,
        ..VOLUME
    },
    Race {
        what: "engine: /etc/hosts",
        at: "/tmp/tree/etc/hosts",
        links: FILES,
        makes: "touch /tmp/tree/etc/hosts",
        command: "run --rm --net none --rootfs /tmp/tree READS",
        mounts: "/hosts /",
        ..VOLUME
    },
    Race {
        what: "engine: a part of a volume",
        at: "/tmp/data/volumes/kept/_data/part",
        makes: "mkdir -p /tmp/data/volumes/kept/_data/part",
        command: "run --rm --net none --mount type=volume,src=kept,dst=/x,volume-subpath=part --rootfs /tmp/tree READS",
        mounts: " /x ",
        mutant: Some("mutant_en_08"),
        ..VOLUME
    },
    Race {
        what: "engine: where cp puts a file",
        command: "cp /tmp/text up:/vol/t/made-$turn",
        runs: true,
        mutant: Some("mutant_en_03"),
        ..VOLUME
    },
    Race {
        what: "engine: where cp puts a directory",
        command: "cp /tmp/source up:/vol/t/",
        runs: true,
        mutant: Some("mutant_en_03"),
        ..VOLUME
    },
    Race {
        what: "engine: what cp takes out",
        command: "cp up:/vol/t/. -",
        runs: true,
        mutant: Some("mutant_en_01"),
        ..VOLUME
    },
    Race {
        what: "engine: the file that cp takes out",
        at: "/tmp/tree/vol/t",
        links: FILES,
        makes: "mkdir -p /tmp/tree/vol; echo text >/tmp/tree/vol/t",
        command: "cp -L up:/vol/t -",
        runs: true,
        mutant: Some("mutant_en_01"),
        ..VOLUME
    },
    Race {
        what: "engine: what export takes out",
        command: "export up",
        runs: true,
        mounts: "",
        mutant: Some("mutant_en_06_export"),
        ..VOLUME
    },
    Race {
        what: "engine: --workdir of exec",
        command: "exec --workdir /vol/t up READS",
        runs: true,
        mounts: "",
        mutant: None,
        ..VOLUME
    },
];

impl Race {
    /// Starts commands in a host of these programs; with a mutant until the first escape.
    fn run(&self, programs: &Path, mutant: Option<&str>, times: u32) -> Tally {
        let mut host = Host::root(&programs.join("devoxx-container"));
        if let Some(mutant) = mutant {
            host.set("DEVOXX_MUTANT", mutant);
        }
        let canary = Canary::place_shared(&host);
        host.admin("cp -a /tmp/fixtures/rootfs/busybox /tmp/tree; mkdir -p /tmp/source; touch /tmp/source/here; echo text >/tmp/text");
        host.sh("$C volume create kept").ok();
        host.admin(
            "grep -q ^app: /tmp/tree/etc/passwd || echo app:x:1000:1000::/:/bin/sh >>/tmp/tree/etc/passwd",
        );
        host.admin(self.makes);
        for (number, link) in (0..).zip(self.links) {
            host.admin(&format!("ln -s {link} {}.{number}", self.at));
        }
        let before = Snapshot::take(&host);
        if self.runs {
            host.sh("$C run -d --name up --net none --rootfs /tmp/tree sleep 1000").ok();
        }
        let at = host.path(self.at);
        let (directory, name) = (at.parent().unwrap_or(&at), at.file_name().unwrap_or_default());
        let exchanged = Exchanged { directory, name: &name.to_string_lossy(), others: self.links.len() };
        let reads = READS.replace("MOUNTS", &format!("\"{}\"", self.mounts));
        let start = format!("$C {}", self.command.replace("READS", &reads));
        let look = |turns: &[Turn]| {
            let told = |turn: &&Turn| {
                turn.code == 0 && turn.output.split(' ').any(|word| word == "astray" || word == THEIRS)
            };
            let lost =
                turns.iter().filter(told).map(|turn| format!("start {}: {}", turn.number, turn.output));
            canary.changes(&host).into_iter().chain(lost).collect()
        };
        let mut tally = storm(&host, &exchanged, ("/tmp", &start), times, mutant.is_some(), look);
        if self.runs {
            host.sh("$C rm -f up").ok();
        }
        if mutant.is_none() {
            tally.escapes.extend(crate::replay::tried(|| before.assert_same(&host, "all starts")));
        }
        tally
    }

    /// Its row of the report.
    pub fn row(&self, arguments: &Arguments, times: u32) -> Row {
        let told = Told::of(self.what, tally_or(|| self.run(&arguments.programs, None, times)));
        let without = |mutant| {
            let programs = arguments.mutants.as_deref()?;
            Some(tally_or(|| self.run(programs, Some(mutant), UNTIL_WON)))
        };
        told.row_without(self.mutant, without)
    }
}
