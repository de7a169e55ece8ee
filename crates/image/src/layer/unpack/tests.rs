//! Layers on a real file system: like tar(1) where they are ordinary, inside their root where they are not.

use super::super::budget::{BYTES, Budget, FILES, Share};
use super::super::split::{self, Replay};
use super::super::{Expected, Ownership, receive};
use super::{Meta, Unpacker, What};
use crate::digest::Digest;
use crate::{Kind, Result};
use proptest::prelude::*;
use rustix::fs::{FileType, Gid, Mode, RenameFlags, Timespec, Uid};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use tar::{Builder, EntryType, Header};

/// An archive in the making; names go in as they are.
struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn entry(mut self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        if kind == EntryType::Char {
            header.set_device_major(if link == "whiteout" { 0 } else { 1 }).unwrap();
            header.set_device_minor(if link == "whiteout" { 0 } else { 3 }).unwrap();
        } else if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.entry(EntryType::Regular, name, "", data.as_bytes())
    }

    fn directory(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, "", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, target, b"")
    }

    fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, target, b"")
    }

    /// A file whose header has a field written by hand; the checksum is that of the header, unless it is the field.
    fn field(mut self, at: usize, value: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        header.as_old_mut().name[0] = b'x';
        header.as_mut_bytes()[at..at + value.len()].copy_from_slice(value);
        if at != 148 {
            header.set_cksum();
        }
        self.0.append(&header, &b""[..]).unwrap();
        self
    }

    /// What is about the next entry, with a size written by hand and all of the data nevertheless.
    fn about(mut self, kind: EntryType, size: &[u8], data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.as_mut_bytes()[124..124 + size.len()].copy_from_slice(size);
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    /// GNU's header for a name of the next entry.
    fn long(self, name: &str) -> Self {
        self.entry(EntryType::GNULongName, "././@LongLink", "", format!("{name}\0").as_bytes())
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn unpack(self, root: &Path) -> Result<u64> {
        let bytes = self.bytes();
        unpack(&bytes, &bytes, root)
    }
}

fn unpack(wire: &[u8], tar: &[u8], root: &Path) -> Result<u64> {
    let (digest, diff_id) = (Digest::of(wire), Digest::of(tar));
    let expected = Expected {
        digest: Some(&digest),
        size: wire.len() as u64,
        diff_id: &diff_id,
        budget: &Budget::default(),
    };
    let beside = tempfile::tempdir().unwrap();
    let root = File::open(root).unwrap().into();
    receive(Box::new(wire), &expected, root, opened(&beside), Ownership::Root, &|_| true)
}

fn opened(directory: &tempfile::TempDir) -> OwnedFd {
    File::open(directory.path()).unwrap().into()
}

/// A root beside a canary; both go when the test ends.
struct Ground(tempfile::TempDir);

impl Ground {
    fn new() -> Self {
        let ground = tempfile::tempdir().unwrap();
        fs::create_dir(ground.path().join("root")).unwrap();
        fs::write(ground.path().join("canary"), "sings").unwrap();
        fs::create_dir(ground.path().join("cage")).unwrap();
        Self(ground)
    }

    fn root(&self) -> std::path::PathBuf {
        self.0.path().join("root")
    }

    fn intact(&self) {
        assert_eq!(fs::read_to_string(self.0.path().join("canary")).unwrap(), "sings");
        assert_eq!(fs::metadata(self.0.path().join("canary")).unwrap().nlink(), 1);
        assert_eq!(fs::read_dir(self.0.path().join("cage")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(self.0.path()).unwrap().count(), 3);
    }
}

#[test]
fn malicious_layers_stay_inside() {
    fn check(family: &str, what: &str, layer: impl Fn(Layer, &str) -> Layer, kind: Option<Kind>) {
        let ground = Ground::new();
        let outside = ground.0.path().to_str().unwrap().to_owned();
        let found = layer(Layer::new(), &outside).unpack(&ground.root());
        assert_eq!(found.as_ref().err().map(|error| error.kind), kind, "{family}, {what}: {found:?}");
        ground.intact();
    }
    let corrupt = Some(Kind::Corrupt);
    check("T1", "dot dot", |l, _| l.file("../x", ""), corrupt);
    check("T3", "dot dot within", |l, _| l.file("a/../../x", ""), corrupt);
    check("T2", "absolute", |l, _| l.file("/abs", ""), None);
    check(
        "T4",
        "file through a link",
        |l, out| l.symlink("a", &format!("{out}/cage")).file("a/f", ""),
        corrupt,
    );
    check("T4", "file through a relative link", |l, _| l.symlink("a", "../cage").file("a/f", ""), corrupt);
    check(
        "T10",
        "file over a link",
        |l, out| l.symlink("a", &format!("{out}/canary")).file("a", "dead"),
        None,
    );
    check(
        "T8",
        "directory over a link",
        |l, out| l.symlink("a", &format!("{out}/cage")).directory("a").file("a/f", ""),
        None,
    );
    check("T6", "hard link outside", |l, out| l.hardlink("a", &format!("{out}/canary")), corrupt);
    check("T6", "hard link up", |l, _| l.hardlink("a", "../canary"), corrupt);
    check(
        "T7",
        "hard link to a link",
        |l, out| l.symlink("s", &format!("{out}/canary")).hardlink("h", "s").file("h", "x"),
        None,
    );
    check("T6", "hard link through a link", |l, out| l.symlink("s", out).hardlink("h", "s/canary"), corrupt);
    check("T6", "hard link to a directory", |l, _| l.directory("d").hardlink("h", "d"), corrupt);
    check("T6", "hard link to nothing", |l, _| l.hardlink("h", "gone"), corrupt);
    check(
        "T12",
        "opaque through a link",
        |l, out| l.symlink("s", &format!("{out}/cage")).file("s/.wh..wh..opq", ""),
        corrupt,
    );
    check(
        "T12",
        "whiteout through a link",
        |l, out| l.symlink("s", &format!("{out}/cage")).file("s/.wh.x", ""),
        corrupt,
    );
    check("T5", "link loop", |l, _| l.symlink("a", "b").symlink("b", "a").file("a/f", ""), corrupt);
    // So many links does the kernel follow on one way, and no more (path_resolution(7)). What was written through them is in `d`.
    let chain = |l: Layer, count: usize| {
        let link = |l: Layer, number: usize| l.symlink(&format!("l{number}"), &format!("l{}", number - 1));
        let l = (2..=count).fold(l.directory("d").symlink("l1", "d"), link);
        l.file(&format!("l{count}/f"), "x").hardlink("h", "d/f")
    };
    check("T5", "a chain of 40 links", |l, _| chain(l, 40), None);
    check("T5", "a chain of 41 links", |l, _| chain(l, 41), corrupt);
    check(
        "T5",
        "41 links in one path",
        |l, _| l.symlink("a", ".").file(&format!("{}f", "a/".repeat(41)), ""),
        corrupt,
    );
    check("T9", "root as file", |l, _| l.file("./", ""), None);
    check("T9", "root as link", |l, out| l.symlink(".", out), corrupt);
    check("T12", "whiteout of nothing", |l, _| l.file(".wh.", ""), corrupt);
    check("T12", "whiteout of dot dot", |l, _| l.file(".wh...", ""), corrupt);
    check("T12", "below a whiteout", |l, _| l.file(".wh.a/b", ""), corrupt);
    check("T15", "whiteout as device", |l, _| l.entry(EntryType::Char, "a", "whiteout", b""), corrupt);
    check("T18", "name of 300", |l, _| l.pax(&[("path", "n".repeat(300).as_bytes())]).file("x", ""), corrupt);
    check(
        "T18",
        "path of 5000",
        |l, _| l.pax(&[("path", "n/".repeat(2500).as_bytes())]).file("x", ""),
        corrupt,
    );
    check("T13", "two paths", |l, _| l.pax(&[("path", b"a"), ("path", b"b")]).file("x", ""), corrupt);
    check("T13", "two sizes", |l, _| l.pax(&[("size", b"512")]).file("x", "abc"), corrupt);
    check("T13", "NUL in path", |l, _| l.pax(&[("path", b"a\0b")]).file("x", ""), corrupt);
    check("T17", "owner 2^32", |l, _| l.pax(&[("uid", b"4294967296")]).file("x", ""), corrupt);
    check("T14", "claims 8 EiB", |l, _| l.pax(&[("size", b"9223372036854775807")]).file("x", ""), corrupt);
    check("T19", "long header", |l, _| l.pax(&[("comment", &vec![b'x'; 2 << 20])]).file("x", ""), corrupt);
    check(
        "T16",
        "foreign marks",
        |l, _| l.pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")]).directory("d"),
        None,
    );
    check(
        "T13",
        "a symbolic link with a size",
        |l, _| l.entry(EntryType::Symlink, "s", "x", &[0; 512]),
        corrupt,
    );
    check(
        "T13",
        "a hard link with a size",
        |l, _| l.file("x", "").entry(EntryType::Link, "h", "x", b"data"),
        corrupt,
    );
    check(
        "T13",
        "a directory with a size",
        |l, _| l.entry(EntryType::Directory, "d", "", &[0; 512]),
        corrupt,
    );
    check("T13", "a directory of old with a size", |l, _| l.file("d/", "data"), corrupt);
    check("T13", "a device with a size", |l, _| l.entry(EntryType::Char, "c", "", &[0; 512]), corrupt);
    check("T13", "a FIFO with a size", |l, _| l.entry(EntryType::Fifo, "p", "", &[0; 512]), corrupt);
    check(
        "T13",
        "a FIFO with a size of PAX",
        |l, _| l.pax(&[("size", b"512")]).entry(EntryType::Fifo, "p", "", b""),
        corrupt,
    );
    check("T13", "two names", |l, _| l.long("a").pax(&[("path", b"b")]).file("x", ""), corrupt);
    check("T13", "two names the other way", |l, _| l.pax(&[("path", b"b")]).long("a").file("x", ""), corrupt);
    check("T13", "the same name twice", |l, _| l.long("a").pax(&[("path", b"a")]).file("x", ""), None);
    check(
        "T13",
        "two targets",
        |l, _| l.entry(EntryType::GNULongLink, "", "", b"a\0").pax(&[("linkpath", b"b")]).symlink("x", "c"),
        corrupt,
    );
    check("T9", "no name", |l, _| l.pax(&[("path", b"")]).file("x", ""), corrupt);
    let global =
        |l: Layer, text: &str| l.entry(EntryType::XGlobalHeader, "pax_global_header", "", text.as_bytes());
    check(
        "T13",
        "a comment of git",
        |l, _| global(l, "52 comment=e83c5163316f89bfbde7d9ab23ca2e25604af290\n").file("x", ""),
        None,
    );
    for (family, key, text) in [
        ("T13", "path", "11 path=ab\n"),
        ("T13", "linkpath", "14 linkpath=a\n"),
        ("T13", "size", "12 size=512\n"),
        ("T13", "uid", "8 uid=0\n"),
        ("T13", "gid", "8 gid=0\n"),
        ("T13", "mtime", "11 mtime=1\n"),
        ("T13", "an attribute", "23 SCHILY.xattr.user.a=b\n"),
        ("T13", "a sparse file", "20 GNU.sparse.size=1\n"),
        ("T13", "a broken record", "99 comment=x\n"),
    ] {
        check(family, &format!("{key} for all"), |l, _| global(l, text).file("x", ""), corrupt);
    }
    let comment = "12 comment=\n";
    check(
        "T13",
        "a name before a comment",
        |l, _| global(l.pax(&[("path", b"a")]), comment).file("x", ""),
        corrupt,
    );
    check("T13", "a long name before a comment", |l, _| global(l.long("a"), comment).file("x", ""), corrupt);
    check("T13", "a long comment", |l, _| global(l, &"x".repeat(2 << 20)).file("x", ""), corrupt);
    // What stands before an entry, and others read to another end.
    let (long, link, pax) = (EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader);
    for (family, kind, size, data, expected) in [
        ("T13", long, &b"00000000004\0"[..], &b"abc\0"[..], None),
        ("T13", long, b"00000000003\0", b"abc", None),
        ("T13", long, b"00000000003\0", b"abc\0", None),
        ("T13", long, b"00000000002\0", b"abc\0", corrupt),
        ("T13", long, b"00000000005\0", b"abc\0\0", corrupt),
        ("T13", long, b"00000000004\0", b"a\0c\0", corrupt),
        ("T13", long, b"+0000000004\0", b"abc\0", corrupt),
        ("T13", long, b"\x80\0\x01\0\0\0\0\0\0\0\0\x04", b"abc\0", corrupt),
        ("T13", link, b"00000000004\0", b"abc\0", None),
        ("T13", link, b"00000000002\0", b"abc\0", corrupt),
        ("T13", link, b"+0000000004\0", b"abc\0", corrupt),
        ("T13", pax, b"00000000013\0", b"11 path=ab\n", None),
        ("T13", pax, b"00000000012\0", b"11 path=ab\n", corrupt),
        ("T13", pax, b"+0000000013\0", b"11 path=ab\n", corrupt),
        ("T13", EntryType::XGlobalHeader, b"00000000013\0", b"12 comment=\n", corrupt),
    ] {
        let what = format!("{kind:?} of {}: {}", size.escape_ascii(), data.escape_ascii());
        let before = |l: Layer| l.file("before", "some data").about(kind, size, data);
        check(family, &what, |l, _| before(l).symlink("x", "y"), expected);
    }
    check("T15", "socket type", |l, _| l.entry(EntryType::new(b's'), "s", "", b""), corrupt);
    // Numbers that GNU tar reads in another way, or not at all.
    for (family, field, value) in [
        ("T13", 100, &b"+000644\0"[..]),
        ("T13", 108, b"+000000\0"),
        ("T13", 124, b"+0000000000\0"),
        ("T13", 124, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("T13", 124, b"\x80\0\x01\0\0\0\0\0\0\0\0\0"),
        ("T17", 136, b"\x80\0\0\0\x80\0\0\0\0\0\0\0"),
        ("T17", 136, b"-0000000001\0"),
        ("T17", 108, b"\x80\x01\0\0\0\0\0\0"),
        ("T20", 148, b"+01000\0 "),
        ("T20", 148, b"0000000\0"),
    ] {
        check(family, &format!("{} at {field}", value.escape_ascii()), |l, _| l.field(field, value), corrupt);
    }
    check("T17", "before 1970", |l, _| l.field(136, &[0xff; 12]), None);
    for (family, record) in [
        ("T13", ("uid", &b"+3"[..])),
        ("T13", ("gid", b"-3")),
        ("T13", ("size", b"+0")),
        ("T13", ("mtime", b"+5")),
        ("T13", ("mtime", b"1e3")),
        ("T13", ("atime", b"x")),
        ("T13", ("ctime", b"")),
        ("T14", ("GNU.sparse.realsize", b"9223372036854775807")),
    ] {
        let kind = Some(if record.0.starts_with("GNU") { Kind::Unsupported } else { Kind::Corrupt });
        check(family, &format!("{record:?}"), |l, _| l.pax(&[record]).file("x", ""), kind);
    }
    check(
        "T10",
        "file, link, directory",
        |l, out| l.file("a", "").symlink("a", out).directory("a").file("a/f", ""),
        None,
    );
    check("T11", "file over a directory", |l, _| l.file("d/e/f", "").file("d", "x"), None);
    check("T11", "directory over a file", |l, _| l.file("d", "x").file("d/e/f", ""), corrupt);
    check("T12", "a whiteout of its own layer", |l, _| l.file("a", "").file(".wh.a", ""), None);
    check("T15", "a FIFO", |l, _| l.entry(EntryType::Fifo, "p", "", b""), None);
    check("T15", "a device", |l, _| l.entry(EntryType::Char, "c", "", b""), None);
    check("T16", "a label", |l, _| l.pax(&[("SCHILY.xattr.security.selinux", b"x")]).file("x", ""), None);
    check(
        "T16",
        "marks of users",
        |l, _| l.pax(&[("SCHILY.xattr.user.overlay.opaque", b"y")]).directory("d"),
        None,
    );
    check("T18", "bytes that are no UTF-8", |l, _| l.field(0, b"caf\xe9"), None);
    check("T20", "names that differ by case", |l, _| l.file("a", "").file("A", ""), None);
}

/// Whoever shares a directory puts a link in the place of what was just made there.
#[test]
fn a_node_is_described_and_nothing_else() {
    let ground = Ground::new();
    let (root, canary) = (ground.root(), ground.0.path().join("canary"));
    std::os::unix::fs::symlink(&canary, root.join("link")).unwrap();
    fs::set_permissions(&canary, fs::Permissions::from_mode(0o600)).unwrap();
    let directory: std::os::fd::OwnedFd = File::open(&root).unwrap().into();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let swapped =
                    rustix::fs::renameat_with(&directory, "p", &directory, "link", RenameFlags::EXCHANGE);
                assert!(matches!(swapped, Ok(()) | Err(Errno::NOENT)));
            }
        });
        let what = What::Node { kind: FileType::Fifo, device: 0 };
        let meta = Meta {
            owner: Uid::from_raw(1),
            group: Gid::from_raw(1),
            mode: Mode::from_raw_mode(0o777),
            time: Timespec { tv_sec: 1, tv_nsec: 0 },
            attributes: Vec::new(),
        };
        let mut unpacker = Unpacker::plain(directory.try_clone().unwrap(), Ownership::Root);
        for _ in 0..3000 {
            // It may fail; what it makes is another's by then.
            drop(unpacker.put(b"p", &what, &meta, &mut std::io::empty()));
        }
        over.store(true, Ordering::Relaxed);
    });
    let found = fs::metadata(&canary).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o600, 0));
    ground.intact();
}

