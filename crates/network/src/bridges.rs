//! Where the bridges of networks are: in the network namespace of this process, or, for an ordinary user, in one that the
//! containers of this user share.
//!
//! It belongs to the process, as its namespaces do, and is said once: by whoever has entered the user namespace that owns the
//! shared one. There the bridges connect containers and nothing else. No packet is forwarded, so networks are apart without a
//! rule of a firewall; what leads out of a container is a [`pasta`](crate::pasta) of its own.

use crate::attach::{inside, netfilter, route};
use crate::failure::Result;
use crate::socket::Socket;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
enum Place {
    Here,
    Apart(Option<OwnedFd>),
}

static PLACE: Mutex<Place> = Mutex::new(Place::Here);

fn place() -> MutexGuard<'static, Place> {
    // Whoever panicked did not change it halfway.
    PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This process has no right to make a bridge in its own network namespace; `namespace` is where they are, once that is known.
pub fn are_apart(namespace: Option<OwnedFd>) {
    *place() = Place::Apart(namespace);
}

/// Whether they are in the network namespace of this process.
pub fn are_here() -> bool {
    matches!(*place(), Place::Here)
}

/// Where they are, when they are apart and it is known.
pub fn namespace() -> Option<OwnedFd> {
    match &*place() {
        Place::Apart(Some(namespace)) => namespace.try_clone().ok(),
        _ => None,
    }
}

/// A socket for the links where the bridges are; none when that is not known, and so nothing of it can be reached.
pub(crate) fn links() -> Result<Option<Socket>> {
    match &*place() {
        Place::Here => route().map(Some),
        Place::Apart(Some(namespace)) => inside(namespace.as_fd()).map(Some),
        Place::Apart(None) => Ok(None),
    }
}

/// A socket for the rules of the bridges, where there are any.
pub(crate) fn rules() -> Result<Option<Socket>> {
    if are_here() { netfilter().map(Some) } else { Ok(None) }
}
