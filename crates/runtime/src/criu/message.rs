//! What is said to CRIU and what it answers: the messages of its `rpc.proto`, with the fields that a container takes.

use super::cgroups::Root;
use super::wire::{Value, Writer, fields};
use crate::error::Result;

/// What CRIU is asked for (`criu_req_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Processes become an image.
    Dump = 1,
    /// An image becomes processes.
    Restore = 2,
    /// Their memory becomes an image, and they run on.
    PreDump = 4,
    /// The answer to a notification.
    Notified = 6,
    /// What this CRIU can do on this kernel.
    Features = 9,
    /// Which CRIU it is.
    Version = 10,
}

/// How cgroups are dumped and restored (`criu_cg_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupsMode {
    /// Not at all.
    Ignore = 0,
    /// With the properties of those that are made new.
    #[default]
    Soft = 3,
    /// With all properties.
    Full = 4,
    /// With all properties, and none may be there before.
    Strict = 5,
}

/// How the network is stopped while connections are dumped (`criu_network_lock_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkLock {
    /// By iptables.
    Iptables = 1,
    /// By nftables.
    Nftables = 2,
    /// Not at all.
    Skip = 3,
}

/// `CLONE_NEWNET`, as `empty_ns` has it.
const NETWORK: u64 = 0x4000_0000;

/// The options of a dump or a restore (`criu_opts`). A descriptor is the number that CRIU has it by.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The directory of the image.
    pub image: u32,
    /// The first process, for a dump.
    pub pid: Option<u32>,
    /// It runs on after the dump.
    pub leave_running: bool,
    /// Unix sockets may lead outside.
    pub ext_unix_sk: bool,
    /// TCP connections are dumped too.
    pub tcp_established: bool,
    /// Devices may have changed their names.
    pub evasive_devices: bool,
    /// Session and terminal may be those of a shell outside.
    pub shell_job: bool,
    /// File locks are dumped too.
    pub file_locks: bool,
    /// The name of the log, in the work directory.
    pub log_file: String,
    /// Where pages are sent: an address and a port.
    pub page_server: Option<(String, u16)>,
    /// The root as it is seen outside.
    pub root: String,
    /// The image before this one, from its directory.
    pub parent_image: Option<String>,
    /// Changes of the memory are followed from now on.
    pub track_memory: bool,
    /// What a later image has is dropped from an earlier one.
    pub auto_dedup: bool,
    /// Where it works and logs.
    pub work: u32,
    /// Files without a name get one.
    pub link_remap: bool,
    /// Mounts that lead outside, with the name that stands for what is there; for a restore the other way round.
    pub mounts: Vec<(String, String)>,
    /// The cgroups that take the place of those that were dumped.
    pub cgroup_roots: Vec<Root>,
    /// The restored process becomes a child of who started CRIU.
    pub restore_sibling: bool,
    /// Descriptors that stand for what they are called.
    pub inherited: Vec<(String, u32)>,
    /// Mounts that take part in a propagation outside are allowed.
    pub external_propagation: bool,
    /// What to do about cgroups.
    pub cgroups: CgroupsMode,
    /// What lies outside and is not dumped.
    pub external: Vec<String>,
    /// The network namespace is dumped without what is in it.
    pub empty_network: bool,
    /// Namespaces that are entered rather than restored: their files in /proc/PID/ns and their paths.
    pub joined: Vec<(String, String)>,
    /// The cgroup to freeze, rather than to stop each process.
    pub freeze_cgroup: Option<String>,
    /// Connections that are being made are left out.
    pub tcp_skip_in_flight: bool,
    /// Pages are moved when they are asked for.
    pub lazy_pages: bool,
    /// A file of more options.
    pub config_file: Option<String>,
    /// Connections are closed.
    pub tcp_close: bool,
    /// The profile of the restored processes.
    pub lsm_profile: Option<String>,
    /// The context of the restored mounts.
    pub lsm_mount_context: Option<String>,
    /// How the network is stopped.
    pub network_lock: Option<NetworkLock>,
}

