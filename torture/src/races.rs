//! Races: what a start names is exchanged for links to the host, over and over, while containers start.

mod engine;

use crate::arguments::Arguments;
use crate::ground::Ground;
use crate::replay::tried;
use crate::replays::{bind, mount, mounts};
use crate::report::{self, Section};
use crate::storm::{Exchanged, Tally, Turn, storm};
use serde_json::{Value, json};

/// How many starts: by `--quick`, and otherwise.
const STARTS: (u32, u32) = (16, 10_000);

/// How many it takes at most, without the defence, until one gets out.
const UNTIL_WON: u32 = 400;

/// What is exchanged while containers start.
pub struct Race {
    /// For people.
    what: &'static str,
    /// Where it is, in the root file system.
    at: &'static str,
    /// What it is exchanged for: links.
    links: &'static [&'static str],
    /// Makes the root file system what it has to be, beside a directory at that place.
    root: &'static str,
    /// Makes the configuration what it has to be; each `TURN` in it is the number of the start.
    edit: fn(&mut Value),
    /// What runs in the container.
    script: &'static str,
    /// How it is started.
    start: Start,
    /// The defence without which it is won; none where the new root has been entered before, and no link leads out of that.
    mutant: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Run,
    Terminal,
    Exec,
}

/// Directories of the host: absolute, relative, in proc.
const DIRECTORIES: &[&str] =
    &["/tmp/canary", "../../../../../../../../tmp/canary", "/proc/sys/kernel", "/proc/self/fd/9"];
const FILES: &[&str] =
    &["/tmp/canary/file", "../../../../../../../../tmp/canary/file", "/proc/sys/kernel/core_pattern"];
const DEVICES: &[&str] = &["/tmp/canary/dev", "../../../../../../../../tmp/canary/dev"];

/// Reads what can be read where it should not be.
const READS: &str = "cat /vol/t/secret /vol/t/made*/secret secret 2>/dev/null; true";

/// A race in a volume: at `/vol/t`.
const VOLUME: Race = Race {
    what: "the target of a bound directory",
    at: "vol/t",
    links: DIRECTORIES,
    root: "",
    edit: |config| bind(config, "/tmp/source", "/vol/t"),
    script: READS,
    start: Start::Run,
    mutant: Some("mutant_rt_08"),
};

const RACES: &[Race] = &[
    VOLUME,
    Race {
        what: "the target of a bound file",
        links: FILES,
        root: "rmdir vol/t; touch vol/t",
        edit: |config| bind(config, "/tmp/text", "/vol/t"),
        ..VOLUME
    },
    Race { what: "the target of a tmpfs", edit: |config| mount(config, "/vol/t", "tmpfs"), ..VOLUME },
    Race {
        what: "the target of a tmpfs that begins with what is there",
        edit: |config| {
            let tmpfs = json!({"destination": "/vol/t", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]});
            mounts(config).push(tmpfs);
        },
        ..VOLUME
    },
    Race {
        what: "what a missing directory is made in",
        edit: |config| mount(config, "/vol/t/made-TURN/deep", "tmpfs"),
        mutant: Some("mutant_rt_06"),
        ..VOLUME
    },
    Race {
        what: "what a missing file is made in",
        edit: |config| bind(config, "/tmp/text", "/vol/t/made-TURN"),
        mutant: Some("mutant_rt_14"),
        ..VOLUME
    },
    Race { what: "/proc", at: "proc", edit: |_| (), ..VOLUME },
    Race { what: "/sys", at: "sys", edit: |_| (), ..VOLUME },
    Race { what: "/dev, a tmpfs", at: "dev", links: DEVICES, edit: |_| (), ..VOLUME },
    Race { what: "/dev of the image", at: "dev", links: DEVICES, edit: without_devices, ..VOLUME },
    Race {
        what: "the directory of a device",
        links: DEVICES,
        edit: |config| {
            config["linux"]["devices"] = json!([{"path": "/vol/t/node-TURN", "type": "c", "major": 1, "minor": 3, "uid": 9, "gid": 9}]);
        },
        ..VOLUME
    },
    Race {
        what: "the target of cgroups",
        edit: |config| {
            config["linux"]["namespaces"].as_array_mut().expect("an array").push(json!({"type": "cgroup"}));
            mount(config, "/vol/t", "cgroup");
        },
        ..VOLUME
    },
    Race {
        what: "a masked path",
        edit: |config| config["linux"]["maskedPaths"] = json!(["/vol/t", "/vol/t/file"]),
        mutant: None,
        ..VOLUME
    },
    Race {
        what: "a read-only path",
        edit: |config| config["linux"]["readonlyPaths"] = json!(["/vol/t"]),
        mutant: None,
        ..VOLUME
    },
    Race {
        what: "the working directory",
        edit: |config| config["process"]["cwd"] = json!("/vol/t"),
        mutant: Some("mutant_rt_13"),
        ..VOLUME
    },
    Race { what: "the working directory of exec", edit: |_| (), start: Start::Exec, mutant: None, ..VOLUME },
    Race {
        what: "/dev/console",
        at: "dev/console",
        links: FILES,
        root: "touch dev/console",
        edit: |config| {
            config["process"]["terminal"] = json!(true);
            mounts(config).retain(|mount| mount["destination"] != "/dev");
        },
        start: Start::Terminal,
        mutant: None,
        ..VOLUME
    },
    Race {
        what: "what a kernel parameter is looked up in",
        at: "proc",
        links: &["/vol/fake", "/tmp/canary"],
        root: "mkdir -p vol/fake/sys/net/ipv4; touch vol/fake/sys/net/ipv4/ip_default_ttl",
        edit: |config| config["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "77"}),
        ..VOLUME
    },
];

