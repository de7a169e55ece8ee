//! Manifests and indexes of OCI and of Docker's schema 2, read strictly: a document that can be read in two ways is
//! refused. It fetches nothing and trusts no size that it did not compare.

use crate::digest::Digest;
use crate::layer::budget::BYTES;
use crate::platform::Platform;
use crate::{Error, Kind, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeSet, HashMap};

/// Overlayfs takes no more lower directories.
pub(crate) const LAYERS: usize = 500;
const CONFIG_LIMIT: u64 = 4 << 20;

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const TARS: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];

/// What a document turned out to be.
#[derive(Debug)]
pub(crate) enum Manifest {
    Index(Vec<Entry>),
    Image { config: Blob, layers: Vec<Blob> },
}

/// One manifest of an index.
#[derive(Debug)]
pub(crate) struct Entry {
    pub blob: Blob,
    pub platform: Option<Platform>,
}

/// A descriptor (image-spec, descriptor.md) that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    /// What it says it is; may be empty.
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

impl Blob {
    /// Fails unless it has so many bytes as it says.
    pub fn has(&self, size: u64) -> Result<()> {
        if size == self.size {
            return Ok(());
        }
        Err(corrupt(format!("{size} bytes, not the {} that its descriptor says", self.size)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(flatten)]
    others: HashMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(default)]
    urls: Option<Vec<String>>,
    platform: Option<Offer>,
}

#[derive(Deserialize)]
struct Offer {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

fn corrupt(text: impl Into<String>) -> Error {
    Error::new(Kind::Corrupt, text)
}

fn unsupported(text: impl Into<String>) -> Error {
    Error::new(Kind::Unsupported, text)
}

/// Reads a document; `served_as` is how its sender calls it, a registry's Content-Type for one. It counts where the document does not
/// say, and is empty where nobody says.
pub(crate) fn parse(bytes: &[u8], served_as: &str) -> Result<Manifest> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string().escape_debug().to_string();
        corrupt(format!("manifest: {text}"))
    })?;
    match document.schema_version {
        Some(2) => (),
        Some(1) => {
            return Err(unsupported("manifest: schema 1 is obsolete")
                .with_hint("let whoever made the image push it again with a current tool"));
        }
        other => return Err(corrupt(format!("manifest: schema version {other:?}, not 2"))),
    }
    // Readers that do not care for case would read another document.
    let fields = ["schemaVersion", "mediaType", "config", "layers", "manifests"];
    let is_field = |key: &&String| fields.iter().any(|field| field.eq_ignore_ascii_case(key));
    if let Some(key) = document.others.keys().find(is_field).filter(|_| !sys::mutant!("mutant_im_07")) {
        return Err(corrupt(format!("manifest: {key:?}, which is no field and might be one")));
    }
    let known = |kind: &&str| INDEXES.contains(kind) || MANIFESTS.contains(kind);
    let kind = match (document.media_type.as_deref(), Some(served_as).filter(|kind| !kind.is_empty())) {
        (Some(said), Some(served)) if said != served && !sys::mutant!("mutant_im_07") => {
            return Err(corrupt(format!("manifest: says {said:?} but was served as {served:?}")));
        }
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => "",
    };
    match (document.manifests, document.config, document.layers) {
        (Some(manifests), None, None) if INDEXES.contains(&kind) => index(manifests),
        (None, Some(config), Some(layers)) if MANIFESTS.contains(&kind) => image(config, layers),
        _ if !known(&kind) => Err(unsupported(format!("manifest: unknown media type {kind:?}"))),
        _ => Err(corrupt(format!("manifest: not what its media type {kind:?} says"))),
    }
}

fn index(manifests: Vec<Descriptor>) -> Result<Manifest> {
    if manifests.len() > 10_000 {
        return Err(corrupt(format!("index: {} manifests", manifests.len())));
    }
    let read = |descriptor: Descriptor| {
        let platform = descriptor
            .platform
            .as_ref()
            .map(|o| Platform::normal(&o.os, &o.architecture, o.variant.as_deref()));
        Ok(Entry { blob: blob(&descriptor)?, platform })
    };
    manifests.into_iter().map(read).collect::<Result<_>>().map(Manifest::Index)
}