/// Everything that is made counts, not only what the archive lists.
#[test]
fn an_image_has_a_budget() {
    fn check(family: &str, what: &str, left: (u64, u64), layer: Layer, fits: bool) {
        let ground = Ground::new();
        let budget = Budget::default();
        let mut used = Share::new(Some(&budget));
        used.take(File::open("/").unwrap(), BYTES - left.0, 0, FILES - left.1).unwrap();
        used.keep();
        let bytes = layer.bytes();
        let digest = Digest::of(&bytes);
        let expected =
            Expected { digest: Some(&digest), size: bytes.len() as u64, diff_id: &digest, budget: &budget };
        let root = File::open(ground.root()).unwrap().into();
        let beside = tempfile::tempdir().unwrap();
        let found =
            receive(Box::new(&bytes[..]), &expected, root, opened(&beside), Ownership::Root, &|_| true);
        assert_eq!(
            found.as_ref().err().map(|error| error.kind),
            (!fits).then_some(Kind::Corrupt),
            "{family}, {what}: {found:?}"
        );
    }
    let (many, much) = (1 << 20, 1 << 30);
    let deep = |count: usize| Layer::new().file(&format!("{}f", "d/".repeat(count)), "");
    check("T19", "a file", (much, 1), Layer::new().file("f", ""), true);
    check("T19", "two files", (much, 1), Layer::new().file("f", "").file("g", ""), false);
    check("T19", "one file twice", (much, 1), Layer::new().file("f", "").file("f", ""), false);
    check("T19", "directories of a path", (much, 21), deep(20), true);
    check("T19", "one more", (much, 20), deep(20), false);
    let link = Layer::new().symlink("l", "a/b").directory("a").directory("a/b").file("l/c/f", "");
    check("T19", "through a link", (much, 5), link, true);
    check("T19", "content", (3 << 10, many), Layer::new().file("f", &"x".repeat(2 << 10)), true);
    check("T19", "more content", (3 << 10, many), Layer::new().file("f", &"x".repeat(3 << 10)), false);
    let attribute = |size| Layer::new().pax(&[("SCHILY.xattr.user.a", &vec![b'x'; size][..])]).file("f", "");
    check("T19", "an attribute", (20 << 10, many), attribute(3 << 10), true);
    check("T19", "a large attribute", (20 << 10, many), attribute(15 << 10), false);
    let comment = |size| Layer::new().pax(&[("comment", &vec![b'x'; size][..])]).file("f", "");
    check("T19", "a header", (20 << 10, many), comment(10 << 10), true);
    check("T19", "a large header", (20 << 10, many), comment(20 << 10), false);
}

