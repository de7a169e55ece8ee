//! `--format`, `--filter` and points of time, with what people type and with what nobody should.

use crate::world::{BUSYBOX, FAILED, World};

/// Templates that are none.
const BAD_TEMPLATES: [&str; 14] = [
    "{{",
    "{{.ID",
    "{{end}}",
    "{{if .ID}}",
    "{{nope .ID}}",
    "{{.ID | | len}}",
    "{{\"a}}",
    "{{$x}}",
    "{{()}}",
    "{{;}}",
    "{{range}}{{end}}",
    "{{template \"x\"}}",
    "{{'ab'}}",
    "{{\u{fffd}}}",
];

#[test]
fn a_mistake_is_one_line_that_names_its_place() {
    let world = World::root();
    world.host.run(["create", "--net", "none", "--name", "one", "-v", "data:/data", BUSYBOX, "true"]).ok();
    world.host.run(["volume", "create", "data"]).ok();
    for template in BAD_TEMPLATES {
        for command in [
            &["ps", "-a"][..],
            &["inspect", "one"],
            &["inspect", BUSYBOX],
            &["stats", "--no-stream"],
            &["events", "--until", "0s", "--since", "1h"],
            &["info"],
            &["version"],
            &["images"],
            &["history", BUSYBOX],
            &["image", "inspect", BUSYBOX],
            &["volume", "ls"],
            &["volume", "inspect", "data"],
            &["network", "ls"],
            &["network", "inspect", "bridge"],
            &["system", "df"],
            &["system", "df", "-v"],
        ] {
            let arguments = [command, &["--format", template]].concat();
            world.host.run(&arguments).refuses(FAILED, &["template: line 1, column "]);
        }
    }
    for (command, field) in [
        (&["ps", "-a"][..], "{{.Nope}}"),
        (&["ps"], "table {{.Nope}}"),
        (&["inspect", "one"], "{{.State.Nope}}"),
        (&["inspect", "one"], "{{.Nope.Nope}}"),
        (&["info"], "{{.Nope}}"),
        (&["version"], "{{.Client.Nope}}"),
        (&["inspect", BUSYBOX], "{{.Nope}}"),
        (&["stats", "--no-stream"], "table {{.Nope}}"),
        (&["image", "inspect", BUSYBOX], "{{.Nope}}"),
        (&["volume", "inspect", "data"], "{{.Nope}}"),
        (&["network", "inspect", "bridge"], "{{.Nope}}"),
    ] {
        let arguments = [command, &["--format", field]].concat();
        world.host.run(&arguments).refuses(FAILED, &["column", "no field \"Nope\"", "there are "]);
    }
    world.host.run(["inspect", "-f", "{{index .Args 9}}", "one"]).refuses(FAILED, &["[9]"]);
    world.host.run(["rm", "one"]).ok();
}

#[test]
fn filters_that_are_none() {
    let world = World::root();
    world.host.run(["create", "--net", "none", "--name", "one", BUSYBOX, "true"]).ok();
    let check = |command: &str, filter: &str, words: &[&str]| {
        world.host.run([command, "--filter", filter, "--format", "x"]).refuses(FAILED, words);
    };
    for command in ["ps", "events"] {
        for garbage in ["", "=", "name", "nope=1", "\u{1b}[31m=x", "=name", "a=b=c", "NAME", "státus=x"] {
            check(command, garbage, &["invalid filter"]);
        }
    }
    for filter in [
        "status=gone",
        "status=",
        "exited=x",
        "exited=99999999999",
        "health=ill",
        "publish=http",
        "publish=70000",
        "publish=9-1",
        "publish=80/icmp",
        "expose=x",
        "is-task=maybe",
        "name=[a",
        "name=*",
        "id=(",
        "name=a**",
    ] {
        check("ps", filter, &["invalid filter"]);
    }
    for filter in ["before=nobody", "since=nobody", "before=", "since="] {
        check("ps", filter, &["no such container"]);
    }
    check("events", "type=planet", &["invalid filter"]);
    check("events", "scope=wide", &["invalid filter"]);
    // What fits nothing is no mistake.
    for filter in [
        "name=nobody",
        "id=ffffffff",
        "label=x",
        "label=x=y",
        "label=",
        "ancestor=\u{1}",
        "ancestor=nothing:1",
        "volume=/none",
        "volume=",
        "network=nowhere",
        "health=healthy",
        "exited=-1",
        "publish=1",
        "is-task=true",
    ] {
        world.host.run(["ps", "-aq", "--filter", filter]).ok().prints("");
    }
    world.host.run(["rm", "one"]).ok();
}

