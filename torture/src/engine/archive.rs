//! Layers and images byte by byte, with what no tool would write in them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// `sha256:...` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// One entry of an archive.
#[derive(Clone)]
pub struct Entry<'a> {
    /// The letter of its type.
    pub kind: u8,
    /// Its name.
    pub name: &'a str,
    /// What it leads to.
    pub link: &'a str,
    /// Its mode.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Numbers of a device.
    pub device: (u32, u32),
    /// What its header says of its size; that of its data where it says nothing else.
    pub size: Option<u64>,
    /// Its data.
    pub data: &'a [u8],
}

impl Default for Entry<'_> {
    fn default() -> Self {
        let mode = 0o644;
        Self { kind: b'0', name: "", link: "", mode, owner: (0, 0), device: (0, 0), size: None, data: b"" }
    }
}

/// An archive that grows.
#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// An entry as it is (ustar, POSIX.1-2017 pax).
    pub fn entry(mut self, entry: &Entry<'_>) -> Self {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, entry.name.as_bytes());
        put(100, format!("{:07o}", entry.mode).as_bytes());
        put(108, format!("{:07o}", entry.owner.0).as_bytes());
        put(116, format!("{:07o}", entry.owner.1).as_bytes());
        match entry.size.unwrap_or(entry.data.len() as u64) {
            size @ 0..0o100_0000_0000 => put(124, format!("{size:011o}").as_bytes()),
            // The other form, of GNU tar.
            size => {
                put(124, &[0x80]);
                put(128, &size.to_be_bytes());
            }
        }
        put(136, b"00000000000");
        put(148, b"        ");
        put(156, &[entry.kind]);
        put(157, entry.link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", entry.device.0).as_bytes());
        put(337, format!("{:07o}", entry.device.1).as_bytes());
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.0.extend(header);
        self.0.extend(entry.data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A file.
    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(&Entry { name, data, ..Entry::default() })
    }

    /// A program.
    pub fn program(self, name: &str, data: &[u8]) -> Self {
        self.entry(&Entry { name, data, mode: 0o755, ..Entry::default() })
    }

    /// A directory.
    pub fn directory(self, name: &str) -> Self {
        self.entry(&Entry { kind: b'5', name, mode: 0o755, ..Entry::default() })
    }

    /// A symbolic link.
    pub fn symlink(self, name: &str, link: &str) -> Self {
        self.entry(&Entry { kind: b'2', name, link, mode: 0o777, ..Entry::default() })
    }

    /// A second name.
    pub fn hardlink(self, name: &str, link: &str) -> Self {
        self.entry(&Entry { kind: b'1', name, link, ..Entry::default() })
    }

    /// A character device.
    pub fn device(self, name: &str, device: (u32, u32)) -> Self {
        self.entry(&Entry { kind: b'3', name, device, mode: 0o666, ..Entry::default() })
    }

    /// Records for the next entry (pax(1)).
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let record = |(key, value): &(&str, &str)| {
            let rest = key.len() + value.len() + 3;
            // Its own digits count too.
            let length = (1..7).map(|digits| rest + digits).find(|all| all.to_string().len() + rest == *all);
            format!("{} {key}={value}\n", length.unwrap_or_default())
        };
        let data: String = records.iter().map(record).collect();
        self.entry(&Entry { kind: b'x', name: "pax", data: data.as_bytes(), ..Entry::default() })
    }

    /// With its end.
    pub fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// busybox, links to it, and the few files that every root has.
fn base() -> &'static [u8] {
    static BASE: OnceLock<Vec<u8>> = OnceLock::new();
    BASE.get_or_init(|| {
        let root = testkit::fixture::directory().join("rootfs/busybox");
        let read =
            |name: &str| std::fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut tar = Tar::default();
        for name in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
            tar = tar.directory(name);
        }
        tar = tar.program("bin/busybox", &read("bin/busybox"));
        tar = tar.file("etc/passwd", &read("etc/passwd")).file("etc/group", &read("etc/group"));
        for entry in std::fs::read_dir(root.join("bin")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "busybox" {
                tar = tar.symlink(&format!("bin/{name}"), "busybox");
            }
        }
        tar.bytes()
    })
}

/// An image.
pub struct Image {
    /// Layers as they are sent, with the digests that they are said to have when they are unpacked.
    layers: Vec<(Vec<u8>, String)>,
    /// What is in `config` of its configuration.
    pub settings: Value,
}

impl Image {
    /// busybox alone.
    pub fn base() -> Self {
        let settings = json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]});
        Self { layers: vec![(base().to_vec(), digest(base()))], settings }
    }

    /// busybox, and a layer on it.
    pub fn of(layer: Tar) -> Self {
        Self::base().and(layer.bytes())
    }

    /// With a further layer.
    pub fn and(mut self, layer: Vec<u8>) -> Self {
        let said = digest(&layer);
        self.layers.push((layer, said));
        self
    }

    /// With a further layer that is compressed, and of which somebody says what is in it.
    pub fn and_packed(mut self, layer: Vec<u8>, said: String) -> Self {
        self.layers.push((layer, said));
        self
    }

    /// With a field of its `config`.
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.settings[key] = value;
        self
    }

    fn config(&self) -> Vec<u8> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let ids: Vec<&String> = self.layers.iter().map(|(_, id)| id).collect();
        let rootfs = json!({"type": "layers", "diff_ids": ids});
        json!({"architecture": architecture, "os": "linux", "config": self.settings, "rootfs": rootfs})
            .to_string()
            .into_bytes()
    }

    /// As `docker save` writes it.
    pub fn saved(&self, name: &str) -> Vec<u8> {
        let names: Vec<String> = (0..self.layers.len()).map(|number| format!("{number}.tar")).collect();
        let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]).to_string();
        let tar =
            Tar::default().file("manifest.json", manifest.as_bytes()).file("config.json", &self.config());
        names.iter().zip(&self.layers).fold(tar, |tar, (name, (layer, _))| tar.file(name, layer)).bytes()
    }

    /// As a registry has it.
    pub fn served(&self) -> Served {
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        let mut blobs = BTreeMap::new();
        let mut described = |kind: &str, bytes: &[u8]| {
            blobs.insert(digest(bytes), bytes.to_vec());
            json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()})
        };
        let config = described("application/vnd.oci.image.config.v1+json", &self.config());
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|(layer, _)| described("application/vnd.oci.image.layer.v1.tar", layer))
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        Served { manifest, kind: MANIFEST.to_owned(), blobs }
    }
}

/// What a registry has of an image.
pub struct Served {
    /// Its manifest.
    pub manifest: Value,
    /// Its media type.
    pub kind: String,
    /// What it is of, by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
}
