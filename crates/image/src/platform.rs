//! Platforms: which of an image's variants is meant (image-spec, image-index.md).
//!
//! It does not know which platforms this machine can emulate.

use crate::{Error, Kind, Result};
use std::fmt;

/// `os/architecture[/variant]` in the words of Go's GOOS and GOARCH.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v7` of `arm/v7`; nothing where it is the architecture's base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Parses `linux/arm64/v8`, `linux/amd64` or a bare architecture.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.len() <= 32
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if parts.len() > 3 || !parts.iter().all(word) {
            return Err(Error::new(Kind::Usage, format!("platform {text:?}: not os/architecture[/variant]"))
                .with_hint("a platform is written like linux/amd64 or linux/arm/v7"));
        }
        let platform = match parts[..] {
            [architecture] => Self::normal("linux", architecture, None),
            [os, architecture] => Self::normal(os, architecture, None),
            [os, architecture, variant] => Self::normal(os, architecture, Some(variant)),
            _ => Self::host(),
        };
        Ok(platform)
    }

    /// The platform that this program runs on.
    pub fn host() -> Self {
        let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
        match machine.as_str() {
            "armv7l" => Self::normal("linux", "arm", Some("v7")),
            "armv6l" => Self::normal("linux", "arm", Some("v6")),
            // A 32-bit program on a 64-bit kernel runs what the kernel runs.
            "x86_64" | "aarch64" | "riscv64" | "s390x" | "ppc64le" => Self::normal("linux", &machine, None),
            _ => Self::normal("linux", std::env::consts::ARCH, None),
        }
    }

    /// Other spellings of the same platform become one.
    pub fn normal(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let architecture = architecture.to_lowercase();
        let variant = variant.filter(|v| !v.is_empty()).map(str::to_lowercase);
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", Some(v)) => ("amd64", Some(v)),
            ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64", None),
            ("aarch64" | "arm64", Some(v)) => ("arm64", Some(v)),
            ("armhf", None) | ("arm", Some("7") | None) => ("arm", Some("v7")),
            ("armel", None) | ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("i386" | "x86", v) => ("386", v),
            ("powerpc64", v) => ("ppc64le", v),
            (other, v) => (other, v),
        };
        Self {
            os: os.to_lowercase(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// How well an offer serves this wish; more is better, nothing is not at all.
    pub fn fit(&self, offer: &Self) -> Option<u32> {
        if self.os != offer.os || self.architecture != offer.architecture {
            return None;
        }
        if self.variant == offer.variant {
            return Some(1000);
        }
        // A newer processor runs what was made for an older one: v7 runs v6, amd64/v3 runs amd64.
        let level = |variant: &Option<String>| match variant {
            None => Some(0),
            Some(text) => text.strip_prefix('v').and_then(|digits| digits.parse::<u32>().ok()),
        };
        let (wish, offer) = (level(&self.variant)?, level(&offer.variant)?);
        (offer < wish).then_some(offer.min(999))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_one_spelling() {
        fn check(text: &str, shown: &str) {
            assert_eq!(Platform::parse(text).map(|p| p.to_string()).unwrap_or_default(), shown, "{text:?}");
        }
        check("linux/amd64", "linux/amd64");
        check("linux/x86_64", "linux/amd64");
        check("Linux/AMD64/v1", "linux/amd64");
        check("linux/arm64/v8", "linux/arm64");
        check("aarch64", "linux/arm64");
        check("linux/arm", "linux/arm/v7");
        check("linux/arm/v6", "linux/arm/v6");
        check("windows/amd64", "windows/amd64");
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/a b", "linux/\n"] {
            check(bad, "");
        }
    }

    #[test]
    fn the_best_variant_fits() {
        fn check(wish: &str, offers: &[&str], best: Option<usize>) {
            let wish = Platform::parse(wish).unwrap();
            let fits = offers.iter().map(|o| wish.fit(&Platform::parse(o).unwrap())).enumerate();
            let found = fits.filter_map(|(at, fit)| fit.map(|fit| (fit, at))).max().map(|(_, at)| at);
            assert_eq!(found, best, "{wish} of {offers:?}");
        }
        check("linux/amd64", &["linux/arm64", "linux/amd64"], Some(1));
        check("linux/amd64", &["linux/amd64/v3"], None);
        check("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"], Some(1));
        check("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6"], Some(1));
        check("linux/arm/v6", &["linux/arm/v7"], None);
        check("linux/amd64", &["windows/amd64", "unknown/unknown"], None);
    }
}
