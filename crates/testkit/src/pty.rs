//! A person's terminal: a program in front of it, what it shows, and what is typed and done to the window.

use crate::deadline::{LIMIT, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A terminal. Its modes outlive the programs that run in it.
pub struct Pty {
    master: OwnedFd,
    slave: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

/// A program in a terminal; killed when a test drops it.
pub struct InFront(Child);

impl Pty {
    /// A terminal of this many rows and columns.
    pub fn new(rows: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("openpt");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name, flags, Mode::empty()).expect("open the terminal");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut from, into) = (File::from(master.try_clone().expect("dup")), Arc::clone(&shown));
        // Ends with the terminal: when the last of its descriptors is closed, a read fails with EIO.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                into.lock().expect("no reader has panicked").extend_from_slice(&buffer[..count]);
            }
        });
        let terminal = Self { master, slave, shown };
        terminal.resize(rows, columns);
        terminal
    }

    /// Changes the size of the window; who is in front of it gets SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("tcsetwinsize");
    }

    /// Starts a program that has this as its controlling terminal, and as its standard streams.
    #[track_caller]
    pub fn start(&self, command: &Command) -> InFront {
        let stream = || Stdio::from(self.slave.try_clone().expect("dup"));
        let mut leader = Command::new("setsid");
        leader.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args()).env_clear();
        leader.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("TERM", "xterm");
        leader.stdin(stream()).stdout(stream()).stderr(stream()).current_dir("/");
        InFront(leader.spawn().unwrap_or_else(|error| panic!("setsid: {error}")))
    }

    /// Types this.
    pub fn types(&self, text: &str) {
        let mut master = File::from(self.master.try_clone().expect("dup"));
        master.write_all(text.as_bytes()).expect("write to the terminal");
    }

    /// Everything that it has shown.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("the reader has not panicked")).into_owned()
    }

    /// Waits until it has shown this.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        let found = poll(LIMIT, || self.screen().contains(text).then_some(()));
        assert!(found.is_some(), "{text:?} is not in {:?}", self.screen());
    }

    /// Its modes (termios(3)), as text to compare.
    pub fn modes(&self) -> String {
        let Termios { input_modes, output_modes, control_modes, local_modes, special_codes, .. } =
            tcgetattr(&self.slave).expect("tcgetattr");
        format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?} {special_codes:?}")
    }
}

impl InFront {
    /// Its process id, which is that of the program.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id is an i32")
    }

    /// Waits for its end: its exit code, or 128 and its signal.
    #[track_caller]
    pub fn wait(mut self) -> i32 {
        let status = poll(LIMIT, || self.0.try_wait().expect("wait"))
            .unwrap_or_else(|| panic!("the program in the terminal still runs"));
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
    }
}

impl Drop for InFront {
    fn drop(&mut self) {
        // It may have ended on its own.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
