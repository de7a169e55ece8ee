//! Names of images: `registry/repository:tag@digest`, with the short forms that people type.
//!
//! The grammar is that of <https://github.com/distribution/reference>. It resolves nothing: which image a name means
//! is the store's or the registry's answer.

use crate::digest::Digest;
use crate::{Error, Kind, Result};
use std::fmt;
use std::str::FromStr;

const DOCKER: &str = "docker.io";

/// A name of an image in its canonical parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host, with a port where one was given: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// `library/alpine`.
    pub repository: String,
    /// `latest` when neither a tag nor a digest was given.
    pub tag: Option<String>,
    /// The exact content that is wanted.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses a canonical or familiar name.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: String| Error::new(Kind::Usage, format!("image reference {text:?}: {why}"));
        if text.len() > 1024 {
            return Err(Error::new(Kind::Usage, "image reference: longer than 1024 bytes"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|e| bad(e.to_string()))?)),
            None => (text, None),
        };
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match name[slash..].find(':') {
            Some(colon) => (&name[..slash + colon], Some(name[slash + colon + 1..].to_owned())),
            None => (name, None),
        };
        if let Some(tag) = &tag {
            check_tag(tag).map_err(bad)?;
        }
        let (registry, path) = split_registry(name);
        check_registry(&registry).map_err(bad)?;
        let repository = if registry == DOCKER && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        check_repository(&repository).map_err(bad)?;
        if registry.len() + repository.len() > 254 {
            return Err(bad("the name is longer than 255 bytes".to_owned()));
        }
        if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad("64 hexadecimal digits are an image id, not a name".to_owned()));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { registry, repository, tag, digest })
    }

    /// The short form that people know: `alpine:latest`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix("docker.io/");
        let shortest = short.and_then(|text| text.strip_prefix("library/"));
        // Only what is read as the same: `docker.io/library/a/b` keeps its `library/`, and `docker.io/example.org/a` is no image of
        // example.org.
        let same = |text: &&str| {
            let named =
                |other: &Self| (&other.registry, &other.repository) == (&self.registry, &self.repository);
            Self::parse(text).is_ok_and(|other| named(&other))
        };
        shortest.into_iter().chain(short).find(same).unwrap_or(&full).to_owned()
    }

    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `registry/repository@digest`, by which registries have exactly this content.
    pub(crate) fn digest_name(&self) -> Option<String> {
        self.digest.as_ref().map(|digest| format!("{}@{digest}", self.name()))
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub(crate) fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_else(|| "latest".to_owned()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// The first component is a registry if it looks like a host: a dot, a port, `localhost`, or a capital letter.
fn split_registry(name: &str) -> (String, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':', '[']) || first == "localhost" || first.to_lowercase() != first =>
        {
            // `index.docker.io` is the old name of `docker.io`.
            let host = if first == "index.docker.io" { DOCKER } else { first };
            (host.to_owned(), rest)
        }
        _ => (DOCKER.to_owned(), name),
    }
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| format!("{address:?} is not an IPv6 address"))?;
            match rest {
                "" => ("v6", None),
                _ => ("v6", Some(rest.strip_prefix(':').ok_or("text after the IPv6 address")?)),
            }
        }
        None => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.split('.').all(label) {
        return Err(format!("{host:?} is not a host name"));
    }
    match port {
        Some(port) if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() => {
            Err(format!("{port:?} is not a port"))
        }
        _ => Ok(()),
    }
}

fn check_repository(repository: &str) -> Result<(), String> {
    for component in repository.split('/') {
        if component.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err("a repository name is lower case".to_owned());
        }
        if !check_component(component.as_bytes()) {
            return Err(format!("{component:?} is not a name of a repository"));
        }
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn check_component(component: &[u8]) -> bool {
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !component.first().is_some_and(word) || !component.last().is_some_and(word) {
        return false;
    }
    component.split(word).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

fn check_tag(tag: &str) -> Result<(), String> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if good { Ok(()) } else { Err(format!("{tag:?} is not a tag")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_canonical() {
        fn check(text: &str, full: &str, familiar: &str) {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text:?}");
            assert_eq!(reference.familiar(), familiar, "{text:?}");
            assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference, "{text:?}");
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        check("alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20");
        check("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest");
        check("grafana/grafana", "docker.io/grafana/grafana:latest", "grafana/grafana:latest");
        check("localhost/x", "localhost/x:latest", "localhost/x:latest");
        check("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y");
        check("[::1]:5000/x:y", "[::1]:5000/x:y", "[::1]:5000/x:y");
        check(
            "127.0.0.1:5000/a/b__c-d.e",
            "127.0.0.1:5000/a/b__c-d.e:latest",
            "127.0.0.1:5000/a/b__c-d.e:latest",
        );
        check("Host/x", "Host/x:latest", "Host/x:latest");
        check("docker.io/q.io/x", "docker.io/q.io/x:latest", "docker.io/q.io/x:latest");
        check("docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest");
        let hex = "0".repeat(64);
        check(
            &format!("library/{hex}"),
            &format!("docker.io/library/{hex}:latest"),
            &format!("library/{hex}:latest"),
        );
        check("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest");
        check(&format!("a@{digest}"), &format!("docker.io/library/a@{digest}"), &format!("a@{digest}"));
        check(&format!("q.io/a:1@{digest}"), &format!("q.io/a:1@{digest}"), &format!("q.io/a:1@{digest}"));
    }

    #[test]
    fn bad_names_are_refused() {
        fn check(family: &str, text: &str) {
            let error = Reference::parse(text).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{family}, {text:?}: {error}");
            assert!(!error.to_string().contains('\n'), "{text:?}");
        }
        for (family, text) in [
            ("M17", ""),
            ("M17", ":"),
            ("M17", "/"),
            ("M17", "a/"),
            ("M17", "/a"),
            ("M17", "Alpine"),
            ("M17", "a:"),
            ("M17", "a:-x"),
            ("M17", "a b"),
            ("M17", "a:b:c"),
            ("M17", "a@"),
            ("M17", "a@sha256:x"),
            ("M17", ".."),
            ("M17", "../a"),
        ] {
            check(family, text);
        }
        for (family, text) in [
            ("M17", "a//b"),
            ("M17", "a___b"),
            ("M17", "-a"),
            ("M17", "a-"),
            ("M17", "a.:x"),
            ("M17", "x.io:99999/a"),
            ("M17", "x.io:/a"),
            ("M17", "a..b"),
            ("M17", "é"),
            ("M17", "a\nb"),
            ("M17", "[::g]/a"),
        ] {
            check(family, text);
        }
        check("M17", &"a".repeat(64));
        check("M17", &"x".repeat(300));
        check("M17", &format!("a:{}", "t".repeat(129)));
    }

    proptest! {
        #[test]
        fn display_parses_back(registry in "([a-z0-9]{1,8}\\.[a-z]{2,4}|localhost)(:[1-9][0-9]{0,3})?",
                               repository in "[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,5}){0,3}",
                               tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
                               hex in proptest::option::of("[0-9a-f]{64}")) {
            let mut text = format!("{registry}/{repository}");
            if let Some(tag) = tag { text += &format!(":{tag}"); }
            if let Some(hex) = hex { text += &format!("@sha256:{hex}"); }
            let reference = Reference::parse(&text).unwrap();
            prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
            }
        }
    }
}
