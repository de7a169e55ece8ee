//! What init reads again before the command may run: in the build without the step that sets it, nothing is executed.

use super::super::replay::Replay;
use super::capabilities;
use super::files::{mount, mounts};
use crate::ground::Ground;
use serde_json::{Value, json};

/// Each with a configuration that has the step to do, and one that has not, which runs without the step too.
macro_rules! attested {
    ($(($row:literal, $what:literal, $asks:expr, $asks_not:expr)),* $(,)?) => {
        &[$(Replay {
            row: $row,
            what: $what,
            // With the step left out, the attestation has to refuse: what then fails is this run.
            attack: |ground| runs(ground, &[], $asks),
            control: |ground| $asks_not(ground),
        }),*]
    };
}

/// The rows.
pub const ROWS: &[Replay] = attested![
    ("at_ids", "user and group", |c| c["process"]["user"] = json!({"uid": 1000, "gid": 1000}), as_it_is),
    ("at_groups", "further groups", |c| c["process"]["user"]["additionalGids"] = json!([7, 5]), as_it_is),
    ("at_capabilities", "capability sets", |_| (), with_every_capability),
    ("at_bounding", "the bounding set", |_| (), with_every_capability),
    ("at_privileges", "no_new_privs", |c| c["process"]["noNewPrivileges"] = json!(true), as_it_is),
    (
        "at_filter",
        "the filter of system calls",
        |c| {
            c["process"]["noNewPrivileges"] = json!(true);
            c["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]});
        },
        as_it_is
    ),
    (
        "at_masks",
        "masked paths",
        |c| c["linux"]["maskedPaths"] = json!(["/proc/keys", "/sys/firmware"]),
        |ground| runs(ground, &[], |c| c["linux"]["maskedPaths"] = json!(["/not/there"]))
    ),
    (
        "at_read_only",
        "read-only paths",
        |c| c["linux"]["readonlyPaths"] = json!(["/proc/sys"]),
        |ground| runs(ground, &[], |c| c["linux"]["readonlyPaths"] = json!(["/not/there"]))
    ),
    (
        "at_root",
        "the read-only root",
        |c| c["root"]["readonly"] = json!(true),
        |ground| runs(ground, &[], |c| c["root"]["readonly"] = json!(false))
    ),
    (
        "at_flags",
        "flags of mounts",
        |c| bind(c, "ro"),
        // Those that the mounts of every container have are missing too.
        |ground| runs(ground, &[], |c| {
            mounts(c).retain(|mount| mount["destination"] == "/proc");
            mounts(c)[0].as_object_mut().expect("an object").remove("options");
            bind(c, "rw");
        })
    ),
    (
        "at_place",
        "the places of mounts",
        |c| mount(c, "/x", "tmpfs"),
        |ground| runs(ground, &[], |c| mount(c, "/elsewhere", "tmpfs"))
    ),
    (
        "at_kind",
        "kinds of file systems",
        |c| mount(c, "/x", "tmpfs"),
        |ground| runs(ground, &[], |c| mount(c, "/x", "ramfs"))
    ),
    (
        "at_namespaces",
        "namespaces",
        |_| (),
        |ground| runs(ground, &[], |c| {
            let namespaces = c["linux"]["namespaces"].as_array_mut().expect("an array");
            namespaces.retain(|namespace| namespace["type"] != "ipc");
            mounts(c).retain(|mount| mount["type"] != "mqueue");
        })
    ),
    (
        "at_names",
        "the host name",
        |_| (),
        |ground| runs(ground, &[], |c| drop(c.as_object_mut().expect("an object").remove("hostname")))
    ),
    ("at_domain", "the domain name", |c| c["domainname"] = json!("example.test"), as_it_is),
    ("at_cgroup", "the cgroup", |_| (), as_it_is_but_without_the_step),
    (
        "at_limits",
        "limits",
        |c| {
            c["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
        },
        |ground| runs(ground, &[], |c| c["process"]["rlimits"] = json!([]))
    ),
    ("at_oom_score", "oom_score_adj", |c| c["process"]["oomScoreAdj"] = json!(500), as_it_is),
    ("at_keyring", "the session keyring", |_| (), |ground| runs(ground, &["--no-new-keyring"], |_| ())),
    ("at_descriptors", "descriptors", |_| (), as_it_is_but_without_the_step),
    ("at_umask", "the umask", |c| c["process"]["user"]["umask"] = json!(7), as_it_is),
];

/// Any container.
fn as_it_is(ground: &Ground) {
    runs(ground, &[], |_| ());
}

/// Any container; where the step is left out there is none that has not got it.
fn as_it_is_but_without_the_step(ground: &Ground) {
    if !ground.is_mutant() {
        as_it_is(ground);
    }
}

/// One that keeps what its caller has.
fn with_every_capability(ground: &Ground) {
    let all = capabilities::every(ground);
    runs(ground, &[], |c| {
        for set in ["bounding", "effective", "permitted"] {
            c["process"]["capabilities"][set] = json!(all);
        }
    });
}

fn bind(config: &mut Value, option: &str) {
    mounts(config)
        .push(json!({"destination": "/x", "type": "bind", "source": "/etc", "options": ["rbind", option]}));
}

/// Runs; what the attestation says is the only refusal that counts as one.
fn runs(ground: &Ground, options: &[&str], edit: impl FnOnce(&mut Value)) {
    let outcome = ground.runs_with(options, "", edit, "echo ran");
    let refused = outcome.code != 0 && outcome.stderr.contains("attestation");
    assert!(!refused, "{}", outcome.stderr);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "ran\n"), "{outcome}");
    ground.is_intact();
}
