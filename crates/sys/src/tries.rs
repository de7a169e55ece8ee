//! How often a call may fail in a row that has to work for something to go on: what passes must end nothing.

/// How often one has failed since it last worked.
#[derive(Debug, Default)]
pub struct Tries(u8);

impl Tries {
    /// More failures in a row than can be taken for something that passes.
    const LIMIT: u8 = 8;

    /// After a failure: whether to try once more.
    pub fn go_on(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 < Self::LIMIT
    }
}
