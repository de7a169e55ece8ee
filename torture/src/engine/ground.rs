//! Where the engine is attacked: a private host with the program, and beside it what must not change.

use super::User;
use super::archive::Image;
use crate::canary::SECRET;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::deadline::poll;
use testkit::{Host, Outcome, Snapshot};

/// How long what ends behind a command may take for it.
const SETTLES: Duration = Duration::from_secs(10);

/// What is looked at before and after, as root of the host: files of the canary with all that a stat says of them, settings of the
/// kernel, what is in the directories that everybody has, and the program itself.
const FINGERPRINT: &str = r#"
cd /tmp/canary
find . -printf '%p %y %m %U:%G %n %T@ %s %l\n' | sort
find . -type f -exec sha256sum {} + | sort
grep canary /proc/self/mountinfo || :
for name in kernel/core_pattern kernel/hostname kernel/modprobe net/ipv4/conf/lo/log_martians; do cat /proc/sys/$name || :; done 2>/dev/null
stat -c '%a %u:%g %t:%T' /dev/null
ls / /tmp /dev/shm
sha256sum /tmp/bin/*
"#;

/// A host, and what it was like.
pub struct Ground {
    /// The host, with the engine in it.
    pub host: Host,
    before: String,
    snapshot: Snapshot,
    next: AtomicU32,
}

impl Ground {
    /// A host of one kind of user; `mutant` is the defence that is left out.
    pub fn new(programs: &Path, user: User, mutant: Option<&str>) -> Self {
        let program = programs.join("devoxx-container");
        let mut host = match user {
            User::Root => Host::root(&program),
            User::Ordinary => Host::rootless(&program),
        };
        if let Some(mutant) = mutant {
            host.set("DEVOXX_MUTANT", mutant);
        }
        // It belongs to who is attacked: who may not touch it in any case proves nothing.
        host.admin(&format!(
            "mkdir -p /tmp/canary/dir /tmp/work; cd /tmp/canary; echo '{SECRET}' >secret; echo x >file; echo y >dir/f; chmod 640 secret
            chmod 700 dir; chown -R {0}:{0} /tmp/canary /tmp/work; test {0} != 0 || chown 7:7 file",
            host.user()
        ));
        let before = host.admin(FINGERPRINT).stdout;
        let snapshot = Snapshot::take(&host);
        Self { host, before, snapshot, next: AtomicU32::new(1) }
    }

    /// Fails unless all is as it was but for what the engine keeps, and nothing of a container runs.
    #[track_caller]
    pub fn is_intact(&self) {
        let after = self.host.admin(FINGERPRINT).stdout;
        let changed: Vec<&str> =
            after.lines().filter(|line| !self.before.lines().any(|old| old == *line)).collect();
        assert!(after == self.before, "the host has changed: {changed:?}");
        let mut left = Vec::new();
        let same = poll(SETTLES, || {
            left = self.snapshot.difference(&Snapshot::take(&self.host));
            left.retain(|line| !line.starts_with("+ file ") && !line.starts_with("- file "));
            left.is_empty().then_some(())
        });
        assert!(same.is_some(), "left behind: {}", left.join("; "));
    }

    /// Calls the engine; what it says must never have the secret in it.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Outcome {
        secretless(self.host.run(words))
    }

    /// A script of the host's user, with `$C` for the engine.
    #[track_caller]
    pub fn sh(&self, script: &str) -> Outcome {
        secretless(self.host.sh(&format!("cd /tmp/work; {script}")))
    }

    /// `run --rm --net none OPTIONS IMAGE sh -c SCRIPT`.
    #[track_caller]
    pub fn run(&self, options: &[&str], image: &str, script: &str) -> Outcome {
        self.call(&[&["run", "--rm", "--net", "none"], options, &[image, "sh", "-c", script]].concat())
    }

    /// The same in the background, under a name.
    #[track_caller]
    pub fn start(&self, options: &[&str], name: &str, image: &str, script: &str) {
        let words = [&["run", "-d", "--name", name], options, &[image, "sh", "-c", script]].concat();
        self.call(&words).ok();
    }

    /// Ends and removes a container.
    #[track_caller]
    pub fn remove(&self, name: &str) {
        self.call(&["rm", "--force", name]).ok();
    }

    /// A file of the host, for the engine to read.
    #[track_caller]
    pub fn file(&self, bytes: &[u8]) -> String {
        let path = format!("/tmp/work/{}", self.next.fetch_add(1, Ordering::Relaxed));
        std::fs::write(self.host.path(&path), bytes).unwrap_or_else(|error| panic!("write {path}: {error}"));
        path
    }

    /// `load` of an image.
    #[track_caller]
    pub fn load(&self, image: &Image, name: &str) -> Outcome {
        let file = self.file(&image.saved(name));
        self.call(&["load", "-i", &file])
    }

    /// An image of busybox and of this layer, loaded as `name`.
    #[track_caller]
    pub fn has(&self, image: &Image, name: &str) {
        self.load(image, name).ok();
    }

    /// A root directory with busybox at /tmp/work/tree, in which a script has changed something.
    #[track_caller]
    pub fn tree(&self, script: &str) {
        let user = self.host.user();
        self.host.admin(&format!(
            "rm -rf /tmp/work/tree; cp -a /tmp/fixtures/rootfs/busybox /tmp/work/tree; cd /tmp/work/tree; (:; {script}\n)\nchown -hR {user}:{user} ."
        ));
    }

    /// `run --rm --net none OPTIONS --rootfs TREE sh -c SCRIPT`.
    #[track_caller]
    pub fn run_tree(&self, options: &[&str], script: &str) -> Outcome {
        let rootfs = ["--rootfs", "/tmp/work/tree", "sh", "-c", script];
        self.call(&[&["run", "--rm", "--net", "none"], options, &rootfs].concat())
    }
}

#[track_caller]
fn secretless(outcome: Outcome) -> Outcome {
    let said = outcome.stdout.contains(SECRET) || outcome.stderr.contains(SECRET);
    assert!(!said, "the secret is in the output of {outcome}");
    outcome
}