/// Whatever of it later entries took the place of, and wherever links lead in the end.
#[test]
fn a_layer_is_its_archive_again() {
    fn check(what: &str, layer: Layer) {
        let (ground, beside) = (Ground::new(), tempfile::tempdir().unwrap());
        let root = File::open(ground.root()).unwrap().into();
        let tar = layer.bytes();
        let digest = Digest::of(&tar);
        let expected = Expected {
            digest: Some(&digest),
            size: tar.len() as u64,
            diff_id: &digest,
            budget: &Budget::default(),
        };
        receive(Box::new(&tar[..]), &expected, root, opened(&beside), Ownership::Root, &|_| true)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let left: Vec<_> =
            fs::read_dir(beside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [split::NAME], "{what}");
        let replay = || Replay::open(&beside.path().join(split::NAME), &ground.root()).unwrap();
        let mut again = Vec::new();
        replay().read_to_end(&mut again).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(again == tar, "{what}: other bytes");
        assert_eq!(replay().size().unwrap(), tar.len() as u64, "{what}");
        let one = ground.root().join("one");
        assert!(!one.exists() || fs::metadata(&one).unwrap().nlink() == 1, "{what}: another name is left");
        ground.intact();
    }
    let long: String = (0..200_000).map(|number| char::from(b'a' + (number % 23) as u8)).collect();
    check("nothing", Layer::new().directory("d").file("d/f", "data").file("e", ""));
    check("a file", Layer::new().file("f", "first").file("f", "second").file("f", "the third of them"));
    check("of one length", Layer::new().file("f", "first").file("g", "x").file("f", "other").file("h", "x"));
    check("a long one", Layer::new().file("f", &long).file("f", "x").file("g", &long));
    check("by a long one", Layer::new().file("f", "x").file("f", &long));
    check("by an empty one", Layer::new().file("f", "x").file("f", ""));
    check("by a link", Layer::new().file("f", "x").file("g", "y").symlink("f", "g"));
    check("by a FIFO", Layer::new().file("f", "x").entry(EntryType::Fifo, "f", "", b""));
    check("by a directory", Layer::new().file("f", "x").directory("f").file("f/f", "y"));
    check("a directory", Layer::new().file("d/e/f", "x").file("d/g", "y").file("d", "z"));
    let deep = format!("{}f", "d/".repeat(40));
    check("a deep directory", Layer::new().file(&deep, "x").file("d/g", &long).file("d", "z").file("d", "y"));
    check("a linked file", Layer::new().file("f", "x").hardlink("h", "f").file("f", "y"));
    check("its other name", Layer::new().file("f", "x").hardlink("h", "f").file("h", "y"));
    check("both names", Layer::new().file("f", "x").hardlink("h", "f").file("f", "y").file("h", "z"));
    check("by its link", Layer::new().file("f", "x").file("g", "y").hardlink("f", "g").hardlink("g", "f"));
    check("names in a directory", Layer::new().file("d/f", "x").hardlink("h", "d/f").file("d", "y"));
    check("a whiteout before", Layer::new().file(".wh.f", "").file("f", "x").file("f", "y"));
    check(
        "a whiteout after",
        Layer::new().file("f", "x").file(".wh.f", "").file("d/g", "y").file(".wh.d", ""),
    );
    check("an opaque directory", Layer::new().file("d/f", "x").file("d/.wh..wh..opq", "").file("d/f", "y"));
    let through = || Layer::new().directory("a").symlink("l", "a").file("l/one", "x");
    check("through a link", through());
    check("a link that leads elsewhere", through().directory("b").file("b/one", "y").symlink("l", "b"));
    check("a link that becomes a directory", through().directory("l").file("l/one", "y"));
    check("a link that is gone, and the file", through().file("l", "y").file("a/one", "z"));
    check("two ways", through().file("a/one", "y").file("l/one", "z").symlink("l", "nowhere"));
    check(
        "made through a link",
        Layer::new().directory("a").symlink("l", "a").file("l/b/one", "x").file("l", "y"),
    );
    check("a link above", through().symlink("m", "l/").file("m/two", "x").directory("l"));
    let sparse = |layer: Layer| layer.file("f", "x").symlink("f", "g").file("g", "y").file("f", "x");
    check("many turns", sparse(sparse(sparse(Layer::new()))));
}

