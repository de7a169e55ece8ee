//! What CDI devices change of a config.json.

use super::spec::{Edits, Hook, IntelRdt, Mount, Node};
use crate::error::{Error, Kind, Result};
use rustix::fs::FileType;
use serde_json::{Value, json};
use std::path::PathBuf;
use sys::{Context, Errno, called};

/// What comes of them beside the words of config.json.
#[derive(Debug, Default)]
pub struct Edited {
    /// Path in the container and path on the host of each node.
    pub sources: Vec<(PathBuf, PathBuf)>,
    /// Groups of the container's process.
    pub groups: Vec<String>,
    /// Whether there are hooks, which may want to know where the root is.
    pub hooks: bool,
}

/// Makes the edits, in their order. `enforced` says whether the cgroup refuses what the rules do not allow.
pub fn apply(written: &mut Value, all: &[Edits], enforced: bool) -> Result<Edited> {
    let mut edited = Edited::default();
    for edits in all {
        for entry in &edits.env {
            set_variable(list(&mut written["process"]["env"]), entry);
        }
        for node in &edits.device_nodes {
            node_of(written, node, enforced, &mut edited)
                .within(|| format!("CDI device node {}", node.path.display()))?;
        }
        for device in &edits.net_devices {
            written["linux"]["netDevices"][&device.host_interface_name] = json!({"name": device.name});
        }
        for mount in &edits.mounts {
            mount_of(written, mount)?;
        }
        for hook in &edits.hooks {
            edited.hooks = true;
            hook_of(written, hook)?;
        }
        edited.groups.extend(edits.additional_gids.iter().filter(|gid| **gid != 0).map(u32::to_string));
        if let Some(rdt) = &edits.intel_rdt {
            written["linux"]["intelRdt"] = rdt_of(rdt);
        }
    }
    if let Some(mounts) = written["mounts"].as_array_mut() {
        // A mount inside another comes after it.
        mounts.sort_by_key(|mount| mount["destination"].as_str().unwrap_or_default().matches('/').count());
    }
    Ok(edited)
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = json!([]);
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was just made one"),
    }
}

/// Sets a variable, in place of an earlier one.
fn set_variable(env: &mut Vec<Value>, entry: &str) {
    let key = entry.split('=').next();
    let same = |one: &Value| one.as_str().and_then(|one| one.split('=').next()) == key;
    match env.iter_mut().find(|one| same(one)) {
        Some(earlier) => *earlier = json!(entry),
        None => env.push(json!(entry)),
    }
}

fn node_of(written: &mut Value, node: &Node, enforced: bool, edited: &mut Edited) -> Result<()> {
    let host = node.host_path.as_ref().unwrap_or(&node.path);
    let stat = rustix::fs::stat(host).map_err(called::<Errno>(|| format!("stat({host:?})")))?;
    let found = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => "c",
        FileType::BlockDevice => "b",
        FileType::Fifo => "p",
        _ => return Err(Error::new(Kind::Failed, format!("{} of the host is not a device", host.display()))),
    };
    let said = if node.kind == "u" { "c" } else { node.kind.as_str() };
    if !said.is_empty() && said != found {
        return Err(Error::new(
            Kind::Failed,
            format!("{} of the host has type {found}, not {said}", host.display()),
        ));
    }
    let numbers = match (node.major, found) {
        (0, "c" | "b") => {
            (i64::from(rustix::fs::major(stat.st_rdev)), i64::from(rustix::fs::minor(stat.st_rdev)))
        }
        _ => (node.major, node.minor),
    };
    let nodes = list(&mut written["linux"]["devices"]);
    nodes.retain(|other| other["path"] != json!(node.path));
    nodes.push(json!({
        "path": node.path, "type": found, "major": numbers.0, "minor": numbers.1,
        "fileMode": node.file_mode.map_or(stat.st_mode & 0o777, |mode| mode & 0o7777),
        "uid": node.uid.unwrap_or(stat.st_uid), "gid": node.gid.unwrap_or(stat.st_gid),
    }));
    edited.sources.push((node.path.clone(), host.clone()));
    let access = match node.permissions.as_str() {
        "" => "rwm",
        "none" => "",
        letters => letters,
    };
    if found == "p" {
        return Ok(());
    }
    let whole = ['r', 'w'].iter().all(|letter| access.contains(*letter));
    if !enforced && !whole {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "permissions {:?} cannot be enforced here: the cgroup has no filter for devices",
                node.permissions
            ),
        ));
    }
    if !access.is_empty() {
        list(&mut written["linux"]["resources"]["devices"]).push(
            json!({"allow": true, "type": found, "major": numbers.0, "minor": numbers.1, "access": access}),
        );
    }
    Ok(())
}

fn mount_of(written: &mut Value, mount: &Mount) -> Result<()> {
    let bind = mount.options.iter().any(|option| option == "bind" || option == "rbind");
    let mut options = mount.options.clone();
    // A path of the host is bound, unless a file system is named.
    let kind = match mount.kind.as_str() {
        "" | "none" | "bind" => {
            if !bind {
                options.insert(0, "rbind".to_owned());
            }
            "bind"
        }
        _ if bind => "bind",
        kind => kind,
    };
    if kind == "bind" && !mount.host_path.exists() {
        return Err(Error::new(
            Kind::Failed,
            format!("CDI mount of {}: it is not there", mount.host_path.display()),
        )
        .with_hint("the spec is older than what is installed: have its vendor's software write it again"));
    }
    let mounts = list(&mut written["mounts"]);
    mounts.retain(|other| other["destination"] != json!(mount.container_path));
    mounts.push(json!({
        "destination": mount.container_path, "type": kind, "source": mount.host_path, "options": options,
    }));
    Ok(())
}

fn hook_of(written: &mut Value, hook: &Hook) -> Result<()> {
    // One that runs in the container is looked for there.
    if hook.hook_name != "startContainer" && !hook.path.exists() {
        return Err(Error::new(Kind::Failed, format!("CDI hook {}: it is not there", hook.path.display())));
    }
    let mut one = json!({"path": hook.path});
    if !hook.args.is_empty() {
        one["args"] = json!(hook.args);
    }
    if !hook.env.is_empty() {
        one["env"] = json!(hook.env);
    }
    if let Some(seconds) = hook.timeout {
        one["timeout"] = json!(seconds);
    }
    list(&mut written["hooks"][&hook.hook_name]).push(one);
    Ok(())
}

fn rdt_of(rdt: &IntelRdt) -> Value {
    let fields = [
        ("closID", rdt.clos_id.as_ref().map(|value| json!(value))),
        ("l3CacheSchema", rdt.l3_cache_schema.as_ref().map(|value| json!(value))),
        ("memBwSchema", rdt.mem_bw_schema.as_ref().map(|value| json!(value))),
        ("schemata", rdt.schemata.as_ref().map(|value| json!(value))),
        ("enableMonitoring", rdt.enable_monitoring.map(Value::Bool)),
        ("enableCMT", rdt.enable_cmt.map(Value::Bool)),
        ("enableMBM", rdt.enable_mbm.map(Value::Bool)),
    ];
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
