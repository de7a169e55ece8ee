//! Inputs that are changed, by chance that is the same each time.

/// Numbers by chance (xorshift64*), from a seed.
#[derive(Debug, Clone)]
pub struct Mutator(u64);

/// Numbers at which something ends.
const EDGES: [u64; 12] = [
    0,
    1,
    7,
    8,
    127,
    255,
    4096,
    i32::MAX as u64,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    i64::MAX as u64,
    u64::MAX,
];

impl Mutator {
    /// Another seed, other numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `most`; 0 where there is none.
    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.number() >> 11).unwrap_or_default().checked_rem(most).unwrap_or_default()
    }

    /// One of some.
    pub fn one<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        some.get(self.below(some.len()))
    }

    /// A number at which something ends, or any.
    pub fn edge(&mut self) -> u64 {
        if self.below(4) == 0 { self.number() } else { EDGES[self.below(EDGES.len())] }
    }

    /// Some bytes, changed in a few places.
    pub fn changed(&mut self, from: &[u8], other: &[u8], words: &[&str], longest: usize) -> Vec<u8> {
        let mut bytes = from.to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, other, words);
        }
        bytes.truncate(longest);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8], words: &[&str]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(24)).min(bytes.len());
        match self.below(9) {
            0 => drop(bytes.splice(at..end, [])),
            1 => {
                let word = self.one(words).copied().unwrap_or_default();
                bytes.splice(at..at, word.bytes());
            }
            2 => {
                let word = self.one(words).copied().unwrap_or_default();
                bytes.splice(at..end, word.bytes());
            }
            3 => {
                let number = self.edge().to_string();
                bytes.splice(at..end, number.into_bytes());
            }
            4 => {
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                let again: Vec<u8> = bytes[at..end].to_vec();
                for _ in 0..=self.below(3) {
                    bytes.splice(at..at, again.iter().copied());
                }
            }
            6 => bytes.truncate(at),
            _ => {
                let any = self.number() as u8;
                let bit = 1 << self.below(8);
                let flip = self.below(2) == 0;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = if flip { *byte ^ bit } else { any };
                }
            }
        }
    }
}
