//! `inspect` of a container: everything that is known of it, under docker's names.

use crate::bundle;
use crate::error::{Result, of_network};
use crate::health;
use crate::images::Images;
use crate::launch::hostname;
use crate::life::Status;
use crate::mount::VolumeMount;
use crate::paths::Paths;
use crate::published;
use crate::record::{self, Listed, Record};
use crate::wish::{Namespace, Network, Restart, Source, Wish};
use network::{Lease, PortMapping};
use oci_spec::image::Config;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What docker has for a time that has not come.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What a container wrote on top of its image, and both together, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// On top of its image.
    pub own: u64,
    /// With the image.
    pub all: u64,
}

/// Adds up what a container wrote: files once, however many names they have.
pub fn written(paths: &Paths, images: &Images, record: &record::Record) -> Written {
    let own = bytes_below(&paths.container(&record.id).join("upper"), &mut BTreeSet::new());
    let image = images.list().unwrap_or_default().into_iter().find(|image| image.id == record.image_id);
    Written { own, all: own + image.map_or(0, |image| image.size) }
}

fn bytes_below(directory: &Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        // Of the entry itself: a link leads anywhere.
        let Ok(found) = entry.metadata() else { continue };
        if found.is_dir() {
            sum += bytes_below(&entry.path(), seen);
        } else if found.is_file() && (found.nlink() == 1 || seen.insert((found.dev(), found.ino()))) {
            sum += found.len();
        }
    }
    sum
}

/// A container as docker's API shows it.
pub fn inspect(paths: &Paths, images: &Images, wanted: &str, size: bool) -> Result<Value> {
    let listed = record::get(paths, wanted)?;
    let Listed { record, life, status } = &listed;
    let wish = &record.wish;
    let config =
        if record.image_id.is_empty() { None } else { images.config(&record.image_id) }.unwrap_or_default();
    let up = matches!(status, Status::Running | Status::Paused);
    let directory = paths.container(&record.id);
    let mut leases = if up { network::leases(&paths.network()).map_err(of_network)? } else { Vec::new() };
    leases.retain(|lease| lease.id == record.id);
    let (path, args) = match record.command.split_first() {
        Some((path, args)) => (path.as_str(), args),
        None => ("", &[][..]),
    };
    let mut all = json!({
        "Id": record.id,
        "Created": record.created,
        "Path": path,
        "Args": args,
        "State": state(paths, &listed),
        "Image": record.image_id,
        "ResolvConfPath": directory.join("resolv.conf"),
        "HostnamePath": directory.join("hostname"),
        "HostsPath": directory.join("hosts"),
        "LogPath": if wish.log.files().is_some() { record::log(paths, &record.id) } else { PathBuf::new() },
        "Name": format!("/{}", record.name),
        "RestartCount": life.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": Value::Null,
        "HostConfig": host_config(record),
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {
                "MergedDir": directory.join("root"),
                "UpperDir": directory.join("upper"),
                "WorkDir": directory.join("work"),
            },
        },
        "Mounts": mounts(paths, &listed),
        "Config": own_config(&listed, &config),
        "NetworkSettings": network_settings(paths, &listed, &leases),
    });
    if size {
        let written = written(paths, images, record);
        all["SizeRw"] = json!(written.own);
        all["SizeRootFs"] = json!(written.all);
    }
    Ok(all)
}

fn state(paths: &Paths, listed: &Listed) -> Value {
    let Listed { record, life, status } = listed;
    let up = matches!(status, Status::Running | Status::Paused);
    let pid = if up { record::running(paths, &record.id).unwrap_or(0) } else { 0 };
    json!({
        "Status": status.to_string(),
        // As docker: one that is paused, or about to be started again, counts as one that runs.
        "Running": up || *status == Status::Restarting,
        "Paused": *status == Status::Paused,
        "Restarting": *status == Status::Restarting,
        "OOMKilled": life.oom_killed,
        "Dead": false,
        "Pid": pid,
        "ExitCode": if up { 0 } else { exit_code(listed) },
        "Error": life.error.as_deref().unwrap_or(""),
        "StartedAt": life.started.as_deref().unwrap_or(NEVER),
        "FinishedAt": life.finished.as_deref().unwrap_or(NEVER),
        "MemoryLimit": life.memory_limit,
        "MemoryPeak": life.memory_peak,
        "Health": record.check.as_ref().and_then(|_| health::read(paths, &record.id)).map(|health| json!({
            "Status": health.status,
            "FailingStreak": health.failing_streak,
            "Log": health.log.iter().map(|one| json!({
                "Start": one.start, "End": one.end, "ExitCode": one.exit_code, "Output": one.output,
            })).collect::<Vec<_>>(),
        })),
    })
}

