//! The works of the runtimes: containers of `spec`'s config.json.

use crate::demand::TINY;
use crate::entry::{Entry, Words, own_name, words};
use crate::machine::{Machine, program};
use crate::report::Said;
use crate::surroundings::{Surroundings, memlock_answered};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The name of ours.
pub const OURS: &str = "devoxx-runtime";

/// A runtime and how it is called here.
pub struct Runtime {
    /// Its name.
    pub who: String,
    /// The program with the options that every command has.
    pub command: String,
    /// Where its commands are run.
    pub surroundings: Surroundings,
}

/// Bundles that all of them are given.
pub struct Bundles {
    /// Runs /bin/true.
    pub plain: PathBuf,
    /// The same with the default profile of system calls.
    pub filtered: PathBuf,
    /// Waits for ever.
    pub waiting: PathBuf,
    /// Runs /bin/true in a cgroup of the bench.
    pub hybrid: PathBuf,
    /// The same under a limit of 512 KiB of memory.
    pub tiny: PathBuf,
}

/// Those of this machine, ours first.
pub fn runtimes(machine: &Machine, said: &mut Said) -> Result<Vec<Runtime>, String> {
    let mut all = vec![(OURS.to_owned(), beside(OURS)?)];
    for name in ["crun", "runc", "youki"] {
        match program(name) {
            Some(place) => all.push((name.to_owned(), place)),
            None => said.absent.push(format!("{name}: not installed")),
        }
    }
    let answered = memlock_answered()?;
    let called = |(who, place): (String, PathBuf)| {
        let surroundings = match (&*who, &answered) {
            ("crun", Some(filter)) => {
                said.notes.push(
                    "crun raises RLIMIT_MEMLOCK for its device filter, which root may not here (no CAP_SYS_RESOURCE), though the kernel \
                     does not look at it: a seccomp filter around crun alone says that it was raised"
                        .to_owned(),
                );
                Surroundings { filter: Some(filter.clone()), ..Surroundings::default() }
            }
            _ => Surroundings::default(),
        };
        let state = machine.work.join(format!("{who}-state"));
        let command = format!("{} --root {}", place.display(), state.display());
        Runtime { who, command, surroundings }
    };
    Ok(all.into_iter().map(called).collect())
}

/// A program that is built beside this one.
pub fn beside(name: &str) -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("/proc/self/exe: {error}"))?;
    let place = here.with_file_name(name);
    if place.is_file() { Ok(place) } else { Err(format!("{}: not built", place.display())) }
}

/// Makes the bundles.
pub fn bundles(machine: &Machine) -> Result<Bundles, String> {
    let runtime = beside(OURS)?;
    let filter = seccomp::default_profile(&[]).map_err(|error| error.to_string())?;
    let filter = serde_json::to_value(filter).map_err(|error| error.to_string())?;
    let cgroup =
        |config: &mut Value| config["linux"]["cgroupsPath"] = json!(format!("/{}-place", own_name()));
    let made = |name: &str, change: &dyn Fn(&mut Value)| bundle(machine, name, &runtime, change);
    Ok(Bundles {
        plain: made("plain", &|_| ())?,
        filtered: made("filtered", &|config| config["linux"]["seccomp"] = filter.clone())?,
        waiting: made("waiting", &|config| config["process"]["args"] = json!(["/bin/sleep", "100000"]))?,
        hybrid: made("hybrid", &cgroup)?,
        tiny: made("tiny", &|config| {
            cgroup(config);
            config["linux"]["resources"]["memory"] = json!({"limit": 512 << 10});
        })?,
    })
}

/// What each runtime does, and the floor and nsenter beside them.
pub fn entries(
    machine: &Machine,
    runtimes: &[Runtime],
    bundles: &Bundles,
    said: &mut Said,
) -> Result<Vec<Entry>, String> {
    let floor = format!("{} {} /sys/fs/cgroup/@id", beside("floor")?.display(), machine.root.display());
    let mut all = vec![
        Entry::new("run", "floor", std::slice::from_ref(&floor)),
        Entry::many("32 at once", "floor", &floor, 32),
    ];
    match program("nsenter") {
        Some(place) => all.push(nsenter(&place, &runtimes[0], bundles)),
        None => said.absent.push("nsenter: not installed".to_owned()),
    }
    for runtime in runtimes {
        all.extend(works(runtime, bundles));
        if let Some(hybrid) = &machine.hybrid {
            let surroundings = Surroundings { mounts: Some(hybrid.clone()), ..runtime.surroundings.clone() };
            let on_hybrid =
                Runtime { who: runtime.who.clone(), command: runtime.command.clone(), surroundings };
            all.push(run(&on_hybrid, "run, hybrid v1 host", &bundles.hybrid));
            all.push(Entry { seldom: Some(10), ..run(&on_hybrid, TINY, &bundles.tiny) });
        }
    }
    if machine.hybrid.is_none() {
        said.absent.push("the hybrid v1 host: no hierarchy of cgroup v1 is mounted here".to_owned());
    }
    Ok(all)
}

