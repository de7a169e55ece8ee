//! What is done with images that are here: named, saved, loaded, imported, pushed, pruned, mounted.

use crate::world::{BUSYBOX, FAILED, World, program};
use testkit::fixture::LOGIN;
use testkit::{Host, Registry, Snapshot};

fn worlds() -> [World; 2] {
    [Host::root(&program()), Host::rootless(&program())].map(|host| {
        let world = World::of(host);
        world.host.run(["pull", BUSYBOX]).ok();
        // The files of the network are made with the first container, and stay.
        world.host.run(["create", "--name", "first", BUSYBOX]).ok();
        world.host.run(["rm", "first"]).ok();
        world
    })
}

fn id(world: &World, name: &str) -> String {
    let text = world.host.run(["inspect", name]).ok().stdout;
    let image: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    image[0]["Id"].as_str().expect("an id").to_owned()
}

#[test]
fn names() {
    for world in World::both() {
        let of_busybox = id(&world, BUSYBOX);
        world.host.run(["tag", BUSYBOX, "mine:1"]).ok().prints("");
        world.host.run(["image", "tag", &of_busybox[7..19], "registry.example.com/x/mine"]).ok();
        assert_eq!(id(&world, "mine:1"), of_busybox);
        assert_eq!(id(&world, "registry.example.com/x/mine:latest"), of_busybox);
        // A name moves.
        world.host.run(["pull", "127.0.0.1:5000/team/plain:1"]).ok();
        world.host.run(["tag", "127.0.0.1:5000/team/plain:1", "mine:1"]).ok();
        assert_eq!(id(&world, "mine:1"), id(&world, "127.0.0.1:5000/team/plain:1"));
        let list =
            |words: &[&str]| world.host.run([&["images", "-q"], words].concat()).ok().stdout.lines().count();
        assert_eq!(list(&[]), 2, "two images, whatever their names");
        assert_eq!(list(&["mine"]), 1);
        assert_eq!(list(&["--filter", "reference=127.0.0.1:5000/team/*"]), 1);
        assert_eq!(list(&["--filter", "dangling=true"]), 0);
        world.host.run(["rmi", "mine:1"]).ok().prints("Untagged: docker.io/library/mine:1");
        world.host.run(["rmi", BUSYBOX]).ok().prints("Untagged: 127.0.0.1:5000/busybox:latest");
        world
            .host
            .run(["run", "--rm", "--net", "none", "registry.example.com/x/mine", "echo", "lives"])
            .ok()
            .prints("lives");
        world.host.run(["tag", "nothing", "x"]).refuses(FAILED, &["no such image: nothing"]);
        world.host.run(["tag", "127.0.0.1:5000/team/plain:1", "UPPER"]).refuses(FAILED, &["UPPER"]);
        let digest = format!("x@sha256:{}", "0".repeat(64));
        world.host.run(["tag", "127.0.0.1:5000/team/plain:1", &digest]).refuses(FAILED, &["digest"]);
        world.host.run(["images", "--filter", "what=1"]).refuses(FAILED, &["what=1", "the keys are"]);
        world.host.run(["images", "--filter", "before=nothing"]).refuses(FAILED, &["no such image: nothing"]);
        let digests = world.host.run(["images", "--digests", "--no-trunc"]).ok();
        let digest = world.registry.digest("team/plain", "1");
        assert!(digests.stdout.contains(&digest) && digests.stdout.contains(&of_busybox), "{digests}");
    }
}

#[test]
fn steps() {
    for world in World::both() {
        world.host.run(["pull", "127.0.0.1:5000/debian:12"]).ok();
        let history = world.host.run(["history", "127.0.0.1:5000/debian:12"]).ok();
        assert!(history.stdout.starts_with("IMAGE "), "{history}");
        let whole = id(&world, "127.0.0.1:5000/debian:12");
        let ids = world.host.run(["history", "-q", "--no-trunc", "127.0.0.1:5000/debian:12"]).ok();
        assert_eq!(ids.stdout.lines().next(), Some(whole.as_str()), "{ids}");
        assert!(ids.stdout.lines().count() >= 4, "{ids}");
        world.host.run(["history", "nothing"]).refuses(FAILED, &["no such image: nothing"]);
    }
}

