//! Resources that run out: each command of the runtime with too little of one. The command either says in one line what failed, or has fully
//! done its work; what is left goes as with any other error ([`crate::errors`]).

use crate::arguments::Arguments;
use crate::errors::runtime;
use crate::errors::verdict::{Swept, What, judge};
use crate::errors::{LIMIT, SHOWN, Subject};
use crate::replay::tried;
use crate::report::Section;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use testkit::bundle::ROOT;
use testkit::deadline::poll;
use testkit::injector::Injected;

/// A resource. In each script `AMOUNT` is how much there is of it, and `ROOT` where the runtime keeps what it knows.
struct Resource {
    name: &'static str,
    /// Each amount that is tried, and with `--quick`.
    amounts: (&'static [u32], &'static [u32]),
    /// Done as root before anything is there.
    first: &'static str,
    /// As root before the command.
    before: &'static str,
    /// By who then becomes the command.
    by_itself: &'static str,
    /// As root after it.
    after: &'static str,
    /// As root when nothing is there any more.
    last: &'static str,
    /// Whether the kernel may kill for the lack of it.
    kills: bool,
}

/// What is as usual.
const NONE: Resource = Resource {
    name: "",
    amounts: (&[], &[]),
    first: "",
    before: "",
    by_itself: "",
    after: "",
    last: "",
    kills: false,
};

/// A file system of its own for what the runtime knows.
const SMALL: Resource = Resource { last: "umount ROOT", ..NONE };

const RESOURCES: &[Resource] = &[
    Resource {
        name: "space of --root, in KiB",
        amounts: (&[4, 8, 12, 16, 20, 24, 28, 32, 48, 64, 128, 256, 1024], &[4, 8, 16, 24, 64, 1024]),
        first: "mkdir -p ROOT; mount -t tmpfs -o mode=700,size=AMOUNTk small ROOT",
        ..SMALL
    },
    Resource {
        name: "files of --root",
        amounts: (&[1, 2, 3, 4, 5, 6, 7, 8, 12], &[1, 3, 4, 12]),
        first: "mkdir -p ROOT; mount -t tmpfs -o mode=700,nr_inodes=AMOUNT small ROOT",
        ..SMALL
    },
    Resource {
        name: "space of --root that others have left, in KiB",
        amounts: (&[0, 4, 8, 12], &[0, 64]),
        first: "mkdir -p ROOT; mount -t tmpfs -o mode=700,size=1m small ROOT",
        before: "set -- $(df -k --output=avail ROOT)
            dd if=/dev/zero of=ROOT/.full bs=1k count=$(($2 - AMOUNT)) 2>/dev/null",
        after: "rm -f ROOT/.full",
        ..SMALL
    },
    Resource {
        name: "leave to write to --root",
        amounts: (&[0], &[0]),
        first: "mkdir -p ROOT; mount -t tmpfs -o mode=700 small ROOT",
        before: "mount -o remount,ro ROOT",
        after: "mount -o remount,rw ROOT",
        ..SMALL
    },
    Resource {
        name: "descriptors (RLIMIT_NOFILE)",
        amounts: (
            &[
                4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 26, 28, 30, 32, 40, 48,
                64,
            ],
            &[4, 6, 8, 11, 14, 18, 24, 64],
        ),
        by_itself: "ulimit -n AMOUNT",
        ..NONE
    },
    Resource {
        name: "length of a file (RLIMIT_FSIZE), in blocks of 512",
        amounts: (&[0, 1, 2, 4, 8, 16, 64], &[0, 1, 64]),
        by_itself: "ulimit -f AMOUNT",
        ..NONE
    },
    Resource {
        name: "processes (pids.max)",
        amounts: (&[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20], &[1, 2, 3, 20]),
        first: "IN=pids; mkdir -p $in",
        by_itself: "IN=pids; echo AMOUNT >$in/pids.max; echo $$ >$in/cgroup.procs",
        ..NONE
    },
    Resource {
        name: "memory, in KiB",
        amounts: (&[64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192], &[128, 512, 1024, 8192]),
        first: "IN=memory; mkdir -p $in",
        by_itself: "IN=memory
            [ -e $in/memory.limit_in_bytes ] && limit=memory.limit_in_bytes || limit=memory.max
            echo $((AMOUNT * 1024)) >$in/$limit; echo $$ >$in/cgroup.procs",
        kills: true,
        ..NONE
    },
];

/// `IN=CONTROLLER`: a cgroup for the command alone; that of a container is another.
fn script(text: &str, amount: u32) -> String {
    let controller = if text.contains("IN=pids") { "pids" } else { "memory" };
    let top = "/sys/fs/cgroup";
    let place = format!("in={top}/small; [ ! -e {top}/{controller} ] || in={top}/{controller}/small");
    text.replace(&format!("IN={controller}"), &place)
        .replace("AMOUNT", &amount.to_string())
        .replace("ROOT", ROOT)
}

