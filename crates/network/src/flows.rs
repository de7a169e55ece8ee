//! What the kernel remembers of flows to a container (conntrack, include/uapi/linux/netfilter/nfnetlink_conntrack.h).
//!
//! A flow keeps the address that its first packet was given. One that outlived its container would lead a client that
//! keeps its port, as DNS resolvers and phones do, into nowhere, or to whoever has the address next.

use crate::failure::{Error, Result};
use crate::socket::Socket;
use crate::wire::{Message, attributes};
use rustix::io::Errno;
use std::net::IpAddr;
use sys::called;

/// `IPCTNL_MSG_CT_GET` and `_DELETE` of subsystem 1.
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
/// `CTA_ID`: another flow may have the tuple by the time that it is deleted.
const ID: u16 = 12;
/// `CTA_FILTER`, in it `CTA_FILTER_REPLY_FLAGS`, and the flag for the source address.
const FILTER: u16 = 25;
const FILTER_REPLY: u16 = 2;
const IP_SRC: u32 = 1;
/// `CTA_TUPLE_IP`.
const TUPLE_IP: u16 = 1;
/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;

/// Forgets every flow that is answered from this address. A kernel without ctnetlink keeps them until they time out.
pub fn forget(socket: &mut Socket, address: IpAddr) -> Result<()> {
    let (family, source, octets) = match address {
        IpAddr::V4(v4) => (2, 1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (10, 3, v6.octets().to_vec()),
    };
    let header = [family, 0, 0, 0];
    // Kernels before 5.8 do not know the filter and name every flow: each answer is looked at all the same.
    let all = Message::new(GET, 0, &header)
        .nest(TUPLE_REPLY, |tuple| tuple.nest(TUPLE_IP, |ip| ip.attr(source, &octets)))
        .nest(FILTER, |filter| filter.ne32(FILTER_REPLY, IP_SRC));
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let listed = socket.dump(all, |body| {
        let part =
            |wanted| attributes(body, HEADER).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        if let (Some(original), Some(reply), Some(id)) = (part(TUPLE_ORIG), part(TUPLE_REPLY), part(ID))
            && answers_from(reply, source, &octets)
        {
            found.push((original.to_vec(), id.to_vec()));
        }
        true
    });
    match listed {
        Ok(()) => {}
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(failed("IPCTNL_MSG_CT_GET", address, errno)),
    }
    for (original, id) in found {
        let one =
            Message::new(DELETE, 0, &header).nest(TUPLE_ORIG, |tuple| tuple.raw(&original)).attr(ID, &id);
        match socket.request(one) {
            // It has ended meanwhile.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("IPCTNL_MSG_CT_DELETE", address, errno)),
        }
    }
    Ok(())
}

fn answers_from(reply: &[u8], source: u16, octets: &[u8]) -> bool {
    let mut parts = attributes(reply, 0).filter(|(kind, _)| *kind == TUPLE_IP);
    parts.any(|(_, ip)| attributes(ip, 0).any(|(kind, value)| kind == source && value == octets))
}

fn failed(call: &str, address: IpAddr, errno: Errno) -> Error {
    called::<Errno>(|| format!("{call} {address}"))(errno).into()
}
