//! What everything works on: where things are, the images, and who is told of what happens.

use crate::images::{Images, Progress};
use crate::paths::Paths;
use crate::user_namespace::Ranges;

/// What a wish needs to be fulfilled.
pub struct Host<'a> {
    /// Where everything is.
    pub paths: &'a Paths,
    /// The images.
    pub images: &'a Images,
    /// Set when this process is root of a user namespace only.
    pub rootless: Option<Ranges>,
    /// Hears of a pull.
    pub progress: Progress<'a>,
    /// Hears of what a person should know and is no error.
    pub warn: &'a dyn Fn(&str),
}
