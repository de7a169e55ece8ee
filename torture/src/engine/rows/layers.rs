//! Layers that write elsewhere, that two readers read in two ways, and that are more than they look.

use super::super::archive::{Entry, Image, Tar, digest};
use super::super::ground::Ground;
use super::super::{BOTH, Replay};
use testkit::Outcome;

/// Loads an image with this layer, and runs something in it where it could be loaded. Neither may touch the host.
fn contained(ground: &Ground, layer: Tar, script: &str) {
    if ground.load(&Image::of(layer), "evil:1").code == 0 {
        ground.run(&[], "evil:1", script);
    }
    ground.is_intact();
}

/// Loads an image with this layer, which has to be refused with these words, and to leave nothing.
fn refused(ground: &Ground, layer: Tar, words: &[&str]) {
    ground.load(&Image::of(layer), "evil:1").refuses(125, words);
    ground.host.admin("test -z \"$(ls -A /tmp/data/image/staging)\"");
    ground.is_intact();
}

/// Directories for which there has to be room above any place of the store.
const UP: &str = "../../../../../../../../../..";

/// A layer that is honest, with what the hostile ones have.
fn honest(ground: &Ground) {
    let layer = Tar::default()
        .directory("./real/")
        .file("./real/f", b"text\n")
        .symlink("abs", "/real")
        .symlink("rel", "real")
        .file("rel/through", b"in the root\n")
        .hardlink("second", "real/f")
        .hardlink("third", "/real/f");
    ground.has(&Image::of(layer), "good:1");
    let script = "cat /abs/through /second /third; stat -c %h /real/f";
    ground.run(&[], "good:1", script).ok().prints("in the root\ntext\ntext\n3");
    ground.is_intact();
}

/// A store of its own, with busybox in it, on a disk of 64 MiB and 65,536 inodes.
struct SmallDisk<'a>(&'a Ground);

impl<'a> SmallDisk<'a> {
    fn new(ground: &'a Ground) -> Self {
        let user = ground.host.user();
        ground.host.admin(&format!(
            "mkdir /tmp/work/small
            mount -t tmpfs -o size=64m,nr_inodes=65536,mode=700,uid={user},gid={user} small /tmp/work/small"
        ));
        let this = Self(ground);
        this.load(&Image::base()).ok();
        this
    }

    fn load(&self, image: &Image) -> Outcome {
        let file = self.0.file(&image.saved("small:1"));
        let load = format!("DEVOXX_ROOT=/tmp/work/small exec $C load -q -i {file}; rm {file}");
        self.0.sh(&load)
    }

    /// Free blocks and inodes, less the empty file that a layer is locked by.
    fn free(&self) -> String {
        let free = "rm -f /tmp/work/small/image/locks/*; stat -f -c '%f %d' /tmp/work/small";
        self.0.host.admin(free).stdout
    }

    /// A layer is refused with this word, and leaves the disk as it was.
    fn refuses(&self, layer: Vec<u8>, word: &str) {
        let before = self.free();
        self.load(&Image::base().and(layer)).refuses(125, &[word]);
        self.0.host.admin("test -z \"$(ls -A /tmp/work/small/image/staging)\"");
        assert_eq!(self.free(), before, "free blocks and inodes after {word:?}");
    }

    /// A layer that is said to be this archive is taken, and a script that is run sees this.
    fn takes(&self, layer: Vec<u8>, archive: &[u8], script: &str, sees: &str) {
        self.load(&Image::base().and_packed(layer, digest(archive))).ok();
        let run = "exec $C run --rm --net none small:1 sh -c";
        self.0.sh(&format!("export DEVOXX_ROOT=/tmp/work/small; {run} '{script}'")).ok().prints(sees);
    }

    fn gone(self) {
        self.0.host.admin("umount /tmp/work/small");
        self.0.is_intact();
    }
}

/// A frame of zstd (RFC 8878, 3.1.1) of some bytes, and of so many zeros behind them: four bytes for each 128 KiB.
fn zeros_behind(bytes: &[u8], blocks: usize) -> Vec<u8> {
    const BLOCK: usize = 128 << 10;
    let block =
        |size: usize, kind: usize, last: bool| (size << 3 | kind << 1 | usize::from(last)).to_le_bytes();
    // Magic number, nothing but a window, and that of one block.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    frame.extend(&block(bytes.len(), 0, false)[..3]);
    frame.extend(bytes);
    for number in 1..=blocks {
        frame.extend(&block(BLOCK, 1, number == blocks)[..3]);
        frame.push(0);
    }
    frame
}

