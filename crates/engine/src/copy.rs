//! `cp`: files between the host and a container, by docker's rules for what is named how.
//!
//! Each side is a root that is open and a path in it. A path of a container is resolved by the kernel in the container's root
//! (openat2(2), `RESOLVE_IN_ROOT`): no link in it leads to the host.

use crate::error::{Error, Kind, Result, of_image};
use crate::files::{self, Files};
use crate::full;
use crate::host::Host;
use image::Ownership;
use image::archive::{From, Options, To, reopen, transfer};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use sys::{Context, Errno, Patience, called};

/// One of the two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// A path of the host.
    Local(String),
    /// A path of a container.
    Container(String, String),
    /// An archive, from standard input or to standard output.
    Stream,
}

/// What is copied, and how.
#[derive(Debug, Clone)]
pub struct CopyWish {
    /// Where it is.
    pub from: Side,
    /// Where it goes.
    pub to: Side,
    /// `-a`: owners are kept.
    pub archive: bool,
    /// `-L`: a link that is named is followed.
    pub follow: bool,
}

impl CopyWish {
    /// The container of the wish, by name or id.
    pub fn container(&self) -> &str {
        match (&self.from, &self.to) {
            (Side::Container(name, _), _) | (_, Side::Container(name, _)) => name,
            _ => "",
        }
    }
}

fn side(text: &str) -> Side {
    match text.split_once(':') {
        _ if text == "-" => Side::Stream,
        Some((name, path)) if !name.is_empty() && !text.starts_with(['/', '.']) => {
            Side::Container(name.to_owned(), path.to_owned())
        }
        _ => Side::Local(text.to_owned()),
    }
}

/// Reads the two sides of `cp`, exactly one of which is in a container.
pub fn parse_copy(from: &str, to: &str, archive: bool, follow: bool) -> Result<CopyWish> {
    let wrong = |text: &str| {
        Err(Error::new(Kind::Usage, text.to_owned())
            .with_hint("one side is CONTAINER:PATH, the other a path or -"))
    };
    for text in [from, to] {
        match side(text) {
            Side::Local(path) if path.is_empty() => return wrong("a path is empty"),
            Side::Container(_, path) if path.is_empty() => return wrong(&format!("{text:?} has no path")),
            Side::Container(_, path) | Side::Local(path) if path.contains('\0') => {
                return wrong("a path has a NUL byte");
            }
            _ => {}
        }
    }
    match (side(from), side(to)) {
        (Side::Container(..), Side::Container(..)) => wrong("copying between containers is not supported"),
        (Side::Local(_) | Side::Stream, Side::Local(_) | Side::Stream) => {
            wrong("neither of the two is in a container")
        }
        (from, to) => Ok(CopyWish { from, to, archive, follow }),
    }
}

/// Copies. `input` and `output` are what `-` means; `moved` hears how many bytes are copied so far. How many were copied.
pub fn copy(
    host: &Host<'_>,
    wish: &CopyWish,
    input: &mut dyn Read,
    output: &mut dyn Write,
    moved: &dyn Fn(u64),
) -> Result<u64> {
    let files = files::open(host, wish.container(), true)?;
    let (inside_ids, outside_ids) = (|uid, gid| files.inside(uid, gid), |uid, gid| files.outside(uid, gid));
    let cancelled = Some(host.images.cancelled());
    // Without -a they belong to whoever is root at the destination.
    let root = |(uid, gid)| (!wish.archive).then_some((uid, gid));
    let moved = Some(moved);
    let out = Options { owner: root((0, 0)), ids: Some(&inside_ids), cancelled, moved, ..Options::default() };
    let into = Options {
        owner: root(files.outside(0, 0)),
        ids: Some(&outside_ids),
        cancelled,
        moved,
        ..Options::default()
    };
    let ownership = if host.rootless.is_some() { Ownership::UserNamespace } else { Ownership::Root };
    let done = match (&wish.from, &wish.to) {
        (Side::Container(_, path), Side::Stream) => {
            let source = Source::find(&inside(&files), path, wish.follow)?;
            let from = From::Tree(source.file, source.name);
            let options = Options { owner: None, ..out };
            transfer(from, To::Archive(Box::new(output)), &options).map_err(of_image)
        }
        (Side::Container(_, path), Side::Local(to)) => {
            let source = Source::find(&inside(&files), path, wish.follow)?;
            put(source, &local()?, to, &out, ownership)
        }
        (Side::Local(path), Side::Container(_, to)) => {
            files.write_to()?;
            let source = Source::find(&local()?, path, wish.follow)?;
            put(source, &inside(&files), to, &into, ownership)
        }
        (Side::Stream, Side::Container(_, to)) => {
            files.write_to()?;
            if sys::mutant!("mutant_en_02") {
                // The container's own program is asked.
                let (own, root) = (std::process::id(), files.root.as_fd().as_raw_fd());
                let program = format!("/proc/{own}/fd/{root}/usr/bin/gzip");
                drop(std::process::Command::new(program).status());
            }
            let root = inside(&files);
            let directory = root.look(to, true)?.filter(|file| is_directory(&file.1));
            let (directory, _) = directory
                .ok_or_else(|| Error::new(Kind::Failed, format!("{to}: not a directory of the container")))?;
            transfer(From::Archive(Box::new(input)), To::Directory(directory, ownership), &into)
                .map_err(of_image)
        }
        _ => Err(Error::new(Kind::Usage, "neither of the two is in a container")),
    };
    let done = done.map_err(|error| if full::said(&error) { full_of(host, wish, error) } else { error });
    done.within(|| match (&wish.from, &wish.to) {
        (Side::Container(name, path), _) => format!("copy from {name}:{path}"),
        (_, Side::Container(name, path)) => format!("copy to {name}:{path}"),
        _ => "copy".to_owned(),
    })
}

