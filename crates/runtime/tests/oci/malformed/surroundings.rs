//! Where the runtime is called in odd surroundings: it works, or names what is missing, and leaves nothing.

use crate::world::{plain, root, script, stays};
use std::time::{Duration, Instant};
use testkit::{Oci, Outcome};

/// Runs a container from a script, in which `$RUN` is the call.
fn run(oci: &Oci, around: &str) -> Outcome {
    let bundle = oci.bundle(|config| script(config, "echo ran"));
    let call = format!("$C --root /tmp/run/oci run --bundle {} {}", bundle.directory, bundle.id);
    let outcome = oci.host.sh(&around.replace("$RUN", &call));
    assert!(!outcome.stderr.contains("panicked") && outcome.code < 128, "{around}: {outcome}");
    oci.assert_empty(around);
    outcome
}

#[test]
fn what_is_odd_and_enough() {
    let oci = root();
    for (family, around) in [
        // As PID 1, which has to reap, and is not ended by most signals.
        ("CL11", "exec unshare --pid --fork --mount-proc $RUN"),
        ("CL11", "exec env -i $RUN"),
        ("CL11", "export LONG=$(head -c 100000 /dev/zero | tr '\\0' x) A=$LONG B=$LONG E=$LONG; exec $RUN"),
        ("CL11", "ulimit -s 64; exec $RUN"),
        ("CL11", "ulimit -c 0; ulimit -n 32; exec $RUN"),
        ("CL11", "cd /; umask 0; exec $RUN </dev/null"),
        ("CL11", "trap '' HUP INT QUIT TERM CHLD PIPE ALRM; exec $RUN"),
        ("CL11", "mkdir -p /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; exec $RUN"),
        // /sys is of no use to one who knows where his cgroups are, and has none to make.
        ("CL11", "exec unshare --mount sh -c 'umount -l /sys/kernel 2>/dev/null; exec $RUN'"),
        ("CL11", "exec nice -n 19 $RUN"),
    ] {
        let outcome = run(&oci, around);
        assert_eq!(outcome.code, 0, "{family}: {outcome}");
        outcome.prints("ran");
    }
}

#[test]
fn what_is_missing_is_named() {
    let oci = root();
    for (family, around, word) in [
        ("CL11", "exec unshare --mount sh -c 'umount -l /proc; exec $RUN'", "/proc"),
        ("CL11", "exec unshare --mount sh -c 'mount -t tmpfs none /proc; exec $RUN'", "/proc"),
        ("CL11", "ulimit -n 4; exec $RUN", "EMFILE"),
        (
            "CL11",
            "exec unshare --mount sh -c 'mount --bind -o ro /tmp/run /tmp/run; mount -o remount,bind,ro /tmp/run; exec $RUN'",
            "EROFS",
        ),
        ("CL11", "exec unshare --mount sh -c 'mount -t tmpfs -o size=4k none /tmp/run; exec $RUN'", "ENOSPC"),
        ("CL11", "exec setpriv --bounding-set -all --inh-caps -all $RUN", "EPERM"),
    ] {
        let outcome = run(&oci, around);
        assert_ne!(outcome.code, 0, "{family}: {around}: {outcome}");
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{around}: {outcome}");
        assert!(outcome.stderr.contains(word), "{word} in {around}: {outcome}");
    }
}

/// Who listens at the console socket and takes nobody is not waited for without end, nor left a container.
#[test]
fn a_console_socket_that_takes_nobody() {
    let oci = root();
    let bundle = oci.bundle(|config| {
        stays(config);
        config["process"]["terminal"] = true.into();
    });
    let socket = bundle.inside("console.sock");
    // One waits for a place, and another one fills it.
    let line = format!(
        "exec perl -MIO::Socket::UNIX -e '$| = 1; $s = IO::Socket::UNIX->new(Local => \"{socket}\", Listen => 0) or die; \
         for (1 .. 9) {{ IO::Socket::UNIX->new(Peer => \"{socket}\", Timeout => 1) or last }} \
         open(F, \">\", \"{}\"); print F \"full\\n\"; close F; sleep 1000'",
        bundle.inside("full")
    );
    let peer = testkit::Running::start(&mut oci.host.script(&line));
    bundle.awaits("full");
    let begin = Instant::now();
    let outcome = bundle.try_create(&["--console-socket", &socket]);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    outcome.refused(&["console.sock", "EAGAIN"]);
    drop(peer);
    drop(bundle);
    let _sound = oci.bundle(plain);
    testkit::deadline::wait_for("nothing is left", || oci.leftovers().is_empty().then_some(()));
}
