//! Archives of tar(5): sound ones of every form, and the changes that matter to who reads them.

use crate::mutator::Mutator;
use std::io::Write;

/// The unit of an archive.
const BLOCK: usize = 512;

/// A field of a header: where it begins, and its length.
type Field = (usize, usize);

const NAME: Field = (0, 100);
const MODE: Field = (100, 8);
const UID: Field = (108, 8);
const GID: Field = (116, 8);
const SIZE: Field = (124, 12);
const MTIME: Field = (136, 12);
const CHECKSUM: Field = (148, 8);
const KIND: Field = (156, 1);
const LINK: Field = (157, 100);
const MAGIC: Field = (257, 8);
const MAJOR: Field = (329, 8);
const MINOR: Field = (337, 8);
const PREFIX: Field = (345, 155);
/// Of GNU's old form of sparse files: four pieces, whether more follow, and the size.
const SPARSE: Field = (386, 96);
const MORE: Field = (482, 1);
const REAL_SIZE: Field = (483, 12);

/// The three forms of a header: POSIX, GNU, and that of Unix's seventh edition.
const FORMS: [&[u8; 8]; 3] = [b"ustar\x0000", b"ustar  \0", &[0; 8]];

/// An archive in the making.
struct Archive {
    form: &'static [u8; 8],
    bytes: Vec<u8>,
}

impl Archive {
    fn new(form: usize) -> Self {
        Self { form: FORMS[form], bytes: Vec::new() }
    }

    fn entry(self, kind: u8, name: &str, link: &str, data: &[u8]) -> Self {
        self.with(kind, name, link, data, |_| ())
    }

    fn with(mut self, kind: u8, name: &str, link: &str, data: &[u8], edit: impl FnOnce(&mut [u8])) -> Self {
        let mut header = [0; BLOCK];
        put(&mut header, NAME, name.as_bytes());
        put(&mut header, MODE, if kind == b'5' { b"0000755\0" } else { b"0000640\0" });
        put(&mut header, UID, b"0001750\0");
        put(&mut header, GID, b"0000144\0");
        put(&mut header, SIZE, format!("{:011o}", data.len()).as_bytes());
        put(&mut header, MTIME, b"07346545001\0");
        put(&mut header, KIND, &[kind]);
        put(&mut header, LINK, link.as_bytes());
        put(&mut header, MAGIC, self.form);
        if kind == b'3' || kind == b'4' {
            put(&mut header, MAJOR, b"0000001\0");
            put(&mut header, MINOR, b"0000003\0");
        }
        edit(&mut header);
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// Records for the next entry.
    fn pax(self, records: &[(&str, &str)]) -> Self {
        let data: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.entry(b'x', "PaxHeaders/x", "", &data)
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        set_checksums(&mut self.bytes);
        self.bytes
    }
}

fn put(header: &mut [u8], (at, length): Field, value: &[u8]) {
    let length = length.min(value.len());
    header[at..at + length].copy_from_slice(&value[..length]);
}

/// A record of pax(1): its length counts its own digits.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// The number of a field, as far as it is one.
fn number(header: &[u8], (at, length): Field) -> usize {
    let field = &header[at..at + length];
    if field[0] & 0x80 != 0 {
        return field[length - 4..].iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    }
    let digits =
        field.iter().skip_while(|byte| **byte == b' ').take_while(|byte| (b'0'..=b'7').contains(*byte));
    digits.fold(0, |sum: usize, byte| sum.saturating_mul(8).saturating_add(usize::from(byte - b'0')))
}

/// Where entries begin, and where all of them end.
fn entries(bytes: &[u8]) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + BLOCK).filter(|block| block.iter().any(|byte| *byte != 0)) {
        begins.push(at);
        let mut more = header[KIND.0] == b'S' && header[MORE.0] != 0;
        let size = number(header, SIZE);
        at += BLOCK;
        while more {
            more = bytes.get(at..at + BLOCK).is_some_and(|block| block[504] != 0);
            at += BLOCK;
        }
        at = (at + size.min(bytes.len()).next_multiple_of(BLOCK)).min(bytes.len());
    }
    begins.push(at.min(bytes.len()));
    begins
}