/// Every list and every prune reads them in the same way.
#[test]
fn filters_of_every_command() {
    let world = World::root();
    let garbage = ["", "=", "name", "nope=1", "=name", "\u{1b}[31m=x", "a=b=c", "st\u{e1}tus=x"];
    for command in [
        &["ps"][..],
        &["events", "--until", "0s", "--since", "1h"],
        &["images"],
        &["volume", "ls"],
        &["network", "ls"],
        &["container", "prune", "-f"],
        &["image", "prune", "-f"],
        &["volume", "prune", "-f"],
        &["network", "prune", "-f"],
        &["system", "prune", "-f"],
    ] {
        for text in garbage {
            let said = world.host.run([command, &["--filter", text]].concat());
            said.refuses(FAILED, &["invalid filter"]);
        }
        let said = world.host.run([command, &["--filter", "nope=1"]].concat());
        said.refuses(FAILED, &["nope=1", "the keys are ", "label"]);
        // A key may be written in any case, and with blanks.
        world.host.run([command, &["--filter", " Label = x "]].concat()).ok();
    }
    // A variable that was not set removes nothing.
    world.host.run(["volume", "create", "data"]).ok();
    for command in ["container", "image", "volume", "network", "system"] {
        for text in ["label=", "label!="] {
            let said = world.host.run([command, "prune", "-f", "--filter", text]);
            said.refuses(FAILED, &[text, "the value is empty"]);
        }
    }
    // Names are patterns in each of them.
    world.host.run(["volume", "create", "database"]).ok();
    world.host.run(["network", "create", "app"]).ok();
    world.host.run(["network", "create", "apple"]).ok();
    let check = |words: &[&str], expected: &str| {
        world.host.run([words, &["--format", "{{.Name}}"]].concat()).ok().prints(expected);
    };
    check(&["volume", "ls", "-f", "name=data"], "data\ndatabase");
    check(&["volume", "ls", "-f", "name=^data$"], "data");
    check(&["volume", "ls", "-f", "name=base$", "-f", "name=^d.ta$"], "data\ndatabase");
    check(&["network", "ls", "-f", "name=app"], "app\napple");
    check(&["network", "ls", "-f", "name=^app$"], "app");
    check(&["network", "ls", "-f", "scope=local", "-f", "type=builtin"], "bridge\nhost\nnone");
    check(&["network", "ls", "-f", "scope=swarm"], "");
    world.host.run(["create", "--name", "on", "--network", "app", BUSYBOX]).ok();
    check(&["network", "ls", "-f", "dangling=true", "-f", "type=custom"], "apple");
    check(&["network", "ls", "-f", "dangling=false"], "app");
    for bad in ["name=[", "type=odd", "scope=wide", "dangling=perhaps"] {
        world.host.run(["network", "ls", "-f", bad]).refuses(FAILED, &["invalid filter", bad]);
    }
    world.host.run(["volume", "ls", "-f", "name=a**"]).refuses(FAILED, &["invalid filter"]);
    world.host.run(["rm", "on"]).ok();
}

#[test]
fn points_of_time_that_are_none() {
    let world = World::root();
    world.host.run(["create", "--net", "none", "--name", "one", BUSYBOX, "true"]).ok();
    for time in [
        "",
        "yesterday",
        "10",
        "2026-13-01",
        "2026-02-30T00:00:00Z",
        "10x",
        "1.2.3",
        "-",
        "9999999999999h",
        "\u{7}",
    ] {
        if time == "10" {
            continue;
        }
        for option in ["--since", "--until"] {
            world.host.run(["logs", option, time, "one"]).refuses(FAILED, &[option, "point of time"]);
            world.host.run(["events", option, time]).refuses(FAILED, &[option, "point of time"]);
        }
    }
    world
        .host
        .run(["events", "--since", "1s", "--until", "1h"])
        .refuses(FAILED, &["--since is after --until"]);
    world.host.run(["rm", "one"]).ok();
}

