//! What runs out for the runtime.

use super::{NONE, Resource};
use crate::errors::{self, Make};

/// The commands; a checkpoint is CRIU's work.
pub fn commands() -> Vec<(&'static str, Make)> {
    errors::runtime::commands().into_iter().filter(|(command, _)| *command != "checkpoint").collect()
}

/// A file system of its own for what the runtime knows.
const SMALL: Resource = Resource { last: "umount PLACE", ..NONE };

/// Descriptors that are open at once (getrlimit(2)).
pub const DESCRIPTORS: Resource = Resource {
    name: "descriptors (RLIMIT_NOFILE)",
    amounts: (
        &[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 26, 28, 30, 32, 40, 48, 64],
        &[4, 6, 8, 11, 14, 18, 24, 64],
    ),
    by_itself: "ulimit -n AMOUNT",
    ..NONE
};

/// The length of a file that is written (getrlimit(2)).
pub const LENGTH: Resource = Resource {
    name: "length of a file (RLIMIT_FSIZE), in blocks of 512",
    amounts: (&[0, 1, 2, 4, 8, 16, 64], &[0, 1, 64]),
    by_itself: "ulimit -f AMOUNT",
    ..NONE
};

/// Processes of the command and its children.
pub const PROCESSES: Resource = Resource {
    name: "processes (pids.max)",
    amounts: (&[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20], &[1, 2, 3, 20]),
    first: "IN=pids; mkdir -p $in",
    by_itself: "IN=pids; echo AMOUNT >$in/pids.max; echo $$ >$in/cgroup.procs",
    ..NONE
};

/// Memory of the command and its children.
pub const MEMORY: Resource = Resource {
    name: "memory, in KiB",
    amounts: (&[64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192], &[128, 512, 1024, 8192]),
    first: "IN=memory; mkdir -p $in",
    by_itself: "IN=memory
        [ -e $in/memory.limit_in_bytes ] && limit=memory.limit_in_bytes || limit=memory.max
        echo $((AMOUNT * 1024)) >$in/$limit; echo $$ >$in/cgroup.procs",
    kills: true,
    ..NONE
};

/// Each of them.
pub const RESOURCES: &[Resource] = &[
    Resource {
        name: "space of --root, in KiB",
        amounts: (&[4, 8, 12, 16, 20, 24, 28, 32, 48, 64, 128, 256, 1024], &[4, 8, 16, 24, 64, 1024]),
        first: "mkdir -p PLACE; mount -t tmpfs -o mode=700,size=AMOUNTk small PLACE",
        ..SMALL
    },
    Resource {
        name: "files of --root",
        amounts: (&[1, 2, 3, 4, 5, 6, 7, 8, 12], &[1, 3, 4, 12]),
        first: "mkdir -p PLACE; mount -t tmpfs -o mode=700,nr_inodes=AMOUNT small PLACE",
        ..SMALL
    },
    Resource {
        name: "space of --root that others have left, in KiB",
        amounts: (&[0, 4, 8, 12], &[0, 64]),
        first: "mkdir -p PLACE; mount -t tmpfs -o mode=700,size=1m small PLACE",
        before: "set -- $(df -k --output=avail PLACE)
            dd if=/dev/zero of=PLACE/.full bs=1k count=$(($2 - AMOUNT)) 2>/dev/null",
        after: "rm -f PLACE/.full",
        ..SMALL
    },
    Resource {
        name: "leave to write to --root",
        amounts: (&[0], &[0]),
        first: "mkdir -p PLACE; mount -t tmpfs -o mode=700 small PLACE",
        before: "mount -o remount,ro PLACE",
        after: "mount -o remount,rw PLACE",
        ..SMALL
    },
    DESCRIPTORS,
    LENGTH,
    PROCESSES,
    MEMORY,
];
