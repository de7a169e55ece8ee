//! The program devoxx-runtime.

mod program;

use rustix::fs::{Mode, OFlags};
use sys::arena::Arena;
use sys::{Errno, called};

/// A command lives for milliseconds, and reads a profile of 400 names in them.
#[global_allocator]
static MEMORY: Arena = Arena::new();

fn main() {
    // Before anything is opened: what is missing of 0, 1 and 2 would go to a file of ours.
    if let Err(errno) = standard_descriptors() {
        let error = called::<Errno>(|| "open(\"/dev/null\")".to_owned())(errno);
        program::log::Log::plain().error(&error.into());
        std::process::exit(1);
    }
    sys::signals::take_long_files_for_errors();
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
fn standard_descriptors() -> Result<(), Errno> {
    use rustix::fd::{AsRawFd, IntoRawFd};
    loop {
        let opened = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
        if opened.as_raw_fd() > 2 {
            return Ok(());
        }
        let _kept_open = opened.into_raw_fd();
    }
}