#[test]
fn saved_and_loaded() {
    for world in worlds() {
        let other = "127.0.0.1:5000/debian:12";
        world.host.run(["pull", other]).ok();
        world.host.run(["tag", BUSYBOX, "again:1"]).ok();
        let ids = (id(&world, BUSYBOX), id(&world, other));
        let before = Snapshot::take(&world.host);
        for format in ["docker-archive", "oci-archive"] {
            let save =
                format!("cd /tmp/home && $C save --format {format} -o all.tar {BUSYBOX} again:1 {other}");
            world.host.sh(&save).ok().prints("");
            // The same images are the same bytes.
            world
                .host
                .sh(&format!(
                    "cd /tmp/home && $C save --format {format} {BUSYBOX} again:1 {other} | cmp - all.tar"
                ))
                .ok();
            world.host.run(["rmi", BUSYBOX, "again:1", other]).ok();
            world
                .host
                .sh("cd /tmp/home && gzip -c all.tar >all.tar.gz && mkdir all && tar -xf all.tar -C all")
                .ok();
            let loads = if format == "oci-archive" {
                vec!["load -i all.tar", "load <all.tar.gz", "load -q -i all.tar.gz", "load -i all"]
            } else {
                vec!["load -i all.tar", "load <all.tar.gz", "load -q <all.tar"]
            };
            for load in loads {
                let loaded = world.host.sh(&format!("cd /tmp/home && $C {load}")).ok();
                if !load.contains("-q") {
                    let names: Vec<_> = loaded.stdout.lines().collect();
                    assert_eq!(names.len(), 3, "{loaded}");
                    assert!(names.iter().all(|line| line.starts_with("Loaded image: ")), "{loaded}");
                }
                assert_eq!((id(&world, BUSYBOX), id(&world, other)), ids, "{format} {load}");
                assert_eq!(id(&world, "again:1"), ids.0);
                world
                    .host
                    .run(["run", "--rm", "--net", "none", other, "cat", "/opt/app/third"])
                    .ok()
                    .prints("third");
                world.host.run(["system", "check", "--deep"]).ok().prints("");
                world.host.run(["rmi", BUSYBOX, "again:1", other]).ok();
            }
            world.host.sh("cd /tmp/home && $C load -q -i all.tar && rm -r all all.tar all.tar.gz").ok();
        }
        // Without a name it is found by its id.
        let short = &ids.0[7..19];
        let out = world.host.sh(&format!("$C save {short} | $C load")).ok();
        out.prints(&format!("Loaded image ID: {}", ids.0));
        before.assert_same(&world.host, "save and load");
    }
}

/// What other programs make of the files, and they of ours.
#[test]
fn other_programs_read_it() {
    let world = World::root();
    world.host.run(["pull", "127.0.0.1:5000/debian:12"]).ok();
    let image = "127.0.0.1:5000/debian:12";
    let layers = |name: &str| {
        let text = world.host.run(["inspect", name]).ok().stdout;
        let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        all[0]["RootFS"]["Layers"].clone()
    };
    let (whole, of_image) = (layers(image), id(&world, image));
    for format in ["docker-archive", "oci-archive"] {
        world.host.sh(&format!("cd /tmp/home && $C save --format {format} -o d.tar {image}")).ok();
        let raw = format!("cd /tmp/home && skopeo inspect --config --raw {format}:d.tar | sha256sum");
        let sum = world.host.admin(&raw);
        assert_eq!(sum.line().split(' ').next().map(|hex| format!("sha256:{hex}")), Some(of_image.clone()));
        world.host.admin(&format!(
            "cd /tmp/home && skopeo --insecure-policy copy -q {format}:d.tar oci:theirs:x \
             && skopeo --insecure-policy copy -q {format}:d.tar docker-archive:theirs.tar:theirs:1"
        ));
        // In the other form its configuration is written anew; its layers are the same.
        let loaded = world.host.run(["load", "-i", "/tmp/home/theirs"]).ok();
        let loaded = loaded.line().strip_prefix("Loaded image ID: ").expect("an id").to_owned();
        assert_eq!(layers(&loaded), whole);
        world.host.run(["load", "-i", "/tmp/home/theirs.tar"]).ok().prints("Loaded image: theirs:1");
        assert_eq!(layers("theirs:1"), whole);
        world.host.run(["rmi", "theirs:1"]).ok();
        world.host.run(["rmi", &loaded]);
        world.host.admin("rm -r /tmp/home/*");
    }
}

