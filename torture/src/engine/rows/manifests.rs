//! Documents and blobs that are not what they say.

use super::super::archive::{Image, Served, Tar, digest};
use super::super::ground::Ground;
use super::super::registry::{HOME, asks, document, home, plain};
use super::super::{BOTH, Replay};
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pulls from a registry that has this, which has to be refused with these words and to leave no image.
fn refused(ground: &Ground, served: Served, words: &[&str]) {
    let web = home(ground, move |request| served.answer(request));
    ground.call(&["pull", "-q", &format!("{HOME}/team/evil:1")]).refuses(125, words);
    drop(web);
    ground.call(&["images", "-q"]).ok().prints("");
    ground.is_intact();
}

/// Pulls from a registry that has this, and runs it.
fn works(ground: &Ground, served: Served) {
    let _web = home(ground, move |request| served.answer(request));
    ground.run(&[], &format!("{HOME}/team/good:1"), "echo runs").ok().prints("runs");
}

/// An index with one entry, which is what was the top.
fn indexed(mut served: Served) -> Served {
    let text = served.manifest.to_string().into_bytes();
    let name = served.add(&text);
    let entry = json!({"mediaType": served.kind, "digest": name, "size": text.len()});
    Served {
        manifest: json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}),
        kind: INDEX.to_owned(),
        blobs: served.blobs,
    }
}

/// An image whose manifest somebody has changed.
fn changed(change: impl FnOnce(&mut Value)) -> Served {
    let mut served = Image::base().served();
    change(&mut served.manifest);
    served
}

/// Bytes of a store of which one is changed: of a configuration, of a manifest, of the file `f` of a layer.
const FLIP_CONFIG: &str =
    "f=$(grep -l diff_ids $(find $DEVOXX_ROOT/image/blobs -type f)); sed -i s/linux/linuz/ $f";
const FLIP_MANIFEST: &str = "f=$(grep -l schemaVersion $(find $DEVOXX_ROOT/image/blobs -type f)); sed -i s/schemaVersion/schemaVersioN/ $f";
const FLIP_FILE: &str =
    "printf H | dd of=$(find $DEVOXX_ROOT/image/layers -path '*/diff/f') conv=notrunc status=none";

