//! Digests of content (image-spec, descriptor.md#digests): parsed strictly, computed as bytes go by.
//!
//! It does not read files; a digest that parses can be used as a file name.

use crate::{Error, Kind, Result};
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;
use std::str::FromStr;

/// `sha256:<64 hex>` or `sha512:<128 hex>`, lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl Digest {
    /// The sha256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }

    /// The hexadecimal part.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// A hasher that computes a digest to compare with this one.
    pub fn hasher(&self) -> Hasher {
        match self.algorithm {
            Algorithm::Sha256 => Hasher::sha256(),
            Algorithm::Sha512 => Hasher(State::Sha512(Sha512::new())),
        }
    }

    /// Refuses bytes that have another digest.
    pub fn verify(&self, bytes: &[u8]) -> Result<()> {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        self.expect(&hasher.finish())
    }

    /// Refuses another digest than this one.
    pub fn expect(&self, found: &Self) -> Result<()> {
        if self == found {
            return Ok(());
        }
        Err(Error::new(Kind::Corrupt, format!("content has digest {found}, not {self}")))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::new(Kind::Usage, format!("digest {text:?}: {why}"));
        let (name, hex) = text.split_once(':').ok_or_else(|| bad("has no algorithm"))?;
        let (algorithm, length) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(bad("is neither sha256 nor sha512")),
        };
        let is_hex = hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hex && !sys::mutant!("mutant_im_08") {
            return Err(bad(&format!("is not {length} lower case hexadecimal digits")));
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

/// Computes a digest piece by piece.
pub struct Hasher(State);

enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher for sha256, which nearly all content uses.
    pub fn sha256() -> Self {
        Self(State::Sha256(Sha256::new()))
    }

    /// Takes the next bytes in.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => Digest { algorithm: Algorithm::Sha256, hex: hex(&state.finalize()) },
            State::Sha512(state) => Digest { algorithm: Algorithm::Sha512, hex: hex(&state.finalize()) },
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_parse_strictly() {
        fn check(text: &str, good: bool) {
            assert_eq!(text.parse::<Digest>().is_ok(), good, "{text:?}");
        }
        let hex = "a".repeat(64);
        check(&format!("sha256:{hex}"), true);
        check(&format!("sha512:{hex}{hex}"), true);
        check(&format!("sha512:{hex}"), false);
        check(&format!("sha256:{}", hex.to_uppercase()), false);
        check(&format!("sha256:{hex}a"), false);
        check(&format!("md5:{hex}"), false);
        check(&format!("sha256:../{}", "a".repeat(61)), false);
        check("sha256", false);
        check("", false);
    }

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), known);
        assert!(known.parse::<Digest>().unwrap().verify(b"x").is_err());
    }
}
