//! The few things that are done with URLs: where they lead, whether that may be trusted, what they become.

use crate::{Error, Kind, Result};
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;

/// Whether packets to an address stay on this machine.
pub(super) fn leads_here(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

/// Whether an address is one of the link alone.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// An absolute URL with http or https and without user information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(Uri);

impl Url {
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            let text: String = text.chars().take(300).collect();
            Error::new(Kind::Other, format!("URL {text:?}: {why}"))
        };
        let uri: Uri = text.parse().map_err(|_| bad("not a URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(bad("neither http nor https"));
        }
        match uri.authority() {
            // In brackets stands an address: `[]` would be a host without a name.
            Some(authority)
                if !authority.as_str().contains('@')
                    && !authority.host().trim_matches(['[', ']']).is_empty() =>
            {
                Ok(Self(uri))
            }
            _ => Err(bad("not just a host")),
        }
    }

    /// The URL of a path on the same host.
    pub fn at(&self, path: &str) -> Result<Self> {
        Self::parse(&format!("{}://{}{path}", self.scheme(), self.authority()))
    }

    /// Where a `Location` header leads (RFC 9110, 10.2.2); relative paths are not used by registries.
    pub fn join(&self, location: &str) -> Result<Self> {
        if location.starts_with("//") {
            Self::parse(&format!("{}:{location}", self.scheme()))
        } else if location.starts_with('/') {
            self.at(location)
        } else {
            Self::parse(location)
        }
    }

    /// The same URL with more of a query.
    pub fn with_query(&self, query: &str) -> Result<Self> {
        if query.is_empty() {
            return Ok(self.clone());
        }
        let path = self.0.path_and_query().map_or("/", |path| path.as_str());
        let mark = if path.contains('?') { '&' } else { '?' };
        self.at(&format!("{path}{mark}{query}"))
    }

    pub fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// `localhost`, 127.0.0.0/8 and ::1, by name and without asking a resolver.
    pub fn is_loopback(&self) -> bool {
        self.host() == "localhost"
            || self.address().is_some_and(|address| address.to_canonical().is_loopback())
    }

    /// Whether it leads to this machine by any of the names and addresses that do. Looser than [`Url::is_loopback`], for what is refused.
    pub fn leads_here(&self) -> bool {
        let host = self.host();
        let name = host.trim_end_matches('.');
        name == "localhost" || name.ends_with(".localhost") || self.address().is_some_and(leads_here)
    }

    /// Addresses at which clouds hand out the machine's own secrets.
    pub fn is_link_local(&self) -> bool {
        self.address().is_some_and(is_link_local)
    }

    /// Scheme, host and port are the same.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme() == other.scheme() && self.authority().eq_ignore_ascii_case(other.authority())
    }

    /// The host with its port.
    pub fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    fn scheme(&self) -> &str {
        self.0.scheme_str().unwrap_or("https")
    }

    /// The host without its port, in lower case.
    pub fn host(&self) -> String {
        self.0.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase()
    }

    fn address(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }
}

/// Without the query: that may hold signatures and is of no use to a reader.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.authority(), self.0.path())
    }
}

impl Url {
    /// All of it, for the request.
    pub fn whole(&self) -> String {
        self.0.to_string()
    }
}

/// `application/x-www-form-urlencoded` pairs.
pub(crate) fn encoded(fields: &[(&str, String)]) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    fields.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lead_where_they_say() {
        fn check(base: &str, location: &str, whole: &str) {
            let joined = Url::parse(base).and_then(|base| base.join(location)).map(|url| url.whole());
            assert_eq!(joined.unwrap_or_default(), whole, "{base} {location}");
        }
        check("https://a/x", "/y?z=1", "https://a/y?z=1");
        check("https://a/x", "//b/y", "https://b/y");
        check("https://a/x", "http://b/y", "http://b/y");
        check("https://a/x", "file:///etc/passwd", "");
        check("https://a/x", "y", "");
        check("https://u:p@a/x", "/y", "");
        check("gopher://a/", "/", "");
        check("https://a/x", "https://[]/y", "");
    }

    #[test]
    fn hosts_are_sorted() {
        fn check(url: &str, loopback: bool, link_local: bool) {
            let url = Url::parse(url).unwrap();
            assert_eq!((url.is_loopback(), url.is_link_local()), (loopback, link_local), "{url}");
            assert!(url.leads_here() || !loopback, "{url}");
        }
        for url in
            ["localhost.", "x.localhost:80", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"]
        {
            assert!(Url::parse(&format!("http://{url}/")).unwrap().leads_here(), "{url}");
        }
        for url in ["localhost.evil.io", "notlocalhost", "192.0.2.1", "[2001:db8::1]"] {
            assert!(!Url::parse(&format!("http://{url}/")).unwrap().leads_here(), "{url}");
        }
        check("http://[::ffff:127.0.0.1]", true, false);
        check("http://localhost:5000", true, false);
        check("http://127.9.9.9", true, false);
        check("http://[::1]:5000", true, false);
        check("http://127.0.0.1.evil.io", false, false);
        check("http://localhost.evil.io", false, false);
        check("http://169.254.169.254/latest", false, true);
        check("http://[fe80::1]/", false, true);
        check("http://[::ffff:169.254.169.254]/", false, true);
    }

    #[test]
    fn queries_are_escaped() {
        let url = Url::parse("https://a/token?x=1").unwrap();
        let whole =
            url.with_query(&encoded(&[("scope", "repository:a/b:pull&c".to_owned())])).unwrap().whole();
        assert_eq!(whole, "https://a/token?x=1&scope=repository%3Aa%2Fb%3Apull%26c");
    }
}
