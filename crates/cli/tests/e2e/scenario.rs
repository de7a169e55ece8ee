//! The whole path as one: an image of several layers out of a real registry, run with everything that a person uses.

use crate::world::{World, await_file, program};
use testkit::deadline::wait_for;
use testkit::{Host, Snapshot};

/// A web server in bash's company: what a minimal Debian has.
const SERVER: &str = r#"perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die;
    while ($c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\r\n\r\nserved"; close $c }' "#;

fn everything(host: Host, limit_holds: bool) {
    let world = World::of(host);
    // Without root a limit needs cgroup v2.
    let limit_holds = limit_holds || world.has_cgroup2("memory");
    world.host.sh("mkdir -p /tmp/home/data").ok();
    let image = world.registry.image("debian:12");
    let run = |options: &[&str], script: &str| {
        let words = [&["run", "--rm", "--quiet"], options, &[&image, "bash", "-c", script]].concat();
        world.host.spawn(words)
    };
    run(&[], "true").wait().ok();
    let before = Snapshot::take(&world.host);

    let script = "getent ahostsv4 other.test | awk 'NR == 1 {print $1}'; getent ahostsv4 $(hostname) >/dev/null && echo itself";
    run(&["--add-host", "other.test:10.9.8.7"], script).wait().ok().prints("10.9.8.7\nitself");

    let data = ["-v", "/tmp/home/data:/data", "-p", "8080:80", "-m", "64m"];
    let server = run(&data, &format!("echo written >/data/file; echo up >/data/up; exec {SERVER}"));
    await_file(&world.host, "/tmp/home/data/up");
    let answer = wait_for("the published port answers", || {
        Some(world.host.sh("curl -sf --max-time 5 http://127.0.0.1:8080/")).filter(|got| got.code == 0)
    });
    assert_eq!(answer.line(), "served");
    server.signal(rustix::process::Signal::KILL);
    drop(server);
    let id = world.host.run(["ps", "--all", "--quiet"]).ok();
    world.host.run(["rm", "--force", id.line()]).ok();
    world.host.sh("cat /tmp/home/data/file; rm /tmp/home/data/*").ok().prints("written");

    let hog = run(&["-m", "64m"], "head -c 200M /dev/zero | tail | wc -c").wait();
    if limit_holds {
        // tail keeps everything until a line ends; the kernel ends it before it has written anything, and under load PID 1 as well.
        let ended = match hog.code {
            0 => hog.line() == "0",
            code => code == 137 && hog.stdout.is_empty(),
        };
        assert!(ended && hog.stderr.contains("ran out of memory"), "{hog}");
    } else {
        assert_eq!(hog.line(), "209715200", "{hog}");
        assert!(hog.stderr.contains("limits are not enforced"), "{hog}");
        assert!(hog.stderr.contains("(boot with "), "says what to do: {hog}");
        assert_eq!(hog.stderr.lines().count(), 1, "{hog}");
    }
    before.assert_same(&world.host, "everything was used and removed");
}

#[test]
fn as_root() {
    everything(Host::root(&program()), true);
}

#[test]
fn as_a_user() {
    everything(Host::rootless(&program()), false);
}
