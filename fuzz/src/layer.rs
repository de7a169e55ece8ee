//! Layers, unpacked into a directory that has a neighbour.

use crate::archive;
use std::fs;
use std::path::Path;

/// What a layer may take: bytes and files.
pub const MOST: (u64, u64) = (4 << 20, 1000);

/// Whatever is taken stays inside of its root, and can be put together again to the same bytes.
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
    let root = ground.path().join("root");
    fs::create_dir(&root).expect("mkdir");
    fs::write(ground.path().join("canary"), "sings").expect("write");
    let unpacked = image::fuzzing::unpack(data, &root, ground.path(), MOST);
    assert_eq!(fs::read_to_string(ground.path().join("canary")).ok().as_deref(), Some("sings"));
    let mut beside: Vec<_> =
        fs::read_dir(ground.path()).expect("list").flatten().map(|entry| entry.file_name()).collect();
    // It is there where something was read.
    beside.retain(|name| name != "split");
    beside.sort();
    assert_eq!(beside, ["canary", "root"], "something is beside the root");
    if let Ok(archive) = unpacked {
        let again = image::fuzzing::archive_again(ground.path(), &root);
        assert!(again.as_ref().is_ok_and(|again| *again == archive), "another archive: {:?}", again.err());
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
