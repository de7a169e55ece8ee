//! A wish and an image's config as a config.json: docker's meaning of both in the words of the specification.

use crate::cdi::{self, Edited, Edits};
use crate::error::{Error, Kind, Result};
use crate::ids::Ids;
use crate::kernel_paths;
use crate::mount::VolumeMount;
use crate::security::Security;
use crate::wish::{Namespace, Network, Wish};
use oci_spec::image::Config;
use oci_spec::runtime::Spec;
use runtime::plan::Root;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use sys::called;

/// The PATH of an image that has none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is settled before the bundle: the half of a container that comes from this host.
#[derive(Debug)]
pub struct Settled {
    /// The container's id.
    pub id: String,
    /// Its host name.
    pub hostname: String,
    /// Files for /etc and where they go.
    pub etc: Vec<(PathBuf, &'static str)>,
    /// Binds: source, target, options.
    pub binds: Vec<(PathBuf, PathBuf, Vec<String>)>,
    /// Capabilities by name.
    pub capabilities: Vec<String>,
    /// What `--security-opt` comes to.
    pub security: Security,
    /// Devices of the host: path in the container, `b` or `c`, numbers, mode, owner, access.
    pub devices: Vec<Value>,
    /// Rules for them.
    pub device_rules: Vec<Value>,
    /// Its user namespace, where it is not that of the engine.
    pub ids: Option<Ids>,
    /// In a user namespace: the engine's or its own.
    pub in_user_namespace: bool,
    /// Whether mounts must refuse devices, because the cgroup does not.
    pub no_devices: bool,
    /// Whether there is a cgroup.
    pub has_cgroup: bool,
    /// Whether group 5, tty's, exists here.
    pub has_tty_group: bool,
    /// Size of the terminal.
    pub size: Option<(u16, u16)>,
    /// The directory on the host for memory that is shared by name, where it is not the container's alone.
    pub shm: Option<PathBuf>,
    /// Namespaces of others: kind and path.
    pub joined: Vec<(&'static str, PathBuf)>,
    /// What CDI devices change.
    pub cdi: Vec<Edits>,
    /// Whether the cgroup refuses devices that no rule allows.
    pub filtered: bool,
    /// Limits of block devices, by the names of the specification.
    pub block_io: Value,
}

/// The command: what was typed, else the image's. An entrypoint that was typed discards the image's command.
pub fn command(wish: &Wish, config: &Config) -> Result<Vec<String>> {
    let mut command: Vec<String> = match &wish.entrypoint {
        Some(entrypoint) if entrypoint.is_empty() => Vec::new(),
        Some(entrypoint) => vec![entrypoint.clone()],
        None => config.entrypoint().clone().unwrap_or_default(),
    };
    if !wish.command.is_empty() {
        command.extend(wish.command.iter().cloned());
    } else if wish.entrypoint.is_none() {
        command.extend(config.cmd().iter().flatten().cloned());
    }
    if command.is_empty() {
        return Err(Error::new(Kind::Failed, "no command was given and the image has none")
            .with_hint("add a command after the image's name"));
    }
    if command[0].is_empty() {
        return Err(Error::new(Kind::Usage, "the command is empty"));
    }
    Ok(command)
}

/// The environment: the defaults, the image's, what was typed; a later value replaces an earlier one in its place.
pub fn environment(wish: &Wish, config: &Config, hostname: &str) -> Vec<String> {
    let mut env: Vec<String> = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if wish.terminal {
        env.push("TERM=xterm".to_owned());
    }
    let mut set = |entry: &str| {
        let key = entry.split('=').next().unwrap_or_default();
        let same = |one: &String| one.split('=').next() == Some(key);
        match env.iter().position(same) {
            Some(index) => env[index] = entry.to_owned(),
            None => env.push(entry.to_owned()),
        }
    };
    config.env().iter().flatten().for_each(|entry| set(entry));
    wish.env.iter().for_each(|entry| set(entry));
    if sys::mutant!("mutant_en_20") {
        std::env::vars().for_each(|(name, value)| set(&format!("{name}={value}")));
    }
    env
}

fn mount(target: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": target, "type": kind, "source": kind, "options": options})
}

fn mounts(wish: &Wish, settled: &Settled) -> Vec<Value> {
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if settled.has_tty_group {
        pts.push("gid=5");
    }
    let access = if wish.privileged { "rw" } else { "ro" };
    let mut dev = vec!["nosuid", "strictatime", "mode=755", "size=65536k"];
    if settled.no_devices {
        dev.push("nodev");
    }
    // A proc of the host's processes belongs to the host: in a user namespace it can only be bound.
    let proc = match settled.in_user_namespace && wish.sharing.pid == Namespace::Host {
        true => json!({"destination": "/proc", "type": "bind", "source": "/proc",
            "options": ["rbind", "nosuid", "noexec", "nodev"]}),
        false => mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
    };
    let mut mounts = vec![proc, mount("/dev", "tmpfs", &dev), mount("/dev/pts", "devpts", &pts)];
    // The messages are those of the namespace; a user's root may only bind what the host has of the host's.
    let absent = wish.sharing.ipc == Namespace::Host
        && settled.in_user_namespace
        && !Path::new("/dev/mqueue").is_dir();
    if !absent {
        mounts.push(mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    }
    match &settled.shm {
        Some(shared) => mounts.push(json!({"destination": "/dev/shm", "type": "bind", "source": shared,
            "options": ["rbind", "rprivate", "nosuid", "noexec", "nodev"]})),
        None => {
            let size = format!("size={}k", wish.limits.shm_size.unwrap_or(64 << 20).div_ceil(1024));
            mounts.push(mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &size]));
        }
    }
    let fixed = mounts.len();
    if settled.in_user_namespace && wish.network == Network::Host {
        // sysfs belongs to the network namespace: in a user namespace the host's can only be bound.
        mounts.push(json!({"destination": "/sys", "type": "bind", "source": "/sys",
            "options": ["rbind", "rro", "nosuid", "noexec", "nodev"]}));
    } else {
        mounts.push(mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", access]));
        if settled.has_cgroup || !settled.in_user_namespace {
            mounts.push(mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", access]));
        }
    }
    for (source, target) in &settled.etc {
        let mut options = vec!["bind", "rprivate"];
        options.extend(settled.ids.as_ref().filter(|ids| ids.by_mounts).map(|_| "idmap"));
        mounts.push(json!({"destination": target, "type": "bind", "source": source, "options": options}));
    }
    for (source, target, options) in &settled.binds {
        let mut options = options.clone();
        if settled.no_devices && !options.iter().any(|option| option == "nodev") {
            options.push("nodev".to_owned());
        }
        mounts.push(json!({"destination": target, "type": "bind", "source": source, "options": options}));
    }
    for wanted in &wish.mounts {
        if let VolumeMount::Tmpfs { target, options } = wanted {
            let mut all = vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned()];
            all.extend(options.iter().cloned());
            mounts.push(json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": all}));
        }
    }
    // A mount inside another comes after it, whatever the order in which they were typed.
    mounts[fixed..]
        .sort_by_key(|mount| mount["destination"].as_str().unwrap_or_default().matches('/').count());
    mounts
}

fn resources(wish: &Wish, settled: &Settled) -> Value {
    let mut resources = limits(wish);
    if settled.block_io.as_object().is_some_and(|all| !all.is_empty()) {
        resources["blockIO"] = settled.block_io.clone();
    }
    resources["devices"] = Value::Array(device_rules(wish, settled));
    resources
}

/// The limits of memory, processors and processes, as the specification has them.
pub fn limits(wish: &Wish) -> Value {
    let mut resources = json!({});
    let memory = wish.memory.filter(|bytes| *bytes > 0);
    let limits = &wish.limits;
    if memory.is_some()
        || wish.memory_swap.is_some_and(|swap| swap != 0)
        || limits.memory_reservation.is_some()
        || limits.memory_swappiness.is_some()
        || limits.oom_kill_disable
    {
        resources["memory"] = json!({});
        for (key, value) in [
            ("reservation", limits.memory_reservation.map(|bytes| json!(bytes))),
            ("swappiness", limits.memory_swappiness.map(|percent| json!(percent))),
            ("disableOOMKiller", limits.oom_kill_disable.then_some(Value::Bool(true))),
        ] {
            if let Some(value) = value {
                resources["memory"][key] = value;
            }
        }
        if let Some(memory) = memory {
            resources["memory"]["limit"] = json!(memory);
            // As docker: as much swap again, unless said otherwise.
            let swap = wish.memory_swap.filter(|swap| *swap != 0);
            resources["memory"]["swap"] =
                json!(swap.unwrap_or_else(|| i64::try_from(memory.saturating_mul(2)).unwrap_or(i64::MAX)));
        }
    }
    if wish.milli_cpus.is_some()
        || wish.cpu_shares.is_some()
        || wish.cpuset_cpus.is_some()
        || limits.cpuset_mems.is_some()
        || limits.cpu_period.is_some()
        || limits.cpu_quota.is_some()
    {
        let mut cpu = json!({});
        if let Some(period) = limits.cpu_period {
            cpu["period"] = json!(period);
        }
        if let Some(quota) = limits.cpu_quota {
            cpu["quota"] = json!(quota);
        }
        if let Some(mems) = &limits.cpuset_mems {
            cpu["mems"] = json!(mems);
        }
        if let Some(milli) = wish.milli_cpus {
            cpu["period"] = json!(100_000);
            cpu["quota"] = json!(milli * 100);
        }
        if let Some(shares) = wish.cpu_shares {
            cpu["shares"] = json!(shares);
        }
        if let Some(cpus) = &wish.cpuset_cpus {
            cpu["cpus"] = json!(cpus);
        }
        resources["cpu"] = cpu;
    }
    if let Some(limit) = wish.pids_limit.filter(|limit| *limit > 0) {
        resources["pids"] = json!({"limit": limit});
    }
    resources
}

/// Nothing but the harmless ones may be opened; docker's list.
fn device_rules(wish: &Wish, settled: &Settled) -> Vec<Value> {
    if wish.privileged {
        return vec![json!({"allow": true, "access": "rwm"})];
    }
    let mut rules = vec![json!({"allow": false, "access": "rwm"})];
    // Making any node is allowed: without the right to open it, it is only a name.
    for kind in ["c", "b"] {
        rules.push(json!({"allow": true, "type": kind, "access": "m"}));
    }
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        rules.push(json!({"allow": true, "type": "c", "major": major, "minor": minor, "access": "rwm"}));
    }
    rules.push(json!({"allow": true, "type": "c", "major": 136, "access": "rwm"}));
    rules.extend(settled.device_rules.iter().cloned());
    for (kind, major, minor, access) in &wish.limits.device_rules {
        let mut rule = json!({"allow": true, "type": kind, "access": access});
        for (key, number) in [("major", major), ("minor", minor)] {
            if let Some(number) = number {
                rule[key] = json!(number);
            }
        }
        rules.push(rule);
    }
    rules
}

fn namespaces(wish: &Wish, settled: &Settled) -> Value {
    let own = |one: &Namespace| *one == Namespace::Own;
    let kinds = [
        ("mount", true),
        ("pid", own(&wish.sharing.pid)),
        ("uts", own(&wish.sharing.uts)),
        ("ipc", own(&wish.sharing.ipc)),
        ("cgroup", !wish.sharing.host_cgroup),
        ("network", matches!(wish.network, Network::Bridge | Network::None)),
        ("user", settled.ids.as_ref().is_some_and(|ids| ids.joined.is_none())),
    ];
    let new = kinds.into_iter().filter(|(_, own)| *own).map(|(kind, _)| json!({"type": kind}));
    new.chain(settled.joined.iter().map(|(kind, path)| json!({"type": kind, "path": path}))).collect()
}

/// The config.json of a container, and what its CDI devices need beside it.
pub fn spec(wish: &Wish, config: &Config, settled: &Settled) -> Result<(Spec, Edited)> {
    let working = match (&wish.workdir, config.working_dir()) {
        (Some(typed), _) => typed.clone(),
        (None, Some(image)) if !image.is_empty() => PathBuf::from("/").join(image),
        _ => PathBuf::from("/"),
    };
    if !working.is_absolute() {
        return Err(Error::new(
            Kind::Usage,
            format!("--workdir {}: not an absolute path", working.display()),
        ));
    }
    let all = &settled.capabilities;
    let limits: Vec<Value> = wish
        .ulimits
        .iter()
        .map(|limit| json!({"type": limit.name, "soft": limit.soft, "hard": limit.hard}))
        .collect();
    let (rows, columns) = settled.size.unwrap_or((0, 0));
    let sysctls: serde_json::Map<String, Value> =
        wish.sysctls.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let (masked, read_only) = match wish.privileged {
        true => (Vec::new(), Vec::new()),
        false => (kernel_paths::masked(), kernel_paths::READ_ONLY.to_vec()),
    };
    let mut written = json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": wish.terminal,
            "consoleSize": {"height": rows, "width": columns},
            "user": {"uid": 0, "gid": 0},
            "args": command(wish, config)?,
            "env": environment(wish, config, &settled.hostname),
            "cwd": working,
            "capabilities": {"bounding": all, "effective": all, "permitted": all},
            "rlimits": limits,
            "noNewPrivileges": settled.security.no_new_privileges,
        },
        "root": {"path": "rootfs", "readonly": wish.read_only},
        "hostname": settled.hostname,
        "mounts": mounts(wish, settled),
        "linux": {
            "sysctl": sysctls,
            "resources": resources(wish, settled),
            "namespaces": namespaces(wish, settled),
            "devices": settled.devices,
            "maskedPaths": masked,
            "readonlyPaths": read_only,
        },
    });
    if wish.sharing.uts != Namespace::Own {
        // The name is that of whose namespace it is.
        written["hostname"] = Value::Null;
    }
    if let Some(name) = &wish.sharing.domainname {
        written["domainname"] = json!(name);
    }
    if let Some(adjustment) = wish.limits.oom_score_adj {
        written["process"]["oomScoreAdj"] = json!(adjustment);
    }
    if !wish.sharing.annotations.is_empty() {
        written["annotations"] =
            wish.sharing.annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    }
    if let Some(profile) = &settled.security.seccomp {
        written["linux"]["seccomp"] = json!(profile);
    }
    if let Some(ids) = &settled.ids {
        let [users, groups] = ids.mappings();
        (written["linux"]["uidMappings"], written["linux"]["gidMappings"]) = (users, groups);
    }
    if settled.has_cgroup {
        written["linux"]["cgroupsPath"] = json!(format!("/devoxx/{}", settled.id));
    }
    let edited = cdi::apply(&mut written, &settled.cdi, settled.filtered)?;
    let spec = serde_json::from_value(written)
        .map_err(|error| Error::new(Kind::Failed, format!("bundle: {error}")))?;
    Ok((spec, edited))
}

/// Writes config.json into the bundle, with where the root will be mounted: hooks look for both (runtime.md, "State"). Its text.
pub fn write_down(spec: &mut Spec, directory: &Path, root: &Root) -> Result<String> {
    let place = match root {
        Root::Directory(path) => path,
        Root::Overlay(overlay) => &overlay.mount_point,
    };
    if let Some(root) = spec.root_mut() {
        root.set_path(place.clone());
    }
    let path = directory.join("config.json");
    let text = serde_json::to_string(spec).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    std::fs::write(&path, &text).map_err(called(|| format!("write {path:?}")))?;
    Ok(text)
}
