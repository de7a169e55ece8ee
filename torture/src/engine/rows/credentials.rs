//! Registries that lead whoever asks them to somebody else: who gets a credential on the way.

use super::super::archive::{Image, Served};
use super::super::ground::Ground;
use super::super::registry::{HOME, asks, got_none, home, is_known, logged_in, plain, stranger};
use super::super::{BOTH, Replay};
use serde_json::json;
use testkit::Web;
use testkit::web::{Full, Request};

const BEARER: &str = "Bearer made-for-the-registry";

/// A registry whose blobs are somewhere else.
fn leading(ground: &Ground, served: Served, to: &'static str) -> (Web, Web) {
    let blobs = served.blobs.clone();
    let elsewhere = stranger(ground, "127.0.0.1", 5002, move |request| {
        let wanted = request.target.rsplit('/').next().unwrap_or_default();
        blobs.get(wanted).map_or_else(|| plain(404, b""), |blob| plain(200, blob))
    });
    let registry = home(ground, move |request| match request.target.rsplit_once("/blobs/") {
        _ if !is_known(request) => asks("Basic realm=\"x\""),
        Some((_, digest)) => (307, vec![("location", format!("http://{to}/{digest}"))], Vec::new()),
        None => served.answer(request),
    });
    (registry, elsewhere)
}

/// A registry whose tokens are made at `realm`.
fn with_tokens(request: &Request, served: &Served, realm: &str) -> Full {
    match request.header("authorization") {
        Some(BEARER) => served.answer(request),
        _ => asks(&format!("Bearer realm=\"http://{realm}/token\",service=\"x\"")),
    }
}

fn token() -> Full {
    plain(200, json!({"token": BEARER.trim_start_matches("Bearer ")}).to_string().as_bytes())
}

/// A registry that takes blobs at `to`.
fn taking(ground: &Ground, to: &'static str) -> Web {
    home(ground, move |request| {
        let is_upload = request.target.contains("/blobs/uploads/");
        match request.method.as_str() {
            _ if !is_known(request) => asks("Basic realm=\"x\""),
            "POST" if is_upload => (202, vec![("location", format!("{to}/up"))], Vec::new()),
            "PUT" => plain(201, b""),
            "HEAD" => plain(404, b""),
            _ => plain(200, b"{}"),
        }
    })
}

