//! Which other host may get the credential of a registry: one of the same owner, as far as names tell.
//!
//! There is no list of all public suffixes here. What is missing makes strangers of two hosts of one owner, never the other way
//! round: under a suffix that is known to be shared, only the same host counts.

use super::url::Url;

/// Names under which everybody gets a name, beside the top-level domains and their second levels.
const SHARED: [&str; 22] = [
    "amazonaws.com",
    "azurecr.io",
    "azurewebsites.net",
    "cloudapp.azure.com",
    "cloudfront.net",
    "duckdns.org",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "googleapis.com",
    "googleusercontent.com",
    "herokuapp.com",
    "netlify.app",
    "nip.io",
    "on.aws",
    "onrender.com",
    "pages.dev",
    "run.app",
    "sslip.io",
    "trafficmanager.net",
    "vercel.app",
    "workers.dev",
];

/// Second levels under which countries have companies and people register.
const LEVELS: [&str; 16] = [
    "ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "gv", "mil", "ne", "net", "nom", "or", "org", "sch",
];

/// Registries whose owner makes tokens under another name, and that name.
const PAIRS: [(&str, &str); 1] = [("scw.cloud", "api.scaleway.com")];

/// Whether a realm is of the owner of a registry, or among the hosts that were `allowed` expressly, a list with commas.
pub(super) fn is_of(registry: &Url, realm: &Url, allowed: &str) -> bool {
    let (registry, realm) = (registry.host(), realm.host());
    // Nobody is nobody's: an empty list has one entry too.
    let allowed =
        allowed.split(',').map(str::trim).any(|host| !host.is_empty() && host.eq_ignore_ascii_case(&realm));
    let paired = |(suffix, host): &(&str, &str)| *host == realm && is_below(&registry, suffix);
    registry == realm
        || allowed
        || PAIRS.iter().any(paired)
        || owner(&registry).is_some_and(|owner| is_below(&realm, owner))
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The domain that somebody registered; none of an address and of a name without a domain.
fn owner(host: &str) -> Option<&str> {
    if host.parse::<std::net::IpAddr>().is_ok() || SHARED.iter().any(|shared| is_below(host, shared)) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    let (top, second) = (labels.last()?, labels.get(labels.len().checked_sub(2)?)?);
    let count = if top.len() == 2 && LEVELS.contains(second) { 3 } else { 2 };
    let first = labels.len().checked_sub(count)?;
    let length = labels[first..].join(".").len();
    if labels[first..].iter().any(|label| label.is_empty()) { None } else { host.get(host.len() - length..) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_to_nobody() {
        let url = |text: &str| Url::parse(text).unwrap();
        for allowed in ["", ",", " , x"] {
            assert!(!is_of(&url("https://quay.io"), &url("https://evil.io"), allowed), "{allowed:?}");
        }
    }

    #[test]
    fn realms_of_one_owner() {
        fn check(registry: &str, realm: &str, expected: bool) {
            let url = |host: &str| Url::parse(&format!("https://{host}/token")).unwrap();
            let found = is_of(&url(registry), &url(realm), "tokens.example.com, Other.example");
            assert_eq!(found, expected, "{registry} {realm}");
        }
        check("registry-1.docker.io", "auth.docker.io", true);
        check("ghcr.io", "ghcr.io", true);
        check("registry.gitlab.com", "gitlab.com", true);
        check("registry.example.com:5000", "auth.example.com:8443", true);
        check("REGISTRY.example.com", "auth.EXAMPLE.com", true);
        check("a.b.example.co.uk", "auth.example.co.uk", true);
        check("127.0.0.1:5000", "127.0.0.1:5001", true);
        check("[::1]:5000", "[::1]:5001", true);
        check("localhost:5000", "localhost:5001", true);
        check("rg.fr-par.scw.cloud", "api.scaleway.com", true);
        check("one.azurecr.io", "one.azurecr.io", true);
        check("quay.io", "tokens.example.com", true);
        check("quay.io", "other.example", true);
        check("quay.io", "evil.io", false);
        check("quay.io", "notquay.io", false);
        check("quay.io", "quay.io.evil.io", false);
        check("docker.io", "evil.example.com", false);
        check("registry.example.co.uk", "evil.co.uk", false);
        check("registry.co.uk", "evil.co.uk", false);
        check("one.azurecr.io", "two.azurecr.io", false);
        check("one.s3.amazonaws.com", "two.s3.amazonaws.com", false);
        check("192.0.2.1", "193.0.2.1", false);
        check("registry", "auth", false);
        check("io", "evil.io", false);
        check("a..io", "b.io", false);
        check("evilscw.cloud", "api.scaleway.com", false);
        check("rg.fr-par.scw.cloud", "evil.scaleway.com", false);
    }
}
