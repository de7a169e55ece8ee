//! Names of CDI: `vendor.com/class=device` (its SPEC.md, "Kind" and "CDI Devices").

use crate::error::{Error, Kind, Result};

/// A device by its whole name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// `vendor.com/class`.
    pub kind: String,
    /// The device among those of its kind.
    pub device: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.kind, self.device)
    }
}

fn wrong(text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("{text:?} is no CDI device: {why}"))
}

impl Name {
    /// Whether a text is meant to be such a name: one with a kind, and no path.
    pub fn is_meant(text: &str) -> bool {
        !text.starts_with(['/', '.']) && text.split_once('=').is_some_and(|(kind, _)| kind.contains('/'))
    }

    /// Reads a whole name.
    pub fn parse(text: &str) -> Result<Self> {
        let (kind, device) =
            text.split_once('=').ok_or_else(|| wrong(text, "write vendor.com/class=device"))?;
        check_kind(kind).map_err(|why| wrong(text, &why))?;
        check_device(device).map_err(|why| wrong(text, &why))?;
        Ok(Self { kind: kind.to_owned(), device: device.to_owned() })
    }
}

/// What is wrong with a kind.
pub fn check_kind(kind: &str) -> Result<(), String> {
    let Some((vendor, class)) = kind.split_once('/') else {
        return Err(format!("kind {kind:?} has no vendor: write vendor.com/class"));
    };
    let label = |label: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        label.len() <= 63
            && edge(label.bytes().next())
            && edge(label.bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let letter = |text: &str| text.starts_with(|first: char| first.is_ascii_alphabetic());
    if vendor.len() > 253 || !letter(vendor) || !vendor.split('.').all(label) {
        return Err(format!("vendor {vendor:?} is no name of a domain"));
    }
    if class.len() > 63 || !letter(class) || !words(class, b"-_.") {
        return Err(format!("class {class:?} is not of letters, digits, - _ and ., with a letter first"));
    }
    Ok(())
}

/// What is wrong with the name of a device.
pub fn check_device(device: &str) -> Result<(), String> {
    if words(device, b"-_.:") {
        return Ok(());
    }
    Err(format!(
        "device {device:?} is not of letters, digits, - _ . and :, with letters or digits at both ends"
    ))
}

fn words(text: &str, between: &[u8]) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || between.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names() {
        fn check(text: &str, expected: Result<(&str, &str), &str>) {
            match (Name::parse(text), expected) {
                (Ok(name), Ok(expected)) => {
                    assert_eq!((name.kind.as_str(), name.device.as_str()), expected, "{text}");
                    assert_eq!(name.to_string(), text);
                }
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        check("nvidia.com/gpu=0", Ok(("nvidia.com/gpu", "0")));
        check("nvidia.com/gpu=GPU-1:2", Ok(("nvidia.com/gpu", "GPU-1:2")));
        check("foo.bar.baz/foo-bar123.B_az=all", Ok(("foo.bar.baz/foo-bar123.B_az", "all")));
        check("vendor/class=x", Ok(("vendor/class", "x")));
        for (text, why) in [
            ("vendor.com/class", "write vendor.com/class=device"),
            ("class=x", "has no vendor"),
            ("/class=x", "vendor \"\""),
            ("vendor.com/=x", "class \"\""),
            ("vendor.com/a/b=x", "class \"a/b\""),
            ("vendor.com/1a=x", "class \"1a\""),
            ("vendor.com/class-=x", "class \"class-\""),
            ("ven dor.com/class=x", "vendor"),
            ("vendor..com/class=x", "vendor"),
            ("-vendor.com/class=x", "vendor"),
            ("1vendor.com/class=x", "vendor"),
            ("vendor.com/class=", "device \"\""),
            ("vendor.com/class=a b", "device \"a b\""),
            ("vendor.com/class=-a", "device \"-a\""),
            ("vendor.com/class=a=b", "device \"a=b\""),
            ("vendor.com/class=é", "device"),
        ] {
            check(text, Err(why));
        }
        check(&format!("vendor.com/{}=x", "c".repeat(64)), Err("class"));
        check(&format!("{}.com/c=x", "v".repeat(64)), Err("vendor"));
        assert!(Name::is_meant("vendor.com/class=x") && Name::is_meant("v/=") && !Name::is_meant("/dev/x=y"));
        assert!(!Name::is_meant("vendor.com/class") && !Name::is_meant("class=x"));
    }
}
