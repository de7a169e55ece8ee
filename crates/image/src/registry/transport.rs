//! HTTP to a registry: blocking, with certificates of this machine, redirects followed by hand.
//!
//! It knows no tokens: `Authorization` is what it is given, and is left out as soon as a redirect leaves the host.

use super::resolver::HostNames;
use super::upload::Media;
use super::url::Url;
use crate::{Error, Kind, Result};
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body};

const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(60);
/// So many bytes come in so long, or nothing is waited for any more: each single one would be in time otherwise.
const LEAST: u64 = 64 << 10;
const SLOWEST: Duration = Duration::from_secs(120);

/// A failed request: whether trying again may help, and whether nobody listens at all.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub error: Error,
    pub again: bool,
    pub refused: bool,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self { error, again: false, refused: false }
    }
}

/// The connections of one pull.
pub(crate) struct Transport {
    /// The registry's host with its port: it may have a certificate authority of its own.
    home: String,
    plain: Agent,
    /// To the registry, and to all others; made when https is first spoken.
    secure: [OnceLock<Result<Agent>>; 2],
}

impl Transport {
    pub fn new(home: &str) -> Self {
        let secure = [OnceLock::new(), OnceLock::new()];
        Self { home: home.to_owned(), plain: agent(None, true, home), secure }
    }

    /// GET, through at most five redirects.
    pub fn get(&self, url: &Url, accept: &str, authorization: Option<&str>) -> Result<Answer, Trouble> {
        let (mut url, mut authorization) = (url.clone(), authorization);
        for _ in 0..=REDIRECTS {
            let mut request = self.agent(&url)?.get(url.whole()).header("accept", accept);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let response = request.call().map_err(|error| trouble("GET", &url, &error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Answer { method: "GET", url, response });
            }
            let next =
                redirect(&url, &response).map_err(|error| error.within(format!("GET {url}: redirect")))?;
            if !next.same_origin(&url) && !sys::mutant!("mutant_im_10") {
                authorization = None;
            }
            url = next;
        }
        Err(Error::new(Kind::Unreachable, format!("GET {url}: more than {REDIRECTS} redirects")).into())
    }

    /// POST of a form; a redirect is an answer like any other, for the form holds a secret.
    pub fn post_form(&self, url: &Url, fields: &[(&str, String)]) -> Result<Answer, Trouble> {
        let pairs = fields.iter().map(|(key, value)| (*key, value.as_str()));
        let response = self
            .agent(url)?
            .post(url.whole())
            .header("accept", "application/json")
            .send_form(pairs)
            .map_err(|error| trouble("POST", url, &error))?;
        Ok(Answer { method: "POST", url: url.clone(), response })
    }

    /// A request that changes something, or asks without wanting an answer; a redirect is an answer like any other.
    pub fn send(
        &self,
        method: &'static str,
        url: &Url,
        authorization: Option<&str>,
        media: &Media<'_>,
    ) -> Result<Answer, Trouble> {
        let agent = self.agent(url)?;
        let failed = |error: ureq::Error| trouble(method, url, &error);
        let response = match method {
            "HEAD" => {
                let request = agent.head(url.whole());
                match authorization {
                    Some(value) => request.header("authorization", value),
                    None => request,
                }
                .call()
            }
            _ => {
                let request = if method == "PUT" { agent.put(url.whole()) } else { agent.post(url.whole()) };
                let request = match authorization {
                    Some(value) => request.header("authorization", value),
                    None => request,
                };
                match media {
                    Media::Nothing => request.send_empty(),
                    Media::Bytes(bytes) => {
                        request.header("content-type", "application/octet-stream").send(*bytes)
                    }
                    Media::Document(kind, bytes) => request.header("content-type", *kind).send(*bytes),
                    Media::File(file, sent) => {
                        let call = |error| Error::new(Kind::Other, format!("the layer: {error}"));
                        // An attempt before may have read some of it.
                        (&**file).rewind().map_err(call)?;
                        let length = file.metadata().map_err(call)?.len();
                        let mut told = Told { file, done: 0, sent: *sent };
                        // Registries refuse a blob whose length they do not know before.
                        request
                            .header("content-type", "application/octet-stream")
                            .header("content-length", length.to_string())
                            .send(ureq::SendBody::from_reader(&mut told))
                    }
                }
            }
        };
        Ok(Answer { method, url: url.clone(), response: response.map_err(failed)? })
    }

