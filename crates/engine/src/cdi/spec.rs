//! A CDI spec file: what is written in it, under the specification's names, and whether that may be so (its SPEC.md, up to 1.1.0).

use super::name::{check_device, check_kind};
use super::version;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The version that it is written for.
    pub cdi_version: String,
    /// `vendor.com/class`.
    pub kind: String,
    /// Words for whoever reads it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Its devices.
    pub devices: Vec<Device>,
    /// What comes with any of them.
    #[serde(default)]
    pub container_edits: Edits,
}

/// A device.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its name among those of the kind.
    pub name: String,
    /// Words for whoever reads it.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// What it is for a container.
    pub container_edits: Edits,
}

/// What changes of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Edits {
    /// `NAME=VALUE`.
    pub env: Vec<String>,
    /// Device nodes.
    pub device_nodes: Vec<Node>,
    /// Interfaces that move into it.
    pub net_devices: Vec<NetDevice>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Hooks.
    pub hooks: Vec<Hook>,
    /// Groups that its process is in as well; 0 is none.
    pub additional_gids: Vec<u32>,
    /// Its group of resctrl.
    pub intel_rdt: Option<IntelRdt>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// In the container.
    pub path: PathBuf,
    /// On the host, if not the same.
    #[serde(default)]
    pub host_path: Option<PathBuf>,
    /// `b`, `c`, `u` (as `c`) or `p`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Its numbers; those of the host's node where they are not said.
    #[serde(default)]
    pub major: i64,
    /// See above.
    #[serde(default)]
    pub minor: i64,
    /// Its mode.
    #[serde(default)]
    pub file_mode: Option<u32>,
    /// Letters of `rwm`, or `none`.
    #[serde(default)]
    pub permissions: String,
    /// Its owner.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Its group.
    #[serde(default)]
    pub gid: Option<u32>,
}

/// An interface of the host.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetDevice {
    /// Its name on the host.
    pub host_interface_name: String,
    /// Its name in the container.
    pub name: String,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mount {
    /// On the host.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// A file system; for binds a word that means nothing.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Options of config.json.
    #[serde(default)]
    pub options: Vec<String>,
}

/// A hook.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hook {
    /// When it runs.
    pub hook_name: String,
    /// The program.
    pub path: PathBuf,
    /// Its arguments, from its own name on.
    #[serde(default)]
    pub args: Vec<String>,
    /// Its environment.
    #[serde(default)]
    pub env: Vec<String>,
    /// Seconds.
    #[serde(default)]
    pub timeout: Option<i64>,
}

/// A group of resctrl.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntelRdt {
    /// Its name.
    #[serde(rename = "closID")]
    pub clos_id: Option<String>,
    /// Cache.
    #[serde(rename = "l3CacheSchema")]
    pub l3_cache_schema: Option<String>,
    /// Bandwidth.
    #[serde(rename = "memBwSchema")]
    pub mem_bw_schema: Option<String>,
    /// Lines of its schemata.
    pub schemata: Option<Vec<String>>,
    /// Whether it is watched.
    #[serde(rename = "enableMonitoring")]
    pub enable_monitoring: Option<bool>,
    /// The same, up to 1.0.0.
    #[serde(rename = "enableCMT")]
    pub enable_cmt: Option<bool>,
    /// The same, up to 1.0.0.
    #[serde(rename = "enableMBM")]
    pub enable_mbm: Option<bool>,
}

/// The hooks of the runtime specification.
const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

impl Spec {
    /// All edits, those of all devices first.
    pub fn edits(&self) -> impl Iterator<Item = &Edits> {
        self.devices.iter().map(|device| &device.container_edits).chain([&self.container_edits])
    }

    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        check_kind(&self.kind)?;
        version::check(self)?;
        if self.devices.is_empty() {
            return Err("devices: there are none".to_owned());
        }
        check_annotations(&self.annotations)?;
        self.container_edits.check()?;
        let mut names = BTreeSet::new();
        for device in &self.devices {
            let within = |why| format!("device {:?}: {why}", device.name);
            check_device(&device.name)?;
            if !names.insert(&device.name) {
                return Err(within("it is there twice".to_owned()));
            }
            check_annotations(&device.annotations).map_err(within)?;
            if device.container_edits == Edits::default() {
                return Err(within("containerEdits: there are none".to_owned()));
            }
            device.container_edits.check().map_err(within)?;
        }
        Ok(())
    }
}

