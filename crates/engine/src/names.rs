//! Ids and names of containers.

use crate::birth;
use crate::error::{Error, Kind, Result};
use crate::paths::Paths;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::rand::{GetRandomFlags, getrandom};
use sys::{Errno, called};

/// A new id: 64 hex digits.
pub fn new_id() -> Result<String> {
    loop {
        let mut bytes = [0u8; 32];
        let read = getrandom(&mut bytes[..], GetRandomFlags::empty())
            .map_err(called::<Errno>(|| "getrandom".to_owned()))?;
        debug_assert_eq!(read, bytes.len());
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if is_a_host_name(short(&id)) {
            return Ok(id);
        }
    }
}

/// Whether it can be looked up: a name of digits alone is taken for an address, and not found in /etc/hosts (inet_aton(3)). One of
/// 280 ids begins with twelve digits.
fn is_a_host_name(short: &str) -> bool {
    short.bytes().any(|byte| !byte.is_ascii_digit())
}

/// The first twelve digits, which people see.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A name from an id, for a container that was given none.
pub fn from_id(id: &str) -> String {
    const FIRST: [&str; 32] = [
        "amber", "brave", "calm", "clever", "cosy", "crisp", "daring", "eager", "fair", "fresh", "gentle",
        "glad", "happy", "jolly", "keen", "kind", "lively", "lucky", "mellow", "merry", "neat", "nimble",
        "proud", "quick", "quiet", "rapid", "sharp", "shiny", "solid", "steady", "sunny", "swift",
    ];
    const SECOND: [&str; 32] = [
        "badger", "beaver", "bison", "camel", "crane", "dolphin", "eagle", "falcon", "ferret", "finch",
        "fox", "gecko", "heron", "ibis", "jackal", "koala", "lark", "lemur", "lynx", "marmot", "marten",
        "newt", "otter", "owl", "panda", "puffin", "raven", "seal", "stork", "swan", "tapir", "wren",
    ];
    let number = u64::from_str_radix(id.get(..10).unwrap_or("0"), 16).unwrap_or(0);
    let pick = |words: [&'static str; 32], shift: u32| words[(number >> shift) as usize & 31];
    format!("{}_{}_{:x}", pick(FIRST, 0), pick(SECOND, 5), (number >> 10) & 0xffff)
}

/// Checks a name that was given.
pub fn check(name: &str) -> Result<()> {
    let fine = name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && (2..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fine {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("invalid container name {name:?}"))
        .with_hint("use letters, digits, _, . and -, at least two, with a letter or digit first"))
}

/// The id that a name leads to, be there such a container or not; none where there is no such name.
pub fn owner(paths: &Paths, name: &str) -> Result<Option<String>> {
    let link = paths.names().join(name);
    match std::fs::read_link(&link) {
        Ok(owner) => Ok(Some(owner.display().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(called(|| format!("readlink({link:?})"))(error).into()),
    }
}

/// Gives `name` to container `id`, which is there or being made. One link, made or not: no lock is needed.
pub fn claim(paths: &Paths, name: &str, id: &str) -> Result<()> {
    let link = paths.names().join(name);
    loop {
        match rustix::fs::symlink(id, &link) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(called::<Errno>(|| format!("symlink({link:?})"))(errno).into()),
        }
        let Some(owner) = owner(paths, name)? else { continue };
        if owner == id {
            // Whoever gave it was killed in the middle of it.
            return Ok(());
        }
        if birth::comes_to_be(paths, &owner)? {
            let message = format!("the name {name:?} is already taken by container {}", short(&owner));
            return Err(Error::new(Kind::Failed, message)
                .with_hint(format!("remove it with: devoxx-container rm {name}")));
        }
        // Whoever made its container, or removed it, was killed.
        birth::sweep(paths, &owner)?;
        release_left(paths, name, &owner)?;
    }
}

/// Gives back a name of container `id`, which is there: nobody else takes it away.
pub fn release(paths: &Paths, name: &str, id: &str) -> Result<()> {
    if owner(paths, name)?.as_deref() != Some(id) {
        return Ok(());
    }
    let link = paths.names().join(name);
    match rustix::fs::unlink(&link) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(called::<Errno>(|| format!("unlink({link:?})"))(errno).into()),
    }
}

/// Gives back a name whose container is gone or never was. Several may come to it at once, and the first of them may have the name by
/// now: so one after the other.
pub fn release_left(paths: &Paths, name: &str, id: &str) -> Result<()> {
    let directory = paths.names();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = rustix::fs::open(&directory, flags, Mode::empty())
        .map_err(called::<Errno>(|| format!("open({directory:?})")))?;
    rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))
        .map_err(called::<Errno>(|| format!("flock({directory:?})")))?;
    release(paths, name, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hostname -i` failed in one of 280 containers.
    #[test]
    fn an_id_is_no_number() {
        fn check(short: &str, fine: bool) {
            assert_eq!(is_a_host_name(short), fine, "{short}");
        }
        check("310209908100", false);
        check("31020990810a", true);
        check("4c01db0b339c", true);
    }

    #[test]
    fn names() {
        assert!(check(&from_id(&new_id().expect("an id"))).is_ok());
        for bad in ["", "a", "-a", "a/b", "a b", "../x", &"x".repeat(129)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
