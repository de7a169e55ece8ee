//! `info`: what there is on this machine, under docker's names.

use crate::error::Result;
use crate::images::Images;
use crate::life::Status;
use crate::paths::Paths;
use crate::record;
use serde_json::{Value, json};

/// Numbers of containers and images, and the host as a container meets it.
pub fn info(paths: &Paths, images: &Images, rootless: bool, version: &str) -> Result<Value> {
    let containers = record::list(paths)?;
    let count = |wanted: &[Status]| containers.iter().filter(|one| wanted.contains(&one.status)).count();
    let layout = cgroup::Layout::detect();
    let cgroups = match &layout {
        Ok(cgroup::Layout::Unified { .. }) => "2",
        Ok(_) => "1",
        Err(_) => "",
    };
    let kernel = rustix::system::uname();
    let machine = rustix::system::sysinfo();
    let memory = machine.totalram.saturating_mul(u64::from(machine.mem_unit));
    let mut images: Vec<String> = images.list()?.into_iter().map(|image| image.id).collect();
    images.sort();
    images.dedup();
    let mut security = vec!["name=seccomp,profile=builtin"];
    if rootless {
        security.push("name=rootless");
    }
    Ok(json!({
        "Containers": containers.len(),
        "ContainersRunning": count(&[Status::Running, Status::Restarting]),
        "ContainersPaused": count(&[Status::Paused]),
        "ContainersStopped": count(&[Status::Created, Status::Exited]),
        "Images": images.len(),
        "Driver": "overlay2",
        "LoggingDriver": "json-file",
        "Plugins": {"Log": crate::log_driver::names(), "Network": ["bridge", "host", "macvlan", "null"], "Volume": ["local"]},
        "CgroupDriver": if layout.is_ok() { "cgroupfs" } else { "none" },
        "CgroupVersion": cgroups,
        "DefaultRuntime": "devoxx",
        "KernelVersion": kernel.release().to_string_lossy(),
        "OperatingSystem": operating_system(),
        "OSType": "linux",
        "Architecture": kernel.machine().to_string_lossy(),
        "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "MemTotal": memory,
        "Name": kernel.nodename().to_string_lossy(),
        "DockerRootDir": paths.data,
        "RunDir": paths.run,
        "Rootless": rootless,
        "SecurityOptions": security,
        "ServerVersion": version,
        "Warnings": Value::Null,
    }))
}

/// `PRETTY_NAME` of os-release(5).
fn operating_system() -> String {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches(['"', '\'']).to_owned())
}