    /// Closes every connection, so that whoever waits on one waits no longer. Nothing can be asked afterwards.
    pub fn hang_up(&self) {
        let secure = self.secure.iter().filter_map(|made| made.get()?.as_ref().ok());
        std::iter::once(&self.plain).chain(secure).for_each(|agent| agent.clone().shutdown());
    }

    fn agent(&self, url: &Url) -> Result<&Agent> {
        if !url.is_https() {
            return Ok(&self.plain);
        }
        let own = url.authority() == self.home;
        let host = own.then_some(self.home.as_str());
        let made = self.secure[usize::from(own)]
            .get_or_init(|| Ok(agent(Some(tls(host)?), url.is_loopback(), &self.home)));
        made.as_ref().map_err(Clone::clone)
    }
}

/// A file that is being sent, told as it is.
struct Told<'a> {
    file: &'a std::fs::File,
    done: u64,
    sent: &'a dyn Fn(u64),
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.done += count as u64;
        (self.sent)(self.done);
        Ok(count)
    }
}

/// How fast bytes come, by the time that is waited for them alone: the disk may be slow.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// So many bytes more came after so long; false if they come so slowly that nobody can mean it.
    fn goes_on(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.bytes >= LEAST {
            *self = Self::default();
        }
        self.waited < SLOWEST
    }
}

/// A body that is given up when it comes byte by byte.
struct Paced<R> {
    from: R,
    pace: Pace,
}

impl<R> Paced<R> {
    fn new(from: R) -> Self {
        Self { from, pace: Pace::default() }
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let begun = Instant::now();
        let count = self.from.read(buffer)?;
        if count > 0 && !self.pace.goes_on(begun.elapsed(), count as u64) {
            return Err(std::io::Error::other(format!("less than {LEAST} bytes in {SLOWEST:?}")));
        }
        Ok(count)
    }
}

fn redirect(from: &Url, response: &Response<Body>) -> Result<Url> {
    let location = response.headers().get("location").and_then(|value| value.to_str().ok());
    let next = from.join(location.ok_or_else(|| Error::new(Kind::Other, "no location"))?)?;
    if from.is_https() && !next.is_https() {
        return Err(Error::new(Kind::Other, format!("to {next}: from https to http")));
    }
    if next.is_link_local() || (next.leads_here() && !from.is_loopback()) {
        return Err(Error::new(Kind::Other, format!("to {next}: an address of this machine")));
    }
    Ok(next)
}

fn agent(tls: Option<TlsConfig>, loopback: bool, home: &str) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("devoxx-container/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(IDLE))
        .timeout_per_read(Some(IDLE));
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    if loopback {
        config = config.proxy(None);
    }
    let home = Url::parse(&format!("https://{home}")).map(|url| url.host()).unwrap_or_default();
    Agent::with_parts(config.build(), DefaultConnector::default(), HostNames { home })
}

