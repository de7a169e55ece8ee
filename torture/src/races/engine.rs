//! The races of the engine: what it puts into a container, what it makes there for it, and what `cp` takes out.

use super::{Told, tally_or};
use crate::arguments::Arguments;
use crate::canary::Canary;
use crate::storm::{Exchanged, Tally, storm};
use testkit::{Host, Snapshot};

/// What is exchanged while the engine is at work.
struct Race {
    what: &'static str,
    /// Where it is, in the host.
    at: &'static str,
    links: &'static [&'static str],
    /// Makes what is at that place.
    makes: &'static str,
    /// The command, after the program; `$turn` is the number of the start.
    command: &'static str,
    /// Whether a container runs that the command is about.
    runs: bool,
}

const LINKS: &[&str] = &["/tmp/canary", "../../../../../../tmp/canary"];
const FILES: &[&str] = &["/tmp/canary/secret", "../../../../../../tmp/canary/secret", "/dev/zero"];
const READS: &str = "sh -c 'cat /vol/t/secret secret /x/secret 2>/dev/null; true'";

/// A volume of the host at `/vol/t` of the root file system.
const VOLUME: Race = Race {
    what: "engine: the target of --volume",
    at: "/tmp/tree/vol/t",
    links: LINKS,
    makes: "mkdir -p /tmp/tree/vol/t",
    command: "run --rm --net none -v /tmp/source:/vol/t --rootfs /tmp/tree READS",
    runs: false,
};

const RACES: &[Race] = &[
    VOLUME,
    Race {
        what: "engine: the target of a new volume, which begins with what is there",
        command: "run --rm --net none -v /vol/t --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: the target of --tmpfs",
        command: "run --rm --net none --tmpfs /vol/t/made-$turn --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: where --workdir is made",
        command: "run --rm --net none --workdir /vol/t/made-$turn --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: --workdir",
        command: "run --rm --net none --workdir /vol/t --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: /etc, with hosts, hostname, resolv.conf and passwd",
        at: "/tmp/tree/etc",
        makes: "true",
        command: "run --rm --net none --user app --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: /etc/passwd",
        at: "/tmp/tree/etc/passwd",
        links: FILES,
        makes: "true",
        command: "run --rm --net none --user app --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: /etc/hosts",
        at: "/tmp/tree/etc/hosts",
        links: FILES,
        makes: "touch /tmp/tree/etc/hosts",
        command: "run --rm --net none --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: a part of a volume",
        at: "/tmp/data/volumes/kept/_data/part",
        makes: "mkdir -p /tmp/data/volumes/kept/_data/part",
        command: "run --rm --net none --mount type=volume,src=kept,dst=/x,volume-subpath=part --rootfs /tmp/tree READS",
        ..VOLUME
    },
    Race {
        what: "engine: where cp puts a file",
        command: "cp /tmp/text up:/vol/t/made-$turn",
        runs: true,
        ..VOLUME
    },
    Race {
        what: "engine: where cp puts a directory",
        command: "cp /tmp/source up:/vol/t/",
        runs: true,
        ..VOLUME
    },
    Race { what: "engine: what cp takes out", command: "cp up:/vol/t/. -", runs: true, ..VOLUME },
    Race {
        what: "engine: the file that cp takes out",
        at: "/tmp/tree/vol/t",
        links: FILES,
        makes: "mkdir -p /tmp/tree/vol; echo text >/tmp/tree/vol/t",
        command: "cp -L up:/vol/t -",
        runs: true,
    },
    Race {
        what: "engine: --workdir of exec",
        command: "exec --workdir /vol/t up READS",
        runs: true,
        ..VOLUME
    },
];

impl Race {
    fn run(&self, arguments: &Arguments, times: u32) -> Tally {
        let host = Host::root(&arguments.programs.join("devoxx-container"));
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
        let start = format!("$C {}", self.command.replace("READS", READS));
        let mut tally = storm(&host, &exchanged, ("/tmp", &start), times, false, |_| canary.changes(&host));
        if self.runs {
            host.sh("$C rm -f up").ok();
        }
        tally.escapes.extend(crate::replay::tried(|| before.assert_same(&host, "all starts")));
        tally
    }
}

/// A row for each, and whether it is as it must be.
pub fn rows(arguments: &Arguments, times: u32) -> Vec<(Vec<String>, bool)> {
    let wanted = RACES.iter().filter(|race| arguments.wants(race.what));
    wanted.map(|race| Told::of(race.what, tally_or(|| race.run(arguments, times))).row()).collect()
}
