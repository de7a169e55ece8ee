//! sched_setaffinity(2) with a mask of any size: rustix's has 1024 bits, a kernel may have more processors.

use crate::errno::{CallError, called};

/// Restricts this thread to these processors. Those that this machine does not have are left out, as the kernel does;
/// EINVAL when none is left.
pub fn set(processors: &[usize]) -> Result<(), CallError> {
    let mask = mask(processors);
    // SAFETY: the kernel reads as many bytes as is said, and the mask outlives the call; 0 is the calling thread.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask.as_slice()), mask.as_ptr()) };
    if result == 0 {
        return Ok(());
    }
    let (few, more) = processors.split_at(processors.len().min(16));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    Err(called(|| format!("sched_setaffinity({few:?}{more})"))(std::io::Error::last_os_error()))
}

/// A bit a processor, in words as the kernel has them.
fn mask(processors: &[usize]) -> Vec<usize> {
    let bits = usize::BITS as usize;
    let mut mask = vec![0; processors.iter().max().map_or(1, |last| last / bits + 1)];
    for processor in processors {
        mask[processor / bits] |= 1 << (processor % bits);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;

    #[test]
    fn masks_of_any_size() {
        assert_eq!(mask(&[]), [0]);
        assert_eq!(mask(&[0, 3]), [0b1001]);
        assert_eq!(mask(&[64, 1]), [2, 1]);
        assert_eq!(mask(&[8191]).len(), 128);
        // A thread of its own: it is what is restricted.
        let tried = |processors: &'static [usize]| {
            std::thread::spawn(move || set(processors).map_err(|error| error.errno)).join().expect("no panic")
        };
        assert_eq!(tried(&[0, 8191]), Ok(()));
        assert_eq!(tried(&[8191]), Err(Errno::INVAL));
        assert_eq!(tried(&[]), Err(Errno::INVAL));
    }
}
