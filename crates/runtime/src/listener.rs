//! The descriptor of seccomp's questions, on its way to who answers them (config-linux.md, "Seccomp", listenerPath).

use crate::console;
use crate::error::{Error, Kind, Result};
use crate::plan::Listener;
use crate::state::{Record, State, Status};
use rustix::fd::BorrowedFd;
use std::path::PathBuf;
use sys::Context;

/// Hands `descriptor` over, with the state of the process that the questions are from (config-linux.md, "The Container
/// Process State"). `init` is the container's own process, `pid` that one.
pub fn hand_over(
    descriptor: BorrowedFd<'_>,
    listener: &Listener,
    record: &Record,
    status: Status,
    init: i32,
    pid: i32,
) -> Result<()> {
    let process = ContainerProcessState {
        oci_version: &record.oci_version,
        fds: ["seccompFd"],
        pid,
        metadata: &listener.metadata,
        state: record.state(status, init),
    };
    let text = serde_json::to_string(&process).map_err(|error| Error::new(Kind::Other, error.to_string()))?;
    let socket = console::connect(&listener.path).within(|| "config.json: linux.seccomp.listenerPath")?;
    console::send(&socket, &text, descriptor).within(|| "hand over the seccomp listener")
}

/// The socket that `RUN_OCI_SECCOMP_RECEIVER` names, crun's word for one that no config.json has.
pub fn of_environment() -> Option<PathBuf> {
    std::env::var_os("RUN_OCI_SECCOMP_RECEIVER").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What goes with the descriptor.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    metadata: &'a str,
    state: State,
}