impl Options {
    fn write(&self, to: &mut Writer) {
        to.number(1, self.image.into());
        to.optional(2, self.pid);
        to.flag(3, self.leave_running);
        to.flag(4, self.ext_unix_sk);
        to.flag(5, self.tcp_established);
        to.flag(6, self.evasive_devices);
        to.flag(7, self.shell_job);
        to.flag(8, self.file_locks);
        // All of it: what is not logged cannot be asked for afterwards.
        to.number(9, 4);
        to.bytes(10, self.log_file.as_bytes());
        if let Some((address, port)) = &self.page_server {
            to.message(11, |server| {
                server.bytes(1, address.as_bytes());
                server.number(2, (*port).into());
            });
        }
        to.flag(12, true);
        to.bytes(13, self.root.as_bytes());
        to.text(14, self.parent_image.as_deref());
        to.flag(15, self.track_memory);
        to.flag(16, self.auto_dedup);
        to.number(17, self.work.into());
        to.flag(18, self.link_remap);
        for (key, value) in &self.mounts {
            to.message(23, |mount| {
                mount.bytes(1, key.as_bytes());
                mount.bytes(2, value.as_bytes());
            });
        }
        to.flag(24, self.cgroups != CgroupsMode::Ignore);
        for (controller, path) in &self.cgroup_roots {
            to.message(25, |root| {
                root.bytes(1, controller.as_bytes());
                root.bytes(2, path.as_bytes());
            });
        }
        to.flag(26, self.restore_sibling);
        for (key, fd) in &self.inherited {
            to.message(27, |inherited| {
                inherited.bytes(1, key.as_bytes());
                inherited.number(2, (*fd).into());
            });
        }
        to.flag(29, self.external_propagation);
        to.flag(30, self.external_propagation);
        to.number(34, self.cgroups as u64);
        for external in &self.external {
            to.bytes(37, external.as_bytes());
        }
        if self.empty_network {
            to.number(38, NETWORK);
        }
        for (kind, path) in &self.joined {
            to.message(39, |joined| {
                joined.bytes(1, kind.as_bytes());
                joined.bytes(2, path.as_bytes());
            });
        }
        to.text(44, self.freeze_cgroup.as_deref());
        to.flag(46, self.tcp_skip_in_flight);
        to.flag(48, self.lazy_pages);
        // A terminal whose other end is outside is a container's rule, not its exception.
        to.flag(50, true);
        to.text(51, self.config_file.as_deref());
        to.flag(52, self.tcp_close);
        to.text(53, self.lsm_profile.as_deref());
        to.text(63, self.lsm_mount_context.as_deref());
        to.optional(64, self.network_lock.map(|how| how as u32));
    }
}

/// A request for a dump or a restore (`criu_req`).
pub fn request(wish: Wish, options: &Options) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(1, wish as u64);
    writer.message(2, |inner| options.write(inner));
    writer.finish()
}

/// The question which CRIU it is.
pub fn ask_version() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(1, Wish::Version as u64);
    more_comes(&mut writer);
    writer.finish()
}

/// The question whether memory can be followed and pages can come later.
pub fn ask_features() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(1, Wish::Features as u64);
    writer.message(5, |features| {
        features.flag(1, true);
        features.flag(2, true);
    });
    more_comes(&mut writer);
    writer.finish()
}

/// CRIU ends behind a question otherwise (`keep_open`).
fn more_comes(writer: &mut Writer) {
    writer.flag(4, true);
}

/// The answer to a notification.
pub fn notified(success: bool) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.number(1, Wish::Notified as u64);
    writer.number(3, success.into());
    writer.finish()
}

/// What CRIU can do (`criu_features`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Changes of the memory can be followed.
    pub track_memory: bool,
    /// Pages can come later.
    pub lazy_pages: bool,
}

/// What CRIU says (`criu_resp`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it is about (`criu_req_type`).
    pub about: i32,
    /// Whether it worked.
    pub success: bool,
    /// The restored process.
    pub restored: Option<i32>,
    /// A point that was reached, and a process where it is about one.
    pub notification: Option<(String, i32)>,
    /// Why it did not work, as an error number.
    pub errno: i32,
    /// Why it did not work, in words.
    pub message: String,
    /// What it can do.
    pub features: Features,
    /// Which it is: its major number times 10,000, its minor number times 100, and the number below.
    pub version: u32,
}

