//! The program without a word: the workshop's container, which needs no image and no network.

use crate::world::program;
use testkit::{Host, Outcome};

fn last_line(outcome: &Outcome) -> &str {
    outcome.line().lines().last().unwrap_or_default()
}

#[test]
fn shows_what_a_container_is() {
    fn check(host: &Host) {
        let before = host.sh("hostname").stdout;
        let shown = host.run::<&str>([]).ok();
        assert!(shown.stdout.contains("PID"), "{shown}");
        assert!(shown.stdout.contains("devoxx-container"), "{shown}");
        assert!(
            shown.stdout.split(|c: char| !c.is_ascii_digit()).any(|word| word == "1"),
            "pid 1 inside: {shown}"
        );
        assert_eq!(last_line(&shown), "Container exited with exit code 0", "{shown}");

        let shown = host.run(["--", "sh", "-c", "hostname; echo $$; ps; exit 3"]).code(3);
        let lines: Vec<_> = shown.stdout.lines().collect();
        assert!(lines.windows(2).any(|two| two == ["devoxx-container", "1"]), "hostname and pid: {shown}");
        assert_eq!(last_line(&shown), "Container exited with exit code 3", "{shown}");
        let listed = host.run(["--", "sh", "-c", "for p in /proc/[0-9]*; do echo P$p; done"]).ok();
        let processes = listed.stdout.lines().filter(|line| line.starts_with("P/proc/")).count();
        assert_eq!(processes, 1, "only its own processes: {listed}");

        let named = host.run(["--hostname", "workshop", "--", "hostname"]).ok();
        assert!(named.stdout.lines().any(|line| line == "workshop"), "{named}");
        assert_eq!(host.sh("hostname").stdout, before, "the host keeps its name");
    }
    check(&Host::root(&program()));
    check(&Host::rootless(&program()));
    check(&Host::root_cgroup2_view(&program()));
}

#[test]
fn passes_every_end_on() {
    let host = Host::root(&program());
    let check = |script: &str, code: i32| {
        let shown = host.run(["--", "sh", "-c", script]).code(code);
        assert_eq!(last_line(&shown), format!("Container exited with exit code {code}"), "{shown}");
    };
    check("exit 0", 0);
    check("exit 1", 1);
    check("exit 255", 255);
    check("sh -c 'kill -TERM $$'; exit $?", 143);
}

#[test]
fn refuses_a_bad_hostname() {
    let host = Host::root(&program());
    let check = |name: &str| {
        let refused = host.run(["--hostname", name, "--", "true"]);
        assert_ne!(refused.code, 0, "{refused}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused}");
        assert!(refused.stderr.contains(name) && refused.stderr.contains("hostname"), "names it: {refused}");
    };
    check("");
    check(&"x".repeat(65));
    host.run(["--hostname", &"x".repeat(63), "--", "true"]).ok();
}

#[test]
fn says_how_when_user_namespaces_are_refused() {
    let host = Host::root(&program());
    // In a user namespace of its own: the limit is that namespace's, the machine's stays.
    let refused = host.sh("chmod -R a+rwX /tmp/data /tmp/run /tmp/home; mkfifo /tmp/go
         unshare --user sh -c 'read go </tmp/go; exec sh -c \"echo 0 >/proc/sys/user/max_user_namespaces
           exec setpriv --reuid 1000 --regid 1000 --clear-groups -- $C\"' &
         while [ \"$(readlink /proc/$!/ns/user)\" = \"$(readlink /proc/$$/ns/user)\" ]; do sleep 0.01; done
         echo '0 0 65536' >/proc/$!/uid_map; echo '0 0 65536' >/proc/$!/gid_map; echo >/tmp/go; wait $!");
    assert_ne!(refused.code, 0, "{refused}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused}");
    assert!(refused.stderr.starts_with("permission denied: run with sudo: "), "{refused}");
    assert!(
        refused.stderr.contains("clone3") && refused.stderr.contains("ENOSPC"),
        "the call and its errno: {refused}"
    );
}

/// Some systems grant the namespace and then nothing in it.
#[test]
fn says_how_when_a_user_namespace_is_worth_nothing() {
    let host = Host::rootless(&program());
    let check = |call: &str, errno: &str| {
        let refused = host.sh(&format!("strace -f -qq -o /tmp/xdg/trace -e inject={call}:error={errno} $C"));
        assert_ne!(refused.code, 0, "{refused}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused}");
        assert!(refused.stderr.starts_with("permission denied: run with sudo: "), "{refused}");
        assert!(refused.stderr.contains(call) && refused.stderr.contains(errno), "{refused}");
    };
    check("mount", "EACCES");
    check("sethostname", "EPERM");
    check("clone3", "EPERM");
}
