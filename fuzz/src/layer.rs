//! Layers, unpacked into a directory that has a neighbour.

use crate::archive;
use std::fs;
use std::path::Path;

/// What a layer may take: bytes and files.
pub const MOST: (u64, u64) = (4 << 20, 1000);

/// Whatever is taken stays inside of its root, and what was kept beside its files can be read.
pub fn layer(data: &[u8]) {
    one(data);
    // Few changes leave the checksums right, which are the least of what is to be looked at.
    let mut right = data.to_vec();
    archive::set_checksums(&mut right);
    if right != data {
        one(&right);
    }
}

fn one(data: &[u8]) {
    let ground = ground();
    let (root, split) = (ground.path().join("root"), ground.path().join("split"));
    fs::create_dir(&root).expect("mkdir");
    fs::write(ground.path().join("canary"), "sings").expect("write");
    let unpacked = image::fuzzing::unpack(data, &root, &split, MOST);
    assert_eq!(fs::read_to_string(ground.path().join("canary")).ok().as_deref(), Some("sings"));
    assert_eq!(fs::read_dir(ground.path()).expect("list").count(), 3, "something is beside the root");
    // What was unpacked may be no archive again, where a later entry of it took the place of an earlier one: then that is told.
    if unpacked.is_ok() {
        drop(image::fuzzing::archive_again(&split, &root));
    }
    // A directory without permissions is removed too.
    image::remove_at(&root).expect("remove");
}

/// In memory where that can be: nothing of it has to outlive the process.
fn ground() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}
