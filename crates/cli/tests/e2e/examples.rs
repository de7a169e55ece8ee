//! The examples of every `--help`, run as they stand there: in a shell, in a terminal, on a host that has what they speak of.

use crate::world::program;
use std::collections::BTreeSet;
use std::process::Command;
use testkit::deadline::{LIMIT, poll};
use testkit::{Host, Pty, Registry};

fn help(words: &[&str]) -> String {
    let output = Command::new(program()).args(words).arg("--help").output().expect("the program starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The examples of a command and of those in it; one that stands in several places is one.
fn examples(path: &[&str], all: &mut Vec<String>) {
    let text = help(path);
    let lines = text.split("\nExamples:\n").nth(1).unwrap_or_default().lines();
    let mut own: Vec<String> = Vec::new();
    for line in lines.map(str::trim).take_while(|line| !line.is_empty()) {
        match own.last_mut() {
            // A long line is folded.
            Some(last) if !line.contains("devoxx-container") => *last = format!("{last} {line}"),
            _ => own.push(line.to_owned()),
        }
    }
    all.extend(own);
    let inner = text.split("\nCommands:\n").nth(1).unwrap_or_default();
    let inner = inner.lines().take_while(|line| !line.is_empty());
    let names = inner.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        examples(&[path, &[name]].concat(), all);
    }
}

/// What is there before each example.
const PRELUDE: &str = r#"
PATH=/tmp/shims:/tmp/bin:$PATH; HOME=/tmp/home SSL_CERT_FILE=/tmp/ca.crt; export PATH HOME SSL_CERT_FILE
mkdir -p /tmp/home/work; cd /tmp/home/work
c() { devoxx-container "$@"; }
up() {
    for name; do
        test "$(c inspect -f '{{.Config.Labels.up}}' $name)" = yes || gone $name
        c unpause $name
        ports=; test $name != web || ports='-p 8080:80 -p 53:53/udp'
        c start $name || c run -d --name $name --label up=yes $ports busybox \
            sh -c 'trap exit TERM; mkdir -p /etc/nginx /srv; echo conf >/etc/nginx/nginx.conf; rm /etc/group
                while :; do echo tick; usleep 200000; done'
    done
}
down() { up "$@"; c stop -t 0 "$@"; }
gone() { c rm -f "$@"; }
ended() { for name; do gone $name; c run --name $name --net none busybox true; done; }
shell() { gone shell; c create -it --name shell debian:12 bash; }
networks() {
    gone web postgres; c network rm -f app back
    c network create app; c network create --subnet 10.5.0.0/24 back
}
tags() { c pull busybox; for name; do c tag busybox $name; done; }
root() { mkdir -p root site; echo x >root/file; echo y >site/index.html; tar -C root -cf root.tar .; gzip -kf root.tar; }
gone www postgres >/dev/null 2>&1
"#;

/// The beginning of an example, without the name of the program, and what is done for it. The first that fits is the one.
const BEFORE: &[(&str, &str)] = &[
    ("run -d --name web --network app", "gone web; networks"),
    ("run -d --name web", "gone web"),
    ("create --name web", "gone web"),
    ("create -it --name shell", "gone shell"),
    ("start web db", "down web db"),
    ("start -ai shell", "shell"),
    ("wait", "ended job one other"),
    ("attach shell", "shell; c start shell"),
    ("unpause", "up web db; c pause web db"),
    ("rename web www", "gone www; up web"),
    ("rename 4c01db0b339c", "gone web; ID=$(c create busybox)"),
    ("cp", "up web; root"),
    ("commit -m", "shell"),
    ("rm web", "down web"),
    ("network create app", "networks; c network rm app"),
    ("network create --subnet", "networks; c network rm back"),
    ("network connect app web", "networks; up web"),
    ("network connect", "networks; c run -d --name postgres busybox sleep 1000"),
    ("network disconnect app", "networks; up web; c network connect app web"),
    ("network disconnect bridge", "networks; up web"),
    ("network", "networks"),
    ("pull --all-tags", "tags registry.example.com/web:1; c push registry.example.com/web:1"),
    ("push", "tags registry.example.com/web:1 registry.example.com/web:2"),
    ("tag debian:12", "c pull debian:12"),
    ("tag 4c01db0b339c", "c pull busybox; ID=$(c images -q busybox)"),
    ("history", "c pull debian:12"),
    ("save", "tags web:1 db:2"),
    ("load", "tags web:1; c save -o web.tar web:1; gzip -kf web.tar"),
    ("import", "root"),
    ("rmi debian:12", "gone shell; c pull debian:12"),
    ("rmi --force", "root; ID=$(c import root.tar own:1); ID=$(c images -q own)"),
    ("image inspect --platform linux/arm64", "root; c import --platform linux/arm64 root.tar debian:12"),
    ("image inspect", "c pull debian:12"),
    ("image unmount", "c pull debian:12; c image mount debian:12"),
    ("image mount", "c pull debian:12"),
    ("volume create", "c volume rm -f data"),
    ("volume", "c volume create data; c volume create logs"),
    ("login", "echo secret >password"),
    ("logout registry.example.com", "echo secret | c login -u ana --password-stdin registry.example.com"),
    ("logout", "echo secret | c login -u ana --password-stdin"),
    ("completion", "mkdir -p ~/.config/fish/completions /etc/bash_completion.d"),
    ("system disable", "c system enable"),
];

/// Those that a person ends: the beginning, what shows that they are at it (nothing: the terminal is theirs), what is typed then, and
/// the exit code.
const TYPED: &[(&str, &str, &str, i32)] = &[
    ("run --rm -it debian:12 bash", "", "exit\r", 0),
    ("start -ai shell", "", "exit\r", 0),
    ("attach shell", "", "exit\r", 0),
    ("exec -it web sh", "", "exit\r", 0),
    ("attach --no-stdin", "tick", "\x03", 0),
    ("logs -f", "tick", "\x03", 130),
    ("stats --format", "web", "\x03", 130),
    ("events --filter", "ended", "\x03", 130),
    ("container prune", "[y/N]", "y\r", 0),
    ("image prune", "[y/N]", "y\r", 0),
    ("volume prune", "[y/N]", "y\r", 0),
    ("system prune", "[y/N]", "y\r", 0),
];

/// A host on which docker.io and registry.example.com are one registry, with images under the names of the examples; what the examples
/// change in /etc and what they call besides stays in it.
fn prepared(host: &Host) -> Registry {
    host.admin(
        "mount -t tmpfs run /run; mkdir -p /run/systemd/system /tmp/etc.upper /tmp/etc.work /tmp/shims
        mount -t overlay -o lowerdir=/etc,upperdir=/tmp/etc.upper,workdir=/tmp/etc.work overlay /etc
        mkdir -p /etc/bash_completion.d; chmod 777 /etc/bash_completion.d
        echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
        echo '127.0.0.1 localhost registry-1.docker.io registry.example.com' >/etc/hosts
        printf '#!/bin/sh\\necho secret\\n' >/tmp/shims/pass; printf '#!/bin/sh\\n' >/tmp/shims/systemctl
        chmod 755 /tmp/shims/*
        cd /tmp; mkdir upper work registry-443
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2>/dev/null
        openssl req -newkey rsa:2048 -nodes -keyout registry.key -out registry.csr -subj /CN=registry 2>/dev/null
        printf 'subjectAltName=DNS:registry-1.docker.io,DNS:registry.example.com\\nbasicConstraints=CA:FALSE\\n' >extensions
        openssl x509 -req -in registry.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \\
            -out registry.crt 2>/dev/null
        mount -t overlay -o lowerdir=/tmp/fixtures/registry,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/registry-443
        cd registry-443/docker/registry/v2/repositories; mkdir library; cp -a debian busybox library; cd library
        for name in nginx redis; do cp -a busybox $name; done
        cp -a nginx/_manifests/tags/latest nginx/_manifests/tags/1; mv redis/_manifests/tags/latest redis/_manifests/tags/7
        cp -a ../team/index alpine; mv alpine/_manifests/tags/1 alpine/_manifests/tags/latest",
    );
    Registry::settings(host).port(443).tls().writable().start()
}

/// What stands for a line in a table: all that begins as its first command of ours does.
fn fits(line: &str, beginning: &str) -> bool {
    let at = line.find("devoxx-container ").map_or(0, |at| at + "devoxx-container ".len());
    line[at..].starts_with(beginning)
}

/// Runs one; what is wrong with it.
fn run(host: &Host, line: &str) -> Option<String> {
    let before = BEFORE.iter().find(|(beginning, _)| fits(line, beginning));
    // Those that are about a container that runs need no more.
    let before = before.map_or("up web db", |(_, before)| before);
    let typed = TYPED.iter().find(|(beginning, ..)| fits(line, beginning) && !line.contains("--force"));
    let script = format!(
        "{PRELUDE}{{ {before}; }} >/tmp/before 2>&1 </dev/null\necho READY; set -o pipefail; trap : INT\n{}\necho CODE $? .",
        line.replace("4c01db0b339c", "$ID")
    );
    let pty = Pty::new(40, 200);
    let modes = pty.modes();
    std::fs::write(host.path("/tmp/home/example"), script).expect("write");
    let shell = pty.start(&host.script("exec bash /tmp/home/example"));
    pty.shows("READY");
    let mut expected = 0;
    if let Some((_, text, keys, code)) = typed {
        let shown = poll(LIMIT, || {
            if *text == "ended" {
                host.run(["run", "--rm", "--name", "ended", "--net", "none", "busybox", "true"]).ok();
            }
            let screen = pty.screen();
            let after = screen.split_once("READY").map_or("", |(_, after)| after);
            let ready = if text.is_empty() { pty.modes() != modes } else { after.contains(text) };
            ready.then_some(())
        });
        if shown.is_none() {
            return Some(format!("{line}: nobody is at it\n{}", pty.screen()));
        }
        pty.types(keys);
        expected = *code;
    }
    // The code is what the example ended with, and that it ended.
    let code = poll(LIMIT, || {
        let screen = pty.screen();
        screen.rsplit_once("CODE ").and_then(|(_, rest)| rest.split_once(" .")?.0.parse::<i32>().ok())
    });
    drop(shell);
    (code != Some(expected)).then(|| {
        let before = std::fs::read_to_string(host.path("/tmp/before")).unwrap_or_default();
        format!("{line}: {code:?} instead of {expected}\n{}\nbefore it: {before}", pty.screen())
    })
}

#[test]
fn every_example_does_what_it_says() {
    let mut all = Vec::new();
    examples(&[], &mut all);
    let mut seen = BTreeSet::new();
    all.retain(|line| seen.insert(line.clone()));
    assert!(all.len() > 100, "{all:?}");
    for host in [Host::root(&program()), Host::rootless(&program())] {
        every_example_of(&host, &all);
    }
}

/// What an ordinary user cannot do, or not on a host whose cgroups are those of v1, where `system doctor` finds just that.
const OF_ROOT: [&str; 6] =
    ["pause", "unpause", "image mount", "image unmount", "update --memory", "system doctor"];

fn every_example_of(host: &Host, all: &[String]) {
    let _registry = prepared(host);
    let left_out = |line: &str| host.is_rootless() && OF_ROOT.iter().any(|beginning| fits(line, beginning));
    let wrong: Vec<String> =
        all.iter().filter(|line| !left_out(line)).filter_map(|line| run(host, line)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n---\n"));
    host.sh("PATH=/tmp/bin:$PATH; devoxx-container rm -f $(devoxx-container ps -aq); devoxx-container image unmount --all");
}