/// Two thousand directories in one path take as many calls as there are, and not their square.
#[test]
fn a_path_may_be_deep() {
    let ground = Ground::new();
    let path = format!("{}f", "d/".repeat(2000));
    let layer = Layer::new().pax(&[("path", path.as_bytes())]).file("x", "deep");
    layer.unpack(&ground.root()).unwrap();
    assert_eq!(fs::read_to_string(ground.root().join(path)).unwrap(), "deep");
}

#[test]
fn whiteouts_are_those_of_overlayfs() {
    let ground = Ground::new();
    let layer = Layer::new()
        .file("d/.wh..wh..opq", "")
        .file("d/.wh.gone", "")
        .file(".wh..wh.plnk", "")
        .file(".wh.again", "")
        .directory("again")
        .file("kept", "x")
        .file(".wh.kept", "");
    layer.unpack(&ground.root()).unwrap();
    let root = ground.root();
    let gone = fs::symlink_metadata(root.join("d/gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = |name: &str| {
        let mut value = [0; 8];
        let path = root.join(name);
        rustix::fs::lgetxattr(&path, "trusted.overlay.opaque", &mut value[..])
            .map(|n| value[..n].to_vec())
            .ok()
    };
    assert_eq!(opaque("d").as_deref(), Some(&b"y"[..]));
    assert_eq!(opaque("again").as_deref(), Some(&b"y"[..]));
    assert_eq!(opaque("."), None);
    assert_eq!(fs::read_to_string(root.join("kept")).unwrap(), "x");
    assert!(!root.join(".wh..wh.plnk").exists());
}

#[test]
fn a_user_namespace_gets_its_own_marks_and_no_devices() {
    let ground = Ground::new();
    let tar =
        Layer::new().file("d/.wh..wh..opq", "").file("d/.wh.x", "").entry(EntryType::Char, "null", "", b"");
    let tar = tar.entry(EntryType::Fifo, "pipe", "", b"").bytes();
    let digest = Digest::of(&tar);
    let expected = Expected {
        digest: Some(&digest),
        size: tar.len() as u64,
        diff_id: &digest,
        budget: &Budget::default(),
    };
    let root = File::open(ground.root()).unwrap().into();
    let beside = tempfile::tempdir().unwrap();
    receive(Box::new(&tar[..]), &expected, root, opened(&beside), Ownership::UserNamespace, &|_| true)
        .unwrap();
    let mut value = [0; 8];
    let count = rustix::fs::getxattr(ground.root().join("d"), "user.overlay.opaque", &mut value[..]).unwrap();
    assert_eq!(&value[..count], b"y");
    assert!(!ground.root().join("null").exists());
    assert!(fs::symlink_metadata(ground.root().join("pipe")).unwrap().file_type().is_fifo());
    assert!(fs::symlink_metadata(ground.root().join("d/x")).unwrap().file_type().is_char_device());
}

#[test]
fn the_last_entry_of_a_name_wins() {
    let ground = Ground::new();
    let layer = Layer::new()
        .file("a", "file")
        .directory("a")
        .file("a/b/c", "deep")
        .symlink("a/l", "b")
        .file("a/l/through", "x")
        .file("z", "1")
        .hardlink("y", "z")
        .file("z", "2");
    layer.unpack(&ground.root()).unwrap();
    let read = |name: &str| fs::read_to_string(ground.root().join(name)).unwrap();
    assert_eq!([read("a/b/through"), read("y"), read("z")], ["x", "1", "2"]);
    assert_eq!(fs::metadata(ground.root().join("a/b")).unwrap().mode() & 0o7777, 0o755);
    let again = Ground::new();
    Layer::new().file("a/b/c", "").file("a", "file").file("a", "new").unpack(&again.root()).unwrap();
    assert_eq!(fs::read_to_string(again.root().join("a")).unwrap(), "new");
}

/// What tar(1) and we must agree on.
fn listing(root: &Path) -> String {
    let format = "%p\\t%y\\t%m\\t%U:%G\\t%l\\t%n\\t%T@\\n";
    let output = Command::new("find")
        .args([".", "-mindepth", "1", "-printf", format])
        .current_dir(root)
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn ordinary_archives_unpack_as_tar_does() {
    let ground = Ground::new();
    let source = ground.0.path().join("cage");
    let script = "umask 022; mkdir -p a/b sticky; echo x > a/f; ln a/f a/h; ln -s ../a/f a/b/s; ln -s /nowhere dead;
        mkfifo p; mknod null c 1 3; echo s > suid; chown 1000:2000 suid; chmod 4755 suid; chmod 1777 sticky;
        truncate -s 3M hole; echo end >> hole; touch -d '1969-12-31 12:00:00.25Z' old; : > 'Ünï cödé';
        mkdir -p $(printf 'long%.0s/' $(seq 60)); head -c 300000 /dev/urandom > a/big; touch -d '2001-01-01' a";
    assert!(Command::new("sh").args(["-ec", script]).current_dir(&source).status().unwrap().success());
    for format in [&["--format=gnu"][..], &["--format=pax"], &["--format=gnu", "--sparse"]] {
        let output =
            Command::new("tar").args(format).args(["-c", "."]).current_dir(&source).output().unwrap();
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        unpack(&output.stdout, &output.stdout, ours.path()).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["-xp", "--numeric-owner", "-C"]).arg(theirs.path()).stdin(std::process::Stdio::piped());
        let mut tar = tar.spawn().unwrap();
        tar.stdin.take().unwrap().write_all(&output.stdout).unwrap();
        assert!(tar.wait().unwrap().success());
        assert_eq!(listing(ours.path()), listing(theirs.path()), "{format:?}");
        assert_eq!(fs::read(ours.path().join("a/big")).unwrap(), fs::read(source.join("a/big")).unwrap());
        assert_eq!(fs::read(ours.path().join("hole")).unwrap(), fs::read(source.join("hole")).unwrap());
    }
}

#[test]
fn compressed_layers_are_one_stream() {
    fn check(family: &str, what: &str, wire: &[u8], tar: &[u8], kind: Option<Kind>) {
        let ground = Ground::new();
        let found = unpack(wire, tar, &ground.root());
        assert_eq!(found.as_ref().err().map(|error| error.kind), kind, "{family}, {what}: {found:?}");
        let names = || fs::read_dir(ground.root()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(kind.is_some() || names().eq(["f"]), "{family}, {what}: {:?}", names().collect::<Vec<_>>());
    }
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zstd =
        |bytes: &[u8]| ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest);
    let tar = Layer::new().file("f", "data").bytes();
    let (head, tail) = tar.split_at(700);
    let corrupt = Some(Kind::Corrupt);
    check("T19", "plain", &tar, &tar, None);
    check("T19", "gzip", &gzip(&tar), &tar, None);
    check("T19", "two gzip members", &[gzip(head), gzip(tail)].concat(), &tar, None);
    let members: Vec<_> = tar.chunks(100).map(gzip).collect();
    check("T19", "many gzip members", &members.concat(), &tar, None);
    check("T19", "members of nothing", &[gzip(b"").repeat(50_000), gzip(&tar)].concat(), &tar, None);
    check("T19", "gzip in gzip", &gzip(&gzip(&tar)), &tar, corrupt);
    check("T19", "zstd", &zstd(&tar), &tar, None);
    check("T19", "two zstd frames", &[zstd(head), zstd(tail)].concat(), &tar, None);
    let skip = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&tar)].concat();
    check("T19", "a frame to skip", &skip, &tar, None);
    let frames: Vec<_> = tar.chunks(100).map(zstd).collect();
    check("T19", "many zstd frames", &frames.concat(), &tar, None);
    check("T19", "a zstd frame behind gzip", &[gzip(head), zstd(tail)].concat(), &tar, corrupt);
    let skips = skip[..11].repeat(100_000);
    check(
        "T19",
        "many frames to skip",
        &[&skips[..], &zstd(head), &skips, &zstd(tail), &skips].concat(),
        &tar,
        None,
    );
    check("T19", "nothing but frames to skip", &skips, &tar, corrupt);
    let endless = [&[0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff][..], &zstd(&tar)].concat();
    check("T19", "a frame to skip of 4 GiB", &endless, &tar, corrupt);
    // One frame of one raw block, whose header (RFC 8878, 3.1.1.1) says how much memory it wants.
    let framed = |header: &[u8]| {
        let block = (tar.len() as u32) << 3 | 1;
        [&[0x28, 0xb5, 0x2f, 0xfd], header, &block.to_le_bytes()[..3], &tar].concat()
    };
    let window = |log: u8| framed(&[0, (log - 10) << 3]);
    let segment = |size: u64| framed(&[&[0xe0][..], &size.to_le_bytes()].concat());
    check("T19", "a window of 128 MiB", &window(27), &tar, None);
    check("T19", "a window of 256 MiB", &window(28), &tar, corrupt);
    check("T19", "a window of 2 GiB", &window(31), &tar, corrupt);
    check("T19", "the largest window", &framed(&[0, 0xff]), &tar, corrupt);
    check("T19", "a segment", &segment(tar.len() as u64), &tar, None);
    check("T19", "a segment of 2 GiB", &segment(2 << 30), &tar, corrupt);
    check("T19", "a segment of 16 EiB", &segment(u64::MAX), &tar, corrupt);
    check("T20", "truncated gzip", &gzip(&tar)[..60], &tar, corrupt);
    check("T20", "truncated tar", &tar[..600], &tar[..600], corrupt);
    let mut wrong = gzip(&tar);
    let crc = wrong.len() - 6;
    wrong[crc] ^= 1;
    check("T20", "wrong checksum of gzip", &wrong, &tar, corrupt);
    let more = [&tar[..], b"what follows the archive is hashed"].concat();
    check("T20", "trailing bytes", &gzip(&more), &more, None);
    check("T20", "trailing bytes that the diff id lacks", &gzip(&more), &tar, corrupt);
    check("T20", "text", b"hello", b"hello", corrupt);
    // Two blocks of zeros are its end (pax(1)), but GNU tar too takes one, and the end of the file.
    let entries = &tar[..tar.len() - 1024];
    check("T20", "no end blocks", entries, entries, None);
    check("T20", "no end blocks within gzip", &gzip(entries), entries, None);
    let one = &tar[..tar.len() - 512];
    check("T20", "one end block", one, one, None);
    let half = &tar[..tar.len() - 768];
    check("T20", "half an end block", half, half, corrupt);
    let behind = [&tar[..], &Layer::new().file("g", "").bytes()].concat();
    check("T20", "an archive behind the end", &behind, &behind, None);
    let cut = &entries[..entries.len() - 512];
    check("T20", "no data of the last entry", cut, cut, corrupt);
}

