//! Power loss: everything that commands on images write to their disk is recorded, with every flush, and each state that a power cut can
//! leave is looked at. At a flush, what came before is there. Of what comes after it, any part may be, and a write may be there in part.

pub mod disk;
mod log;

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use crate::seeded::Seeded;
use log::Entry;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use testkit::deadline::poll;
use testkit::{Host, Registry, Running};

/// The word that makes this program the disk.
pub const SERVE: &str = "recorded-disk";

/// Bytes of the disk.
const BYTES: u64 = 160 << 20;
/// A write that is torn has some of its sectors.
const SECTOR: usize = 512;
/// States at flushes, and states between two of them: by `--quick`, and otherwise. Nobody has more flushes than that.
const QUICK: [usize; 2] = [28, 10];
const LONG: [usize; 2] = [usize::MAX, 400];
/// States of a disk that lies. One in four or so is not whole: with `--quick` the first of those is enough.
const LYING: usize = 60;
/// How many of them the next one is away; it has no divisor in common with their number.
const FAR: usize = 13;
/// How many flushes a disk that lies has not done.
const LIES: usize = 10;

const BUSYBOX: &str = "127.0.0.1:5000/busybox:latest";
const INDEX: &str = "127.0.0.1:5000/team/index:1";
const KEPT: &str = "localhost/kept:1";
const OTHER: &str = "localhost/other:1";

/// A command, and the images that there are after it.
struct Step {
    name: &'static str,
    command: &'static [&'static str],
    images: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step { name: "pull", command: &["pull", "-q", BUSYBOX], images: &[BUSYBOX] },
    Step { name: "second pull", command: &["pull", "-q", INDEX], images: &[BUSYBOX, INDEX] },
    Step {
        name: "run",
        command: &["run", "--name", "made", "--net", "none", BUSYBOX, "sh", "-c", WRITES],
        images: &[BUSYBOX, INDEX],
    },
    Step { name: "commit", command: &["commit", "made", KEPT], images: &[BUSYBOX, INDEX, KEPT] },
    Step { name: "tag", command: &["tag", INDEX, OTHER], images: &[BUSYBOX, INDEX, KEPT, OTHER] },
    Step { name: "removal of a name", command: &["rmi", OTHER], images: &[BUSYBOX, INDEX, KEPT] },
    Step { name: "removal", command: &["rmi", INDEX], images: &[BUSYBOX, KEPT] },
    Step { name: "pull again", command: &["pull", "-q", INDEX], images: &[BUSYBOX, INDEX, KEPT] },
    Step { name: "rm", command: &["rm", "made"], images: &[BUSYBOX, INDEX, KEPT] },
    Step { name: "removal of a commit", command: &["rmi", KEPT], images: &[BUSYBOX, INDEX] },
    Step { name: "prune", command: &["image", "prune", "-a", "-f"], images: &[] },
];

/// What the container writes that an image is made of.
const WRITES: &str = "echo changed >/etc/changed; mkdir /new; for n in $(seq 40); do head -c 20000 /dev/urandom >/new/$n; done; rm /etc/group";

/// What came of the states within one step.
#[derive(Default)]
struct Seen {
    flushes: usize,
    at_flush: usize,
    between: usize,
    bad: usize,
}