fn exit_code(listed: &Listed) -> i32 {
    let unseen = if listed.status == Status::Exited { 255 } else { 0 };
    listed.life.exit_code.unwrap_or(unseen)
}

fn host_config(record: &Record) -> Value {
    let wish = &record.wish;
    let (restart, most) = match wish.restart {
        Restart::No => ("no", 0),
        Restart::OnFailure(most) => ("on-failure", most.unwrap_or(0)),
        Restart::Always => ("always", 0),
        Restart::UnlessStopped => ("unless-stopped", 0),
    };
    let log_opts: Map<String, Value> =
        wish.log_options.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let binds: Vec<String> = wish
        .mounts
        .iter()
        .filter_map(|mount| {
            let access = |read_only: bool| if read_only { ":ro" } else { "" };
            match mount {
                VolumeMount::Bind { source, target, read_only, .. } => {
                    Some(format!("{}:{}{}", source.display(), target.display(), access(*read_only)))
                }
                VolumeMount::Volume { name: Some(name), target, read_only, .. } => {
                    Some(format!("{name}:{}{}", target.display(), access(*read_only)))
                }
                _ => None,
            }
        })
        .collect();
    let tmpfs: Map<String, Value> = wish
        .mounts
        .iter()
        .filter_map(|mount| match mount {
            VolumeMount::Tmpfs { target, options } => {
                Some((target.display().to_string(), options.join(",").into()))
            }
            _ => None,
        })
        .collect();
    let (limits, sharing) = (&wish.limits, &wish.sharing);
    let mode = |namespace: &Namespace| match namespace {
        Namespace::Own => String::new(),
        Namespace::Host => "host".to_owned(),
        Namespace::Container(name) => format!("container:{name}"),
    };
    let further = json!({
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "OomScoreAdj": limits.oom_score_adj.unwrap_or(0),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpusetMems": limits.cpuset_mems.as_deref().unwrap_or(""),
        "BlkioWeight": limits.blkio_weight.unwrap_or(0),
        "ShmSize": limits.shm_size.unwrap_or(64 << 20),
        "CgroupParent": limits.cgroup_parent.as_deref().unwrap_or(""),
        "PidMode": mode(&sharing.pid),
        "IpcMode": if sharing.shareable { "shareable".to_owned() } else { mode(&sharing.ipc) },
        "UTSMode": mode(&sharing.uts),
        "UsernsMode": sharing.userns.to_string(),
        "CgroupnsMode": if sharing.host_cgroup { "host" } else { "private" },
        "GroupAdd": sharing.groups,
        "DnsSearch": sharing.dns_search,
        "DnsOptions": sharing.dns_options,
        "VolumesFrom": sharing.volumes_from.iter()
            .map(|(name, read_only)| format!("{name}:{}", if *read_only { "ro" } else { "rw" })).collect::<Vec<_>>(),
        "Annotations": sharing.annotations.iter().cloned().collect::<BTreeMap<_, _>>(),
    });
    let mut all = json!({
        "Binds": binds,
        "ContainerIDFile": "",
        "LogConfig": {"Type": wish.log.name(), "Config": log_opts},
        "NetworkMode": network_mode(wish),
        "PortBindings": bindings(&wish.ports),
        "RestartPolicy": {"Name": restart, "MaximumRetryCount": most},
        "AutoRemove": wish.remove,
        "CapAdd": wish.cap_add,
        "CapDrop": wish.cap_drop,
        "Dns": wish.dns,
        "ExtraHosts": wish.add_hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect::<Vec<_>>(),
        "Privileged": wish.privileged,
        "PublishAllPorts": false,
        "ReadonlyRootfs": wish.read_only,
        "SecurityOpt": wish.security_opt,
        "Sysctls": wish.sysctls.iter().cloned().collect::<BTreeMap<_, _>>(),
        "Tmpfs": tmpfs,
        "Init": wish.init,
        "Runtime": "devoxx",
        "Memory": wish.memory.unwrap_or(0),
        "MemorySwap": wish.memory_swap.unwrap_or(0),
        "NanoCpus": wish.milli_cpus.unwrap_or(0).saturating_mul(1_000_000),
        "CpuShares": wish.cpu_shares.unwrap_or(0),
        "CpusetCpus": wish.cpuset_cpus.as_deref().unwrap_or(""),
        "PidsLimit": wish.pids_limit.unwrap_or(0),
        "Ulimits": wish.ulimits.iter()
            .map(|one| json!({"Name": one.name, "Soft": one.soft, "Hard": one.hard})).collect::<Vec<_>>(),
        "DeviceRequests": match wish.cdi.is_empty() {
            true => Value::Null,
            false => json!([{"Driver": "cdi", "Count": 0, "DeviceIDs": wish.cdi, "Capabilities": Value::Null, "Options": Value::Null}]),
        },
        "Devices": wish.devices.iter().map(|one| json!({
            "PathOnHost": one.host, "PathInContainer": one.container, "CgroupPermissions": one.access,
        })).collect::<Vec<_>>(),
    });
    if let Some(ids) = &record.ids {
        // As podman.
        let [users, groups] = ids.shown();
        all["IDMappings"] = json!({"UidMap": users, "GidMap": groups});
    }
    if let (Some(all), Value::Object(further)) = (all.as_object_mut(), further) {
        all.extend(further);
    }
    all
}

