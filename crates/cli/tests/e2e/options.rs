//! Options of `run` beyond the everyday ones: limits, what is shared, health.

use crate::world::{BUSYBOX, World};
use testkit::Registry;
use testkit::deadline::wait_for;

#[test]
fn what_is_shared_and_what_is_not() {
    fn check(world: &World) {
        let check = |options: &[&str], script: &str, expected: &str| {
            drop(world.sh(&[&["--net", "none"], options].concat(), script).ok().prints(expected));
        };
        check(&[], "df -k /dev/shm | awk 'NR == 2 {print $2}'", "65536");
        check(&["--shm-size", "3m"], "df -k /dev/shm | awk 'NR == 2 {print $2}'", "3072");
        check(
            &["--group-add", "daemon", "--group-add", "1234"],
            "id -G | tr ' ' '\n' | grep -xE '1|1234'",
            "1\n1234",
        );
        check(&["-u", "app", "--group-add", "77"], "id -G", "1000 77 2000");
        check(&["--domainname", "example.org"], "cat /proc/sys/kernel/domainname", "example.org");
        check(
            &["--dns-search", "a.test", "--dns-search", "b.test", "--dns-option", "ndots:3"],
            "grep -E '^(search|options)' /etc/resolv.conf",
            "search a.test b.test\noptions ndots:3",
        );
        check(&["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj", "500");
        let own = "test $(readlink /proc/self/ns/$N) = $HOST && echo same || echo other";
        for (option, kind) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
        {
            let host = world.host.sh(&format!("readlink /proc/self/ns/{kind}")).ok();
            let variables = [format!("N={kind}"), format!("HOST={}", host.line())];
            let env = ["-e", &variables[0], "-e", &variables[1]];
            check(&env, own, "other");
            check(&[&[option, "private"], &env[..]].concat(), own, "other");
            check(&[&[option, "host"], &env[..]].concat(), own, "same");
        }
    }
    check(&World::root());
    check(&World::rootless());
}

#[test]
fn namespaces_of_another_container() {
    for world in World::both() {
        world
            .host
            .run([
                "run",
                "-d",
                "--net",
                "none",
                "--name",
                "first",
                "--ipc",
                "shareable",
                BUSYBOX,
                "sh",
                "-c",
                "echo kept >/dev/shm/file; exec sleep 1000",
            ])
            .ok();
        wait_for("the file", || {
            (world.host.run(["exec", "first", "cat", "/dev/shm/file"]).stdout == "kept\n").then_some(())
        });
        let check = |options: &[&str], script: &str, expected: &str| {
            drop(world.sh(&[&["--net", "none"], options].concat(), script).ok().prints(expected));
        };
        check(&["--pid", "container:first"], "cat /proc/1/cmdline | tr '\\0' ' '", "sleep 1000 ");
        check(&["--ipc", "container:first"], "cat /dev/shm/file", "kept");
        check(&["--uts", "container:first"], "hostname | wc -c", "13");
        world.host.run(["run", "-d", "--net", "none", "--name", "second", BUSYBOX, "sleep", "1000"]).ok();
        let refuses = |options: &[&str], words: &[&str]| {
            drop(world.sh(&[&["--net", "none"], options].concat(), "true").refuses(125, words));
        };
        refuses(&["--ipc", "container:second"], &["second", "shareable"]);
        refuses(&["--pid", "container:nobody"], &["--pid container:nobody", "no such container"]);
        refuses(&["--pid", "container:"], &["--pid"]);
        refuses(&["--ipc", "sometimes"], &["--ipc", "sometimes"]);
        world.host.run(["rm", "-f", "first", "second"]).ok();
    }
}

#[test]
fn volumes_of_another_container() {
    for world in World::both() {
        world.host.admin("mkdir -m 777 /tmp/given; echo bound >/tmp/given/file");
        world
            .host
            .run([
                "run",
                "--net",
                "none",
                "--name",
                "data",
                "-v",
                "/own",
                "-v",
                "named:/named",
                "-v",
                "/tmp/given:/given",
                BUSYBOX,
                "sh",
                "-c",
                "echo own >/own/file; echo named >/named/file",
            ])
            .ok();
        world
            .sh(
                &["--net", "none", "--volumes-from", "data"],
                "cat /own/file /named/file /given/file; echo new >/given/new",
            )
            .ok()
            .prints("own\nnamed\nbound");
        world
            .sh(&["--net", "none", "--volumes-from", "data:ro"], "touch /own/x 2>/dev/null || echo read-only")
            .ok()
            .prints("read-only");
        world
            .sh(&["--net", "none", "--volumes-from", "nobody"], "true")
            .refuses(125, &["--volumes-from nobody"]);
        // What it took is its own, also when the other is gone with all that it had.
        let take = ["create", "--net", "none", "--name", "taker", "--volumes-from", "data", BUSYBOX];
        let read = ["cat", "/own/file", "/named/file", "/given/new"];
        world.host.run([&take[..], &read].concat()).ok();
        world.host.run(["rm", "-v", "data"]).ok();
        world.host.run(["start", "-a", "taker"]).ok().prints("own\nnamed\nnew");
        let volumes = world.host.run(["volume", "ls", "-q", "-f", "dangling=true"]).ok();
        assert_eq!(volumes.stdout, "", "the taker has them");
        world.host.run(["rm", "taker"]).ok();
    }
}

#[test]
fn further_limits() {
    let world = World::root();
    let file = |name: &str| format!("cat /sys/fs/cgroup/*/{name}");
    let check = |options: &[&str], script: &str, expected: &str| {
        drop(world.sh(&[&["--net", "none"], options].concat(), script).ok().prints(expected));
    };
    if std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        check(&["--memory-reservation", "20m"], &file("memory.soft_limit_in_bytes"), "20971520");
        check(&["--memory-swappiness", "7"], &file("memory.swappiness"), "7");
        check(
            &["--cpu-period", "50000", "--cpu-quota", "25000"],
            "cd /sys/fs/cgroup/cpu*; cat cpu.cfs_period_us cpu.cfs_quota_us",
            "50000\n25000",
        );
        check(&["--cpuset-mems", "0"], &file("cpuset.mems"), "0");
        check(
            &["--device-cgroup-rule", "c 10:229 rw"],
            "grep 'c 10:229 rw' /sys/fs/cgroup/devices/devices.list",
            "c 10:229 rwm",
        );
        check(&["--cgroup-parent", "/above"], "grep -c memory /proc/self/cgroup", "1");
    }
    let refuses = |options: &[&str], words: &[&str]| {
        drop(world.sh(&[&["--net", "none"], options].concat(), "true").refuses(125, words));
    };
    refuses(&["--memory-swappiness", "101"], &["--memory-swappiness", "101"]);
    refuses(&["--oom-score-adj", "1001"], &["--oom-score-adj"]);
    refuses(&["--cpu-period", "1"], &["--cpu-period"]);
    refuses(&["--cpu-quota", "1"], &["--cpu-quota"]);
    refuses(&["--cpus", "1", "--cpu-quota", "5000"], &["--cpus", "--cpu-quota"]);
    refuses(&["-m", "10m", "--memory-reservation", "20m"], &["--memory-reservation"]);
    refuses(&["--blkio-weight", "5"], &["--blkio-weight"]);
    refuses(&["--blkio-weight-device", "/dev/null:100"], &["/dev/null", "not a block device"]);
    refuses(&["--device-read-bps", "/dev/null"], &["--device-read-bps"]);
    refuses(&["--device-read-iops", "/dev/null:many"], &["--device-read-iops", "many"]);
    refuses(&["--device-cgroup-rule", "x 1:2 r"], &["--device-cgroup-rule"]);
    refuses(&["--device-cgroup-rule", "c 1:2 q"], &["--device-cgroup-rule"]);
    refuses(&["--cgroup-parent", "/a/../b"], &["--cgroup-parent"]);
    refuses(&["--shm-size", "large"], &["--shm-size"]);
    refuses(&["--group-add", "nobody-knows"], &["nobody-knows"]);
    refuses(&["--dns-search", "two words"], &["--dns-search"]);
}

