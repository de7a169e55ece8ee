//! Containers and images as a person means them: a wish becomes a bundle, and the bundle a container.
//!
//! ```text
//! Wish + image config -> Spec (config.json) -> runtime -> network -> start -> attend -> clean up
//! ```
//! It has no terminal and prints nothing; what a wish is made of on a command line stands in `cli`.

pub mod bundle;
mod capabilities;
mod cgroups;
mod devices;
mod error;
mod etc;
mod images;
mod mount;
pub mod names;
mod paths;
mod record;
mod run;
mod security;
pub mod size;
pub mod user_namespace;
mod volume;
mod wish;

pub use error::{Error, Kind, Result};
pub use image::{Event, Platform, Reference, Removed};
pub use images::{Images, Progress, login, logout};
pub use mount::{VolumeMount, parse_mount, parse_tmpfs, parse_volume};
pub use network::{PortMapping, parse_publish};
pub use paths::Paths;
pub use record::{Record, list, remove, running, stop};
pub use run::{Host, run};
pub use wish::{Device, Network, PullPolicy, RootfsWish, Source, Ulimit, Wish};

/// Waits for the end of a child of this process: its exit code, or 128 and its signal.
pub fn wait_for(child: &sys::clone3::Child) -> Result<i32> {
    runtime::container::wait(child).map_err(error::of_runtime)
}
