//! Layers that write elsewhere, that two readers read in two ways, and that are more than they look.

use super::super::archive::{Entry, Image, Tar, digest};
use super::super::ground::Ground;
use super::super::{BOTH, Replay};

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
            let user = ground.host.user();
            ground.host.admin(&format!(
                "mkdir /tmp/work/small; mount -t tmpfs -o size=64m,mode=700,uid={user},gid={user} small /tmp/work/small"
            ));
            let small = |image: &Image, words: &[&str]| {
                let file = ground.file(&image.saved("evil:1"));
                let load = format!("DEVOXX_ROOT=/tmp/work/small exec $C load -i {file}");
                ground.sh(&load).refuses(125, words);
                ground.host.admin("test -z \"$(ls -A /tmp/work/small/image/staging)\"");
            };
            let zeros = Tar::default().entry(&Entry { name: "z", size: Some(80 << 20), ..Entry::default() });
            std::fs::write(ground.host.path("/tmp/work/header"), &zeros.bytes()[..512]).expect("a header");
            ground.sh("(cat header; head -c 80M /dev/zero) | gzip -1 >bomb; rm header").ok();
            let bomb = std::fs::read(ground.host.path("/tmp/work/bomb")).expect("a bomb");
            small(&Image::base().and(bomb), &["keep room on the disk"]);
            let claims = Tar::default().entry(&Entry { name: "z", size: Some(1 << 62), ..Entry::default() });
            small(&Image::of(claims), &["unpacks to more than"]);
            ground.host.admin("umount /tmp/work/small");
            ground.is_intact();
        },
        control: |ground| {
            let packed =
                "(cat header; head -c 20M /dev/zero; head -c 1024 /dev/zero) >plain; gzip -1 <plain >packed";
            let zeros = Tar::default().entry(&Entry { name: "z", size: Some(20 << 20), ..Entry::default() });
            std::fs::write(ground.host.path("/tmp/work/header"), &zeros.bytes()[..512]).expect("a header");
            ground.sh(packed).ok();
            let read = |name: &str| std::fs::read(ground.host.path(name)).expect("a layer");
            let image = Image::base().and_packed(read("/tmp/work/packed"), digest(&read("/tmp/work/plain")));
            ground.has(&image, "good:1");
            ground.run(&[], "good:1", "stat -c %s /z").ok().prints("20971520");
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