/// The kernel gives what is made in a directory with set-group-id that one's group.
#[test]
fn a_parent_that_is_not_listed_is_roots() {
    use std::os::unix::fs::MetadataExt;
    let ground = Ground::new();
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_path("d").unwrap();
    header.set_mode(0o2755);
    header.set_uid(0);
    header.set_gid(100);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    let archive = [header.as_bytes(), &Layer::new().file("d/a/f", "x").bytes()[..]].concat();
    unpack(&archive, &archive, &ground.root()).unwrap();
    let about = |name: &str| fs::metadata(ground.root().join(name)).unwrap();
    assert_eq!((about("d").mode() & 0o7777, about("d").gid()), (0o2755, 100));
    assert_eq!((about("d/a").mode() & 0o7777, about("d/a").gid()), (0o755, 0));
}

#[test]
fn a_layer_that_is_not_what_was_promised_is_refused() {
    fn check(size: u64, digest: &[u8], go_on: bool, kind: Kind) {
        let ground = Ground::new();
        let tar = Layer::new().file("f", "data").bytes();
        let (digest, diff_id) = (Digest::of(digest), Digest::of(&tar));
        let expected =
            Expected { digest: Some(&digest), size, diff_id: &diff_id, budget: &Budget::default() };
        let root = File::open(ground.root()).unwrap().into();
        let beside = tempfile::tempdir().unwrap();
        let found =
            receive(Box::new(&tar[..]), &expected, root, opened(&beside), Ownership::Root, &|_| go_on);
        assert_eq!(found.unwrap_err().kind, kind);
    }
    let tar = Layer::new().file("f", "data").bytes();
    let size = tar.len() as u64;
    check(size, b"other", true, Kind::Corrupt);
    check(size - 1, &tar, true, Kind::Corrupt);
    check(size + 1, &tar, true, Kind::Unreachable);
    check(size, &tar, false, Kind::Cancelled);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_leaves_its_root(entries in proptest::collection::vec(
        (0..6_u8, "(/|\\.\\./|a/|b/|\\./){0,4}(a|b|c|\\.\\.|\\.wh\\.a|\\.wh\\.\\.wh\\.\\.opq)", "(/|\\.\\./|a/|b/){0,4}(a|b|canary|cage)"), 1..12)) {
        let ground = Ground::new();
        let mut layer = Layer::new();
        for (kind, name, link) in &entries {
            let out = ground.0.path().to_str().unwrap();
            let link = if link.starts_with('/') { format!("{out}{link}") } else { link.clone() };
            layer = match kind {
                0 => layer.file(name, "data"),
                1 => layer.directory(name),
                2 | 3 => layer.symlink(name, &link),
                4 => layer.hardlink(name, &link),
                _ => layer.entry(EntryType::Fifo, name, "", b""),
            };
        }
        let _ = layer.unpack(&ground.root());
        ground.intact();
    }

    #[test]
    fn damaged_archives_are_refused_or_unpacked(at in 0..2048_usize, value in any::<u8>()) {
        let ground = Ground::new();
        let mut bytes = Layer::new().file("a/f", "data").symlink("l", "a").bytes();
        bytes[at] = value;
        let _ = unpack(&bytes, &bytes, &ground.root());
        ground.intact();
    }
}

#[test]
fn a_full_disk_is_said() {
    let ground = Ground::new();
    let script = "mount -t tmpfs -o size=64k none \"$1\" && exec \"$2\" --exact \"$3\" --ignored";
    let this = std::env::current_exe().unwrap();
    // A mount namespace of its own, so that the small file system goes with the process.
    let mut child = Command::new("unshare");
    child.args(["--mount", "sh", "-c", script, "sh"]).arg(ground.root()).arg(this);
    child.arg("layer::unpack::tests::a_disk_of_64_kib_is_full").env("TEST_ROOT", ground.root());
    let output = child.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("1 passed"), "{shown}");
}

#[test]
#[ignore = "runs inside a_full_disk_is_said"]
fn a_disk_of_64_kib_is_full() {
    let root = std::env::var("TEST_ROOT").unwrap();
    let error = Layer::new().file("big", &"x".repeat(200_000)).unpack(Path::new(&root)).unwrap_err();
    assert_eq!(error.kind, Kind::Full, "{error}");
    assert!(error.hint.is_some() && error.to_string().contains("big"), "{error:?}");
}
