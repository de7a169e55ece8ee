//! What holds a container, as it sees it from inside: the same whether a call has failed on the way or not.

use serde_json::{Value, json};

/// Prints the facts, without a process but the shell's own where that can be; `end` is the last of them.
pub const SCRIPT: &str = r#"
while read -r line; do
    case $line in Uid:* | Gid:* | Groups:* | SigBlk:* | SigIgn:* | Cap* | NoNew* | Seccomp* | Umask:*) echo "$line" ;; esac
done </proc/self/status
# A device that could not be made is the host's, bound: what it is and who may open it is another fact.
while read -r id parent device rest; do
    case $rest in *' /dev/'*' - devtmpfs '*) ;; *) echo "mount $rest" ;; esac
done </proc/self/mountinfo
while read -r line; do echo "limit $line"; done </proc/self/limits
while read -r line; do echo "cgroup $line"; done </proc/self/cgroup
for file in /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; do
    [ -e $file ] && read -r line <$file && echo "pids $line"
done
for file in oom_score_adj sys/kernel/hostname sys/kernel/shm_rmid_forced; do
    name=/proc/$file
    [ -e $name ] || name=/proc/self/$file
    read -r line <$name; echo "$file $line"
done
[ -w /proc/sys/kernel/hostname ] && echo x 2>/dev/null >/proc/sys/kernel/hostname && echo "/proc/sys can be written to"
read -r line 2>/dev/null </proc/keys && echo "/proc/keys can be read"
echo descriptors /proc/self/fd/*
echo devices /dev/*
echo directory $PWD
for kind in ipc mnt net pid uts; do readlink /proc/self/ns/$kind; done
echo end
"#;

/// Gives a configuration one of everything that has to hold.
pub fn configure(config: &mut Value, script: &str) {
    let process = &mut config["process"];
    process["args"] = json!(["sh", "-c", script]);
    process["noNewPrivileges"] = json!(true);
    process["user"]["additionalGids"] = json!([2000]);
    process["user"]["umask"] = json!(0o027);
    // Also those that a test sets for who makes it.
    let limit = |kind: &str, soft: u64, hard: u64| json!({"type": kind, "soft": soft, "hard": hard});
    process["rlimits"] = json!([
        limit("RLIMIT_NOFILE", 100, 200),
        limit("RLIMIT_FSIZE", u64::MAX, u64::MAX),
        limit("RLIMIT_AS", u64::MAX, u64::MAX),
    ]);
    process["oomScoreAdj"] = json!(77);
    config["hooks"] = json!({
        "createRuntime": [{"path": "/bin/true"}],
        "poststart": [{"path": "/bin/true"}],
        "poststop": [{"path": "/bin/true"}],
    });
    let linux = &mut config["linux"];
    // Not beside that of the command, which a test may have in another one.
    linux["cgroupsPath"] = json!("/the-container");
    linux["sysctl"] = json!({"kernel.shm_rmid_forced": "1"});
    linux["resources"] = json!({"pids": {"limit": 50}});
    linux["maskedPaths"] = json!(["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"]);
    linux["readonlyPaths"] = json!(["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"]);
    linux["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["keyctl", "add_key"], "action": "SCMP_ACT_ERRNO"}],
    });
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "ro"]}));
        mounts.push(json!({"destination": "/etc/given", "type": "bind", "source": "/etc/passwd", "options": ["bind", "ro"]}));
    }
}

/// What is always another: which namespaces they are, as long as none is the host's.
pub fn compared(text: &str, host: &[String]) -> Vec<String> {
    let one = |line: &str| match line.split_once(":[") {
        Some((kind, _)) if !host.iter().any(|one| one == line) => format!("{kind} of its own"),
        _ => line.to_owned(),
    };
    text.lines().map(one).collect()
}

/// Fails unless both are the same; says what is not.
pub fn same(expected: &[String], found: &[String]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let lacks = expected.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}"));
    let has = found.iter().filter(|line| !expected.contains(line)).map(|line| format!("+ {line}"));
    let lines: Vec<String> = lacks.chain(has).take(6).collect();
    Err(format!("other facts: {}", lines.join(", ")))
}
