//! Paths inside the root, by descriptor: no link leads out, and what is missing of a mount's target is made.

use crate::error::{Error, Kind, Result};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use sys::{Errno, Patience, called};

/// As many links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A directory or file inside the root, resolved as if `root` were `/`; no link leads out (openat2(2)).
pub fn resolve(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, sys::CallError> {
    resolve_with(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// As [`resolve`], by no link at all.
pub fn resolve_without_links(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, sys::CallError> {
    resolve_with(root, path, OFlags::PATH, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

/// A mutant: links are followed as the kernel does it by itself, absolute ones from the root that this process has, the host's.
fn follows_links_out() -> bool {
    sys::mutant!(
        "mutant_rt_06",
        "mutant_rt_14",
        "mutant_rt_18",
        "mutant_rt_21",
        "mutant_en_04",
        "mutant_en_17"
    )
}

/// A mutant: what was found safely is opened again by its name, as whoever checks a path and then spends it does (CVE-2021-30465).
fn again_by_name(found: OwnedFd, flags: OFlags) -> OwnedFd {
    let name = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd()));
    let again = name.ok().and_then(|name| {
        rustix::fs::open(name, (flags - OFlags::NOFOLLOW) | OFlags::CLOEXEC, Mode::empty()).ok()
    });
    again.unwrap_or(found)
}

fn resolve_with(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    how: ResolveFlags,
) -> Result<OwnedFd, sys::CallError> {
    let (path, how) = match path.strip_prefix("/") {
        Ok(beneath) if follows_links_out() => {
            let beneath = if beneath.as_os_str().is_empty() { Path::new(".") } else { beneath };
            (beneath, ResolveFlags::empty())
        }
        _ => (path, how),
    };
    let mut patience = Patience::default();
    loop {
        let opened = rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how);
        if patience.goes_on(&opened) {
            continue;
        }
        let found = opened.map_err(called::<Errno>(|| format!("openat2({path:?}, IN_ROOT)")))?;
        let by_name = sys::mutant!("mutant_rt_08", "mutant_rt_08_unread");
        return Ok(if by_name { again_by_name(found, flags) } else { found });
    }
}

/// What a missing mount target becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A directory.
    Directory,
    /// An empty file.
    File,
}

/// Opens the target of a mount, making what is missing of it. A link that leads to nothing has made what it leads to.
pub fn target(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<OwnedFd> {
    found_or_made(root, path, missing).map(|(target, _)| target)
}

/// As [`target`]; true when there was nothing.
pub fn found_or_made(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<(OwnedFd, bool)> {
    match resolve(root, path, OFlags::PATH) {
        Ok(found) => Ok((found, false)),
        Err(error) if error.errno == Errno::NOENT => Walk::new(root, path)?.go_on(missing),
        Err(error) => Err(error.into()),
    }
}

/// As [`found_or_made`], but the last name is not followed where it is a link.
pub fn link_or_made(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> Result<(OwnedFd, bool)> {
    match resolve(root, path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(found) => Ok((found, false)),
        Err(error) if error.errno == Errno::NOENT => {
            let (parent, name) = parent(root, path)?;
            make(parent.as_fd(), &name, missing).map(|made| (made, true))
        }
        Err(error) => Err(error.into()),
    }
}

/// The directory that a path's last name is in, which is made where it is missing, and that name.
pub fn parent(root: BorrowedFd<'_>, path: &Path) -> Result<(OwnedFd, OsString)> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::new(Kind::Invalid, format!("{path:?} does not name a directory or file")))?;
    let above = path.parent().unwrap_or(Path::new("/"));
    let above = if above.as_os_str().is_empty() { Path::new("/") } else { above };
    Ok((target(root, above, Missing::Directory)?, name.to_owned()))
}

/// A walk down from the root, name by name. Where it has been is held open: what is renamed meanwhile leads nowhere else.
struct Walk {
    /// From the root to where it is.
    here: Vec<OwnedFd>,
    /// Names to come.
    ahead: VecDeque<OsString>,
    links: usize,
    path: PathBuf,
}

impl Walk {
    fn new(root: BorrowedFd<'_>, path: &Path) -> Result<Self> {
        let root = root.try_clone_to_owned().map_err(called(|| "dup(root)".to_owned()))?;
        let mut walk = Self { here: vec![root], ahead: VecDeque::new(), links: 0, path: path.to_owned() };
        walk.turn_to(path);
        Ok(walk)
    }

    /// Goes along `path` before what is still to come.
    fn turn_to(&mut self, path: &Path) {
        for part in path.components().rev() {
            match part {
                Component::Normal(name) => self.ahead.push_front(name.to_owned()),
                Component::ParentDir => self.ahead.push_front(OsString::from("..")),
                _ => {}
            }
        }
        if path.is_absolute() {
            self.here.truncate(1);
        }
    }

    fn failed(&self, errno: Errno) -> Error {
        called::<Errno>(|| format!("make mount target {:?}", self.path))(errno).into()
    }

    fn go_on(mut self, missing: Missing) -> Result<(OwnedFd, bool)> {
        let mut made_last = false;
        while let Some(name) = self.ahead.pop_front() {
            if name == ".." {
                if self.here.len() > 1 {
                    self.here.pop();
                }
                continue;
            }
            let Some(directory) = self.here.last() else { return Err(self.failed(Errno::NOENT)) };
            let (next, made) = match open(directory.as_fd(), &name) {
                Ok(next) => (next, false),
                Err(Errno::NOENT) => {
                    let what = if self.ahead.is_empty() { missing } else { Missing::Directory };
                    (make(directory.as_fd(), &name, what)?, true)
                }
                Err(errno) => return Err(self.failed(errno)),
            };
            if kind(&next)? == FileType::Symlink {
                self.links += 1;
                if self.links > MOST_LINKS {
                    return Err(self.failed(Errno::LOOP));
                }
                let leads = rustix::fs::readlinkat(&next, "", Vec::new())
                    .map_err(called::<Errno>(|| format!("readlinkat({name:?})")))?;
                self.turn_to(Path::new(&OsString::from_vec(leads.into_bytes())));
                continue;
            }
            made_last = made;
            self.here.push(next);
        }
        let end = self.here.pop().ok_or_else(|| self.failed(Errno::NOENT))?;
        Ok((end, made_last))
    }
}

fn open(directory: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let nofollow = if follows_links_out() { OFlags::empty() } else { OFlags::NOFOLLOW };
    rustix::fs::openat(directory, name, OFlags::PATH | nofollow | OFlags::CLOEXEC, Mode::empty())
}

fn make(directory: BorrowedFd<'_>, name: &OsStr, what: Missing) -> Result<OwnedFd> {
    let made = match what {
        Missing::Directory => rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)),
        Missing::File => {
            rustix::fs::mknodat(directory, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0)
        }
    };
    match made {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(called::<Errno>(|| format!("make mount target {name:?}"))(errno).into()),
    }
    let opened =
        open(directory, name).map_err(called::<Errno>(|| format!("openat({name:?}, O_PATH|O_NOFOLLOW)")))?;
    // Somebody else's, who was faster.
    if kind(&opened)? == FileType::Symlink {
        return Err(Error::new(Kind::Invalid, format!("{name:?} has become a symbolic link")));
    }
    Ok(opened)
}

/// What a descriptor is open on.
pub fn kind(file: impl AsFd) -> Result<FileType> {
    let stat = rustix::fs::fstat(file).map_err(called::<Errno>(|| "fstat".to_owned()))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Whether two descriptors are open on the same file of the same mount.
pub fn same(one: impl AsFd, other: impl AsFd) -> Result<bool> {
    use rustix::fs::{StatxFlags, statx};
    let about = |file: BorrowedFd<'_>| {
        statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)
            .map(|found| (found.stx_dev_major, found.stx_dev_minor, found.stx_ino, found.stx_mnt_id))
            .map_err(called::<Errno>(|| "statx".to_owned()))
    };
    Ok(about(one.as_fd())? == about(other.as_fd())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Root(tempfile::TempDir);

    impl Root {
        fn new(script: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (path, content) in script {
                let path = dir.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                match content.strip_prefix("->") {
                    Some(leads) => std::os::unix::fs::symlink(leads, &path).unwrap(),
                    None if *content == "/" => std::fs::create_dir(&path).unwrap(),
                    None => std::fs::write(&path, content).unwrap(),
                }
            }
            Self(dir)
        }

        fn open(&self) -> OwnedFd {
            rustix::fs::open(self.0.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
        }

        /// Where the target of `path` is, beneath the root.
        fn target(&self, path: &str, missing: Missing) -> Result<String> {
            let at = target(self.open().as_fd(), Path::new(path), missing)?;
            let link = std::fs::read_link(format!("/proc/self/fd/{}", at.as_raw_fd())).unwrap();
            let beneath = link.strip_prefix(self.0.path()).expect("never outside").to_owned();
            assert!(
                self.0.path().join(&beneath).symlink_metadata().unwrap().is_dir() || missing == Missing::File
            );
            Ok(beneath.display().to_string())
        }
    }

    #[test]
    fn targets_are_found_or_made_and_never_outside() {
        fn check(script: &[(&str, &str)], path: &str, expected: &str) {
            for missing in [Missing::Directory, Missing::File] {
                let root = Root::new(script);
                let found = root.target(path, missing).map_err(|error| error.to_string());
                assert_eq!(found.as_deref(), Ok(expected), "{script:?} {path}");
                let again = root.target(path, missing).map_err(|error| error.to_string());
                assert_eq!(again.as_deref(), Ok(expected), "{script:?} {path} again");
            }
        }
        check(&[], "/a", "a");
        check(&[], "/a/b/c", "a/b/c");
        check(&[("a", "/")], "/a/b", "a/b");
        // Links: absolute ones from the root, dangling ones, those that would lead out.
        check(&[("run", "/"), ("var/run", "->/run")], "/var/run/x", "run/x");
        check(&[("var/run", "->/run")], "/var/run/x", "run/x");
        check(&[("etc/link", "->../srv/deep/file")], "/etc/link", "srv/deep/file");
        check(&[("link", "->/../../../../outside")], "/link", "outside");
        check(&[("link", "->../../../../outside")], "/link/in", "outside/in");
        check(&[("a/b/up", "->../../..")], "/a/b/up/c", "c");
        check(&[("one", "->two"), ("two", "->/three/four")], "/one/five", "three/four/five");
    }

    #[test]
    fn targets_that_cannot_be() {
        fn check(script: &[(&str, &str)], path: &str, said: &str) {
            let error = Root::new(script).target(path, Missing::Directory).unwrap_err().to_string();
            assert!(error.contains(said), "{path}: {error}");
        }
        check(&[("a", "->b"), ("b", "->a")], "/a/x", "ELOOP");
        check(&[("file", "text")], "/file/x", "ENOTDIR");
    }

    #[test]
    fn a_link_may_be_the_target_itself() {
        let root = Root::new(&[("link", "->nowhere")]);
        let opened = root.open();
        let (at, made) = link_or_made(opened.as_fd(), Path::new("/link"), Missing::File).unwrap();
        assert_eq!((kind(&at).unwrap(), made), (FileType::Symlink, false));
        let (at, made) = link_or_made(opened.as_fd(), Path::new("/new/file"), Missing::File).unwrap();
        assert_eq!((kind(&at).unwrap(), made), (FileType::RegularFile, true));
    }

    fn names() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "..", "."]), 1..6)
            .prop_map(|names| names.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// Whatever an image has in the way, no target is outside of its root, and nothing is made there.
        #[test]
        fn no_target_is_outside(
            links in prop::collection::vec((names(), names(), any::<bool>()), 0..8),
            path in names(),
            file in any::<bool>(),
        ) {
            let around = tempfile::tempdir().unwrap();
            let root = around.path().join("root");
            std::fs::create_dir(&root).unwrap();
            for (at, leads, absolute) in links {
                let at = crate::bundle::clean_target(Path::new(&at));
                let at = root.join(at.strip_prefix("/").unwrap());
                let leads = if absolute { format!("/{leads}") } else { leads };
                // One link may stand in the way of another.
                let parent_is_there = at.parent().is_some_and(|parent| {
                    let mut beneath = parent.ancestors().take_while(|one| one.starts_with(&root));
                    let stays = match parent.canonicalize() {
                        Ok(real) => real.starts_with(&root),
                        // Through a link that leads nowhere, this test itself would make something outside.
                        Err(_) => !beneath.any(Path::is_symlink),
                    };
                    stays && std::fs::create_dir_all(parent).is_ok()
                });
                if parent_is_there && at != root {
                    std::os::unix::fs::symlink(leads, &at).ok();
                }
            }
            let before = listing(around.path());
            let opened = rustix::fs::open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
            let missing = if file { Missing::File } else { Missing::Directory };
            let path = crate::bundle::clean_target(Path::new(&path));
            if let Ok(at) = target(opened.as_fd(), &path, missing) {
                let link = std::fs::read_link(format!("/proc/self/fd/{}", at.as_raw_fd())).unwrap();
                prop_assert!(link.starts_with(&root), "{link:?}");
                prop_assert!(kind(&at).unwrap() != FileType::Symlink);
            }
            prop_assert_eq!(listing(around.path()), before);
        }
    }

    /// What is in a directory.
    fn listing(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<OsString> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }
}
