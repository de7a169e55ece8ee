//! The profiles that containers have in fact: ours, which is Docker's, and podman's; and what their files may say.

use super::*;
use crate::default_profile::{ALWAYS, FAMILIES, OF_X86, PERSONALITIES, WITH_CAPABILITY};
use crate::{Circumstances, File, default_profile};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// All that a container can have been given.
fn sets_of_capabilities() -> Vec<Vec<String>> {
    let all: Vec<&str> = WITH_CAPABILITY.iter().map(|(name, _)| *name).collect();
    let mut sets = vec![Vec::new(), names(&all)];
    sets.extend(all.iter().map(|one| names(&[one])));
    sets
}

#[test]
fn the_default_allows_what_docker_allows() {
    fn check(capabilities: &[&str], architecture: Architecture, name: &str, argument: u64, expected: u32) {
        let profile = default_profile(&names(capabilities)).expect("a profile");
        let program = compile(&profile, Options::default()).expect("it compiles");
        let number = number(architecture, name);
        let call = Call { number, architecture: architecture.token(), arguments: [argument; 6] };
        let answer = run(&program.instructions, &call);
        assert_eq!(answer, expected, "{capabilities:?} {architecture:?} {name} {argument:#x}");
    }
    use Architecture::{X32, X86, X86_64};
    for architecture in [X86_64, X86, X32] {
        let check = |capabilities: &[&str], name, argument, expected| {
            check(capabilities, architecture, name, argument, expected);
        };
        for name in ["read", "openat", "ptrace", "modify_ldt", "landlock_restrict_self", "mseal", "execve"] {
            check(&[], name, 0, ALLOW);
        }
        for name in
            ["keyctl", "add_key", "request_key", "io_uring_setup", "userfaultfd", "kexec_load", "swapon"]
        {
            check(&["CAP_SYS_ADMIN"], name, 0, EPERM);
        }
        for (capability, name) in [
            ("CAP_SYS_ADMIN", "mount"),
            ("CAP_SYS_ADMIN", "unshare"),
            ("CAP_SYS_ADMIN", "bpf"),
            ("CAP_BPF", "bpf"),
            ("CAP_PERFMON", "perf_event_open"),
            ("CAP_SYS_CHROOT", "chroot"),
            ("CAP_SYS_TIME", "clock_settime"),
            ("CAP_SYSLOG", "syslog"),
            ("CAP_SYS_PTRACE", "kcmp"),
            ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ] {
            check(&[], name, 0, EPERM);
            check(&["CAP_CHOWN"], name, 0, EPERM);
            check(&[capability], name, 0, ALLOW);
        }
        // AF_UNIX, AF_INET, AF_NETLINK, AF_PACKET, AF_XDP; AF_DECnet, AF_ALG, AF_VSOCK, and none at all.
        for family in [1, 2, 16, 17, 44] {
            check(&[], "socket", family, ALLOW);
        }
        for family in [12, 38, 40, 46, 0xffff] {
            check(&["CAP_SYS_ADMIN"], "socket", family, EPERM);
        }
        for value in PERSONALITIES {
            check(&[], "personality", value, ALLOW);
        }
        // ADDR_NO_RANDOMIZE
        check(&[], "personality", 0x4_0000, EPERM);
        // SIGCHLD, and with CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWCGROUP
        check(&[], "clone", 17, ALLOW);
        for flag in [0x1000_0000, 0x2_0000, 0x200_0000] {
            check(&[], "clone", 17 | flag, EPERM);
            check(&["CAP_SYS_ADMIN"], "clone", 17 | flag, ALLOW);
        }
        check(&[], "clone3", 0, ENOSYS);
        check(&["CAP_SYS_ADMIN"], "clone3", 0, ALLOW);
    }
    // Newer than all that the profile knows. Of x32 it knows calls with larger numbers.
    check(&[], X86_64, "file_getattr", 0, ENOSYS);
    check(&[], X86, "file_getattr", 0, ENOSYS);
    check(&[], X32, "file_getattr", 0, EPERM);
    check(&[], X86, "socketcall", 1, ALLOW);
}

/// Docker's file, from the facts: the conditions in its words, the lists in ours.
fn dockers_file() -> Value {
    let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let allow =
        |text: &str| json!({"names": list(text), "action": "SCMP_ACT_ALLOW", "comment": "", "args": null});
    let argument = |name: &str, op: &str, value: u64| json!({"name": name, "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "op": op}]});
    let with = |mut rule: Value, key: &str, condition: Value| {
        rule[key] = condition;
        rule
    };
    let mut rules = vec![
        allow(ALWAYS),
        with(allow("ptrace"), "includes", json!({"minKernel": "4.8"})),
        with(allow("reboot"), "includes", json!({"minKernel": "99.0"})),
        with(allow("swapon"), "excludes", json!({"minKernel": "4.8"})),
        argument("socket", "SCMP_CMP_LT", 12),
        with(allow("s390_pci_mmio_read breakpoint"), "includes", json!({"arches": ["s390", "arm64"]})),
        with(allow(OF_X86), "includes", json!({"arches": ["amd64", "x32"]})),
        with(
            argument("clone", "SCMP_CMP_MASKED_EQ", 0x7e02_0000),
            "excludes",
            json!({"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]}),
        ),
        with(
            json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}),
            "excludes",
            json!({"caps": ["CAP_SYS_ADMIN"]}),
        ),
    ];
    rules.extend(FAMILIES.map(|family| argument("socket", "SCMP_CMP_EQ", family)));
    rules.extend(PERSONALITIES.map(|value| argument("personality", "SCMP_CMP_EQ", value)));
    rules
        .extend(WITH_CAPABILITY.map(|(name, calls)| with(allow(calls), "includes", json!({"caps": [name]}))));
    json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null},
    ], "syscalls": rules})
}