#[test]
fn bad_archives() {
    let world = World::root();
    world.host.sh(&format!("$C save -o /tmp/home/good.tar {BUSYBOX}")).ok();
    world.host.sh(&format!("$C save --format oci-archive -o /tmp/home/oci.tar {BUSYBOX}")).ok();
    world.host.run(["rmi", BUSYBOX]).ok();
    let before = Snapshot::take(&world.host);
    let check = |script: &str, words: &[&str]| {
        let words = [&["load"], words].concat();
        world
            .host
            .sh(&format!(
                "cd /tmp/home && {script} && $C load <bad.tar; code=$?; rm -rf bad.tar x; exit $code"
            ))
            .refuses(FAILED, &words);
        before.assert_same(&world.host, script);
    };
    check("echo text >bad.tar", &["not an archive"]);
    check(": >bad.tar", &["neither manifest.json nor index.json"]);
    check("head -c 100000 good.tar >bad.tar", &["not an archive"]);
    check("tar -cf bad.tar -C /etc passwd", &["neither manifest.json nor index.json", "import"]);
    check(
        "echo '[{]' >manifest.json && tar -cf bad.tar manifest.json && rm manifest.json",
        &["manifest.json"],
    );
    check("echo '[]' >manifest.json && tar -cf bad.tar manifest.json && rm manifest.json", &["0 images"]);
    let unpack = "mkdir x && tar -xf good.tar -C x && cd x";
    let pack = "tar -cf ../bad.tar * && cd ..";
    check(&format!("{unpack} && rm -r */ && {pack}"), &["layer.tar", "is not in the archive"]);
    check(&format!("{unpack} && for f in */layer.tar; do echo x >>$f; done && {pack}"), &["digest"]);
    check(
        &format!(
            "{unpack} && sed -i 's/linux/linus/' [0-9a-f]*.json && sed -i 's/\"Layers\":\\[\"/&..\\/..\\/etc\\/passwd\",\"/' manifest.json && {pack}"
        ),
        &["layers"],
    );
    check(&format!("{unpack} && sed -i 's/busybox:latest/BUSY BOX/' manifest.json && {pack}"), &["BUSY BOX"]);
    // A digest in a name is a promise that the image does not keep.
    let pinned = format!("{BUSYBOX}@sha256:{}", "0".repeat(64));
    let named = format!("sed -i 's,\"{BUSYBOX}:latest\",\"{pinned}\",' manifest.json");
    check(&format!("{unpack} && {named} && {pack}"), &["is named", &pinned]);
    world.host.run(["run", "--pull", "never", &pinned, "true"]).refuses(FAILED, &["no such image"]);
    // Two readers would take two different ones.
    check(&format!("{unpack} && {pack} && tar -rf bad.tar -C x manifest.json"), &["manifest.json", "twice"]);
    // A directory is what is beneath it.
    let directory = |script: &str, words: &[&str]| {
        let script = format!(
            "cd /tmp/home && mkdir lay && tar -xf oci.tar -C lay && {script} && $C load -i lay; code=$?; rm -rf lay else; exit $code"
        );
        world.host.sh(&script).refuses(FAILED, &[&["load"], words].concat());
        before.assert_same(&world.host, &script);
    };
    directory("mv lay/blobs else && ln -s /tmp/home/else lay/blobs", &["blobs"]);
    directory("mv lay/blobs else && ln -s ../else lay/blobs", &["blobs"]);
    directory("mv lay/index.json else && ln -s ../else lay/index.json", &["index.json"]);
    directory("for f in lay/blobs/sha256/*; do rm $f && mkfifo $f; done", &["is no file"]);
    directory("for f in lay/blobs/sha256/*; do echo x >>$f; done", &["digest"]);
    world.host.run(["load", "-i", "/tmp/home/none.tar"]).refuses(FAILED, &["none.tar"]);
    world.host.run(["save", "nothing"]).refuses(FAILED, &["no such image: nothing"]);
    world.host.run(["save"]).refuses(FAILED, &["required"]);
    world.host.run(["save", "--format", "zip", "x"]).refuses(FAILED, &["zip"]);
    world.host.run(["save", "-o", "/tmp/home/a/b.tar", BUSYBOX]).refuses(FAILED, &["b.tar"]);
    world.host.run(["save", "-o", "/tmp/home/c.tar", "nothing"]).refuses(FAILED, &["nothing"]);
    before.assert_same(&world.host, "refused saves");
}

