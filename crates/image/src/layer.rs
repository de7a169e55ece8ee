//! One layer from the wire to the disk, in one pass: count and hash, decompress, hash again, unpack.
//!
//! It does not know where the bytes come from or where the finished layer goes. Nothing it wrote may be used before
//! it has returned well: the digests are known only at the end.

pub(crate) mod budget;
mod codec;
pub(crate) mod headers;
mod overwritten;
pub(crate) mod split;
pub(crate) mod tree;
pub(crate) mod unpack;

use crate::digest::{Digest, Hasher};
use crate::{Error, Kind, Result};
use budget::{Budget, Share};
use headers::Headers;
use overwritten::Overwritten;
use split::Recorder;
use std::cell::RefCell;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use sys::Context;
use unpack::Unpacker;

/// How a layer is written so that overlayfs(5) of the kernel understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// As root of the machine: `trusted.overlay.*`.
    Root,
    /// As root of a user namespace: `user.overlay.*` for a mount with `userxattr`; device nodes are left out.
    UserNamespace,
}

/// What may follow an archive.
const TRAILER: u64 = 1 << 30;

/// What a layer must turn out to be.
pub(crate) struct Expected<'a> {
    /// Of the bytes as they come; none where only the archive within has one.
    pub digest: Option<&'a Digest>,
    pub size: u64,
    pub diff_id: &'a Digest,
    /// What it and the image's other layers may take.
    pub budget: &'a Budget,
}

/// The archive inside a possibly compressed stream.
pub(crate) fn decompressed<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    codec::open(source)
}

/// Unpacks a layer below `root`, and returns how many bytes its files have. `beside`, a directory of the same file system, gets
/// `split`: what the archive has beside them. `moved` hears the compressed bytes so far, and says whether to go on.
pub(crate) fn receive(
    from: Box<dyn Read + '_>,
    expected: &Expected<'_>,
    root: OwnedFd,
    beside: OwnedFd,
    ownership: Ownership,
    moved: &dyn Fn(u64) -> bool,
) -> Result<u64> {
    let state =
        Rc::new(RefCell::new(State { hasher: expected.digest.map(Digest::hasher), count: 0, failure: None }));
    let source = Source { from, state: Rc::clone(&state), size: expected.size, moved };
    // Decoders wrap or swallow errors of what they read from; the source keeps its own.
    let broken = |error: Error| state.borrow_mut().failure.take().unwrap_or(error);
    let decoder = codec::open(source).map_err(|error| broken(bad_data(&error)))?;
    let tape = Recorder::new(&beside)?;
    let (headers, gauge) = Headers::new(decoder, expected.diff_id.hasher(), Rc::clone(&tape));
    let share = Share::new(Some(expected.budget));
    let mut unpacker = Unpacker::within(root, ownership, share, Overwritten::within(beside));
    let headers = unpacker.run(headers, &gauge, &tape).map_err(broken)?;
    let diff_id = headers.finish(TRAILER).map_err(|error| broken(bad_data(&error)))?;
    let State { hasher, count, .. } = state.replace(State { hasher: None, count: 0, failure: None });
    if count != expected.size {
        return Err(Error::new(Kind::Corrupt, format!("layer has {count} bytes, not {}", expected.size)));
    }
    if !sys::mutant!("mutant_im_12_wire") {
        if let (Some(digest), Some(hasher)) = (expected.digest, hasher) {
            digest.expect(&hasher.finish())?;
        }
        expected.diff_id.expect(&diff_id).within(|| "unpacked layer")?;
    }
    let inodes = tape.borrow_mut().finish()?;
    unpacker.keep_overwritten(&inodes)?;
    unpacker.finish()
}

/// An error of a decoder or of the archive's reader.
fn bad_data(error: &io::Error) -> Error {
    let text: String = error.to_string().chars().take(300).collect();
    Error::new(Kind::Corrupt, format!("layer cannot be read: {}", text.escape_debug()))
}

struct State {
    hasher: Option<Hasher>,
    count: u64,
    failure: Option<Error>,
}

/// The compressed bytes: counted, hashed, and cut off when they become too many or nobody wants them.
struct Source<'a> {
    from: Box<dyn Read + 'a>,
    state: Rc<RefCell<State>>,
    size: u64,
    moved: &'a dyn Fn(u64) -> bool,
}

impl Source<'_> {
    fn fail(&self, error: Error) -> io::Error {
        let shown = io::Error::other(error.to_string());
        self.state.borrow_mut().failure.get_or_insert(error);
        shown
    }
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.from.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let text = error.to_string().escape_debug().to_string();
                return Err(
                    self.fail(Error::new(Kind::Unreachable, format!("the registry broke off: {text}")))
                );
            }
        };
        let total = {
            let mut state = self.state.borrow_mut();
            if let Some(hasher) = &mut state.hasher {
                hasher.update(&buffer[..count]);
            }
            state.count += count as u64;
            state.count
        };
        if total > self.size {
            let text = format!("layer has more than the {} bytes that the manifest says", self.size);
            return Err(self.fail(Error::new(Kind::Corrupt, text)));
        }
        if count == 0 && !buffer.is_empty() && total < self.size {
            let text = format!("the registry broke off after {total} of {} bytes", self.size);
            return Err(self.fail(Error::new(Kind::Unreachable, text)));
        }
        if !(self.moved)(total) {
            return Err(self.fail(Error::new(Kind::Cancelled, "cancelled")));
        }
        Ok(count)
    }
}
