//! Reads what was written (`config.json`, oci_spec's [`Spec`]) into what is meant (a [`Plan`]).
//!
//! Strict: what this version cannot do is refused with the name of its field, never ignored. Pure but for the
//! file system that `root.path` is looked up in.

mod attributes;
mod capability;
mod filter;
mod mount;
mod net_devices;
mod rdt;
mod resources;
mod sysctl;

pub use mount::{COVERED_IN_PROC, clean as clean_target, options as mount_options};

pub use capability::{ALL as ALL_CAPABILITIES, number as capability_number};
pub use rdt::combined as rdt_schemata;
pub use resources::limits as resources;

pub use crate::written::{Written, read, read_process};

use crate::error::{Error, Kind, Result};
use crate::hooks::Hook;
use crate::id_map::{self, IdMaps, Range};
use crate::plan::{ByParent, Capabilities, Device, Joined, Listener, Plan, Process, Root, TimeOffset, User};
use cgroup::{DeviceRule, Limits};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType, PosixRlimitType, Spec};
use std::path::{Path, PathBuf};
use sys::clone3::Namespaces;
use sys::{Context, called};

/// What an engine means beyond the words of the specification.
#[derive(Debug, Clone, Default)]
pub struct Beyond {
    /// A root other than the directory that `root.path` names.
    pub root: Option<Root>,
    /// See [`Plan::root_by_parent`].
    pub root_by_parent: Option<ByParent>,
    /// A user to look up in the container's own files.
    pub user: Option<String>,
    /// Further groups of that user, names or numbers.
    pub groups: Vec<String>,
    /// See [`Plan::config`].
    pub config: Option<String>,
    /// See [`Plan::shows_network`].
    pub shows_network: bool,
    /// See [`Process::entry`].
    pub entry: Option<String>,
    /// A small init as PID 1.
    pub reaper: bool,
    /// Makes the working directory when it is missing.
    pub make_cwd: bool,
    /// Bind targets of which only a part of the source is bound: a path that is resolved beneath it.
    pub beneath: Vec<(PathBuf, PathBuf)>,
    /// Bind targets whose empty source is filled from the root.
    pub fill: Vec<PathBuf>,
    /// Binds device nodes from the host, see [`Plan::bind_devices`].
    pub bind_devices: bool,
    /// Whether access to devices is what is written and nothing beside: otherwise that to the devices of every container
    /// comes on top, as with runc.
    pub only_written_devices: bool,
    /// How many descriptors from 3 up pass through.
    pub preserved_fds: u32,
    /// The ids of an ordinary user, for a user namespace that nobody has written down.
    pub own_ids: Option<IdMaps>,
    /// See [`Plan::no_pivot`].
    pub no_pivot: bool,
    /// Whether it gets a session keyring of its own.
    pub new_keyring: bool,
    /// Where a device that is bound is on the host, when that is not the path that it has in the container.
    pub device_sources: Vec<(PathBuf, PathBuf)>,
    /// Who answers a filter's questions, where nothing that is written says so.
    pub seccomp_receiver: Option<PathBuf>,
}

fn invalid(field: &str, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("config.json: {field}: {why}"))
}

