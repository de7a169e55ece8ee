//! Capabilities by their names (capabilities(7)).

use crate::ground::Ground;

/// In the order of their numbers (linux/capability.h).
const CAPABILITIES: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID \
     CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER \
     CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE \
     CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP \
     CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF \
     CAP_CHECKPOINT_RESTORE";

/// All that may be had here: those of who starts containers, or, in a user namespace, of its root.
pub fn every(ground: &Ground) -> Vec<&'static str> {
    let status = ground.oci.host.sh("grep CapBnd: /proc/self/status").ok().stdout;
    let bits = status.split_whitespace().last().map(|hex| u64::from_str_radix(hex, 16));
    let bits = bits.expect("a set").expect("a number");
    CAPABILITIES
        .split_whitespace()
        .zip(0..)
        .filter_map(|(name, bit)| (bits >> bit & 1 == 1).then_some(name))
        .collect()
}
