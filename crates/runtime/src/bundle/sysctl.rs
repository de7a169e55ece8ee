//! `linux.sysctl`: kernel parameters, each of which has to be that of a namespace of the container (sysctl(8)).

use super::invalid;
use crate::error::Result;
use crate::plan::Joined;
use oci_spec::runtime::Linux;
use std::os::unix::fs::MetadataExt;
use sys::clone3::Namespaces;

/// Parameters of an IPC namespace (ipc_namespaces(7)), beside those of its message queues' file system.
const IPC: [&str; 12] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/msg_next_id",
    "kernel/auto_msgmni",
    "kernel/sem",
    "kernel/sem_next_id",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_next_id",
    "kernel/shm_rmid_forced",
];

/// Reads them as paths below /proc/sys with their values, in the order of their names.
pub fn sysctls(linux: &Linux, new: Namespaces, joined: &[Joined]) -> Result<Vec<(String, String)>> {
    let own =
        |kind: Namespaces| new.has(kind) || joined.iter().any(|one| one.kind == kind && !is_the_hosts(one));
    let mut sysctls = Vec::new();
    for (key, value) in linux.sysctl().iter().flatten() {
        let Some(path) = path(key) else {
            return Err(invalid("linux.sysctl", &format!("{key:?} is not the name of a kernel parameter")));
        };
        let refused = |why: &str| Err(invalid("linux.sysctl", &format!("sysctl {key:?} {why}")));
        match namespace(&path) {
            Some(kind) if own(kind) => {}
            Some(Namespaces::NETWORK) if sys::mutant!("mutant_en_12") => {}
            Some(Namespaces::IPC) => return refused("is not allowed in the hosts ipc namespace"),
            Some(Namespaces::NETWORK) => return refused("not allowed in host network namespace"),
            Some(Namespaces::UTS) => return refused("is not allowed in the hosts uts namespace"),
            Some(_) => return refused("is not allowed in the hosts user namespace"),
            // It would be in force twice, and which one counts would be a matter of order.
            None if path == "kernel/hostname" => {
                return refused("is not allowed as it conflicts with the OCI \"hostname\" field");
            }
            None => return refused("is not in a separate kernel namespace"),
        }
        sysctls.push((path, value.clone()));
    }
    sysctls.sort();
    if let Some(twice) = sysctls.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(invalid("linux.sysctl", &format!("{:?} is there twice", twice[0].0)));
    }
    Ok(sysctls)
}

/// The kind of namespace that a parameter belongs to; none for the host's own.
fn namespace(path: &str) -> Option<Namespaces> {
    if IPC.contains(&path) || path.starts_with("fs/mqueue/") {
        return Some(Namespaces::IPC);
    }
    if path.starts_with("net/") {
        return Some(Namespaces::NETWORK);
    }
    if path.starts_with("user/") {
        return Some(Namespaces::USER);
    }
    (path == "kernel/domainname").then_some(Namespaces::UTS)
}

/// The path of a name: the separator that comes first is the one, and the other stands for itself (`net.ipv4.conf.eth0/5.tag`
/// and `net/ipv4/conf/eth0.5/tag` are one parameter).
fn path(key: &str) -> Option<String> {
    let path = match key.find(['.', '/']) {
        Some(first) if key[first..].starts_with('.') => key
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    };
    let part = |part: &str| {
        !["", ".", ".."].contains(&part)
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@+:".contains(&byte))
    };
    path.split('/').all(part).then_some(path)
}

