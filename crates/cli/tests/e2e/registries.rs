//! Who we are to a registry, and what of that anybody else gets to see.

use crate::world::{FAILED, program};
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::deadline::wait_for;
use testkit::fixture::LOGIN;
use testkit::web::{Answer, Request};
use testkit::{Host, Registry, Web};

/// `tester:open sesame` as HTTP Basic.
const BASIC: &str = "Basic dGVzdGVyOm9wZW4gc2VzYW1l";

/// An authority, and what it signed for 127.0.0.1: /tmp/ca.crt, /tmp/registry.crt and /tmp/registry.key.
fn certificates(host: &Host) {
    host.admin(
        "cd /tmp
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2>/dev/null
        openssl req -newkey rsa:2048 -nodes -keyout registry.key -out registry.csr -subj /CN=registry 2>/dev/null",
    );
    certify(host, "IP:127.0.0.1");
}

/// Lets the authority sign for a name in place of the one before.
fn certify(host: &Host, name: &str) {
    host.admin(&format!(
        "cd /tmp
        printf 'subjectAltName={name}\\nbasicConstraints=CA:FALSE\\n' >extensions
        openssl x509 -req -in registry.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \\
            -out registry.crt 2>/dev/null"
    ));
}

/// Makes tokens as distribution's spec/auth/jwt.md has them, signed by the key of [`certificates`].
struct Signer(PathBuf);

impl Signer {
    fn token(&self, claims: &serde_json::Value) -> String {
        let script = r#"set -eu; cd "$1"; b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
            chain=$(openssl x509 -in registry.crt -outform DER | openssl base64 -A)
            text=$(printf '{"alg":"RS256","typ":"JWT","x5c":["%s"]}' "$chain" | b64).$(printf %s "$2" | b64)
            printf '%s.%s' "$text" "$(printf %s "$text" | openssl dgst -sha256 -sign registry.key -binary | b64)""#;
        let made =
            Command::new("sh").args(["-c", script, "token"]).arg(&self.0).arg(claims.to_string()).output();
        let made = made.expect("sh");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("a token is text")
    }
}

/// A realm that lets everybody pull busybox, and the tester everything.
fn realm(host: &Host) -> Web {
    let signer = Signer(host.path("/tmp"));
    Web::start(host, 5002, move |request| grant(&signer, request))
}

fn grant(signer: &Signer, request: &Request) -> Answer {
    let refresh = request.body.contains("refresh_token=one-that-lasts");
    let known = refresh || request.header("authorization") == Some(BASIC);
    if !known && request.header("authorization").is_some() {
        return (401, br#"{"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}"#.to_vec());
    }
    let asked = format!("{}&{}", request.target.split_once('?').map_or("", |(_, query)| query), request.body);
    let scope = asked.split('&').find_map(|pair| pair.strip_prefix("scope=")).unwrap_or_default();
    let scope = scope.replace("%3A", ":").replace("%2F", "/");
    let repository = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
    let access: Vec<_> = repository
        .filter(|name| known || *name == "busybox")
        .map(|name| serde_json::json!({"type": "repository", "name": name, "actions": ["pull"]}))
        .into_iter()
        .collect();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("the clock is right").as_secs();
    let token = signer.token(&serde_json::json!({"iss": "realm", "sub": "", "aud": "registry", "jti": "1",
        "iat": now, "nbf": now - 60, "exp": now + 300, "access": access}));
    let field = if refresh { "access_token" } else { "token" };
    (200, serde_json::json!({ field: token }).to_string().into_bytes())
}

fn with_tokens(host: &Host, realm: &str) -> Registry {
    let auth = format!(
        "auth: {{token: {{realm: '{realm}', service: registry, issuer: realm, rootcertbundle: /tmp/ca.crt}}}}"
    );
    Registry::settings(host).port(5001).also(&auth).start()
}

fn login(host: &Host, registry: &Registry, password: &str) -> testkit::Outcome {
    let (name, _) = LOGIN;
    host.sh(&format!("printf %s '{password}' | $C login -u {name} --password-stdin {}", registry.address))
}

#[test]
fn tokens() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        tokens_of(&host);
    }
}

