//! Progress of what moves bytes: in a terminal only, and without colours.

use crate::world::{BUSYBOX, World};
use testkit::{Pty, Registry};

/// What a command shows in a terminal; it has to work.
#[track_caller]
fn shown(world: &World, script: &str, variable: &str) -> String {
    let pty = Pty::new(24, 100);
    let client = pty.start(
        &world.host.script(&format!("export {variable}; {script}; code=$?; echo the end; exit $code")),
    );
    let code = client.wait();
    pty.shows("the end");
    assert_eq!(code, 0, "{script}: {}", pty.screen());
    pty.screen()
}

#[test]
fn in_a_terminal_only() {
    fn check(world: &World) {
        let registry = Registry::settings(&world.host).port(5001).writable().start();
        let pushed = format!("{}/x/box:1", registry.address);
        world
            .host
            .run([
                "run",
                "--net",
                "none",
                "--name",
                "box",
                BUSYBOX,
                "dd",
                "if=/dev/urandom",
                "of=/big",
                "bs=1M",
                "count=16",
            ])
            .ok();
        world.host.run(["tag", BUSYBOX, &pushed]).ok();
        let home = "cd /tmp/home && $C";
        // Each with what has to be seen of it.
        let cases: [(&str, String, &[&str]); 7] = [
            (
                "cp from",
                format!("{home} cp box:/big big"),
                &["copying ", "/s", "Successfully copied 16.8MB to big"],
            ),
            (
                "cp to",
                format!("{home} cp big box:/again"),
                &["copying ", "/s", "Successfully copied 16.8MB to box:/again"],
            ),
            ("export", format!("{home} export -o root.tar box"), &["exporting ", "/s"]),
            ("import", format!("{home} import root.tar made:1"), &["importing [", "/s"]),
            ("save", format!("{home} save -o saved.tar made:1"), &["saving ", "/s"]),
            (
                "load",
                format!("$C rmi made:1 && {home} load -i saved.tar"),
                &["loaded", "Loaded image: made:1"],
            ),
            ("push", format!("$C push {pushed}"), &["pushed", "digest: sha256:"]),
        ];
        for (what, script, words) in &cases {
            for variable in ["NO_COLOR=1", "SOME=1"] {
                let screen = shown(world, script, variable);
                for word in *words {
                    // What the registry has already is not sent again.
                    let again = *what == "push" && variable == "SOME=1" && *word == "pushed";
                    let word = if again { "already here" } else { word };
                    assert!(screen.contains(word), "{what}: {word:?} is not in {screen:?}");
                }
                // Colours are ESC [ 3 or 4 and another digit.
                for colour in ["\u{1b}[3", "\u{1b}[4", "\u{1b}[1m", "\u{1b}[9"] {
                    assert!(!screen.contains(colour), "{what}: {screen:?}");
                }
            }
        }
        // Quiet where it is not looked at: nothing on standard error at all.
        world.host.admin("rm -f /tmp/home/*.tar");
        for (what, script, _) in &cases {
            let outcome = world.host.sh(script).ok();
            let lines = if *what == "push" {
                outcome.stderr.replace(": already here", "")
            } else {
                outcome.stderr.clone()
            };
            assert!(!lines.contains(['\u{1b}', ' ']), "{what}: {outcome}");
            assert!(*what == "push" || lines.is_empty(), "{what}: {outcome}");
        }
        let quiet = shown(world, &format!("{home} cp -q big box:/again"), "SOME=1");
        assert!(!quiet.contains("copying") && !quiet.contains("Successfully"), "{quiet:?}");
        // A stream of somebody else's pipe.
        let piped = shown(
            world,
            &format!("{home} save made:1 | cat >/dev/null; {home} cp box:/big - | cat >/dev/null"),
            "SOME=1",
        );
        assert!(!piped.contains("/s"), "{piped:?}");
        world.host.run(["rm", "box"]).ok();
        world.host.admin("rm -f /tmp/home/*");
    }
    check(&World::root());
    check(&World::rootless());
}
