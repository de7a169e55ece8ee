//! The parts that are a table each: a name for the command line, and what makes it.

use crate::arguments::Arguments;
use crate::report::Section;
use crate::{
    archives, chaos, crowds, cycles, descriptors, engine, flips, malformed, orphans, power, races, rootless,
    without_openat2,
};
#[cfg(target_arch = "x86_64")]
use crate::{errors, limits};

/// What makes a part.
type Part = fn(&Arguments) -> Section;

/// In the order of the report.
pub const ALL: &[(&str, Part)] = &[
    ("engine", engine::part),
    ("descriptors", descriptors::part),
    ("crowds", crowds::part),
    ("cycles", cycles::part),
    ("chaos", chaos::part),
    ("rootless", rootless::part),
    ("openat2", without_openat2::part),
    ("races", races::part),
    #[cfg(target_arch = "x86_64")]
    ("errors", errors::part),
    #[cfg(target_arch = "x86_64")]
    ("engine-errors", errors::part_of_engine),
    #[cfg(target_arch = "x86_64")]
    ("limits", limits::part),
    ("flips", flips::part),
    ("power", power::part),
    ("orphans", orphans::part),
    ("archives", archives::part),
    ("malformed", malformed::part),
];
