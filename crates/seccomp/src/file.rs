//! A profile in a file, as Docker and podman write them: beyond the words of the runtime specification it has rules that hold
//! only with some capabilities, machines or kernels, and sets of architectures that go together.

use crate::default_profile::native_architectures;
use crate::{Refused, refused};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag as Flag,
    LinuxSyscall,
};
use serde::Deserialize;
use std::path::PathBuf;

/// A file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    default_action: Action,
    default_errno_ret: Option<u32>,
    /// Podman's name of the same number.
    default_errno: Option<String>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<Family>>,
    flags: Option<Vec<Flag>>,
    listener_path: Option<PathBuf>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Rule>>,
}

/// An architecture, and those that its kernel runs as well.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Family {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: Action,
    errno_ret: Option<u32>,
    /// Podman's name of the same number.
    errno: Option<String>,
    args: Option<Vec<LinuxSeccompArg>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    caps: Option<Vec<String>>,
    /// In Go's words: amd64, arm64.
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// What the conditions of a file are about.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The container's bounding set, written as `CAP_CHOWN`.
    pub capabilities: &'a [String],
    /// Version and patch level of the kernel that runs.
    pub kernel: (u32, u32),
}

impl Circumstances<'_> {
    fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|one| one == capability)
    }
}

impl File {
    /// What the file means in these circumstances, in the words of the runtime specification.
    pub fn resolve(&self, circumstances: Circumstances<'_>) -> Result<LinuxSeccomp, Refused> {
        if self.default_errno.is_some() && self.default_errno_ret.is_none() {
            return refused("defaultErrno", "a name alone is not known: write defaultErrnoRet");
        }
        let mut rules = Vec::new();
        for (index, rule) in self.syscalls.iter().flatten().enumerate() {
            rules.extend(rule.resolve(&format!("syscalls[{index}]"), circumstances)?);
        }
        let mut profile = LinuxSeccomp::default();
        profile.set_default_action(self.default_action);
        profile.set_default_errno_ret(self.default_errno_ret);
        profile.set_architectures(self.architectures()?);
        profile.set_flags(self.flags.clone());
        profile.set_listener_path(self.listener_path.clone());
        profile.set_listener_metadata(self.listener_metadata.clone());
        profile.set_syscalls(Some(rules));
        Ok(profile)
    }

    fn architectures(&self) -> Result<Option<Vec<Arch>>, Refused> {
        let Some(map) = self.arch_map.as_ref().filter(|map| !map.is_empty()) else {
            return Ok(self.architectures.clone());
        };
        if self.architectures.as_ref().is_some_and(|list| !list.is_empty()) {
            return refused("archMap", "is there beside architectures: one of them is enough");
        }
        let native = native_architectures()[0];
        let ours = map.iter().filter(|family| family.architecture == native);
        Ok(Some(
            ours.flat_map(|family| {
                [family.architecture].into_iter().chain(family.sub_architectures.iter().flatten().copied())
            })
            .collect(),
        ))
    }
}

impl Rule {
    /// Nothing where its conditions do not hold.
    fn resolve(
        &self,
        field: &str,
        circumstances: Circumstances<'_>,
    ) -> Result<Option<LinuxSyscall>, Refused> {
        let names = match (self.name.as_deref().filter(|name| !name.is_empty()), &self.names) {
            (Some(_), Some(names)) if !names.is_empty() => {
                return refused(format!("{field}.name"), "is there beside names: one of them is enough");
            }
            (Some(name), _) => vec![name.to_owned()],
            (None, names) => names.clone().unwrap_or_default(),
        };
        if self.errno.is_some() && self.errno_ret.is_none() {
            return refused(format!("{field}.errno"), "a name alone is not known: write errnoRet");
        }
        let (includes, excludes) =
            (self.includes.clone().unwrap_or_default(), self.excludes.clone().unwrap_or_default());
        let of_machine = |list: &Option<Vec<String>>| list.iter().flatten().any(|one| *one == machine());
        let reached = |field: String, version: &Option<String>| match version {
            Some(version) => kernel(&field, version).map(|least| Some(circumstances.kernel >= least)),
            None => Ok(None),
        };
        let too_new = reached(format!("{field}.excludes.minKernel"), &excludes.min_kernel)?;
        let new_enough = reached(format!("{field}.includes.minKernel"), &includes.min_kernel)?;
        let excluded = of_machine(&excludes.arches)
            || excludes.caps.iter().flatten().any(|one| circumstances.has(one))
            || too_new == Some(true);
        let included = (includes.arches.iter().flatten().next().is_none() || of_machine(&includes.arches))
            && includes.caps.iter().flatten().all(|one| circumstances.has(one))
            && new_enough != Some(false);
        if excluded || !included {
            return Ok(None);
        }
        let mut rule = LinuxSyscall::default();
        rule.set_names(names);
        rule.set_action(self.action);
        rule.set_errno_ret(self.errno_ret);
        rule.set_args(self.args.clone());
        Ok(Some(rule))
    }
}

/// This machine in Go's words.
const fn machine() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// `4.8` as numbers.
fn kernel(field: &str, text: &str) -> Result<(u32, u32), Refused> {
    let parts =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match parts {
        Some(version) => Ok(version),
        None => refused(field, format!("{text:?} is not a version such as 4.8")),
    }
}