fn image(config: Descriptor, layers: Vec<Descriptor>) -> Result<Manifest> {
    let kind = config.media_type.as_deref().unwrap_or_default();
    if !CONFIGS.contains(&kind) {
        return Err(unsupported(format!("not a runnable image: its config is {kind:?}"))
            .with_hint("this is an artifact such as a chart or a signature"));
    }
    if layers.len() > LAYERS {
        return Err(unsupported(format!("manifest: {} layers, more than {LAYERS}", layers.len())));
    }
    if config.size > CONFIG_LIMIT {
        return Err(corrupt(format!("config: {} bytes, more than {CONFIG_LIMIT}", config.size)));
    }
    let read = |layer: Descriptor| {
        let kind = layer.media_type.as_deref().unwrap_or_default();
        let is_elsewhere =
            layer.urls.as_ref().is_some_and(|urls| !urls.is_empty()) || kind.contains("foreign");
        if is_elsewhere && !sys::mutant!("mutant_im_10_urls") {
            return Err(unsupported(
                "layer: it is kept outside of the registry, at addresses that are not followed",
            ));
        }
        let suffix = TARS.iter().find_map(|tar| kind.strip_prefix(tar));
        match suffix {
            Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd") => blob(&layer),
            _ => Err(unsupported(format!("layer: unknown media type {kind:?}"))),
        }
    };
    let layers: Vec<Blob> = layers.into_iter().map(read).collect::<Result<_>>()?;
    // What nothing comes of, such as frames that are skipped, takes time too.
    let sum = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
    if sum > BYTES {
        return Err(corrupt(format!("manifest: layers of {sum} bytes, more than {BYTES}")));
    }
    Ok(Manifest::Image { config: blob(&config)?, layers })
}

fn blob(descriptor: &Descriptor) -> Result<Blob> {
    let digest = descriptor.digest.parse::<Digest>().map_err(|error| error.recast(|_| Kind::Corrupt))?;
    if descriptor.size > i64::MAX.cast_unsigned() {
        return Err(corrupt(format!("{digest}: {} bytes", descriptor.size)));
    }
    // Neither a document nor an archive is empty.
    if descriptor.size == 0 {
        return Err(corrupt(format!("{digest}: 0 bytes")));
    }
    Ok(Blob { media_type: descriptor.media_type.clone().unwrap_or_default(), digest, size: descriptor.size })
}

