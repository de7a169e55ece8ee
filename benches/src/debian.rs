//! An image of Debian in six layers, in the storage of a registry: the base, and parts of it once more in other places, about 330 MB.

use crate::sample::{Failure, Sample};
use crate::surroundings::Surroundings;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Its name in the registry.
pub const TAG: &str = "debian:bench";

/// What goes into the layers above the base.
const PARTS: [&str; 5] = ["usr/share", "usr/lib", "usr/share", "usr/lib", "usr/share"];

/// Its layers.
pub struct Debian {
    layers: Vec<Layer>,
}

struct Layer {
    tar: PathBuf,
    packed: PathBuf,
    size: u64,
}

impl Debian {
    /// Makes it from the archive of a root file system, in a directory that is a registry's storage afterwards.
    pub fn make(root: &Path, layers: usize, storage: &Path) -> Result<Self, String> {
        let work = storage.join("layers");
        std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
        let tree = work.join("tree");
        let (parts, mut made) = ([""].iter().chain(&PARTS), Vec::new());
        for (number, part) in parts.take(layers).enumerate() {
            let tar = work.join(format!("{number}.tar"));
            let commands = match *part {
                "" => vec![
                    vec!["cp".to_owned(), shown(root), shown(&tar)],
                    vec!["mkdir".to_owned(), shown(&tree)],
                    ["tar", "-C", &shown(&tree), "-xf", &shown(root)]
                        .iter()
                        .map(|&word| word.to_owned())
                        .collect(),
                ],
                part => {
                    // Elsewhere, so that every layer has files of its own.
                    let elsewhere = format!("--transform=s,^usr,opt/{number},");
                    let words = [
                        "tar",
                        "-C",
                        &shown(&tree),
                        &elsewhere,
                        "--numeric-owner",
                        "-cf",
                        &shown(&tar),
                        part,
                    ];
                    vec![words.map(str::to_owned).to_vec()]
                }
            };
            Surroundings::default().unmeasured(&commands)?;
            made.push(Layer::packed(tar)?);
        }
        std::fs::remove_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
        let image = Self { layers: made };
        image.store(storage)?;
        Ok(image)
    }

    /// In a sentence.
    pub fn described(&self) -> String {
        let sum = self.layers.iter().map(|layer| layer.size).sum::<u64>();
        format!(
            "the Debian image has {} layers, {} MB of archives, packed by gzip",
            self.layers.len(),
            sum / 1_000_000
        )
    }

    /// Puts blobs, manifest and tag where a registry has them.
    fn store(&self, storage: &Path) -> Result<(), String> {
        let storage = Storage(storage.join("docker/registry/v2"));
        let (mut layers, mut ids) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            ids.push(digest(&layer.tar)?);
            let packed = std::fs::read(&layer.packed)
                .map_err(|error| format!("{}: {error}", layer.packed.display()))?;
            let name = storage.blob(&packed)?;
            layers.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": name, "size": packed.len()
            }));
        }
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
            "config": {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers", "diff_ids": ids}
        });
        let config = config.to_string().into_bytes();
        let name = storage.blob(&config)?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": layers,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": name, "size": config.len()}
        });
        let manifest = storage.blob(manifest.to_string().as_bytes())?;
        storage.link(&format!("_manifests/revisions/{}", manifest.replace(':', "/")), &manifest)?;
        storage.link("_manifests/tags/bench/current", &manifest)?;
        storage.link(&format!("_manifests/tags/bench/index/{}", manifest.replace(':', "/")), &manifest)
    }

    /// What the work of a pull takes when nothing is waited for: each part alone, and all of it divided by the processors.
    pub fn bound(&self, empty: &Path) -> Result<Sample, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
        let mut sum = Duration::ZERO;
        for layer in &self.layers {
            let packed = std::fs::read(&layer.packed).map_err(|error| failed(&error))?;
            let plain = std::fs::read(&layer.tar).map_err(|error| failed(&error))?;
            let began = Instant::now();
            let mut inflated = [0; 1 << 16];
            let mut decoder = GzDecoder::new(packed.as_slice());
            while decoder.read(&mut inflated).map_err(|error| failed(&error))? > 0 {}
            std::hint::black_box((Sha256::digest(&packed), Sha256::digest(&plain)));
            sum += began.elapsed();
            drop(plain);
            let command = ["tar", "-C", &shown(empty), "-xf", &shown(&layer.tar)].map(str::to_owned).to_vec();
            sum += Surroundings::default().take(&[command], false)?.wall;
        }
        let processors = u32::try_from(crate::report::processors()).unwrap_or(1);
        Ok(Sample { wall: sum / processors, cpu: sum, peak: 0 })
    }
}

impl Layer {
    fn packed(tar: PathBuf) -> Result<Self, String> {
        let packed = tar.with_extension("gz");
        let text = |error: std::io::Error| format!("{}: {error}", tar.display());
        let from = std::fs::File::open(&tar).map_err(text)?;
        let size = from.metadata().map_err(text)?.len();
        let mut to = std::fs::File::create(&packed).map_err(text)?;
        std::io::copy(&mut GzEncoder::new(from, Compression::default()), &mut to).map_err(text)?;
        Ok(Self { tar, packed, size })
    }
}

/// The directory of a registry's storage.
struct Storage(PathBuf);

impl Storage {
    /// Puts a blob there, with a link from the repository; its digest.
    fn blob(&self, content: &[u8]) -> Result<String, String> {
        let hex = hex(&Sha256::digest(content));
        let place = self.0.join("blobs/sha256").join(&hex[..2]).join(&hex);
        write(&place, "data", content)?;
        let name = format!("sha256:{hex}");
        self.link(&format!("_layers/sha256/{hex}"), &name)?;
        Ok(name)
    }

    fn link(&self, place: &str, name: &str) -> Result<(), String> {
        write(&self.0.join("repositories/debian").join(place), "link", name.as_bytes())
    }
}

fn write(directory: &Path, name: &str, content: &[u8]) -> Result<(), String> {
    let text = |error: std::io::Error| format!("{}: {error}", directory.display());
    std::fs::create_dir_all(directory).map_err(text)?;
    let mut file = std::fs::File::create(directory.join(name)).map_err(text)?;
    file.write_all(content).map_err(text)
}

/// Of a file, as OCI has it.
fn digest(file: &Path) -> Result<String, String> {
    let content = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(format!("sha256:{}", hex(&Sha256::digest(&content))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
