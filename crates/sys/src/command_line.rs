//! The name by which others see this process: `/proc/PID/cmdline` and `/proc/PID/comm` (proc(5)).

use crate::errno::{CallError, called};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs;
use std::io;

/// Replaces both. For a process with one thread that has read its arguments already.
///
/// The arguments stay where the kernel put them, between two addresses that it reports; `prctl(PR_SET_MM)`, which would
/// move those, needs a privilege that a container has not. They are written by process_vm_writev(2), so that the kernel
/// checks the addresses; `/proc/self/mem` would belong to the host's root, once this process may not be dumped.
pub fn replace(name: &CStr) -> Result<(), CallError> {
    rustix::thread::set_name(name).map_err(called::<Errno>(|| "prctl(PR_SET_NAME)".to_owned()))?;
    let stat = fs::read_to_string("/proc/self/stat")
        .map_err(called::<io::Error>(|| "read /proc/self/stat".to_owned()))?;
    let Some((start, end)) = arguments(&stat) else { return Ok(()) };
    let mut text = name.to_bytes().to_vec();
    text.resize(usize::try_from(end - start).unwrap_or(0), 0);
    // Always a NUL at the end: without one the kernel shows what follows, too.
    if let Some(last) = text.last_mut() {
        *last = 0;
    }
    let ours = libc::iovec { iov_base: text.as_mut_ptr().cast(), iov_len: text.len() };
    let place = libc::iovec { iov_base: start as *mut libc::c_void, iov_len: text.len() };
    // SAFETY: `ours` describes `text`, which is only read and lives across the call. `place` is the kernel's own word for
    // where the arguments are; std has no borrow of them, it copies them when it is asked.
    let written =
        unsafe { libc::process_vm_writev(libc::getpid(), &raw const ours, 1, &raw const place, 1, 0) };
    if written < 0 {
        let shown = || "process_vm_writev of the arguments".to_owned();
        return Err(called::<io::Error>(shown)(io::Error::last_os_error()));
    }
    Ok(())
}

/// `arg_start` and `arg_end`, fields 48 and 49 of `/proc/PID/stat`.
fn arguments(stat: &str) -> Option<(u64, u64)> {
    // The second field is a name in parentheses, which may itself have spaces and parentheses.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(45);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    // Zero is what the kernel shows to those who may not know.
    (0 < start && start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_arguments() {
        fn check(stat: &str, expected: Option<(u64, u64)>) {
            assert_eq!(arguments(stat), expected, "{stat}");
        }
        let numbers = |from: u64, to: u64| (from..=to).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        check(&format!("1 (init) S {}", numbers(4, 52)), Some((48, 49)));
        check(&format!("1 (a) b) c (d) S {}", numbers(4, 52)), Some((48, 49)));
        check(&format!("1 (init) S {}", numbers(4, 48)), None);
        check(&format!("1 (init) S {} 9 9", numbers(4, 47)), None);
        check("", None);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        let (start, end) = arguments(&own).unwrap();
        assert_eq!(end - start, fs::read("/proc/self/cmdline").unwrap().len() as u64);
    }
}
