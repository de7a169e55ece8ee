//! Pulling from a real registry, and what the store then has.

use crate::world::{BUSYBOX, FAILED, World, program};
use testkit::fixture::LOGIN;
use testkit::{Host, Registry};

/// Kilobytes that the store takes.
fn size(world: &World) -> u64 {
    world.host.admin("du -sk /tmp/data | cut -f1").line().parse().expect("du prints a number")
}

#[test]
fn every_form_of_an_image_runs() {
    let world = World::of(Host::root(&program()));
    let check = |image: &str, script: &str, expected: &str| {
        let image = world.registry.image(image);
        world
            .host
            .run(["run", "--rm", "--entrypoint", "/bin/sh", &image, "-c", script])
            .ok()
            .prints(expected);
    };
    check("busybox", "echo gzip", "gzip");
    check("busybox:latest", "echo tag", "tag");
    check("team/zstd:1", "echo zstd", "zstd");
    check("team/plain:1", "echo plain", "plain");
    check("team/docker:1", "echo schema2", "schema2");
    check("team/index:1", "cat /etc/arch", "amd64");
    let digest = world.registry.digest("busybox", "latest");
    check(&format!("busybox@{digest}"), "echo digest", "digest");
    check(&format!("busybox:latest@{digest}"), "echo both", "both");
}

#[test]
fn layers_are_put_on_each_other() {
    for world in [World::of(Host::root(&program())), World::of(Host::rootless(&program()))] {
        let image = world.registry.image("debian:12");
        world.host.run(["pull", &image]).ok();
        let check = |script: &str, expected: &str| {
            world.host.run(["run", "--rm", &image, "sh", "-c", script]).ok().prints(expected);
        };
        check(
            "cat /etc/debian_version | cut -d. -f1; cat /opt/app/second /opt/app/third",
            "12\nsecond\nthird",
        );
        check("ls /opt/app; ls -A /opt/app/opaque", "kept\nopaque\nsecond\nthird\nshown");
        check("test ! -e /etc/issue && echo removed", "removed");
        check("stat -c %h /opt/app/kept/hardlink; cat /opt/app/kept/hardlink", "2\nkept");
        check("stat -c %a /usr/bin/passwd /tmp; stat -c %U:%G /etc/shadow", "4755\n1777\nroot:shadow");
        check("find / -xdev -name '.wh.*' | wc -l; dpkg --audit && dpkg -V base-files | wc -l", "0\n1");
        check(
            "rm -rf /opt/app/opaque && mkdir /opt/app/opaque && ls -A /opt/app/opaque && mv /opt/app/kept /opt/moved && ls /opt/moved",
            "file\nhardlink",
        );
    }
}

/// Their paths together are longer than a page, which is all that mount(2) takes on kernels before 6.7.
#[test]
fn as_many_layers_as_docker_allows() {
    for world in [World::of(Host::root(&program())), World::of(Host::rootless(&program()))] {
        let image = world.registry.image("team/many:1");
        world
            .host
            .run(["run", "--rm", "--net", "none", &image, "sh", "-c", "ls /n | wc -l; cat /n/126"])
            .ok()
            .prints("126\n126");
    }
}

