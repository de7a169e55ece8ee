//! Decompression, chosen by what the bytes are and not by what the manifest calls them.
//!
//! gzip in several members (RFC 1952, 2.2) and zstd in several frames (RFC 8878, 3.1) are one stream each.

use flate2::bufread::MultiGzDecoder;
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
