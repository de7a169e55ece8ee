//! Pulls from a real registry on loopback: Debian's `docker-registry`, with images made by the tests.

mod image {
    pub mod registry;
}

use devoxx_image as image_crate;
use image::registry::{self, Registry, Source};
use image_crate::{
    CredentialSource, Event, Image, Kind, Ownership, Platform, PullOptions, Reference, Result, Store,
};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

fn pull(store: &Store, name: &str, platform: Option<&str>, config: Option<&Path>) -> Result<Image> {
    let options = PullOptions {
        platform: platform.map(|text| Platform::parse(text).unwrap()),
        progress: &|_| (),
        cancelled: &AtomicBool::new(false),
        credentials: config
            .map_or(CredentialSource::Anonymous, |path| CredentialSource::File(path.to_owned())),
    };
    image_crate::pull(store, &Reference::parse(name).unwrap(), &options)
}

fn count(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

#[test]
fn an_image_is_pulled_shared_and_removed() {
    let registry = Registry::start(None);
    let host = Platform::host().architecture;
    registry.push("base", "1", &Source::new(&host, &["one", "two"]));
    registry.push("other", "1", &Source::new(&host, &["one", "three", "one"]));
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();

    let events = Mutex::new(Vec::new());
    let options = PullOptions {
        platform: None,
        progress: &|event| events.lock().unwrap().push(event),
        cancelled: &AtomicBool::new(false),
        credentials: CredentialSource::Anonymous,
    };
    let base = Reference::parse(&registry.name("base", "1")).unwrap();
    let image = image_crate::pull(&store, &base, &options).unwrap();
    let text = |layer: usize, name: &str| std::fs::read_to_string(image.layers[layer].join(name)).unwrap();
    assert_eq!([text(0, "one"), text(1, "two")], ["one", "two"]);
    let seen = events.into_inner().unwrap();
    assert_eq!(seen[0], Event::Resolving);
    assert_eq!(seen.iter().filter(|event| matches!(event, Event::Done { .. })).count(), 2);

    let other = pull(&store, &registry.name("other", "1"), None, None).unwrap();
    assert_eq!(count(&directory.path().join("layers")), 3);
    // The layer that stands twice is there once, where it is highest.
    assert_eq!(other.layers.len(), 2);
    assert_eq!(other.layers[1], image.layers[0]);
    assert_eq!(store.find(&base, None).unwrap().unwrap().id, image.id);
    let by_digest = format!("{}@{}", base.name(), image.manifest_digest);
    assert_eq!(pull(&store, &by_digest, None, None).unwrap().id, image.id);

    let missing = pull(&store, &registry.name("nothing", "1"), None, None).unwrap_err();
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
    let wrong = pull(&store, &registry.name("base", "1"), Some("linux/s390x"), None).unwrap_err();
    assert_eq!(wrong.kind, Kind::Unsupported, "{wrong}");

    let removal = image_crate::Removal { platform: None, force: false, user: &|_| None };
    store.remove(&other.id, removal).unwrap();
    store.remove(&image.id, removal).unwrap();
    for left in ["layers", "staging", "locks", "blobs/sha256"] {
        assert_eq!(count(&directory.path().join(left)), 0, "{left}");
    }
}

#[test]
fn the_platform_is_chosen_from_an_index() {
    let registry = Registry::start(None);
    registry.push_index("multi", "1", &[Source::new("amd64", &["x"]), Source::new("arm64", &["y"])]);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let name = registry.name("multi", "1");
    let image = pull(&store, &name, Some("linux/arm64/v8"), None).unwrap();
    assert!(image.layers[0].join("y").exists());
    let error = pull(&store, &name, Some("linux/s390x"), None).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("there is one for linux/amd64, linux/arm64"));
    let reference = Reference::parse(&name).unwrap();
    assert!(store.find(&reference, Some(&Platform::parse("linux/amd64").unwrap())).unwrap().is_none());
}

