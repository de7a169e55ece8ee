//! `process.terminal`: who gets the master, what the container sees, and how large it is.

use crate::world::{root, rootless, script};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use testkit::deadline::LIMIT;
use testkit::{Bundle, Oci, Pty};

/// A socket of the host that a descriptor is sent to.
pub struct Receiver(UnixListener);

impl Receiver {
    /// Listens at a path of the host.
    #[track_caller]
    pub fn at(oci: &Oci, path: &str) -> Self {
        let place = oci.host.path(path);
        let listener = UnixListener::bind(&place).unwrap_or_else(|error| panic!("bind {place:?}: {error}"));
        std::fs::set_permissions(&place, PermissionsExt::from_mode(0o777)).expect("chmod");
        Self(listener)
    }

    /// The first descriptor of the next connection, with the message that it came with.
    #[track_caller]
    pub fn take(&self) -> (OwnedFd, String) {
        assert!(readable(&self.0), "nobody connects to the socket");
        let (stream, _) = self.0.accept().expect("accept");
        stream.set_read_timeout(Some(LIMIT)).expect("setsockopt");
        let mut bytes = vec![0; 65536];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .expect("recvmsg");
        let mut fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds.collect::<Vec<_>>()),
            _ => None,
        });
        let fd = fds.next().and_then(|fds| fds.into_iter().next()).expect("a descriptor was sent");
        (fd, String::from_utf8_lossy(&bytes[..got.bytes]).into_owned())
    }
}

/// Waits until there is something to read.
fn readable(fd: impl AsFd) -> bool {
    let limit = Timespec { tv_sec: i64::try_from(LIMIT.as_secs()).expect("a minute"), tv_nsec: 0 };
    let fd = fd.as_fd();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).expect("poll") > 0
}

/// Reads a terminal until it shows a text.
#[track_caller]
fn shows(master: &mut File, text: &str) -> String {
    let mut shown = String::new();
    let mut buffer = [0; 4096];
    while !shown.contains(text) {
        assert!(readable(&*master), "{text:?} is not in {shown:?}");
        match master.read(&mut buffer) {
            Ok(count @ 1..) => shown += &String::from_utf8_lossy(&buffer[..count]),
            // EIO: nobody has it open any more.
            _ => panic!("{text:?} is not in {shown:?}"),
        }
    }
    shown
}

fn terminal(config: &mut Value, command: &str) {
    config["process"]["terminal"] = json!(true);
    script(config, command);
}

fn with_socket<'a>(oci: &'a Oci, edit: impl FnOnce(&mut Value)) -> (Bundle<'a>, Receiver, String) {
    let bundle = oci.bundle(edit);
    let path = bundle.inside("console.sock");
    let receiver = Receiver::at(oci, &path);
    (bundle, receiver, path)
}

#[test]
fn the_master_goes_to_the_socket() {
    clause!("config.process.terminal", "config-linux.devices.default.console");
    fn check(oci: &Oci) {
        let command = "test -t 0 && test -t 1 && test -t 2 && echo terminal; tty; stat -c %F /dev/console; test $(stat -c %t:%T /dev/console) = $(stat -c %t:%T $(tty)) && echo same; read line; echo got $line; echo controls >/dev/tty";
        let (bundle, receiver, socket) = with_socket(oci, |config| terminal(config, command));
        let container = bundle.create(&["--console-socket", &socket]);
        let (master, _) = receiver.take();
        let mut master = File::from(master);
        container.call("start", &[]).ok();
        let first = shows(&mut master, "same");
        assert!(first.contains("terminal\r\n/dev/pts/0\r\ncharacter special file\r\nsame"), "{first:?}");
        master.write_all(b"line\n").expect("write");
        let last = shows(&mut master, "controls");
        assert!(last.contains("got line"), "{last:?}");
        container.becomes("stopped");
    }
    check(&root());
    check(&rootless());
}

#[test]
fn its_size() {
    clause!("config.process.consoleSize");
    let oci = root();
    let (bundle, receiver, socket) = with_socket(&oci, |config| {
        terminal(config, "stty size; read line; stty size");
        config["process"]["consoleSize"] = json!({"height": 33, "width": 99});
    });
    let container = bundle.create(&["--console-socket", &socket]);
    let (master, _) = receiver.take();
    let size = tcgetwinsize(&master).expect("tcgetwinsize");
    assert_eq!((size.ws_row, size.ws_col), (33, 99));
    container.call("start", &[]).ok();
    let mut file = File::from(master.try_clone().expect("dup"));
    shows(&mut file, "33 99");
    tcsetwinsize(&master, Winsize { ws_row: 11, ws_col: 22, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("tcsetwinsize");
    file.write_all(b"go on\n").expect("write");
    shows(&mut file, "11 22");
    // Without a terminal the size means nothing.
    oci.run(|config| config["process"]["consoleSize"] = json!({"height": 33, "width": 99}), "echo yes")
        .ok()
        .prints("yes");
}

#[test]
fn without_a_terminal() {
    clause!("config.process.terminal");
    let oci = root();
    oci.run(
        |config| config["process"]["terminal"] = json!(false),
        "test -t 0 || test -t 1 || echo none; ls /dev/console 2>/dev/null || echo no console",
    )
    .ok()
    .prints("none\nno console");
}

#[test]
fn in_the_foreground_it_is_the_callers() {
    let oci = root();
    let bundle = oci.bundle(|config| {
        terminal(config, "test -t 0 && echo inside; read line; echo got $line; stty size; exit 5")
    });
    let pty = Pty::new(20, 70);
    let front = pty.start(&oci.command(["run", "--bundle", &bundle.directory, &bundle.id]));
    pty.shows("inside");
    pty.types("words\n");
    pty.shows("got words");
    pty.shows("20 70");
    assert_eq!(front.wait(), 5);
    oci.assert_empty("run in a terminal");
}

#[test]
fn sockets_that_do_not_fit() {
    let oci = root();
    let bundle = oci.bundle(|config| terminal(config, "true"));
    bundle.try_create(&[]).refused(&["console socket"]);
    bundle.try_run(&["--detach"]).refused(&["console socket"]);
    bundle.write("file", "");
    for path in ["/tmp/none.sock", &bundle.inside("file"), "/tmp"] {
        bundle.try_create(&["--console-socket", path]).refused(&[path]);
    }
    let plain = oci.bundle(|_| ());
    let path = plain.inside("console.sock");
    let _receiver = Receiver::at(&oci, &path);
    plain.try_create(&["--console-socket", &path]).refused(&["console socket"]);
    oci.assert_empty("sockets that do not fit");
}
