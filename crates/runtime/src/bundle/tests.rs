//! What holds for every plan, whatever the config.json that it is made from.

use super::*;
use crate::error::Kind;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Component;

/// What may stand in a place where something else stood.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..20).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "/",
            ".",
            "..",
            "/..",
            "/proc",
            "/proc/self",
            "/sys/fs/cgroup",
            "cgroup",
            "pid",
            "user",
            "network",
            "bind",
            "ro",
            "rw",
            "a\0b",
            "rootfs",
            "CAP_KILL",
            "RLIMIT_CORE",
            "-1",
            "1.2.0",
            "ünï",
        ])
        .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A configuration that uses much.
fn sound() -> Value {
    let mut config = testkit::bundle::config();
    config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 10, "hostID": 5000, "size": 3}]);
    config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    config["linux"]["devices"] =
        json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}]);
    config["linux"]["resources"] =
        json!({"memory": {"limit": 1 << 26}, "pids": {"limit": 9}, "cpu": {"shares": 5, "cpus": "0-1"}});
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
    config["linux"]["rootfsPropagation"] = json!("private");
    config["linux"]["netDevices"] = json!({"eth0": {"name": "eth1"}});
    config["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]);
    config["hooks"] = json!({"poststop": [{"path": "/bin/true", "timeout": 5}]});
    config["annotations"] = json!({"a": "b"});
    config
}

/// The pointers to all values in a tree.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, one)| pointers(one, &format!("{here}/{index}"), found));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, one)| pointers(one, &format!("{here}/{key}"), found))
        }
        _ => {}
    }
}

/// The plan of a configuration, in a bundle that has a root.
fn planned(config: &Value) -> Result<Plan> {
    let bundle = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(bundle.path().join("rootfs")).expect("mkdir");
    let (spec, _) = crate::written::spec(config.to_string().as_bytes())?;
    plan("box", &spec, bundle.path(), Beyond::default())
}

fn holds(plan: &Plan, config: &Value) -> Result<(), TestCaseError> {
    for mount in &plan.mounts {
        prop_assert!(mount.target.is_absolute(), "{:?}", mount.target);
        prop_assert!(
            !mount.target.components().any(|part| part == Component::ParentDir),
            "{:?}",
            mount.target
        );
    }
    prop_assert_eq!(plan.mounts.len(), config["mounts"].as_array().map_or(0, Vec::len));
    prop_assert!(!plan.process.args.is_empty() && !plan.process.args[0].is_empty());
    let texts = plan.process.args.iter().chain(&plan.process.env).chain([&plan.hostname, &plan.cgroup]);
    for text in texts {
        prop_assert!(!text.contains('\0'), "{text:?}");
    }
    prop_assert!(plan.process.cwd.is_absolute());
    for (field, ranges) in [("uid", &plan.id_maps.uid), ("gid", &plan.id_maps.gid)] {
        prop_assert!(id_map::check(field, ranges).is_ok());
    }
    prop_assert_eq!(plan.namespaces.has(Namespaces::USER), !plan.id_maps.uid.is_empty());
    for joined in &plan.joined {
        prop_assert!(!plan.namespaces.has(joined.kind), "made and joined: {:?}", joined);
    }
    for (_, soft, hard) in &plan.process.rlimits {
        prop_assert!(soft <= hard);
    }
    for (name, _) in &plan.sysctls {
        prop_assert!(!name.starts_with('/') && !name.split('/').any(|part| part == ".."), "{name}");
    }
    // It is no user's but that of its process, and of none that the namespace does not have.
    if let Some(owner) = plan.cgroup_owner {
        prop_assert!(plan.cgroup_namespace && id_map::inside(&plan.id_maps.uid, owner).is_some());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// One or two values are something else: that is a plan which holds, or one line that names the file.
    #[test]
    fn any_change_makes_a_plan_or_a_refusal(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::weighted(0.8, any_value())), 1..3),
    ) {
        let mut config = sound();
        for (place, value) in changes {
            let mut all = Vec::new();
            pointers(&config, "", &mut all);
            let pointer = place.get(&all);
            match (value, pointer.rsplit_once('/')) {
                (Some(value), _) => *config.pointer_mut(pointer).expect("it is there") = value,
                (None, Some((parent, name))) => {
                    if let Some(Value::Object(map)) = config.pointer_mut(parent) {
                        map.remove(name);
                    }
                }
                (None, None) => {}
            }
        }
        match planned(&config) {
            Ok(plan) => holds(&plan, &config)?,
            Err(error) => {
                let said = error.to_string();
                prop_assert!(matches!(error.kind, Kind::Invalid | Kind::Unsupported | Kind::Other), "{:?} {said}", error.kind);
                prop_assert!(said.starts_with("config.json: ") || said.contains("annotation"), "{said}");
                prop_assert!(!said.contains('\n'), "{said}");
            }
        }
    }
}

#[test]
fn what_they_are_changes_of() {
    let config = sound();
    let plan = planned(&config).expect("it is sound");
    holds(&plan, &config).expect("it holds");
}

#[test]
fn owners_of_cgroups() {
    #[track_caller]
    fn check(edit: impl FnOnce(&mut Value), expected: Option<u32>) {
        let mut config = sound();
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "cgroup"}));
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"});
        config["mounts"].as_array_mut().expect("a list").push(mount);
        edit(&mut config);
        assert_eq!(planned(&config).expect("it is sound").cgroup_owner, expected);
    }
    check(|_| (), Some(1000));
    check(|c| c["process"]["user"]["uid"] = json!(12), Some(5002));
    check(|c| c["mounts"][6]["type"] = json!("cgroup2"), Some(1000));
    check(|c| c["mounts"][6]["options"] = json!(["rw"]), Some(1000));
    check(|c| c["mounts"][6]["options"] = json!(["nosuid", "ro"]), None);
    check(|c| c["mounts"][6]["source"] = json!("cgroup2"), None);
    check(|c| c["mounts"][6]["destination"] = json!("/cgroup"), None);
    check(
        |c| c["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "network"}, {"type": "user"}]),
        None,
    );
}
