//! Images: references, registries and their credentials, the store, and layers unpacked as overlayfs wants them.
//!
//! It does not mount, does not run anything but credential helpers and `getent`, does not print, and leaves no thread behind
//! when a call returns. What is an image's default command is the engine's question; here is only its configuration.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("a mutant leaves a defence out: it is for tests, and never in a release");

pub mod archive;
mod challenge;
pub mod credentials;
pub mod digest;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod host_name;
mod kind;
mod layer;
mod load;
mod manifest;
pub mod platform;
mod pull;
mod push;
pub mod reference;
mod registry;
mod save;
mod store;

pub use credentials::CredentialSource;
pub use kind::Kind;
pub use layer::Ownership;
pub use layer::tree::remove_at;
pub use load::load;
pub use platform::Platform;
pub use pull::{Event, PullOptions, pull, tags};
pub use push::{PushOptions, Pushed, push};
pub use reference::Reference;
pub use save::{Format, Saved, save};
pub use store::{Hold, Image, Layer, LayerUse, Listed, Mapped, Problem, Removal, Removed, Store, User};

/// What went wrong with an image.
pub type Error = sys::Failure<Kind>;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
