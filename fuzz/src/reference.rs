//! Names of images.

use image::Reference;

/// Whatever is taken is plain text that is read again as the same, in its long form and in its short one.
pub fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(found) = Reference::parse(text) else { return };
    let (whole, familiar) = (found.to_string(), found.familiar());
    assert_eq!(Reference::parse(&whole).as_ref().ok(), Some(&found), "{text:?}: {whole}");
    assert_eq!(Reference::parse(&familiar).as_ref().ok(), Some(&found), "{text:?}: {familiar}");
    assert!(whole.bytes().all(|byte| byte.is_ascii_graphic()), "{whole:?}");
    // It becomes a part of a URL and of paths.
    for part in found.repository.split('/') {
        assert!(!part.is_empty() && part != "." && part != "..", "{whole:?}");
    }
    assert!(!found.registry.is_empty() && !found.registry.contains(['/', '@', '?', '#', '%']), "{whole:?}");
    assert!(found.name().len() <= 255, "{whole:?}");
    assert!(found.tag.is_some() || found.digest.is_some(), "{whole:?}");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let digest = format!("sha256:{}", "0a".repeat(32));
    [
        "alpine".to_owned(),
        "library/alpine:3.20".to_owned(),
        "docker.io/library/a/b".to_owned(),
        "index.docker.io/x".to_owned(),
        "localhost:5000/team/app:1.0_rc-2".to_owned(),
        "localhost/a".to_owned(),
        "[::1]:5000/a/b__c.d---e".to_owned(),
        "REGISTRY.example.com/a".to_owned(),
        format!("quay.io/x/y:tag@{digest}"),
        format!("x@{digest}"),
        format!("x@sha512:{}", "b".repeat(128)),
        "xn--nxasmq6b.example/a".to_owned(),
        "a:b:c@d".to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

pub const WORDS: &[&str] = &[
    "docker.io/",
    "index.docker.io/",
    "library/",
    "localhost",
    ":5000",
    "@sha256:",
    "@sha512:",
    "[::1]",
    "..",
    "__",
    "--",
    ":latest",
    ":65536",
    "/",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];