fn tokens_of(host: &Host) {
    certificates(host);
    let realm = realm(host);
    let registry = with_tokens(host, &format!("http://{}/token", realm.address));
    let (open, closed) = (registry.image("busybox"), registry.image("team/docker:1"));

    host.run(["pull", &open]).ok();
    let asked = realm.requests();
    assert_eq!(asked.len(), 1, "one token for the whole pull: {asked:?}");
    assert!(asked[0].target.contains("service=registry"), "{asked:?}");
    assert!(asked[0].target.contains("scope=repository"), "{asked:?}");
    assert_eq!(asked[0].header("authorization"), None, "nobody is nobody: {asked:?}");

    host.run(["pull", &closed]).refuses(FAILED, &["team/docker", "log in"]);
    let wrong = login(host, &registry, "wrong").code(FAILED);
    assert!(wrong.stderr.contains("wrong password"), "the realm's words: {wrong}");
    assert!(login(host, &registry, LOGIN.1).ok().stdout.contains("Login Succeeded"));
    realm.requests();
    host.run(["pull", &closed]).ok();
    let asked = realm.requests();
    assert!(asked.iter().all(|one| one.header("authorization") == Some(BASIC)), "{asked:?}");
    host.run(["rmi", &closed]).ok();
    host.run(["logout", &registry.address]).ok();
    host.run(["pull", &closed]).refuses(FAILED, &["team/docker"]);

    // What `docker login` keeps for a registry with OAuth2.
    let config = format!(r#"{{"auths": {{"{}": {{"identitytoken": "one-that-lasts"}}}}}}"#, registry.address);
    host.sh(&format!("mkdir -p $HOME/.docker; printf %s '{config}' >$HOME/.docker/config.json")).ok();
    realm.requests();
    host.run(["pull", &closed]).ok();
    let asked = realm.requests();
    assert_eq!(asked[0].method, "POST", "{asked:?}");
    assert!(asked[0].body.contains("grant_type=refresh_token"), "{asked:?}");
    assert!(!asked[0].target.contains("one-that-lasts"), "a secret is no part of an address: {asked:?}");
}

#[test]
fn realms_that_are_not_trusted() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        realms_that_are_not_trusted_of(&host);
    }
}

fn realms_that_are_not_trusted_of(host: &Host) {
    certificates(host);
    let check = |family: &str, realm: &str, words: &[&str]| {
        let registry = with_tokens(host, realm);
        assert!(login(host, &registry, LOGIN.1).code(FAILED).stdout.is_empty());
        let pulled = host.run(["pull", &registry.image("busybox")]);
        assert_eq!(pulled.code, FAILED, "{family}: {pulled}");
        pulled.refuses(FAILED, words);
    };
    check("M13", "http://198.51.100.9/token", &["token realm", "not https"]);
    check("M13", "ftp://127.0.0.1/token", &["token realm"]);
    check("M13", "http://127.0.0.1:9/token", &["127.0.0.1:9", "refused"]);
    // Whoever is nobody has nothing to lose there, and whoever is somebody is told.
    let somebody = |realm: &str, allowed: &str, words: &[&str]| {
        let registry = with_tokens(host, realm);
        let login = format!(
            "printf %s '{}' | DEVOXX_TOKEN_REALMS={allowed} $C login -u {} --password-stdin {}",
            LOGIN.1, LOGIN.0, registry.address
        );
        host.sh(&login).refuses(FAILED, words);
    };
    let stranger = "https://198.51.100.9/token";
    somebody(stranger, "", &["it is not of 127.0.0.1:5001", "DEVOXX_TOKEN_REALMS=198.51.100.9"]);
    somebody(stranger, "192.0.2.1,198.51.100.90", &["it is not of 127.0.0.1:5001"]);
    somebody(stranger, "192.0.2.1,198.51.100.9", &["GET https://198.51.100.9/token"]);
    somebody("https://169.254.169.254/token", "169.254.169.254", &["an address of this machine"]);
    somebody("https://[fe80::1]/token", "", &["an address of this machine"]);
    let odd = Web::start(host, 5002, |request| match request.target.as_str() {
        target if target.starts_with("/lines") => (200, br#"{"token": "a\r\nx-evil: 1"}"#.to_vec()),
        target if target.starts_with("/empty") => (200, b"{}".to_vec()),
        target if target.starts_with("/long") => (200, vec![b' '; 2 << 20]),
        target if target.starts_with("/gone") => (404, Vec::new()),
        _ => (200, br#"{"token": "not-a-token"}"#.to_vec()),
    });
    let at = |path: &str| format!("http://{}/{path}", odd.address);
    check("M13", &at("lines"), &["no usable token"]);
    check("M13", &at("empty"), &["no usable token"]);
    check("M13", &at("long"), &["bytes"]);
    check("M13", &at("gone"), &["404"]);
    check("M13", &at("other"), &["401"]);
}

/// A helper that keeps what it is given in a file, as docker-credential-helpers(1) speaks.
const HELPER: &str = r#"mkdir -p $HOME/bin; cat >$HOME/bin/docker-credential-test <<'END'
#!/bin/sh
kept=$HOME/kept
case $1 in
  store) cat >$kept ;;
  get)
    server=$(cat)
    test -f $kept && grep -q "\"$server\"" $kept || { echo "credentials not found in native keychain"; exit 1; }
    cat $kept ;;
  erase) rm $kept ;;