/// A layout of OCI in a directory: one image of one layer, with the media types and the name that are asked for.
fn layout(place: &Path, types: [&str; 3], listed_as: &str, name: &dyn Fn(&str) -> String) -> String {
    let blobs = place.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let keep = |bytes: &[u8]| {
        let digest = registry::digest(bytes);
        std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        serde_json::json!({"digest": digest, "size": bytes.len()})
    };
    let of = |mut descriptor: serde_json::Value, kind: &str| {
        descriptor["mediaType"] = kind.into();
        descriptor
    };
    let layer = keep(&registry::tar("one"));
    let config = serde_json::json!({"architecture": Platform::host().architecture, "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
    let config = keep(config.to_string().as_bytes());
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": types[0],
        "config": of(config, types[1]), "layers": [of(layer, types[2])]});
    let mut listed = of(keep(manifest.to_string().as_bytes()), listed_as);
    let digest = listed["digest"].as_str().unwrap().to_owned();
    listed["annotations"] = serde_json::json!({"io.containerd.image.name": name(&digest)});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [listed]});
    std::fs::write(place.join("index.json"), index.to_string()).unwrap();
    digest
}

#[test]
fn layouts_are_loaded_as_what_they_are() {
    const OCI: [&str; 3] = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar",
    ];
    const DOCKER: [&str; 3] = [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar",
    ];
    let check = |types, listed_as, name: &dyn Fn(&str) -> String, expected: Result<(), &str>| {
        let directory = tempfile::tempdir().unwrap();
        let digest = layout(directory.path(), types, listed_as, name);
        let store = Store::open(&directory.path().join("store"), Ownership::Root).unwrap();
        let cancelled = AtomicBool::new(false);
        let found = image_crate::load(
            &store,
            Some(directory.path()),
            None,
            &mut std::io::empty(),
            &|_| (),
            &cancelled,
        );
        match (found, expected) {
            (Ok(_), Ok(())) => {
                let image = store.find_by_name_or_id(&name(&digest)).unwrap().expect("its name");
                assert_eq!(image.manifest_digest, digest);
            }
            (Err(error), Err(says)) => {
                assert!(error.kind == Kind::Corrupt && error.to_string().contains(says), "{error}");
                assert!(store.list().unwrap().is_empty());
            }
            (found, _) => panic!("{listed_as}: {found:?}"),
        }
    };
    let plain = |_: &str| "app:1".to_owned();
    check(OCI, OCI[0], &plain, Ok(()));
    check(OCI, "", &plain, Ok(()));
    check(DOCKER, DOCKER[0], &plain, Ok(()));
    check(OCI, DOCKER[0], &plain, Err("was served as"));
    check(DOCKER, OCI[0], &plain, Err("was served as"));
    check(OCI, "application/vnd.oci.image.index.v1+json", &plain, Err("was served as"));
    // A digest in the name is the image's own, or refused.
    check(OCI, OCI[0], &|digest| format!("app@{digest}"), Ok(()));
    check(OCI, OCI[0], &|digest| format!("q.io/app:1@{digest}"), Ok(()));
    let other = |_: &str| format!("app@sha256:{}", "0".repeat(64));
    check(OCI, OCI[0], &other, Err("has not that digest"));
}

#[test]
fn an_index_says_what_it_lists() {
    let registry = Registry::start(None);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let check = |kind: &str, expected: Option<Kind>| {
        let source = Source::new(&Platform::host().architecture, &["x"]);
        registry.push_index_of("typed", "1", &[source], kind);
        let found = pull(&store, &registry.name("typed", "1"), None, None);
        assert_eq!(found.as_ref().err().map(|error| error.kind), expected, "{kind}: {found:?}");
    };
    check("application/vnd.docker.distribution.manifest.v2+json", Some(Kind::Corrupt));
    check("application/vnd.oci.image.index.v1+json", Some(Kind::Corrupt));
    check("application/vnd.oci.image.manifest.v1+json", None);
}

