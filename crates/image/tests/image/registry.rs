//! A registry of one test: Debian's `docker-registry` on a free port of loopback, and images to push to it.
//!
//! It ends with the test, also with one that fails.

use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// bcrypt of `secret`.
const SECRET: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

pub struct Registry {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

/// An image to be pushed: each layer has one file with its own name as content.
pub struct Source {
    architecture: String,
    layers: Vec<String>,
    pub wrong_diff_id: bool,
}

impl Source {
    pub fn new(architecture: &str, layers: &[&str]) -> Self {
        let layers = layers.iter().map(|&layer| layer.to_owned()).collect();
        Self { architecture: architecture.to_owned(), layers, wrong_diff_id: false }
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An archive with one file.
pub fn tar(name: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(name.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, name.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Registry {
    /// Starts one; with a user it is closed, and the password is `secret`.
    pub fn start(user: Option<&str>) -> Self {
        Self::with(user, false)
    }

    /// Starts one that speaks https, with a certificate that only [`Registry::authority`] vouches for.
    pub fn start_secure() -> Self {
        Self::with(None, true)
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    fn with(user: Option<&str>, secure: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| -> PathBuf { directory.path().join(name) };
        let tls = if secure {
            let extra =
                ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
            let mut openssl = Command::new("openssl");
            openssl.args(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test".split(' '),
            );
            openssl.args(extra).arg("-keyout").arg(path("key.pem")).arg("-out").arg(path("cert.pem"));
            assert!(openssl.stderr(Stdio::null()).status().unwrap().success());
            format!(
                ", tls: {{certificate: {}, key: {}}}",
                path("cert.pem").display(),
                path("key.pem").display()
            )
        } else {
            String::new()
        };
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'{tls}}}\n",
            path("data").display()
        );
        if let Some(user) = user {
            std::fs::write(path("htpasswd"), format!("{user}:{SECRET}\n")).unwrap();
            config += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path("htpasswd").display());
        }
        std::fs::write(path("config.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path("config.yml")).env("OTEL_TRACES_EXPORTER", "none");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("docker-registry ended").unwrap();
            if let Some((_, rest)) = line.split_once("listening on 127.0.0.1:") {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                break digits.parse().unwrap();
            }
        };
        // Whoever logs must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port, directory }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn name(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.host())
    }

    fn blob(&self, repository: &str, bytes: &[u8]) -> String {
        let url = format!("http://{}/v2/{repository}/blobs/uploads/", self.host());
        let begun = ureq::post(url).send_empty().unwrap();
        let location = begun.headers()["location"].to_str().unwrap();
        let mark = if location.contains('?') { '&' } else { '?' };
        ureq::put(format!("{location}{mark}digest={}", digest(bytes))).send(bytes).unwrap();
        digest(bytes)
    }

    fn manifest(&self, repository: &str, tag: &str, kind: &str, text: &str) {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host());
        ureq::put(url).header("content-type", kind).send(text.as_bytes()).unwrap();
    }

    /// Pushes an image; its manifest as text.
    pub fn push(&self, repository: &str, tag: &str, source: &Source) -> String {
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for name in &source.layers {
            let tar = tar(name);
            let wire = gzip(&tar);
            let digest_of_wire = self.blob(repository, &wire);
            diff_ids.push(if source.wrong_diff_id { digest(b"other") } else { digest(&tar) });
            layers.push(serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": wire.len(), "digest": digest_of_wire
            }));
        }
        let config = serde_json::json!({
            "architecture": source.architecture, "os": "linux", "author": repository,
            "rootfs": { "type": "layers", "diff_ids": diff_ids }
        })
        .to_string();
        let text = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(),
                "digest": self.blob(repository, config.as_bytes())
            }
        })
        .to_string();
        self.manifest(repository, tag, MANIFEST, &text);
        text
    }

    /// Pushes images as one of several platforms.
    pub fn push_index(&self, repository: &str, tag: &str, sources: &[Source]) {
        self.push_index_of(repository, tag, sources, MANIFEST);
    }

    /// As [`Registry::push_index`]; the index says that they are of that media type.
    pub fn push_index_of(&self, repository: &str, tag: &str, sources: &[Source], kind: &str) {
        let entries: Vec<serde_json::Value> = sources
            .iter()
            .map(|source| {
                let text = self.push(repository, &source.architecture, source);
                serde_json::json!({
                    "mediaType": kind, "size": text.len(), "digest": digest(text.as_bytes()),
                    "platform": { "os": "linux", "architecture": source.architecture }
                })
            })
            .collect();
        let text =
            serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
        self.manifest(repository, tag, INDEX, &text);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
