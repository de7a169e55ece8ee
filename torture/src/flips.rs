//! One flipped bit in any file of the image store: `system check --deep` names it, nothing wrong is run, and a pull mends it.

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use crate::seeded::Seeded;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use testkit::{Host, Outcome, Registry};

/// How many bits are flipped: by `--quick`, and otherwise.
const FLIPS: (u32, u32) = (40, 1000);

/// What is stored, in the words of the report.
const IMAGES: [&str; 2] = ["127.0.0.1:5000/busybox:latest", "127.0.0.1:5000/team/index:1"];

/// The code of a command that found something.
const FOUND: i32 = 125;

/// A store of root's, and one of an ordinary user's with files for a user namespace.
pub fn part(arguments: &Arguments) -> Section {
    let flips = if arguments.quick { FLIPS.0 } else { FLIPS.1 };
    let program = arguments.programs.join("devoxx-container");
    let mut kinds: Vec<Kind> = Vec::new();
    let mut wrong = Vec::new();
    for rootless in [false, true] {
        let host = if rootless { Host::rootless(&program) } else { Host::root(&program) };
        let registry = Registry::start(&host);
        let broken = tried(|| flip_all(&host, rootless, flips / 2, &mut kinds, &mut wrong));
        wrong.extend(broken);
        drop(registry);
    }
    let all: u32 = kinds.iter().map(|kind| kind.flips).sum();
    let named: u32 = kinds.iter().map(|kind| kind.named).sum();
    if all + 1 < flips || named < all {
        wrong.push(format!("{flips} bits were to be flipped, {all} were, {named} of them named"));
    }
    let rows = kinds.iter().map(|kind| {
        let counts = [kind.flips, kind.named, kind.refused, kind.mended].map(|count| count.to_string());
        [vec![kind.name.to_owned(), kind.files.to_string()], counts.to_vec()].concat()
    });
    Section {
        name: "flips",
        title: "One flipped bit in the image store",
        columns: &["file", "there are", "bits flipped", "named", "then not run", "mended by a pull"],
        rows: rows.collect(),
        figures: format!("{named} of {all} flipped bits were named by `system check --deep`."),
        notes: Vec::new(),
        wrong,
    }
}

/// A kind of file, and what came of its flips.
struct Kind {
    name: &'static str,
    files: usize,
    flips: u32,
    named: u32,
    refused: u32,
    mended: u32,
}

fn flip_all(host: &Host, rootless: bool, flips: u32, kinds: &mut Vec<Kind>, wrong: &mut Vec<String>) {
    let store = host.path("/tmp/data/image");
    IMAGES.iter().for_each(|image| drop(host.run(["pull", "-q", image]).ok()));
    let sound = IMAGES.map(|image| used(host, rootless, image).ok().stdout);
    host.run(["system", "check", "--deep"]).ok().prints("");
    let names = kinds_of(rootless);
    let mut seeded = Seeded::new(if rootless { 2 } else { 1 });
    for turn in 0..flips {
        let name = names[turn as usize % names.len()];
        let files = files_of(&store, name);
        assert!(!files.is_empty(), "there is no file of {name}");
        let at = kinds.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
            kinds.push(Kind { name, files: 0, flips: 0, named: 0, refused: 0, mended: 0 });
            kinds.len() - 1
        });
        let kind = &mut kinds[at];
        kind.files = kind.files.max(files.len());
        let file = &files[seeded.below(files.len())];
        let place = flip(file, &mut seeded);
        let shown = format!("{} {place}", file.strip_prefix(&store).unwrap_or(file).display());
        kind.flips += 1;
        let mut note = |fine: bool, count: &mut u32, what: &str, outcome: &Outcome| {
            *count += u32::from(fine);
            if !fine {
                wrong.push(format!("{shown}: {what}: {outcome}"));
            }
        };
        let found = host.run(["system", "check", "--deep"]);
        let named = if name == RECORDS { found.stderr.contains("records.json") } else { is_named(&found) };
        note(found.code == FOUND && named, &mut kind.named, "not named", &found);
        let mut refused = false;
        for (image, sound) in IMAGES.iter().zip(&sound) {
            let outcome = used(host, rootless, image);
            refused |= outcome.code != 0;
            note(outcome.code != 0 || outcome.stdout == *sound, &mut 0, "something else is run", &outcome);
        }
        kind.refused += u32::from(refused);
        if name == RECORDS {
            // As the error says.
            fs::remove_file(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        }
        let pulled = IMAGES.map(|image| host.run(["pull", "-q", image]));
        pulled.iter().for_each(|pulled| note(pulled.code == 0, &mut 0, "not pulled", pulled));
        let outputs = IMAGES.map(|image| used(host, rootless, image));
        let mended = host.run(["system", "check", "--deep"]);
        let runs = outputs.iter().zip(&sound).all(|(now, sound)| now.code == 0 && now.stdout == *sound);
        let fine = mended.code == 0 && mended.stdout.is_empty() && runs;
        note(fine, &mut kind.mended, "not mended", &mended);
        if !fine {
            // The next one is to be looked at by itself.
            host.run(["rmi", "-f", IMAGES[0], IMAGES[1]]);
            host.admin("rm -rf /tmp/data/image");
            IMAGES.iter().for_each(|image| drop(host.run(["pull", "-q", image]).ok()));
            IMAGES.iter().for_each(|image| drop(used(host, rootless, image).ok()));
        }
    }
}