/// Makes the plan of container `id`, or says which field stands in its way.
pub fn plan(id: &str, spec: &Spec, bundle: &Path, beyond: Beyond) -> Result<Plan> {
    let mut process = process(spec, &beyond)?;
    // Not its own default, which has namespaces and masks that nobody wrote.
    let linux =
        spec.linux().as_ref().ok_or_else(|| invalid("linux", "missing: a container needs namespaces"))?;
    attributes::of_linux(linux, &mut process.attributes)?;
    if beyond.new_keyring {
        process.attributes.keyring = Some(format!("_ses.{id}"));
    }
    let (mut namespaces, joined, cgroup_namespace) = namespaces(linux)?;
    let joins = |kind: Namespaces| joined.iter().any(|one| one.kind == kind);
    let mut id_maps = id_maps(linux, namespaces.has(Namespaces::USER))?;
    if let Some(own) = beyond.own_ids
        && !namespaces.has(Namespaces::USER)
        && !joins(Namespaces::USER)
    {
        // Nothing can be made without one: as crun does, it is made without being asked for.
        namespaces = namespaces.and(Namespaces::USER);
        id_maps = own;
    }
    let has = |kind: Namespaces| namespaces.has(kind) || joins(kind);
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        check_name(field, name.as_deref(), has(Namespaces::UTS))?;
    }
    let user_namespace = has(Namespaces::USER);
    let sysctls = sysctl::sysctls(linux, namespaces, &joined)?;
    let net_devices = net_devices::net_devices(linux, has(Namespaces::NETWORK))?;
    let root = match (beyond.root, spec.root()) {
        (Some(root), _) => root,
        (None, Some(root)) => Root::Directory(root_directory(bundle, root.path())?),
        (None, None) => return Err(invalid("root", "missing")),
    };
    let mut warnings = Vec::new();
    let inside = mount::UserNamespace { own: user_namespace, maps: &id_maps };
    let label = mount_label(spec, linux)?;
    let around = mount::Around {
        bundle,
        beneath: &beyond.beneath,
        fill: &beyond.fill,
        user_namespace: inside,
        label,
        systemd_cgroup: annotation(spec, "run.oci.systemd.force_cgroup_v1").filter(|path| !path.is_empty()),
    };
    let mounts = mounts(spec, &around, &mut warnings)?;
    let paths = |list: &Option<Vec<String>>| list.iter().flatten().map(PathBuf::from).collect();
    let resources = linux.resources().clone().unwrap_or_default();
    let devices = devices(linux, &beyond.device_sources)?;
    let mut device_rules = resources::limits(&resources)?.devices;
    if beyond.bind_devices {
        // No filter is to be had: what is bound takes its place.
        device_rules.clear();
    }
    if !beyond.only_written_devices {
        device_rules.extend(rules_of_every_container());
    }
    refuse_handlers(spec)?;
    let cgroup_owner = cgroup_owner(spec, cgroup_namespace)
        .and_then(|uid| if user_namespace { id_map::outside(&id_maps.uid, uid) } else { Some(uid) });
    let (seccomp, listener) = filter::filter(spec, linux, beyond.seccomp_receiver.as_deref())?;
    Ok(Plan {
        id: id.to_owned(),
        oci_version: spec.version().clone(),
        bundle: bundle.to_owned(),
        annotations: spec
            .annotations()
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        time_offsets: time_offsets(linux, namespaces.has(Namespaces::TIME))?,
        joined,
        id_maps,
        namespaces,
        cgroup_namespace,
        bind_devices: beyond.bind_devices || user_namespace,
        root,
        root_by_parent: beyond.root_by_parent.filter(|_| user_namespace),
        root_read_only: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
        mounts,
        mount_label: label.map(|(option, label)| (option.to_owned(), label.to_owned())),
        warnings,
        root_propagation: root_propagation(linux, beyond.no_pivot)?,
        devices,
        masked: paths(linux.masked_paths()),
        read_only: paths(linux.readonly_paths()),
        hostname: spec.hostname().clone().unwrap_or_default(),
        domainname: spec.domainname().clone().unwrap_or_default(),
        sysctls,
        net_devices,
        shows_network: beyond.shows_network,
        rdt: rdt::rdt(linux, id)?,
        process,
        cgroup: linux.cgroups_path().as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        cgroup_owner,
        limits: Limits { devices: device_rules, ..resources::limits(&resources)? },
        hooks: hooks(spec)?,
        config: beyond.config,
        no_pivot: beyond.no_pivot,
        seccomp,
        listener,
    })
}

/// crun hands some containers to something else than Linux (WebAssembly, virtual machines): that cannot be had here, and a
/// container that asks for it must not run as an ordinary one.
fn refuse_handlers(spec: &Spec) -> Result<()> {
    let annotations = spec.annotations().iter().flatten();
    let asks = |key: &str, value: &str| {
        (key == "run.oci.handler" && !value.is_empty())
            || (key == "module.wasm.image/variant" && !value.is_empty())
            || key.starts_with("krun.")
    };
    for (key, value) in annotations {
        if asks(key, value) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("config.json: annotations: {key}: {value:?} is no handler of this runtime"),
            ));
        }
    }
    Ok(())
}