fn delete(runtime: &Runtime, id: &str) -> Words {
    words(&format!("{} delete --force {id}", runtime.command))
}

/// `run`, and a removal of what a failed one leaves.
fn run(runtime: &Runtime, work: &str, bundle: &Path) -> Entry {
    let run = format!("{} run --bundle {} @id", runtime.command, bundle.display());
    Entry {
        after: vec![delete(runtime, "@id")],
        surroundings: runtime.surroundings.clone(),
        ..Entry::new(work, &runtime.who, &[run])
    }
}

/// One build of ours that reads again what it has set, and does not: what that takes.
pub fn attestation(machine: &Machine, program: &Path, bundles: &Bundles) -> Result<[Entry; 2], String> {
    let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
    let one = |who: &str, mutant: &str| {
        let state = machine.work.join("unattested-state");
        let command = format!("DEVOXX_MUTANT={mutant} {} --root {}", program.display(), state.display());
        let runtime = Runtime { who: who.to_owned(), command, surroundings: Surroundings::default() };
        run(&runtime, "run, what was set read again or not", &bundles.plain)
    };
    Ok([one("read again", "none"), one("not read again", "mutant_at_all")])
}

fn works(runtime: &Runtime, bundles: &Bundles) -> Vec<Entry> {
    let Runtime { who, command, surroundings } = runtime;
    let verb = |text: &str| format!("{command} {text}");
    let create = |id: &str| verb(&format!("create --bundle {} {id}", bundles.waiting.display()));
    let steps = [create("@id"), verb("start @id"), verb("delete --force @id")];
    let kept = format!("{}-kept-{who}", own_name());
    let in_them = |entry: Entry| Entry { surroundings: surroundings.clone(), ..entry };
    let at_once = verb(&format!("run --bundle {} @id", bundles.plain.display()));
    vec![
        run(runtime, "run", &bundles.plain),
        run(runtime, "run, filtered", &bundles.filtered),
        in_them(Entry { after: vec![delete(runtime, "@id")], ..Entry::new("create", who, &[create("@id")]) }),
        in_them(Entry {
            after: vec![delete(runtime, "@id")],
            ..Entry::new("create, start, delete", who, &steps)
        }),
        in_them(Entry {
            set_up: vec![words(&create(&kept)), words(&verb(&format!("start {kept}")))],
            tear_down: vec![delete(runtime, &kept)],
            ..Entry::new("exec", who, &[verb(&format!("exec {kept} /bin/true"))])
        }),
        in_them(Entry {
            after: vec![delete(runtime, "@id"); 32],
            ..Entry::many("32 at once", who, &at_once, 32)
        }),
    ]
}

/// What exec is measured by: another process in the namespaces of a container, and nothing else.
fn nsenter(place: &Path, ours: &Runtime, bundles: &Bundles) -> Entry {
    let kept = format!("{}-kept-nsenter", own_name());
    let verb = |text: &str| words(&format!("{} {text} {kept}", ours.command));
    let into =
        format!("{} --target @pid --mount --uts --ipc --net --pid --cgroup /bin/true", place.display());
    Entry {
        set_up: vec![verb(&format!("create --bundle {}", bundles.waiting.display())), verb("start")],
        target: Some(verb("state")),
        tear_down: vec![verb("delete --force")],
        ..Entry::new("exec", "nsenter", &[into])
    }
}

/// A bundle whose config.json is what `spec` writes, with a change.
fn bundle(
    machine: &Machine,
    name: &str,
    runtime: &Path,
    change: &dyn Fn(&mut Value),
) -> Result<PathBuf, String> {
    let place = machine.work.join(name);
    std::fs::create_dir_all(&place).map_err(|error| format!("mkdir: {error}"))?;
    let spec = words(&format!("{} spec --bundle {}", runtime.display(), place.display()));
    Surroundings::default().unmeasured(&[spec])?;
    let file = place.join("config.json");
    let text = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut config: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/true"]);
    config["root"]["path"] = json!(machine.root);
    // The version that every contestant knows.
    config["ociVersion"] = json!("1.0.2");
    change(&mut config);
    std::fs::write(&file, config.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(place)
}