esac
END
printf '#!/bin/sh\ncat >/dev/null; echo the vault is locked; exit 1\n' >$HOME/bin/docker-credential-broken
chmod +x $HOME/bin/*"#;

#[test]
fn credential_helpers() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        credential_helpers_of(&host);
    }
}

fn credential_helpers_of(host: &Host) {
    let registry = Registry::settings(host).port(5001).login().start();
    host.sh(HELPER).ok();
    let config = |text: &str| {
        host.sh(&format!("mkdir -p $HOME/.docker; printf %s '{text}' >$HOME/.docker/config.json")).ok();
    };
    let sh = |words: &str| host.sh(&format!("PATH=$HOME/bin:$PATH; {words}"));
    let image = registry.image("busybox");
    let pull = format!("$C pull --quiet {image}");
    let (name, password) = LOGIN;
    let login = format!("printf '{password}' | $C login -u {name} --password-stdin {}", registry.address);

    for text in [
        r#"{"credsStore": "test"}"#.to_owned(),
        format!(r#"{{"credHelpers": {{"{}": "test"}}, "credsStore": "broken"}}"#, registry.address),
    ] {
        config(&text);
        sh(&pull).refuses(FAILED, &["busybox"]);
        sh(&login).ok();
        let kept = host.sh("cat $HOME/.docker/config.json").ok();
        let secrets = ["open sesame", BASIC.trim_start_matches("Basic ")];
        assert!(secrets.iter().all(|secret| !kept.stdout.contains(secret)), "the helper has it: {kept}");
        sh(&pull).ok();
        sh(&format!("$C rmi {image}")).ok();
        sh(&format!("$C logout {}", registry.address)).ok();
        sh(&pull).refuses(FAILED, &["busybox"]);
        host.sh("test ! -e $HOME/kept").ok();
    }
    config(r#"{"credsStore": "broken"}"#);
    sh(&pull).refuses(FAILED, &["docker-credential-broken get", "the vault is locked"]);
    config(r#"{"credsStore": "absent"}"#);
    sh(&pull).refuses(FAILED, &["docker-credential-absent", "install the helper"]);
    config(r#"{"credsStore": "../bin/docker-credential-test"}"#);
    sh(&pull).refuses(FAILED, &["not a name of a helper"]);
    config("{");
    sh(&pull).refuses(FAILED, &["config.json"]);
}

#[test]
fn authorities() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        authorities_of(&host);
    }
}

fn authorities_of(host: &Host) {
    certificates(host);
    // A place to put an authority that is not the machine's own.
    host.admin(
        "mkdir /tmp/etc /tmp/etc/upper /tmp/etc/work
        mount -t overlay -o lowerdir=/etc,upperdir=/tmp/etc/upper,workdir=/tmp/etc/work overlay /etc
        rm -rf /etc/docker /etc/containers",
    );
    let registry = Registry::settings(host).port(5003).tls().start();
    let image = registry.image("busybox");
    let check = |family: &str, prepare: &str, trusted: bool| {
        host.admin(prepare);
        let pulled =
            host.sh(&format!("set -a; test ! -e /tmp/env || . /tmp/env; exec $C pull --quiet {image}"));
        assert_eq!(pulled.code == 0, trusted, "{family}: {pulled}");
        if trusted {
            pulled.ok();
            host.run(["rmi", &image]).ok();
        } else {
            pulled.refuses(FAILED, &["certificate", "certs.d/127.0.0.1:5003/ca.crt"]);
        }
    };
    check("M16", ":", false);
    check(
        "M16",
        "mkdir -p /etc/docker/certs.d/127.0.0.1:5003; cp /tmp/ca.crt /etc/docker/certs.d/127.0.0.1:5003",
        true,
    );
    check("M16", "mv /etc/docker/certs.d/127.0.0.1:5003 /etc/docker/certs.d/127.0.0.1:5004", false);
    check(
        "M16",
        "mkdir -p /etc/containers; mv /etc/docker/certs.d /etc/containers; cd /etc/containers/certs.d; mv *4 127.0.0.1:5003",
        true,
    );
    check("M16", "rm -r /etc/containers", false);
    check(
        "M16",
        "cat /etc/ssl/certs/ca-certificates.crt /tmp/ca.crt >/tmp/all; echo SSL_CERT_FILE=/tmp/all >/tmp/env",
        true,
    );
}

/// Who is certified to be somebody else is not talked to, with TLS or without.
#[test]
fn certificates_of_another_name() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        certificates_of_another_name_of(&host);
    }
}

fn certificates_of_another_name_of(host: &Host) {
    certificates(host);
    host.admin(
        "mkdir /tmp/etc /tmp/etc/upper /tmp/etc/work
        mount -t overlay -o lowerdir=/etc,upperdir=/tmp/etc/upper,workdir=/tmp/etc/work overlay /etc
        rm -rf /etc/docker /etc/containers; echo 127.0.0.1 registry.test >>/etc/hosts",
    );
    // Where it would be asked for without TLS.
    let plain = Web::start(host, 80, |_| (200, b"{}".to_vec()));
    let check = |family: &str, registry: &str, certified: &str, trusted: bool| {
        certify(host, certified);
        let _registry = Registry::settings(host).port(443).tls().start();
        let pulled = host.sh(&format!("SSL_CERT_FILE=/tmp/ca.crt exec $C pull --quiet {registry}/busybox"));
        assert_eq!(pulled.code == 0, trusted, "{family}: {certified}: {pulled}");
        if trusted {
            host.run(["rmi", &format!("{registry}/busybox")]).ok();
        } else {
            let pulled = pulled.refuses(FAILED, &["certificate not valid for name"]);
            assert!(!pulled.stderr.contains("certs.d"), "what would not help: {pulled}");
        }
        assert!(plain.requests().is_empty(), "{family}: {certified}: asked without TLS");
    };
    check("M16", "registry.test", "DNS:registry.test", true);
    check("M16", "registry.test", "DNS:other.test", false);
    check("M16", "registry.test", "DNS:registry.test.other.test", false);
    check("M16", "registry.test", "DNS:*.registry.test", false);
    check("M16", "registry.test", "IP:127.0.0.1", false);
    check("M16", "127.0.0.1:443", "IP:127.0.0.1", true);
    check("M16", "127.0.0.1:443", "IP:127.0.0.2", false);
    check("M16", "127.0.0.1:443", "DNS:registry.test", false);
}

/// Blobs lie elsewhere: the one who has them gets no credential, and what comes is verified as ever.
#[test]
fn redirects() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        redirects_of(&host);
    }
}

fn redirects_of(host: &Host) {
    certificates(host);
    let storage = host.path("/tmp/fixtures/registry");
    let store = Web::start(host, 5002, move |request| {
        let path = request.target.split('?').next().unwrap_or_default().trim_start_matches('/');
        (200, std::fs::read(storage.join(path)).expect("a blob of the fixtures"))
    });
    let liar = Web::start(host, 5012, |_| (200, b"something else".to_vec()));
    let empty = Web::start(host, 5022, |_| (404, Vec::new()));
    let redirecting = |port: u16, to: &str, tls: bool| {
        let line = format!("middleware: {{storage: [{{name: redirect, options: {{baseurl: '{to}'}}}}]}}");
        let settings = Registry::settings(host).port(port).login().also(&line);
        let registry = if tls { settings.tls() } else { settings }.start();
        let config = format!(
            r#"{{"auths": {{"{}": {{"auth": "{}"}}}}}}"#,
            registry.address,
            BASIC.trim_start_matches("Basic ")
        );
        host.sh(&format!("mkdir -p $HOME/.docker; printf %s '{config}' >$HOME/.docker/config.json")).ok();
        registry
    };
    let at = |server: &Web| format!("http://{}", server.address);

    let registry = redirecting(5001, &at(&store), false);
    host.run(["pull", &registry.image("debian:12")]).ok();
    let seen = store.requests();
    assert_eq!(seen.len(), 5, "the config and four layers: {seen:?}");
    assert!(seen.iter().all(|one| one.header("authorization").is_none()), "{seen:?}");
    let check = |port: u16, to: &str, tls: bool, words: &[&str]| {
        let registry = redirecting(port, to, tls);
        let image = registry.image("busybox");
        host.sh(&format!("SSL_CERT_FILE=/tmp/ca.crt exec $C pull {image}")).refuses(FAILED, words);
    };
    check(5003, &at(&liar), false, &["digest"]);
    check(5004, &at(&empty), false, &["404"]);
    check(5005, &at(&store), true, &["redirect", "from https to http"]);
    check(5006, "http://169.254.169.254/", false, &["redirect", "an address of this machine"]);
    assert!(store.requests().is_empty(), "nobody was asked");
}

/// Where every address leads to a next one, nobody goes on and on.
#[test]
fn circles() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let web = Web::start_at(&host, ("127.0.0.1", 5007), |request| match request.target.as_str() {
            "/v2/" => (200, Vec::new(), b"{}".to_vec()),
            pages if pages.contains("/tags/list") => {
                let next = "</v2/x/web/tags/list?last=1>; rel=\"next\"".to_owned();
                (200, vec![("link", next)], br#"{"tags":["1"]}"#.to_vec())
            }
            target => (302, vec![("location", format!("{target}x"))], Vec::new()),
        });
        let check = |_family: &str, option: &str, words: &[&str]| {
            host.run(["pull", option, &format!("{}/x/web", web.address)]).refuses(FAILED, words);
            let asked = web.requests().len();
            assert!(asked < 20, "{asked} requests");
        };
        check("M12", "--all-tags", &["list the tags", "leads back to itself"]);
        check("M14", "--quiet", &["more than 5 redirects"]);
    }
}

/// A registry has more tags than anybody wants to see, on one page, on many, or on pages without end.
#[test]
fn many_tags() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        many_tags_of(&host);
    }
}

fn many_tags_of(host: &Host) {
    // Those of one page, as `NAME/tags/list?n=PAGE` has them.
    let page = |name: &str, page: u64| match name {
        "one-page" => Some(0..1_000_000),
        "full-page" => Some(0..400_000),
        "pages" => Some(page * 10_000..(page + 1) * 10_000),
        "all" if page < 10 => Some(page * 10_000..(page + 1) * 10_000),
        "small-pages" => Some(page..page + 1),
        _ => None,
    };
    let web = Web::start_at(host, ("127.0.0.1", 5008), move |request| {
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let number = query.strip_prefix("n=").and_then(|number| number.parse().ok()).unwrap_or(0);
        let name = path.strip_prefix("/v2/").and_then(|path| path.strip_suffix("/tags/list"));
        let (Some(name), true) = (name, path != "/v2/") else {
            return (if path == "/v2/" { 200 } else { 404 }, Vec::new(), b"{}".to_vec());
        };
        let tags: Vec<String> = page(name, number).into_iter().flatten().map(|tag| tag.to_string()).collect();
        let next = page(name, number + 1).filter(|next| next.start >= tags.len() as u64);
        let link = next.map(|_| ("link", format!("</v2/{name}/tags/list?n={}>; rel=\"next\"", number + 1)));
        (200, link.into_iter().collect(), serde_json::json!({ "tags": tags }).to_string().into_bytes())
    });
    let check = |family: &str, name: &str, hint: &str, all: &str, most: usize| {
        let image = format!("{}/{name}", web.address);
        // Nobody needs as much memory for it.
        let pull = |words: &str| host.sh(&format!("ulimit -d 65536; exec $C pull --quiet {words}"));
        pull(&format!("{image}:none")).refuses(FAILED, &["404", hint]);
        let asked = web.requests().len();
        assert!(asked <= most, "{family}: {name}: {asked} requests");
        pull(&format!("--all-tags {image}")).refuses(FAILED, &[all]);
        let asked = web.requests().len();
        assert!(asked <= most, "{family}: {name}: {asked} requests for all");
    };
    let first = "has no tag none; it has 0, 1, 10, 100";
    check("M12", "one-page", "", "more than 4194304 bytes", 3);
    check("M12", "full-page", first, "more than 100000 of them", 3);
    check("M12", "pages", first, "more than 100000 of them", 12);
    check("M12", "small-pages", "has no tag none; it has 0, 1, 10, 100", "more than 1000 of them", 1002);
    // All of them are taken where they are not more: the first is not there.
    check("M12", "all", first, "/manifests/0: 404", 25);
}

/// One layer is held back: the others arrive and are unpacked meanwhile, and are there for the next pull.
#[test]
fn layers_arrive_side_by_side_and_are_kept() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        layers_arrive_side_by_side_and_are_kept_of(&host);
    }
}

fn layers_arrive_side_by_side_and_are_kept_of(host: &Host) {
    let storage = host.path("/tmp/fixtures/registry");
    let held = Arc::new(AtomicBool::new(true));
    let base = {
        let registry = Registry::start(host);
        let manifest = registry.manifest(&registry.digest("debian", "12"));
        let digest = manifest["layers"][0]["digest"].as_str().expect("a layer has a digest").to_owned();
        digest.trim_start_matches("sha256:").to_owned()
    };
    let (holds, big) = (Arc::clone(&held), base.clone());
    let store = Web::start(host, 5002, move |request| {
        while request.target.contains(&big) && holds.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        (200, std::fs::read(storage.join(request.target.trim_start_matches('/'))).expect("a blob"))
    });
    let to = format!(
        "middleware: {{storage: [{{name: redirect, options: {{baseurl: 'http://{}'}}}}]}}",
        store.address
    );
    let registry = Registry::settings(host).port(5001).also(&to).start();
    let image = registry.image("debian:12");
    let pull = host.spawn(["pull", &image]);
    wait_for("three of four layers are unpacked", || {
        let whole = "find /tmp/data -path '*/layers/*' -name diff | wc -l";
        (host.admin(whole).line() == "3").then_some(())
    });
    pull.signal(Signal::INT);
    assert_ne!(pull.wait().code, 0);
    held.store(false, Ordering::Relaxed);
    // The one that was held back ends as its client is gone.
    store.requests();
    let pulled = host.run(["pull", &image]).ok();
    assert_eq!(pulled.stderr.matches(": already here").count(), 3, "{pulled}");
    assert_eq!(pulled.stderr.matches(": pulled").count(), 1, "{pulled}");
    let asked: Vec<_> = store.requests().into_iter().map(|request| request.target).collect();
    let layers = registry.manifest(&registry.digest("debian", "12"))["layers"].clone();
    let again = layers.as_array().into_iter().flatten().filter_map(|layer| layer["digest"].as_str());
    for digest in again.map(|digest| digest.trim_start_matches("sha256:")).filter(|digest| *digest != base) {
        assert!(asked.iter().all(|target| !target.contains(digest)), "{digest} again: {asked:?}");
    }
    host.run(["run", "--rm", &image, "dpkg", "--audit"]).ok().prints("");
}
