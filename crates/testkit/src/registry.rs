//! The real docker-registry inside a test host, with the images of `tests/fixtures.sh` or a storage of its own.
//!
//! It never serves anything outside the network namespace of that host.

use crate::Host;
use crate::deadline::wait_for;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What a registry serves, and to whom.
pub struct Settings<'a> {
    host: &'a Host,
    port: u16,
    copy: bool,
    writable: bool,
    storage: String,
    tls: bool,
    also: String,
}

/// A registry that runs; dropping it ends it.
pub struct Registry {
    child: Child,
    /// The address to put before the name of an image.
    pub address: String,
    storage: PathBuf,
}

impl Registry {
    /// Serves the images of the fixtures, read-only, on 127.0.0.1:5000.
    #[track_caller]
    pub fn start(host: &Host) -> Self {
        Self::settings(host).start()
    }

    /// The settings of [`Registry::start`], to change before its start.
    pub fn settings(host: &Host) -> Settings<'_> {
        let storage = "/tmp/fixtures/registry".to_owned();
        Settings { host, port: 5000, copy: false, writable: false, storage, tls: false, also: String::new() }
    }

    /// The name of an image in this registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Process id of the registry.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id is an i32")
    }

    /// The digest that a tag names, read from the storage.
    pub fn digest(&self, repository: &str, tag: &str) -> String {
        let link = format!("repositories/{repository}/_manifests/tags/{tag}/current/link");
        self.read(&link).trim().to_owned()
    }

    /// The manifest that a digest names, as JSON.
    pub fn manifest(&self, digest: &str) -> serde_json::Value {
        let text = fs::read(self.blob(digest)).unwrap_or_else(|error| panic!("{digest}: {error}"));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{digest}: {error}"))
    }

    /// The file of a blob in the storage: a test with a copy of the storage may break it.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex =
            digest.strip_prefix("sha256:").unwrap_or_else(|| panic!("not a digest of sha256: {digest}"));
        self.storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// The file of the last layer of an image.
    pub fn layer(&self, repository: &str, tag: &str) -> PathBuf {
        let manifest = self.manifest(&self.digest(repository, tag));
        let layers = manifest["layers"].as_array().expect("a manifest has layers");
        self.blob(layers.last().and_then(|layer| layer["digest"].as_str()).expect("a layer has a digest"))
    }

    fn read(&self, path: &str) -> String {
        let path = self.storage.join("docker/registry/v2").join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }
}

impl Settings<'_> {
    /// Another port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// A copy of the small images, for a test that breaks them.
    #[must_use]
    pub fn copy(mut self) -> Self {
        self.copy = true;
        self
    }

    /// Empty, and images can be pushed to it.
    #[must_use]
    pub fn writable(mut self) -> Self {
        self.writable = true;
        self
    }

    /// Another directory of the host that has images.
    #[must_use]
    pub fn storage(mut self, directory: &str) -> Self {
        directory.clone_into(&mut self.storage);
        self
    }

    /// Name and password are asked for ([`crate::fixture::LOGIN`]).
    #[must_use]
    pub fn login(self) -> Self {
        self.also("auth: {htpasswd: {realm: test, path: /tmp/fixtures/htpasswd}}")
    }

    /// It speaks TLS, with /tmp/registry.crt and /tmp/registry.key of the host.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Another line of its configuration.
    #[must_use]
    pub fn also(mut self, line: &str) -> Self {
        writeln!(self.also, "{line}").expect("String");
        self
    }

    /// Starts it, and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Registry {
        let name = format!("registry-{}", self.port);
        let storage = if self.copy || self.writable { format!("/tmp/{name}") } else { self.storage };
        if self.copy {
            let script = format!("cp -a /tmp/fixtures/registry {storage}");
            self.host.admin(&script);
        }
        let address = format!("127.0.0.1:{}", self.port);
        let tls =
            if self.tls { ", tls: {certificate: /tmp/registry.crt, key: /tmp/registry.key}" } else { "" };
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: '{address}'{tls}}}\n\
             storage:\n  filesystem: {{rootdirectory: '{storage}'}}\n  maintenance: {{readonly: {{enabled: {}}}}}\n{}",
            !self.writable, self.also
        );
        let file = format!("/tmp/{name}.yml");
        fs::write(self.host.path(&file), config).unwrap_or_else(|error| panic!("{file}: {error}"));
        let log = fs::File::create(self.host.path(format!("/tmp/{name}.log"))).expect("log of the registry");
        let mut command: Command = self.host.admin_command();
        command.args(["docker-registry", "serve", &file]).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("docker-registry: {error}"));
        let mut registry = Registry { child, address, storage: self.host.path(Path::new(&storage)) };
        wait_for("docker-registry listens", || {
            let ended = registry.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "docker-registry ended at once: {}", log_of(self.host, &name));
            self.host.listens(self.port).then_some(())
        });
        registry
    }
}

fn log_of(host: &Host, name: &str) -> String {
    fs::read_to_string(host.path(format!("/tmp/{name}.log"))).unwrap_or_default()
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