/// Whether a namespace that is joined is the one of this process, or may be. One that is not there is told where it is opened.
fn is_the_hosts(joined: &Joined) -> bool {
    let name = match joined.kind {
        Namespaces::IPC => "ipc",
        Namespaces::NETWORK => "net",
        Namespaces::UTS => "uts",
        _ => "user",
    };
    let about = |path: &std::path::Path| std::fs::metadata(path).map(|about| (about.dev(), about.ino()));
    match (about(&joined.path), about(&std::path::Path::new("/proc/self/ns").join(name))) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        (Err(error), _) | (_, Err(error)) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(key: &str, new: Namespaces, joined: &[Joined]) -> Result<Vec<(String, String)>> {
        let linux = serde_json::from_value(json!({"sysctl": {key: "1"}})).expect("it is of the right form");
        sysctls(&linux, new, joined)
    }

    #[test]
    fn parameters_that_are_set() {
        fn check(key: &str, new: Namespaces, expected: &str) {
            let found = read(key, new, &[]).expect("is allowed");
            assert_eq!(found, [(expected.to_owned(), "1".to_owned())], "{key}");
        }
        check("net.ipv4.ip_forward", Namespaces::NETWORK, "net/ipv4/ip_forward");
        check("net/ipv4/ip_forward", Namespaces::NETWORK, "net/ipv4/ip_forward");
        check("net.ipv4.conf.eth0/5.forwarding", Namespaces::NETWORK, "net/ipv4/conf/eth0.5/forwarding");
        check("net/ipv4/conf/eth0.5/forwarding", Namespaces::NETWORK, "net/ipv4/conf/eth0.5/forwarding");
        check("kernel.shm_rmid_forced", Namespaces::IPC, "kernel/shm_rmid_forced");
        check("fs.mqueue.msg_max", Namespaces::IPC, "fs/mqueue/msg_max");
        check("kernel.domainname", Namespaces::UTS, "kernel/domainname");
        check("user.max_user_namespaces", Namespaces::USER, "user/max_user_namespaces");
    }

    #[test]
    fn parameters_that_are_the_hosts() {
        fn check(key: &str, new: Namespaces, expected: &str) {
            let error = read(key, new, &[]).expect_err("is refused").to_string();
            assert_eq!(error, format!("config.json: linux.sysctl: {expected}"));
        }
        let all = [Namespaces::IPC, Namespaces::NETWORK, Namespaces::UTS, Namespaces::USER]
            .into_iter()
            .fold(Namespaces::NONE, Namespaces::and);
        let none = Namespaces::NONE;
        check("kernel.msgmax", none, "sysctl \"kernel.msgmax\" is not allowed in the hosts ipc namespace");
        check(
            "net.core.somaxconn",
            none,
            "sysctl \"net.core.somaxconn\" not allowed in host network namespace",
        );
        check(
            "user.max_ipc_namespaces",
            none,
            "sysctl \"user.max_ipc_namespaces\" is not allowed in the hosts user namespace",
        );
        check(
            "kernel.core_pattern",
            all,
            "sysctl \"kernel.core_pattern\" is not in a separate kernel namespace",
        );
        check("vm.swappiness", all, "sysctl \"vm.swappiness\" is not in a separate kernel namespace");
        check(
            "kernel.hostname",
            all,
            "sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field",
        );
        for key in [
            "",
            "net",
            ".net",
            "net..x",
            "net/../kernel/x",
            "net/./x",
            "/net/x",
            "net/",
            "net.a b",
            "net/a\0",
        ] {
            assert!(read(key, all, &[]).is_err(), "{key:?}");
        }
    }

    #[test]
    fn namespaces_that_are_joined() {
        let joined = |path: &str| [Joined { kind: Namespaces::NETWORK, path: path.into() }];
        let key = "net.ipv4.ip_forward";
        assert!(read(key, Namespaces::NONE, &joined("/proc/self/ns/net")).is_err());
        // Another one; what it is, is looked at where it is joined.
        assert!(read(key, Namespaces::NONE, &joined("/proc/self/ns/mnt")).is_ok());
        assert!(read("kernel.msgmax", Namespaces::NONE, &joined("/proc/self/ns/mnt")).is_err());
    }

    proptest! {
        #[test]
        fn no_name_leads_out_of_its_tree(key in "[a-z./]{0,24}") {
            if let Some(path) = path(&key) {
                prop_assert!(path.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
            }
        }
    }
}
