//! Names of hosts, for `ureq`.

use crate::host_name;
use std::net::SocketAddr;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// As many as there is room for.
const MOST: usize = 16;

/// Looks names up as this host does.
#[derive(Debug)]
pub struct HostNames;

impl Resolver for HostNames {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default));
        let found = host_name::addresses(host, *timeout.after)
            .map_err(|error| ureq::Error::Io(std::io::Error::other(error.to_string())))?;
        let found = found.into_iter().map(|address| SocketAddr::new(address, port));
        let mut resolved = self.empty();
        config.ip_family().keep_wanted(found).take(MOST).for_each(|one| resolved.push(one));
        if resolved.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(resolved) }
    }
}