/// What an image says of itself is neither a command for a terminal nor a variable of this machine.
#[test]
fn what_an_image_says_of_itself() {
    let world = World::root();
    world.host.run(["create", "--name", "one", BUSYBOX]).ok();
    let red = "$(printf '\\033[31mred')";
    let made = world.host.sh(&format!(
        "cd /tmp/home && $C export one >root.tar && $C import -m \"{red}\" -c \"LABEL a={red}\" root.tar odd:1"
    ));
    made.ok();
    for words in [
        &["history", "odd:1"][..],
        &["history", "--no-trunc", "--format", "{{.Comment}}", "odd:1"],
        &["inspect", "--format", "{{.Config.Labels}}", "odd:1"],
        &["inspect", "odd:1"],
    ] {
        let shown = world.host.run(words).ok();
        assert!(shown.stdout.contains("red") && !shown.stdout.contains('\x1b'), "{words:?}: {shown}");
    }
    world.host.run(["create", "--name", "two", "odd:1", "true"]).ok();
    for format in ["{{.Labels}}", "{{.Label \"a\"}}", "table {{.Labels}}", "json"] {
        let shown = world.host.run(["ps", "-a", "--filter", "name=two", "--format", format]).ok();
        assert!(shown.stdout.contains("red") && !shown.stdout.contains('\x1b'), "{format}: {shown}");
    }
    // A configuration with a variable that has no value, put in by hand.
    let odd = "mkdir x && $C save odd:1 | tar -x -C x && cd x && old=$(ls *.json | grep -v manifest) \
        && sed 's/\"config\":{/&\"Env\":[\"HOSTSECRET\"],/' $old >new.json && rm $old && sed -i \"s/$old/new.json/\" manifest.json \
        && tar -cf ../bad.tar * && cd .. && HOSTSECRET=s3 $C load -i bad.tar";
    world.host.sh(&format!("cd /tmp/home && {odd}")).refuses(FAILED, &["HOSTSECRET", "no NAME=VALUE"]);
}

/// A little that unpacks to much: it is given up before the disk is full, and nothing of it stays.
#[test]
fn bombs() {
    let world = World::root();
    world.host.admin("mkdir /tmp/small; mount -t tmpfs -o size=100m,mode=700 small /tmp/small");
    // The files of the store are made when they are needed first.
    world.host.sh("echo text | DEVOXX_ROOT=/tmp/small $C load").refuses(FAILED, &["not an archive"]);
    let before = world.host.admin("find /tmp/small | sort").stdout;
    let check = |what: &str, script: &str| {
        let script = format!("cd /tmp/home && export DEVOXX_ROOT=/tmp/small && {script}");
        world.host.sh(&script).refuses(FAILED, &["ENOSPC"]);
        let after = world.host.admin("find /tmp/small | grep -v /locks/ | sort").stdout;
        let before: Vec<&str> = before.lines().filter(|line| !line.contains("/locks/")).collect();
        assert_eq!(after.lines().collect::<Vec<_>>(), before, "{what}");
    };
    check("load", "head -c 1G /dev/zero | gzip -1 | $C load");
    check("import", "head -c 1G /dev/zero | gzip -1 | $C import - bomb");
    check(
        "import of a file",
        "truncate -s 1G zero && tar -c zero | gzip -1 | $C import - bomb; code=$?; rm zero; exit $code",
    );
}

#[test]
fn a_root_becomes_an_image() {
    for world in worlds() {
        let before = Snapshot::take(&world.host);
        world.host.run(["create", "--name", "one", BUSYBOX]).ok();
        world.host.sh("cd /tmp/home && $C export one >root.tar && gzip -k root.tar").ok();
        let import = |words: &str| world.host.sh(&format!("cd /tmp/home && $C import {words}"));
        let made = import("-m note -c 'CMD [\"echo\", \"imported\"]' -c 'ENV A=b' root.tar mine:1")
            .ok()
            .line()
            .to_owned();
        assert!(made.starts_with("sha256:"), "{made}");
        world.host.run(["run", "--rm", "--net", "none", "mine:1"]).ok().prints("imported");
        world.host.run(["history", "--format", "{{.Comment}}", "mine:1"]).ok().prints("note");
        import("- mine:2 <root.tar.gz").ok();
        world.host.run(["run", "--rm", "--net", "none", "mine:2", "echo", "zipped"]).ok().prints("zipped");
        let nameless = import("root.tar").ok().line().to_owned();
        world.host.run(["rmi", "mine:1", "mine:2", &nameless]).ok();
        world.host.sh("rm /tmp/home/root.tar*").ok();
        import("http://x/y.tar").refuses(FAILED, &["http://x/y.tar"]);
        import("none.tar").refuses(FAILED, &["none.tar"]);
        import("-c 'RUN x' none.tar").refuses(FAILED, &["RUN x"]);
        import("--platform a/b/c/d - <&-").refuses(FAILED, &["platform"]);
        world.host.sh("echo text | $C import - bad").refuses(FAILED, &["import"]);
        world.host.run(["rm", "one"]).ok();
        before.assert_same(&world.host, "import");
    }
}