#[test]
fn tables_lines_and_json() {
    fn check(world: World) {
        let run = [
            "run", "-d", "--net", "none", "--label", "team=red", "--label", "b", "--name", "web", BUSYBOX,
            "sleep", "1000",
        ];
        let id = world.host.run(run).ok().line().to_owned();
        let ps = |format: &str, expected: &str| {
            world.host.run(["ps", "--format", format]).ok().prints(expected);
        };
        let short = &id[..12];
        ps("{{.ID}} {{.Names}} {{.State}}", &format!("{short} web running"));
        ps("{{.Label \"team\"}}|{{.Label \"nope\"}}|{{.Labels}}", "red||b=,team=red");
        ps("{{json .Names}} {{upper .Names}} {{len .ID}}", "\"web\" WEB 12");
        ps("table {{.Names}}\\t{{.ID}}", &format!("NAMES     CONTAINER ID\nweb       {short}"));
        ps("{{.Command}} {{.Image}} {{.Networks}}", &format!("\"sleep 1000\" {BUSYBOX}:latest none"));
        ps("{{with .Names}}{{printf \"%5s|\" .}}{{end}}", "  web|");
        let json = world.host.run(["ps", "--format", "json"]).ok();
        let row: serde_json::Value = serde_json::from_str(json.line()).expect("one object a line");
        assert_eq!((row["Names"].as_str(), row["State"].as_str()), (Some("web"), Some("running")), "{row}");
        let usual = world.host.run(["ps"]).ok();
        let header = usual.stdout.lines().next().unwrap_or_default();
        let words: Vec<&str> = header.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        assert_eq!(words, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
        assert!(usual.stdout.contains("ago") && usual.stdout.contains("Up "), "{usual}");
        world.host.run(["ps", "-q", "--no-trunc"]).ok().prints(&id);
        let inspect = |template: &str, expected: &str| {
            world.host.run(["inspect", "-f", template, "web"]).ok().prints(expected);
        };
        inspect("{{.Id}} {{.ID}} {{.Name}}", &format!("{id} {id} /web"));
        inspect(
            "{{.State.Status}} {{.State.Running}} {{.Config.Labels.team}} {{index .Config.Labels \"nope\"}}|",
            "running true red |",
        );
        inspect(
            "{{.Path}} {{join .Args \" \"}} {{range .Config.Cmd}}<{{.}}>{{end}}",
            "sleep 1000 <sleep><1000>",
        );
        inspect("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none");
        inspect("{{range $name, $net := .NetworkSettings.Networks}}{{$name}}{{end}}", "none");
        inspect("{{json .State.ExitCode}} {{.HostConfig.RestartPolicy.Name}}", "0 no");
        world.host.run(["container", "inspect", "-f", "{{.Name}}", "web"]).ok().prints("/web");
        world.host.run(["container", "ls", "-q"]).ok().prints(short);
        world.host.run(["container", "list", "--format", "{{.Names}}"]).ok().prints("web");
        world.host.run(["container", "exec", "web", "echo", "in"]).ok().prints("in");
        world.host.run(["container", "rm", "-f", "web"]).ok().prints("web");
        world.host.run(["ps", "--format", "{{.Names}}"]).ok().prints("");
    }
    check(World::root());
    check(World::rootless());
}

#[test]
fn the_group_of_containers() {
    for world in World::both() {
        let help = world.host.run(["container", "--help"]).ok();
        for verb in ["run", "ls", "inspect", "logs", "stats"] {
            assert!(help.stdout.contains(verb), "{verb}: {help}");
        }
        world.host.run(["container", "pull", BUSYBOX]).refuses(FAILED, &["pull"]);
        world.host.run(["container", "nope"]).refuses(FAILED, &["nope"]);
        world.host.run(["container", "inspect", BUSYBOX]).refuses(FAILED, &["no such container"]);
        let version = world.host.run(["version", "--format", "{{.Client.Version}} {{.Server.Os}}"]).ok();
        assert!(version.line().ends_with(" linux"), "{version}");
        let info = world.host.run(["info", "--format", "json"]).ok();
        let info: serde_json::Value = serde_json::from_str(info.line()).expect("JSON");
        assert_eq!((info["Images"].as_u64(), info["Containers"].as_u64()), (Some(1), Some(0)), "{info}");
        world.host.run(["info"]).ok();
        world
            .host
            .run(["network", "ls", "--format", "{{.Name}} {{.Driver}}", "-f", "name=host"])
            .ok()
            .prints("host host");
        world.host.run(["network", "ls", "--format", "{{"]).refuses(FAILED, &["template: line 1"]);
        world.host.run(["network", "inspect", "-f", "{{.Name}}", "bridge"]).ok().prints("bridge");
        world
            .host
            .run(["network", "inspect", "-f", "{{.Nope}}", "bridge"])
            .refuses(FAILED, &["no field \"Nope\""]);
        world.host.run(["version"]).ok();
    }
}