/// Records, and looks at states.
pub fn part(arguments: &Arguments) -> Section {
    let mut section = Section {
        name: "power",
        title: "Power loss at every flush",
        columns: &["during", "flushes", "cut at a flush", "cut between two", "not whole"],
        figures: String::new(),
        rows: Vec::new(),
        notes: Vec::new(),
        wrong: Vec::new(),
    };
    if let Some(missing) = missing() {
        section.figures = format!("**Skipped: {missing}.**");
        return section;
    }
    let mut seen: Vec<Seen> = STEPS.iter().map(|_| Seen::default()).collect();
    let mut wrong = Vec::new();
    let (mut noticed, mut lying) = (0, 0);
    let broken = tried(|| {
        let program = arguments.programs.join("devoxx-container");
        let host = Host::root(&program);
        let _registry = Registry::start(&host);
        let log = record(&host);
        let [at_flush, between] = if arguments.quick { QUICK } else { LONG };
        look(&host, &log, (at_flush, between), &mut seen, &mut wrong);
        for turn in 0..LYING {
            lying += 1;
            noticed += usize::from(believed(&host, &log, turn).is_some());
            if arguments.quick && noticed > 0 {
                break;
            }
        }
    });
    wrong.extend(broken);
    for (step, seen) in STEPS.iter().zip(&seen) {
        let counts = [seen.flushes, seen.at_flush, seen.between, seen.bad];
        let counts = counts.iter().map(ToString::to_string);
        section.rows.push([vec![step.name.to_owned()], counts.collect()].concat());
    }
    let states: usize = seen.iter().map(|one| one.at_flush + one.between).sum();
    section.figures = format!(
        "{states} states of the disk (ext4) were looked at, {} of them not whole: each image is there or not, `system check --deep` \
         finds nothing, what a command had reported is there, each image runs, and a pull brings the others.",
        seen.iter().map(|one| one.bad).sum::<usize>(),
    );
    section.notes.push(format!(
        "That this can be seen: of {lying} states of a disk that says it has flushed and has not, {noticed} are not whole."
    ));
    if states == 0 || noticed == 0 {
        wrong.push("nothing was looked at, or a disk that lies is not noticed".to_owned());
    }
    section.wrong = wrong;
    section
}

/// What keeps this machine from it.
fn missing() -> Option<String> {
    let programs = ["mkfs.ext4", "losetup"];
    let places = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let devices = ["/dev/fuse", "/dev/loop-control"];
    let program =
        programs.iter().find(|name| !places.iter().any(|place| Path::new(place).join(name).exists()));
    let device = devices.iter().find(|name| !Path::new(name).exists());
    program.or(device).map(|name| format!("there is no {name}"))
}

/// The disk of a host; what is mounted goes before whoever serves it.
struct Recorded<'a> {
    host: &'a Host,
    disk: Option<Running>,
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        if self.disk.is_some() {
            self.host.script("umount /tmp/data; umount /tmp/recorded").status().ok();
        }
    }
}

/// Does all steps on a disk that is recorded.
fn record(host: &Host) -> Vec<Entry> {
    host.admin("mkdir /tmp/recorded");
    let own = std::process::id();
    let serve = format!("exec /proc/{own}/exe {SERVE} /tmp/recorded {BYTES} /tmp/log");
    let mut recorded = Recorded { host, disk: Some(Running::start(&mut host.script(&serve))) };
    let disk = host.path("/tmp/recorded/disk");
    let there = poll(Duration::from_secs(20), || disk.exists().then_some(()));
    if there.is_none() {
        let said = recorded.disk.take().map(Running::wait);
        panic!("the disk that is recorded: {said:?}");
    }
    // Nothing is made later than now by the kernel itself.
    host.admin(
        "mkfs.ext4 -q -m 0 -J size=4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 /tmp/recorded/disk
        mount -o loop /tmp/recorded/disk /tmp/data; rmdir /tmp/data/lost+found; chmod 700 /tmp/data; sync -f /tmp/data",
    );
    let mark = |text: &str| {
        fs::write(host.path("/tmp/recorded/mark"), text).unwrap_or_else(|error| panic!("mark: {error}"));
    };
    mark("begun");
    for step in STEPS {
        host.run(step.command).ok();
        mark(step.name);
    }
    host.admin("umount /tmp/data; umount /tmp/recorded");
    if let Some(disk) = recorded.disk.take() {
        disk.wait().ok();
    }
    let log = fs::read(host.path("/tmp/log")).unwrap_or_else(|error| panic!("the log: {error}"));
    host.admin("rm /tmp/log");
    Entry::read(&log)
}