fn check_annotations(all: &BTreeMap<String, String>) -> Result<(), String> {
    /// As much as Kubernetes keeps, whose annotations they are like.
    const LONGEST: usize = 256 << 10;
    if all.keys().any(String::is_empty) {
        return Err("annotations: a name is empty".to_owned());
    }
    if all.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > LONGEST {
        return Err(format!("annotations: more than {LONGEST} bytes"));
    }
    Ok(())
}

fn check_env(field: &str, env: &[String]) -> Result<(), String> {
    let fine = |entry: &String| entry.find('=').is_some_and(|at| at > 0) && !entry.contains('\0');
    match env.iter().find(|entry| !fine(entry)) {
        Some(entry) => Err(format!("{field}: {entry:?} is not NAME=VALUE")),
        None => Ok(()),
    }
}

fn check_path(field: &str, path: &Path) -> Result<(), String> {
    let up = path.components().any(|part| part.as_os_str() == "..");
    if path.is_absolute() && !up && !path.as_os_str().as_encoded_bytes().contains(&0) {
        return Ok(());
    }
    Err(format!("{field}: {path:?} is not an absolute path without .."))
}

impl Edits {
    fn check(&self) -> Result<(), String> {
        check_env("env", &self.env)?;
        self.device_nodes.iter().try_for_each(Node::check)?;
        self.mounts.iter().try_for_each(|mount| {
            check_path("mounts: hostPath", &mount.host_path)?;
            check_path("mounts: containerPath", &mount.container_path)?;
            if mount.container_path.parent().is_none() {
                return Err("mounts: containerPath: nothing is mounted over the root".to_owned());
            }
            Ok(())
        })?;
        self.hooks.iter().try_for_each(Hook::check)?;
        let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
        for device in &self.net_devices {
            if device.host_interface_name.is_empty() || device.name.is_empty() {
                return Err("netDevices: a name is empty".to_owned());
            }
            if !theirs.insert(&device.host_interface_name) || !ours.insert(&device.name) {
                return Err(format!(
                    "netDevices: {:?} or {:?} is there twice",
                    device.host_interface_name, device.name
                ));
            }
        }
        match self.intel_rdt.as_ref().and_then(|rdt| rdt.clos_id.as_deref()) {
            Some("/") | None => Ok(()),
            Some(id) if id.len() >= 4096 || matches!(id, "." | "..") || id.contains(['/', '\n', '\0']) => {
                Err(format!("intelRdt: closID: {id:?} is no name of a directory"))
            }
            Some(_) => Ok(()),
        }
    }
}

impl Node {
    fn check(&self) -> Result<(), String> {
        let within = |why: String| format!("deviceNodes: {}: {why}", self.path.display());
        check_path("deviceNodes: path", &self.path)?;
        if let Some(path) = &self.host_path {
            check_path("deviceNodes: hostPath", path)?;
        }
        if !matches!(self.kind.as_str(), "" | "b" | "c" | "u" | "p") {
            return Err(within(format!("type {:?} is none of b, c, u and p", self.kind)));
        }
        // -1 would be any number to the filter of devices.
        let fits = |number: i64| u32::try_from(number).is_ok();
        if !fits(self.major) || !fits(self.minor) {
            return Err(within(format!("{}:{} are no numbers of a device", self.major, self.minor)));
        }
        if self.permissions != "none" && !self.permissions.bytes().all(|letter| b"rwm".contains(&letter)) {
            return Err(within(format!("permissions {:?} are not letters of rwm", self.permissions)));
        }
        if self.file_mode.is_some_and(|mode| mode & !0o7777 & !0o170_000 != 0) {
            return Err(within("fileMode is no mode of a file".to_owned()));
        }
        Ok(())
    }
}

impl Hook {
    fn check(&self) -> Result<(), String> {
        let within = |why: String| format!("hooks: {}: {why}", self.hook_name);
        if !HOOKS.contains(&self.hook_name.as_str()) {
            return Err(format!("hooks: hookName {:?} is none of {}", self.hook_name, HOOKS.join(", ")));
        }
        check_path("hooks: path", &self.path).map_err(within)?;
        check_env("env", &self.env).map_err(within)?;
        if self.timeout.is_some_and(|seconds| seconds <= 0) {
            return Err(within("timeout is not above zero".to_owned()));
        }
        Ok(())
    }
}
