//! What was written to a disk: the log of `disk`, entry by entry.

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Bytes that came, and where they go.
    Write {
        /// From here on.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// All that came before is on the disk; of what comes after, anything may be.
    Flush,
    /// A line of whoever makes the log.
    Mark(String),
}

impl Entry {
    /// A letter, two numbers, and so many bytes.
    pub fn written(&self) -> Vec<u8> {
        let (kind, offset, data): (u8, u64, &[u8]) = match self {
            Self::Write { offset, data } => (b'W', *offset, data),
            Self::Flush => (b'F', 0, &[]),
            Self::Mark(text) => (b'M', 0, text.as_bytes()),
        };
        [&[kind][..], &offset.to_le_bytes(), &(data.len() as u64).to_le_bytes(), data].concat()
    }

    /// All of them.
    pub fn read(mut log: &[u8]) -> Vec<Self> {
        let mut all = Vec::new();
        while let Some((head, rest)) = log.split_at_checked(17) {
            let number = |at: usize| {
                head.get(at..)
                    .and_then(|rest| rest.first_chunk())
                    .map_or(0, |eight| u64::from_le_bytes(*eight))
            };
            let length = usize::try_from(number(9)).unwrap_or(usize::MAX);
            let Some((data, rest)) = rest.split_at_checked(length) else { break };
            all.push(match head.first() {
                Some(b'W') => Self::Write { offset: number(1), data: data.to_vec() },
                Some(b'F') => Self::Flush,
                _ => Self::Mark(String::from_utf8_lossy(data).into_owned()),
            });
            log = rest;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_as_it_was_written() {
        let all = [
            Entry::Mark("begun".to_owned()),
            Entry::Write { offset: 1 << 40, data: vec![1, 2, 3] },
            Entry::Flush,
            Entry::Write { offset: 0, data: Vec::new() },
        ];
        let mut text: Vec<u8> = all.iter().flat_map(Entry::written).collect();
        assert_eq!(Entry::read(&text), all);
        // The last one is not whole.
        text.extend(Entry::Flush.written());
        text.pop();
        assert_eq!(Entry::read(&text), all);
    }
}