/// Gives each header the checksum that it has.
pub fn set_checksums(bytes: &mut [u8]) {
    let begins = entries(bytes);
    for at in &begins[..begins.len() - 1] {
        let header = &mut bytes[*at..*at + BLOCK];
        header[CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        put(header, CHECKSUM, format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Sound archives.
pub fn plain() -> Vec<Vec<u8>> {
    let long = format!("{}f", "long-name/".repeat(20));
    let base = |value: u64, first: u8| {
        let mut field = [if first == 0x80 { 0 } else { 0xff }; 12];
        field[4..].copy_from_slice(&value.to_be_bytes());
        field[0] = first;
        field
    };
    let two = [&b"data of the first piece"[..], &[0; 489], b"the last piece"].concat();
    let pieces = |header: &mut [u8]| {
        put(header, SPARSE, b"00000000000\x0000000001000\x0000000010000\x0000000000016\0");
        put(header, REAL_SIZE, b"00000010016\0");
    };
    // 21 pieces stand in a block; one is enough to begin it.
    let mut block = [0; BLOCK];
    put(&mut block, (0, 24), b"00000020000\x0000000000003\0");
    vec![
        Archive::new(0)
            .entry(b'5', "d/", "", b"")
            .entry(b'0', "d/f", "", b"some data\n")
            .entry(b'0', "d/empty", "", b"")
            .entry(b'2', "l", "d/f", b"")
            .entry(b'1', "h", "d/f", b"")
            .entry(b'6', "d/pipe", "", b"")
            .entry(b'3', "null", "", b"")
            .entry(b'4', "block", "", b"")
            .end(),
        Archive::new(0)
            .entry(b'5', "./", "", b"")
            .with(b'0', "name", "", &[b'x'; 1500], |header| put(header, PREFIX, b"a/prefix/of/it"))
            .with(b'0', "suid", "", b"s", |header| put(header, MODE, b"0004755\0"))
            .with(b'5', "sticky", "", b"", |header| put(header, MODE, b"0001777\0"))
            .entry(b'7', "contiguous", "", b"c")
            .end(),
        Archive::new(1)
            .entry(b'L', "././@LongLink", "", format!("{long}\0").as_bytes())
            .entry(b'0', "long-name", "", b"long")
            .entry(b'K', "././@LongLink", "", format!("{long}\0").as_bytes())
            .entry(b'2', "to-long", "long-name", b"")
            .with(b'0', "old", "", b"1", |header| put(header, MTIME, &base(u64::MAX - 99, 0xff)))
            .with(b'0', "late", "", b"1", |header| put(header, MTIME, &base(1 << 34, 0x80)))
            .with(b'0', "owner", "", b"1", |header| put(header, UID, &[0x80, 0, 0, 0, 0, 0x40, 0, 1]))
            .with(b'0', "size", "", b"four", |header| put(header, SIZE, &base(4, 0x80)))
            .end(),
        Archive::new(0)
            .entry(b'g', "pax_global_header", "", &record("comment", "a comment"))
            .pax(&[("path", &long), ("mtime", "1234567890.987654321"), ("uid", "70000"), ("gid", "0")])
            .entry(b'0', "short", "", b"pax")
            .pax(&[("linkpath", "d/target"), ("mtime", "-5.25"), ("ctime", "1"), ("uname", "somebody")])
            .entry(b'2', "s", "t", b"")
            .pax(&[("size", "3"), ("atime", "0.5")])
            .entry(b'0', "sized", "", b"abc")
            .entry(b'5', "d", "", b"")
            .end(),
        Archive::new(1).with(b'S', "sparse", "", &two, pieces).entry(b'0', "after", "", b"x").end(),
        Archive::new(1)
            .with(b'S', "many", "", &[&block[..], &two, &[0; 498 + 2 * BLOCK], b"end"].concat(), |header| {
                pieces(header);
                // All four of the header, with as much data: where there is room left, no more of them follow.
                let places = b"00000010000\x0000000001000\x0000000011000\x0000000001000\x0000000012000\x0000000001000\0";
                put(header, (SPARSE.0 + 24, 72), places);
                put(header, MORE, &[1]);
                put(header, REAL_SIZE, b"00000020003\0");
                put(header, SIZE, b"00000004003\0");
            })
            .entry(b'0', "after", "", b"x")
            .end(),
        Archive::new(2)
            .entry(0, "old/", "", b"")
            .entry(0, "old/f", "", b"seventh edition")
            .entry(b'1', "old/h", "old/f", b"")
            .entry(b'2', "old/s", "f", b"")
            .end(),
        Archive::new(1)
            .entry(b'0', "a", "", b"1")
            .entry(b'5', "a", "", b"")
            .entry(b'0', "a/b", "", b"2")
            .entry(b'2', "to-a", "a", b"")
            .entry(b'0', "to-a/c", "", b"3")
            .entry(b'0', "a/b", "", b"4")
            .entry(b'1', "hard", "a/b", b"")
            .entry(b'0', "hard", "", b"5")
            .end(),
    ]
}

/// Sound archives, also such that are compressed.
pub fn samples() -> Vec<Vec<u8>> {
    let mut all = plain();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let compressed = gzip.write_all(&all[0]).and_then(|()| gzip.finish());
    all.extend(compressed);
    // A frame to skip, and a frame of one block that stands as it is (RFC 8878, 3.1).
    let mut zstd = vec![0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let length = u32::try_from(all[6].len()).unwrap_or_default();
    zstd.extend_from_slice(&((length << 3) | 1).to_le_bytes()[..3]);
    zstd.extend_from_slice(&all[6]);
    all.push(zstd);
    all
}

const NAMES: [&str; 22] = [
    "a", "a/b", "a/b/c", "d", "d/", "./d", "d/f", "l", "l/f", "./", ".", "/abs", "x//y", "d/./f", "\u{fc}",
    "hard", "to-a", "to-a/x", "", "old/f", "../up", "n\ne",
];

const TEXTS: [&str; 18] = [
    "",
    " ",
    "17",
    " 17",
    "17 ",
    "+17",
    "-1",
    "0x11",
    "1 7",
    "8",
    "7777777",
    "77777777777",
    "00000000017",
    "000000000017",
    "17\u{0}9",
    "\u{0}17",
    "1e3",
    "\u{b2}",
];

const KEYS: [&str; 12] = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "atime",
    "comment",
    "uname",
    "SCHILY.xattr.user.a",
    "hdrcharset",
    "charset",
];

const VALUES: [&str; 22] = [
    "",
    "0",
    "3",
    "+3",
    "-3",
    " 3",
    "3 ",
    "03",
    "1.5",
    "1.",
    ".5",
    "-.5",
    "-1.0000000001",
    "99999999999999999999",
    "4294967295",
    "4294967296",
    "d/f",
    "a",
    "a/",
    "x\u{0}y",
    "1e3",
    "BINARY",
];

/// A sound archive, changed in one place or in a few.
pub fn changed(mutator: &mut Mutator, from: &[u8]) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..=mutator.below(3) {
        change(mutator, &mut bytes);
    }
    // A wrong checksum is one case, and not all of them.
    if mutator.below(16) != 0 {
        set_checksums(&mut bytes);
    }
    bytes
}

fn change(mutator: &mut Mutator, bytes: &mut Vec<u8>) {
    let begins = entries(bytes);
    let count = begins.len() - 1;
    let one = mutator.below(count);
    let begin = begins[one];
    let end = begins.get(one + 1).copied().unwrap_or(begin);
    match mutator.below(16) {
        0 => drop(bytes.drain(begin..end)),
        1 => {
            let again: Vec<u8> = bytes[begin..end].to_vec();
            let to = begins[mutator.below(count + 1)];
            drop(bytes.splice(to..to, again));
        }
        2 => {
            let to = mutator.below(bytes.len() + 1);
            bytes.truncate(to);
        }
        3 => {
            let extended: Vec<u8> = (0..=mutator.below(2))
                .flat_map(|_| {
                    let key = mutator.one(&KEYS).copied().unwrap_or_default();
                    record(key, mutator.one(&VALUES).copied().unwrap_or_default())
                })
                .collect();
            let archive = Archive::new(0).entry(b'x', "PaxHeaders/x", "", &extended);
            drop(bytes.splice(begin..begin, archive.bytes));
        }
        4 => {
            let name = format!("{}\0", mutator.one(&NAMES).copied().unwrap_or_default());
            let kind = if mutator.below(2) == 0 { b'L' } else { b'K' };
            let archive = Archive::new(1).entry(kind, "././@LongLink", "", name.as_bytes());
            drop(bytes.splice(begin..begin, archive.bytes));
        }
        5 => {
            let at = begin + BLOCK.min(end - begin) + mutator.below((end - begin).saturating_sub(BLOCK));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = mutator.number() as u8;
            }
        }
        _ => {
            if let Some(header) = bytes.get_mut(begin..begin + BLOCK) {
                field(mutator, header);
            }
        }
    }
}

/// Gives a field another value: one that means something, or nearly.
fn field(mutator: &mut Mutator, header: &mut [u8]) {
    match mutator.below(12) {
        0..=3 => {
            let fields =
                [MODE, UID, GID, SIZE, MTIME, MAJOR, MINOR, REAL_SIZE, (SPARSE.0, 12), (SPARSE.0 + 12, 12)];
            let (at, length) = fields[mutator.below(fields.len())];
            let mut value = vec![0; length];
            match mutator.below(5) {
                0 => {
                    let text = mutator.one(&TEXTS).copied().unwrap_or_default();
                    put(&mut value, (0, length), text.as_bytes());
                }
                1 => {
                    let octal = format!("{:01$o}", mutator.edge() % 8_u64.pow(length as u32 - 1), length - 1);
                    put(&mut value, (0, length), octal.as_bytes());
                }
                2 => {
                    // Base 256, of either sign, perhaps with more than there is room for.
                    let first = if mutator.below(3) == 0 { 0xff } else { 0x80 };
                    value.fill(if first == 0xff { 0xff } else { 0 });
                    let number = mutator.edge().to_be_bytes();
                    let begin = length - 7.min(length - 1);
                    value[begin..].copy_from_slice(&number[8 - (length - begin)..]);
                    value[0] = first;
                    if mutator.below(4) == 0 {
                        value[1] = mutator.number() as u8;
                    }
                }
                3 => {
                    let small = format!("{:01$o}", mutator.below(9), length - 1);
                    put(&mut value, (0, length), small.as_bytes());
                }
                _ => {
                    value.copy_from_slice(&header[at..at + length]);
                    value[mutator.below(length)] = b" \x000179+-a\xff"[mutator.below(10)];
                }
            }
            header[at..at + length].copy_from_slice(&value);
        }
        4 | 5 => {
            let (at, length) = [NAME, LINK, PREFIX][mutator.below(3)];
            let name = mutator.one(&NAMES).copied().unwrap_or_default();
            header[at..at + length].fill(0);
            put(header, (at, length), name.as_bytes());
        }
        6 | 7 => {
            const KINDS: &[u8] = b"01234567\0LKxgSXVDMNA ";
            header[KIND.0] = KINDS[mutator.below(KINDS.len())];
        }
        8 => {
            let form = FORMS[mutator.below(3)];
            put(header, MAGIC, form);
            if mutator.below(3) == 0 {
                header[MAGIC.0 + mutator.below(MAGIC.1)] = b" \x00019x"[mutator.below(6)];
            }
        }
        _ => {
            let at = mutator.below(BLOCK);
            header[at] = if mutator.below(2) == 0 {
                header[at] ^ (1 << mutator.below(8))
            } else {
                mutator.number() as u8
            };
        }
    }
}

/// What stands in headers and records.
pub const WORDS: &[&str] = &[
    "ustar\u{0}00",
    "ustar  \u{0}",
    "././@LongLink",
    " path=",
    " linkpath=",
    " size=",
    " uid=",
    " mtime=",
    "\n",
    "SCHILY.xattr.user.a=",
    "GNU.sparse.map=",
    "30 mtime=1234567890.987654321\n",
    "../",
    "/",
    ".wh.",
    ".wh..wh..opq",
    "0000644\u{0}",
    "00000000000\u{0}",
    "77777777777",
    "\u{0}\u{0}\u{0}\u{0}",
    "L",
    "K",
    "x",
    "g",
    "S",
    "5",
    "2",
    "1",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_themselves() {
        assert_eq!(record("path", "a"), b"9 path=a\n");
        for length in 0..300 {
            let record = record("k", &"x".repeat(length));
            let said: usize =
                String::from_utf8_lossy(&record).split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            assert_eq!(said, record.len());
        }
    }

    /// What everything else begins with is taken.
    #[test]
    fn samples_are_sound() {
        for (number, sample) in samples().iter().enumerate() {
            let ground = tempfile::tempdir().expect("a directory");
            let root = ground.path().join("root");
            std::fs::create_dir(&root).expect("mkdir");
            let unpacked = image::fuzzing::unpack(sample, &root, ground.path(), crate::LAYER_MOST);
            let archive = unpacked.unwrap_or_else(|error| panic!("sample {number}: {error}"));
            assert!(number >= plain().len() || archive == *sample, "sample {number}");
            let again = image::fuzzing::archive_again(ground.path(), &root);
            assert!(again.is_ok_and(|again| again == archive), "sample {number} again");
        }
    }
}
