//! A registry as one pull sees it (distribution-spec): its manifests and blobs, and the token that opens them.
//!
//! It verifies no digest and stores nothing. Credentials go to the registry's own host and to the token realm that
//! it names, never along a redirect.

mod realm;
mod resolver;
mod transport;
mod upload;
mod url;

use crate::challenge::{self, Challenge};
use crate::credentials::{Credential, CredentialSource};
use crate::{Error, Kind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use sys::Context;
use transport::{Answer, Transport, Trouble};
pub(crate) use upload::Media;
use url::{Url, encoded};

const MANIFEST_LIMIT: u64 = 4 << 20;
const TOKEN_LIMIT: u64 = 1 << 20;
/// More tags of one repository, and more pages of them, are not asked for.
const TAGS: usize = 100_000;
const PAGES: usize = 1000;
const ATTEMPTS: u32 = 3;

/// The variable with further hosts that may get credentials.
const REALMS: &str = "DEVOXX_TOKEN_REALMS";

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A connection to one registry for one repository.
pub(crate) struct Registry<'a> {
    registry: String,
    base: Url,
    repository: Option<String>,
    /// What a token has to allow.
    actions: &'static str,
    transport: Transport,
    credentials: CredentialSource,
    /// The value of `Authorization` that the registry took last.
    authorization: Mutex<Option<String>>,
    cancelled: &'a AtomicBool,
}

/// A manifest or index as it came.
pub(crate) struct Document {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub digest_header: Option<String>,
}

impl<'a> Registry<'a> {
    /// Finds out how the registry speaks; nothing is sent yet but to a loopback address.
    pub fn connect(
        registry: &str,
        credentials: CredentialSource,
        repository: Option<&str>,
        cancelled: &'a AtomicBool,
    ) -> Result<Self> {
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let mut this = Self {
            registry: registry.to_owned(),
            base: Url::parse(&format!("https://{host}"))?,
            repository: repository.map(str::to_owned),
            actions: "pull",
            transport: Transport::new(host),
            credentials,
            authorization: Mutex::new(None),
            cancelled,
        };
        if this.base.is_loopback() {
            let plain = Url::parse(&format!("http://{host}"))?;
            // A server that speaks TLS answers 400 to plain HTTP.
            match this.transport.get(&plain.at("/v2/")?, "*/*", None) {
                Ok(answer) if answer.status() != 400 => this.base = plain,
                Err(Trouble { refused: true, error, .. }) => return Err(error),
                _ => (),
            }
        }
        Ok(this)
    }

    /// As [`Registry::connect`], for what changes the repository.
    pub fn connect_to_push(
        registry: &str,
        credentials: CredentialSource,
        repository: &str,
        cancelled: &'a AtomicBool,
    ) -> Result<Self> {
        let this = Self::connect(registry, credentials, Some(repository), cancelled)?;
        Ok(Self { actions: "pull,push", ..this })
    }

    /// Ends every request that is under way with an error, also one that waits for a registry that says nothing.
    pub fn hang_up(&self) {
        self.transport.hang_up();
    }

    /// Fails unless the registry takes our credentials.
    pub fn ping(&self) -> Result<()> {
        self.get("/v2/", "*/*").map(drop)
    }

    /// A manifest or index, by tag or digest, of so many bytes where that is known.
    pub fn manifest(&self, wanted: &str, size: Option<u64>) -> Result<Document> {
        let mut answer = self
            .get(&format!("/v2/{}/manifests/{wanted}", self.name()), ACCEPT)
            .map_err(|error| self.with_tags(error, wanted))?;
        let header = |name: &str| answer.header(name);
        let (media_type, digest_header) = (header("content-type"), header("docker-content-digest"));
        let media_type =
            media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = answer.bytes(size.unwrap_or(MANIFEST_LIMIT).min(MANIFEST_LIMIT))?;
        Ok(Document { bytes, media_type, digest_header })
    }