#[test]
fn files_of_ids_and_labels() {
    for world in World::both() {
        world.host.admin("printf '# labels\\na=file\\nb=file\\n' >/tmp/labels");
        let id = world
            .host
            .run([
                "create",
                "--net",
                "none",
                "--cidfile",
                "/tmp/cid",
                "--label-file",
                "/tmp/labels",
                "-l",
                "a=option",
                BUSYBOX,
                "true",
            ])
            .ok();
        assert_eq!(world.host.admin("cat /tmp/cid").line(), id.line());
        let record =
            world.host.admin(&format!("cat /tmp/data/containers/{}/container.json", id.line())).stdout;
        let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        assert_eq!(record["labels"], serde_json::json!([["a", "option"], ["b", "file"]]));
        let refused =
            world.host.run(["run", "--rm", "--net", "none", "--cidfile", "/tmp/cid", BUSYBOX, "true"]);
        refused.refuses(125, &["--cidfile", "/tmp/cid"]);
        world
            .host
            .run(["run", "--rm", "--net", "none", "--cidfile", "/tmp/other", "no/such/image:at-all"])
            .refuses(125, &[]);
        world.host.admin("test ! -e /tmp/other");
        world
            .host
            .run(["run", "--rm", "--label-file", "/tmp/none", BUSYBOX])
            .refuses(125, &["--label-file", "/tmp/none"]);
        world.host.run(["rm", id.line()]).ok();
    }
}

