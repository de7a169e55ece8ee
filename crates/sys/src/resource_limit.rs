//! getrlimit(2), whose errors rustix leaves out: a filter of system calls may refuse even this.

use crate::errno::{CallError, called};
use rustix::process::{Resource, Rlimit};

/// The soft and the hard limit of this process.
pub fn get(resource: Resource) -> Result<Rlimit, CallError> {
    let mut found = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a place for what the kernel writes, which lives across the call.
    let result = unsafe { libc::getrlimit(resource as libc::__rlimit_resource_t, &raw mut found) };
    if result != 0 {
        return Err(called(|| format!("getrlimit({resource:?})"))(std::io::Error::last_os_error()));
    }
    let limit = |value: libc::rlim_t| (value != libc::RLIM_INFINITY).then_some(value);
    Ok(Rlimit { current: limit(found.rlim_cur), maximum: limit(found.rlim_max) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_kernel_has_it() {
        for resource in [Resource::Nofile, Resource::Core, Resource::As, Resource::Stack] {
            assert_eq!(get(resource), Ok(rustix::process::getrlimit(resource)), "{resource:?}");
        }
    }
}