    /// An error that says what there is, where what was wanted is not.
    fn with_tags(&self, error: Error, wanted: &str) -> Error {
        if error.kind != Kind::NotFound || wanted.contains(':') {
            return error;
        }
        match self.listed() {
            Ok((tags, _)) if !tags.is_empty() => {
                let shown = nearest(tags, wanted).join(", ");
                error.with_hint(format!("{} has no tag {wanted}; it has {shown}", self.name()))
            }
            Err(none) if none.kind == Kind::NotFound => {
                error.with_hint(format!("{} has no repository {}", self.registry, self.name()))
            }
            // Whoever does not tell keeps it.
            _ => error,
        }
    }

    /// The tags of the repository.
    pub fn tags(&self) -> Result<Vec<String>> {
        match self.listed()? {
            (tags, true) => Ok(tags),
            (tags, false) => {
                let text = format!("there are more than {} of them", tags.len());
                Err(Error::new(Kind::Unsupported, text))
            }
        }
    }

    /// Tags of the repository (distribution-spec, "Listing Tags"), page by page, and whether these are all.
    fn listed(&self) -> Result<(Vec<String>, bool)> {
        let plain = |tag: &&str| {
            tag.len() <= 128 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        let mut tags: Vec<String> = Vec::new();
        let mut pages = BTreeSet::new();
        let first = format!("/v2/{}/tags/list", self.name());
        let mut path = first.clone();
        loop {
            let mut answer = self.get(&path, "application/json")?;
            let link = answer.header("link");
            let body: serde_json::Value =
                serde_json::from_slice(&answer.bytes(MANIFEST_LIMIT)?).unwrap_or_default();
            let list = body["tags"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
            let before = tags.len();
            tags.extend(list.filter(plain).map(str::to_owned));
            // A page that brings nothing is the last, whatever it says.
            let next = link.as_deref().and_then(next_page).filter(|_| tags.len() > before);
            if tags.len() > TAGS || (next.is_some() && (tags.len() == TAGS || pages.len() + 1 == PAGES)) {
                tags.truncate(TAGS);
                return Ok((tags, false));
            }
            let Some(query) = next.map(str::to_owned) else { return Ok((tags, true)) };
            path = format!("{first}?{query}");
            if !pages.insert(query.clone()) {
                let text = format!("page {query:?} of the tags leads back to itself");
                return Err(Error::new(Kind::Corrupt, text));
            }
        }
    }

    /// The bytes of a blob, as they come.
    pub fn blob(&self, digest: &str) -> Result<Box<dyn Read>> {
        let answer = self.get(&format!("/v2/{}/blobs/{digest}", self.name()), "*/*")?;
        Ok(answer.reader())
    }

    /// A small blob whole.
    pub fn small_blob(&self, digest: &str, limit: u64) -> Result<Vec<u8>> {
        let mut answer = self.get(&format!("/v2/{}/blobs/{digest}", self.name()), "*/*")?;
        answer.bytes(limit)
    }

    fn name(&self) -> &str {
        self.repository.as_deref().unwrap_or_default()
    }

    /// A successful answer, after retries of what may pass.
    fn get(&self, path: &str, accept: &str) -> Result<Answer> {
        let url = self.base.at(path)?;
        let mut attempt = 1;
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            match self.authorized(&url, accept) {
                Ok(answer) => return Ok(answer),
                Err(trouble) if trouble.again && attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(200 << attempt));
                    attempt += 1;
                }
                Err(trouble) => return Err(trouble.error),
            }
        }
    }

    fn authorized(&self, url: &Url, accept: &str) -> Result<Answer, Trouble> {
        let known = self.lock().clone();
        let mut answer = self.transport.get(url, accept, known.as_deref())?;
        if answer.status() == 401 && answer.is_from(&self.base) {
            let fresh = self.authenticate(&answer).within(|| format!("authenticate at {}", self.registry))?;
            *self.lock() = Some(fresh.clone());
            answer = self.transport.get(url, accept, Some(&fresh))?;
        }
        if answer.status() == 200 {
            return Ok(answer);
        }
        Err(self.refusal(url, answer))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.authorization.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A status that is not success, with the registry's own words.
    fn refusal(&self, url: &Url, mut answer: Answer) -> Trouble {
        let status = answer.status();
        let (kind, again) = match status {
            401 | 403 => (Kind::Unauthorized, false),
            404 => (Kind::NotFound, false),
            429 | 500..=599 => (Kind::Unreachable, true),
            _ => (Kind::Other, false),
        };
        let said = answer.bytes(64 << 10).ok().and_then(|body| words(&body)).map(|w| format!(" ({w})"));
        let error = Error::new(
            kind,
            format!("{} {url}: {}{}", answer.method, answer.status_text(), said.unwrap_or_default()),
        );
        let error = match kind {
            Kind::Unauthorized => {
                error.with_hint(format!("log in to {} first, or check the name", self.registry))
            }
            _ if status == 429 => {
                error.with_hint("the registry limits how much may be pulled: log in, or wait")
            }
            _ => error,
        };
        Trouble { error, again, refused: false }
    }

    /// The value of `Authorization` that answers the challenges.
    fn authenticate(&self, answer: &Answer) -> Result<String> {
        let challenges: Vec<Challenge> =
            answer.headers("www-authenticate").iter().flat_map(|header| challenge::parse(header)).collect();
        let credential = self.credentials.find(&self.registry, self.repository.as_deref())?;
        let bearer = challenges.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service, scope } => Some((realm, service, scope)),
            Challenge::Basic => None,
        });
        if let Some((realm, service, scope)) = bearer {
            return self.token(realm, service.as_deref(), scope.as_deref(), credential);
        }
        match credential {
            Some(Credential::Password { user, password }) if challenges.contains(&Challenge::Basic) => {
                Ok(basic(&user, &password))
            }
            None if challenges.contains(&Challenge::Basic) => {
                Err(Error::new(Kind::Unauthorized, "the registry wants a user and a password")
                    .with_hint(format!("log in to {} first", self.registry)))
            }
            _ => Err(Error::new(
                Kind::Unauthorized,
                "the registry wants a way to authenticate that is not known here",
            )),
        }
    }

    /// Asks the realm for a token (distribution, spec/auth/token.md and oauth.md).
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        credential: Option<Credential>,
    ) -> Result<String> {
        let realm = trusted_realm(&self.base, &self.registry, realm, credential.is_some())?;
        let own = self.repository.as_ref().map(|name| format!("repository:{name}:{}", self.actions));
        let mut fields = Vec::new();
        fields.extend(service.map(|service| ("service", service.to_owned())));
        fields.extend(own.or_else(|| scope.map(str::to_owned)).map(|scope| ("scope", scope)));
        let mut answer = match credential {
            Some(Credential::IdentityToken(token)) => {
                fields.push(("grant_type", "refresh_token".to_owned()));
                fields.push(("client_id", "devoxx-container".to_owned()));
                fields.push(("refresh_token", token));
                self.transport.post_form(&realm, &fields)
            }
            other => {
                let authorization = match other {
                    Some(Credential::Password { user, password }) => {
                        fields.push(("account", user.clone()));
                        Some(basic(&user, &password))
                    }
                    _ => None,
                };
                self.transport.get(
                    &realm.with_query(&encoded(&fields))?,
                    "application/json",
                    authorization.as_deref(),
                )
            }
        }
        .map_err(|trouble| trouble.error)?;
        if answer.status() != 200 {
            let mut refusal = self.refusal(&realm, answer);
            if refusal.error.kind == Kind::NotFound {
                refusal.error.kind = Kind::Unauthorized;
            }
            return Err(refusal.error);
        }
        token_of(&answer.bytes(TOKEN_LIMIT)?).ok_or_else(|| {
            Error::new(Kind::Unauthorized, format!("token realm {realm}: the answer has no usable token"))
        })
    }
}

