//! Names of hosts, for `ureq`.

use super::url::{is_link_local, leads_here};
use crate::host_name;
use std::net::{IpAddr, SocketAddr};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// As many as there is room for.
const MOST: usize = 16;

/// Looks names up as this host does.
#[derive(Debug)]
pub struct HostNames {
    /// The registry's own host, which a person has named: it may be anywhere.
    pub home: String,
}

impl HostNames {
    /// Whether one of the addresses of another host is none that a registry may send us to.
    fn is_refused(&self, host: &str, found: &[IpAddr], at_home: &dyn Fn() -> Vec<IpAddr>) -> bool {
        let here = |addresses: &[IpAddr]| addresses.iter().any(|address| leads_here(*address));
        host != self.home
            && (found.iter().any(|address| is_link_local(*address)) || (here(found) && !here(&at_home())))
    }
}

impl Resolver for HostNames {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default));
        let failed = |text: String| ureq::Error::Io(std::io::Error::other(text));
        let found = host_name::addresses(host, *timeout.after).map_err(|error| failed(error.to_string()))?;
        let is_proxy = config.proxy().is_some_and(|proxy| proxy.host() == host);
        let name = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let at_home = || host_name::addresses(&self.home, *timeout.after).unwrap_or_default();
        if !is_proxy && self.is_refused(&name, &found, &at_home) {
            return Err(failed(format!("{host} is an address of this machine")));
        }
        let found = found.into_iter().map(|address| SocketAddr::new(address, port));
        let mut resolved = self.empty();
        config.ip_family().keep_wanted(found).take(MOST).for_each(|one| resolved.push(one));
        if resolved.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(resolved) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_lie_about_where_they_lead() {
        fn check(host: &str, found: &[&str], at_home: &str, refused: bool) {
            let names = HostNames { home: "registry.test".to_owned() };
            let found: Vec<IpAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
            let at_home = || vec![at_home.parse().unwrap()];
            assert_eq!(names.is_refused(host, &found, &at_home), refused, "{host} {found:?}");
        }
        check("registry.test", &["127.0.0.1"], "127.0.0.1", false);
        check("registry.test", &["169.254.1.1"], "169.254.1.1", false);
        check("cdn.test", &["192.0.2.1", "2001:db8::1"], "192.0.2.9", false);
        check("cdn.test", &["127.0.0.1"], "192.0.2.9", true);
        check("cdn.test", &["192.0.2.1", "::1"], "192.0.2.9", true);
        check("cdn.test", &["0.0.0.0"], "192.0.2.9", true);
        check("cdn.test", &["::ffff:127.0.0.1"], "192.0.2.9", true);
        check("cdn.test", &["127.0.0.1"], "127.0.0.1", false);
        check("cdn.test", &["169.254.169.254"], "127.0.0.1", true);
        check("cdn.test", &["fe80::1"], "127.0.0.1", true);
    }
}
