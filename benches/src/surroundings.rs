//! In what a command is run: a mount namespace, and a filter that answers one call in the kernel's place. The bench enters both in a
//! child of its own and measures there, so that no launcher stands between it and what is measured.

use crate::sample::{Failure, Sample, take};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Resource, Rlimit, WaitOptions};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::rc::Rc;
use std::time::Duration;
use sys::clone3::{Namespaces, clone3};
use sys::seccomp::Instruction;

/// Nothing of it: the bench's own.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Another mount namespace.
    pub mounts: Option<Rc<OwnedFd>>,
    /// See [`memlock_answered`].
    pub filter: Option<Rc<[Instruction]>>,
    /// Who takes longer hangs. None: half a minute.
    pub longest: Option<Duration>,
}

const LONGEST: Duration = Duration::from_secs(30);

impl Surroundings {
    /// [`take`] in them.
    pub fn take(&self, commands: &[Vec<String>], at_once: bool) -> Result<Sample, Failure> {
        self.measured(commands, at_once).unwrap_or_else(|why| Err(Failure::Failed(why)))
    }

    fn measured(&self, commands: &[Vec<String>], at_once: bool) -> Result<Result<Sample, Failure>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let made = rustix::fs::memfd_create("sample", rustix::fs::MemfdFlags::CLOEXEC)
            .map_err(|error| text(&error))?;
        let mut answer = File::from(made);
        let child = clone3(Namespaces::NONE, None, || {
            let sample = match self.enter() {
                Ok(()) => take(commands, at_once, self.longest.unwrap_or(LONGEST)),
                Err(why) => Err(Failure::Failed(why)),
            };
            let written = serde_json::to_vec(&sample).is_ok_and(|text| answer.write_all(&text).is_ok());
            i32::from(!written)
        })
        .map_err(|error| text(&error))?;
        rustix::process::waitpid(Some(child.pid), WaitOptions::empty()).map_err(|error| text(&error))?;
        answer.seek(SeekFrom::Start(0)).map_err(|error| text(&error))?;
        serde_json::from_reader(&answer).map_err(|_| "it left no figures".to_owned())
    }

    /// Runs commands that are not measured; what they say when one fails.
    pub fn unmeasured(&self, commands: &[Vec<String>]) -> Result<(), String> {
        self.take(commands, false).map(drop).map_err(|failure| failure.to_string())
    }

    fn enter(&self) -> Result<(), String> {
        if let Some(mounts) = &self.mounts {
            move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))
                .map_err(|error| format!("setns: {error}"))?;
        }
        match &self.filter {
            Some(filter) => sys::seccomp::set_filter(filter, 0).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

/// For a program that wants to raise RLIMIT_MEMLOCK and gives up where it may not, though the kernel has charged BPF programs to
/// cgroups instead since 5.11: a filter that says it was raised. None where it may be.
pub fn memlock_answered() -> Result<Option<Rc<[Instruction]>>, String> {
    let now = rustix::process::getrlimit(Resource::Memlock);
    let raised = Rlimit { current: None, maximum: None };
    if rustix::process::setrlimit(Resource::Memlock, raised).is_ok() {
        rustix::process::setrlimit(Resource::Memlock, now).map_err(|error| format!("setrlimit: {error}"))?;
        return Ok(None);
    }
    // RLIMIT_MEMLOCK is 8 (include/uapi/asm-generic/resource.h); a call that only asks has no new limits.
    let (nothing, memlock) = (json!({"index": 2, "value": 0, "op": "SCMP_CMP_NE"}), 8);
    let is_memlock = |index: u32| json!({"index": index, "value": memlock, "op": "SCMP_CMP_EQ"});
    let answered = |name: &str, arguments: serde_json::Value| json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 0, "args": arguments});
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            answered("prlimit64", json!([is_memlock(1), nothing])),
            answered("setrlimit", json!([is_memlock(0)])),
        ],
    });
    let profile = serde_json::from_value(profile).map_err(|error| error.to_string())?;
    let program =
        seccomp::compile(&profile, seccomp::Options::default()).map_err(|error| error.to_string())?;
    Ok(Some(program.instructions.into()))
}