/// Whose disk it is that is full.
fn full_of(host: &Host<'_>, wish: &CopyWish, error: Error) -> Error {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).map(|stat| stat.dev()).ok();
    let ours = match &wish.to {
        Side::Local(to) => {
            let to = Path::new(to);
            let parent =
                to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            device(to).or_else(|| device(parent)) == device(&host.paths.data)
        }
        // It may be on a disk that is mounted in the container.
        _ => full::is_full(&host.paths.data),
    };
    match ours {
        true => full::explain(host.paths, host.images, error),
        false => Error { hint: Some("free some space where it is copied to".to_owned()), ..error },
    }
}

/// A root and how paths in it are resolved.
struct Root<'a> {
    file: Held<'a>,
    resolve: Option<ResolveFlags>,
}

enum Held<'a> {
    Ours(OwnedFd),
    Of(BorrowedFd<'a>),
}

/// A mutant: links lead where the kernel takes them by itself.
fn follows_links_out() -> bool {
    sys::mutant!("mutant_en_01", "mutant_en_03")
}

fn inside(files: &Files) -> Root<'_> {
    let resolve = match follows_links_out() {
        true => ResolveFlags::empty(),
        false => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    };
    Root { file: Held::Of(files.root.as_fd()), resolve: Some(resolve) }
}

fn local() -> Result<Root<'static>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let here =
        rustix::fs::open(".", flags, Mode::empty()).map_err(called::<Errno>(|| "open(\".\")".to_owned()))?;
    Ok(Root { file: Held::Ours(here), resolve: None })
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Root<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match &self.file {
            Held::Ours(file) => file.as_fd(),
            Held::Of(file) => *file,
        }
    }

    /// What is at a path; none where there is nothing.
    fn look(&self, path: &str, follow: bool) -> Result<Option<(OwnedFd, Stat)>> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        let mut patience = Patience::default();
        let beneath = format!("./{path}");
        let opened = loop {
            let opened = match self.resolve {
                Some(resolve) if follows_links_out() => {
                    rustix::fs::openat2(self.fd(), &beneath, flags, Mode::empty(), resolve)
                }
                Some(resolve) => rustix::fs::openat2(self.fd(), path, flags, Mode::empty(), resolve),
                None => rustix::fs::openat(self.fd(), path, flags, Mode::empty()),
            };
            if !patience.goes_on(&opened) {
                break opened;
            }
        };
        let file = match opened {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::NOTDIR) => return Err(Error::new(Kind::Failed, format!("{path}: not a directory"))),
            other => other.map_err(called::<Errno>(|| {
                let call = if self.resolve.is_some() { "openat2" } else { "open" };
                format!("{call}({path:?})")
            }))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(called::<Errno>(|| format!("fstat({path:?})")))?;
        Ok(Some((file, stat)))
    }
}

/// Whether what is in the directory is meant, and not the directory.
fn means_contents(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

/// Parent and last name of a path, by its letters; no name for a root.
fn split(path: &str) -> (String, Option<Vec<u8>>) {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), named(name)),
        Some((parent, name)) => (parent.to_owned(), named(name)),
        None => (if path.starts_with('/') { "/" } else { "." }.to_owned(), named(trimmed)),
    }
}

fn named(name: &str) -> Option<Vec<u8>> {
    (!matches!(name, "" | "." | "..")).then(|| name.as_bytes().to_vec())
}

/// What is copied.
struct Source {
    file: OwnedFd,
    stat: Stat,
    /// The name that it gets in a directory; none where its contents are meant.
    name: Vec<u8>,
}

impl Source {
    fn find(root: &Root<'_>, path: &str, follow: bool) -> Result<Self> {
        let contents = means_contents(path);
        let slash = path.ends_with('/');
        let found = root.look(path, follow || contents || slash)?;
        let (file, stat) =
            found.ok_or_else(|| Error::new(Kind::Failed, format!("{path}: no such file or directory")))?;
        if (contents || slash) && !is_directory(&stat) {
            return Err(Error::new(Kind::Failed, format!("{path}: not a directory")));
        }
        let name = if contents { Vec::new() } else { last_name(root, path) };
        Ok(Self { file, stat, name })
    }
}

