//! What a container finds inside, as far as it can be compared.

use crate::explained::Difference;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::Oci;

/// What the probe prints: a line a fact, its name and a tab before it.
const PROBE: &str = r#"
fact() { printf '%s\t%s\n' "$1" "$2"; }
fact hostname "$(hostname)"
fact domainname "$(cat /proc/sys/kernel/domainname)"
fact cwd "$(pwd)"
fact umask "$(umask)"
fact groups "$(id -G)"
fact oom "$(cat /proc/self/oom_score_adj)"
fact env "$(env | grep -v -e ^PWD= -e ^SHLVL= -e ^OLDPWD= -e ^_= | sort | tr '\n' ' ')"
fact fds "$(ls /proc/self/fd | tr '\n' ' ')"
while read -r key value; do
    case $key in
        Uid: | Gid: | Cap*: | NoNewPrivs: | Seccomp: | Sig???:) fact "status ${key%:}" "$value" ;;
    esac
done </proc/self/status
while read -r line; do fact "limit ${line%%  *}" "$(echo ${line#*  })"; done </proc/self/limits
for namespace in cgroup ipc mnt net pid time user uts; do
    fact "namespace $namespace" "$(readlink /proc/self/ns/$namespace)"
done
while read -r id parent device root target options rest; do
    fact "mount $target" "$options ${rest#*- }"
    case $rest in *shared:*) fact "propagation $target" shared ;; *master:*) fact "propagation $target" slave ;; esac
done </proc/self/mountinfo
for file in /dev/*; do fact "device $file" "$(stat -c '%F %a %u %g %t %T %N' "$file" 2>&1)"; done
for file in /proc/kcore /proc/keys /proc/sys/kernel/msgmax /proc/sysrq-trigger /masked /locked/file; do
    fact "reads $file" "$(head -c 1 "$file" 2>/dev/null | wc -c)"
done
for file in /proc/sys/kernel/msgmax /proc/sysrq-trigger /locked/file /written; do
    if (: >"$file") 2>/dev/null; then fact "writes $file" yes; else fact "writes $file" no; fi
done
for name in kernel.msgmax net.ipv4.ip_forward net.ipv4.ip_unprivileged_port_start; do
    fact "sysctl $name" "$(cat /proc/sys/$(echo $name | tr . /) 2>/dev/null)"
done
fact cgroup "$(cat /proc/self/cgroup | tr '\n' ' ')"
fact clocks "$(cat /proc/self/timens_offsets 2>/dev/null | tr -s ' \n' ' ')"
fact links "$(ls /proc/sys/net/ipv4/conf | tr '\n' ' ')"
fact personality "$(cat /proc/self/personality 2>/dev/null)"
"#;

/// How a runtime answers a config.
pub struct Answer {
    accepts: bool,
    said: String,
    facts: BTreeMap<String, String>,
}

/// Runs the probe in a container of this config.
#[track_caller]
pub fn answer(oci: &Oci, written: &Value) -> Answer {
    let bundle = oci.bundle(|config| {
        *config = written.clone();
        if config["process"]["args"] == json!(["PROBE"]) {
            config["process"]["args"] = json!(["sh", "-c", PROBE]);
        }
    });
    for directory in ["locked", "masked"] {
        std::fs::create_dir(bundle.path(&format!("rootfs/{directory}"))).expect("mkdir in a bundle");
    }
    bundle.write("rootfs/locked/file", "locked");
    bundle.write("source", "source");
    let outcome = bundle.try_run(&[]);
    // What a refusal may have left is no part of the comparison.
    oci.call(["delete", "--force", &bundle.id]);
    let mut facts: BTreeMap<String, String> = BTreeMap::new();
    for line in outcome.stdout.lines() {
        let (name, value) = line.split_once('\t').unwrap_or(("output", line));
        let value = normal(name, value, &bundle.id);
        // Of several mounts in one place the order counts.
        facts.entry(name.to_owned()).and_modify(|all| *all += &format!("; {value}")).or_insert(value);
    }
    let said = outcome.stderr.trim().lines().last().unwrap_or_default().to_owned();
    // A limit may end the probe itself: it ran all the same.
    Answer { accepts: outcome.code == 0 || !facts.is_empty(), said, facts }
}

/// Without what differs between two containers of one runtime too.
fn normal(name: &str, value: &str, id: &str) -> String {
    let value = value.replace(id, "ID");
    if let Some(kind) = name.strip_prefix("namespace ") {
        // Its own or the host's: the number itself says nothing.
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}"));
        let host = own.is_ok_and(|own| own.to_string_lossy() == value);
        return if host { "host" } else { "own" }.to_owned();
    }
    if name.starts_with("mount ") {
        return value
            .split(' ')
            .map(|words| {
                let options =
                    words.split(',').filter(|one| !one.starts_with("inode") && !one.starts_with("size="));
                options.collect::<Vec<_>>().join(",")
            })
            .collect::<Vec<_>>()
            .join(" ");
    }
    value
}

/// What an error says, without the time that stands before it.
fn message(said: &str) -> &str {
    said.split_once("msg=").map_or(said, |(_, message)| message.trim_matches('"'))
}

impl Answer {
    /// What differs; of a config that one refuses only that.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let word =
            |one: &Self| if one.accepts { "yes".to_owned() } else { format!("no: {}", message(&one.said)) };
        if self.accepts != other.accepts {
            return vec![Difference { about: "accepts".to_owned(), ours: word(self), theirs: word(other) }];
        }
        let names: std::collections::BTreeSet<&String> =
            self.facts.keys().chain(other.facts.keys()).collect();
        let of = |one: &Self, name: &String| one.facts.get(name).cloned().unwrap_or_else(|| "-".to_owned());
        names
            .into_iter()
            .map(|name| Difference { about: name.clone(), ours: of(self, name), theirs: of(other, name) })
            .filter(|difference| difference.ours != difference.theirs)
            .collect()
    }
}
