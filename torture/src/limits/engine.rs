//! What runs out for the engine. Its data, and what it knows of containers that run, are on file systems of their own. For the command alone
//! they are made as small as what is on them and so much more.

use super::{NONE, Resource, runtime};

pub use crate::errors::engine::COMMANDS;

/// Of them, those for what is kept; they are as large again when the command has ended.
const ROOT: Resource = Resource { after: "mount -o remount,size=64m,nr_inodes=16k $DEVOXX_ROOT", ..NONE };

/// And for what is gone with the machine.
const RUN: Resource = Resource { after: "mount -o remount,size=64m,nr_inodes=16k $DEVOXX_RUN", ..NONE };

/// Each of them.
pub const RESOURCES: &[Resource] = &[
    Resource {
        name: "space for images and containers, in KiB",
        amounts: (&[0, 4, 8, 12, 16, 24, 32, 64, 128, 256, 1024, 16384], &[0, 8, 16384]),
        before: "set -- $(df -k --output=used $DEVOXX_ROOT); mount -o remount,size=$(($2 + AMOUNT))k $DEVOXX_ROOT",
        ..ROOT
    },
    Resource {
        name: "files for images and containers",
        amounts: (&[0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 1000], &[0, 4, 1000]),
        before: "set -- $(df --output=iused $DEVOXX_ROOT); mount -o remount,nr_inodes=$(($2 + AMOUNT)) $DEVOXX_ROOT",
        ..ROOT
    },
    Resource {
        name: "leave to write to images and containers",
        amounts: (&[0], &[0]),
        // What is open there for writing is open by another way.
        before: "mount --bind $DEVOXX_ROOT $DEVOXX_ROOT; mount -o remount,bind,ro $DEVOXX_ROOT",
        after: "umount -l $DEVOXX_ROOT",
        ..NONE
    },
    Resource {
        name: "space for what is known of those that run, in KiB",
        amounts: (&[0, 4, 8, 12, 16, 20, 24, 32, 48, 1024], &[0, 8, 1024]),
        before: "set -- $(df -k --output=used $DEVOXX_RUN); mount -o remount,size=$(($2 + AMOUNT))k $DEVOXX_RUN",
        ..RUN
    },
    Resource {
        name: "files for what is known of those that run",
        amounts: (&[0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 1000], &[0, 3, 1000]),
        before: "set -- $(df --output=iused $DEVOXX_RUN); mount -o remount,nr_inodes=$(($2 + AMOUNT)) $DEVOXX_RUN",
        ..RUN
    },
    Resource {
        amounts: (
            &[4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 26, 28, 30, 32, 40, 64],
            &[4, 9, 16, 24, 64],
        ),
        ..runtime::DESCRIPTORS
    },
    Resource { amounts: (&[0, 1, 2, 4, 8, 16, 64, 20000], &[0, 4, 20000]), ..runtime::LENGTH },
    Resource { amounts: (&[1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 40], &[1, 3, 40]), ..runtime::PROCESSES },
    Resource {
        amounts: (&[512, 1024, 2048, 3072, 4096, 6144, 8192, 16384, 65536], &[1024, 4096, 65536]),
        ..runtime::MEMORY
    },
];
