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
            fs::write(store.path("staging").join(layer.hex()).join("split"), "").unwrap();
            staged.commit(7, None).unwrap();
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

fn removal<'a>(user: &'a dyn Fn(&str) -> Option<User>) -> Removal<'a> {
    Removal { platform: None, force: false, user }
}

fn free(_: &str) -> Option<User> {
    None
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

    let busy = |id: &str| (id == second).then(|| User { name: "web".to_owned(), runs: false });
    let error = store.remove("b:1", removal(&busy)).unwrap_err();
    assert_eq!((error.kind, error.to_string().contains("web")), (Kind::InUse, true));
    assert_eq!(count(&store, "layers"), 3);
    let removed = store.remove("b:1", removal(&free)).unwrap();
    assert_eq!(
        (removed.untagged, removed.deleted),
        (vec!["docker.io/library/b:1".to_owned()], vec![second.clone()])
    );
    assert_eq!(count(&store, "layers"), 2);
    assert_eq!(store.remove("b:1", removal(&free)).unwrap_err().kind, Kind::NotFound);
    store.remove("a:1", removal(&free)).unwrap();
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
    let removed = store.remove(&old[7..20], removal(&free)).unwrap();
    assert_eq!(removed.deleted, [old]);
    assert!(store.find_by_name_or_id("a").unwrap().is_some());
}

#[test]
fn a_digest_in_a_name_is_that_of_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let host = Platform::host().to_string();
    let real = Digest::of(b"manifest real");
    let find = |text: &str| store.find_by_name_or_id(text).unwrap().map(|image| image.id);
    // Whoever wrote the name, and whatever stands there.
    let pinned = [format!("a@{real}"), format!("a:1@{real}")];
    for name in &pinned {
        add(&store, name, "false", &["x"], &host);
        assert_eq!(find(name), None, "{name}");
    }
    let id = add(&store, "a", "real", &["y"], &host);
    for name in &pinned {
        assert_eq!(find(name).as_ref(), Some(&id), "{name}");
    }
    assert_eq!(find(&format!("b@{real}")), None, "of another repository");
}

#[test]
fn removal_by_force_and_by_platform() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    let host = Platform::host().to_string();
    let id = add(&store, "a:1", "one", &["one"], &host);
    let arm_id = add(&store, "a:1", "arm", &["arm"], ARM);
    store.tag("a:1", &Reference::parse("other/b:1").unwrap()).unwrap();
    let error = store.remove(&id, removal(&free)).unwrap_err();
    assert_eq!((error.kind, error.to_string().contains("other/b")), (Kind::InUse, true), "{error}");
    // One platform of a name: the name stays for the other.
    let (arm, s390x) = (platform(ARM), platform("linux/s390x"));
    let on = |platform, force, user| Removal { platform: Some(platform), force, user };
    let removed = store.remove("a:1", on(&arm, false, &free)).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (0, 0), "it has another name");
    let removed = store.remove("other/b:1", on(&arm, false, &free)).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted), (0, vec![arm_id]));
    assert_eq!(store.remove("a:1", on(&s390x, true, &free)).unwrap_err().kind, Kind::NotFound);
    // One that a container has stays without a name; one that runs keeps it.
    let force = |user| Removal { platform: None, force: true, user };
    let user = |runs| move |_: &str| Some(User { name: "web".to_owned(), runs });
    let (runs, sleeps) = (user(true), user(false));
    assert_eq!(store.remove(&id, force(&runs)).unwrap_err().kind, Kind::InUse);
    let removed = store.remove(&id, force(&sleeps)).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (2, 0));
    assert_eq!(store.list().unwrap()[0].reference, None);
    assert_eq!(store.remove(&id, force(&free)).unwrap().deleted, [id]);
}

