//! Which images are meant, and how they are shown: formats, filters, platforms, force; and what else has `--format`.

use crate::world::{BUSYBOX, FAILED, World};
use testkit::{Registry, Snapshot, Web};

const PLAIN: &str = "127.0.0.1:5000/team/plain:1";
const INDEX: &str = "127.0.0.1:5000/team/index:1";

#[track_caller]
fn id(world: &World, name: &str) -> String {
    world.host.run(["inspect", "--type", "image", "-f", "{{.Id}}", name]).ok().line().to_owned()
}

/// Both platforms of one name.
fn two_platforms(world: &World) {
    for platform in ["linux/amd64", "linux/arm64"] {
        world.host.run(["pull", "--platform", platform, INDEX]).ok();
    }
}

#[test]
fn lists_by_templates() {
    for world in World::both() {
        world.host.run(["tag", BUSYBOX, "mine:1"]).ok();
        let list = |words: &[&str]| world.host.run([&["images"], words].concat()).ok().stdout;
        let whole = id(&world, BUSYBOX);
        let short = &whole[7..19];
        let table = list(&[]);
        let heading: Vec<&str> = table
            .lines()
            .next()
            .unwrap_or_default()
            .split("  ")
            .filter(|word| !word.is_empty())
            .map(str::trim)
            .collect();
        assert_eq!(heading, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        let fields: Vec<Vec<&str>> =
            table.lines().skip(1).map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(fields, [["127.0.0.1:5000/busybox", "latest", short], ["mine", "1", short]]);
        let check = |format: &str, expected: &str| {
            assert_eq!(list(&["--format", format]).trim_end(), expected, "{format}")
        };
        check("{{.Repository}}:{{.Tag}}", "127.0.0.1:5000/busybox:latest\nmine:1");
        check("{{.ID}}", &format!("{short}\n{short}"));
        check("{{upper .Tag}} {{len .ID}}", "LATEST 12\n1 12");
        assert!(list(&["--format", "table {{.Tag}}\t{{.Size}}"]).starts_with("TAG       SIZE\n"));
        assert!(list(&["--format", "{{.CreatedSince}}"]).contains(" ago"));
        let json: serde_json::Value =
            serde_json::from_str(list(&["--format", "json", "mine"]).trim()).expect("JSON");
        for field in [
            "ID",
            "Repository",
            "Tag",
            "Digest",
            "CreatedSince",
            "CreatedAt",
            "Size",
            "Containers",
            "SharedSize",
            "UniqueSize",
        ] {
            assert!(json[field].is_string(), "{field} in {json}");
        }
        assert_eq!(list(&["-q"]).trim_end(), short);
        assert_eq!(list(&["-q", "--no-trunc", "mine"]).trim_end(), whole);
        assert!(list(&["--digests"]).contains(&world.registry.digest("busybox", "latest")));
        world
            .host
            .run(["images", "--format", "{{.Nope}}"])
            .refuses(FAILED, &["no field \"Nope\"", "there are "]);
        world.host.run(["images", "--format", "table {{"]).refuses(FAILED, &["template"]);
        // A name that has moved on leaves its repository behind.
        world.host.run(["pull", PLAIN]).ok();
        world.host.run(["rmi", "mine:1"]).ok();
        world.host.run(["tag", PLAIN, BUSYBOX]).ok();
        let dangling = list(&["--filter", "dangling=true", "--format", "{{.Repository}} {{.Tag}} {{.ID}}"]);
        assert_eq!(dangling.trim_end(), format!("127.0.0.1:5000/busybox <none> {short}"));
        let inspected = world.host.run(["inspect", "-f", "{{len .RepoTags}} {{.RepoDigests}}", &whole]).ok();
        assert!(inspected.stdout.starts_with("0 [127.0.0.1:5000/busybox@sha256:"), "{inspected}");
    }
}

#[test]
fn a_tree_of_platforms() {
    let world = World::root();
    two_platforms(&world);
    world.host.run(["create", "--net", "none", "--name", "user", BUSYBOX, "true"]).ok();
    let tree = world.host.run(["images", "--tree"]).ok().stdout;
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with("IMAGE ") && lines[0].ends_with("CONTENT SIZE   EXTRA"), "{tree}");
    let after = |start: &str| -> Vec<&str> {
        let at = lines
            .iter()
            .position(|line| line.starts_with(start))
            .unwrap_or_else(|| panic!("{start} in {tree}"));
        lines[at..].to_vec()
    };
    let index = after(INDEX);
    assert!(index[1].starts_with("├─ linux/a") && index[2].starts_with("└─ linux/a"), "{tree}");
    assert!(
        index[1..3].iter().any(|line| line.contains("linux/arm64")) && !index[1].ends_with('U'),
        "{tree}"
    );
    let busybox = after("127.0.0.1:5000/busybox:latest");
    assert!(
        busybox[0].ends_with(" U") && busybox[1].starts_with("└─ linux/amd64") && busybox[1].ends_with(" U"),
        "{tree}"
    );
    for option in ["--quiet", "--digests", "--no-trunc", "--format=json"] {
        world.host.run(["images", "--tree", option]).refuses(FAILED, &["cannot be used with"]);
    }
    world.host.run(["rm", "user"]).ok();
}

