//! The network of a container: bridge, veth and addresses; what leads out of it is nftables for root, pasta for everyone else.
//!
//! Everything is asked of the kernel itself, by rtnetlink and nfnetlink messages that are built here; no program
//! is started but `pasta`. It is NOT a name server, it does not write into a container's root, and it keeps no
//! process: what is attached is found again from the container's id and the lease file alone.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a mutant leaves a defence out: it is for tests, and never in a release");

mod attach;
pub mod bridges;
pub mod definition;
mod failure;
pub mod files;
mod firewall;
mod flows;
mod forwarding;
mod link;
mod listener;
mod orphans;
mod own_file;
pub mod pasta;
mod pool;
mod publish;
mod reserve;
mod socket;
mod subnet;
mod wire;

pub use attach::{attach, detach, detach_from, free_inside, reload, remove_unused, way_out};
pub use definition::{Definition, Driver};
pub use failure::{Error, Kind, Result};
pub use forwarding::has_ipv6;
pub use orphans::{Orphan, orphans, remove as remove_orphan};
pub use pool::{
    Lease, Request, all as leases_in, check_addresses, everywhere as leases, lease, lease_in, lock_file,
    torn as torn_leases,
};
pub use publish::{PortMapping, Protocol, parse_publish};
pub use reserve::Reservation;
pub use subnet::Subnet;