#[test]
fn a_layer_of_an_old_store_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Ownership::Root).unwrap();
    add(&store, "a:1", "one", &["x"], ARM);
    let layer = Digest::of(b"x");
    let place = store.layer(layer.hex());
    fs::write(place.join("diff/kept"), "").unwrap();
    assert!(store.stage(&layer, &|| true).unwrap().is_none());
    fs::remove_file(place.join("split")).unwrap();
    let error = store.replay(&layer).map(drop).unwrap_err();
    assert!(error.hint.is_some_and(|hint| hint.contains("pull")), "the fix is named");
    let staged = store.stage(&layer, &|| true).unwrap().unwrap();
    drop(staged.root().unwrap());
    fs::write(store.path("staging").join(layer.hex()).join("split"), "").unwrap();
    staged.commit(9, None).unwrap();
    assert!(place.join("split").is_file() && place.join("diff/kept").is_file());
    assert_eq!(count(&store, "staging"), 0);
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
    // An image that never came is removed with what its pull has left.
    fs::create_dir_all(store.path("staging").join("dead/diff/x")).unwrap();
    assert_eq!(store.remove("never", removal(&|_: &str| None)).unwrap_err().kind, Kind::NotFound);
    assert_eq!(count(&store, "staging"), 0);
}

/// What a script writes that runs in a directory.
fn sh(place: &Path, script: &str) -> Vec<u8> {
    let output = std::process::Command::new("sh").args(["-ec", script]).current_dir(place).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_layer_is_what_its_archive_says() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store"), Ownership::Root).unwrap();
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let archive = sh(
        &tree,
        "mkdir -p etc empty deep/er; echo root >etc/passwd; : >etc/nothing; ln -s passwd etc/link; ln etc/passwd etc/hard
        truncate -s 1M sparse; printf x | dd of=sparse bs=1 seek=600000 conv=notrunc status=none; : >etc/.wh.gone
        : >deep/.wh..wh..opq; mknod null c 1 3; mkfifo fifo; truncate -s 1M hole; tar -c --sparse .",
    );
    let layer = store.layer_of(|out| out.write_all(&archive).map_err(failed(|| "write".to_owned()))).unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.id()
    );
    store.keep_image(config.as_bytes(), std::slice::from_ref(&layer), None).unwrap();
    let diff = store.layer(layer.diff_id.hex()).join("diff");
    assert_eq!(store.check(true, &|_| ()).unwrap(), []);
    sh(&diff, "touch -d 2001-01-01 etc/passwd etc");
    let check = |damage: &str, undo: &str, expected: &str| {
        sh(&diff, damage);
        let found = store.check(true, &|_| ()).unwrap();
        assert!(found.len() == 1 && found[0].what.ends_with(expected), "{damage}: {found:?}");
        sh(&diff, undo);
        assert_eq!(store.check(true, &|_| ()).unwrap(), [], "{undo}");
        assert_eq!(count(&store, "staging"), 0, "{damage}");
    };
    let same = |text: &str| format!("has been changed: {text}");
    check("echo more >>etc/passwd", "truncate -s 5 etc/passwd", &same("\"etc/hard\" has another size"));
    check("echo evil >etc/passwd", "echo root >etc/passwd", &same("a file has another content"));
    check("echo x >etc/nothing", "truncate -s 0 etc/nothing", &same("\"etc/nothing\" has another size"));
    let write = "dd of=sparse bs=1 conv=notrunc status=none";
    check(
        &format!("printf y | {write} seek=600000"),
        &format!("printf x | {write} seek=600000"),
        &same("\"sparse\" has another content"),
    );
    check(
        &format!("printf y | {write} seek=5"),
        "fallocate -p -o 0 -l 4096 sparse",
        &same("\"sparse\" has another content"),
    );
    check(
        "printf y | dd of=hole conv=notrunc status=none",
        "fallocate -p -o 0 -l 4096 hole",
        "\"hole\" has another content",
    );
    check("chmod u+s etc/nothing", "chmod u-s etc/nothing", &same("\"etc/nothing\" has another mode"));
    check("chmod 777 empty", "chmod 755 empty", &same("\"empty\" has another mode"));
    check("chmod 777 .", "chmod 755 .", &same("\"/\" has another mode"));
    check("chown 1:2 fifo", "chown 0:0 fifo", &same("\"fifo\" has another owner"));
    check("ln -sf /etc/shadow etc/link", "ln -sf passwd etc/link", &same("\"etc/link\" leads elsewhere"));
    check("touch empty/new", "rm empty/new", &same("\"empty/new\" was added"));
    check("touch .wh.x", "rm .wh.x", &same("\".wh.x\" was added"));
    check("rmdir empty", "mkdir empty", &same("\"empty\" is missing"));
    check("rm etc/gone", "mknod -m 0 etc/gone c 0 0", &same("\"etc/gone\" is missing"));
    check(
        "rm null; mknod -m 644 null c 1 5",
        "rm null; mknod -m 644 null c 1 3",
        &same("\"null\" is another device"),
    );
    check("rm fifo; : >fifo", "rm fifo; mkfifo fifo", &same("\"fifo\" is another kind of file"));
    let opaque = "trusted.overlay.opaque";
    rustix::fs::removexattr(diff.join("deep"), opaque).unwrap();
    let found = store.check(true, &|_| ()).unwrap();
    assert!(found[0].what.ends_with("\"deep\" has other attributes"), "{found:?}");
    rustix::fs::setxattr(diff.join("deep"), opaque, b"y", rustix::fs::XattrFlags::empty()).unwrap();
    assert_eq!(store.check(true, &|_| ()).unwrap(), []);
}