#[test]
fn filters() {
    for world in World::both() {
        for name in [PLAIN, "127.0.0.1:5000/team/config:1", "127.0.0.1:5000/debian:12"] {
            world.host.run(["pull", name]).ok();
        }
        world.host.run(["run", "--net", "none", "--name", "box", BUSYBOX, "true"]).ok();
        world.host.run(["commit", "-c", "LABEL tier=web", "box", "young:1"]).ok();
        let check = |filters: &[&str], expected: &[&str]| {
            let mut words = vec!["images", "--format", "{{.Repository}}"];
            filters.iter().for_each(|filter| words.extend(["--filter", filter]));
            let mut found: Vec<String> =
                world.host.run(&words).ok().stdout.lines().map(str::to_owned).collect();
            found.sort();
            let mut expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            expected.sort();
            assert_eq!(found, expected, "{filters:?}");
        };
        let (busybox, debian) = ("127.0.0.1:5000/busybox", "127.0.0.1:5000/debian");
        let (plain, config) = ("127.0.0.1:5000/team/plain", "127.0.0.1:5000/team/config");
        check(&["reference=127.0.0.1:5000/team/*"], &[plain, config]);
        check(&["reference=young", "reference=*/debian"], &["young", debian]);
        check(&["reference=young:2"], &[]);
        check(&["reference=*/*/c[a-o]nfig:[0-9]"], &[config]);
        check(&["reference=*/*/c[^a-o]nfig"], &[]);
        check(&["label=tier"], &["young"]);
        check(&["label=tier=web", "dangling=false"], &["young"]);
        check(&["label=tier=db"], &[]);
        check(&["dangling=true"], &[]);
        check(&["since=127.0.0.1:5000/debian:12", "label=tier"], &["young"]);
        check(&["before=young:1"], &[busybox, debian, plain, config]);
        // It does not say when it was made.
        check(&["until=2000-01-01"], &[plain]);
        check(&["until=0s"], &[busybox, debian, plain, config, "young"]);
        let refuses =
            |filter: &str| drop(world.host.run(["images", "--filter", filter]).refuses(FAILED, &[]));
        for bad in [
            "",
            "=",
            "x",
            "x=1",
            "dangling=perhaps",
            "dangling=",
            "until=soon",
            "before=nobody",
            "since=nobody",
            "reference=[",
            "reference=a[",
            "label=",
        ] {
            refuses(bad);
        }
        world.host.run(["rm", "box"]).ok();
    }
}

