//! Containers and images as a person means them: a wish becomes a bundle, and the bundle a container.
//!
//! ```text
//! Wish + image -> Record (create) -> start -> a supervisor: Spec (config.json) -> runtime + network (launch) -> attend -> clean up
//! ```
//! It has no terminal and prints nothing; what a wish is made of on a command line stands in `cli`.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a mutant leaves a defence out: it is for tests, and never in a release");

mod attach;
mod base;
mod binds;
mod birth;
pub mod boot;
pub mod bundle;
mod capabilities;
mod cdi;
mod cgroups;
mod commit;
mod connect;
mod containerfile;
mod control;
mod copy;
mod create;
mod devices;
mod diff;
mod directory;
mod disk;
pub mod doctor;
mod error;
mod etc;
pub mod events;
mod exec;
mod explain;
mod export;
mod files;
pub mod filter;
mod full;
pub mod health;
mod hold;
mod host;
mod id_ranges;
mod ids;
mod image_mount;
mod images;
mod inspect;
mod journal_logs;
mod kernel_paths;
mod launch;
pub mod life;
pub mod log_driver;
mod logs;
mod mount;
pub mod names;
mod neighbours;
mod network_holder;
mod networks;
mod oom;
mod output;
mod paths;
mod pause;
mod processes;
mod published;
mod record;
mod remove;
mod rename;
mod run;
mod security;
mod settling;
mod share;
pub mod size;
mod space;
mod start;
mod stop;
mod supervise;
mod system;
mod tail;
pub mod template;
mod update;
mod usage;
pub mod user_namespace;
mod user_networks;
mod userns;
mod volume;
mod way_out;
mod wish;

pub use attach::{attach, wait};
pub use cdi::{Name as CdiName, directories as cdi_directories, parse_gpus};
pub use commit::{CommitWish, ImportWish, check_changes, commit, import, parse_name};
pub use connect::{connect, disconnect};
pub use copy::{CopyWish, Side, copy, parse_copy};
pub use create::create;
pub use diff::{Change, diff};
pub use error::{Error, Kind, Result};
pub use exec::{ExecWish, exec};
pub use explain::{Trace, explain};
pub use export::export;
pub use host::Host;
pub use ids::Ids;
pub use image::{Event, Format, Listed as ListedImage, Platform, Problem, Reference, Removed};
pub use image_mount::{mount_image, mounted_images, unmount_image};
pub use images::{Images, Progress, Step, login, logout};
pub use inspect::{Written, inspect, networks_of, written};
pub use life::{Life, Status};
pub use logs::{Entry, LogWish, logs};
pub use mount::{VolumeMount, parse_mount, parse_tmpfs, parse_volume};
pub use network::{Definition as NetworkDefinition, PortMapping, parse_publish};
pub use networks::{
    ListedNetwork, NetworkWish, create_network, find_network, inspect_network, list_networks, prune_networks,
    reload_networks, remove_network,
};
pub use paths::Paths;
pub use pause::{pause, unpause};
pub use processes::processes;
pub use published::{of as published, port_lines};
pub use record::{Listed, Record, get, list, log, running};
pub use remove::remove;
pub use rename::rename;
pub use run::{run, run_detached};
pub use space::{ImageFilter, Piece, PruneFilter, Space, df, prune_containers, prune_images};
pub use start::{Attach, start_again};
pub use stop::{kill, stop};
pub use system::info;
pub use update::{Changes, update};
pub use usage::{Usage, usage};
pub use user_networks::enter;
pub use userns::parse_userns;
pub use volume::{
    Volume, VolumeFilter, create_volume, get_volume, list_volumes, prune_volumes, remove_volume,
    users as volume_users,
};
pub use wish::{
    Attachment, Device, Limits, LogDriver, Namespace, Network, PullPolicy, Restart, RootfsWish, Sharing,
    Source, Throttle, Ulimit, UserNamespace, Wish,
};

/// Waits for the end of a child of this process: its exit code, or 128 and its signal.
pub fn wait_for(child: &sys::clone3::Child) -> Result<i32> {
    runtime::container::wait(child).map_err(error::of_runtime)
}

/// Puts this program's own file out of reach of containers, by executing it once more where that is needed: before this process, or
/// a child of it, enters one.
pub fn protect() -> Result<()> {
    runtime::own_program::protect().map_err(error::of_runtime)
}