/// Nothing is mounted at /dev: the image's own directory is filled.
fn without_devices(config: &mut Value) {
    mounts(config).retain(|mount| !mount["destination"].as_str().unwrap_or_default().starts_with("/dev"));
}

impl Race {
    /// Starts containers on this ground; with `one` until the first escape.
    fn run(&self, ground: &Ground, times: u32, one: bool) -> Tally {
        let host = &ground.oci.host;
        host.admin("mkdir -p /tmp/source; touch /tmp/source/here; echo text >/tmp/text");
        let bundle = ground.oci.bundle(|config| {
            // What is mounted where it should not be is seen on the host.
            config["linux"]["rootfsPropagation"] = json!("rshared");
            config["process"]["args"] = match self.start {
                Start::Exec => json!(["sleep", "1000"]),
                _ => json!(["sh", "-c", self.script]),
            };
            (self.edit)(config);
        });
        let links: String = (0..)
            .zip(self.links)
            .map(|(number, link)| format!("ln -s {link} {}.{number}; ", self.at))
            .collect();
        ground.change(&bundle.directory, &format!("mkdir -p vol/t; {}\n{links}", self.root));
        bundle.write("config.template", bundle.config.to_string());
        if self.start == Start::Exec {
            bundle.try_create(&[]).ok();
            ground.oci.call(["start", &bundle.id]).ok();
        }
        let root = testkit::bundle::ROOT;
        let run = format!("$C --root {root} run --bundle {} race-$turn", bundle.directory);
        let start = match self.start {
            Start::Run => run,
            // A variable of the caller's is not one of the shell that it starts.
            Start::Terminal => format!("script -qec \"{run}\" /dev/null"),
            Start::Exec => {
                format!("$C --root {root} exec --cwd /vol/t {} sh -c '{}'", bundle.id, self.script)
            }
        };
        let at = bundle.path("rootfs").join(self.at);
        let (directory, name) = (at.parent().unwrap_or(&at), at.file_name().unwrap_or_default());
        let exchanged = Exchanged { directory, name: &name.to_string_lossy(), others: self.links.len() };
        let mut tally =
            storm(host, &exchanged, (&bundle.directory, &start), times, one, |_: &[Turn]| ground.changes());
        if self.start == Start::Exec {
            ground.oci.call(["delete", "--force", &bundle.id]);
        }
        if !one {
            tally.escapes.extend(tried(|| ground.oci.assert_empty("all starts")));
        }
        tally
    }

    /// Its row of the report.
    fn row(&self, arguments: &Arguments, times: u32) -> Row {
        let told = Told::of(
            self.what,
            tally_or(|| self.run(&Ground::shared(&arguments.programs, None), times, false)),
        );
        let without = |mutant| {
            let programs = arguments.mutants.as_deref()?;
            Some(tally_or(|| self.run(&Ground::shared(programs, Some(mutant)), UNTIL_WON, true)))
        };
        told.row_without(self.mutant, without)
    }
}

/// A race's cells, and what is not as it must be.
pub type Row = (Vec<String>, Option<String>);

/// What is told of a race.
pub struct Told {
    what: &'static str,
    tally: Tally,
    without: String,
    wins: bool,
}

impl Told {
    /// Of the starts with all defences.
    pub fn of(what: &'static str, tally: Tally) -> Self {
        Self { what, tally, without: String::new(), wins: true }
    }

