//! What a supervisor and those who talk to it say: one byte for the kind, four for the length (little-endian), the payload.

use rustix::io::Errno;

/// The longest payload: what is longer goes in several frames.
pub const LONGEST: usize = 64 * 1024;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// To the supervisor: send me what the container writes.
    Attach,
    /// To the supervisor: bytes for the container's standard input.
    Input(Vec<u8>),
    /// To the supervisor: there is no more input.
    InputEnd,
    /// To the supervisor: the size of the terminal.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        columns: u16,
    },
    /// To the supervisor: a signal for the container's PID 1.
    Signal(i32),
    /// To the supervisor: the container is being ended on purpose, and is not to be started again.
    Stop,
    /// From the supervisor: what a person should know.
    Warning(String),
    /// From the supervisor: the command runs.
    Started,
    /// From the supervisor: it could not be started; the error as JSON.
    Failed(Vec<u8>),
    /// From the supervisor: what came from standard output, or from the terminal.
    Output(Vec<u8>),
    /// From the supervisor: what came from standard error.
    ErrorOutput(Vec<u8>),
    /// From the supervisor: the command has ended with this code.
    Ended(i32),
    /// From the supervisor: it knows that the container is being ended on purpose.
    Stopping,
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Attach => 1,
            Self::Input(_) => 2,
            Self::InputEnd => 3,
            Self::Resize { .. } => 4,
            Self::Signal(_) => 5,
            Self::Stop => 6,
            Self::Warning(_) => 16,
            Self::Started => 17,
            Self::Failed(_) => 18,
            Self::Output(_) => 19,
            Self::ErrorOutput(_) => 20,
            Self::Ended(_) => 21,
            Self::Stopping => 22,
        }
    }

    /// Appends the message as it is sent.
    pub fn encode(&self, to: &mut Vec<u8>) {
        let (code, size);
        let payload: &[u8] = match self {
            Self::Input(bytes) | Self::Failed(bytes) | Self::Output(bytes) | Self::ErrorOutput(bytes) => {
                bytes
            }
            Self::Warning(text) => text.as_bytes(),
            Self::Signal(number) | Self::Ended(number) => {
                code = number.to_le_bytes();
                &code
            }
            Self::Resize { rows, columns } => {
                let ([a, b], [c, d]) = (rows.to_le_bytes(), columns.to_le_bytes());
                size = [a, b, c, d];
                &size
            }
            Self::Attach | Self::InputEnd | Self::Stop | Self::Started | Self::Stopping => &[],
        };
        let payload = &payload[..payload.len().min(LONGEST)];
        to.push(self.kind());
        to.extend_from_slice(&u32::try_from(payload.len()).unwrap_or_default().to_le_bytes());
        to.extend_from_slice(payload);
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, Malformed> {
        let number = || payload.try_into().map(i32::from_le_bytes).map_err(|_| Malformed);
        Ok(match (kind, payload) {
            (1, []) => Self::Attach,
            (2, bytes) => Self::Input(bytes.to_vec()),
            (3, []) => Self::InputEnd,
            (4, &[a, b, c, d]) => {
                Self::Resize { rows: u16::from_le_bytes([a, b]), columns: u16::from_le_bytes([c, d]) }
            }
            (5, _) => Self::Signal(number()?),
            (6, []) => Self::Stop,
            (16, text) => Self::Warning(String::from_utf8_lossy(text).into_owned()),
            (17, []) => Self::Started,
            (18, bytes) => Self::Failed(bytes.to_vec()),
            (19, bytes) => Self::Output(bytes.to_vec()),
            (20, bytes) => Self::ErrorOutput(bytes.to_vec()),
            (21, _) => Self::Ended(number()?),
            (22, []) => Self::Stopping,
            _ => return Err(Malformed),
        })
    }
}

/// Bytes that are no message: who sent them is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl From<Malformed> for Errno {
    fn from(_: Malformed) -> Self {
        Self::PROTO
    }
}

/// Puts messages together from what was read.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    taken: usize,
}

impl Decoder {
    /// Adds what was read.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message that is whole.
    pub fn take(&mut self) -> Result<Option<Frame>, Malformed> {
        let rest = &self.bytes[self.taken..];
        let [kind, a, b, c, d, after @ ..] = rest else { return Ok(None) };
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        if length > LONGEST {
            return Err(Malformed);
        }
        let Some(payload) = after.get(..length) else { return Ok(None) };
        let frame = Frame::decode(*kind, payload)?;
        self.taken += 5 + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let all = [
            Frame::Attach,
            Frame::Input(b"text".to_vec()),
            Frame::InputEnd,
            Frame::Resize { rows: 24, columns: 300 },
            Frame::Signal(15),
            Frame::Stop,
            Frame::Warning("careful".into()),
            Frame::Started,
            Frame::Failed(b"{}".to_vec()),
            Frame::Output(vec![7; LONGEST]),
            Frame::ErrorOutput(Vec::new()),
            Frame::Ended(-1),
            Frame::Stopping,
        ];
        let mut bytes = Vec::new();
        all.iter().for_each(|frame| frame.encode(&mut bytes));
        for piece in [1, 3, 7, 4096, bytes.len()] {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for part in bytes.chunks(piece) {
                decoder.add(part);
                while let Some(frame) = decoder.take().expect("well-formed") {
                    found.push(frame);
                }
            }
            assert_eq!(found, all, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_message() {
        let check = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.add(bytes);
            assert_eq!(decoder.take(), Err(Malformed), "{bytes:?}");
        };
        check(&[0, 0, 0, 0, 0]);
        check(&[1, 1, 0, 0, 0, 9]);
        check(&[2, 255, 255, 255, 255]);
        check(&[4, 1, 0, 0, 0, 0]);
        check(&[5, 0, 0, 0, 0]);
    }
}
