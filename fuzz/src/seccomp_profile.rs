//! Profiles of seccomp: as config.json has them, and as files of Docker and podman.

use crate::bpf;
use oci_spec::runtime::LinuxSeccomp;
use seccomp::{Circumstances, File, Options, Program, compile};
use std::collections::BTreeSet;

/// Whatever compiles is a program that the kernel takes, and answers nothing but what the profile has.
pub fn seccomp(data: &[u8]) {
    if let Ok(profile) = serde_json::from_slice::<LinuxSeccomp>(data) {
        for options in [
            Options::default(),
            Options { fail_unknown: true, has_listener: false },
            Options { fail_unknown: false, has_listener: true },
        ] {
            if let Ok(program) = compile(&profile, options) {
                check(&profile, &program);
            }
        }
    }
    if let Ok(file) = serde_json::from_slice::<File>(data) {
        let capabilities = ["CAP_SYS_ADMIN".to_owned(), "CAP_BPF".to_owned()];
        for (capabilities, kernel) in [(&capabilities[..], (6, 1)), (&[], (4, 0))] {
            if let Ok(profile) = file.resolve(Circumstances { capabilities, kernel })
                && let Ok(program) = compile(&profile, Options { fail_unknown: false, has_listener: true })
            {
                check(&profile, &program);
            }
        }
    }
}

/// `SECCOMP_RET_ACTION_FULL` (include/uapi/linux/seccomp.h).
const ACTION: u32 = 0xffff_0000;

fn check(profile: &LinuxSeccomp, program: &Program) {
    assert_eq!(bpf::refused(&program.instructions), None);
    let rules = profile.syscalls().iter().flatten().map(oci_spec::runtime::LinuxSyscall::action);
    let mut known: BTreeSet<u32> = rules.chain([profile.default_action()]).map(seccomp::code_of).collect();
    // Of an architecture that is none of the profile's, and of calls that nobody knew when it was written (ENOSYS).
    known.extend([0, 0x0005_0000]);
    let arguments = [0, 1, u32::MAX, 0x8000_0000, 0x7fff_ffff];
    for architecture in [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0, u32::MAX] {
        let numbers = (0..470).step_by(7).chain([0x4000_0000, 0x4000_0201, u32::MAX, i32::MAX as u32]);
        for (number, argument) in numbers.zip(arguments.iter().cycle()) {
            let mut data = [*argument; 16];
            (data[0], data[1]) = (number, architecture);
            let answer = bpf::answer(&program.instructions, &data);
            assert!(known.contains(&(answer & ACTION)), "{answer:#x} for {number} of {architecture:#x}");
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let arguments = r#""args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"},{"index":1,"value":8,"op":"SCMP_CMP_GE"}]"#;
    [
        r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.to_owned(),
        r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],"flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"names":["read","write","exit_group","socketcall","socket"],"action":"SCMP_ACT_ALLOW"}]}"#.to_owned(),
        format!(r#"{{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{{"names":["clone","ioctl"],"action":"SCMP_ACT_TRACE","errnoRet":7,{arguments}}},{{"names":["clone"],"action":"SCMP_ACT_ERRNO"}}]}}"#),
        r#"{"defaultAction":"SCMP_ACT_TRAP","listenerPath":"/run/s","listenerMetadata":"x","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#.to_owned(),
        r#"{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],"syscalls":[{"name":"bpf","action":"SCMP_ACT_ALLOW","comment":"","includes":{"caps":["CAP_BPF"],"minKernel":"4.8"},"excludes":{"arches":["s390x"]}},{"names":["ptrace"],"action":"SCMP_ACT_LOG","errnoRet":null,"includes":{},"excludes":{"caps":["CAP_SYS_ADMIN"]}}]}"#.to_owned(),
        seccomp::default_profile(&["CAP_CHOWN".to_owned()])
            .ok()
            .and_then(|profile| serde_json::to_string(&profile).ok())
            .unwrap_or_default(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

pub const WORDS: &[&str] = &[
    "defaultAction",
    "defaultErrnoRet",
    "architectures",
    "flags",
    "listenerPath",
    "listenerMetadata",
    "syscalls",
    "names",
    "action",
    "errnoRet",
    "args",
    "index",
    "value",
    "valueTwo",
    "op",
    "archMap",
    "subArchitectures",
    "includes",
    "excludes",
    "caps",
    "arches",
    "minKernel",
    "SCMP_ACT_KILL",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_LOG",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_AARCH64",
    "18446744073709551615",
    "4294967296",
    "4096",
    "socketcall",
    "ipc",
    "write",
    "openat2",
];