    /// The same as [`Told::row`], with what the race comes to without its defence, where there is one and such a build.
    pub fn row_without(
        mut self,
        mutant: Option<&'static str>,
        race: impl FnOnce(&'static str) -> Option<Tally>,
    ) -> Row {
        match mutant.map(race) {
            Some(Some(tally)) => self.without(tally),
            Some(None) => self.without = "not built".to_owned(),
            None => self.without = "the new root is entered before".to_owned(),
        }
        self.row()
    }

    /// Of those without.
    fn without(&mut self, tally: Tally) {
        self.wins = !tally.escapes.is_empty();
        self.without = match (self.wins, tally.broken) {
            (true, _) => format!("lost within {} starts", tally.starts),
            (false, Some(why)) => format!("**not lost**: {why}"),
            (false, None) => format!("**not lost** in {} starts", tally.starts),
        };
    }

    /// The cells, and what is not as it must be: something hung or got out, or nothing did without the defence.
    #[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
    pub fn row(self) -> Row {
        let Self { what, tally, without, wins } = self;
        let fine =
            tally.starts > 0 && tally.hung == 0 && tally.escapes.is_empty() && tally.broken.is_none() && wins;
        let escapes = match (tally.escapes.first(), tally.broken) {
            (Some(first), _) => format!("**{}**: {first}", tally.escapes.len()),
            (None, Some(why)) => format!("**unknown**: {why}"),
            (None, None) => "0".to_owned(),
        };
        let told = format!(
            "{what}: {} ran, {} refused ({}), {} hung, {escapes} got out; without: {without}",
            tally.ran, tally.refused, tally.refusal, tally.hung
        );
        eprintln!("{} {told}", if fine { "ok " } else { "RED" });
        let figures = [tally.starts, tally.ran, tally.refused, tally.hung].map(|figure| figure.to_string());
        ([&[what.to_owned()][..], &figures[..], &[escapes, without][..]].concat(), (!fine).then_some(told))
    }
}

/// What a race came to, or what was in its way.
pub fn tally_or(race: impl FnOnce() -> Tally) -> Tally {
    let mut tally = Tally::default();
    let panicked = tried(|| tally = race());
    tally.broken = panicked.or(tally.broken);
    tally
}

const COLUMNS: &[&str] =
    &["what is exchanged", "starts", "ran", "refused", "hung", "got out", "without the defence"];

const ROOT: &str = "a directory on the way to the root file system";

/// The root file system is what it was when it was opened: all that is made is made in the one that the container has.
fn root(arguments: &Arguments, times: u32) -> Tally {
    let ground = Ground::shared(&arguments.programs, None);
    let bundle = ground.oci.bundle(|config| {
        config["root"]["path"] = json!("way/rootfs");
        config["process"]["args"] = json!(["cat", "/which"]);
        mount(config, "/made-TURN", "tmpfs");
    });
    bundle.write("config.template", bundle.config.to_string());
    ground.oci.host.admin(&format!(
        "cd {}; mkdir -p /tmp/first /tmp/other; mv rootfs /tmp/first; cp -a /tmp/first/rootfs /tmp/other
        for which in first other; do echo $which >/tmp/$which/rootfs/which; done
        ln -s /tmp/first way; ln -s /tmp/other way.0",
        bundle.directory
    ));
    let start = format!("$C --root {} run --bundle {} race-$turn", testkit::bundle::ROOT, bundle.directory);
    let directory = bundle.path("");
    let exchanged = Exchanged { directory: &directory, name: "way", others: 1 };
    let look = |turns: &[Turn]| {
        let mut wrong = ground.changes();
        for turn in turns.iter().filter(|turn| turn.code == 0) {
            let made_in = |which: &str| {
                ground.oci.host.path(format!("/tmp/{which}/rootfs/made-{}", turn.number)).is_dir()
            };
            let other = if turn.output == "first" { "other" } else { "first" };
            if !made_in(&turn.output) || made_in(other) {
                wrong.push(format!("start {}: a mount in another root than {}", turn.number, turn.output));
            }
        }
        wrong
    };
    storm(&ground.oci.host, &exchanged, (&bundle.directory, &start), times, false, look)
}

/// All races.
pub fn part(arguments: &Arguments) -> Section {
    let times = arguments.starts.unwrap_or(if arguments.quick { STARTS.0 } else { STARTS.1 });
    let title = "Names that are exchanged for links to the host while containers start";
    let mut section = Section::new("races", title, COLUMNS);
    let kept = report::kept(arguments, section.name);
    let mut add = |what: &str, race: &dyn Fn() -> Row| {
        if !arguments.wants(what) {
            section.take_over(kept.as_ref(), what);
            return;
        }
        let (row, wrong) = race();
        section.rows.push(row);
        section.wrong.extend(wrong);
    };
    for race in RACES {
        add(race.what, &|| race.row(arguments, times));
    }
    add(ROOT, &|| Told::of(ROOT, tally_or(|| root(arguments, times))).row());
    // Each of them is several programs.
    let times = if arguments.quick { times / 2 } else { times };
    for race in engine::RACES {
        add(race.what, &|| race.row(arguments, times));
    }
    let sum = |column: usize| -> u64 {
        section.rows.iter().filter_map(|row| row[column].parse::<u64>().ok()).sum()
    };
    section.figures = format!(
        "{} races, {} starts: {} ran, {} were refused, {} hung.",
        section.rows.len(),
        sum(1),
        sum(2),
        sum(3),
        sum(4)
    );
    section
}

/// The attack of the row RT-08: the target of a volume.
pub fn volume(ground: &Ground) {
    let ground = ground.another_shared();
    // Without the defence only what gets out counts.
    let one = ground.is_mutant();
    let tally = VOLUME.run(&ground, if one { UNTIL_WON } else { STARTS.0 }, one);
    assert!(tally.escapes.is_empty(), "{}", tally.escapes.join("; "));
    assert!(one || tally.hung == 0, "{} starts hung", tally.hung);
    assert!(tally.broken.is_none(), "{:?}", tally.broken);
}