/// The process of `spec` alone, for one that is executed in a container that runs; with its filter, and who answers that.
pub fn exec(spec: &Spec, beyond: &Beyond) -> Result<(Process, seccomp::Program, Option<Listener>)> {
    let linux = spec.linux().as_ref().ok_or_else(|| invalid("linux", "missing"))?;
    let (seccomp, listener) = filter::filter(spec, linux, beyond.seccomp_receiver.as_deref())?;
    Ok((process(spec, beyond)?, seccomp, listener))
}

/// A name of a UTS namespace (uts_namespaces(7)).
fn check_name(field: &str, name: Option<&str>, own: bool) -> Result<()> {
    /// As much as the kernel keeps.
    const LONGEST: usize = 64;
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(()) };
    if !own {
        return Err(invalid(field, &format!("unable to set {field} without a private UTS namespace")));
    }
    if name.len() > LONGEST {
        return Err(invalid(field, &format!("longer than {LONGEST} bytes")));
    }
    if name.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(invalid(field, &format!("{name:?} has a control character in it")));
    }
    Ok(())
}

/// The user, in the container's terms, to whom its cgroup is given: the one of its process, and only where the container
/// sees the cgroup as the root of its own namespace and may write to it (config-linux.md, "Cgroup ownership").
fn cgroup_owner(spec: &Spec, cgroup_namespace: bool) -> Option<u32> {
    let writable = spec.mounts().iter().flatten().any(|mount| {
        mount.source().as_deref() == Some(Path::new("cgroup"))
            && mount.typ().as_deref().is_some_and(|kind| kind.starts_with("cgroup"))
            && mount.destination() == Path::new("/sys/fs/cgroup")
            && !mount.options().iter().flatten().any(|option| option == "ro")
    });
    spec.process().as_ref().filter(|_| writable && cgroup_namespace).map(|process| process.user().uid())
}

fn namespaces(linux: &Linux) -> Result<(Namespaces, Vec<Joined>, bool)> {
    let mut new = Namespaces::NONE;
    let mut seen = Namespaces::NONE;
    let mut joined = Vec::new();
    let mut cgroup = false;
    for namespace in linux.namespaces().iter().flatten() {
        let kind = namespace.typ();
        // By the names of config.json: oci_spec shows some of them as /proc does.
        let (one, name) = match kind {
            LinuxNamespaceType::Mount => (Namespaces::MOUNT, "mount"),
            LinuxNamespaceType::Uts => (Namespaces::UTS, "uts"),
            LinuxNamespaceType::Ipc => (Namespaces::IPC, "ipc"),
            LinuxNamespaceType::Pid => (Namespaces::PID, "pid"),
            LinuxNamespaceType::Network => (Namespaces::NETWORK, "network"),
            LinuxNamespaceType::Cgroup => (Namespaces::CGROUP, "cgroup"),
            LinuxNamespaceType::User => (Namespaces::USER, "user"),
            LinuxNamespaceType::Time => (Namespaces::TIME, "time"),
        };
        if seen.has(one) {
            return Err(Error::new(
                Kind::Invalid,
                format!("config.json: linux.namespaces: malformed spec file: duplicated ns \"{name}\""),
            ));
        }
        seen = seen.and(one);
        match namespace.path() {
            Some(path) if !path.as_os_str().is_empty() => {
                if !path.is_absolute() {
                    return Err(invalid(
                        "linux.namespaces",
                        &format!("{name}: path {path:?} is not absolute"),
                    ));
                }
                joined.push(Joined { kind: one, path: path.clone() });
            }
            // Made later than the others, from inside the cgroup.
            _ if one == Namespaces::CGROUP => cgroup = true,
            _ => new = new.and(one),
        }
    }
    if !seen.has(Namespaces::MOUNT) {
        // Without one, every mount would be made on the host.
        return Err(invalid(
            "linux.namespaces",
            "unable to restrict sys entries without a private MNT namespace: a mount namespace is needed",
        ));
    }
    Ok((new, joined, cgroup))
}

