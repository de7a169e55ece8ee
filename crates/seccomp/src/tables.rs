//! Names and numbers of system calls. A profile has some 400 names, and each is looked for once: by a hash of it, in a table
//! that is made when this program is compiled.

mod calls;

pub(crate) use calls::CALLS;

use crate::architecture::Architecture;

/// A name, and its number on each architecture, in the order of [`Architecture`].
type Row = (&'static str, [u32; 5]);

/// In the place of a number where an architecture has no such call.
const NONE: u32 = u32::MAX;

/// A call that some architecture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call(u16);

impl Call {
    /// That of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut place = place(name);
        loop {
            match INDEX[place] {
                0 => return None,
                one if CALLS[usize::from(one - 1)].0 == name => return Some(Self(one - 1)),
                _ => place = (place + 1) % PLACES,
            }
        }
    }

    /// Its number.
    pub(crate) fn number(self, architecture: Architecture) -> Option<u32> {
        Some(CALLS[self.index()].1[architecture as usize]).filter(|number| *number != NONE)
    }

    /// Its place in [`CALLS`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Four places for a name.
const PLACES: usize = (CALLS.len() * 4).next_power_of_two();

/// One more than the index of a call at the place of its hash, or at the next one that was free; 0 where there is none.
static INDEX: [u16; PLACES] = {
    let mut index = [0; PLACES];
    let mut at = 0;
    while at < CALLS.len() {
        let mut place = place(CALLS[at].0);
        while index[place] != 0 {
            place = (place + 1) % PLACES;
        }
        at += 1;
        index[place] = at as u16;
    }
    index
};

/// FNV-1a.
const fn place(name: &str) -> usize {
    let bytes = name.as_bytes();
    let (mut hash, mut at) = (0x811c_9dc5_u32, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ (hash >> 15)) as usize % PLACES
}
