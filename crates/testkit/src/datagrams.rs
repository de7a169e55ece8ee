//! A socket of datagrams that keeps all it gets: what stands in for a journal or a syslog server.

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSliceMut, Read, Seek};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A real socket, read by a thread that ends with it.
pub struct Datagrams {
    socket: Arc<UnixDatagram>,
    got: Arc<Mutex<Vec<Got>>>,
}

/// One datagram.
#[derive(Debug, Clone, Default)]
pub struct Got {
    /// Its bytes, or those of the file that came with it.
    pub bytes: Vec<u8>,
    /// Whether there was a file.
    pub is_file: bool,
}

impl Datagrams {
    /// Listens at a path, for everybody.
    #[track_caller]
    pub fn listen(path: &Path) -> Self {
        let listening = Self::deaf(path);
        let (socket, got) = (Arc::clone(&listening.socket), Arc::clone(&listening.got));
        std::thread::spawn(move || {
            while let Some(one) = receive(&socket) {
                got.lock().expect("no reader has panicked").push(one);
            }
        });
        listening
    }

    /// Is there, and reads nothing.
    #[track_caller]
    pub fn deaf(path: &Path) -> Self {
        std::fs::remove_file(path).ok();
        let socket = UnixDatagram::bind(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o666)).expect("chmod");
        Self { socket: Arc::new(socket), got: Arc::default() }
    }

    /// All that has come so far.
    pub fn all(&self) -> Vec<Got> {
        self.got.lock().expect("the reader has not panicked").clone()
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        // Wakes the reader, which then ends.
        self.socket.shutdown(std::net::Shutdown::Both).ok();
    }
}

fn receive(socket: &UnixDatagram) -> Option<Got> {
    let mut buffer = vec![0; 1 << 20];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC).ok()?;
    let files: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|one| match one {
            RecvAncillaryMessage::ScmRights(files) => Some(files.collect::<Vec<_>>()),
            _ => None,
        })
        .flatten()
        .collect();
    if let Some(file) = files.into_iter().next() {
        let mut bytes = Vec::new();
        let mut file = File::from(file);
        file.rewind().ok()?;
        file.read_to_end(&mut bytes).ok()?;
        return Some(Got { bytes, is_file: true });
    }
    if message.bytes == 0 {
        return None;
    }
    buffer.truncate(message.bytes);
    Some(Got { bytes: buffer, is_file: false })
}

impl Got {
    /// The fields of an entry of the journal, by its native protocol.
    ///
    /// # Panics
    /// It is none.
    pub fn fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').expect("a line break");
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            let (name, value);
            if let Some(at) = line.iter().position(|byte| *byte == b'=') {
                (name, value, rest) = (&line[..at], &line[at + 1..], after);
            } else {
                let (length, after) = after.split_at(8);
                let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
                let (bytes, after) = after.split_at(usize::try_from(length).expect("a length"));
                assert_eq!(after.first(), Some(&b'\n'), "a value ends with a line break");
                (name, value, rest) = (line, bytes, &after[1..]);
            }
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            fields.insert(text(name), text(value));
        }
        fields
    }
}
