//! Answers of a registry: their bodies end in more than one way, or in none (RFC 9112, 6.3).

use crate::world::{FAILED, program};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use testkit::{Host, Registry, Web};

/// How one answer is written: what it is, its bytes, and whether it was asked for before.
type Written = dyn Fn(&str, &[u8], bool, &mut dyn Write) -> io::Result<()> + Send + Sync;

/// An image behind an index, which its tag leads to.
struct Served {
    index: Vec<u8>,
    /// What they are, and their bytes, by digest.
    parts: BTreeMap<String, (&'static str, Vec<u8>)>,
}

impl Served {
    fn of(host: &Host) -> Self {
        let registry = Registry::start(host);
        let digest = registry.digest("team/zstd", "1");
        let manifest = registry.manifest(&digest);
        let layers = manifest["layers"].as_array().expect("a manifest has layers").iter();
        let named = layers.map(|layer| ("layer", layer)).chain([("config", &manifest["config"])]);
        let named = named.map(|(what, part)| (what, part["digest"].as_str().expect("a digest").to_owned()));
        let read = |(what, digest): (&'static str, String)| {
            let bytes = std::fs::read(registry.blob(&digest)).expect("a blob");
            (digest, (what, bytes))
        };
        let parts: BTreeMap<_, _> = named.chain([("manifest", digest.clone())]).map(read).collect();
        let (kind, size) = (&manifest["mediaType"], parts[&digest].1.len());
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": kind, "digest": digest, "size": size}],
        });
        Self { index: index.to_string().into_bytes(), parts }
    }

    fn size(&self, what: &str) -> usize {
        self.parts.values().find(|(part, _)| *part == what).map_or(0, |(_, bytes)| bytes.len())
    }

    /// Pulls it from who writes his answers in this way. Nothing of it may stay.
    #[track_caller]
    fn pulled(&self, host: &Host, what: &str, written: Box<Written>, expected: Result<(), &str>) {
        let (index, parts) = (self.index.clone(), self.parts.clone());
        let seen = Mutex::new(BTreeSet::new());
        let web = Web::start_raw(host, ("127.0.0.1", 5009), move |request, output| {
            let name = request.target.rsplit('/').next().unwrap_or_default();
            let again = !seen.lock().expect("no handler has panicked").insert(name.to_owned());
            match parts.get(name) {
                _ if request.target == "/v2/" => whole(output, b"{}"),
                Some((what, bytes)) => written(what, bytes, again, output),
                None => written("index", &index, again, output),
            }
        });
        let image = format!("{}/team/image:1", web.address);
        let pulled = host.run(["pull", "--quiet", &image]);
        assert_eq!(pulled.code == 0, expected.is_ok(), "{what}: {pulled}");
        match expected {
            Ok(()) => drop(host.run(["rmi", &image]).ok()),
            Err(says) => drop(pulled.refuses(FAILED, &[says])),
        }
        let left = host.admin("find /tmp/data/image/staging /tmp/data/image/layers -mindepth 1");
        assert_eq!(left.stdout, "", "{what}");
    }
}

/// A head, with more lines, behind which a body may be as long as it likes.
fn head(output: &mut dyn Write, lines: &str) -> io::Result<()> {
    write!(output, "HTTP/1.1 200 -\r\nconnection: close\r\n{lines}\r\n")
}

fn whole(output: &mut dyn Write, body: &[u8]) -> io::Result<()> {
    head(output, &format!("content-length: {}\r\n", body.len()))?;
    output.write_all(body)
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// A piece of a body (RFC 9112, 7.1); an empty one is the last.
fn chunk(output: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    write!(output, "{:x}\r\n", bytes.len())?;
    output.write_all(bytes)?;
    output.write_all(b"\r\n")
}

#[test]
fn how_they_end() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        let served = Served::of(&host);
        ends(&host, &served);
        cut_off(&host, &served);
        without_end(&host, &served);
        malformed(&host, &served);
    }
}

fn ends(host: &Host, served: &Served) {
    let check = |_family: &str, what: &str, written: Box<Written>| served.pulled(host, what, written, Ok(()));
    check("M15", "whole", Box::new(|_, body, _, output| whole(output, body)));
    check(
        "M15",
        "in chunks",
        Box::new(|_, body, _, output| {
            head(output, CHUNKED)?;
            body.chunks(1000).chain([&b""[..]]).try_for_each(|bytes| chunk(output, bytes))
        }),
    );
    check(
        "M15",
        "until the connection ends",
        Box::new(|_, body, _, output| {
            head(output, "")?;
            output.write_all(body)
        }),
    );
    // No range is asked for: what comes is the whole again, as from one who does not heed any.
    check(
        "M15",
        "a layer that is broken off, and then whole",
        Box::new(|what, body, again, output| match what {
            "layer" if !again => {
                head(output, &format!("content-length: {}\r\n", body.len()))?;
                output.write_all(&body[..body.len() / 2])
            }
            _ => whole(output, body),
        }),
    );
}

