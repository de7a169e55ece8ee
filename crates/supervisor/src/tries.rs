//! How often a call of a supervisor may fail in a row: what passes must not end a container.

/// How often one has failed since it last worked.
#[derive(Debug, Default)]
pub(crate) struct Tries(u8);

impl Tries {
    /// More failures in a row than can be taken for something that passes.
    const LIMIT: u8 = 8;

    /// After a failure: whether to try once more.
    pub(crate) fn go_on(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 < Self::LIMIT
    }
}