fn resolve(file: &Value, capabilities: &[String]) -> Result<LinuxSeccomp, String> {
    let file: File = serde_json::from_value(file.clone()).map_err(|error| error.to_string())?;
    file.resolve(Circumstances { capabilities, kernel: (6, 1) }).map_err(|refused| refused.to_string())
}

#[test]
fn dockers_file_means_the_default() {
    for capabilities in sets_of_capabilities() {
        let of_file = resolve(&dockers_file(), &capabilities).expect("a profile");
        let ours = default_profile(&capabilities).expect("a profile");
        assert_eq!(of_file.architectures(), ours.architectures());
        let of_file = compile(&of_file, Options { fail_unknown: true, ..Options::default() })
            .expect("it compiles")
            .instructions;
        let ours = compile(&ours, Options { fail_unknown: true, ..Options::default() })
            .expect("it compiles")
            .instructions;
        for architecture in [0xc000_003e, 0x4000_0003, 0xc000_00b7] {
            for number in numbers() {
                for argument in [0, 2, 12, 17, 38, 40, 0x1000_0000, u64::MAX] {
                    let call = Call { number, architecture, arguments: [argument; 6] };
                    assert_eq!(run(&of_file, &call), run(&ours, &call), "{capabilities:?} {call:x?}");
                }
            }
        }
    }
}

#[test]
fn files_that_mean_nothing_are_refused() {
    fn check(file: Value, expected: &str) {
        let said = resolve(&file, &[]).unwrap_err();
        assert!(said.contains(expected), "{file}: {said}");
    }
    let with = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    check(json!({}), "missing field `defaultAction`");
    check(json!({"defaultAction": "SCMP_ACT_MAYBE"}), "unknown variant `SCMP_ACT_MAYBE`");
    check(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]}), "SCMP_ARCH_Z80");
    check(
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
            "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}),
        "archMap: is there beside architectures",
    );
    check(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscals": []}), "unknown field `syscals`");
    check(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EPERM"}), "write defaultErrnoRet");
    check(with(json!({"names": ["read"]})), "missing field `action`");
    check(
        with(json!({"name": "read", "names": ["write"], "action": "SCMP_ACT_ERRNO"})),
        "syscalls[0].name: is there beside names",
    );
    check(with(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM"})), "write errnoRet");
    check(
        with(json!({"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "new"}})),
        "syscalls[0].includes.minKernel: \"new\" is not a version such as 4.8",
    );
}

/// Only with the calls that libseccomp knows: that of Debian is older than some of them.
fn known(oracle: &mut Oracle, mut profile: LinuxSeccomp) -> LinuxSeccomp {
    let mut rules = profile.syscalls().clone().unwrap_or_default();
    for rule in &mut rules {
        let names = rule.names().iter().filter(|name| oracle.knows(name)).cloned().collect();
        rule.set_names(names);
    }
    rules.retain(|rule| !rule.names().is_empty());
    profile.set_syscalls(Some(rules));
    profile
}

/// First arguments that the rules of these profiles are about, and others.
fn samples() -> Vec<[u64; 6]> {
    let first =
        [0, 8, 9, 11, 12, 13, 16, 17, 38, 40, 45, 46, 0x2_0000, 0x2_0008, 0x1000_0011, 0xffff_ffff, u64::MAX];
    first.iter().flat_map(|first| [0, 9, u64::MAX].map(|third| [*first, 1, third, 0, 0, 0])).collect()
}

#[test]
fn the_default_means_what_it_means_to_libseccomp() {
    let mut oracle = Oracle::start();
    for capabilities in sets_of_capabilities() {
        let profile = known(&mut oracle, default_profile(&capabilities).expect("a profile"));
        compare(&mut oracle, &profile, &samples());
    }
}

#[test]
fn podmans_means_what_it_means_to_libseccomp() {
    let mut oracle = Oracle::start();
    let text = std::fs::read_to_string("/usr/share/containers/seccomp.json").expect("run tests/setup.sh");
    let file = serde_json::from_str(&text).expect("podman's file is JSON");
    let mut sets = sets_of_capabilities();
    sets.push(names(&["CAP_AUDIT_WRITE"]));
    for capabilities in sets {
        let profile = known(&mut oracle, resolve(&file, &capabilities).expect("a profile"));
        compare(&mut oracle, &profile, &samples());
    }
}