/// What the first words of a line of `system check` have to be.
fn is_named(found: &Outcome) -> bool {
    IMAGES.iter().any(|image| found.stdout.lines().any(|line| line.starts_with(&format!("{image}: "))))
}

/// An image in use: what it says depends on each byte that is of importance for it.
fn used(host: &Host, rootless: bool, image: &str) -> Outcome {
    let userns: &[&str] = if rootless { &["--userns", "keep-id"] } else { &[] };
    let script = "find /bin /sbin /usr /etc/passwd /etc/group /home -type f -exec sha256sum {} + | sort; env | sort | grep -v HOSTNAME";
    let words =
        [&["run", "--rm", "--net", "none", "--pull", "never"][..], userns, &[image, "/bin/sh", "-c", script]];
    host.run(words.concat())
}

const RECORDS: &str = "records";

fn kinds_of(rootless: bool) -> Vec<&'static str> {
    let mut all = vec!["manifests, configurations", "files of layers", "beside the files", RECORDS];
    if rootless {
        all.push("files with other owners");
    }
    all
}

/// Every file of a kind that has a byte.
fn files_of(store: &Path, kind: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let take = |path: &Path, all: &mut Vec<PathBuf>| {
        if fs::symlink_metadata(path).is_ok_and(|about| about.is_file() && about.len() > 0) {
            all.push(path.to_owned());
        }
    };
    match kind {
        RECORDS => take(&store.join("records.json"), &mut all),
        "manifests, configurations" => {
            below(&store.join("blobs/sha256")).iter().for_each(|path| take(path, &mut all));
        }
        "files of layers" => {
            whole(&store.join("layers")).iter().for_each(|layer| tree(&layer.join("diff"), &mut all));
        }
        "files with other owners" => {
            for chain in below(&store.join("mapped")) {
                whole(&chain).iter().for_each(|tree_of| tree(tree_of, &mut all));
            }
        }
        _ => {
            for layer in whole(&store.join("layers")) {
                ["split", "size", "blob"].iter().for_each(|name| take(&layer.join(name), &mut all));
            }
        }
    }
    all.sort();
    all
}

fn below(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The same without what was replaced.
fn whole(directory: &Path) -> Vec<PathBuf> {
    below(directory).into_iter().filter(|path| path.extension().is_none()).collect()
}

fn tree(path: &Path, all: &mut Vec<PathBuf>) {
    for entry in below(path) {
        match fs::symlink_metadata(&entry) {
            Ok(about) if about.is_dir() => tree(&entry, all),
            Ok(about) if about.is_file() && about.len() > 0 => all.push(entry),
            _ => {}
        }
    }
}

/// Flips a bit of a file; where.
fn flip(file: &Path, seeded: &mut Seeded) -> String {
    let failed = |error: std::io::Error| -> String { panic!("{file:?}: {error}") };
    let mut change = || -> std::io::Result<String> {
        let opened = File::options().read(true).write(true).open(file)?;
        let length = usize::try_from(opened.metadata()?.len()).unwrap_or(usize::MAX);
        let (offset, bit) = (seeded.below(length) as u64, seeded.below(8));
        let mut byte = [0];
        opened.read_exact_at(&mut byte, offset)?;
        byte[0] ^= 1 << bit;
        opened.write_all_at(&byte, offset)?;
        Ok(format!("at {offset}, bit {bit}"))
    };
    change().unwrap_or_else(failed)
}