#[test]
fn other_lists_by_templates() {
    let world = World::root();
    world.host.run(["pull", "127.0.0.1:5000/debian:12"]).ok();
    let run = |words: &[&str]| world.host.run(words).ok().stdout;
    let debian = "127.0.0.1:5000/debian:12";
    let table = run(&["history", debian]);
    let heading: Vec<&str> = table
        .lines()
        .next()
        .unwrap_or_default()
        .split("   ")
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    assert_eq!(heading, ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
    assert!(run(&["history", "--human=false", debian]).contains("CREATED AT"));
    let sizes = run(&["history", "--human=false", "--format", "{{.Size}}", debian]);
    assert!(sizes.lines().all(|size| size.parse::<u64>().is_ok()), "{sizes}");
    let json = run(&["history", "--format", "json", debian]);
    let first: serde_json::Value =
        serde_json::from_str(json.lines().next().unwrap_or_default()).expect("JSON");
    for field in ["ID", "CreatedSince", "CreatedAt", "CreatedBy", "Size", "Comment"] {
        assert!(first[field].is_string(), "{field} in {first}");
    }
    world.host.run(["history", "--format", "{{.Nope}}", debian]).refuses(FAILED, &["no field"]);
    world
        .host
        .run(["history", "--platform", "linux/arm64", debian])
        .refuses(FAILED, &["linux/arm64", "amd64", "pull --platform"]);

    run(&["volume", "create", "--label", "a=b", "data"]);
    run(&["volume", "create", "logs"]);
    assert_eq!(
        run(&["volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Label \"a\"}}|"]),
        "data local b|\nlogs local |\n"
    );
    assert_eq!(run(&["volume", "ls"]).lines().next(), Some("DRIVER    VOLUME NAME"));
    let json: serde_json::Value =
        serde_json::from_str(run(&["volume", "ls", "--format", "json", "--filter", "name=data"]).trim())
            .expect("JSON");
    assert_eq!(
        (&json["Labels"], &json["Links"], &json["Scope"]),
        (&"a=b".into(), &"N/A".into(), &"local".into())
    );
    assert!(json["Mountpoint"].as_str().is_some_and(|path| path.ends_with("/volumes/data/_data")));
    assert_eq!(run(&["volume", "inspect", "-f", "{{.Name}}={{.Labels.a}}", "data"]), "data=b\n");
    world.host.run(["volume", "ls", "--format", "{{.Nope}}"]).refuses(FAILED, &["no field"]);
    run(&["volume", "rm", "data", "logs"]);

    assert_eq!(run(&["network", "ls", "--format", "{{.Name}}", "--filter", "name=bridge"]), "bridge\n");
    assert_eq!(run(&["network", "inspect", "-f", "{{.Name}} {{.Driver}}", "bridge"]), "bridge bridge\n");

    let table = run(&["system", "df"]);
    assert_eq!(
        table.lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>()),
        Some(vec!["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"])
    );
    assert_eq!(
        run(&["system", "df", "--format", "{{.Type}}:{{.TotalCount}}/{{.Active}}"]),
        "Images:2/0\nContainers:0/0\nLocal Volumes:0/0\n"
    );
    assert_eq!(run(&["system", "df", "--format", "json"]).lines().count(), 3);
    assert_eq!(
        run(&["system", "df", "-v", "--format", "{{len .Images}} {{len .Containers}} {{len .Volumes}}"]),
        "2 0 0\n"
    );
    let all: serde_json::Value =
        serde_json::from_str(run(&["system", "df", "-v", "--format", "json"]).trim()).expect("JSON");
    assert!(all["Images"][0]["UniqueSize"].is_string() && all["BuildCache"].is_array(), "{all}");
    world.host.run(["system", "df", "--format", "{{.Nope}}"]).refuses(FAILED, &["no field"]);
}

#[test]
fn removal_by_force() {
    for world in World::both() {
        let before = Snapshot::take(&world.host);
        world.host.run(["pull", PLAIN]).ok();
        let plain = id(&world, PLAIN);
        world.host.run(["tag", PLAIN, "one:1"]).ok();
        world
            .host
            .run(["rmi", &plain])
            .refuses(FAILED, &["127.0.0.1:5000/team/plain", "docker.io/library/one", "--force"]);
        world.host.run(["rmi", "-f", &plain]).ok().prints(&format!(
            "Untagged: 127.0.0.1:5000/team/plain:1\nUntagged: docker.io/library/one:1\nDeleted: {plain}"
        ));
        // What is not there is gone.
        let gone = world.host.run(["rmi", "-f", "nothing", PLAIN]).ok();
        assert_eq!(gone.stderr.lines().filter(|line| line.contains("no such image")).count(), 2, "{gone}");
        world.host.run(["rmi", "nothing"]).refuses(FAILED, &["no such image"]);
        before.assert_same(&world.host, "removal by force");
        // One that a container has that does not run loses its names, and the container starts all the same.
        world.host.run(["create", "--net", "none", "--name", "user", BUSYBOX, "echo", "still"]).ok();
        world.host.run(["rmi", BUSYBOX]).refuses(FAILED, &["container user uses it"]);
        world.host.run(["rmi", "--force", BUSYBOX]).ok().prints("Untagged: 127.0.0.1:5000/busybox:latest");
        world.host.run(["start", "-a", "user"]).ok().prints("still");
        let busybox = world.host.run(["images", "-q", "--filter", "dangling=true"]).ok().line().to_owned();
        world.host.run(["rm", "user"]).ok();
        world.host.run(["pull", BUSYBOX]).ok();
        world.host.run(["run", "-d", "--net", "none", "--name", "runs", BUSYBOX, "sleep", "1000"]).ok();
        world.host.run(["rmi", "-f", &busybox]).refuses(FAILED, &["container runs uses it"]);
        world.host.run(["rm", "-f", "runs"]).ok();
        world.host.run(["rmi", "-f", &busybox]).ok();
        assert_eq!(world.host.run(["images", "-q"]).ok().stdout, "");
    }
}