#[test]
fn pushed() {
    for world in worlds() {
        let own = Registry::settings(&world.host).port(5002).writable().start();
        world.host.run(["run", "--name", "one", "--net", "none", BUSYBOX, "sh", "-c", "echo new >/new"]).ok();
        let name = own.image("made/here:1");
        world.host.run(["commit", "one", &name]).ok();
        let made = id(&world, &name);
        let pushed = world.host.run(["push", &name]).ok();
        let digest = own.digest("made/here", "1");
        assert!(pushed.stdout.contains(&digest), "{pushed}");
        let manifest = own.manifest(&digest);
        assert_eq!(manifest["config"]["digest"].as_str(), Some(made.as_str()), "the image keeps its id");
        // A second time nothing is sent; under another name the registry has it all.
        let again = world.host.run(["push", &name]).ok();
        assert_eq!(again.stderr.matches("already here").count(), 2, "{again}");
        let other = own.image("other:2");
        world.host.run(["tag", &name, &other]).ok();
        let mounted = world.host.run(["image", "push", &other]).ok();
        assert_eq!(mounted.stderr.matches("already here").count(), 2, "{mounted}");
        assert_eq!(own.digest("other", "2"), digest);
        // What was pulled goes as it came.
        let plain = own.image("debian:12");
        world.host.run(["pull", "127.0.0.1:5000/debian:12"]).ok();
        world.host.run(["tag", "127.0.0.1:5000/debian:12", &plain]).ok();
        world.host.run(["push", "-q", &plain]).ok().prints(&plain);
        // And back.
        world.host.run(["rm", "one"]).ok();
        world.host.run(["rmi", &name, &other, &plain]).ok();
        world.host.run(["run", "--rm", "--net", "none", &other, "cat", "/new"]).ok().prints("new");
        assert_eq!(id(&world, &other), made);
        world
            .host
            .run(["run", "--rm", "--net", "none", &plain, "cat", "/opt/app/third"])
            .ok()
            .prints("third");
        world.host.run(["tag", &other, &own.image("other:3")]).ok();
        world.host.run(["push", "--all-tags", &own.image("other")]).ok();
        assert_eq!(own.digest("other", "3"), digest);
        world.host.run(["push", "nothing:1"]).refuses(FAILED, &["no such image"]);
        world.host.run(["push", "-a", "nothing"]).refuses(FAILED, &["nothing"]);
        world.host.run(["tag", &other, "127.0.0.1:5000/x:1"]).ok();
        world.host.run(["push", "-q", "127.0.0.1:5000/x:1"]).refuses(FAILED, &["push 127.0.0.1:5000/x:1"]);
        world.host.run(["tag", &other, "127.0.0.1:9/x:1"]).ok();
        world.host.run(["push", "-q", "127.0.0.1:9/x:1"]).refuses(FAILED, &["push 127.0.0.1:9/x:1"]);
    }
}