/// The trust of this machine, and for a registry's own host what an administrator put beside it.
fn tls(host: Option<&str>) -> Result<TlsConfig> {
    if !processor_suffices() {
        return Err(Error::new(
            Kind::Unsupported,
            "https: this processor lacks the instructions that TLS needs here",
        )
        .with_hint(
            "AES, carry-less multiplication, AVX2 and BMI2 are needed on amd64; AES and SHA2 on arm64",
        ));
    }
    let mut ders = rustls_native_certs::load_native_certs().certs;
    if let Some(host) = host.filter(|host| !host.contains('/')) {
        for base in ["/etc/docker/certs.d", "/etc/containers/certs.d"] {
            let file = Path::new(base).join(host).join("ca.crt");
            if file.exists() {
                ders.extend(rustls_native_certs::load_certs_from_paths(Some(&file), None).certs);
            }
        }
    }
    if ders.is_empty() {
        return Err(Error::new(Kind::Other, "https: this machine trusts no certificate authority")
            .with_hint("install the package ca-certificates, or set SSL_CERT_FILE"));
    }
    let roots = ders.iter().map(|der| Certificate::from_der(der.as_ref()).to_owned()).collect::<Vec<_>>();
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

/// The cryptography is in assembler for processors since 2013 or so, and stops the program on older ones.
fn processor_suffices() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        has!("aes")
            && has!("ssse3")
            && has!("pclmulqdq")
            && has!("avx")
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("adx")
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::is_aarch64_feature_detected as has;
        has!("neon") && has!("aes") && has!("pmull") && has!("sha2")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

fn trouble(method: &str, url: &Url, error: &ureq::Error) -> Trouble {
    use std::io::ErrorKind as Io;
    let (again, refused) = match error {
        ureq::Error::Io(error) => (
            matches!(
                error.kind(),
                Io::ConnectionReset | Io::BrokenPipe | Io::UnexpectedEof | Io::ConnectionAborted
            ),
            error.kind() == Io::ConnectionRefused,
        ),
        ureq::Error::Protocol(_) => (true, false),
        _ => (false, false),
    };
    let text = error.to_string().escape_debug().to_string().replace("io: ", "");
    let failure = Error::new(Kind::Unreachable, format!("{method} {url}: {text}"));
    // Any other fault of a certificate stays, whoever is trusted.
    let failure = if text.contains("invalid peer certificate: UnknownIssuer") {
        failure.with_hint(format!(
            "put the registry's authority into /etc/docker/certs.d/{}/ca.crt",
            url.authority()
        ))
    } else {
        failure
    };
    Trouble { error: failure, again, refused }
}

/// An answer with any status but a redirect.
pub(crate) struct Answer {
    pub method: &'static str,
    pub url: Url,
    response: Response<Body>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// `404 not found`.
    pub fn status_text(&self) -> String {
        let reason = self.response.status().canonical_reason().unwrap_or("unknown status").to_lowercase();
        format!("{} {reason}", self.status())
    }

    /// Whether the host itself answered, and not one that it redirected to.
    pub fn is_from(&self, base: &Url) -> bool {
        self.url.same_origin(base)
    }

    pub fn headers(&self, name: &str) -> Vec<String> {
        let values = self.response.headers().get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The whole body, if it is small.
    pub fn bytes(&mut self, limit: u64) -> Result<Vec<u8>> {
        let limit = if sys::mutant!("mutant_im_05") { u64::MAX - 1 } else { limit };
        let mut bytes = Vec::new();
        let reader = Paced::new(self.response.body_mut().as_reader());
        reader
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::new(Kind::Unreachable, format!("GET {}: read: {error}", self.url)))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(Kind::Corrupt, format!("GET {}: more than {limit} bytes", self.url)));
        }
        Ok(bytes)
    }

    /// The body as it comes.
    pub fn reader(self) -> Box<dyn Read> {
        Box::new(Paced::new(self.response.into_body().into_reader()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_at_some_pace() {
        fn check(what: &str, reads: u32, waited: u64, bytes: u64, expected: bool) {
            let mut pace = Pace::default();
            let goes_on = (0..reads).all(|_| pace.goes_on(Duration::from_millis(waited), bytes));
            assert_eq!(goes_on, expected, "{what}");
        }
        check("a byte a minute", 3, 59_000, 1, false);
        check("a byte a second", 200, 1000, 1, false);
        check("a short answer that is late", 1, 59_000, 100, true);
        check("a modem of old", 10_000, 1000, 600, true);
        check("at once", 10_000, 0, 1, true);
        check("large and late", 100, 59_000, LEAST, true);
    }
}
