//! Who we are to a registry: `config.json` as docker(1) writes it, and the credential helpers it names.
//!
//! Nothing is cached and nothing is logged: a secret is read when a registry asks for it. Where `config.json` lies
//! is the caller's decision (`DOCKER_CONFIG`).

mod file;
mod helper;

use crate::registry::Registry;
use crate::{Error, Kind, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use sys::Context;

/// Where a pull takes its credentials from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// None are sent.
    Anonymous,
    /// A `config.json`; a file that is not there means none.
    File(PathBuf),
    /// These.
    Given(Credential),
}

/// What is shown to a registry or to its token realm.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// HTTP Basic.
    Password {
        /// The account.
        user: String,
        /// Its password or access token.
        password: String,
    },
    /// A refresh token of OAuth2, as `identitytoken` in `config.json`.
    IdentityToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user:?})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

impl CredentialSource {
    /// The credential for a registry, or for a part of it, if there is one.
    pub fn find(&self, registry: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Given(credential) => Ok(Some(credential.clone())),
            Self::File(path) => {
                let config = file::Config::read(path)?;
                let key = key(registry);
                if let Some(name) = config.helper(registry)
                    && let Some(credential) = helper::get(&name, &key)?
                {
                    return Ok(Some(credential));
                }
                config.credential(registry, repository).within(|| format!("read {}", path.display()))
            }
        }
    }
}

/// Tries a password at the registry, and keeps it only if the registry takes it.
pub fn login(config_path: &Path, registry: &str, user: &str, password: &str) -> Result<()> {
    let attempt = || -> Result<()> {
        if user.is_empty() || password.is_empty() || user.contains(':') {
            return Err(Error::new(Kind::Usage, "a user name without colon and a password are needed"));
        }
        let credential = Credential::Password { user: user.to_owned(), password: password.to_owned() };
        let not_cancelled = AtomicBool::new(false);
        Registry::connect(registry, CredentialSource::Given(credential.clone()), None, &not_cancelled)?
            .ping()?;
        let mut config = file::Config::read(config_path)?;
        match config.helper(registry) {
            Some(name) => {
                helper::store(&name, &key(registry), user, password)?;
                config.mark(registry)
            }
            None => config.set(registry, user, password),
        }
        config.write(config_path)
    };
    attempt().within(|| format!("log in to {registry}"))
}

/// Forgets what is known for a registry. True if something was.
pub fn logout(config_path: &Path, registry: &str) -> Result<bool> {
    let attempt = || -> Result<bool> {
        let mut config = file::Config::read(config_path)?;
        let mut known = config.remove(registry);
        if let Some(name) = config.helper(registry) {
            known |= helper::erase(&name, &key(registry))?;
        }
        if known {
            config.write(config_path)?;
        }
        Ok(known)
    };
    attempt().within(|| format!("log out of {registry}"))
}

/// The key of a registry in `auths` and for helpers.
fn key(registry: &str) -> String {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/".to_owned(),
        other => other.to_owned(),
    }
}

/// Host and scope of a key: `quay.io/team` is for those repositories alone. Older programs wrote URLs, in which the path is the version.
fn parts(key: &str) -> (&str, &str) {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
    let path = path.trim_end_matches('/');
    let scope = if matches!(path, "v1" | "v2") { "" } else { path };
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { host };
    (host, scope)
}

/// Whether a key is of a registry as a whole.
fn same_registry(key_found: &str, registry: &str) -> bool {
    parts(key_found) == (parts(registry).0, "")
}

/// How much of a repository's name a key names; nothing if it is not for it.
fn fit(key_found: &str, registry: &str, repository: Option<&str>) -> Option<usize> {
    let (host, scope) = parts(key_found);
    let rest = repository.unwrap_or_default().strip_prefix(scope)?;
    let inside = scope.is_empty() || rest.is_empty() || rest.starts_with('/');
    (host == parts(registry).0 && inside).then_some(scope.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_registries() {
        fn check(key_found: &str, registry: &str, same: bool) {
            assert_eq!(same_registry(key_found, registry), same, "{key_found:?} {registry:?}");
            assert!(same_registry(&key(registry), registry));
        }
        check("https://index.docker.io/v1/", "docker.io", true);
        check("http://quay.io/v2/", "quay.io", true);
        check("quay.io", "quay.io", true);
        check("quay.io:443", "quay.io", false);
        check("evil.io/quay.io", "quay.io", false);
        check("quay.io/team", "quay.io", false);
        check("quay.io/", "quay.io", true);
    }

    #[test]
    fn keys_are_for_a_part_of_a_registry() {
        fn check(key_found: &str, repository: Option<&str>, expected: Option<usize>) {
            assert_eq!(fit(key_found, "quay.io", repository), expected, "{key_found:?} {repository:?}");
        }
        check("quay.io", None, Some(0));
        check("https://quay.io/v2/", Some("team/app"), Some(0));
        check("quay.io/team", Some("team/app"), Some(4));
        check("quay.io/team/app", Some("team/app"), Some(8));
        check("https://quay.io/team/", Some("team/app"), Some(4));
        check("quay.io/team", Some("team"), Some(4));
        check("quay.io/team", Some("teams/app"), None);
        check("quay.io/team", Some("other/team"), None);
        check("quay.io/team", None, None);
        check("evil.io", Some("team/app"), None);
    }
}