#[test]
fn shut_as_far_as_it_goes() {
    for world in World::both() {
        let rootless = world.host.is_rootless();
        let script = "awk '/^(CapBnd|CapEff|NoNewPrivs)/ {print $2}' /proc/self/status; touch /x 2>/dev/null || echo read-only";
        world
            .sh(&["--net", "none", "--hardened"], script)
            .ok()
            .prints("0000000000000000\n0000000000000000\n1\nread-only");
        let ids = "awk '{print ($2 > 65536), $3}' /proc/self/uid_map";
        let hardened = |options: &[&str], script: &str, expected: &str| {
            drop(
                world.sh(&[&["--net", "none", "--hardened"], options].concat(), script).ok().prints(expected),
            );
        };
        // An ordinary user's containers are in a user namespace as it is.
        let usual = world.sh(&["--net", "none"], ids).ok();
        hardened(&[], ids, if rootless { &usual.stdout } else { "1 65536" });
        hardened(&[], "stat -c %u / /bin/busybox; cat /etc/hostname >/dev/null && id -u", "0\n0\n0");
        // Each part can be taken back by its own option.
        hardened(&["--userns", "host"], ids, &usual.stdout);
        hardened(&["--userns", "auto:size=1000"], ids, if rootless { "0 1000" } else { "1 1000" });
        hardened(&["--read-only=false"], "touch /x && echo writable", "writable");
        hardened(
            &["--tmpfs", "/t"],
            "touch /t/x && echo writable; touch /x 2>/dev/null || echo read-only",
            "writable\nread-only",
        );
        hardened(&["-v", "kept:/data"], "touch /data/x && stat -c %u /data/x", "0");
        let capabilities = "awk '/^(CapBnd|NoNewPrivs)/ {print $2}' /proc/self/status";
        hardened(
            &["--cap-add", "CHOWN", "--cap-add", "NET_BIND_SERVICE"],
            capabilities,
            "0000000000000401\n1",
        );
        hardened(&["--security-opt", "no-new-privileges=false"], capabilities, "0000000000000000\n0");
        world.sh(&["--hardened", "--privileged"], "true").refuses(125, &["--hardened", "--cap-add"]);
        world.host.run(["create", "--hardened", "--name", "shut", BUSYBOX]).ok();
        let mode = if rootless { "" } else { "auto" };
        let shown = "{{.HostConfig.UsernsMode}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}";
        world
            .host
            .run(["inspect", "--format", shown, "shut"])
            .ok()
            .prints(&format!("{mode} true [ALL] [no-new-privileges]"));
        world.host.run(["rm", "shut"]).ok();
    }
}

