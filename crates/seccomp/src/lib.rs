//! OCI seccomp profiles compiled to what the kernel is given as a filter (seccomp(2), config-linux.md "Seccomp"). Pure: no
//! input, no output.
//!
//! ```text
//! profile -> rules by architecture and number -> ranges of numbers, each with one answer -> a binary search in BPF
//! ```
//! A rule means what it means to libseccomp, which the tests ask.

mod action;
mod architecture;
mod assemble;
mod default_profile;
mod file;
mod ranges;
mod raw;
mod rule;
mod tables;
mod verdict;

pub use action::{action_names, bit_of, code_of, flags_known};
pub use architecture::architecture_names;
pub use default_profile::default_profile;
pub use file::{Circumstances, File};
pub use verdict::Verdict;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};
use std::fmt;

/// One instruction of a classic BPF program (`struct sock_filter`): code, jump if true, jump if false, operand.
pub type Instruction = (u16, u8, u8, u32);

/// A compiled program and the flags it is installed with. An empty program filters nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// In order.
    pub instructions: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Whether it asks somebody else about some calls (`SCMP_ACT_NOTIFY`): a descriptor for that comes with it.
    pub notifies: bool,
}

/// What a profile is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Whether a name that no architecture has is an error instead of nothing.
    pub fail_unknown: bool,
    /// Whether somebody answers questions whom the profile itself does not name.
    pub has_listener: bool,
}

/// Why a profile was not compiled: the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As in config.json, from `linux.seccomp` on.
    pub field: String,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for Refused {}

pub(crate) fn refused<T>(field: impl Into<String>, why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { field: field.into(), why: why.into() })
}

/// The longest program that the kernel takes (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

/// Compiles a profile for this machine and the other architectures that it names.
pub fn compile(profile: &LinuxSeccomp, options: Options) -> Result<Program, Refused> {
    compile_for(profile, options, architecture::Architecture::native())
}

fn compile_for(
    profile: &LinuxSeccomp,
    options: Options,
    native: architecture::Architecture,
) -> Result<Program, Refused> {
    check(profile, options)?;
    let default =
        action::answer(|| "defaultAction".to_owned(), profile.default_action(), profile.default_errno_ret())?;
    let architectures = architecture::of_profile(profile, native);
    let rules = rule::read(profile, default, options)?;
    let beyond = ranges::Beyond { default, enosys: enosys(profile) };
    let instructions = assemble::program(&architectures, &rules, beyond);
    if instructions.len() > LONGEST {
        return refused(
            "linux.seccomp.syscalls",
            format!("{} instructions, the kernel takes {LONGEST}", instructions.len()),
        );
    }
    let notifies =
        profile.syscalls().iter().flatten().any(|one| one.action() == LinuxSeccompAction::ScmpActNotify);
    let flags = action::flags(profile.flags().as_deref().unwrap_or_default(), notifies);
    Ok(Program { instructions, flags, notifies })
}

/// Whether calls that are newer than any that the profile knows answer ENOSYS instead of what the default is: a C library
/// then tries an older call, instead of failing for a reason that it cannot know. As runc does.
fn enosys(profile: &LinuxSeccomp) -> bool {
    !matches!(
        profile.default_action(),
        LinuxSeccompAction::ScmpActAllow
            | LinuxSeccompAction::ScmpActLog
            | LinuxSeccompAction::ScmpActTrace
            | LinuxSeccompAction::ScmpActNotify
    )
}

fn check(profile: &LinuxSeccomp, options: Options) -> Result<(), Refused> {
    let notify = |action: LinuxSeccompAction| action == LinuxSeccompAction::ScmpActNotify;
    if notify(profile.default_action()) {
        return refused("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY cannot be the default action");
    }
    let rules = profile.syscalls();
    let notifies = rules.iter().flatten().any(|rule| notify(rule.action()));
    if notifies
        && rules
            .iter()
            .flatten()
            .any(|rule| notify(rule.action()) && rule.names().iter().any(|n| n == "write"))
    {
        // The descriptor is handed over by calls of the process that already has the filter.
        return refused("linux.seccomp.syscalls", "SCMP_ACT_NOTIFY cannot be used for the write syscall");
    }
    let path = profile.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty());
    if notifies && path.is_none() && !options.has_listener {
        return refused("linux.seccomp.listenerPath", "must be there when SCMP_ACT_NOTIFY is used");
    }
    let metadata = profile.listener_metadata().as_ref().filter(|text| !text.is_empty());
    if metadata.is_some() && path.is_none() {
        return refused("linux.seccomp.listenerMetadata", "has no meaning without listenerPath");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
