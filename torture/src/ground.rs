//! Where an attack takes place: a private host with the programs under test, and beside them what must not change.

use crate::canary::{Canary, SECRET};
use crate::without_openat2;
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use testkit::{Container, Host, Oci, Outcome};

/// A host, its runtime, and the canary: files that no container has anything to do with.
pub struct Ground {
    /// The runtime in its host.
    pub oci: Oci,
    programs: PathBuf,
    /// The defence that is left out.
    mutant: Option<String>,
    /// How openat2(2) fails.
    errno: Option<String>,
    canary: Canary,
    /// What refused containers have said.
    refusals: RefCell<Vec<String>>,
}

impl Ground {
    /// A host with root's programs; `mutant` is the defence that they leave out.
    pub fn new(programs: &Path, mutant: Option<&str>) -> Self {
        Self::of(Host::root, programs, mutant, None, Canary::place)
    }

    /// As [`Ground::new`], of an ordinary user.
    pub fn rootless(programs: &Path, mutant: Option<&str>) -> Self {
        Self::of(Host::rootless, programs, mutant, None, Canary::place)
    }

    /// As [`Ground::new`], with mounts that are shared: those of a container that get out are seen.
    pub fn shared(programs: &Path, mutant: Option<&str>) -> Self {
        Self::of(Host::root, programs, mutant, None, Canary::place_shared)
    }

    /// As [`Ground::new`], and openat2(2) fails for all that its user starts.
    pub fn without_openat2(programs: &Path, errno: &str) -> Self {
        Self::of(Host::root, programs, None, Some(errno), Canary::place)
    }

    fn of(
        host: fn(&Path) -> Host,
        programs: &Path,
        mutant: Option<&str>,
        errno: Option<&str>,
        canary: fn(&Host) -> Canary,
    ) -> Self {
        let mut host = host(&programs.join("devoxx-runtime"));
        if let Some(mutant) = mutant {
            host.set("DEVOXX_MUTANT", mutant);
        }
        if let Some(errno) = errno {
            host.start_by(without_openat2::words(errno));
        }
        let canary = canary(&host);
        Self {
            oci: Oci::new(host),
            programs: programs.to_owned(),
            mutant: mutant.map(str::to_owned),
            errno: errno.map(str::to_owned),
            canary,
            refusals: RefCell::default(),
        }
    }

    /// Another one like it, whose mounts are shared.
    pub fn another_shared(&self) -> Self {
        let (mutant, errno) = (self.mutant.as_deref(), self.errno.as_deref());
        Self::of(Host::root, &self.programs, mutant, errno, Canary::place_shared)
    }

    /// Whether a defence is left out.
    pub fn is_mutant(&self) -> bool {
        self.mutant.is_some()
    }

    /// Whether the host's user is not root.
    pub fn is_rootless(&self) -> bool {
        self.oci.host.is_rootless()
    }

    /// Fails unless all is as it was, and nothing of a container is there.
    #[track_caller]
    pub fn is_intact(&self) {
        let changed = self.canary.changes(&self.oci.host);
        assert!(changed.is_empty(), "the host has changed: {changed:?}");
        self.oci.assert_empty("it");
    }

    /// What of the canary is not as it was.
    pub fn changes(&self) -> Vec<String> {
        self.canary.changes(&self.oci.host)
    }

    /// Runs a script in a container of a bundle that `root` (a script, in its root file system) and `edit` have changed.
    pub fn runs(&self, root: &str, edit: impl FnOnce(&mut Value), script: &str) -> Outcome {
        self.runs_with(&[], root, edit, script)
    }

    /// The same with options of `run`.
    pub fn runs_with(
        &self,
        options: &[&str],
        root: &str,
        edit: impl FnOnce(&mut Value),
        script: &str,
    ) -> Outcome {
        let bundle = self.oci.bundle(|config| {
            config["process"]["args"] = serde_json::json!(["sh", "-c", script]);
            edit(config);
        });
        self.change(&bundle.directory, root);
        let outcome = bundle.try_run(options);
        assert!(!outcome.stdout.contains(SECRET), "the secret is in the output of {outcome}");
        if outcome.code != 0 {
            self.refusals.borrow_mut().push(outcome.stderr.clone());
        }
        outcome
    }

    /// Runs a script as root in the root file system of a bundle, which stays the user's.
    pub fn change(&self, bundle: &str, root: &str) {
        if !root.is_empty() {
            let user = self.oci.host.user();
            self.oci
                .host
                .admin(&format!("cd {bundle}/rootfs; {{ {root}\n}}; test {user} = 0 || chown -hR {user} ."));
        }
    }

    /// What was said by all that was refused.
    pub fn refusals(&self) -> String {
        self.refusals.borrow().join("\n")
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