/// As it is typed for `--network`.
fn network_mode(wish: &Wish) -> String {
    match &wish.network {
        Network::Bridge => wish.attachments.first().map_or("bridge", |one| one.network.as_str()).to_owned(),
        Network::Host => "host".to_owned(),
        Network::None => "none".to_owned(),
        Network::Container(other) => format!("container:{other}"),
    }
}

/// The names of the networks that a container is on, or will be when it starts: none with that of another container.
pub fn networks_of(record: &record::Record) -> Vec<String> {
    let named: Vec<String> = record.networks.iter().map(|one| one.network.clone()).collect();
    match &record.wish.network {
        Network::Container(_) => Vec::new(),
        Network::Bridge if !named.is_empty() => named,
        _ => vec![network_mode(&record.wish)],
    }
}

fn bindings(ports: &[PortMapping]) -> Value {
    let mut all = Map::new();
    for port in ports {
        let one = json!({
            "HostIp": port.host_ip.map_or(String::new(), |ip| ip.to_string()),
            "HostPort": if port.host_port == 0 { String::new() } else { port.host_port.to_string() },
        });
        let key = format!("{}/{}", port.container_port, port.protocol);
        let list = all.entry(key).or_insert_with(|| json!([]));
        list.as_array_mut().into_iter().for_each(|list| list.push(one.clone()));
    }
    Value::Object(all)
}

fn mounts(paths: &Paths, listed: &Listed) -> Vec<Value> {
    let record = &listed.record;
    let mut own = record.own_volumes.iter();
    let volume = |name: &str, target: &Path, read_only: bool| {
        json!({
            "Type": "volume", "Name": name, "Source": paths.volumes().join(name).join("_data"),
            "Destination": target, "Driver": "local", "Mode": "", "RW": !read_only, "Propagation": "",
        })
    };
    let mut all: Vec<Value> = Vec::new();
    for mount in &record.wish.mounts {
        all.push(match mount {
            VolumeMount::Bind { source, target, read_only, options, .. } => json!({
                "Type": "bind", "Source": source, "Destination": target, "Mode": options.join(","),
                "RW": !read_only,
                "Propagation": options.iter()
                    .find(|one| one.ends_with("shared") || one.ends_with("slave") || one.ends_with("private"))
                    .map_or("rprivate", String::as_str),
            }),
            VolumeMount::Volume { name, target, read_only, .. } => {
                let name = name.as_ref().or_else(|| own.next()).cloned().unwrap_or_default();
                volume(&name, target, *read_only)
            }
            VolumeMount::Tmpfs { target, options } => json!({
                "Type": "tmpfs", "Source": "", "Destination": target, "Mode": options.join(","), "RW": true,
                "Propagation": "",
            }),
        });
    }
    for target in &record.image_volumes {
        let name = own.next().cloned().unwrap_or_default();
        all.push(volume(&name, target, false));
    }
    all
}