#[test]
fn every_tag_of_a_repository() {
    for world in World::both() {
        let registry = Registry::settings(&world.host).port(5001).writable().start();
        let name = |tag: &str| format!("{}/x/web:{tag}", registry.address);
        world.host.run(["pull", PLAIN]).ok();
        for (image, tag) in [(BUSYBOX, "1"), (PLAIN, "2"), (BUSYBOX, "latest")] {
            world.host.run(["tag", image, &name(tag)]).ok();
        }
        let repository = format!("{}/x/web", registry.address);
        world.host.run(["push", "--all-tags", &repository]).ok();
        let (one, two) = (id(&world, BUSYBOX), id(&world, PLAIN));
        world.host.run(["rmi", &name("1"), &name("2"), &name("latest")]).ok();
        let pulled = world.host.run(["pull", "--all-tags", &repository]).ok();
        assert_eq!(pulled.stdout.lines().count(), 3, "{pulled}");
        assert_eq!(
            (id(&world, &name("1")), id(&world, &name("2")), id(&world, &name("latest"))),
            (one.clone(), two, one)
        );
        world.host.run(["pull", "-aq", &repository]).ok();
        world.host.run(["pull", "--all-tags", &name("1")]).refuses(FAILED, &["--all-tags", "web:1"]);
        world
            .host
            .run(["pull", "--all-tags", &format!("{}/x/nothing", registry.address)])
            .refuses(FAILED, &["x/nothing"]);
        // A registry that gives them page by page, and one that never comes to an end.
        let page = |body: &str| (200, body.as_bytes().to_vec());
        let web = Web::start(&world.host, 5002, move |request| match request.target.as_str() {
            "/v2/" => page("{}"),
            _ => (404, br#"{"errors":[{"message":"not here"}]}"#.to_vec()),
        });
        world
            .host
            .run(["pull", "--all-tags", &format!("{}/x/web", web.address)])
            .refuses(FAILED, &["list the tags", "404"]);
    }
}

#[test]
fn platforms_of_a_name() {
    for world in World::both() {
        two_platforms(&world);
        let architecture =
            |name: &str| world.host.run(["inspect", "-f", "{{.Architecture}}", name]).ok().line().to_owned();
        assert_eq!(architecture(INDEX), "amd64");
        let shown = |options: &[&str]| {
            world.host.run([&["image", "inspect", "-f", "{{.Architecture}} {{.Id}}"], options].concat())
        };
        let arm = shown(&["--platform", "linux/arm64", INDEX]).ok().line().to_owned();
        assert!(arm.starts_with("arm64 sha256:"), "{arm}");
        assert!(shown(&[INDEX]).ok().line().starts_with("amd64 "));
        // By its id, it is for one platform.
        shown(&["--platform", "linux/arm64", &arm[6..]]).ok().prints(&arm);
        shown(&["--platform", "linux/amd64", &arm[6..]]).refuses(FAILED, &["linux/amd64", "linux/arm64"]);
        shown(&["--platform", "linux/s390x", INDEX]).refuses(FAILED, &["linux/s390x", "pull --platform"]);
        shown(&["--platform", "a/b/c/d", INDEX]).refuses(FAILED, &["a/b/c/d"]);
        shown(&["--platform", "linux/arm64", "nothing"]).refuses(FAILED, &["no such image: nothing"]);
        for format in ["docker-archive", "oci-archive"] {
            let save = |platform: &str, file: &str| {
                world.host.run(["save", "--format", format, "--platform", platform, "-o", file, INDEX])
            };
            save("linux/arm64", "/tmp/home/arm.tar").ok();
            save("linux/amd64", "/tmp/home/amd.tar").ok();
            save("linux/s390x", "/tmp/home/none.tar").refuses(FAILED, &["linux/s390x", "linux/amd64"]);
            save("a/b/c/d", "/tmp/home/none.tar").refuses(FAILED, &["a/b/c/d"]);
            world.host.sh("test ! -e /tmp/home/none.tar").ok();
            world.host.run(["rmi", INDEX]).ok();
            world
                .host
                .run(["load", "--platform", "linux/amd64", "-i", "/tmp/home/arm.tar"])
                .refuses(FAILED, &["no image in it is for linux/amd64"]);
            world.host.run(["load", "--platform", "linux/arm64", "-i", "/tmp/home/arm.tar"]).ok();
            assert_eq!(architecture(INDEX), "arm64");
            world.host.run(["load", "-i", "/tmp/home/amd.tar"]).ok();
            assert_eq!(architecture(INDEX), "amd64");
        }
        world.host.admin("rm /tmp/home/*.tar");
        // Pushed as what it is on one platform.
        let registry = Registry::settings(&world.host).port(5001).writable().start();
        let there = format!("{}/x/index:1", registry.address);
        world.host.run(["tag", INDEX, &there]).ok();
        world.host.run(["push", "--platform", "linux/arm64", &there]).ok();
        world.host.run(["push", "--platform", "linux/s390x", &there]).refuses(FAILED, &["linux/s390x"]);
        // Removed on one: the other stays, and so does the name.
        world.host.run(["rmi", "--platform", "linux/amd64", &there]).ok().prints("");
        assert_eq!(architecture(&there), "arm64");
        world.host.run(["rmi", "--platform", "linux/amd64", &there]).refuses(FAILED, &["linux/amd64"]);
        world.host.run(["rmi", &there]).ok();
        world.host.run(["pull", "--platform", "linux/arm64", &there]).ok();
        assert_eq!(architecture(&there), "arm64");
        world.host.run(["history", "--platform", "linux/arm64", "-q", INDEX]).ok();
    }
}

#[test]
fn an_old_layer_is_mended_by_a_pull() {
    let world = World::root();
    let splits = "find /tmp/data/image/layers -name split";
    assert_ne!(world.host.admin(splits).stdout, "");
    world.host.admin(&format!("{splits} -delete"));
    world
        .host
        .sh(&format!("$C save {BUSYBOX} >/dev/null"))
        .refuses(FAILED, &["an old version", "pull or load the image again"]);
    // Also while a container has it.
    world.host.run(["run", "-d", "--net", "none", "--name", "on", BUSYBOX, "sleep", "1000"]).ok();
    world.host.run(["pull", BUSYBOX]).ok();
    world.host.sh(&format!("$C save {BUSYBOX} >/tmp/home/x.tar")).ok();
    world.host.run(["exec", "on", "echo", "fine"]).ok().prints("fine");
    world.host.run(["system", "check", "--deep"]).ok().prints("");
    world.host.admin(&format!("{splits} -delete"));
    world.host.run(["load", "-qi", "/tmp/home/x.tar"]).ok();
    world.host.sh(&format!("$C save {BUSYBOX} | cmp - /tmp/home/x.tar")).ok();
    world.host.run(["rm", "-f", "on"]).ok();
}

#[test]
fn ports_that_nobody_publishes() {
    fn check(world: &World) {
        for mode in ["host", "none"] {
            let outcome =
                world.host.run(["run", "--rm", "--network", mode, "-p", "8080:80", BUSYBOX, "true"]).ok();
            let lines: Vec<&str> = outcome.stderr.lines().collect();
            assert!(
                lines.len() == 1
                    && lines[0].contains("published ports are discarded")
                    && lines[0].contains(mode),
                "{outcome}"
            );
            let outcome = world.host.run(["run", "--rm", "--network", mode, BUSYBOX, "true"]).ok();
            assert_eq!(outcome.stderr, "");
        }
        world
            .host
            .run(["create", "--network", "host", "-P", "--expose", "80", "--name", "later", BUSYBOX, "true"])
            .ok();
        world.host.run(["port", "later"]).ok().prints("");
        world.host.run(["rm", "later"]).ok();
    }
    check(&World::root());
    check(&World::rootless());
}
