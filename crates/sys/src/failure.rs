//! The shape of every error: a small kind for programs, a chain for people, a hint apart.
//!
//! Each crate names its own kinds and says `pub type Error = sys::Failure<Kind>`. The chain is outermost first:
//! what was asked, then where it broke, then the call. Nothing here prints.

use crate::errno::CallError;
use rustix::io::Errno;
use std::fmt;

/// A kind of failure that an errno can be sorted into.
pub trait FromErrno: Copy + fmt::Debug {
    /// The kind that a caller of this crate would branch on for this errno.
    fn from_errno(errno: Errno) -> Self;
}

/// An error: `kind` to branch on, `chain` to read, `hint` for the fix where one is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<K> {
    /// What a program branches on.
    pub kind: K,
    /// What a person reads, outermost first.
    pub chain: Vec<String>,
    /// What would mend it.
    pub hint: Option<String>,
}

impl<K> Failure<K> {
    /// A failure that begins here.
    pub fn new(kind: K, message: impl Into<String>) -> Self {
        Self { kind, chain: vec![message.into()], hint: None }
    }

    /// Names the fix. The innermost hint stays: it knows most.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Names one thing more to do, beside the hint that is there.
    #[must_use]
    pub fn with_further_hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        self.hint = Some(self.hint.map_or(hint.clone(), |first| format!("{first}; {hint}")));
        self
    }

    /// Says what was being done, around what failed.
    #[must_use]
    pub fn within(mut self, doing: impl Into<String>) -> Self {
        self.chain.insert(0, doing.into());
        self
    }

    /// The same failure, sorted by another crate's kinds.
    pub fn recast<L>(self, kind: impl FnOnce(K) -> L) -> Failure<L> {
        Failure { kind: kind(self.kind), chain: self.chain, hint: self.hint }
    }
}

impl<K> fmt::Display for Failure<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain.join(": "))
    }
}

impl<K: fmt::Debug> std::error::Error for Failure<K> {}

const NEEDS_OPENAT2: &str = "openat2(2) is needed, of Linux 5.6: an outer container's filter of system calls may be older than it and refuse it";

impl<K: FromErrno> From<CallError> for Failure<K> {
    fn from(error: CallError) -> Self {
        let failure = Self::new(K::from_errno(error.errno), error.to_string());
        // What it does cannot be done as well otherwise, so nothing is done without it.
        let refused = matches!(error.errno, Errno::NOSYS | Errno::PERM) && error.call.starts_with("openat2");
        if refused { failure.with_hint(NEEDS_OPENAT2) } else { failure }
    }
}

/// Adds what was being done to a result that failed.
pub trait Context<T, K> {
    /// The closure runs only for a failure: `.within(|| format!("mount {path}"))`.
    fn within<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, Failure<K>>;
}

impl<T, K, E: Into<Failure<K>>> Context<T, K> for Result<T, E> {
    fn within<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T, Failure<K>> {
        self.map_err(|error| error.into().within(doing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_reads_from_the_wish_to_the_call() {
        let innermost = Failure::new((), "fsmount: EPERM").with_hint("innermost");
        let whole = innermost.within("mount /proc").within("create web").with_hint("outer");
        assert_eq!(whole.to_string(), "create web: mount /proc: fsmount: EPERM");
        assert_eq!(whole.hint.as_deref(), Some("innermost"));
        assert_eq!(whole.with_further_hint("more").hint.as_deref(), Some("innermost; more"));
        assert_eq!(Failure::new((), "x").with_further_hint("one").hint.as_deref(), Some("one"));
    }

    #[derive(Debug, Clone, Copy)]
    struct Any;

    impl FromErrno for Any {
        fn from_errno(_: Errno) -> Self {
            Self
        }
    }

    #[test]
    fn a_kernel_or_a_filter_without_openat2() {
        fn check(call: &str, errno: Errno, hint: Option<&str>) {
            let failure = Failure::<Any>::from(CallError { call: call.to_owned(), errno });
            assert_eq!(failure.hint.as_deref(), hint, "{failure}");
        }
        check("openat2(\"/proc\")", Errno::NOSYS, Some(NEEDS_OPENAT2));
        check("openat2(\"/proc\")", Errno::PERM, Some(NEEDS_OPENAT2));
        check("openat2(\"/proc\")", Errno::NOENT, None);
        check("fsmount", Errno::NOSYS, None);
    }
}
