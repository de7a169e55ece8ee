//! systemd's journal, in its native protocol: a datagram an entry, fields with their names, long values with their length.
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL>

use super::outbox::Address;
use super::sent::{Sent, Words};
use super::{Stream, is_cut};
use crate::Result;
use std::path::Path;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// The journal as a keeper of lines. Docker's fields, so that whoever reads them finds them.
#[derive(Debug)]
pub struct Journal {
    /// The fields that every entry has.
    fields: Vec<u8>,
    /// Of each stream: the name of the long line that is being sent in parts, and how many there were.
    parts: [Option<(String, u64)>; 2],
}

/// Adds a field.
fn field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    to.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        to.push(b'\n');
        to.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        to.push(b'=');
    }
    to.extend_from_slice(value);
    to.push(b'\n');
}

/// A name as a field may have it: capitals, digits and `_`, which is not the first. None where nothing is left of it.
pub fn field_name(name: &str) -> Option<String> {
    let valid = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    let all: String = name.chars().map(valid).collect();
    let name = all.trim_start_matches('_');
    (!name.is_empty()).then(|| name.chars().take(64).collect())
}

impl Journal {
    /// The journal of this host, with the fields that every entry has. `most` as in the outbox: none lets the container wait for
    /// a journal that is slow.
    ///
    /// # Errors
    /// There is no journal.
    pub fn open(fields: &[(String, String)], most: Option<usize>) -> Result<Sent<Self>> {
        let mut all = Vec::new();
        fields.iter().for_each(|(name, value)| field(&mut all, name, value.as_bytes()));
        let words = Self { fields: all, parts: [None, None] };
        Sent::open(Address::Unix(Path::new(SOCKET).to_owned()), words, most)
    }
}

impl Words for Journal {
    fn message(&mut self, stream: Stream, line: &[u8], time: &str, _ends: bool) -> Vec<u8> {
        let mut entry = self.fields.clone();
        // As syslog(3) has them: 3 is an error, 6 is information.
        let priority: &[u8] = if stream == Stream::Error { b"3" } else { b"6" };
        field(&mut entry, "PRIORITY", priority);
        field(&mut entry, "SYSLOG_TIMESTAMP", time.as_bytes());
        let part = &mut self.parts[stream as usize];
        let is_cut = is_cut(line);
        if is_cut || part.is_some() {
            let (name, number) = part.get_or_insert_with(|| (format!("{time}/{}", stream as u8), 0));
            *number += 1;
            field(&mut entry, "CONTAINER_PARTIAL_ID", name.as_bytes());
            field(&mut entry, "CONTAINER_PARTIAL_ORDINAL", number.to_string().as_bytes());
            field(&mut entry, "CONTAINER_PARTIAL_LAST", if is_cut { b"false" } else { b"true" });
            if is_cut {
                field(&mut entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
            } else {
                *part = None;
            }
        }
        field(&mut entry, "MESSAGE", line.strip_suffix(b"\n").unwrap_or(line));
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let check = |value: &[u8], expected: &[u8]| {
            let mut entry = Vec::new();
            field(&mut entry, "MESSAGE", value);
            assert_eq!(entry, expected);
        };
        check(b"a line", b"MESSAGE=a line\n");
        check(b"", b"MESSAGE=\n");
        check(b"a\nb", b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n");
        check(b"\xff=\0", b"MESSAGE=\xff=\0\n");
    }

    #[test]
    fn names_of_fields() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(field_name(name).as_deref(), expected, "{name:?}");
        };
        check("com.example/Tier-1", Some("COM_EXAMPLE_TIER_1"));
        check("_PID", Some("PID"));
        check("äÖ", None);
        check("9a", Some("9A"));
        check("", None);
        check(&"a".repeat(100), Some(&"A".repeat(64)));
    }
}
