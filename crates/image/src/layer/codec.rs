//! Decompression, chosen by what the bytes are and not by what the manifest calls them.
//!
//! gzip in several members (RFC 1952, 2.2), zstd in several frames (RFC 8878, 3.1) and xz in several streams (the .xz file format, 2) are
//! one stream each.

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, BufRead, BufReader, Read};

/// More memory than this is not given to one stream.
const WINDOW: u64 = 128 << 20;

/// The archive inside a possibly compressed stream.
pub(super) fn open<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(128 << 10, source);
    let head = source.fill_buf()?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(source)));
    }
    if head.starts_with(b"\xfd7zXZ\0") {
        let kibibytes = u32::try_from(WINDOW >> 10).unwrap_or(u32::MAX);
        return Ok(Box::new(XzReader::new_mem_limit(source, true, kibibytes)));
    }
    // Frames of zstd, or of bytes to skip, which may stand first.
    let frame = head.get(..4).and_then(|magic| magic.try_into().ok()).map(u32::from_le_bytes);
    if frame.is_some_and(|magic| magic == 0xfd2f_b528 || magic & 0xffff_fff0 == 0x184d_2a50) {
        return Ok(Box::new(Zstd::new(source)));
    }
    Ok(Box::new(source))
}

struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { source, decoder, within: false }
    }

    /// Stands at the next frame. False at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                    if skipped != u64::from(length) {
                        return Err(io::Error::other("zstd: truncated"));
                    }
                }
                Err(error) => return Err(io::Error::other(format!("zstd: {error}"))),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within && !self.next_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.source, one)
                    .map_err(|error| io::Error::other(format!("zstd: {error}")))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let sums = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if let (Some(said), Some(found)) = sums
                && said != found
            {
                return Err(io::Error::other("zstd: wrong checksum"));
            }
            self.within = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lzma_rust2::{XzOptions, XzWriter};
    use std::io::Write;

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    /// The header of the first block says that so much has to be remembered (the .xz file format, 3.1 and 5.3.1).
    fn remembering(mut bytes: Vec<u8>, dictionary: u8) -> Vec<u8> {
        assert_eq!(bytes[12..16], [2, 0, 0x21, 1], "another header than this test knows");
        bytes[16] = dictionary;
        let mut sum = flate2::Crc::new();
        sum.update(&bytes[12..20]);
        bytes[20..24].copy_from_slice(&sum.sum().to_le_bytes());
        bytes
    }

    #[test]
    fn xz_is_read_whole_or_refused() {
        fn check(what: &str, bytes: &[u8], expected: Option<&[u8]>) {
            let mut found = Vec::new();
            let read = open(bytes).and_then(|mut archive| archive.read_to_end(&mut found));
            match expected {
                Some(expected) => assert!(read.is_ok() && found == expected, "{what}: {read:?}, {found:?}"),
                None => assert!(read.is_err(), "{what}: {found:?}"),
            }
        }
        let (one, two) = (xz(b"some text"), xz(b", and more"));
        check("one stream", &one, Some(b"some text"));
        check("two streams", &[&one[..], &two].concat(), Some(b"some text, and more"));
        check("between them padding", &[&one[..], &[0; 4], &two].concat(), Some(b"some text, and more"));
        check("nothing inside", &xz(b""), Some(b""));
        check("as much to remember as is allowed", &remembering(one.clone(), 29), Some(b"some text"));
        check("4 GiB to remember", &remembering(one.clone(), 40), None);
        for length in 7..one.len() {
            check(&format!("the first {length} bytes"), &one[..length], None);
        }
        for at in 6..one.len() {
            let mut wrong = one.clone();
            wrong[at] ^= 1;
            check(&format!("another byte at {at}"), &wrong, None);
        }
    }
}