/// The rows.
pub const ROWS: &[Replay] = &[
    Replay {
        row: "IM-10",
        what: "blobs that are elsewhere: who has them gets no credential",
        users: BOTH,
        mutant: Some("mutant_im_10"),
        attack: |ground| {
            logged_in(ground);
            for to in ["127.0.0.1:5002", "localhost:5002"] {
                let (_registry, elsewhere) = leading(ground, Image::base().served(), to);
                ground.call(&["pull", &format!("{HOME}/team/good:1")]).ok();
                assert!(!got_none(&elsewhere).is_empty(), "nobody was led to {to}");
                ground.call(&["rmi", &format!("{HOME}/team/good:1")]).ok();
            }
            ground.is_intact();
        },
        control: |ground| {
            logged_in(ground);
            let (registry, _elsewhere) = leading(ground, Image::base().served(), "127.0.0.1:5002");
            ground.run(&[], &format!("{HOME}/team/good:1"), "echo runs").ok().prints("runs");
            assert!(registry.requests().iter().any(is_known), "the registry itself has to know who asks");
        },
    },
    Replay {
        row: "IM-10",
        what: "a realm for tokens that is of somebody else",
        users: BOTH,
        mutant: Some("mutant_im_10_realm"),
        attack: |ground| {
            logged_in(ground);
            let evil = stranger(ground, "127.0.0.2", 5003, |_| token());
            let served = Image::base().served();
            let registry = home(ground, move |request| with_tokens(request, &served, "127.0.0.2:5003"));
            ground.call(&["pull", "-q", &format!("{HOME}/team/evil:1")]).refuses(125, &["it is not of"]);
            assert_eq!(got_none(&evil).len(), 0, "a stranger was asked");
            drop(registry);
            // Nor does one without TLS get it, wherever that is.
            let served = Image::base().served();
            let _registry = home(ground, move |request| with_tokens(request, &served, "192.0.2.1"));
            ground.call(&["pull", "-q", &format!("{HOME}/team/evil:1")]).refuses(125, &["not https"]);
            ground.is_intact();
        },
        control: |ground| {
            logged_in(ground);
            let realm = stranger(ground, "127.0.0.1", 5003, |_| token());
            let served = Image::base().served();
            let _registry = home(ground, move |request| with_tokens(request, &served, "127.0.0.1:5003"));
            ground.run(&[], &format!("{HOME}/team/good:1"), "echo runs").ok().prints("runs");
            assert!(realm.requests().iter().all(is_known), "the realm of the registry has to know who asks");
        },
    },
    Replay {
        row: "IM-10",
        what: "an upload that is to go somewhere else",
        users: BOTH,
        mutant: Some("mutant_im_10_upload"),
        attack: |ground| {
            logged_in(ground);
            ground.has(&Image::base(), &format!("{HOME}/team/mine:1"));
            let elsewhere = stranger(ground, "127.0.0.1", 5002, |_| plain(201, b""));
            let _registry = taking(ground, "http://127.0.0.1:5002");
            ground.call(&["push", &format!("{HOME}/team/mine:1")]).ok();
            assert!(!got_none(&elsewhere).is_empty(), "nothing was sent there");
            ground.is_intact();
        },
        control: |ground| {
            logged_in(ground);
            ground.has(&Image::base(), &format!("{HOME}/team/mine:1"));
            let registry = taking(ground, "");
            ground.call(&["push", &format!("{HOME}/team/mine:1")]).ok();
            let sent = registry.requests();
            let put = sent.iter().filter(|one| one.method == "PUT");
            assert!(put.clone().count() >= 3 && put.clone().all(is_known), "{sent:?}");
        },
    },
    Replay {
        row: "IM-10",
        what: "layers at addresses of somebody else",
        users: BOTH,
        mutant: Some("mutant_im_10_urls"),
        attack: |ground| {
            logged_in(ground);
            let evil = stranger(ground, "127.0.0.1", 5002, |_| plain(200, b""));
            let mut served = Image::base().served();
            served.manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:5002/layer"]);
            let _registry = home(ground, move |request| match is_known(request) {
                true => served.answer(request),
                false => asks("Basic realm=\"x\""),
            });
            ground
                .call(&["pull", "-q", &format!("{HOME}/team/evil:1")])
                .refuses(125, &["outside of the registry"]);
            assert_eq!(got_none(&evil).len(), 0, "a stranger was asked");
            ground.is_intact();
        },
        control: |ground| {
            let mut served = Image::base().served();
            served.manifest["layers"][0]["urls"] = json!([]);
            let _registry = home(ground, move |request| served.answer(request));
            ground.run(&[], &format!("{HOME}/team/good:1"), "echo runs").ok().prints("runs");
        },
    },
    Replay {
        row: "IM-10",
        what: "a registry that wants no more than it is owed",
        users: BOTH,
        mutant: None,
        attack: |ground| {
            // Whoever has no account at a registry says nothing of those at others.
            logged_in(ground);
            let other = stranger(ground, "127.0.0.1", 5003, |_| asks("Basic realm=\"x\""));
            ground.call(&["pull", "-q", "127.0.0.1:5003/team/evil:1"]).refuses(125, &["log in"]);
            assert!(!got_none(&other).is_empty(), "nobody was asked");
            ground.is_intact();
        },
        control: |ground| {
            logged_in(ground);
            let served = Image::base().served();
            let _web = home(ground, move |request| match is_known(request) {
                true => served.answer(request),
                false => asks("Basic realm=\"x\""),
            });
            ground.run(&[], &format!("{HOME}/team/good:1"), "echo runs").ok().prints("runs");
        },
    },
];