/// Every resource, with every command.
#[expect(clippy::print_stderr, reason = "a program, for who waits for it")]
pub fn part(arguments: &Arguments) -> Section {
    let wanted: Vec<&Resource> = RESOURCES.iter().filter(|resource| arguments.wants(resource.name)).collect();
    let mut all: Vec<Tried> = wanted.iter().map(|_| Tried::default()).collect();
    // A checkpoint is CRIU's work.
    for (command, make) in runtime::commands().into_iter().filter(|(command, _)| *command != "checkpoint") {
        let mut subject = None;
        for (resource, tried_so) in wanted.iter().zip(&mut all) {
            let amounts = if arguments.quick { resource.amounts.1 } else { resource.amounts.0 };
            for amount in amounts {
                let what = format!("{command} with {amount}");
                let before = tried_so.swept.findings().count();
                let panicked = tried(|| {
                    let subject = subject.get_or_insert_with(|| make(arguments));
                    once(tried_so, resource, &mut **subject, *amount, &what);
                });
                if let Some(words) = panicked {
                    tried_so.swept.find(What::Wrong, format!("{what}: {words}"));
                    subject = None;
                }
                for finding in tried_so.swept.findings().skip(before) {
                    eprintln!("{}, {finding}", resource.name);
                }
            }
        }
    }
    let mut notes = Vec::new();
    let mut fine = true;
    let (mut commands, mut found) = (0, 0);
    let mut rows = Vec::new();
    for (resource, Tried { swept, killed }) in wanted.iter().zip(&all) {
        fine &= swept.findings().next().is_none() && swept.succeeded > 0 && swept.refused + killed > 0;
        notes.extend(swept.findings().take(SHOWN).map(|finding| format!("{}, {finding}", resource.name)));
        commands += swept.succeeded + swept.refused + killed;
        found += swept.findings().count();
        let mut row = swept.row(resource.name);
        // There are no calls that are counted, and an error has many names.
        row[5] = killed.to_string();
        row.remove(1);
        rows.push(row);
    }
    Section {
        name: "limits",
        title: "Resources that run out",
        columns: &[
            "too little of",
            "commands",
            "succeeded",
            "refused",
            "killed by the kernel for it",
            "hung",
            "panicked",
            "left something",
            "wrong",
        ],
        figures: format!(
            "{commands} commands with too little; {found} panicked, hung, left something or were wrong."
        ),
        rows,
        notes,
        fine,
    }
}

/// What came of a resource.
#[derive(Default)]
struct Tried {
    swept: Swept,
    killed: u64,
}

/// One command with an amount of a resource.
fn once(tried: &mut Tried, resource: &Resource, subject: &mut dyn Subject, amount: u32, what: &str) {
    let root = |subject: &dyn Subject, text: &str| {
        if !text.is_empty() {
            subject.host().admin(&script(text, amount));
        }
    };
    root(subject, resource.first);
    subject.begin();
    // It may be too little for what has to be there before the command.
    if subject.prepare().is_ok() {
        root(subject, resource.before);
        let injected = ended(subject, &script(resource.by_itself, amount));
        root(subject, resource.after);
        let told =
            |why: &str| format!("{what}: {why}: code {}, {:?}", injected.code, injected.stderr.trim_end());
        tried.swept.injections += 1;
        if resource.kills && injected.code == 128 + 9 {
            tried.killed += 1;
        } else {
            judge(&mut tried.swept, subject, &injected, None, &told);
        }
        let left = subject.cleaned();
        if !left.is_empty() {
            tried.swept.find(What::Left, told(&left.join("; ")));
        }
        if let Err(why) = subject.bystander() {
            tried.swept.find(What::Wrong, told(&why));
        }
    } else {
        subject.cleaned();
    }
    root(subject, resource.last);
}

/// Runs the command. Its errors go to a socket: a file would have the limit of files, and a pipe is not waited for while a container
/// that runs on has it.
fn ended(subject: &dyn Subject, by_itself: &str) -> Injected {
    let (out, _) = subject.output();
    let (ours, theirs) = UnixStream::pair().unwrap_or_else(|error| panic!("socketpair: {error}"));
    let file = std::fs::File::create(&out).unwrap_or_else(|error| panic!("{out:?}: {error}"));
    let mut command = subject.command(by_itself);
    let child = command.stdout(file).stderr(OwnedFd::from(theirs)).spawn();
    drop(command);
    let mut child = child.unwrap_or_else(|error| panic!("{error}"));
    let status = poll(LIMIT, || child.try_wait().ok().flatten());
    if status.is_none() {
        // It may have ended since.
        child.kill().ok();
        child.wait().ok();
    }
    let mut stderr = Vec::new();
    let mut ours = ours;
    // All that it said is there: what is not is not waited for.
    ours.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
    ours.read_to_end(&mut stderr).ok();
    let code = status.and_then(|status| status.code().or(status.signal().map(|signal| 128 + signal)));
    Injected {
        calls: 0,
        kinds: Vec::new(),
        met: None,
        code: code.unwrap_or(-1),
        hung: status.is_none(),
        stdout: std::fs::read_to_string(&out).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}
