//! Who does what: for each work the commands of each contestant. `ID` in them is a fresh id each time.

use crate::machine::{Machine, program, words};
use crate::sample::{Failure, Sample, take, unmeasured};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A work and who does it.
pub struct Entry {
    /// What is done.
    pub work: &'static str,
    /// By whom.
    pub who: String,
    /// Whether `timed` are started at once, and not one after the other.
    at_once: bool,
    /// Once, before everything.
    set_up: Vec<Vec<String>>,
    /// What is measured.
    timed: Vec<Vec<String>>,
    /// After each, not measured.
    after: Vec<Vec<String>>,
    /// Once, after everything.
    tear_down: Vec<Vec<String>>,
    /// Why it does not take part.
    pub out: Option<String>,
    /// What came of it.
    pub samples: Vec<Result<Sample, Failure>>,
}

impl Entry {
    fn new(work: &'static str, who: &str, timed: &[String]) -> Self {
        Self {
            work,
            who: who.to_owned(),
            at_once: false,
            set_up: Vec::new(),
            timed: timed.iter().map(|text| words(text)).collect(),
            after: Vec::new(),
            tear_down: Vec::new(),
            out: None,
            samples: Vec::new(),
        }
    }

    /// What it needs before the first round.
    pub fn set_up(&mut self) {
        self.out = unmeasured(&self.set_up).err();
    }

    /// Does its work once.
    pub fn run(&self, round: usize) -> Result<Sample, Failure> {
        if let Some(why) = &self.out {
            return Err(Failure::Failed(why.clone()));
        }
        let with_id = |list: &[Vec<String>]| -> Vec<Vec<String>> {
            let id = |number: usize| format!("b{}-{round}-{number}", std::process::id());
            let filled = |(number, command): (usize, &Vec<String>)| {
                let own = if self.at_once { id(number) } else { id(0) };
                command.iter().map(|word| word.replace("ID", &own)).collect()
            };
            list.iter().enumerate().map(filled).collect()
        };
        let sample = take(&with_id(&self.timed), self.at_once);
        // After a failure there may be nothing to remove.
        let _left = unmeasured(&with_id(&self.after));
        sample
    }

    /// What it leaves after the last round.
    pub fn tear_down(&self) {
        // The namespaces of this process end with it, and what is in them.
        let _left = unmeasured(&self.tear_down);
    }
}