/// The last name of a path that may end in `..`.
fn last_name(root: &Root<'_>, path: &str) -> Vec<u8> {
    if let (_, Some(name)) = split(path) {
        return name;
    }
    let mut whole = PathBuf::from("/");
    if root.resolve.is_none() {
        whole = std::env::current_dir().unwrap_or(whole);
    }
    for component in Path::new(path).components() {
        match component {
            Component::RootDir => whole = PathBuf::from("/"),
            Component::ParentDir => drop(whole.pop()),
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    whole.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default()
}

/// Puts the source at `path` of a root (docker-cp(1)).
fn put(
    source: Source,
    root: &Root<'_>,
    path: &str,
    options: &Options<'_>,
    ownership: Ownership,
) -> Result<u64> {
    let failed = |text: String| Err(Error::new(Kind::Failed, text));
    let wants_directory = path.ends_with('/') || means_contents(path);
    let (directory, name) = match root.look(path, true)? {
        Some((directory, stat)) if is_directory(&stat) => (directory, source.name),
        Some(_) if wants_directory => return failed(format!("{path}: not a directory")),
        Some(_) if is_directory(&source.stat) => {
            return failed(format!("{path}: a directory cannot be copied over a file"));
        }
        Some((file, _)) => {
            let (parent, name) = split(path);
            let (parent, _) = root
                .look(&parent, true)?
                .ok_or_else(|| Error::new(Kind::Failed, format!("{path}: no such directory")))?;
            let name = name.unwrap_or_default();
            if !is_plain(&parent, &name, &file)? {
                return overwrite(&source, &file);
            }
            (parent, name)
        }
        None if wants_directory && !is_directory(&source.stat) => {
            return failed(format!("{path}: no such directory"));
        }
        None => {
            let (parent, name) = split(path);
            let found = root.look(&parent, true)?.filter(|(_, stat)| is_directory(stat));
            let Some((directory, _)) = found else { return failed(format!("{parent}: no such directory")) };
            (directory, name.unwrap_or_default())
        }
    };
    transfer(From::Tree(source.file, name), To::Directory(directory, ownership), options).map_err(of_image)
}

/// Whether a file can be replaced under its name: it is no link to another, and nothing is mounted there.
fn is_plain(parent: &OwnedFd, name: &[u8], file: &OwnedFd) -> Result<bool> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(called::<Errno>(|| "fstatat".to_owned()))?;
    let mount = |fd: &OwnedFd| {
        rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
            .map(|stat| stat.stx_mnt_id)
            .map_err(called::<Errno>(|| "statx".to_owned()))
    };
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && mount(parent)? == mount(file)?)
}

/// Writes the content of a file into another that stays what it is.
fn overwrite(source: &Source, file: &OwnedFd) -> Result<u64> {
    let kind = |file: &OwnedFd| {
        let stat = rustix::fs::fstat(file).map_err(called::<Errno>(|| "fstat".to_owned()))?;
        Ok::<_, Error>(FileType::from_raw_mode(stat.st_mode))
    };
    if kind(&source.file)? != FileType::RegularFile || kind(file)? != FileType::RegularFile {
        return Err(Error::new(Kind::Failed, "only a file can be copied over a file"));
    }
    let mut from = std::fs::File::from(reopen(&source.file, OFlags::RDONLY).map_err(of_image)?);
    let mut to = std::fs::File::from(reopen(file, OFlags::WRONLY | OFlags::TRUNC).map_err(of_image)?);
    Ok(std::io::copy(&mut from, &mut to).map_err(called(|| "write".to_owned()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_apart() {
        fn check(text: &str, expected: &Side) {
            assert_eq!(&side(text), expected, "{text}");
        }
        let local = |path: &str| Side::Local(path.to_owned());
        check("web:/etc", &Side::Container("web".to_owned(), "/etc".to_owned()));
        check("web:a:b", &Side::Container("web".to_owned(), "a:b".to_owned()));
        check("/a:b", &local("/a:b"));
        check("./a:b", &local("./a:b"));
        check("a", &local("a"));
        check(":a", &local(":a"));
        check("-", &Side::Stream);
        for (from, to) in [("a", "b"), ("a:b", "c:d"), ("-", "-"), ("", "a:b"), ("a:", "b"), ("-", "b")] {
            assert_eq!(
                parse_copy(from, to, false, false).map_err(|error| error.kind).err(),
                Some(Kind::Usage)
            );
        }
    }

    #[test]
    fn last_names() {
        fn check(path: &str, parent: &str, name: Option<&str>) {
            assert_eq!(split(path), (parent.to_owned(), name.map(|name| name.as_bytes().to_vec())), "{path}");
        }
        check("/a/b", "/a", Some("b"));
        check("/a/b//", "/a", Some("b"));
        check("/a", "/", Some("a"));
        check("a", ".", Some("a"));
        check("/", "/", None);
        check("a/..", "a", None);
        check(".", ".", None);
    }
}
