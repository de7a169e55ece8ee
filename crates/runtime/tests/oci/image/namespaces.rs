//! Namespaces that a container joins by path: it comes back into them.

use super::{checkpoint, counts, counts_on, restore, with_criu};
use crate::world::{namespace, without_namespace};
use serde_json::Value;
use testkit::{Container, Oci};

/// Checkpoints and restores a container: before and after it is in the namespaces of these files.
fn check(oci: &Oci, edit: impl FnOnce(&mut Value), expected: &[(&str, &str)]) {
    let container = oci
        .bundle(|config| {
            counts(config);
            edit(config);
        })
        .start(&[]);
    counts_on(&container);
    let joined = |container: &Container<'_>| {
        for (kind, path) in expected {
            let file = format!("/proc/{}/ns/{kind}", container.pid());
            let shown = oci.host.admin(&format!("readlink {file}; stat -L -c '{kind}:[%i]' {path}")).stdout;
            let mut lines = shown.lines();
            assert_eq!(lines.next(), lines.next(), "{kind}");
        }
    };
    joined(&container);
    checkpoint(oci, &container, &[]);
    restore(oci, &container, &[]);
    counts_on(&container);
    joined(&container);
    container.exec(&[], "kill -0 $$").ok();
    container.end();
    container.call("delete", &[]).ok();
}

#[test]
fn joined_namespaces_stay_outside() {
    let Some(oci) = with_criu() else { return };
    oci.host.admin("mkdir -p /run/netns; ip netns add outside");
    let network = "/run/netns/outside";
    let edit = |config: &mut Value| {
        namespace(config, "network", Some(network));
        without_namespace(config, "ipc");
    };
    check(&oci, edit, &[("net", network)]);

    // As the containers of a pod: in the namespaces of another one.
    let first = oci
        .bundle(|config| {
            counts(config);
            namespace(config, "time", None);
        })
        .start(&[]);
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", first.pid());
    for kinds in [&[("uts", "uts")][..], &[("ipc", "ipc")], &[("time", "time")], &[("pid", "pid")]] {
        let edit = |config: &mut Value| {
            for (kind, file) in kinds {
                namespace(config, kind, Some(&path(file)));
            }
        };
        let paths: Vec<String> = kinds.iter().map(|(_, file)| path(file)).collect();
        let expected: Vec<(&str, &str)> =
            kinds.iter().zip(&paths).map(|((_, file), path)| (*file, path.as_str())).collect();
        check(&oci, edit, &expected);
    }
    let all = ["uts", "ipc", "pid", "net"].map(|file| (file, path(file)));
    let edit = |config: &mut Value| {
        for (file, path) in &all {
            namespace(config, if *file == "net" { "network" } else { file }, Some(path));
        }
    };
    let expected: Vec<(&str, &str)> = all.iter().map(|(file, path)| (*file, path.as_str())).collect();
    check(&oci, edit, &expected);
    counts_on(&first);
    first.end();
    first.call("delete", &[]).ok();
    oci.host.admin("ip netns del outside; umount /run/netns");
    oci.assert_empty("joined namespaces");
}
