//! `image mount` and `image unmount`: the files of an image, where this process is.

use crate::images::short;
use crate::place::{place, print};
use engine::Result;

/// Mount images where this process is, read-only
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image mount debian:12\n  devoxx-container image mount\n  ls $(devoxx-container image mount debian:12)"
)]
pub struct Mount {
    /// Names or ids; without any, those that are mounted
    images: Vec<String>,
}

/// Unmount images
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container image unmount debian:12\n  devoxx-container image unmount --all"
)]
pub struct Unmount {
    /// All that are mounted
    #[arg(short, long, conflicts_with = "images")]
    all: bool,
    /// Names or ids
    #[arg(required_unless_present = "all")]
    images: Vec<String>,
}

/// `image mount`.
pub fn mount(arguments: &Mount) -> Result<i32> {
    let place = place()?;
    if arguments.images.is_empty() {
        for (id, path) in engine::mounted_images(&place.paths)? {
            print(&format!("{} {}", short(&id), path.display()))?;
        }
        return Ok(0);
    }
    for name in &arguments.images {
        let path = engine::mount_image(&place.paths, &place.images, name, place.rootless.is_some())?;
        print(&path.display().to_string())?;
    }
    Ok(0)
}

/// `image unmount`.
pub fn unmount(arguments: &Unmount) -> Result<i32> {
    let place = place()?;
    let ids = if arguments.all {
        engine::mounted_images(&place.paths)?.into_iter().map(|(id, _)| id).collect()
    } else {
        arguments.images.clone()
    };
    for name in &ids {
        print(&engine::unmount_image(&place.paths, &place.images, name)?)?;
    }
    Ok(0)
}
