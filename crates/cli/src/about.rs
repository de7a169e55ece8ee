//! `info` and `version`: the machine, and this program.

use crate::human;
use crate::inspect::Shape;
use crate::place::{place, print};
use engine::Result;
use serde_json::{Value, json};

/// Show what there is on this machine
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container info\n  devoxx-container info --format '{{.ContainersRunning}} of {{.Containers}}'"
)]
pub struct Info {
    /// A template, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// Show the version of this program
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container version\n  devoxx-container version --format '{{.Client.Version}}'"
)]
pub struct Version {
    /// A template, or json
    #[arg(short, long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// `info`.
pub fn info(arguments: &Info) -> Result<i32> {
    let shape = Shape::of(arguments.format.as_deref())?;
    let place = place()?;
    let info =
        engine::info(&place.paths, &place.images, place.rootless.is_some(), env!("CARGO_PKG_VERSION"))?;
    if !matches!(shape, Shape::Pretty) {
        shape.print(&[info])?;
        return Ok(0);
    }
    let shown = |name: &str| match &info[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let lines = [
        ("Containers", "Containers"),
        (" Running", "ContainersRunning"),
        (" Paused", "ContainersPaused"),
        (" Stopped", "ContainersStopped"),
        ("Images", "Images"),
        ("Server Version", "ServerVersion"),
        ("Storage Driver", "Driver"),
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
        ("Name", "Name"),
        ("Rootless", "Rootless"),
        ("Root Dir", "DockerRootDir"),
        ("Run Dir", "RunDir"),
    ];
    for (title, name) in lines {
        print(&format!("{title}: {}", shown(name)))?;
    }
    print(&format!("Total Memory: {}", human::binary_size(info["MemTotal"].as_u64().unwrap_or(0))))?;
    Ok(0)
}

/// `version`. Client and server are one program.
pub fn version(arguments: &Version) -> Result<i32> {
    let shape = Shape::of(arguments.format.as_deref())?;
    let (os, architecture) = (std::env::consts::OS, platform());
    let program = json!({
        "Platform": {"Name": "devoxx-container"},
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": os,
        "Arch": architecture,
    });
    if matches!(shape, Shape::Pretty) {
        print(&format!("Version: {}\nOS/Arch: {os}/{architecture}", env!("CARGO_PKG_VERSION")))?;
    } else {
        shape.print(&[json!({"Client": program, "Server": program})])?;
    }
    Ok(0)
}

/// The machine as images name it.
fn platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
