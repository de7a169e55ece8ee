//! `config.json`: only `auths`, `credHelpers` and `credsStore` are ours, all else is kept as it is.

use super::{Credential, fit, key, same_registry};
use crate::kind::failed;
use crate::{Error, Kind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use sys::Context;

const LIMIT: u64 = 4 << 20;

pub(super) struct Config(Map<String, Value>);

impl Config {
    /// A file that is not there is an empty one.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = Vec::new();
        // O_NONBLOCK: a FIFO in its place must not hang us.
        match std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(path)
        {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self(Map::new())),
            opened => opened
                .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text))
                .map_err(failed(|| format!("read {path:?}")))?,
        };
        if text.len() as u64 > LIMIT {
            return Err(Error::new(Kind::Other, format!("read {path:?}: larger than {LIMIT} bytes")));
        }
        if text.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(&text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(Error::new(Kind::Other, format!("read {path:?}: not a JSON object"))),
            Err(error) => Err(Error::new(Kind::Other, format!("read {path:?}: {error}"))),
        }
    }

    /// Complete or not at all, and readable by its owner only: it holds passwords.
    pub fn write(&self, path: &Path) -> Result<()> {
        // A symbolic link, as managers of dot files make it, keeps pointing.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().unwrap_or(Path::new("."));
        let text = serde_json::to_vec_pretty(&self.0).map_err(|e| Error::new(Kind::Other, e.to_string()))?;
        let made = || -> Result<()> {
            std::fs::create_dir_all(directory).map_err(failed(|| format!("mkdir {directory:?}")))?;
            let scratch = directory.join(format!(".config.json.{}", std::process::id()));
            let _ = std::fs::remove_file(&scratch);
            let written =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch).and_then(
                    |mut file| {
                        file.write_all(&text)?;
                        file.sync_all()?;
                        std::fs::rename(&scratch, &path)
                    },
                );
            written.map_err(|error| {
                let _ = std::fs::remove_file(&scratch);
                failed(|| format!("write {path:?}"))(error)
            })
        };
        made().within(|| "keep the credentials")
    }

    /// The credential helper for a registry: its own before the common one.
    pub fn helper(&self, registry: &str) -> Option<String> {
        let own = self.0.get("credHelpers").and_then(Value::as_object).and_then(|helpers| {
            helpers
                .iter()
                .find(|(found, _)| same_registry(found, registry))
                .and_then(|(_, name)| name.as_str())
        });
        own.or_else(|| self.0.get("credsStore").and_then(Value::as_str))
            .filter(|n| !n.is_empty())
            .map(str::to_owned)
    }

    /// What `auths` says.
    pub fn credential(&self, registry: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        let Some(auths) = self.0.get("auths").and_then(Value::as_object) else { return Ok(None) };
        let fits = auths.iter().filter_map(|(key, entry)| Some((fit(key, registry, repository)?, entry)));
        let mut fits: Vec<(usize, &Value)> = fits.collect();
        // What is said of the smallest part counts.
        fits.sort_by_key(|(scope, _)| std::cmp::Reverse(*scope));
        for (_, entry) in fits {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            if let Some(token) = text("identitytoken") {
                return Ok(Some(Credential::IdentityToken(token.to_owned())));
            }
            if let Some(auth) = text("auth") {
                return decode(auth).map(Some).within(|| format!("auths of {registry}"));
            }
            if let (Some(user), Some(password)) = (text("username"), text("password")) {
                return Ok(Some(Credential::Password {
                    user: user.to_owned(),
                    password: password.to_owned(),
                }));
            }
        }
        Ok(None)
    }

    fn auths(&mut self) -> Option<&mut Map<String, Value>> {
        self.0.entry("auths").or_insert_with(|| json!({})).as_object_mut()
    }

    pub fn set(&mut self, registry: &str, user: &str, password: &str) {
        self.remove(registry);
        let auth = STANDARD.encode(format!("{user}:{password}"));
        if let Some(auths) = self.auths() {
            auths.insert(key(registry), json!({ "auth": auth }));
        }
    }

    /// An empty entry says that a helper has the secret, as docker(1) notes it.
    pub fn mark(&mut self, registry: &str) {
        self.remove(registry);
        if let Some(auths) = self.auths() {
            auths.insert(key(registry), json!({}));
        }
    }

    pub fn remove(&mut self, registry: &str) -> bool {
        let Some(auths) = self.0.get_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|found, _| !same_registry(found, registry));
        auths.len() != before
    }
}

fn decode(auth: &str) -> Result<Credential> {
    let bad = |why: &str| Error::new(Kind::Other, format!("auth: {why}"));
    let bytes = STANDARD.decode(auth.trim()).map_err(|_| bad("not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| bad("not UTF-8"))?;
    let (user, password) = text.split_once(':').ok_or_else(|| bad("has no colon"))?;
    // Docker pads old entries with NUL.
    let password = password.trim_matches('\0');
    Ok(Credential::Password { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn entries_are_found() {
        fn check(text: &str, registry: &str, found: Option<&str>) {
            let Value::Object(map) = serde_json::from_str(text).unwrap() else { panic!("not an object") };
            let shown = match Config(map).credential(registry, Some("team/app")).unwrap() {
                Some(Credential::Password { user, password }) => Some(format!("{user}/{password}")),
                Some(Credential::IdentityToken(token)) => Some(token),
                None => None,
            };
            assert_eq!(shown.as_deref(), found, "{text}");
        }
        check(r#"{"auths":{"q.io":{"auth":"dTpwOnE="}}}"#, "q.io", Some("u/p:q"));
        check(r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnE="}}}"#, "docker.io", Some("u/p:q"));
        check(r#"{"auths":{"q.io":{"auth":"dTpw","identitytoken":"t"}}}"#, "q.io", Some("t"));
        check(r#"{"auths":{"q.io":{}}}"#, "q.io", None);
        let scoped = r#"{"auths":{"q.io":{"auth":"YTpi"},"q.io/team":{"auth":"dTpwOnE="},"q.io/team/other":{"auth":"eDp5"}}}"#;
        check(scoped, "q.io", Some("u/p:q"));
        check(r#"{"auths":{"q.io/other":{"auth":"dTpwOnE="}}}"#, "q.io", None);
        check(r#"{"auths":[]}"#, "q.io", None);
        check("{}", "q.io", None);
    }

    #[test]
    fn unknown_keys_stay_and_the_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/config.json");
        std::fs::create_dir(directory.path().join("new")).unwrap();
        std::fs::write(&path, r#"{"psFormat":"x","auths":{"a.io":{"auth":"YTpi"}}}"#).unwrap();
        let mut config = Config::read(&path).unwrap();
        config.set("docker.io", "u", "p");
        config.write(&path).unwrap();
        let mut config = Config::read(&path).unwrap();
        assert_eq!(config.0["psFormat"], "x");
        assert!(config.credential("docker.io", None).unwrap().is_some());
        assert!(config.credential("a.io", None).unwrap().is_some());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(config.remove("docker.io"));
        assert!(!config.remove("docker.io"));
    }
}