/// The entry of an index that serves a platform best.
pub(crate) fn choose<'a>(entries: &'a [Entry], wish: &Platform) -> Result<&'a Blob> {
    let fit = |entry: &Entry| match &entry.platform {
        Some(offer) => wish.fit(offer),
        // An index of one image need not say for what.
        None => (entries.len() == 1).then_some(0),
    };
    // Of equals the first counts, as the specification says.
    let best = entries
        .iter()
        .rev()
        .filter_map(|entry| fit(entry).map(|fit| (fit, entry)))
        .max_by_key(|(fit, _)| *fit);
    best.map(|(_, entry)| &entry.blob).ok_or_else(|| {
        let offers: BTreeSet<String> = entries
            .iter()
            .filter_map(|entry| entry.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
            .map(|platform| platform.to_string().escape_debug().to_string())
            .take(30)
            .collect();
        let offers: Vec<String> = offers.into_iter().collect();
        unsupported(format!("no image for {wish}"))
            .with_hint(format!("there is one for {}", offers.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI: &str = MANIFESTS[0];
    const INDEX: &str = INDEXES[0];

    fn descriptor(kind: &str) -> String {
        format!(r#"{{"mediaType":"{kind}","size":3,"digest":"sha256:{}"}}"#, "0".repeat(64))
    }

    #[test]
    fn documents_are_sorted() {
        fn check(family: &str, text: &str, served: &str, expected: Result<(), Kind>) {
            let found = parse(text.as_bytes(), served).map(drop).map_err(|error| error.kind);
            assert_eq!(found, expected, "{family}: {served} {text}");
        }
        let (config, layer) = (descriptor(CONFIGS[0]), descriptor(&format!("{}+gzip", TARS[0])));
        let image = format!(r#""config":{config},"layers":[{layer}]"#);
        let head = r#"{"schemaVersion":2"#;
        check("M3", &format!("{head},{image}}}"), OCI, Ok(()));
        check("M3", &format!(r#"{head},"mediaType":"{OCI}",{image}}}"#), "", Ok(()));
        check("M3", &format!(r#"{head},"mediaType":"{OCI}",{image}}}"#), OCI, Ok(()));
        check(
            "M3",
            &format!(r#"{head},"mediaType":"{OCI}",{image}}}"#),
            "application/json",
            Err(Kind::Corrupt),
        );
        check("M3", &format!(r#"{head},"mediaType":"{OCI}",{image}}}"#), INDEX, Err(Kind::Corrupt));
        check("M3", &format!("{head},{image}}}"), "", Err(Kind::Unsupported));
        check("M3", &format!(r#"{head},{image},"annotations":{{"a":"b"}}}}"#), OCI, Ok(()));
        check("M2", &format!(r#"{head},{image},"Layers":[]}}"#), OCI, Err(Kind::Corrupt));
        check("M2", &format!(r#"{head},{image},"Manifests":[]}}"#), OCI, Err(Kind::Corrupt));
        check("M2", &format!(r#"{head},{image},"layers":[]}}"#), OCI, Err(Kind::Corrupt));
        check("M3", &format!(r#"{head},"mediaType":"{OCI}",{image}}}"#), MANIFESTS[1], Err(Kind::Corrupt));
        check("M3", &format!("{head},{image}}}"), "application/json", Err(Kind::Unsupported));
        check("M2", &format!(r#"{head},{image},"manifests":[]}}"#), OCI, Err(Kind::Corrupt));
        check("M3", &format!("{head},{image}}}"), INDEX, Err(Kind::Corrupt));
        check("M3", &format!(r#"{head},"manifests":[]}}"#), INDEX, Ok(()));
        check("M9", r#"{"schemaVersion":1}"#, OCI, Err(Kind::Unsupported));
        check("M7", "{}", OCI, Err(Kind::Corrupt));
        check("M7", "[", OCI, Err(Kind::Corrupt));
        check("M7", &"[".repeat(100_000), OCI, Err(Kind::Corrupt));
        let helm = descriptor("application/vnd.cncf.helm.config.v1+json");
        check("M10", &format!(r#"{head},"config":{helm},"layers":[]}}"#), OCI, Err(Kind::Unsupported));
        check(
            "M10",
            &format!(r#"{head},"config":{config},"layers":[{helm}]}}"#),
            OCI,
            Err(Kind::Unsupported),
        );
        let negative = config.replace(":3", ":-3");
        check("M5", &format!(r#"{head},"config":{negative},"layers":[]}}"#), OCI, Err(Kind::Corrupt));
        let huge = config.replace(":3", ":9223372036854775808");
        check("M5", &format!(r#"{head},"config":{huge},"layers":[]}}"#), OCI, Err(Kind::Corrupt));
        let large = layer.replace(":3", &format!(":{}", 60_u64 << 30));
        check("M5", &format!(r#"{head},"config":{config},"layers":[{large}]}}"#), OCI, Ok(()));
        check(
            "M5",
            &format!(r#"{head},"config":{config},"layers":[{large},{large}]}}"#),
            OCI,
            Err(Kind::Corrupt),
        );
        let odd = config.replace("sha256:", "md5:");
        check("M4", &format!(r#"{head},"config":{odd},"layers":[]}}"#), OCI, Err(Kind::Corrupt));
        let foreign = layer.replace("}", r#","urls":["http://x/"]}"#);
        check(
            "M14",
            &format!(r#"{head},"config":{config},"layers":[{foreign}]}}"#),
            OCI,
            Err(Kind::Unsupported),
        );
        let of = |config: &str, layers: &str| format!(r#"{head},"config":{config},"layers":[{layers}]}}"#);
        for (family, from, to, expected) in [
            ("M4", "sha256:", "sha512:", Err(Kind::Corrupt)),
            ("M4", "sha256:", "SHA256:", Err(Kind::Corrupt)),
            ("M4", "sha256:", "", Err(Kind::Corrupt)),
            ("M4", "sha256:0", "sha256:", Err(Kind::Corrupt)),
            ("M4", "sha256:0", "sha256:00", Err(Kind::Corrupt)),
            ("M4", "sha256:0", "sha256:g", Err(Kind::Corrupt)),
            ("M4", "sha256:0", "sha256:A", Err(Kind::Corrupt)),
            ("M4", "sha256:00", "sha256:..", Err(Kind::Corrupt)),
            ("M5", ":3", ":0", Err(Kind::Corrupt)),
            ("M5", ":3", ":3.5", Err(Kind::Corrupt)),
            ("M5", ":3", ":\"3\"", Err(Kind::Corrupt)),
            ("M5", ":3", ":null", Err(Kind::Corrupt)),
            ("M5", ":3", ":18446744073709551616", Err(Kind::Corrupt)),
            ("M5", ":3", ":1e400", Err(Kind::Corrupt)),
            ("M7", ":3", ":104857600", Err(Kind::Corrupt)),
            ("M7", "\"mediaType\"", "\"mediatype\"", Err(Kind::Unsupported)),
            ("M7", "{", "[", Err(Kind::Corrupt)),
            ("M7", "{", "{\"digest\":1,", Err(Kind::Corrupt)),
        ] {
            check(family, &of(&config.replacen(from, to, 1), &layer), OCI, expected);
        }
        let sha512 = format!("sha512:{}", "0".repeat(128));
        check(
            "M4",
            &of(&config, &layer.replace(&format!("sha256:{}", "0".repeat(64)), &sha512)),
            OCI,
            Ok(()),
        );
        check("M6", &of(&config, ""), OCI, Ok(()));
        check("M6", &of(&config, &format!("{layer},{layer}")), OCI, Ok(()));
        check("M6", &of(&config, &vec![layer.as_str(); 10_000].join(",")), OCI, Err(Kind::Unsupported));
        check("M6", &of(&config, "null"), OCI, Err(Kind::Corrupt));
        check("M6", &of(&config, "[]"), OCI, Err(Kind::Corrupt));
        check(
            "M1",
            &format!(r#"{head},"manifests":[{}]}}"#, vec![layer.as_str(); 10_001].join(",")),
            INDEX,
            Err(Kind::Corrupt),
        );
        check("M1", &format!(r#"{head},"manifests":[[]]}}"#), INDEX, Err(Kind::Corrupt));
        check("M1", &format!(r#"{head},"manifests":{{}}}}"#), INDEX, Err(Kind::Corrupt));
        check("M3", &of(&config, &layer).replace("+gzip", "+lzma"), OCI, Err(Kind::Unsupported));
        check(
            "M3",
            &of(&config, &layer).replace(",\"config\"", ",\"mediaType\":7,\"config\""),
            OCI,
            Err(Kind::Corrupt),
        );
        check(
            "M11",
            &of(&config, &layer)
                .replace(",\"config\"", ",\"annotations\":{\"a\":\"\\u001b[2J\\n\"},\"config\""),
            OCI,
            Ok(()),
        );
    }

    #[test]
    fn the_platform_is_chosen_or_the_offers_are_named() {
        let entry = |os: &str, architecture: &str, digit: &str| {
            format!(
                r#"{{"mediaType":"{OCI}","size":1,"digest":"sha256:{}","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#,
                digit.repeat(64)
            )
        };
        let entries =
            [entry("linux", "amd64", "1"), entry("linux", "arm64", "2"), entry("unknown", "unknown", "3")]
                .join(",");
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        let Manifest::Index(entries) = parse(text.as_bytes(), INDEX).unwrap() else { panic!("no index") };
        let arm = choose(&entries, &Platform::parse("linux/arm64").unwrap()).unwrap();
        assert!(arm.digest.hex().starts_with('2'));
        let error = choose(&entries, &Platform::parse("linux/s390x").unwrap()).unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported);
        assert_eq!(error.hint.as_deref(), Some("there is one for linux/amd64, linux/arm64"));
    }
}
