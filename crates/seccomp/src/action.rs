//! What is done about a call: actions and flags, as the kernel has them.

use crate::{Refused, refused};
use oci_spec::runtime::{LinuxSeccompAction as Action, LinuxSeccompFilterFlag as Flag};

/// `SECCOMP_RET_*` (include/uapi/linux/seccomp.h).
pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
pub(crate) const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
pub(crate) const ERRNO: u32 = 0x0005_0000;
pub(crate) const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
pub(crate) const LOG: u32 = 0x7ffc_0000;
pub(crate) const ALLOW: u32 = 0x7fff_0000;

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
    Ok(if answers { code_of(action) | code } else { code_of(action) })
}

/// `SECCOMP_RET_*` of an action, without data.
pub const fn code_of(action: Action) -> u32 {
    match action {
        Action::ScmpActKill | Action::ScmpActKillThread => KILL_THREAD,
        Action::ScmpActKillProcess => KILL_PROCESS,
        Action::ScmpActTrap => TRAP,
        Action::ScmpActErrno => ERRNO,
        Action::ScmpActNotify => USER_NOTIF,
        Action::ScmpActTrace => TRACE,
        Action::ScmpActLog => LOG,
        Action::ScmpActAllow => ALLOW,
    }
}

/// What the kernel takes only with a filter that asks somebody, and what has no meaning without.
const WAIT_KILLABLE: u32 = 1 << 5;

/// `SECCOMP_FILTER_FLAG_*` of a flag.
pub const fn bit_of(flag: Flag) -> u32 {
    match flag {
        Flag::SeccompFilterFlagTsync => 1,
        Flag::SeccompFilterFlagLog => 1 << 1,
        Flag::SeccompFilterFlagSpecAllow => 1 << 2,
        Flag::SeccompFilterFlagWaitKillableRecv => WAIT_KILLABLE,
    }
}

/// The flags of a filter. That questions are waited for in another way is left out where there are none.
pub(crate) fn flags(flags: &[Flag], notifies: bool) -> u32 {
    let all = flags.iter().fold(0, |all, one| all | bit_of(*one));
    if notifies { all } else { all & !WAIT_KILLABLE }
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

/// All flags, sorted by name.
pub const fn flags_known() -> [Flag; 4] {
    [
        Flag::SeccompFilterFlagLog,
        Flag::SeccompFilterFlagSpecAllow,
        Flag::SeccompFilterFlagTsync,
        Flag::SeccompFilterFlagWaitKillableRecv,
    ]
}