#[test]
fn health() {
    fn check(world: &World) {
        let health = |id: &str| -> serde_json::Value {
            let text = world.host.admin(&format!("cat /tmp/data/containers/{id}/health.json")).stdout;
            serde_json::from_str(&text).expect("JSON")
        };
        let run = |options: &[&str]| {
            let quick = ["run", "-d", "--net", "none", "--health-interval", "50ms", "--health-retries", "2"];
            let words = [&quick[..], options, &[BUSYBOX, "sleep", "1000"]].concat();
            world.host.run(words).ok().line().to_owned()
        };
        let until = |id: &str, status: &str| {
            wait_for(status, || (health(id)["status"] == status).then_some(()));
            health(id)
        };
        let one = run(&["--health-cmd", "echo looked; test ! -e /tmp/ill"]);
        let fine = until(&one, "healthy");
        assert_eq!(
            (&fine["log"][0]["output"], &fine["log"][0]["exit_code"]),
            (&"looked\n".into(), &0.into())
        );
        world.host.run(["exec", &one, "touch", "/tmp/ill"]).ok();
        let ill = until(&one, "unhealthy");
        assert!(ill["failing_streak"].as_u64() >= Some(2), "{ill}");
        world.host.run(["exec", &one, "rm", "/tmp/ill"]).ok();
        until(&one, "healthy");
        let slow = run(&["--health-cmd", "sleep 1000", "--health-timeout", "50ms"]);
        let late = until(&slow, "unhealthy");
        assert!(late["log"][0]["output"].as_str().is_some_and(|text| text.contains("took longer")), "{late}");
        let young = run(&[
            "--health-cmd",
            "exit 1",
            "--health-start-period",
            "1h",
            "--health-start-interval",
            "20ms",
        ]);
        wait_for("five results", || {
            (health(&young)["log"].as_array().map(Vec::len) == Some(5)).then_some(())
        });
        assert_eq!(
            (&health(&young)["status"], &health(&young)["failing_streak"]),
            (&"starting".into(), &0.into())
        );
        if !world.host.is_rootless() {
            // What is paused is not ill. Time passes by the checks of another.
            world.host.run(["pause", &one]).ok();
            for _ in 0..4 {
                let last = health(&young)["log"][4].clone();
                wait_for("another check", || (health(&young)["log"][4] != last).then_some(()));
            }
            world.host.run(["unpause", &one]).ok();
            assert_eq!(
                (&health(&one)["status"], &health(&one)["failing_streak"]),
                (&"healthy".into(), &0.into())
            );
        }
        world.host.run(["rm", "-f", &one, &slow, &young]).ok();
    }
    check(&World::root());
    check(&World::rootless());
    let world = World::root();
    world.sh(&["--health-interval", "1s"], "true").refuses(125, &["--health-cmd"]);
    world
        .sh(&["--health-cmd", "true", "--health-interval", "soon"], "true")
        .refuses(125, &["--health-interval", "soon"]);
    world.sh(&["--health-cmd", "true", "--health-retries", "0"], "true").refuses(125, &["--health-retries"]);
}

