//! The program devoxx-runtime.

mod program;

use rustix::fs::{Mode, OFlags};

fn main() {
    // Before anything is opened: what is missing of 0, 1 and 2 would go to a file of ours.
    if !standard_descriptors() {
        std::process::exit(1);
    }
    let mut args = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => args.push(word),
            Err(word) => {
                let error = program::invalid(&format!("{word:?} is not UTF-8"));
                program::log::Log::plain().error(&error);
                std::process::exit(1);
            }
        }
    }
    std::process::exit(program::main(&args));
}

/// Opens /dev/null in the place of every standard descriptor that is closed: the lowest free number is what open(2) gives.
fn standard_descriptors() -> bool {
    loop {
        let Ok(opened) = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()) else { return false };
        use rustix::fd::{AsRawFd, IntoRawFd};
        if opened.as_raw_fd() > 2 {
            return true;
        }
        let _kept_open = opened.into_raw_fd();
    }
}
