//! What completes commands and names, in the shells themselves: zsh and fish load what `completion` prints, from where `make install`
//! puts it too. For bash see `explain`.

use crate::world::{BUSYBOX, World};
use testkit::Pty;
use testkit::deadline::{LIMIT, poll};

/// Beginnings of a line, and what one press of the Tab key makes of each.
const LINES: [(&str, &str); 9] = [
    ("volume rm a-", "a-volume"),
    ("renam", "rename"),
    ("rm a-", "a-container"),
    ("exec -it a-c", "a-container"),
    ("network rm a-", "a-network"),
    ("network connect a-network a-", "a-container"),
    ("run --network a-", "a-network"),
    ("rmi 127", BUSYBOX),
    ("run --memory-sw", "--memory-swap"),
];

/// The whole line afterwards.
fn completed(line: &str, word: &str) -> String {
    let (before, _) = line.rsplit_once(' ').map_or(("", line), |(before, last)| (before, last));
    format!("devoxx-container {before} {word}").replace("  ", " ")
}

/// One thing of each kind, and the scripts where shells look for them.
fn with_names(world: &World) {
    world.host.run(["create", "--net", "none", "--name", "a-container", BUSYBOX, "true"]).ok();
    world.host.run(["volume", "create", "a-volume"]).ok();
    world.host.run(["network", "create", "a-network"]).ok();
    world
        .host
        .sh("cd /tmp/home; mkdir site-functions autoloaded sourced vendor_completions.d
            $C completion zsh >site-functions/_devoxx-container
            $C completion fish >vendor_completions.d/devoxx-container.fish
            cat >autoloaded/.zshrc <<'END'
PATH=/tmp/bin:$PATH; fpath=(/tmp/home/site-functions $fpath)
autoload -U compinit; compinit -u -D
show() { print -r -- \"<$BUFFER>\" >>/tmp/home/shown }; zle -N show; bindkey '^X' show
PS1='ready> '
END
            sed -e 's/fpath=.*//' autoloaded/.zshrc >sourced/.zshrc
            echo 'source <(devoxx-container completion zsh)' >>sourced/.zshrc")
        .ok();
}

#[test]
fn zsh() {
    for world in World::both() {
        with_names(&world);
        let shell = |place: &str, lines: &[(&str, &str)]| {
            let pty = Pty::new(24, 200);
            let shell = pty.start(&world.host.script(&format!("ZDOTDIR=/tmp/home/{place} exec zsh -d -i")));
            pty.shows("ready> ");
            for (line, word) in lines {
                pty.types(&format!("\x15devoxx-container {line}\t\x18"));
                // Not on the terminal: for its own lines zsh leaves the mode in which it reads keys, and what is typed then is lost.
                let expected = format!("<{}", completed(line, word));
                let shown =
                    || std::fs::read_to_string(world.host.path("/tmp/home/shown")).unwrap_or_default();
                let is_shown = poll(LIMIT, || shown().contains(&expected).then_some(()));
                assert!(is_shown.is_some(), "{expected} is not in {:?}: {}", shown(), pty.screen());
            }
            pty.types("\x15exit\r");
            assert_eq!(shell.wait(), 0, "{}", pty.screen());
            world.host.admin("rm -f /tmp/home/shown");
        };
        // The first press of the key is what loads the script, so each in a shell of its own.
        for line in LINES {
            shell("autoloaded", &[line]);
        }
        shell("autoloaded", &LINES);
        shell("sourced", &LINES);
    }
}

#[test]
fn fish() {
    for world in World::both() {
        with_names(&world);
        let check = |before: &str| {
            for (line, word) in LINES {
                let script = format!("{before}; complete -C \"devoxx-container {line}\"");
                let offered =
                    world.host.sh(&format!("PATH=/tmp/bin:$PATH exec fish --no-config -c '{script}'")).ok();
                let words: Vec<&str> =
                    offered.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
                assert!(words.contains(&word) && words.len() <= 2, "{line}: {word} in {offered}");
            }
        };
        check("source (devoxx-container completion fish | psub)");
        check("set fish_complete_path /tmp/home/vendor_completions.d");
    }
}