fn own_config(listed: &Listed, config: &Config) -> Value {
    let record = &listed.record;
    let wish = &record.wish;
    let hostname = hostname(wish, &record.id);
    let entrypoint = match &wish.entrypoint {
        Some(text) if text.is_empty() => None,
        Some(text) => Some(vec![text.clone()]),
        None => config.entrypoint().clone(),
    };
    // What was typed, else the image's; an entrypoint that was typed leaves that away.
    let cmd = match (wish.command.is_empty(), &wish.entrypoint) {
        (false, _) => Some(wish.command.clone()),
        (true, Some(_)) => None,
        (true, None) => config.cmd().clone(),
    };
    let mut exposed: BTreeSet<String> = config.exposed_ports().iter().flatten().cloned().collect();
    exposed.extend(wish.exposed.iter().cloned());
    exposed.extend(wish.ports.iter().map(|port| format!("{}/{}", port.container_port, port.protocol)));
    let set = |names: BTreeSet<String>| -> Value {
        names.into_iter().map(|name| (name, json!({}))).collect::<Map<String, Value>>().into()
    };
    let working = wish
        .workdir
        .clone()
        .or_else(|| config.working_dir().clone().filter(|path| !path.is_empty()).map(PathBuf::from));
    json!({
        "Hostname": hostname,
        "Domainname": wish.sharing.domainname.as_deref().unwrap_or(""),
        "User": record.user.as_deref().unwrap_or(""),
        "AttachStdin": wish.interactive,
        "AttachStdout": true,
        "AttachStderr": true,
        "ExposedPorts": set(exposed),
        "Tty": wish.terminal,
        "OpenStdin": wish.interactive,
        "StdinOnce": wish.interactive,
        "Env": bundle::environment(wish, config, &hostname),
        "Cmd": cmd,
        "Image": match &wish.source {
            Source::Image(name) => name.clone(),
            Source::Rootfs(rootfs) => rootfs.directory.display().to_string(),
        },
        "Volumes": set(config.volumes().iter().flatten().map(|path| path.to_string()).collect()),
        "WorkingDir": working.unwrap_or_default(),
        "Entrypoint": entrypoint,
        "OnBuild": Value::Null,
        "Labels": record.labels.iter().cloned().collect::<BTreeMap<_, _>>(),
        "StopSignal": record.stop_signal,
        "StopTimeout": wish.stop_timeout,
    })
}

fn network_settings(paths: &Paths, listed: &Listed, leases: &[Lease]) -> Value {
    let record = &listed.record;
    let up = matches!(listed.status, Status::Running | Status::Paused);
    let addresses: Map<String, Value> = networks_of(record)
        .into_iter()
        .map(|name| {
            let lease = leases.iter().find(|lease| lease.network == name);
            let aliases = record.networks.iter().find(|one| one.network == name).map(|one| &one.aliases);
            let address = json!({
                "IPAMConfig": Value::Null,
                "Links": Value::Null,
                "Aliases": aliases,
                "NetworkID": name,
                "EndpointID": if up { record.id.as_str() } else { "" },
                "Gateway": lease.map_or(String::new(), |lease| lease.gateway4.to_string()),
                "IPAddress": lease.map_or(String::new(), |lease| lease.ipv4.to_string()),
                "IPPrefixLen": lease.map_or(0, |lease| lease.ipv4_prefix),
                "IPv6Gateway": lease.and_then(|lease| lease.gateway6).map_or(String::new(), |ip| ip.to_string()),
                "GlobalIPv6Address": lease.and_then(|lease| lease.ipv6).map_or(String::new(), |ip| ip.to_string()),
                "GlobalIPv6PrefixLen":
                    lease.filter(|lease| lease.ipv6.is_some()).map_or(0, |lease| lease.ipv6_prefix),
                "MacAddress": lease.map_or(String::new(), |lease| {
                    lease.mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
                }),
                "DriverOpts": Value::Null,
            });
            (name, address)
        })
        .collect();
    let mut all = json!({
        "Bridge": "",
        "SandboxID": if up { record.id.as_str() } else { "" },
        "SandboxKey": "",
        "Ports": bindings(&published::of(paths, &record.id)),
    });
    // As docker: those of the network that is always there stand beside the list too.
    for name in [
        "EndpointID",
        "Gateway",
        "IPAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "GlobalIPv6Address",
        "GlobalIPv6PrefixLen",
        "MacAddress",
    ] {
        let empty = if name.ends_with("PrefixLen") || name == "IPPrefixLen" { json!(0) } else { json!("") };
        all[name] = addresses.get("bridge").map_or(empty, |address| address[name].clone());
    }
    all["Networks"] = Value::Object(addresses);
    all
}