/// Resolved once: what is mounted is what was looked at.
fn root_directory(bundle: &Path, written: &Path) -> Result<PathBuf> {
    if written.as_os_str().is_empty() {
        return Err(invalid("root.path", "empty"));
    }
    let path = bundle.join(written);
    let resolved = std::fs::canonicalize(&path)
        .map_err(called(|| format!("realpath({path:?})")))
        .within(|| "config.json: root.path")?;
    if resolved == Path::new("/") {
        return Err(invalid("root.path", "the root of the host cannot be that of a container"));
    }
    if !resolved.is_dir() {
        return Err(invalid("root.path", &format!("{} is not a directory", resolved.display())));
    }
    Ok(resolved)
}

fn annotation<'a>(spec: &'a Spec, key: &str) -> Option<&'a str> {
    spec.annotations().as_ref().and_then(|all| all.get(key)).map(String::as_str)
}

fn mount_label<'a>(spec: &'a Spec, linux: &'a Linux) -> Result<Option<(&'a str, &'a str)>> {
    let label = linux.mount_label().as_deref().filter(|label| !label.is_empty());
    label.map(|label| mount::label(label, annotation(spec, "run.oci.mount_context_type"))).transpose()
}

fn mounts(
    spec: &Spec,
    around: &mount::Around<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<crate::plan::Mount>> {
    let mut mounts = Vec::new();
    for (index, written) in spec.mounts().iter().flatten().enumerate() {
        let field = || format!("config.json: mounts[{index}]");
        let warn = |what| warnings.push(format!("{}: {what}", field()));
        mounts.push(mount::plan(written, around, warn).within(field)?);
    }
    Ok(mounts)
}

fn root_propagation(linux: &Linux, no_pivot: bool) -> Result<Option<crate::plan::Propagation>> {
    let Some(mode) = linux.rootfs_propagation().as_deref().filter(|mode| !mode.is_empty()) else {
        return Ok(None);
    };
    let wrong = |why: &str| Err(invalid("linux.rootfsPropagation", why));
    match mount::propagation(mode) {
        None => wrong(&format!("{mode:?} is none of [r]shared, [r]slave, [r]private, [r]unbindable")),
        Some(_) if no_pivot && mode.ends_with("private") => {
            wrong("rootfsPropagation of [r]private is not safe without pivot_root")
        }
        found => Ok(found),
    }
}

fn id_maps(linux: &Linux, new_user_namespace: bool) -> Result<IdMaps> {
    let read = |field: &str, list: &Option<Vec<LinuxIdMapping>>| {
        let ranges: Vec<Range> = list
            .iter()
            .flatten()
            .map(|one| Range { container: one.container_id(), host: one.host_id(), size: one.size() })
            .collect();
        id_map::check(field, &ranges).map(|()| ranges)
    };
    let maps = IdMaps {
        uid: read("linux.uidMappings", linux.uid_mappings())?,
        gid: read("linux.gidMappings", linux.gid_mappings())?,
    };
    let given = !maps.uid.is_empty() || !maps.gid.is_empty();
    let refused =
        |why: &str| Err(Error::new(Kind::Invalid, format!("config.json: linux.uidMappings: {why}")));
    let joins = linux.namespaces().iter().flatten().any(|one| {
        one.typ() == LinuxNamespaceType::User
            && one.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty())
    });
    if given && !new_user_namespace && !joins {
        return refused("user namespace mappings specified, but user namespace isn't enabled in the config");
    }
    if new_user_namespace && (maps.uid.is_empty() || maps.gid.is_empty()) {
        return refused(
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
        );
    }
    Ok(maps)
}

