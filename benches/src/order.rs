//! An order of no meaning (xorshift64*): not for anything that has to be secret.

/// Its state; anything but 0.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Every order is as likely as any other.
    pub fn shuffle(&mut self, list: &mut [usize]) {
        for last in (1..list.len()).rev() {
            let other = usize::try_from(self.next() >> 33).unwrap_or(0) % (last + 1);
            list.swap(last, other);
        }
    }
}
