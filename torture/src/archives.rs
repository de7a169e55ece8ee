//! Archives that were changed, unpacked by us and by tar(1): the same files come of them, or ours refuses. What two readers see as two
//! different layers is how one is shown to a scanner and another one runs.

use crate::arguments::Arguments;
use crate::report::Section;
use fuzz::archive;
use fuzz::mutator::Mutator;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::Host;

/// How many archives: by `--quick`, and otherwise.
const ARCHIVES: (usize, usize) = (1600, 100_000);

/// So many are unpacked by one script.
const BATCH: usize = 400;

/// What one may take of us: bytes and files.
const MOST: (u64, u64) = (4 << 20, 1000);

/// The sound ones, by what they are; as [`archive::plain`] has them.
const FORMS: [&str; 8] = [
    "POSIX",
    "POSIX, prefixes and modes",
    "GNU, long names and large numbers",
    "pax, records",
    "GNU, sparse",
    "GNU, sparse, more pieces",
    "seventh edition",
    "one name several times",
];

/// Where all of it happens.
const PLACE: &str = "/tmp/archives";

/// tar(1) on each of them; what it says goes beside. Nothing but memory can be written to.
const SCRIPT: &str = r#"
cd /tmp/archives; umask 022
for archive in *.tar; do
    number=${archive%.tar}
    mkdir theirs/$number
    code=0
    timeout -s KILL 20 tar --extract --preserve-permissions --numeric-owner --same-owner --delay-directory-restore \
        --file $archive --directory theirs/$number </dev/null >said/$number 2>&1 || code=$?
    echo $number $code
done
"#;

/// What came of the archives of one form.
#[derive(Default)]
struct Row {
    archives: usize,
    same: usize,
    neither: usize,
    ours_refuses: usize,
    theirs_refuses: usize,
    differ: usize,
}

/// All archives.
pub fn part(arguments: &Arguments) -> Section {
    let count = if arguments.quick { ARCHIVES.0 } else { ARCHIVES.1 };
    let host = Host::root(&arguments.programs.join("devoxx-runtime"));
    host.admin("mount -o remount,bind,ro /; mkdir /tmp/archives");
    let mut rows: Vec<Row> = FORMS.iter().map(|_| Row::default()).collect();
    let mut wrong = Vec::new();
    let (plain, mut mutator) = (archive::plain(), Mutator::new(1));
    let mut left = count;
    while left > 0 {
        let archives: Vec<(usize, Vec<u8>)> = (0..left.min(BATCH))
            .map(|_| {
                let form = mutator.below(plain.len());
                (form, archive::changed(&mut mutator, &plain[form]))
            })
            .collect();
        left -= archives.len();
        batch(&host, &archives, &mut rows, &mut wrong);
    }
    let kept = arguments.out.join("archives");
    fs::create_dir_all(&kept).expect("mkdir");
    for (number, (bytes, _)) in wrong.iter().take(50).enumerate() {
        fs::write(kept.join(format!("{number}.tar")), bytes).expect("write");
    }
    let cells = |form: &str, row: &Row| {
        let numbers = [row.archives, row.same, row.neither, row.ours_refuses, row.theirs_refuses, row.differ];
        std::iter::once(form.to_owned()).chain(numbers.map(|number| number.to_string())).collect()
    };
    Section {
        name: "archives",
        title: "Changed archives, unpacked beside GNU tar",
        columns: &[
            "form",
            "archives",
            "the same files",
            "refused by both",
            "refused by ours alone",
            "a file over a directory, refused or given its mode by tar alone",
            "other files",
        ],
        figures: format!(
            "{count} changed archives; {} unpacked to other files than by GNU tar.",
            wrong.len()
        ),
        rows: FORMS.iter().zip(&rows).map(|(form, row)| cells(form, row)).collect(),
        notes: Vec::new(),
        wrong: wrong
            .iter()
            .take(20)
            .enumerate()
            .map(|(number, (_, why))| format!("{}: {why}", kept.join(format!("{number}.tar")).display()))
            .collect(),
    }
}

