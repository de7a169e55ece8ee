//! What stands in a header in a form that readers of archives understand in different ways. GNU tar reads a number that begins with a
//! sign as one of another base, and one that is too large not at all; some heed a prefix or a device where others do not.

use super::entry::corrupt;
use crate::Result;
use tar::{EntryType, Header};

/// A field: what it is, where it begins, and its length.
type Field = (&'static str, usize, usize);

/// The unit of an archive.
const BLOCK: usize = 512;
const NUMBERS: [Field; 5] =
    [("mode", 100, 8), ("owner", 108, 8), ("group", 116, 8), ("size", 124, 12), ("checksum", 148, 8)];
const TIME: Field = ("time", 136, 12);
const DEVICE: [Field; 2] = [("major number", 329, 8), ("minor number", 337, 8)];
/// The four pieces of a sparse file in GNU's old form, and whether more of them follow.
const PIECES: [usize; 4] = [386, 410, 434, 458];
const MORE: usize = 482;
const REAL_SIZE: Field = ("size", 483, 12);

/// Refuses a header that is read as something else by others.
pub(super) fn check(header: &Header) -> Result<()> {
    let bytes = header.as_bytes();
    let field = |(name, at, length): Field, signed: bool| match is_plain(&bytes[at..at + length], signed) {
        true => Ok(()),
        false => Err(corrupt(format!("a {name} that is read in different ways"))),
    };
    for one in NUMBERS {
        field(one, false)?;
    }
    field(TIME, true)?;
    let kind = header.entry_type();
    let is_device = matches!(kind, EntryType::Char | EntryType::Block);
    if is_device {
        for one in DEVICE {
            field(one, false)?;
        }
    }
    // POSIX's form has a version, which some do not look at.
    let (is_posix, has_prefix) = (bytes[257..263] == *b"ustar\0", bytes[345] != 0);
    if is_posix && bytes[263..265] != *b"00" && (has_prefix || is_device) {
        return Err(corrupt("an unknown version of the archive's form"));
    }
    if kind == EntryType::GNUSparse {
        field(REAL_SIZE, false)?;
        let mut ended = false;
        for at in PIECES {
            let is_empty = bytes[at] == 0 || bytes[at + 12] == 0;
            if is_empty != (bytes[at] == 0 && bytes[at + 12] == 0) || (ended && !is_empty) {
                return Err(corrupt("pieces of a sparse file that are read in different ways"));
            }
            ended |= is_empty;
            if !is_empty {
                field(("piece", at, 12), false)?;
                field(("piece", at + 12, 12), false)?;
            }
        }
        if ended && bytes[MORE] != 0 {
            return Err(corrupt("pieces of a sparse file that are read in different ways"));
        }
    }
    Ok(())
}

/// Refuses what stands before an entry and is about it - long names, PAX records - where it is read as something else by others. The
/// bytes begin with the first header of that kind.
pub(in crate::layer) fn check_before(mut bytes: &[u8]) -> Result<()> {
    while let Some((header, rest)) = bytes.split_at_checked(BLOCK) {
        let header = Header::from_byte_slice(header);
        check(header)?;
        let size = header.entry_size().ok().and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size <= rest.len()).ok_or_else(|| corrupt("a size that is none"))?;
        let (blocks, next) =
            rest.split_at_checked(size.next_multiple_of(BLOCK)).ok_or_else(|| corrupt("half a block"))?;
        let data = &blocks[..size];
        match header.entry_type() {
            EntryType::GNULongName | EntryType::GNULongLink => {
                // GNU tar reads on to the first zero, whatever the size is.
                let length = blocks.iter().position(|byte| *byte == 0).unwrap_or(blocks.len());
                if length != data.strip_suffix(&[0]).unwrap_or(data).len() {
                    return Err(corrupt("a long name that is read in different ways"));
                }
            }
            EntryType::XHeader if data.last().is_some_and(|last| *last != b'\n') => {
                return Err(corrupt("a malformed PAX record"));
            }
            _ => {}
        }
        bytes = next;
    }
    Ok(())
}

/// Whether a number is written as all read it: octal digits, or base 256 that an i64 holds.
fn is_plain(field: &[u8], signed: bool) -> bool {
    let (first, rest) = (field[0], &field[1..]);
    let (beyond, held) = rest.split_at(rest.len().saturating_sub(8));
    match first {
        0x80 => beyond.iter().all(|byte| *byte == 0) && (held.len() < 8 || held[0] < 0x80),
        0xff => signed && beyond.iter().all(|byte| *byte == 0xff) && held[0] >= 0x80,
        0x81..=0xfe => false,
        // What is no number at all is refused by whoever reads it.
        _ => !field.iter().take_while(|byte| **byte != 0).any(|byte| matches!(byte, b'+' | b'-')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_or_not() {
        fn check(field: &[u8], signed: bool, plain: bool) {
            assert_eq!(is_plain(field, signed), plain, "{}", field.escape_ascii());
        }
        check(b"0000644\0", false, true);
        check(b"000644 \0", false, true);
        check(b"77777777", false, true);
        check(b"+000644\0", false, false);
        check(b" +00644\0", false, false);
        check(b"0000644\0+++", false, true);
        check(b"\x80\0\0\0\0\0\x10\0", false, true);
        check(b"\x81\0\0\0\0\0\x10\0", false, false);
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff", false, false);
        check(b"\x80\0\0\0\x7f\0\0\0\0\0\0\0", false, true);
        check(b"\x80\0\0\0\x80\0\0\0\0\0\0\0", false, false);
        check(b"\x80\0\x01\0\0\0\0\0\0\0\0\0", false, false);
        check(b"\xff\xff\xff\xff\xff\0\0\0\0\0\0\0", true, true);
        check(b"\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0", true, false);
        check(b"\xff\xff\0\xff\xff\0\0\0\0\0\0\0", true, false);
        check(b"\xff\xff\xff\xff\xff\0\0\0\0\0\0\0", false, false);
    }
}