/// The realm of a token, if it may be asked; with a credential only one that may have it.
fn trusted_realm(base: &Url, registry: &str, realm: &str, with_credential: bool) -> Result<Url> {
    let realm = Url::parse(realm).within(|| "token realm")?;
    // A password goes over TLS, or stays on this machine; and a stranger must not make us talk to this machine.
    let private = realm.is_https() || (realm.is_loopback() && base.is_loopback());
    if !private {
        return Err(Error::new(Kind::Unauthorized, format!("token realm {realm}: not https")));
    }
    if realm.is_link_local() || (realm.leads_here() && !base.is_loopback()) {
        return Err(Error::new(
            Kind::Unauthorized,
            format!("token realm {realm}: an address of this machine"),
        ));
    }
    // And it goes to nobody else because a registry says so, or who speaks for it.
    let allowed = std::env::var(REALMS).unwrap_or_default();
    let is_of = realm::is_of(base, &realm, &allowed) || sys::mutant!("mutant_im_10_realm");
    if with_credential && !is_of {
        let text = format!("token realm {realm}: it is not of {registry}, whose credential it would get");
        return Err(Error::new(Kind::Unauthorized, text)
            .with_hint(format!("if it may have the credential: {REALMS}={}", realm.host())));
    }
    Ok(realm)
}