/// All entries that this machine has programs for.
pub fn entries(machine: &Machine) -> Result<Vec<Entry>, String> {
    let beside = |name: &str| -> Option<PathBuf> {
        let here = std::env::current_exe().ok()?.with_file_name(name);
        here.is_file().then_some(here)
    };
    let ours = beside("devoxx-runtime").ok_or("devoxx-runtime is not built")?;
    let floor = beside("floor").ok_or("floor is not built")?;
    let mut runtimes = vec![("devoxx-runtime".to_owned(), ours.clone())];
    for name in ["crun", "runc", "youki"] {
        runtimes.extend(program(name).map(|place| (name.to_owned(), place)));
    }
    let plain = bundle(machine, "plain", &ours, &|_| ())?;
    let waiting = bundle(machine, "waiting", &ours, &|config| {
        config["process"]["args"] = json!(["/bin/sleep", "100000"])
    })?;
    let filter = seccomp::default_profile(&[]).map_err(|error| error.to_string())?;
    let filter = serde_json::to_value(filter).map_err(|error| error.to_string())?;
    let filtered = bundle(machine, "filtered", &ours, &|config| config["linux"]["seccomp"] = filter.clone())?;
    let root = machine.root.display();
    let mut all =
        vec![Entry::new("run", "floor", &[format!("{} {root} /sys/fs/cgroup/ID", floor.display())])];
    let mut many = Entry::new("32 at once", "floor", &[]);
    many.timed = vec![words(&format!("{} {root} /sys/fs/cgroup/ID", floor.display())); 32];
    many.at_once = true;
    all.push(many);
    for (who, place) in &runtimes {
        let state = machine.work.join(format!("{who}-state"));
        let runtime = format!("{} --root {}", place.display(), state.display());
        let run = format!("{runtime} run --bundle {} ID", plain.display());
        let steps = |verbs: &[&str]| -> Vec<String> {
            verbs.iter().map(|verb| format!("{runtime} {verb}")).collect()
        };
        let delete = || vec![words(&format!("{runtime} delete --force ID"))];
        all.push(Entry { after: delete(), ..Entry::new("run", who, std::slice::from_ref(&run)) });
        let run_filtered = format!("{runtime} run --bundle {} ID", filtered.display());
        all.push(Entry { after: delete(), ..Entry::new("run, filtered", who, &[run_filtered]) });
        let create = format!("create --bundle {} ID", waiting.display());
        all.push(Entry {
            after: delete(),
            ..Entry::new("create, start, delete", who, &steps(&[&create, "start ID", "delete --force ID"]))
        });
        let exec = steps(&[&format!("exec kept-{who} /bin/true")]);
        all.push(Entry {
            set_up: steps(&[
                &format!("create --bundle {} kept-{who}", waiting.display()),
                &format!("start kept-{who}"),
            ])
            .iter()
            .map(|text| words(text))
            .collect(),
            tear_down: vec![words(&format!("{runtime} delete --force kept-{who}"))],
            ..Entry::new("exec", who, &exec)
        });
        let mut many = Entry::new("32 at once", who, &[]);
        many.timed = vec![words(&run); 32];
        many.after = vec![words(&format!("{runtime} delete --force ID")); 32];
        many.at_once = true;
        all.push(many);
    }
    all.extend(engines(machine, &beside)?);
    Ok(all)
}

fn engines(machine: &Machine, beside: &dyn Fn(&str) -> Option<PathBuf>) -> Result<Vec<Entry>, String> {
    let ours = beside("devoxx-container").ok_or("devoxx-container is not built")?;
    let place = |name: &str| machine.work.join(name).display().to_string();
    let tar = place("root.tar");
    let image = place("image.tar");
    let own = format!("env DEVOXX_ROOT={} DEVOXX_RUN={} {}", place("data"), place("run"), ours.display());
    let prepared = vec![
        words(&format!("tar -C {} -cf {tar} .", machine.root.display())),
        words(&format!("{own} import {tar} bench:1")),
        words(&format!("{own} save -o {image} bench:1")),
    ];
    unmeasured(&prepared)?;
    let mut engines = vec![("devoxx-container".to_owned(), own, Vec::new())];
    if let Some(podman) = program("podman") {
        // Root here may not raise limits, which podman does by default.
        let settings = place("containers.conf");
        let text = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        std::fs::write(&settings, text).map_err(|error| format!("{settings}: {error}"))?;
        let command = format!(
            "env CONTAINERS_CONF={settings} {} --root {} --runroot {} --tmpdir {}",
            podman.display(),
            place("podman"),
            place("podman-run"),
            place("podman-tmp")
        );
        let load = vec![words(&format!("{command} load -i {image}"))];
        engines.push(("podman".to_owned(), command, load));
    }
    let mut all = Vec::new();
    for (who, command, load) in engines {
        // Its place is one for all works: the image is loaded once.
        let mut load = Some(load);
        for (work, network) in [("engine run, no network", "none"), ("engine run, bridge", "bridge")] {
            let run = format!("{command} run --rm --network {network} bench:1 /bin/true");
            all.push(Entry { set_up: load.take().unwrap_or_default(), ..Entry::new(work, &who, &[run]) });
        }
        let mut many = Entry::new("32 engine runs at once", &who, &[]);
        many.timed = vec![words(&format!("{command} run --rm --network none bench:1 /bin/true")); 32];
        many.at_once = true;
        all.push(many);
    }
    Ok(all)
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
    unmeasured(&[words(&format!("{} spec --bundle {}", runtime.display(), place.display()))])?;
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