fn batch(host: &Host, archives: &[(usize, Vec<u8>)], rows: &mut [Row], wrong: &mut Vec<(Vec<u8>, String)>) {
    let place = host.path(PLACE);
    for directory in ["ours", "theirs", "said"] {
        fs::create_dir(place.join(directory)).expect("mkdir");
    }
    let begin = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    let mut ours = Vec::new();
    for (number, (_, bytes)) in archives.iter().enumerate() {
        fs::write(place.join(format!("{number}.tar")), bytes).expect("write");
        let root = place.join("ours").join(number.to_string());
        fs::create_dir(&root).expect("mkdir");
        ours.push(image::fuzzing::unpack(bytes, &root, &place, MOST));
    }
    let codes = host.admin(SCRIPT).stdout;
    let codes: BTreeMap<usize, i32> = codes
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(number, code)| Some((number.parse().ok()?, code.parse().ok()?)))
        .collect();
    for (number, (form, bytes)) in archives.iter().enumerate() {
        let row = &mut rows[*form];
        row.archives += 1;
        let code = codes.get(&number).copied().unwrap_or(-1);
        if ours[number].is_err() {
            if code == 0 {
                row.ours_refuses += 1
            } else {
                row.neither += 1
            }
            continue;
        }
        let listing = |whose: &str| files(&place.join(whose).join(number.to_string()), begin);
        let (here, there) = (listing("ours"), listing("theirs"));
        let differences = differences(&here, &there);
        if differences.is_empty() {
            // Perhaps with a complaint, such as of a number that a record replaces.
            row.same += 1;
            continue;
        }
        let said = fs::read(place.join("said").join(number.to_string())).unwrap_or_default();
        let keeps = code == 2 && keeps_a_directory(&String::from_utf8_lossy(&said));
        if keeps || (code == 0 && comes_late(host, &listing, number, &here, &there)) {
            row.theirs_refuses += 1;
            continue;
        }
        row.differ += 1;
        let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
        wrong.push((
            bytes.clone(),
            format!("{}: tar ends with {code} ({said}): {}", FORMS[*form], differences.join(", ")),
        ));
    }
    for name in fs::read_dir(&place).expect("list").flatten() {
        image::remove_at(&name.path()).expect("remove");
    }
}

/// Whether all that tar(1) could not do is to put a file in the place of a directory with files, or to give that directory a second name as
/// it would the file: as layers have it, the last entry of a name holds.
fn keeps_a_directory(said: &str) -> bool {
    let cannot: Vec<&str> = said.lines().filter(|line| line.contains(": Cannot ")).collect();
    let stays = |line: &str| line.ends_with(": File exists");
    let kept: Vec<&str> = cannot
        .iter()
        .filter(|line| stays(line))
        .filter_map(|line| Some(line.strip_prefix("tar: ")?.split_once(": Cannot ")?.0))
        .collect();
    let second = |line: &str| {
        let rest = line.split_once(": Cannot hard link to ").map(|(_, rest)| rest);
        rest.and_then(|rest| rest.strip_suffix(": Operation not permitted"))
            .is_some_and(|name| kept.contains(&name.trim_matches('\'')))
    };
    !kept.is_empty() && cannot.iter().all(|line| stays(line) || second(line))
}

/// Whether all that tar(1) does in another way is to give a file the mode of a directory whose place it has taken: those of directories come
/// last there, and when they come at once it does as we do.
fn comes_late(
    host: &Host,
    listing: &dyn Fn(&str) -> BTreeMap<PathBuf, String>,
    number: usize,
    ours: &BTreeMap<PathBuf, String>,
    theirs: &BTreeMap<PathBuf, String>,
) -> bool {
    host.admin(&format!(
        "cd /tmp/archives; umask 022; rm -rf again; mkdir -p again/{number}
        tar --extract --preserve-permissions --numeric-owner --same-owner --file {number}.tar --directory again/{number} 2>/dev/null || :"
    ));
    let again = listing("again");
    host.admin("rm -rf /tmp/archives/again");
    let mut paths = ours.keys().chain(theirs.keys()).filter(|path| ours.get(*path) != theirs.get(*path));
    paths.all(|path| {
        ours.get(path).is_some_and(|found| !found.ends_with("directory")) && ours.get(path) == again.get(path)
    })
}

fn differences(ours: &BTreeMap<PathBuf, String>, theirs: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let paths = ours.keys().chain(theirs.keys().filter(|path| !ours.contains_key(*path)));
    let shown = |found: Option<&String>| found.map_or("nothing", String::as_str).to_owned();
    paths
        .filter(|path| ours.get(*path) != theirs.get(*path))
        .map(|path| format!("{path:?}: {} and tar {}", shown(ours.get(path)), shown(theirs.get(path))))
        .collect()
}

/// Everything at a directory and below it, with all that an archive says of it.
fn files(root: &Path, begin: i64) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let whole = root.join(&path);
        let Ok(about) = fs::symlink_metadata(&whole) else { continue };
        if about.is_dir() {
            open.extend(
                fs::read_dir(&whole)
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| path.join(entry.file_name())),
            );
        }
        found.insert(path, described(&whole, &about, begin));
    }
    found
}

fn described(path: &Path, about: &Metadata, begin: i64) -> String {
    // What no archive says a time of has that of its making.
    let time = if (begin..begin + 3600).contains(&about.mtime()) {
        "now".to_owned()
    } else {
        format!("{}.{:09}", about.mtime(), about.mtime_nsec())
    };
    let what = if about.is_symlink() {
        let target = fs::read_link(path).map(|target| target.into_os_string().into_vec()).unwrap_or_default();
        format!("link to {}", target.escape_ascii())
    } else if about.is_file() {
        format!("{} bytes {:x} named {} times", about.len(), content(path, about.len()), about.nlink())
    } else if about.is_dir() {
        "directory".to_owned()
    } else {
        format!("device {:x} named {} times", about.rdev(), about.nlink())
    };
    format!("{:o} {}:{} {time} {what}", about.mode(), about.uid(), about.gid())
}

/// Of a file that is larger than ours may have, the size says enough.
fn content(path: &Path, length: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    if length <= 2 * MOST.0 {
        fs::read(path).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
