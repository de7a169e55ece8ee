//! Registries that write down what they are asked, and answer as no honest one would.

use super::archive::{Served, digest};
use super::ground::Ground;
use testkit::Web;
use testkit::web::{Full, Request};

/// `tester:open sesame` as HTTP Basic.
pub const BASIC: &str = "Basic dGVzdGVyOm9wZW4gc2VzYW1l";

/// Where the registry is that credentials are for.
pub const HOME: &str = "127.0.0.1:5001";

/// An answer without further headers.
pub fn plain(status: u16, body: &[u8]) -> Full {
    (status, Vec::new(), body.to_vec())
}

/// A manifest, as it is served.
pub fn document(kind: &str, text: &[u8]) -> Full {
    (200, vec![("content-type", kind.to_owned())], text.to_vec())
}

impl Served {
    /// What an honest registry answers.
    pub fn answer(&self, request: &Request) -> Full {
        let wanted = request.target.rsplit('/').next().unwrap_or_default();
        match self.blobs.get(wanted) {
            Some(blob) => plain(200, blob),
            None if request.target == "/v2/" => plain(200, b"{}"),
            None if request.target.contains("/manifests/") => {
                document(&self.kind, self.manifest.to_string().as_bytes())
            }
            None => plain(404, b"{}"),
        }
    }

    /// Adds what a manifest may refer to; its digest.
    pub fn add(&mut self, bytes: &[u8]) -> String {
        let name = digest(bytes);
        self.blobs.insert(name.clone(), bytes.to_vec());
        name
    }
}

/// What a registry says to who is nobody.
pub fn asks(how: &str) -> Full {
    (401, vec![("www-authenticate", how.to_owned())], b"{}".to_vec())
}

/// Whether the right credential came along.
pub fn is_known(request: &Request) -> bool {
    request.header("authorization") == Some(BASIC)
}

/// A registry at [`HOME`].
pub fn home(ground: &Ground, answer: impl Fn(&Request) -> Full + Send + Sync + 'static) -> Web {
    Web::start_at(&ground.host, ("127.0.0.1", 5001), answer)
}

/// Somebody else, who writes down what comes.
pub fn stranger(
    ground: &Ground,
    address: &'static str,
    port: u16,
    answer: impl Fn(&Request) -> Full + Send + Sync + 'static,
) -> Web {
    Web::start_at(&ground.host, (address, port), answer)
}

/// Keeps the credential for [`HOME`] where `login` does.
pub fn logged_in(ground: &Ground) {
    let auth = BASIC.trim_start_matches("Basic ");
    let config = format!(r#"{{"auths": {{"{HOME}": {{"auth": "{auth}"}}}}}}"#);
    ground.sh(&format!("mkdir -p $HOME/.docker; printf %s '{config}' >$HOME/.docker/config.json")).ok();
}

/// Fails if anybody but the registry has got a credential.
#[track_caller]
pub fn got_none(web: &Web) -> Vec<Request> {
    let seen = web.requests();
    let told = |one: &&Request| {
        one.header("authorization").is_some() || one.body.contains("sesame") || one.target.contains("sesame")
    };
    let told: Vec<&Request> = seen.iter().filter(told).collect();
    assert!(told.is_empty(), "{} got a credential: {told:?}", web.address);
    seen
}
