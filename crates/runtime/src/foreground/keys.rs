//! The keys that end a visit and not what is visited.

/// Finds them in what is typed; those that may begin them are held back.
#[derive(Debug)]
pub struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// These keys; none end nothing.
    pub fn new(keys: &[u8]) -> Self {
        Self { keys: keys.to_vec(), matched: 0 }
    }

    /// What to pass on of `typed`, and whether all keys were in it.
    pub fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::new();
        for byte in typed {
            if self.keys.is_empty() {
                passed.push(*byte);
                continue;
            }
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(*byte == self.keys[0]);
            if self.matched == 0 {
                passed.push(*byte);
            } else if self.keys.len() == 1 {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_end_a_visit() {
        fn check(keys: &[u8], typed: &[&[u8]], passed: &[u8], leaves: bool) {
            let mut keys = DetachKeys::new(keys);
            let (mut all, mut left) = (Vec::new(), false);
            for part in typed {
                let (some, leaves) = keys.filter(part);
                all.extend(some);
                left = left || leaves;
            }
            assert_eq!((all.as_slice(), left), (passed, leaves), "{typed:?}");
        }
        check(b"\x10\x11", &[b"ls\n"], b"ls\n", false);
        check(b"\x10\x11", &[b"a\x10\x11"], b"a", true);
        check(b"\x10\x11", &[b"a\x10", b"\x11"], b"a", true);
        check(b"\x10\x11", &[b"\x10x"], b"\x10x", false);
        check(b"\x10\x11", &[b"\x10\x10\x11"], b"\x10", true);
        check(b"q", &[b"aq"], b"a", true);
        check(b"", &[b"\x10\x11"], b"\x10\x11", false);
    }
}
