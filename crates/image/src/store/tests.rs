//! The store's records and their removal, with layers made by hand.

use super::*;

const ARM: &str = "linux/arm64";

fn platform(text: &str) -> Platform {
    Platform::parse(text).unwrap()
}

fn add(store: &Store, name: &str, content: &str, layers: &[&str], on: &str) -> String {
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","author":"{content}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
        platform(on).architecture
    );
    let id = Digest::of(config.as_bytes());
    let manifest = Digest::of(format!("manifest {content}").as_bytes());
    store.keep_blob(&id, config.as_bytes()).unwrap();
    let layers: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer.as_bytes())).collect();
    for layer in &layers {
        if let Some(staged) = store.stage(layer, &|| true).unwrap() {
            drop(staged.root().unwrap());
            staged.commit(7).unwrap();
        }
    }
    let name = Reference::parse(name).unwrap();
    let record = Record {
        config: id.to_string(),
        layers: layers.iter().map(ToString::to_string).collect(),
        size: 7,
        platform: platform(on),
        created: None,
        aliases: [format!("{}@{manifest}", name.name())].into(),
    };
    let changed = store.change(|records| {
        records.add(&name.to_string(), &manifest.to_string(), record);
        Ok(())
    });
    changed.unwrap();
    id.to_string()
}

fn count(store: &Store, directory: &str) -> usize {
    fs::read_dir(store.path(directory)).unwrap().count()
}

#[test]
fn images_are_found_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("deep/store"), Ownership::Root).unwrap();
    let host = Platform::host().to_string();
    let first = add(&store, "a:1", "one", &["base", "one"], &host);
    let second = add(&store, "b:1", "two", &["base", "two"], &host);
    add(&store, "a:1", "arm", &["base"], ARM);
    let free = |_: &str| None;

    let find = |text: &str| store.find_by_name_or_id(text).map(|image| image.map(|image| image.id));
    assert_eq!(find("a:1").unwrap().as_deref(), Some(&*first));
    assert_eq!(find(&second).unwrap().as_deref(), Some(&*second));
    assert_eq!(find(&second[7..19]).unwrap().as_deref(), Some(&*second));
    assert_eq!(find("nothing").unwrap(), None);
    assert_eq!(find("../x").unwrap_err().kind, Kind::Usage);
    let a = Reference::parse("a:1").unwrap();
    assert_eq!(store.find(&a, Some(&platform("linux/s390x"))).unwrap().map(|image| image.id), None);
    let digest = Digest::of(b"manifest one");
    let by_digest = Reference::parse(&format!("a@{digest}")).unwrap();
    assert_eq!(store.find(&by_digest, None).unwrap().map(|image| image.id).as_deref(), Some(&*first));
    assert_eq!(store.list().unwrap().len(), 3);

    let busy = |id: &str| (id == second).then(|| "web".to_owned());
    let error = store.remove("b:1", &busy).unwrap_err();
    assert_eq!((error.kind, error.to_string().contains("web")), (Kind::InUse, true));
    assert_eq!(count(&store, "layers"), 3);
    let removed = store.remove("b:1", &free).unwrap();
    assert_eq!(
        (removed.untagged, removed.deleted),
        (vec!["docker.io/library/b:1".to_owned()], vec![second.clone()])
    );
    assert_eq!(count(&store, "layers"), 2);
    assert_eq!(store.remove("b:1", &free).unwrap_err().kind, Kind::NotFound);
    store.remove("a:1", &free).unwrap();
    for directory in ["layers", "staging", "locks", "blobs/sha256"] {
        assert_eq!(count(&store, directory), 0, "{directory}");
    }
}

#[test]
fn a_name_moves_to_the_new_image() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let host = Platform::host().to_string();
    let old = add(&store, "a", "old", &["x"], &host);
    let new = add(&store, "a", "new", &["y"], &host);
    let lines = store.list().unwrap();
    assert_eq!(lines[0].reference.as_deref(), Some("docker.io/library/a:latest"));
    assert_eq!((&lines[0].id, &lines[1].id, &lines[1].reference), (&new, &old, &None));
    let removed = store.remove(&old[7..20], &|_| None).unwrap();
    assert_eq!(removed.deleted, [old]);
    assert!(store.find_by_name_or_id("a").unwrap().is_some());
}

#[test]
fn what_a_dead_process_left_is_cleared() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let layer = Digest::of(b"layer");
    let held = store.stage(&layer, &|| true).unwrap().unwrap();
    drop(held.root().unwrap());
    fs::create_dir_all(store.path("staging").join("dead/diff/x")).unwrap();
    store.clear_stale().unwrap();
    assert_eq!(count(&store, "staging"), 1);
    assert_eq!(store.stage(&layer, &|| false).err().map(|error| error.kind), Some(Kind::Cancelled));
    drop(held);
    assert_eq!(count(&store, "staging"), 0);
}