/// Half of one answer: where nothing says how it ends, only what it should be says that it is none.
fn cut_off(host: &Host, served: &Served) {
    let check = |_family: &str, part: &'static str, form: &'static str, says: &str| {
        let written = move |what: &str, body: &[u8], _, output: &mut dyn Write| {
            if what != part {
                return whole(output, body);
            }
            head(output, form)?;
            let half = &body[..body.len() / 2];
            if form == CHUNKED { chunk(output, half) } else { output.write_all(half) }
        };
        served.pulled(host, &format!("half of the {part}, {form:?}"), Box::new(written), Err(says));
    };
    check("M15", "index", CHUNKED, "fetch manifest");
    check("M15", "index", "", "EOF");
    check("M15", "manifest", CHUNKED, "fetch manifest");
    check("M15", "manifest", "", "manifest: content has digest");
    check("M15", "config", CHUNKED, "fetch configuration");
    check("M15", "config", "", "configuration: content has digest");
    check("M15", "layer", CHUNKED, "the registry broke off");
    check("M15", "layer", "", "the registry broke off after");
}

fn without_end(host: &Host, served: &Served) {
    let check = |_family: &str, part: &'static str, form: &'static str, most: usize| {
        let sent = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&sent);
        let written = move |what: &str, body: &[u8], _, output: &mut dyn Write| {
            if what != part {
                return whole(output, body);
            }
            head(output, form)?;
            let mut bytes = body.to_vec();
            loop {
                if form == CHUNKED {
                    chunk(output, &bytes)?
                } else {
                    output.write_all(&bytes)?
                }
                counts.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                bytes = vec![b' '; 1000];
            }
        };
        let says = format!("more than {}{most} bytes", if part == "layer" { "the " } else { "" });
        served.pulled(host, &format!("{part} without end, {form:?}"), Box::new(written), Err(&says));
        // What the sockets have room for comes on top.
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < most as u64 + (16 << 20), "{part}: {sent} bytes were taken");
    };
    check("M15", "index", CHUNKED, 4 << 20);
    check("M15", "index", "", 4 << 20);
    check("M15", "manifest", CHUNKED, served.size("manifest"));
    check("M15", "manifest", "", served.size("manifest"));
    check("M15", "config", CHUNKED, served.size("config"));
    check("M15", "config", "", served.size("config"));
    check("M15", "layer", CHUNKED, served.size("layer"));
    check("M15", "layer", "", served.size("layer"));
}

/// The right body, with a wrong word of where it ends.
fn malformed(host: &Host, served: &Served) {
    let check =
        |_family: &str, lines: &'static str, before: &'static str, after: &'static str, says: &str| {
            let written = move |_: &str, body: &[u8], _, output: &mut dyn Write| {
                let with = |text: &str| {
                    text.replace("SIZE", &body.len().to_string()).replace("HEX", &format!("{:x}", body.len()))
                };
                head(output, &with(lines))?;
                output.write_all(with(before).as_bytes())?;
                output.write_all(body)?;
                output.write_all(with(after).as_bytes())
            };
            served.pulled(host, &format!("{lines:?}, {before:?}, {after:?}"), Box::new(written), Err(says));
        };
    let (end, none) = ("\r\n0\r\n\r\n", "content-length header not a number");
    check("M15", CHUNKED, "HEX\r\n", "xx0\r\n\r\n", "chunk expected crlf");
    check("M15", CHUNKED, "x\r\n", end, "chunk length");
    check("M15", CHUNKED, "-HEX\r\n", end, "chunk length");
    check("M15", CHUNKED, "ffffffffffffffffff\r\n", end, "chunk length");
    check("M15", "content-length: x\r\n", "", "", none);
    check("M15", "content-length: -SIZE\r\n", "", "", none);
    check("M15", "content-length: 99999999999999999999\r\n", "", "", none);
    check("M15", "content-length: 1\r\ncontent-length: SIZE\r\n", "", "", "conflicting content-length");
}
