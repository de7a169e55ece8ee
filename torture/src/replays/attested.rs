//! What init reads again before the command may run: in the build without the step that sets it, nothing is executed.

use super::super::replay::Replay;
use crate::ground::Ground;
use serde_json::{Value, json};

macro_rules! attested {
    ($(($row:literal, $what:literal, $edit:expr)),* $(,)?) => {
        &[$(Replay {
            row: $row,
            what: $what,
            // With the step left out, the attestation has to refuse: what then fails is this run.
            attack: |ground| runs(ground, $edit),
            control: |_| (),
        }),*]
    };
}

/// The rows.
pub const ROWS: &[Replay] = attested![
    ("at_ids", "user and group", |c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000})),
    ("at_groups", "further groups", |c| c["process"]["user"]["additionalGids"] = json!([7, 5])),
    ("at_capabilities", "capability sets", |_| ()),
    ("at_bounding", "the bounding set", |_| ()),
    ("at_privileges", "no_new_privs", |c| c["process"]["noNewPrivileges"] = json!(true)),
    ("at_filter", "the filter of system calls", |c| {
        c["process"]["noNewPrivileges"] = json!(true);
        c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]});
    }),
    ("at_masks", "masked paths", |c| c["linux"]["maskedPaths"] = json!(["/proc/keys", "/sys/firmware"])),
    ("at_read_only", "read-only paths", |c| c["linux"]["readonlyPaths"] = json!(["/proc/sys"])),
    ("at_root", "the read-only root", |c| c["root"]["readonly"] = json!(true)),
    ("at_flags", "flags of mounts", |c| {
        let source =
            json!({"destination": "/x", "type": "bind", "source": "/etc", "options": ["rbind", "ro"]});
        super::files::mounts(c).push(source);
    }),
    ("at_place", "the places of mounts", |c| super::files::mount(c, "/x", "tmpfs")),
    ("at_namespaces", "namespaces", |_| ()),
    ("at_names", "the host name", |_| ()),
    ("at_domain", "the domain name", |c| c["domainname"] = json!("example.test")),
    ("at_cgroup", "the cgroup", |_| ()),
    ("at_limits", "limits", |c| {
        c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    }),
    ("at_oom_score", "oom_score_adj", |c| c["process"]["oomScoreAdj"] = json!(500)),
    ("at_keyring", "the session keyring", |_| ()),
    ("at_descriptors", "descriptors", |_| ()),
    ("at_umask", "the umask", |c| c["process"]["user"]["umask"] = json!(7)),
];

/// Runs; what the attestation says is the only refusal that counts as one.
fn runs(ground: &Ground, edit: impl FnOnce(&mut Value)) {
    let outcome = ground.runs("", edit, "echo ran");
    let refused = outcome.code != 0 && outcome.stderr.contains("attestation");
    assert!(!refused, "{}", outcome.stderr);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "ran\n"), "{outcome}");
    ground.is_intact();
}
