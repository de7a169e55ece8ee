//! What passes into a container beside its three streams: descriptors, sockets of activation, readiness, pidfds.

use crate::terminal::Receiver;
use crate::world::{mount, root, script, stays};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use testkit::Oci;

/// Runs a script of the host that ends in the runtime's `run`: `$RUN OPTIONS ID`.
#[track_caller]
fn run(oci: &Oci, before: &str, options: &str, command: &str) -> testkit::Outcome {
    let bundle = oci.bundle(|config| script(config, command));
    oci.host.sh(&format!("echo three >/tmp/three; echo four >/tmp/four; exec 3</tmp/three 4</tmp/four; {before} exec $C --root /tmp/run/oci run --bundle {} {options} {}", bundle.directory, bundle.id))
}

#[test]
fn preserved() {
    clause!("runtime-linux.file-descriptors");
    let oci = root();
    let open = "ls /proc/self/fd | tr '\\n' ' '";
    // Those of the caller do not come in by themselves: ls has 0, 1, 2 and the directory.
    run(&oci, "", "", open).ok().prints("0 1 2 3");
    run(&oci, "", "--preserve-fds 1", "cat <&3; ls /proc/self/fd | wc -l").ok().prints("three\n5");
    run(&oci, "", "--preserve-fds=2", "cat <&3; cat <&4; ls /proc/self/fd | wc -l")
        .ok()
        .prints("three\nfour\n6");
    run(&oci, "exec 5</dev/null 6</dev/null;", "--preserve-fds 2", "ls /proc/self/fd | wc -l")
        .ok()
        .prints("6");
    let refused = run(&oci, "", "--preserve-fds 3", "true");
    assert!(refused.code != 0 && refused.stderr.contains("preserve"), "one of them is not open: {refused}");
    let refused = run(&oci, "", "--preserve-fds 1000000", "true");
    assert!(refused.code != 0 && refused.stderr.contains("preserve"), "{refused}");
    oci.assert_empty("preserved descriptors");
}

/// A container that waits for its start held what its maker had open: whoever read at the other end of a socket or a pipe never
/// heard that the maker had closed it.
#[test]
fn a_container_that_waits_holds_nothing_of_its_maker() {
    let oci = root();
    let container = oci.bundle(stays).container();
    let line = format!(
        "mkfifo /tmp/held; (cat /tmp/held; echo end) & exec 9>/tmp/held; $C --root /tmp/run/oci create --bundle {} {} \
         </dev/null >/dev/null 2>&1; exec 9>&-; wait",
        container.bundle.directory,
        container.id()
    );
    oci.host.sh(&line).ok().prints("end");
    assert_eq!(container.status(), "created");
    container.call("delete", &[]).ok();
    oci.assert_empty("a container that waited");
}

#[test]
fn closed_streams() {
    let oci = root();
    let bundle = oci
        .bundle(|config| script(config, "ls /proc/self/fd | wc -l >/count; readlink /proc/self/fd/0 >/zero"));
    for streams in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let line =
            format!("exec $C --root /tmp/run/oci run --bundle {} {} {streams}", bundle.directory, bundle.id);
        oci.host.sh(&line);
        assert_eq!(bundle.read("rootfs/count"), "4\n", "{streams}");
        assert!(
            !bundle.read("rootfs/zero").contains("json"),
            "no file of the runtime's takes the place: {streams}"
        );
        std::fs::remove_file(bundle.path("rootfs/count")).expect("the container ran");
        oci.assert_empty("closed streams");
    }
}

#[test]
fn sockets_of_activation() {
    let oci = root();
    let shown = "echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4; ls /proc/self/fd | wc -l";
    run(&oci, "export LISTEN_FDS=2 LISTEN_PID=$$;", "", shown).ok().prints("2 1\nthree\nfour\n6");
    run(&oci, "export LISTEN_FDS=1 LISTEN_PID=$$;", "--preserve-fds 1", shown)
        .ok()
        .prints("1 1\nthree\nfour\n6");
    // What is meant for another process is not for the container.
    run(&oci, "export LISTEN_FDS=1 LISTEN_PID=1;", "", "echo \"$LISTEN_FDS.\"; ls /proc/self/fd | wc -l")
        .ok();
}

/// The host's programs inside, for what busybox has no applet for.
fn with_perl(config: &mut Value) {
    for directory in ["/usr", "/lib", "/lib64"] {
        if std::path::Path::new(directory).exists() {
            mount(config, directory, "bind", directory, &["rbind", "ro"]);
        }
    }
}

#[test]
fn readiness() {
    let oci = root();
    let path = oci.host.path("/tmp/notify.sock");
    let socket = UnixDatagram::bind(&path).expect("bind");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).expect("chmod");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("setsockopt");
    let command = "/usr/bin/perl -MSocket -e 'socket(S, PF_UNIX, SOCK_DGRAM, 0); send(S, \"READY=1\\nSTATUS=up\", 0, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!'; exec sleep 1000";
    let bundle = oci.bundle(|config| {
        with_perl(config);
        script(config, command);
    });
    let mut command = oci.command(["run", "--detach", "--bundle", &bundle.directory, &bundle.id]);
    let running = testkit::Running::start(command.env("NOTIFY_SOCKET", "/tmp/notify.sock"));
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while !said.contains("READY=1") {
        let count = socket.recv(&mut buffer).expect("a message within a minute");
        said += &String::from_utf8_lossy(&buffer[..count]);
        said += "\n";
    }
    let container = bundle.container();
    assert!(said.contains(&format!("MAINPID={}", container.pid())), "{said:?}");
    drop(container);
    drop(running);
}

#[test]
fn pidfds() {
    let oci = root();
    let bundle = oci.bundle(stays);
    let path = bundle.inside("pidfd.sock");
    let receiver = Receiver::at(&oci, &path);
    let container = bundle.create(&["--pidfd-socket", &path]);
    let (fd, _) = receiver.take();
    assert_eq!(pid_of(&fd), container.pid());
    container.call("start", &[]).ok();
    let path = container.bundle.inside("exec.sock");
    let receiver = Receiver::at(&oci, &path);
    let file = container.bundle.inside("exec.pid");
    container
        .with("exec", &["--detach", "--pidfd-socket", &path, "--pid-file", &file], &["sleep", "1000"])
        .ok();
    let (fd, _) = receiver.take();
    assert_eq!(pid_of(&fd).to_string(), container.bundle.read("exec.pid"));
    let unused = oci.bundle(|config| config["annotations"] = json!({"a": "b"}));
    unused.try_create(&["--pidfd-socket", "/tmp/none.sock"]).refused(&["/tmp/none.sock"]);
}

/// The process that a pidfd is of, proc_pid_fdinfo(5).
fn pid_of(fd: &std::os::fd::OwnedFd) -> i64 {
    let number = std::os::fd::AsRawFd::as_raw_fd(fd);
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).expect("fdinfo");
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:")).expect("it is a pidfd");
    line.trim().parse().expect("a number")
}