fn time_offsets(linux: &Linux, new_time_namespace: bool) -> Result<Vec<TimeOffset>> {
    let mut offsets = Vec::new();
    for (clock, offset) in linux.time_offsets().iter().flatten() {
        if !["monotonic", "boottime"].contains(&clock.as_str()) {
            return Err(invalid(
                "linux.timeOffsets",
                &format!("{clock:?} is not a clock of time namespaces"),
            ));
        }
        let nanoseconds = offset.nanosecs().unwrap_or(0);
        if nanoseconds >= 1_000_000_000 {
            return Err(invalid(
                "linux.timeOffsets",
                &format!("{clock}.nanosecs: {nanoseconds} is a second or more"),
            ));
        }
        offsets.push(TimeOffset { clock: clock.clone(), seconds: offset.secs().unwrap_or(0), nanoseconds });
    }
    offsets.sort_by(|one, other| one.clock.cmp(&other.clock));
    if !offsets.is_empty() && !new_time_namespace {
        let joins = linux.namespaces().iter().flatten().any(|one| one.typ() == LinuxNamespaceType::Time);
        return Err(invalid(
            "linux.timeOffsets",
            if joins {
                "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one"
            } else {
                "time namespace offsets specified, but time namespace isn't enabled in the config"
            },
        ));
    }
    Ok(offsets)
}

/// The hooks, and where crun's annotations send their output.
#[allow(deprecated, reason = "prestart hooks are deprecated in the specification, and in use")]
fn hooks(spec: &Spec) -> Result<crate::hooks::Hooks> {
    let annotation =
        |name: &str| spec.annotations().as_ref().and_then(|all| all.get(name)).map(PathBuf::from);
    let Some(written) = spec.hooks() else { return Ok(crate::hooks::Hooks::default()) };
    let read = |name: &str, list: &Option<Vec<oci_spec::runtime::Hook>>| {
        list.iter()
            .flatten()
            .enumerate()
            .map(|(index, one)| {
                let field = || format!("hooks.{name}[{index}]");
                if !one.path().is_absolute() {
                    return Err(invalid(
                        &format!("{}.path", field()),
                        &format!("{:?} is not absolute", one.path()),
                    ));
                }
                if one.timeout().is_some_and(|seconds| seconds <= 0) {
                    return Err(invalid(&format!("{}.timeout", field()), "must be greater than zero"));
                }
                Ok(Hook {
                    path: one.path().clone(),
                    args: one.args().clone().unwrap_or_default(),
                    env: one.env().clone().unwrap_or_default(),
                    timeout: one.timeout().and_then(|seconds| u64::try_from(seconds).ok()),
                })
            })
            .collect::<Result<Vec<Hook>>>()
    };
    Ok(crate::hooks::Hooks {
        prestart: read("prestart", written.prestart())?,
        create_runtime: read("createRuntime", written.create_runtime())?,
        create_container: read("createContainer", written.create_container())?,
        start_container: read("startContainer", written.start_container())?,
        poststart: read("poststart", written.poststart())?,
        poststop: read("poststop", written.poststop())?,
        stdout: annotation("run.oci.hooks.stdout"),
        stderr: annotation("run.oci.hooks.stderr"),
    })
}

/// The longest argument that the kernel takes, with its NUL (`MAX_ARG_STRLEN`).
const LONGEST_ARGUMENT: usize = 32 * 4096;