#[test]
fn limits_that_change() {
    let world = World::root();
    world
        .host
        .run([
            "run",
            "-d",
            "--net",
            "none",
            "--name",
            "box",
            "-m",
            "32m",
            "--restart",
            "always",
            BUSYBOX,
            "sleep",
            "1000",
        ])
        .ok();
    let read =
        |file: &str| world.host.run(["exec", "box", "sh", "-c", &format!("cat /sys/fs/cgroup/{file}")]);
    let update = |options: &[&str]| world.host.run([&["update"], options, &["box"]].concat());
    if read("memory/memory.limit_in_bytes").code == 0 {
        update(&["-m", "64m"]).ok().prints("box");
        read("memory/memory.limit_in_bytes").ok().prints("67108864");
        update(&["--cpus", "0.5", "--cpu-shares", "100"]).ok();
        read("cpu/cpu.cfs_quota_us").ok().prints("50000");
        read("cpu/cpu.shares").ok().prints("100");
        update(&["--pids-limit", "50"]).ok();
        read("pids/pids.max").ok().prints("50");
        update(&["--pids-limit", "-1"]).ok();
        read("pids/pids.max").ok().prints("max");
        update(&["--memory-reservation", "16m", "--memory-swap", "96m"]).ok();
        read("memory/memory.soft_limit_in_bytes").ok().prints("16777216");
        let swap = read("memory/memory.memsw.limit_in_bytes");
        assert!(swap.code != 0 || swap.line() == "100663296", "{swap}");
        update(&["--cpuset-cpus", "0", "--cpuset-mems", "0"]).ok();
        read("cpuset/cpuset.cpus").ok().prints("0");
        read("cpuset/cpuset.mems").ok().prints("0");
        // One way or the other to say how much of a processor it has.
        update(&["--cpu-period", "50000"]).refuses(125, &["--cpus", "--cpu-period"]);
        world.host.run(["run", "-d", "--net", "none", "--name", "other", BUSYBOX, "sleep", "1000"]).ok();
        let changed = ["update", "--cpu-period", "50000", "--cpu-quota", "20000", "other"];
        world.host.run(changed).ok().prints("other");
        let files = [
            "exec",
            "other",
            "cat",
            "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
            "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
        ];
        world.host.run(files).ok().prints("50000\n20000");
        world.host.run(["rm", "-f", "other"]).ok();
        // They hold for the next start too.
        world.host.run(["restart", "-t", "0", "box"]).ok();
        read("memory/memory.limit_in_bytes").ok().prints("67108864");
        read("pids/pids.max").ok().prints("max");
    }
    update(&["--restart", "no"]).ok();
    world.host.run(["stop", "-t", "0", "box"]).ok();
    update(&[]).refuses(125, &["something to change"]);
    update(&["-m", "much"]).refuses(125, &["--memory", "much"]);
    update(&["-m", "1m"]).refuses(125, &["--memory", "6m"]);
    update(&["--restart", "sometimes"]).refuses(125, &["--restart", "sometimes"]);
    update(&["--blkio-weight", "1"]).refuses(125, &["--blkio-weight"]);
    world.host.run(["update", "-m", "64m", "nobody"]).refuses(125, &["no such container: nobody"]);
    world.host.run(["rm", "box"]).ok();
}

#[test]
fn which_streams_are_shared() {
    for world in World::both() {
        let check = |options: &[&str], stdout: &str, stderr: &str| {
            let outcome = world.sh(&[&["--net", "none"], options].concat(), "echo out; echo err >&2").ok();
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (stdout, stderr), "{options:?}");
        };
        check(&["-a", "stdout"], "out\n", "");
        check(&["--attach", "stderr"], "", "err\n");
        check(&["-a", "stdout", "-a", "stderr"], "out\n", "err\n");
        world.sh(&["-a", "nothing"], "true").refuses(125, &["--attach", "nothing"]);
        world.run(&["--net", "none", "-h", "short"], &["hostname"]).ok().prints("short");
        let help = world.host.run(["run", "--help"]).ok();
        assert!(help.stdout.contains("Usage:") && help.stdout.contains("--hostname"), "{help}");
    }
}

#[test]
fn every_port_that_is_named() {
    for world in World::both() {
        let server = world
            .start(&["-P", "--expose", "80", "--expose", "9000-9001/udp", "--name", "web"], "httpd -f -p 80");
        let ports = testkit::deadline::wait_for("its ports", || {
            let ports = world.host.run(["port", "web"]);
            (ports.code == 0 && ports.stdout.contains("9001/udp")).then_some(ports.stdout)
        });
        assert!(ports.contains("9000/udp -> ") && ports.contains("80/tcp -> 0.0.0.0:"), "{ports}");
        // A free one of the host's leads there.
        let web = world.host.run(["port", "web", "80"]).ok();
        let port = web.stdout.lines().next().and_then(|line| line.rsplit(':').next()).expect("a port");
        testkit::deadline::wait_for("the published port answers", || {
            // 404: there is a server, and nothing to serve.
            let asked =
                world.host.sh(&format!("curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/"));
            (asked.stdout == "404").then_some(())
        });
        world.host.run(["stop", "-t", "0", "web"]).ok();
        drop(server);
        world.sh(&["--expose", "many"], "true").refuses(125, &["--expose", "many"]);
    }
}

