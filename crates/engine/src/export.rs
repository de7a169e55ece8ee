//! `export`: the root of a container as one archive, without what is mounted in it.

use crate::error::{Result, of_image};
use crate::files;
use crate::host::Host;
use image::archive::{From, Options, To, transfer};
use std::io::Write;
use sys::{Context, called};

/// Writes the root of container `wanted`.
pub fn export(host: &Host<'_>, wanted: &str, out: &mut dyn Write) -> Result<()> {
    let files = files::open(host, wanted, false)?;
    let root = files.root.try_clone().map_err(called(|| "dup".to_owned()))?;
    let inside = |uid, gid| files.inside(uid, gid);
    let options = Options {
        ids: Some(&inside),
        one_mount: true,
        cancelled: Some(host.images.cancelled()),
        ..Options::default()
    };
    transfer(From::Tree(root, Vec::new()), To::Archive(Box::new(out)), &options)
        .map_err(of_image)
        .within(|| format!("export {wanted}"))?;
    Ok(())
}