/// A state: all entries before `until`, and some of those behind, up to the next flush.
#[derive(Clone, Copy)]
struct Cut {
    until: usize,
    /// The step that is being done.
    step: usize,
    /// The one that is being done at the next flush.
    next: usize,
    /// By what the entries behind are chosen; without, it is none of them.
    seed: Option<u64>,
}

/// Every flush while something is done.
fn flushes(log: &[Entry]) -> Vec<Cut> {
    let mut all: Vec<Cut> = Vec::new();
    let mut step = None;
    let mut changed = false;
    for (at, entry) in log.iter().enumerate() {
        match entry {
            Entry::Mark(_) => step = Some(step.map_or(0, |step| step + 1)),
            Entry::Write { .. } => changed = true,
            Entry::Flush => {
                if let Some(step) = step.filter(|step| changed && *step < STEPS.len()) {
                    if let Some(last) = all.last_mut() {
                        last.next = step;
                    }
                    all.push(Cut { until: at + 1, step, next: STEPS.len() - 1, seed: None });
                }
                changed = false;
            }
        }
    }
    all
}

/// So many of them, from the first to the last.
fn spread(count: usize, most: usize) -> Vec<usize> {
    let wanted = count.min(most);
    (0..wanted).map(|turn| turn * count.saturating_sub(1) / wanted.saturating_sub(1).max(1)).collect()
}

fn look(host: &Host, log: &[Entry], amounts: (usize, usize), seen: &mut [Seen], wrong: &mut Vec<String>) {
    let all = flushes(log);
    all.iter().for_each(|cut| seen[cut.step].flushes += 1);
    let at_flush = spread(all.len(), amounts.0).into_iter().map(|at| Cut { next: all[at].step, ..all[at] });
    let between = (0..amounts.1)
        .map(|turn| Cut { seed: Some(turn as u64), ..all[turn * all.len() / amounts.1.max(1)] });
    let mut cuts: Vec<Cut> = at_flush.chain(between).collect();
    cuts.sort_by_key(|cut| (cut.until, cut.seed));
    let now = host.path("/tmp/now");
    let disk = File::options().read(true).write(true).create_new(true).open(&now);
    let disk = disk.and_then(|disk| disk.set_len(BYTES).map(|()| disk));
    let disk = disk.unwrap_or_else(|error| panic!("{now:?}: {error}"));
    let mut applied = 0;
    for cut in cuts {
        log[applied..cut.until].iter().for_each(|entry| apply(&disk, entry));
        applied = cut.until;
        host.admin("cp --sparse=always /tmp/now /tmp/state");
        if let Some(seed) = cut.seed {
            tear(&host.path("/tmp/state"), &log[cut.until..], seed);
            seen[cut.step].between += 1;
        } else {
            seen[cut.step].at_flush += 1;
        }
        if let Some(why) = tried(|| is_whole(host, cut)) {
            seen[cut.step].bad += 1;
            let how = cut.seed.map_or_else(|| "at".to_owned(), |seed| format!("behind (seed {seed})"));
            wrong.push(format!(
                "{how} entry {} of the log, during {}: {why}",
                cut.until, STEPS[cut.step].name
            ));
        }
        host.admin(CLEAR);
    }
}

/// What is left of a state.
const CLEAR: &str = "! mountpoint -q /tmp/data || umount /tmp/data; rm -rf /tmp/run/* /tmp/state";

