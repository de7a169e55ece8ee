//! What must not change, and must not be seen: files that no container has anything to do with, and what of the host escapes aim at.

use testkit::Host;

/// What is in the canary that must never be seen in a container.
pub const SECRET: &str = "the secret of the canary";

/// Where it is in a host.
pub const PLACE: &str = "/tmp/canary";

/// What is looked at before and after, as root of the host: files of the canary with all that a stat says of them, the settings of
/// the kernel that escapes aim at, the host's null device, and the program itself.
const FINGERPRINT: &str = r#"
grep canary /proc/self/mountinfo || :
# What is mounted over it is not looked into: it may be anything.
test "$(grep -c canary /proc/self/mountinfo)" -le 1 || exit 0
cd /tmp/canary
find . -printf '%p %y %m %U:%G %T@ %s %l\n' | sort
find . -type f -exec sha256sum {} + | sort
for name in kernel/core_pattern kernel/hostname kernel/modprobe net/ipv4/ip_forward vm/overcommit_memory; do cat /proc/sys/$name || :; done 2>/dev/null
stat -c '%a %u:%g %t:%T' /dev/null
sha256sum /tmp/bin/*
"#;

/// The canary of a host, as it was.
pub struct Canary(String);

impl Canary {
    /// Puts it into a host. It is the host's user's own: who gets out as that user could change it.
    pub fn place(host: &Host) -> Self {
        let owner = host.user();
        host.admin(&format!(
            "mkdir -p {PLACE}/dir {PLACE}/dev; cd {PLACE}; echo '{SECRET}' >secret; echo x >file; echo y >dir/f
            touch dev/ptmx; mknod -m 600 dev/null c 1 3; chmod 640 secret; chown 7:7 file
            test {owner} = 0 || chown -R {owner} {PLACE}"
        ));
        Self(fingerprint(host))
    }

    /// As [`Canary::place`], on a mount of its own in a host whose mounts are shared with every mount namespace made in it: what is mounted
    /// over it in there, and is to be shared again, is seen here too.
    pub fn place_shared(host: &Host) -> Self {
        host.admin(&format!(
            "mkdir {PLACE}; mount -t tmpfs -o mode=755 canary {PLACE}; mount --make-rshared /"
        ));
        Self::place(host)
    }

    /// What is different now.
    pub fn changes(&self, host: &Host) -> Vec<String> {
        let now = fingerprint(host);
        let lines = |one: &str, other: &str, sign: &str| -> Vec<String> {
            let is_new = |line: &&str| !other.lines().any(|old| old == *line);
            one.lines().filter(is_new).map(|line| format!("{sign} {line}")).collect()
        };
        [lines(&self.0, &now, "-"), lines(&now, &self.0, "+")].concat()
    }
}

fn fingerprint(host: &Host) -> String {
    host.admin(FINGERPRINT).stdout
}