#[test]
fn what_is_noted_of_a_container() {
    for world in World::both() {
        let words = ["--annotation", "org.test/key=a=b", "--annotation", "empty="];
        let run = ["run", "-d", "--net", "none", "--name", "one"];
        let id = world.host.run([&run[..], &words, &[BUSYBOX, "sleep", "1000"]].concat()).ok();
        let shown = world.host.run(["inspect", "-f", "{{json .HostConfig.Annotations}}", "one"]).ok();
        shown.prints(r#"{"empty":"","org.test/key":"a=b"}"#);
        // Hooks and monitors of the machine find them where the runtime keeps them.
        let config = world.host.admin(&format!("cat /tmp/run/containers/{}/config.json", id.line())).stdout;
        let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        assert_eq!(config["annotations"]["org.test/key"], "a=b");
        world.host.run(["rm", "-f", "one"]).ok();
        world.sh(&["--annotation", "=x"], "true").refuses(125, &["--annotation"]);
    }
}

#[test]
fn an_image_that_says_how_it_is_checked() {
    for world in World::both() {
        world.host.run(["create", "--net", "none", "--name", "base", BUSYBOX]).ok();
        let check = "HEALTHCHECK --interval=50ms --timeout=5s --retries=1 CMD test ! -e /tmp/ill";
        world.host.run(["commit", "-c", check, "base", "checked:1"]).ok();
        world.host.run(["commit", "-c", "HEALTHCHECK NONE", "base", "unchecked:1"]).ok();
        let run = |name: &str, image: &str, options: &[&str]| {
            let words = ["run", "-d", "--net", "none", "--name", name];
            world.host.run([&words[..], options, &[image, "sleep", "1000"]].concat()).ok();
        };
        let status = |name: &str| {
            let template = "{{if .State.Health}}{{.State.Health.Status}}{{else}}unchecked{{end}}";
            world.host.run(["inspect", "-f", template, name]).ok().line().to_owned()
        };
        let until = |name: &str, wanted: &str| wait_for(wanted, || (status(name) == wanted).then_some(()));
        run("its", "checked:1", &[]);
        until("its", "healthy");
        world.host.run(["exec", "its", "touch", "/tmp/ill"]).ok();
        until("its", "unhealthy");
        // Another command at the image's times; none at all; none from the image.
        run("other", "checked:1", &["--health-cmd", "false"]);
        until("other", "unhealthy");
        run("none", "checked:1", &["--no-healthcheck"]);
        run("never", "unchecked:1", &[]);
        assert_eq!((status("none"), status("never")), ("unchecked".to_owned(), "unchecked".to_owned()));
        let shown = world.host.run(["ps", "--format", "{{.Names}} {{.Status}}"]).ok().stdout;
        let of =
            |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        assert!(of("its").ends_with("(unhealthy)") && !of("none").contains('('), "{shown}");
        world.sh(&["--no-healthcheck", "--health-cmd", "true"], "true").refuses(125, &["--no-healthcheck"]);
        world.host.run(["rm", "-f", "base", "its", "other", "none", "never"]).ok();
    }
}

#[test]
fn when_an_image_is_pulled() {
    for world in World::both() {
        let own = Registry::settings(&world.host).port(5002).writable().start();
        let name = own.image("moving:1");
        let run = |options: &[&str]| {
            let words = ["run", "--rm", "--quiet", "--net", "none"];
            world.host.run([&words[..], options, &[&name, "sh", "-c", "ls / | grep -c mark || :"]].concat())
        };
        // In the registry the newer one, here the older of the same name.
        world.host.run(["run", "--net", "none", "--name", "base", BUSYBOX, "touch", "/mark"]).ok();
        world.host.run(["commit", "base", &name]).ok();
        world.host.run(["push", "-q", &name]).ok();
        world.host.run(["rmi", &name]).ok();
        run(&["--pull", "never"]).refuses(125, &["moving:1"]);
        world.host.run(["create", "--pull", "never", &name]).refuses(125, &["moving:1"]);
        world.host.run(["tag", BUSYBOX, &name]).ok();
        run(&[]).ok().prints("0");
        run(&["--pull", "missing"]).ok().prints("0");
        run(&["--pull", "never"]).ok().prints("0");
        run(&["--pull", "always"]).ok().prints("1");
        run(&["--pull=never"]).ok().prints("1");
        run(&["--pull", "sometimes"]).refuses(125, &["--pull", "sometimes"]);
        drop(own);
        run(&["--pull", "always"]).refuses(125, &["moving:1"]);
        run(&["--pull", "missing"]).ok().prints("1");
        world.host.run(["rm", "base"]).ok();
    }
}

/// Limits of a block device, by which the kernel counts; a file serves as one.
#[test]
fn reading_and_writing() {
    let world = World::root();
    world.host.admin(
        "truncate -s 8M /tmp/disk; mkfs.ext4 -q -O ^has_journal /tmp/disk; mkdir /tmp/mounted; mount -o loop /tmp/disk /tmp/mounted",
    );
    let device = world.host.admin("findmnt -no SOURCE /tmp/mounted").line().to_owned();
    let number =
        world.host.admin(&format!("echo $((0x$(stat -c %t {device}))):$((0x$(stat -c %T {device})))"));
    let number = number.line();
    let check = |option: &str, rate: &str, v1: &str, v2: &str, value: &str| {
        let limit = format!("{device}:{rate}");
        let shown = world.sh(
            &["--net", "none", option, &limit],
            &format!("cat /sys/fs/cgroup/blkio/{v1} 2>/dev/null || cat /sys/fs/cgroup/io.max"),
        );
        let shown = shown.ok();
        let (one, other) = (format!("{number} {value}"), format!("{v2}={value}"));
        assert!(shown.line() == one || shown.stdout.contains(&other), "{option}: {shown}");
    };
    check("--device-read-bps", "1mb", "blkio.throttle.read_bps_device", "rbps", "1048576");
    check("--device-write-bps", "2m", "blkio.throttle.write_bps_device", "wbps", "2097152");
    check("--device-read-iops", "100", "blkio.throttle.read_iops_device", "riops", "100");
    check("--device-write-iops", "200", "blkio.throttle.write_iops_device", "wiops", "200");
    // Shares between containers are for a scheduler that has them, which not every kernel does; of v2 the kernel has none without.
    let has_v1 = world.host.path("/sys/fs/cgroup/blkio").is_dir();
    for (option, value, file) in [
        ("--blkio-weight", "300".to_owned(), "blkio.bfq.weight"),
        ("--blkio-weight-device", format!("{device}:400"), "blkio.bfq.weight_device"),
    ]
    .into_iter()
    .filter(|_| has_v1)
    {
        let shown = world.sh(&["--net", "none", option, &value], &format!("cat /sys/fs/cgroup/blkio/{file}"));
        let said = shown.code == 125 && shown.stderr.contains("weight");
        assert!(said || shown.stdout.contains(value.rsplit(':').next().unwrap()), "{option}: {shown}");
    }
    world.host.admin("umount /tmp/mounted");
}

/// By the list of cgroup v1 and by the program of cgroup v2.
#[test]
fn rules_for_devices() {
    for world in [World::root(), World::cgroup2()] {
        let check = |options: &[&str], expected: &str| {
            let script = "mknod /tmp/tun c 10 200; (: </tmp/tun) 2>/dev/null && echo read || echo no; (: >/tmp/tun) 2>/dev/null && echo written || echo no";
            world.sh(&[&["--net", "none"], options].concat(), script).ok().prints(expected);
        };
        check(&[], "no\nno");
        check(&["--device-cgroup-rule", "c 10:200 rw"], "read\nwritten");
        check(&["--device-cgroup-rule", "c 10:200 r"], "read\nno");
        check(&["--device-cgroup-rule", "c 10:* rw"], "read\nwritten");
        check(&["--device-cgroup-rule", "c 11:200 rw"], "no\nno");
        check(&["--device-cgroup-rule", "b 10:200 rw"], "no\nno");
    }
}

#[test]
fn what_is_killed_when_memory_runs_out() {
    let world = World::root();
    let control = "cat /sys/fs/cgroup/memory/memory.oom_control | sed -n 's/^oom_kill_disable //p'";
    if world.host.path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
        for (options, expected) in [(&["-m", "64m"][..], "0"), (&["-m", "64m", "--oom-kill-disable"], "1")] {
            world.sh(&[&["--net", "none"], options].concat(), control).ok().prints(expected);
        }
    }
}
