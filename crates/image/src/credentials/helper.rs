//! Credential helpers: programs `docker-credential-NAME` that speak JSON
//! (<https://github.com/docker/docker-credential-helpers>).

use super::Credential;
use crate::kind::failed;
use crate::{Error, Kind, Result};
use serde::Deserialize;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credential for a server, or none where the helper knows none.
pub(super) fn get(name: &str, server: &str) -> Result<Option<Credential>> {
    let Some(output) = run(name, "get", server.as_bytes())? else { return Ok(None) };
    let answer: Answer = serde_json::from_slice(&output).map_err(|_| {
        Error::new(Kind::Other, format!("docker-credential-{name} get: the answer is not JSON"))
    })?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Credential::IdentityToken(answer.secret),
        _ => Credential::Password { user: answer.username, password: answer.secret },
    }))
}

/// Gives a credential to the helper.
pub(super) fn store(name: &str, server: &str, user: &str, password: &str) -> Result<()> {
    let text = serde_json::json!({ "ServerURL": server, "Username": user, "Secret": password }).to_string();
    run(name, "store", text.as_bytes()).map(drop)
}

/// Makes the helper forget. True if it knew.
pub(super) fn erase(name: &str, server: &str) -> Result<bool> {
    Ok(run(name, "erase", server.as_bytes())?.is_some())
}

/// What the helper printed, or none where it has no such credential.
fn run(name: &str, verb: &str, input: &[u8]) -> Result<Option<Vec<u8>>> {
    let program = format!("docker-credential-{name}");
    // The name comes from a file: it must not become a path.
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
        return Err(Error::new(Kind::Usage, format!("credential helper {name:?}: not a name of a helper")));
    }
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| {
            failed(|| format!("run {program}"))(error)
                .with_hint("install the helper, or take it out of credsStore and credHelpers in config.json")
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that ends without reading tells why by its status.
        let _ = stdin.write_all(input);
    }
    let mut output = Vec::new();
    let read = child.stdout.take().map_or(Ok(0), |stdout| stdout.take(LIMIT).read_to_end(&mut output));
    let status = child.wait().map_err(failed(|| format!("wait for {program}")))?;
    read.map_err(failed(|| format!("read from {program}")))?;
    if status.success() {
        return Ok(Some(output));
    }
    let said = String::from_utf8_lossy(&output).trim().escape_debug().to_string();
    // The protocol has no status for it; these are the words that all helpers share.
    if said.contains("credentials not found") || said.contains("not found in native keychain") {
        return Ok(None);
    }
    Err(Error::new(Kind::Other, format!("{program} {verb}: {status}: {said}")))
}