/// A manifest may name any blob for a layer that is here already, and so is not fetched: it is not passed on.
#[test]
fn a_blob_that_nobody_has_looked_at_is_not_pushed() {
    let world = World::root();
    let own = Registry::settings(&world.host).port(5002).writable().start();
    let (good, evil) = (own.image("good:1"), own.image("evil:1"));
    world.host.run(["tag", BUSYBOX, &good]).ok();
    world.host.run(["push", "-q", &good]).ok();
    let manifest = own.manifest(&own.digest("good", "1"));
    let (config, layer) = (manifest["config"].clone(), manifest["layers"][0].clone());
    let digest =
        |file: &str| format!("sha256:{}", world.host.sh(&format!("sha256sum {file} | cut -c1-64")).line());
    let upload = |file: &str| {
        let to = format!("http://{}/v2/evil/blobs/uploads/", own.address);
        let script = format!(
            "at=$(curl -sfD - -o /dev/null -X POST {to} | tr -d '\\r' | sed -n 's/^Location: //Ip')
            curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary @{file} \"$at&digest={}\"",
            digest(file)
        );
        world.host.sh(&script).ok();
    };
    world.host.sh("echo other files | gzip >/tmp/home/blob").ok();
    let blob = own.blob(config["digest"].as_str().expect("a digest"));
    std::fs::copy(blob, world.host.path("/tmp/home/config")).expect("the configuration");
    upload("/tmp/home/blob");
    upload("/tmp/home/config");
    let size = std::fs::metadata(world.host.path("/tmp/home/blob")).expect("a file").len();
    let layer = serde_json::json!({"mediaType": layer["mediaType"], "digest": digest("/tmp/home/blob"), "size": size});
    let mut hostile = manifest.clone();
    hostile["layers"] = serde_json::json!([layer]);
    std::fs::write(world.host.path("/tmp/home/manifest"), hostile.to_string()).expect("write");
    let kind = manifest["mediaType"].as_str().expect("text");
    world.host.sh(&format!(
        "curl -sf -X PUT -H 'Content-Type: {kind}' --data-binary @/tmp/home/manifest http://{}/v2/evil/manifests/1",
        own.address
    )).ok();
    // Its files are those of the layer that it says it is.
    world.host.run(["pull", "-q", &evil]).ok();
    let next = own.image("next:1");
    world.host.run(["tag", &evil, &next]).ok();
    world.host.run(["push", "-q", &next]).ok();
    let sent = own.manifest(&own.digest("next", "1"));
    assert_eq!(sent["config"], config);
    assert_ne!(sent["layers"][0]["digest"], layer["digest"]);
    let fresh = |name: &str| {
        world.host.sh(&format!(
            "export DEVOXX_ROOT=/tmp/fresh; $C pull -q {name} && $C run --rm --net none {name} echo whole; code=$?
            rm -rf /tmp/fresh; exit $code"
        ))
    };
    assert!(fresh(&next).ok().stdout.ends_with("whole\n"));
    fresh(&evil).refuses(FAILED, &["evil"]);
}

#[test]
fn pushed_with_a_password() {
    let world = World::root();
    let own = Registry::settings(&world.host).port(5003).writable().login().start();
    let name = own.image("busybox:1");
    world.host.run(["tag", BUSYBOX, &name]).ok();
    world.host.run(["push", "-q", &name]).refuses(FAILED, &["log in to 127.0.0.1:5003"]);
    let (user, password) = LOGIN;
    world
        .host
        .sh(&format!("printf %s '{password}' | $C login -u {user} --password-stdin {}", own.address))
        .ok();
    world.host.run(["push", "-q", &name]).ok().prints(&name);
    world.host.run(["rmi", &name]).ok();
    world.host.run(["pull", "-q", &name]).ok();
}

#[test]
fn mounted() {
    let world = World::root();
    world.host.run(["pull", "127.0.0.1:5000/debian:12"]).ok();
    let before = Snapshot::take(&world.host);
    for (image, file, text) in
        [("127.0.0.1:5000/debian:12", "opt/app/third", "third"), (BUSYBOX, "etc/passwd", "")]
    {
        let at = world.host.run(["image", "mount", image]).ok().line().to_owned();
        world.host.run(["image", "mount", image]).ok().prints(&at);
        let seen = world.host.admin(&format!("cat {at}/{file}")).line().to_owned();
        assert!(seen.starts_with(text), "{seen}");
        world.host.sh(&format!("touch {at}/x")).refused(&[]);
        assert!(world.host.run(["image", "mount"]).ok().stdout.contains(&at));
        world.host.run(["rmi", image]).refuses(FAILED, &["is mounted at", "image unmount"]);
        world.host.run(["image", "unmount", image]).ok();
        world.host.run(["image", "unmount", image]).refuses(FAILED, &["is not mounted"]);
    }
    world.host.run(["image", "mount", BUSYBOX, "127.0.0.1:5000/debian:12"]).ok();
    assert_eq!(world.host.run(["image", "mount"]).ok().stdout.lines().count(), 2);
    // What is mounted is used.
    world.host.run(["image", "prune", "-a", "-f"]).ok();
    world.host.run(["image", "inspect", BUSYBOX, "127.0.0.1:5000/debian:12"]).ok();
    assert_eq!(world.host.run(["image", "unmount", "--all"]).ok().stdout.lines().count(), 2);
    world.host.run(["image", "unmount", "-a"]).ok().prints("");
    world.host.run(["image", "mount"]).ok().prints("");
    before.assert_same(&world.host, "image mount");
    let other = World::rootless();
    other.host.run(["image", "mount", BUSYBOX]).refuses(FAILED, &["needs root"]);
}
