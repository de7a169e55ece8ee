//! Manifests and indexes. The first byte says what they are served as.

/// What a server may say of a document.
const SERVED: [&str; 6] = [
    "",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/json",
];

/// Whatever is taken names digests that are digests, in an amount that is bounded.
pub fn manifest(data: &[u8]) {
    let Some((first, document)) = data.split_first() else { return };
    let Ok(blobs) = image::fuzzing::manifest(document, SERVED[usize::from(*first) % SERVED.len()]) else {
        return;
    };
    assert!(blobs.len() <= 10_000, "{} blobs", blobs.len());
    for (digest, size) in blobs {
        let again = digest.parse::<image::digest::Digest>().map(|digest| digest.to_string());
        assert_eq!(again.ok().as_deref(), Some(digest.as_str()));
        assert!(i64::try_from(size).is_ok(), "{size}");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let descriptor = |kind: &str, more: &str| {
        format!(r#"{{"mediaType":"{kind}","size":3,"digest":"sha256:{}"{more}}}"#, "0".repeat(64))
    };
    let config = descriptor("application/vnd.oci.image.config.v1+json", "");
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "");
    let docker = descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", r#","urls":[]"#);
    let docker_config = descriptor("application/vnd.docker.container.image.v1+json", "");
    let platform = r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#;
    let entry = descriptor(SERVED[1], platform);
    let sha512 = entry.replace(&format!("sha256:{}", "0".repeat(64)), &format!("sha512:{}", "1".repeat(128)));
    let head = r#"{"schemaVersion":2"#;
    [
        format!(
            r#"{}{head},"config":{config},"layers":[{layer},{layer}],"annotations":{{"a":"b"}}}}"#,
            '\u{1}'
        ),
        format!(r#"{}{head},"mediaType":"{}","config":{config},"layers":[]}}"#, '\0', SERVED[1]),
        format!(
            r#"{}{head},"mediaType":"{}","config":{docker_config},"layers":[{docker}]}}"#,
            '\u{3}', SERVED[3]
        ),
        format!(r#"{}{head},"manifests":[{entry},{sha512}],"subject":null}}"#, '\u{2}'),
        format!(r#"{}{head},"mediaType":"{}","manifests":[]}}"#, '\0', SERVED[4]),
        format!(r#"{}{{"schemaVersion":1,"fsLayers":[]}}"#, '\u{5}'),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

pub const WORDS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "config",
    "layers",
    "manifests",
    "digest",
    "size",
    "urls",
    "platform",
    "os",
    "architecture",
    "variant",
    "annotations",
    "artifactType",
    "sha256:",
    "sha512:",
    "Layers",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "9223372036854775808",
    "-1",
    "1e400",
    "null",
    "[[[[[[[[",
    "\\u0000",
];