#[test]
fn a_cancelled_pull_goes_on_where_it_was() {
    let registry = Registry::start(None);
    let host = Platform::host().architecture;
    registry.push("many", "1", &Source::new(&host, &["a", "b", "c", "d", "e", "f", "g", "h"]));
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let cancelled = AtomicBool::new(false);
    let options = PullOptions {
        platform: None,
        progress: &|event| {
            if matches!(event, Event::Done { .. }) {
                cancelled.store(true, Ordering::Relaxed);
            }
        },
        cancelled: &cancelled,
        credentials: CredentialSource::Anonymous,
    };
    let name = registry.name("many", "1");
    let error = image_crate::pull(&store, &Reference::parse(&name).unwrap(), &options).unwrap_err();
    assert_eq!(error.kind, Kind::Cancelled, "{error}");
    assert_eq!(count(&directory.path().join("staging")), 0);
    let kept = count(&directory.path().join("layers"));
    assert!((1..8).contains(&kept), "{kept}");
    assert!(store.list().unwrap().is_empty());
    let image = pull(&store, &name, None, None).unwrap();
    assert_eq!(image.layers.len(), 8);
}

#[test]
fn two_processes_may_pull_the_same() {
    let registry = Registry::start(None);
    registry.push("same", "1", &Source::new(&Platform::host().architecture, &["a", "b"]));
    let directory = tempfile::tempdir().unwrap();
    let name = registry.name("same", "1");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(directory.path(), Ownership::Root).unwrap();
                assert_eq!(pull(&store, &name, None, None).unwrap().layers.len(), 2);
            });
        }
    });
    assert_eq!(count(&directory.path().join("layers")), 2);
}

#[test]
fn damaged_content_is_refused_and_leaves_nothing() {
    let registry = Registry::start(None);
    let host = Platform::host().architecture;
    let mut source = Source::new(&host, &["x"]);
    source.wrong_diff_id = true;
    registry.push("wrong", "1", &source);
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let error = pull(&store, &registry.name("wrong", "1"), None, None).unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt, "{error}");
    for left in ["layers", "staging"] {
        assert_eq!(count(&directory.path().join(left)), 0, "{left}");
    }
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_password_opens_what_is_closed() {
    let registry = Registry::start(Some("me"));
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.json");
    let closed = pull(
        &Store::open(&directory.path().join("store"), Ownership::Root).unwrap(),
        &registry.name("x", "1"),
        None,
        Some(&config),
    );
    let error = closed.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized, "{error}");
    assert!(error.hint.is_some());
    let host = registry.host();
    let error = image_crate::credentials::login(&config, &host, "me", "wrong").unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized, "{error}");
    assert!(!config.exists());
    image_crate::credentials::login(&config, &host, "me", "secret").unwrap();
    let store = Store::open(&directory.path().join("store"), Ownership::Root).unwrap();
    let error = pull(&store, &registry.name("x", "1"), None, Some(&config)).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "{error}");
    assert!(image_crate::credentials::logout(&config, &host).unwrap());
    assert!(!image_crate::credentials::logout(&config, &host).unwrap());
}

#[test]
fn https_needs_an_authority_that_is_trusted() {
    let registry = Registry::start_secure();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let name = registry.name("x", "1");
    let error = pull(&store, &name, None, None).unwrap_err();
    assert_eq!(error.kind, Kind::Unreachable, "{error}");
    assert!(error.to_string().contains("https://") && error.hint.is_some(), "{error:?}");
    // What is trusted is read from the environment: it takes a process of its own.
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "a_trusted_registry_answers", "--ignored"]);
    let output = child.env("SSL_CERT_FILE", registry.authority()).env("TEST_IMAGE", &name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "runs inside https_needs_an_authority_that_is_trusted"]
fn a_trusted_registry_answers() {
    let name = std::env::var("TEST_IMAGE").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let error = pull(&store, &name, None, None).unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}
