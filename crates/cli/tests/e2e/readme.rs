//! The first ten minutes of a user: every command of the README, as it stands there.

use crate::world::program;
use testkit::deadline::wait_for;
use testkit::{Host, Pty, Registry};

/// The commands under a heading, without sudo and without what is said of them.
fn commands(heading: &str) -> Vec<String> {
    let text = include_str!("../../../../README.md");
    let section = text.split(heading).nth(1).expect("the README has the heading");
    let block = section.split("```").nth(1).expect("a block of commands");
    let lines = block.lines().filter_map(|line| line.strip_prefix("sudo "));
    lines.map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned()).collect()
}

/// A host on which docker.io is the registry of the fixtures.
fn with_docker_io(host: &Host) -> Registry {
    host.admin(
        "cd /tmp; mkdir upper work hub
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2>/dev/null
        openssl req -newkey rsa:2048 -nodes -keyout registry.key -out registry.csr -subj /CN=registry 2>/dev/null
        printf 'subjectAltName=DNS:registry-1.docker.io\\nbasicConstraints=CA:FALSE\\n' >extensions
        openssl x509 -req -in registry.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \\
            -out registry.crt 2>/dev/null
        mount -t overlay -o lowerdir=/tmp/fixtures/registry,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/hub
        cd hub/docker/registry/v2/repositories; mkdir library; cp -a debian busybox library
        printf '127.0.0.1 localhost registry-1.docker.io\\n' >/tmp/hosts; mount --bind /tmp/hosts /etc/hosts
        mkdir -p /tmp/clone/bin; ln -s /tmp/bin/devoxx-container /tmp/clone/bin",
    );
    Registry::settings(host).port(443).tls().storage("/tmp/hub").start()
}

#[test]
fn the_first_ten_minutes() {
    let host = Host::root(&program());
    let _registry = with_docker_io(&host);
    let tried: Vec<(String, i32)> = commands("## The first ten minutes")
        .into_iter()
        .map(|command| {
            let pty = Pty::new(24, 200);
            let words = format!("export SSL_CERT_FILE=/tmp/ca.crt; cd /tmp/clone; exec {command}");
            let client = pty.start(&host.script(&words));
            if command.ends_with(" sh") {
                pty.shows("# ");
                pty.types("exit\n");
            }
            if command.contains(" 8080:80 ") {
                wait_for("the published port answers", || {
                    // 404: there is a server, and nothing to serve.
                    let asked = host.sh("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/");
                    (asked.stdout == "404").then_some(())
                });
                pty.types("\x03");
            }
            let code = client.wait();
            // The client has ended; what it has written may still be on its way.
            let has = |text: &str| pty.shows(text);
            match command.as_str() {
                command if command.ends_with("bin/devoxx-container") => {
                    has("Container exited with exit code 0")
                }
                command if command.contains("exit 3") => has("Container exited with exit code 3"),
                command if command.contains("os-release") => {
                    has("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"")
                }
                command if command.ends_with("images") => has("busybox"),
                _ => {}
            }
            (command, code)
        })
        .collect();
    let of = |part: &str| tried.iter().find(|(command, _)| command.contains(part)).map(|(_, code)| *code);
    assert_eq!(of("exit 3"), Some(3), "{tried:?}");
    assert_eq!(of("tail /dev/zero"), Some(137), "{tried:?}");
    assert_eq!(of(" 8080:80 "), Some(130), "{tried:?}");
    let others = tried.iter().filter(|(command, _)| {
        !["exit 3", "tail /dev/zero", " 8080:80 "].iter().any(|part| command.contains(part))
    });
    assert!(others.clone().count() >= 12 && others.clone().all(|(_, code)| *code == 0), "{tried:?}");
    host.sh("cat /tmp/clone/data/file").ok().prints("hello");
}
