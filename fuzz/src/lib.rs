//! Every reader of foreign input as a target: a function that takes any bytes, and panics where a rule does not hold. Refusing is
//! always right; what is taken has to be what it says.
//!
//! Three things call them: libFuzzer (`make fuzz`), which keeps what reaches something new in `corpus/`; a test, which gives them
//! what was kept and changes it for some seconds (`make fuzz-quick`); and `make torture`, for archives beside tar(1).

pub mod archive;
mod auth_header;
pub mod bpf;
mod config;
pub mod corpus;
mod id_maps;
mod layer;
mod manifest;
mod mount_options;
pub mod mutator;
mod reference;
pub mod runs;
mod seccomp_profile;
mod state;

pub use auth_header::auth_header;
pub use config::config;
pub use id_maps::id_maps;
pub use layer::{MOST as LAYER_MOST, layer};
pub use manifest::manifest;
pub use mount_options::mount_options;
pub use reference::reference;
pub use seccomp_profile::seccomp;
pub use state::state;

/// A reader, and what it starts from.
pub struct Target {
    /// As it is called everywhere.
    pub name: &'static str,
    /// Gives it some bytes.
    pub run: fn(&[u8]),
    /// Inputs that it takes, or nearly.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// The longest input that is tried.
    pub longest: usize,
    /// How much one allocation may take, in MiB.
    pub most_memory: usize,
}

/// All of them, by name.
pub const ALL: &[Target] = &[
    Target {
        name: "auth_header",
        run: auth_header,
        seeds: auth_header::seeds,
        words: auth_header::WORDS,
        longest: 2048,
        most_memory: 64,
    },
    Target {
        name: "config",
        run: config,
        seeds: config::seeds,
        words: config::WORDS,
        longest: 16 << 10,
        most_memory: 64,
    },
    Target {
        name: "id_maps",
        run: id_maps,
        seeds: id_maps::seeds,
        words: id_maps::WORDS,
        longest: 8192,
        most_memory: 64,
    },
    Target {
        name: "layer",
        run: layer,
        seeds: archive::samples,
        words: archive::WORDS,
        longest: 32 << 10,
        // A window of zstd may have 128.
        most_memory: 160,
    },
    Target {
        name: "manifest",
        run: manifest,
        seeds: manifest::seeds,
        words: manifest::WORDS,
        longest: 8192,
        most_memory: 64,
    },
    Target {
        name: "mount_options",
        run: mount_options,
        seeds: mount_options::seeds,
        words: mount_options::WORDS,
        longest: 2048,
        most_memory: 64,
    },
    Target {
        name: "reference",
        run: reference,
        seeds: reference::seeds,
        words: reference::WORDS,
        longest: 1200,
        most_memory: 64,
    },
    Target {
        name: "seccomp",
        run: seccomp,
        seeds: seccomp_profile::seeds,
        words: seccomp_profile::WORDS,
        longest: 16 << 10,
        most_memory: 64,
    },
    Target {
        name: "state",
        run: state,
        seeds: state::seeds,
        words: state::WORDS,
        longest: 8192,
        most_memory: 64,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