impl Answer {
    /// Reads one.
    pub fn read(message: &[u8]) -> Result<Self> {
        let mut answer = Self::default();
        for (field, value) in fields(message)? {
            match field {
                1 => answer.about = value.signed(),
                2 => answer.success = value.is_set(),
                4 => answer.restored = inner(value, 1)?.map(Value::signed),
                5 => {
                    let script = inner(value, 1)?.map(Value::text).unwrap_or_default();
                    answer.notification = Some((script, inner(value, 2)?.map_or(0, Value::signed)));
                }
                7 => answer.errno = value.signed(),
                8 => {
                    answer.features.track_memory = inner(value, 1)?.is_some_and(Value::is_set);
                    answer.features.lazy_pages = inner(value, 2)?.is_some_and(Value::is_set);
                }
                9 => answer.message = value.text(),
                10 => {
                    let part = |field| -> Result<u32> {
                        Ok(inner(value, field)?.map_or(0, |part| part.signed().clamp(0, 99).unsigned_abs()))
                    };
                    answer.version = part(1)? * 10_000 + part(2)? * 100 + part(4)?;
                }
                _ => {}
            }
        }
        Ok(answer)
    }
}

/// A field of a message in another one.
fn inner(message: Value<'_>, field: u32) -> Result<Option<Value<'_>>> {
    Ok(fields(message.message())?.into_iter().find(|(found, _)| *found == field).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_what_criu_reads() {
        let options = Options {
            image: 7,
            pid: Some(300),
            log_file: "dump.log".into(),
            root: "/r".into(),
            mounts: vec![("/etc/hosts".into(), "/etc/hosts".into())],
            external: vec!["net[1]:extRootNetNS".into()],
            joined: vec![("uts".into(), "/proc/1/fd/2".into())],
            ..Options::default()
        };
        let written = request(Wish::Dump, &options);
        let outer = fields(&written).unwrap();
        assert_eq!(outer[0], (1, Value::Number(1)));
        let read = fields(outer[1].1.message()).unwrap();
        let of = |field| read.iter().find(|(found, _)| *found == field).map(|(_, value)| *value);
        assert_eq!(of(1), Some(Value::Number(7)));
        assert_eq!(of(2), Some(Value::Number(300)));
        assert_eq!(of(10).map(Value::text).as_deref(), Some("dump.log"));
        assert_eq!(of(34), Some(Value::Number(3)), "soft");
        assert_eq!(of(37).map(Value::text).as_deref(), Some("net[1]:extRootNetNS"));
        let joined = fields(of(39).unwrap().message()).unwrap();
        assert_eq!((joined[0].1.text(), joined[1].1.text()), ("uts".into(), "/proc/1/fd/2".into()));
        let mount = fields(of(23).unwrap().message()).unwrap();
        assert_eq!(mount[1].1.text(), "/etc/hosts");
        assert!(of(3).is_none() && of(38).is_none());
    }

    #[test]
    fn answers_are_read() {
        let mut writer = Writer::default();
        writer.number(1, 10);
        writer.number(2, 1);
        writer.message(10, |version| {
            version.number(1, 3);
            version.number(2, 17);
            version.number(4, 1);
        });
        let answer = Answer::read(&writer.finish()).unwrap();
        assert_eq!((answer.about, answer.success, answer.version), (10, true, 31_701));
        let mut writer = Writer::default();
        writer.number(1, 6);
        writer.message(5, |notification| {
            notification.bytes(1, b"post-restore");
            notification.number(2, 42);
        });
        writer.message(4, |restored| restored.number(1, 43));
        let answer = Answer::read(&writer.finish()).unwrap();
        assert_eq!(answer.notification, Some(("post-restore".to_owned(), 42)));
        assert_eq!(answer.restored, Some(43));
    }
}