/// By whatever path an archive comes to a file.
#[test]
fn sparse_files_are_compared_wherever_links_lead() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store"), Ownership::Root).unwrap();
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let archive = sh(
        &tree,
        "mkdir a; ln -s a l; for file in one two; do
            truncate -s 1M a/$file; printf x | dd of=a/$file bs=1 seek=600000 conv=notrunc status=none; done
        add() { tar -rf ../archive --sparse --no-recursion $@; }; add a l l/one a/two; echo plain >a/two; add l/two; cat ../archive",
    );
    let layer = store.layer_of(|out| out.write_all(&archive).map_err(failed(|| "write".to_owned()))).unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        layer.id()
    );
    store.keep_image(config.as_bytes(), std::slice::from_ref(&layer), None).unwrap();
    assert_eq!(store.check(true, &|_| ()).unwrap(), []);
    let diff = store.layer(layer.diff_id.hex()).join("diff");
    sh(&diff, "printf y | dd of=a/one bs=1 conv=notrunc status=none seek=600000");
    let found = store.check(true, &|_| ()).unwrap();
    assert!(found.len() == 1 && found[0].what.ends_with("\"a/one\" has another content"), "{found:?}");
}

#[test]
fn configurations_are_bounded_and_plain() {
    fn check(family: &str, config: &str, expected: Result<(), &str>) {
        let text = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},"config":{config}}}"#
        );
        match (parse_config(text.as_bytes()), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(says)) => {
                assert!(error.kind == Kind::Corrupt && error.to_string().contains(says), "{family}: {error}")
            }
            (found, _) => panic!("{family}: {config:.100}: {found:?}"),
        }
    }
    let many =
        |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    check("M8", "null", Ok(()));
    check("M8", "{}", Ok(()));
    check("M8", r#"{"Env":null}"#, Ok(()));
    check("M8", r#"{"Env":["PATH=/bin","EMPTY=","A=b=c","Ü=ü"]}"#, Ok(()));
    for (family, entry) in
        [("M8", "HOSTSECRET"), ("M8", "HOST*"), ("M8", ""), ("M8", "=x"), ("M8", "A\\u0000=b")]
    {
        check(family, &format!(r#"{{"Env":["A=b","{entry}"]}}"#), Err("is no NAME=VALUE"));
    }
    let variable = |number: usize| format!(r#""A{number}=""#);
    check("M8", &format!(r#"{{"Env":[{}]}}"#, many(10_000, &variable)), Ok(()));
    check("M8", &format!(r#"{{"Env":[{}]}}"#, many(10_001, &variable)), Err("10001 variables"));
    let volume = |number: usize| format!(r#""/v{number}":{{}}"#);
    check("M8", &format!(r#"{{"Volumes":{{{}}}}}"#, many(1000, &volume)), Ok(()));
    check("M8", &format!(r#"{{"Volumes":{{{}}}}}"#, many(1001, &volume)), Err("1001 volumes"));
    let port = |number: usize| format!(r#""{number}/tcp":{{}}"#);
    check("M8", &format!(r#"{{"ExposedPorts":{{{}}}}}"#, many(10_001, &port)), Err("10001 ports"));
}
