//! The network of a container: bridge, veth, addresses and nftables for root, pasta for everyone else.
//!
//! Everything is asked of the kernel itself, by rtnetlink and nfnetlink messages that are built here; no program
//! is started but `pasta`. It is NOT a name server, it does not write into a container's root, and it keeps no
//! process: what is attached is found again from the container's id and the lease file alone.

mod attach;
mod failure;
pub mod files;
mod firewall;
mod flows;
mod forwarding;
mod link;
pub mod pasta;
mod pool;
mod publish;
mod reserve;
mod socket;
mod wire;

pub use attach::{attach, detach, loopback};
pub use failure::{Error, Kind, Result};
pub use pool::{Lease, lease};
pub use publish::{PortMapping, Protocol, parse_publish};
pub use reserve::Reservation;
