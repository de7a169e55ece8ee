//! Where an attack takes place: a private host with the programs under test, and beside them what must not change.

use serde_json::Value;
use std::path::Path;
use testkit::{Container, Host, Oci, Outcome};

/// A host, its runtime, and the canary: files that no container has anything to do with.
pub struct Ground {
    /// The runtime in its host.
    pub oci: Oci,
    before: String,
}

/// What is looked at before and after, as root of the host: files of the canary with all that a stat says of them, the settings of
/// the kernel that escapes aim at, the host's null device, and the program itself.
const FINGERPRINT: &str = r#"
cd /tmp/canary
find . -printf '%p %y %m %U:%G %T@ %s %l\n' | sort
find . -type f -exec sha256sum {} + | sort
grep canary /proc/self/mountinfo || :
for name in kernel/core_pattern kernel/hostname kernel/modprobe net/ipv4/ip_forward vm/overcommit_memory; do cat /proc/sys/$name || :; done 2>/dev/null
stat -c '%a %u:%g %t:%T' /dev/null
sha256sum /tmp/bin/*
"#;

/// What is in the canary that must never be seen in a container.
pub const SECRET: &str = "the secret of the canary";

impl Ground {
    /// A host with root's programs; `mutant` is the defence that they leave out.
    pub fn new(programs: &Path, mutant: Option<&str>) -> Self {
        let mut host = Host::root(&programs.join("devoxx-runtime"));
        if let Some(mutant) = mutant {
            host.set("DEVOXX_MUTANT", mutant);
        }
        host.admin(&format!(
            "mkdir -p /tmp/canary/dir /tmp/canary/dev; cd /tmp/canary; echo '{SECRET}' >secret; echo x >file; echo y >dir/f
            touch dev/ptmx; mknod -m 600 dev/null c 1 3; chmod 640 secret; chown 7:7 file"
        ));
        let before = host.admin(FINGERPRINT).stdout;
        Self { oci: Oci::new(host), before }
    }

    /// Fails unless all is as it was, and nothing of a container is there.
    #[track_caller]
    pub fn is_intact(&self) {
        let after = self.oci.host.admin(FINGERPRINT).stdout;
        let changed: Vec<&str> =
            after.lines().filter(|line| !self.before.lines().any(|old| old == *line)).collect();
        assert!(after == self.before, "the host has changed: {changed:?}");
        self.oci.assert_empty("it");
    }

    /// Runs a script in a container of a bundle that `root` (a script, in its root file system) and `edit` have changed.
    pub fn runs(&self, root: &str, edit: impl FnOnce(&mut Value), script: &str) -> Outcome {
        let bundle = self.oci.bundle(|config| {
            config["process"]["args"] = serde_json::json!(["sh", "-c", script]);
            edit(config);
        });
        if !root.is_empty() {
            self.oci.host.admin(&format!("cd {}/rootfs; {root}", bundle.directory));
        }
        let outcome = bundle.try_run(&[]);
        assert!(!outcome.stdout.contains(SECRET), "the secret is in the output of {outcome}");
        outcome
    }

    /// A container that runs and does nothing, to be entered.
    #[track_caller]
    pub fn sleeper(&self) -> Container<'_> {
        self.oci.bundle(|config| config["process"]["args"] = serde_json::json!(["sleep", "1000"])).start(&[])
    }

    /// The same as [`Ground::runs`], which has to be refused with these words, and to leave nothing.
    #[track_caller]
    pub fn refuses(&self, root: &str, edit: impl FnOnce(&mut Value), words: &[&str]) {
        self.runs(root, edit, "echo it runs").refused(words);
        self.is_intact();
    }

    /// The same, which may be refused or contained, and changes nothing.
    #[track_caller]
    pub fn contains(&self, root: &str, edit: impl FnOnce(&mut Value), script: &str) -> Outcome {
        let outcome = self.runs(root, edit, script);
        self.is_intact();
        outcome
    }
}