fn process(spec: &Spec, beyond: &Beyond) -> Result<Process> {
    let written = spec.process().as_ref().ok_or_else(|| invalid("process", "missing"))?;
    let args = written.args().clone().unwrap_or_default();
    match args.first().map(String::as_str) {
        None => return Err(invalid("process.args", "args must not be empty")),
        Some("") => return Err(invalid("process.args", "exec \"\": executable file not found in $PATH")),
        Some(_) => {}
    }
    let env = written.env().clone().unwrap_or_default();
    // Else it is E2BIG at the start, when the container is made already (execve(2)).
    for (field, list) in [("process.args", &args), ("process.env", &env)] {
        if let Some(long) = list.iter().position(|text| text.len() >= LONGEST_ARGUMENT) {
            return Err(invalid(&format!("{field}[{long}]"), "argument list too long"));
        }
    }
    if !written.cwd().is_absolute() {
        return Err(invalid("process.cwd", &format!("{:?}: Cwd must be an absolute path", written.cwd())));
    }
    let user = match &beyond.user {
        Some(user) => User::Written { user: user.clone(), groups: beyond.groups.clone() },
        None => User::Ids {
            uid: written.user().uid(),
            gid: written.user().gid(),
            groups: written.user().additional_gids().clone().unwrap_or_default(),
        },
    };
    let none = |id: &u32| *id == u32::MAX;
    let groups = written.user().additional_gids();
    if none(&written.user().uid()) || none(&written.user().gid()) || groups.iter().flatten().any(none) {
        return Err(invalid("process.user", "4294967295 stands for no id"));
    }
    let size = written.console_size().map_or((0, 0), |size| (size.height() as u16, size.width() as u16));
    Ok(Process {
        args,
        env,
        cwd: written.cwd().clone(),
        make_cwd: beyond.make_cwd,
        user,
        entry: beyond.entry.clone(),
        keep_groups: spec
            .annotations()
            .as_ref()
            .and_then(|all| all.get("run.oci.keep_original_groups"))
            .is_some_and(|value| value == "1"),
        umask: written.user().umask().unwrap_or(0o022),
        capabilities: capabilities(spec)?,
        rlimits: rlimits(spec)?,
        no_new_privileges: written.no_new_privileges().unwrap_or(false),
        oom_score_adj: oom_score(written.oom_score_adj())?,
        terminal: written.terminal().unwrap_or(false).then_some(size),
        reaper: beyond.reaper,
        preserved_fds: beyond.preserved_fds,
        attributes: attributes::of_process(written)?,
    })
}

fn oom_score(score: Option<i32>) -> Result<Option<i32>> {
    match score {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(invalid("process.oomScoreAdj", &format!("{score} is not from -1000 to 1000")))
        }
        score => Ok(score),
    }
}

fn capabilities(spec: &Spec) -> Result<Capabilities> {
    let Some(written) = spec.process().as_ref().and_then(|process| process.capabilities().as_ref()) else {
        return Ok(Capabilities::default());
    };
    let mask = |set: &Option<oci_spec::runtime::Capabilities>| {
        set.iter().flatten().map(|one| capability::number(&one.to_string())).try_fold(0u64, |mask, number| {
            number
                .map(|number| mask | 1 << number)
                .ok_or_else(|| invalid("process.capabilities", "unknown capability"))
        })
    };
    let (permitted, mut inheritable) = (mask(written.permitted())?, mask(written.inheritable())?);
    if sys::mutant!("mutant_rt_11") {
        inheritable |= permitted;
    }
    Ok(Capabilities {
        bounding: mask(written.bounding())?,
        effective: mask(written.effective())?,
        permitted,
        inheritable,
        // The kernel raises none that is not in both (capabilities(7)), and a spec of runc's has them without the
        // inheritable set: that is not grown by surprise (CVE-2022-29162), they are left out.
        ambient: mask(written.ambient())? & permitted & inheritable,
    })
}