/// The host that a credential of a registry goes to when it names this realm.
#[cfg(feature = "fuzzing")]
pub(crate) fn credential_goes_to(registry: &str, realm: &str) -> Result<String> {
    let base = Url::parse(&format!("https://{registry}"))?;
    trusted_realm(&base, registry, realm, true).map(|realm| realm.host())
}

/// What to ask for after a page: the query of `<...?QUERY>; rel="next"` (RFC 8288). Its path is known already, and no other is asked.
fn next_page(link: &str) -> Option<&str> {
    let (target, relation) = link.split_once(';')?;
    let query = target.trim().strip_prefix('<')?.strip_suffix('>')?.split_once('?')?.1;
    let plain = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    (relation.contains("next") && plain).then_some(query)
}

/// A few of the tags, those first that begin as the one that was wanted.
fn nearest(mut tags: Vec<String>, wanted: &str) -> Vec<String> {
    const SHOWN: usize = 8;
    let common =
        |tag: &String| tag.bytes().zip(wanted.bytes()).take_while(|(one, other)| one == other).count();
    tags.sort_by_key(|tag| (std::cmp::Reverse(common(tag)), tag.clone()));
    let more = tags.len() > SHOWN;
    tags.truncate(SHOWN);
    if more {
        tags.push("others".to_owned());
    }
    tags
}

fn token_of(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| body.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    let token = text("token").or_else(|| text("access_token"))?;
    // It becomes a header.
    token.bytes().all(|b| b.is_ascii_graphic()).then(|| format!("Bearer {token}"))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The first error of a registry's JSON, made harmless for a terminal.
fn words(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = body.get("errors")?.get(0)?;
    let text = first.get("message").or_else(|| first.get("code"))?.as_str()?;
    let short: String = text.chars().take(200).collect();
    (!short.is_empty()).then(|| short.escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A registry says what to ask next, but not whom.
    #[test]
    fn pages_follow_each_other() {
        fn check(family: &str, link: &str, query: Option<&str>) {
            assert_eq!(next_page(link), query, "{family}: {link:?}");
        }
        check("M12", "</v2/x/tags/list?last=b&n=2>; rel=\"next\"", Some("last=b&n=2"));
        check("M12", "<https://other.example/v2/x/tags/list?n=2>; rel=next", Some("n=2"));
        check("M12", "<?n=2>;rel=next", Some("n=2"));
        check("M12", "</v2/x/tags/list?n=2>; rel=\"last\"", None);
        check("M12", "</v2/x/tags/list?n=2>", None);
        check("M12", "</v2/x/tags/list>; rel=next", None);
        check("M12", "/v2/x/tags/list?n=2; rel=next", None);
        check("M12", "</x?a b>; rel=next", None);
        check("M12", "</x?a#b>; rel=next", None);
        check("M12", "</x?a\r\nHost: b>; rel=next", None);
        check("M12", "", None);
    }
}