/// The header of a file of so many MiB.
fn of_mebibytes(name: &str, size: usize) -> Vec<u8> {
    let entry = Entry { name, size: Some((size as u64) << 20), ..Entry::default() };
    let mut header = Tar::default().entry(&entry).bytes();
    header.truncate(512);
    header
}

/// Empty files.
fn files(count: usize) -> Tar {
    (0..count).fold(Tar::default(), |tar, number| tar.file(&format!("files/{number}"), b""))
}

/// Files of ten attributes each, of so many bytes.
fn attributed(count: usize, size: usize) -> Tar {
    let value = "x".repeat(size);
    let names: Vec<String> = (0..10).map(|number| format!("SCHILY.xattr.user.a{number}")).collect();
    let records: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &*value)).collect();
    (0..count).fold(Tar::default(), |tar, number| tar.pax(&records).file(&format!("files/{number}"), b""))
}

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "IM-01",
        what: "mode and owner of a directory whose name is a link by now",
        users: BOTH,
        mutant: Some("mutant_im_01"),
        attack: |ground| {
            let layer = |to: &str| {
                Tar::default().symlink("d", to).entry(&Entry {
                    kind: b'5',
                    name: "d",
                    mode: 0o777,
                    owner: (5, 6),
                    ..Entry::default()
                })
            };
            contained(ground, layer("/tmp/canary/dir"), "true");
            contained(ground, layer(&format!("{UP}/tmp/canary/dir")), "true");
        },
        control: |ground| {
            let layer = Tar::default()
                .entry(&Entry { kind: b'5', name: "d", mode: 0o1777, owner: (5, 6), ..Entry::default() })
                .entry(&Entry { name: "f", mode: 0o4755, owner: (7, 8), ..Entry::default() });
            ground.has(&Image::of(layer), "good:1");
            ground.run(&[], "good:1", "stat -c '%a %u:%g' /d /f").ok().prints("1777 5:6\n4755 7:8");
        },
    },
    Replay {
        row: "IM-02",
        what: "files beneath a link that leads out, and a root that is one",
        users: BOTH,
        mutant: Some("mutant_im_02"),
        attack: |ground| {
            let relative = format!("{UP}/tmp/canary");
            for to in ["/tmp/canary", &relative, "/proc/self/root/tmp/canary", "/proc/1/cwd/tmp/canary"] {
                let layer = Tar::default()
                    .symlink("a", to)
                    .file("a/evil", b"x")
                    .file("a/file", b"evil\n")
                    .directory("a/new/deep");
                contained(ground, layer, "true");
            }
            let chain = Tar::default().symlink("a", "b").symlink("b", "/tmp").file("a/canary/evil", b"x");
            contained(ground, chain, "true");
            for name in [".", "/", "./"] {
                refused(ground, Tar::default().symlink(name, "/tmp/canary"), &["root of a layer"]);
            }
        },
        control: honest,
    },
    Replay {
        row: "IM-02",
        what: "names with .. and names that begin with /",
        users: BOTH,
        mutant: Some("mutant_im_02_up"),
        attack: |ground| {
            for name in [&format!("{UP}/tmp/canary/evil"), &format!("bin/{UP}/tmp/canary/evil"), "../evil"] {
                refused(ground, Tar::default().file(name, b"x"), &["leaves the root"]);
            }
            contained(ground, Tar::default().file("/tmp/canary/evil", b"x"), "true");
        },
        control: |ground| {
            ground.has(&Image::of(Tar::default().file("/a..b/..c", b"text\n")), "good:1");
            ground.run(&[], "good:1", "cat /a..b/..c").ok().prints("text");
        },
    },
    Replay {
        row: "IM-02",
        what: "second names of files of the host",
        users: BOTH,
        mutant: Some("mutant_im_02_hard"),
        attack: |ground| {
            let see = "cat /h; echo evil >/h";
            for to in ["/tmp/canary", &format!("{UP}/tmp/canary")] {
                contained(ground, Tar::default().symlink("s", to).hardlink("h", "s/secret"), see);
            }
            refused(ground, Tar::default().hardlink("h", "/tmp/canary/secret"), &["ENOENT"]);
            refused(
                ground,
                Tar::default().hardlink("h", &format!("{UP}/tmp/canary/secret")),
                &["hard link: leaves the root"],
            );
            let of_a_link =
                Tar::default().symlink("s", "/tmp/canary/secret").hardlink("h", "s").file("h", b"x");
            contained(ground, of_a_link, see);
        },
        control: honest,
    },
    Replay {
        row: "IM-03",
        what: "many loads of one image with links at once",
        users: BOTH,
        mutant: Some("mutant_im_03"),
        attack: |ground| {
            let layer = Tar::default().symlink("a", "/tmp/canary").file("a/evil", b"x");
            let file = ground.file(&Image::of(layer).saved("evil:1"));
            ground.sh(&format!("for n in 1 2 3 4 5 6; do $C load -i {file} & done; wait"));
            ground.is_intact();
        },
        control: |ground| {
            let file = ground.file(&Image::of(Tar::default().file("f", b"text\n")).saved("good:1"));
            let all = format!(
                "for n in 1 2 3 4 5 6; do $C load -q -i {file} >/dev/null || echo failed & done; wait"
            );
            ground.sh(&all).ok().prints("");
            ground.run(&[], "good:1", "cat /f").ok().prints("text");
        },
    },
    Replay {
        row: "IM-04",
        what: "headers of which two readers make two archives",
        users: BOTH,
        mutant: Some("mutant_im_04"),
        attack: |ground| {
            let file = |tar: Tar| tar.file("f", &[b'x'; 512]);
            for (records, words) in [
                (&[("size", "0")][..], "two different sizes"),
                (&[("size", "512"), ("size", "0")], "two PAX records"),
                (&[("path", "a"), ("path", "b")], "two PAX records"),
                (&[("path", "a\0b")], "NUL"),
                (&[("mtime", "never")], "time"),
                (&[("uid", "-1")], "number"),
            ] {
                refused(ground, file(Tar::default().pax(records)), &[words]);
            }
            let long = |tar: Tar| {
                tar.entry(&Entry { kind: b'L', name: "././@LongLink", data: b"one\0", ..Entry::default() })
            };
            refused(ground, file(long(Tar::default()).pax(&[("path", "two")])), &["two different names"]);
            let torn = Entry { kind: b'x', name: "pax", data: b"99 path=x\n", ..Entry::default() };
            refused(ground, file(Tar::default().entry(&torn)), &["PAX"]);
        },
        control: |ground| {
            let long = "n".repeat(200);
            let layer = Tar::default().pax(&[("path", &long), ("comment", "text")]).file("short", b"text\n");
            ground.has(&Image::of(layer), "good:1");
            ground.run(&[], "good:1", &format!("cat /{long}")).ok().prints("text");
        },
    },
    Replay {
        row: "IM-06",
        what: "little that unpacks to more than the disk has",
        users: BOTH,
        mutant: Some("mutant_im_06"),
        attack: |ground| {
            let disk = SmallDisk::new(ground);
            std::fs::write(ground.host.path("/tmp/work/header"), of_mebibytes("z", 80)).expect("a header");
            ground.sh("(cat header; head -c 80M /dev/zero) | gzip -1 >bomb; rm header").ok();
            let bomb = std::fs::read(ground.host.path("/tmp/work/bomb")).expect("a bomb");
            disk.refuses(bomb, "keep room on the disk");
            // 1 MiB that are 32 GiB, in one file and in many.
            let (whole, room) =
                (zeros_behind(&of_mebibytes("z", 32 << 10), 32 << 13), "keep room on the disk");
            assert!(whole.len() < (1 << 20) + 1024, "{} bytes", whole.len());
            disk.refuses(whole, room);
            let many = (0..1000).map(|number| zeros_behind(&of_mebibytes(&format!("z{number}"), 1), 1 << 3));
            disk.refuses(many.collect::<Vec<_>>().concat(), room);
            let claims = Tar::default().entry(&Entry { name: "z", size: Some(1 << 62), ..Entry::default() });
            disk.refuses(claims.bytes(), "unpacks to more than");
            disk.gone();
        },
        control: |ground| {
            let packed =
                "(cat header; head -c 20M /dev/zero; head -c 1024 /dev/zero) >plain; gzip -1 <plain >packed";
            std::fs::write(ground.host.path("/tmp/work/header"), of_mebibytes("z", 20)).expect("a header");
            ground.sh(packed).ok();
            let read = |name: &str| std::fs::read(ground.host.path(name)).expect("a layer");
            let (packed, plain) = (read("/tmp/work/packed"), read("/tmp/work/plain"));
            let disk = SmallDisk::new(ground);
            disk.takes(packed, &plain, "stat -c %s /z", "20971520");
            let header = of_mebibytes("y", 20);
            let archive = [&header[..], &vec![0; 21 << 20]].concat();
            disk.takes(zeros_behind(&header, 21 << 3), &archive, "stat -c %s /y", "20971520");
            disk.gone();
        },
    },
    Replay {
        row: "IM-06",
        what: "files of no bytes, more than the disk has inodes",
        users: BOTH,
        mutant: Some("mutant_im_06"),
        attack: |ground| {
            let disk = SmallDisk::new(ground);
            disk.refuses(files(70_000).bytes(), "keep inodes of the disk");
            let deep = (0..70_000).fold(Tar::default(), |tar, number| tar.directory(&format!("d/{number}")));
            disk.refuses(deep.bytes(), "keep inodes of the disk");
            disk.gone();
        },
        control: |ground| {
            let disk = SmallDisk::new(ground);
            let archive = files(20_000).bytes();
            disk.takes(archive.clone(), &archive, "ls /files | wc -l", "20000");
            disk.gone();
        },
    },
    Replay {
        row: "IM-06",
        what: "attributes of files, more than the disk has room for",
        users: BOTH,
        mutant: Some("mutant_im_06"),
        attack: |ground| {
            let disk = SmallDisk::new(ground);
            // A disk has them beside its inodes or in its blocks.
            disk.refuses(attributed(150, 60 << 10).bytes(), ": keep ");
            disk.refuses(attributed(20_000, 300).bytes(), ": keep ");
            disk.gone();
            let large = "x".repeat((64 << 10) + 1);
            let layer = Tar::default().pax(&[("SCHILY.xattr.user.a", &large)]).file("f", b"");
            refused(ground, layer, &["fsetxattr", "65537 bytes"]);
        },
        control: |ground| {
            let disk = SmallDisk::new(ground);
            let archive = attributed(10, 60 << 10).bytes();
            disk.takes(archive.clone(), &archive, "ls /files | wc -l", "10");
            disk.gone();
        },
    },
    Replay {
        row: "IM-13",
        what: "marks of overlayfs that an archive brings along",
        users: BOTH,
        mutant: Some("mutant_im_13"),
        attack: |ground| {
            for name in ["trusted.overlay.opaque", "user.overlay.opaque"] {
                let lower = Tar::default().directory("d").file("d/f", b"of the layer below\n").bytes();
                let record = (&*format!("SCHILY.xattr.{name}"), "y");
                let upper = Tar::default().pax(&[record]).directory("d").file("d/g", b"x");
                ground.has(&Image::base().and(lower).and(upper.bytes()), "evil:1");
                ground.run(&[], "evil:1", "cat /d/f").ok().prints("of the layer below");
            }
            for name in [".wh.", ".wh..", ".wh...", "d/.wh."] {
                refused(ground, Tar::default().file(name, b""), &["whiteout"]);
            }
            refused(ground, Tar::default().file(".wh.d/x", b""), &["whiteout"]);
            let through = Tar::default().symlink("l", "bin").file("l/.wh..wh..opq", b"");
            refused(ground, through, &["l"]);
            ground.is_intact();
        },
        control: |ground| {
            let lower = Tar::default()
                .directory("d")
                .file("d/f", b"x")
                .file("d/g", b"x")
                .directory("e")
                .file("e/f", b"x");
            let upper = Tar::default()
                .file("d/.wh.f", b"")
                .directory("e")
                .file("e/.wh..wh..opq", b"")
                .file("e/g", b"x");
            ground.has(&Image::base().and(lower.bytes()).and(upper.bytes()), "good:1");
            ground.run(&[], "good:1", "ls /d /e").ok().prints("/d:\ng\n\n/e:\ng");
        },
    },
    Replay {
        row: "IM-13",
        what: "a device that overlayfs would take for a whiteout",
        users: BOTH,
        mutant: Some("mutant_im_13_node"),
        attack: |ground| {
            refused(ground, Tar::default().device("etc/passwd", (0, 0)), &["0:0"]);
        },
        control: |ground| {
            let fifo = Entry { kind: b'6', name: "pipe", ..Entry::default() };
            ground.has(&Image::of(Tar::default().entry(&fifo).device("node", (1, 3))), "good:1");
            ground.run(&[], "good:1", "test -p /pipe && echo pipe").ok().prints("pipe");
        },
    },
];