fn rlimits(spec: &Spec) -> Result<Vec<(rustix::process::Resource, u64, u64)>> {
    use rustix::process::Resource;
    let written = spec.process().as_ref().and_then(|process| process.rlimits().clone()).unwrap_or_default();
    let resource = |kind: PosixRlimitType| {
        Some(match kind {
            PosixRlimitType::RlimitCpu => Resource::Cpu,
            PosixRlimitType::RlimitFsize => Resource::Fsize,
            PosixRlimitType::RlimitData => Resource::Data,
            PosixRlimitType::RlimitStack => Resource::Stack,
            PosixRlimitType::RlimitCore => Resource::Core,
            PosixRlimitType::RlimitRss => Resource::Rss,
            PosixRlimitType::RlimitNproc => Resource::Nproc,
            PosixRlimitType::RlimitNofile => Resource::Nofile,
            PosixRlimitType::RlimitMemlock => Resource::Memlock,
            PosixRlimitType::RlimitAs => Resource::As,
            PosixRlimitType::RlimitLocks => Resource::Locks,
            PosixRlimitType::RlimitSigpending => Resource::Sigpending,
            PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
            PosixRlimitType::RlimitNice => Resource::Nice,
            PosixRlimitType::RlimitRtprio => Resource::Rtprio,
            PosixRlimitType::RlimitRttime => Resource::Rttime,
        })
    };
    let mut limits: Vec<(Resource, u64, u64)> = Vec::new();
    for limit in written {
        let shown = limit.typ().to_string();
        let resource = resource(limit.typ())
            .ok_or_else(|| invalid("process.rlimits", &format!("{shown} is unknown")))?;
        if limits.iter().any(|(other, _, _)| *other == resource) {
            return Err(invalid("process.rlimits", &format!("{shown} is there twice")));
        }
        if limit.soft() > limit.hard() {
            return Err(invalid("process.rlimits", &format!("{shown}: soft limit above hard limit")));
        }
        limits.push((resource, limit.soft(), limit.hard()));
    }
    Ok(limits)
}

/// The devices that every container has (config-linux.md, "Default Devices").
const DEFAULT_DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

fn devices(linux: &Linux, sources: &[(PathBuf, PathBuf)]) -> Result<Vec<Device>> {
    use oci_spec::runtime::LinuxDeviceType;
    let mut devices: Vec<Device> = DEFAULT_DEVICES
        .iter()
        .map(|(name, major, minor)| {
            let path = Path::new("/dev").join(name);
            Device {
                host: path.clone(),
                path,
                kind: 'c',
                major: *major,
                minor: *minor,
                mode: 0o666,
                uid: 0,
                gid: 0,
            }
        })
        .collect();
    for written in linux.devices().iter().flatten() {
        let field = format!("linux.devices: {}", written.path().display());
        let number = |number: i64| u32::try_from(number).map_err(|_| invalid(&field, "number out of range"));
        let kind = match written.typ() {
            LinuxDeviceType::B => 'b',
            LinuxDeviceType::C | LinuxDeviceType::U => 'c',
            LinuxDeviceType::P => 'p',
            LinuxDeviceType::A => return Err(invalid(&field, "type must be b, c, u or p")),
        };
        if !written.path().is_absolute() {
            return Err(invalid(&field, "not an absolute path"));
        }
        let path = mount::clean(written.path());
        if path == Path::new("/") || path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(invalid(&field, "not the path of a device"));
        }
        devices.retain(|device| device.path != path);
        let elsewhere = sources.iter().find(|(path, _)| path == written.path()).map(|(_, host)| host);
        devices.push(Device {
            host: elsewhere.unwrap_or(&path).clone(),
            path,
            kind,
            major: number(written.major())?,
            minor: number(written.minor())?,
            mode: written.file_mode().unwrap_or(0o666),
            uid: written.uid().unwrap_or(0),
            gid: written.gid().unwrap_or(0),
        });
    }
    Ok(devices)
}

/// Access that no container is without: to make nodes, to its terminals, and to the devices that every container has.
/// Those of `linux.devices` are nodes: who may open them is up to `linux.resources.devices`, as with runc.
fn rules_of_every_container() -> Vec<DeviceRule> {
    let rule = |kind: char, major: Option<i64>, minor: Option<i64>, access: &str| DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access: access.to_owned(),
    };
    let mut rules = vec![
        rule('c', None, None, "m"),
        rule('b', None, None, "m"),
        // /dev/pts/N and /dev/ptmx.
        rule('c', Some(136), None, "rwm"),
        rule('c', Some(5), Some(2), "rwm"),
    ];
    // null, zero, full, random, urandom, tty.
    let everywhere = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];
    rules.extend(everywhere.map(|(major, minor)| rule('c', Some(major), Some(minor), "rwm")));
    rules
}

#[cfg(test)]
mod tests;