/// `system check --deep` finds this.
#[track_caller]
fn is_found(ground: &Ground, words: &[&str]) {
    let found = ground.call(&["system", "check", "--deep"]);
    let named = words.iter().all(|word| found.stdout.contains(word));
    assert!(found.code == 125 && named, "not found: {words:?}: {found}");
}

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "IM-05",
        what: "documents, tokens and headers of 64 MiB",
        users: BOTH,
        mutant: Some("mutant_im_05"),
        attack: |ground| {
            let large = || vec![b' '; 64 << 20];
            // Nobody needs as much memory to refuse it.
            let pull = format!("ulimit -d 65536; exec $C pull -q {HOME}/team/evil:1");
            let refused = |web: testkit::Web, words: &str| {
                ground.sh(&pull).refuses(125, &[words]);
                drop(web);
            };
            refused(home(ground, move |_| document(INDEX, &large())), "more than 4194304 bytes");
            let tokens = move |request: &testkit::web::Request| match request.target.starts_with("/token") {
                true => plain(200, &large()),
                false => asks(&format!("Bearer realm=\"http://{HOME}/token\"")),
            };
            refused(home(ground, tokens), "more than 1048576 bytes");
            let web = home(ground, move |_| (404, Vec::new(), large()));
            refused(web, "404");
            let config = changed(|manifest| manifest["config"]["size"] = json!(1 << 30));
            refused(home(ground, move |request| config.answer(request)), "more than 4194304");
            let padded = "x".repeat(2 << 20);
            let layer = Tar::default().pax(&[("comment", &padded)]).file("f", b"");
            ground.load(&Image::of(layer), "evil:1").refuses(125, &["more than the archive may hold"]);
            ground.is_intact();
        },
        control: |ground| {
            let label = "x".repeat(1 << 20);
            works(ground, Image::base().with("Labels", json!({"large": label})).served());
        },
    },
    Replay {
        row: "IM-07",
        what: "a document that is a manifest to some and an index to others",
        users: BOTH,
        mutant: Some("mutant_im_07"),
        attack: |ground| {
            let mut served = Image::base().served();
            served.kind = INDEX.to_owned();
            refused(ground, served, &["was served as"]);
            refused(
                ground,
                changed(|manifest| manifest["manifests"] = json!([])),
                &["not what its media type"],
            );
            refused(ground, changed(|manifest| manifest["Layers"] = json!([])), &["Layers"]);
            let other = changed(|manifest| manifest["mediaType"] = json!("text/plain"));
            refused(ground, other, &["was served as"]);
        },
        control: |ground| {
            works(ground, changed(|manifest| manifest["mediaType"] = Value::Null));
        },
    },
    Replay {
        row: "IM-08",
        what: "digests that are paths",
        users: BOTH,
        mutant: Some("mutant_im_08"),
        attack: |ground| {
            for hex in ["../../../../../canary/secret", "ABCDEF", "00", &"g".repeat(64)] {
                for part in ["config", "layers"] {
                    let evil = format!("sha256:{hex}");
                    let served = changed(|manifest| match part {
                        "config" => manifest["config"]["digest"] = json!(evil),
                        _ => manifest["layers"][0]["digest"] = json!(evil),
                    });
                    let web = home(ground, move |request| served.answer(request));
                    let pulled = ground.call(&["pull", "-q", &format!("{HOME}/team/evil:1")]);
                    let asked = web.requests();
                    let blobs = asked.iter().filter(|one| one.target.contains("/blobs/"));
                    assert_eq!(blobs.count(), 0, "{hex} was asked for: {asked:?}");
                    pulled.refuses(125, &["hexadecimal digits"]);
                }
            }
            refused(ground, changed(|m| m["layers"][0]["digest"] = json!("md5:00")), &["neither sha256 nor"]);
            for name in ["x@sha256:../../x", "x@sha256:12", "x@md5:00"] {
                ground.call(&["run", "--rm", name, "true"]).refused(&[]);
            }
            ground.is_intact();
        },
        control: |ground| {
            let served = Image::base().served();
            let pinned = digest(served.manifest.to_string().as_bytes());
            let _web = home(ground, move |request| served.answer(request));
            ground.run(&[], &format!("{HOME}/team/good@{pinned}"), "echo runs").ok().prints("runs");
        },
    },
    Replay {
        row: "IM-11",
        what: "indexes in indexes",
        users: BOTH,
        mutant: Some("mutant_im_11"),
        attack: |ground| {
            let deep = (0..8).fold(Image::base().served(), |served, _| indexed(served));
            refused(ground, deep, &["indexes in each other"]);
        },
        control: |ground| {
            works(ground, indexed(indexed(Image::base().served())));
        },
    },
    Replay {
        row: "IM-12",
        what: "blobs that were changed on their way",
        users: BOTH,
        mutant: Some("mutant_im_12_wire"),
        attack: |ground| {
            let mut served = Image::of(Tar::default().file("f", b"honest\n")).served();
            let layer = served.blobs.values_mut().find(|blob| blob.starts_with(b"f\0"));
            layer.expect("the layer")[512..519].copy_from_slice(b"hostile");
            refused(ground, served, &["digest"]);
        },
        control: |ground| {
            works(ground, Image::of(Tar::default().file("f", b"honest\n")).served());
        },
    },
    Replay {
        row: "IM-12",
        what: "a configuration, and a manifest, that were changed in the store",
        users: BOTH,
        mutant: Some("mutant_im_12"),
        attack: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.sh(FLIP_CONFIG).ok();
            ground.run(&[], "good:1", "echo runs").refuses(125, &["digest"]);
            is_found(ground, &["good:1", "configuration", "digest"]);
            // What is run is by the configuration alone.
            ground.sh(FLIP_MANIFEST).ok();
            is_found(ground, &["good:1", "manifest", "digest"]);
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base(), "good:1");
            ground.run(&[], "good:1", "echo runs").ok().prints("runs");
        },
    },
    Replay {
        row: "IM-12",
        what: "a file of a layer that was changed in the store",
        users: BOTH,
        mutant: Some("mutant_im_12_layer"),
        attack: |ground| {
            let layer = Tar::default().file("f", b"honest\n");
            let name = digest(&layer.clone().bytes());
            ground.has(&Image::of(layer), "good:1");
            ground.sh(FLIP_FILE).ok();
            is_found(ground, &["good:1", &name, "changed"]);
            ground.run(&[], "good:1", "cat /f").refuses(125, &[&name, "changed"]);
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::of(Tar::default().file("f", b"honest\n")), "good:1");
            ground.call(&["system", "check", "--deep"]).ok().prints("");
            ground.run(&[], "good:1", "cat /f").ok().prints("honest");
        },
    },
    Replay {
        row: "IM-09",
        what: "an image that gives itself the name of another, by its archive and by notes of its manifest",
        users: BOTH,
        mutant: Some("mutant_im_09"),
        attack: |ground| {
            let of = |who: &[u8]| Image::of(Tar::default().file("who", who));
            let (good, evil) = (of(b"honest\n"), of(b"hostile\n"));
            let served = good.served();
            let pinned = format!("{HOME}/team/good@{}", digest(served.manifest.to_string().as_bytes()));
            ground.has(&good, "good:1");
            // A tag that an archive has moves, as by `docker load`. A digest is a promise of what the image is.
            let loaded = ground.load(&evil, &pinned);
            let mut noted = evil.served();
            noted.manifest["annotations"] = json!({
                "io.containerd.image.name": "docker.io/library/good:1",
                "org.opencontainers.image.ref.name": "docker.io/library/good:1",
                "org.opencontainers.image.base.name": "docker.io/library/good:1",
            });
            let web = home(ground, move |request| match request.target.contains("/team/evil/") {
                true => noted.answer(request),
                false => served.answer(request),
            });
            ground.call(&["pull", "-q", &format!("{HOME}/team/evil:1")]).ok();
            for name in ["good:1", &pinned] {
                ground.run(&[], name, "cat /who").ok().prints("honest");
            }
            drop(web);
            loaded.refuses(125, &["has not that digest"]);
            let all = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
            let all = ground.call(&all).ok().stdout;
            let mut names: Vec<&str> = all.lines().filter(|name| !name.ends_with(":<none>")).collect();
            names.sort_unstable();
            assert_eq!(names, ["127.0.0.1:5001/team/evil:1", "good:1"], "{all}");
            ground.is_intact();
        },
        control: |ground| {
            let good = Image::of(Tar::default().file("who", b"honest\n"));
            ground.load(&good, "good:1").ok();
            ground.load(&good, "docker.io/team/good:2").ok();
            for name in ["good:1", "team/good:2"] {
                ground.run(&[], name, "cat /who").ok().prints("honest");
            }
            let served = good.served();
            let pinned = format!("{HOME}/team/good@{}", digest(served.manifest.to_string().as_bytes()));
            let _web = home(ground, move |request| served.answer(request));
            ground.run(&[], &pinned, "cat /who").ok().prints("honest");
        },
    },
    Replay {
        row: "EN-19",
        what: "variables of an image that would be those of the host",
        users: BOTH,
        mutant: Some("mutant_en_19"),
        attack: |ground| {
            for odd in ["HOSTSECRET", "HOST*", "=x"] {
                let image = Image::base().with("Env", json!(["PATH=/bin", odd]));
                ground.load(&image, "evil:1").refuses(125, &["no NAME=VALUE"]);
            }
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base().with("Env", json!(["PATH=/bin", "OF_IMAGE=a=b"])), "good:1");
            let run = "MINE=here exec $C run --rm --net none -e MINE good:1 sh -c 'echo $MINE $OF_IMAGE'";
            ground.sh(run).ok().prints("here a=b");
        },
    },
    Replay {
        row: "EN-15",
        what: "labels of an image that ask for something on the host",
        users: BOTH,
        mutant: Some("mutant_en_15"),
        attack: |ground| {
            let labels = json!({
                "io.containers.autoupdate": "registry",
                "io.podman.annotations.privileged": "TRUE",
                "io.podman.annotations.userns": "host",
                "devoxx.log-driver": "|touch /tmp/canary/evil",
                "devoxx.hook": "/bin/touch /tmp/canary/evil",
                "com.docker.compose.project": "x",
                "run": "touch /tmp/canary/evil",
            });
            ground.has(&Image::base().with("Labels", labels), "evil:1");
            let effective = "grep CapEff /proc/self/status";
            let other = ground.run(&[], "evil:1", effective).ok().stdout;
            ground.has(&Image::base(), "good:1");
            ground.run(&[], "good:1", effective).ok().prints(&other);
            ground.is_intact();
        },
        control: |ground| {
            ground.has(&Image::base().with("Labels", json!({"team": "web"})), "good:1");
            ground.call(&["create", "--name", "one", "good:1"]).ok();
            let shown = ["ps", "-a", "--filter", "label=team=web", "--format", "{{.Names}}"];
            ground.call(&shown).ok().prints("one");
        },
    },
];