#[test]
fn listing_inspecting_removing() {
    for world in World::both() {
        world.host.run(["pull", "127.0.0.1:5000/team/config:1"]).ok();
        let listed = world.host.run(["images"]).ok();
        let heading: Vec<_> = listed.stdout.lines().next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(heading, ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"], "{listed}");
        let row = |name: &str| {
            let is = |line: &&str| name.split(':').all(|part| line.contains(part));
            assert!(listed.stdout.lines().any(|line| is(&line)), "no {name} in {listed}");
        };
        row("127.0.0.1:5000/busybox:latest");
        row("127.0.0.1:5000/team/config:1");

        let text = world.host.run(["inspect", "127.0.0.1:5000/team/config:1"]).ok().stdout;
        let image: serde_json::Value = serde_json::from_str(&text).expect("inspect prints JSON");
        let config = &image[0]["Config"];
        assert_eq!(config["Entrypoint"], serde_json::json!(["/bin/echo", "from-entrypoint"]));
        assert_eq!(config["User"], "app");
        assert_eq!(config["WorkingDir"], "/home/app/work");
        assert_eq!(config["StopSignal"], "SIGINT");
        assert_eq!(config["Volumes"], serde_json::json!({"/data": {}}));
        assert_eq!(image[0]["RepoTags"], serde_json::json!(["127.0.0.1:5000/team/config:1"]));
        assert_eq!((&image[0]["Os"], &image[0]["Architecture"]), (&"linux".into(), &"amd64".into()));

        world.host.run(["rmi", "127.0.0.1:5000/team/config:1"]).ok();
        assert!(!world.host.run(["images"]).ok().stdout.contains("team/config"));
        world.run(&[], &["echo", "still here"]).ok().prints("still here");
        world.host.run(["rmi", "127.0.0.1:5000/team/config:1"]).refuses(FAILED, &["team/config"]);
        world.host.run(["rmi", BUSYBOX]).ok();
        assert!(size(&world) < 200, "the store of no image is small: {} kB", size(&world));
    }
}

#[test]
fn shared_layers_are_stored_once() {
    let world = World::root();
    let before = size(&world);
    for name in ["team/config:1", "team/docker:1"] {
        world.host.run(["pull", &world.registry.image(name)]).ok();
    }
    let grown = size(&world).saturating_sub(before);
    assert!(grown < before / 4, "{before} kB for the first, {grown} kB for two more with the same layer");
}

#[test]
fn a_platform_can_be_asked_for() {
    let world = World::of(Host::root(&program()));
    let image = world.registry.image("team/index:1");
    world.host.run(["pull", "--platform", "linux/arm64", &image]).ok();
    let text = world.host.run(["inspect", &image]).ok().stdout;
    let inspected: serde_json::Value = serde_json::from_str(&text).expect("inspect prints JSON");
    assert_eq!(inspected[0]["Architecture"], "arm64");
    world.host.run(["pull", "--platform", "linux/s390x", &image]).refuses(FAILED, &["s390x"]);
}

#[test]
fn login_and_logout() {
    for host in [Host::root(&program()), Host::rootless(&program())] {
        login_and_logout_of(&host);
    }
}

fn login_and_logout_of(host: &Host) {
    let registry = Registry::settings(host).port(5001).login().start();
    let (name, password) = LOGIN;
    let image = registry.image("busybox");
    let login = |password: &str| {
        let words =
            format!("printf %s '{password}' | $C login -u {name} --password-stdin {}", registry.address);
        host.sh(&words)
    };
    host.run(["pull", &image]).refuses(FAILED, &["busybox"]);
    let wrong = login("wrong");
    assert!(wrong.code != 0 && !wrong.stderr.contains("wrong"), "{wrong}");
    host.run(["pull", &image]).refuses(FAILED, &["busybox"]);
    let right = login(password);
    assert!(right.stdout.contains("Login Succeeded"), "{right}");
    let kept = host.admin("find /tmp/home -type f -exec stat -c '%a' {} +").ok();
    assert!(kept.stdout.lines().all(|mode| mode == "600"), "credentials are the user's alone: {kept}");
    host.run(["pull", &image]).ok();
    host.run(["rmi", &image]).ok();
    host.run(["logout", &registry.address]).ok();
    host.run(["pull", &image]).refuses(FAILED, &["busybox"]);
}

#[test]
fn a_second_pull_asks_for_nothing_new() {
    for world in World::both() {
        let files = "find /tmp/data -type f | sort";
        let before = world.host.admin(files).stdout;
        world.host.run(["pull", BUSYBOX]).ok();
        assert_eq!(world.host.admin(files).stdout, before);
        drop(world.registry);
        // The image is here: a run needs no registry.
        world.host.run(["run", "--rm", BUSYBOX, "echo", "offline"]).ok().prints("offline");
    }
}

/// Each is pulled, also behind one that is not there.
#[test]
fn several_at_once() {
    for world in World::both() {
        let (plain, config) = (world.registry.image("team/plain:1"), world.registry.image("team/config:1"));
        let missing = world.registry.image("no/such:1");
        let pulled = world.host.run(["pull", "-q", &plain, &config]).ok();
        assert_eq!(pulled.stdout.lines().count(), 2, "{pulled}");
        world.host.run(["rmi", &plain, &config]).ok();
        let pulled = world.host.run(["pull", "-q", &plain, &missing, &config]).code(FAILED);
        assert_eq!((pulled.stdout.lines().count(), pulled.stderr.lines().count()), (2, 1), "{pulled}");
        assert!(pulled.stderr.contains("no/such"), "{pulled}");
        for image in [&plain, &config] {
            world.host.run(["image", "inspect", image]).ok();
        }
        // A name that is none is said before anything is fetched.
        world.host.run(["rmi", &plain]).ok();
        world.host.run(["pull", &plain, "UPPER"]).refuses(FAILED, &["UPPER"]);
        world.host.run(["image", "inspect", &plain]).refuses(FAILED, &["no such image"]);
    }
}
