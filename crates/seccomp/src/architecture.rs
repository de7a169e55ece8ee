//! Architectures, as the kernel tells them apart (`AUDIT_ARCH_*`), and their system calls.
//!
//! Only those of the machines that this project runs on have calls here: x86_64 with x86 and x32, aarch64 with arm. A profile
//! may name any other (SCMP_ARCH_MIPS, SCMP_ARCH_S390X, ...), which leaves no trace in the filter: no kernel of these machines
//! ever says that a call came from there, and if one did, the caller would be killed as for every architecture that a profile
//! does not name. libseccomp, and so runc and crun, refuse those of the other byte order (EDOM) and compile the others.

use oci_spec::runtime::{Arch, LinuxSeccomp};

/// The bit that tells calls of x32 from those of x86_64.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// One whose calls are known, in the order of the numbers of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
}

impl Architecture {
    /// That of this program.
    pub(crate) const fn native() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }

    /// `AUDIT_ARCH_*` (include/uapi/linux/audit.h); x32 has none of its own.
    pub(crate) const fn token(self) -> u32 {
        match self {
            Self::X86 => 0x4000_0003,
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::Arm => 0x4000_0028,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// Whether an argument of a call has 64 bits.
    pub(crate) const fn is_wide(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }

    const fn of(arch: Arch) -> Option<Self> {
        match arch {
            Arch::ScmpArchNative => Some(Self::native()),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchArm => Some(Self::Arm),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            _ => None,
        }
    }
}

/// Those of a profile, its own machine's first: that is in every filter.
pub(crate) fn of_profile(profile: &LinuxSeccomp, native: Architecture) -> Vec<Architecture> {
    let mut all = vec![native];
    for arch in profile.architectures().iter().flatten() {
        if let Some(one) = Architecture::of(*arch)
            && !all.contains(&one)
        {
            all.push(one);
        }
    }
    all
}

/// The names of those whose calls are known, sorted.
pub fn architecture_names() -> [&'static str; 5] {
    ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]
}
