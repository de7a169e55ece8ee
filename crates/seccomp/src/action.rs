//! What is done about a call: actions and flags, as the kernel has them.

use crate::{Refused, refused};
use oci_spec::runtime::{LinuxSeccompAction as Action, LinuxSeccompFilterFlag as Flag};

/// `SECCOMP_RET_*` (include/uapi/linux/seccomp.h).
pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
pub(crate) const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
pub(crate) const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// EPERM.
const EPERM: u32 = 1;
/// The largest errno (`MAX_ERRNO`).
const MOST: u32 = 4095;
/// As much as a tracer can be told.
const MOST_TRACED: u32 = 0xffff;

/// A call that this kernel does not have: ENOSYS.
pub(crate) const NO_SUCH_CALL: u32 = ERRNO | 38;

/// What the kernel is to answer. `field` is asked only for an error.
pub(crate) fn answer(field: impl Fn() -> String, action: Action, errno: Option<u32>) -> Result<u32, Refused> {
    let field = || format!("linux.seccomp.{}", field());
    let answers = matches!(action, Action::ScmpActErrno | Action::ScmpActTrace);
    if errno.is_some() && !answers {
        return refused(field(), format!("errnoRet: {action} has none"));
    }
    let code = errno.unwrap_or(EPERM);
    let most = if action == Action::ScmpActTrace { MOST_TRACED } else { MOST };
    if answers && code > most {
        return refused(field(), format!("errnoRet {code} is above {most}"));
    }
    Ok(match action {
        Action::ScmpActKill | Action::ScmpActKillThread => KILL_THREAD,
        Action::ScmpActKillProcess => KILL_PROCESS,
        Action::ScmpActTrap => TRAP,
        Action::ScmpActErrno => ERRNO | code,
        Action::ScmpActNotify => USER_NOTIF,
        Action::ScmpActTrace => TRACE | code,
        Action::ScmpActLog => LOG,
        Action::ScmpActAllow => ALLOW,
    })
}

/// `SECCOMP_FILTER_FLAG_*` as the kernel has it.
pub(crate) fn flag(flag: Flag) -> u32 {
    match flag {
        Flag::SeccompFilterFlagTsync => 1,
        Flag::SeccompFilterFlagLog => 1 << 1,
        Flag::SeccompFilterFlagSpecAllow => 1 << 2,
        Flag::SeccompFilterFlagWaitKillableRecv => 1 << 5,
    }
}

/// The names of all actions, sorted.
pub fn action_names() -> [&'static str; 9] {
    [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_TRAP",
    ]
}

/// The names of all flags, sorted.
pub fn flag_names() -> [&'static str; 4] {
    [
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ]
}