/// The control: a disk loses half of what was written since several flushes before. What is not whole then.
fn believed(host: &Host, log: &[Entry], turn: usize) -> Option<String> {
    let all = flushes(log);
    // Far apart from turn to turn: states beside one another lose much the same.
    let at = (1 + turn * FAR % LYING) * all.len().saturating_sub(1) / LYING;
    let (from, cut) = (all[at.saturating_sub(LIES)].until, Cut { next: all[at].step, ..all[at] });
    host.admin(&format!("rm -f /tmp/state; truncate -s {BYTES} /tmp/state"));
    let state = host.path("/tmp/state");
    let disk = File::options().write(true).open(&state);
    let disk = disk.unwrap_or_else(|error| panic!("{state:?}: {error}"));
    let mut seeded = Seeded::new(5000 + turn as u64);
    for (number, entry) in log[..cut.until].iter().enumerate() {
        if number < from || seeded.below(2) == 0 {
            apply(&disk, entry);
        }
    }
    drop(disk);
    let why = tried(|| is_whole(host, cut));
    host.admin(CLEAR);
    why
}

fn apply(disk: &File, entry: &Entry) {
    if let Entry::Write { offset, data } = entry {
        disk.write_all_at(data, *offset).unwrap_or_else(|error| panic!("the disk: {error}"));
    }
}

/// Some of the writes up to the next flush are there, and one of them in part.
fn tear(state: &Path, behind: &[Entry], seed: u64) {
    let disk = File::options().write(true).open(state).unwrap_or_else(|error| panic!("{state:?}: {error}"));
    let mut seeded = Seeded::new(1000 + seed);
    let writes = behind.iter().take_while(|entry| **entry != Entry::Flush);
    let mut there: Vec<&Entry> = writes
        .filter(|entry| matches!(entry, Entry::Write { .. }))
        .filter(|_| seeded.below(2) == 0)
        .collect();
    let torn = seeded.below(there.len());
    if let Some(Entry::Write { offset, data }) = (!there.is_empty()).then(|| there.remove(torn)) {
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            if seeded.below(2) == 0 {
                let offset = offset + (number * SECTOR) as u64;
                apply(&disk, &Entry::Write { offset, data: sector.to_vec() });
            }
        }
    }
    there.into_iter().for_each(|entry| apply(&disk, entry));
}

/// Looks at a state as after the machine has come up again: it fails where something is not whole.
fn is_whole(host: &Host, cut: Cut) {
    host.admin("mount -o loop /tmp/state /tmp/data");
    host.run(["system", "check"]).ok().prints("");
    host.run(["system", "check", "--deep"]).ok().prints("");
    let listed = host.run(["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    let listed: BTreeSet<&str> = listed.lines().collect();
    // None before the first step.
    let after = |count: usize| count.checked_sub(1).map_or(&[][..], |step| STEPS[step].images);
    let mut possible = (cut.step..=cut.next + 1).map(|count| after(count).iter().copied().collect());
    assert!(
        possible.any(|images: BTreeSet<&str>| images == listed),
        "{listed:?} is not what there is {:?} or {:?}",
        after(cut.step),
        after(cut.next + 1)
    );
    for image in &listed {
        runs(host, image);
    }
    host.run(["ps", "-a"]).ok();
    // Whatever was broken off is done again.
    for image in [BUSYBOX, INDEX] {
        host.run(["pull", "-q", image]).ok();
        runs(host, image);
    }
    host.run(["system", "check", "--deep"]).ok().prints("");
    // What no image needs goes, and nothing else is left.
    host.run(["system", "doctor", "--fix"]);
    host.run(["system", "doctor"]).ok().prints("");
    host.run(["system", "prune", "-a", "-f"]).ok();
    host.admin("cd /tmp/data/image; ls layers staging; find blobs -type f; ls | grep new || :").prints(
        "layers:

staging:",
    );
}

fn runs(host: &Host, image: &str) {
    let script = if image == KEPT {
        "cat /etc/changed; ls /new | wc -l; test ! -e /etc/group"
    } else {
        "echo changed; echo 40; test -e /etc/group"
    };
    let words = ["run", "--rm", "--net", "none", "--pull", "never", image, "/bin/sh", "-c", script];
    host.run(words).ok().prints("changed\n40");
}
