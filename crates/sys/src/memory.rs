//! Memory of this process that nothing is in any more.

use std::ops::Range;

/// Left below the caller's frame: more than the calls that give back need themselves.
const BELOW: usize = 16 * 1024;

/// Gives the kernel back what was needed once: pages of the heap that nothing is in (malloc_trim(3)), those of the stack below the caller,
/// and the program's own instructions, of which what is still executed comes back from the file (madvise(2), MADV_DONTNEED).
///
/// For a process that stays for long and does little, in its only thread. Whether there was any makes no difference to anybody.
#[inline(never)]
pub fn give_back() {
    // SAFETY: it takes a number of bytes to keep and looks at the allocator's own lists, under the allocator's own lock.
    let _whether_there_was_any = unsafe { libc::malloc_trim(0) };
    let here = 0_u8;
    if let Some(unused) = stack_below((&raw const here).addr()) {
        // SAFETY: all of it lies below the frame of this function and of what it calls, in the mapping of this thread's own stack: nothing
        // there is read before it is written again.
        unsafe { forget(unused) };
    }
    // SAFETY: private pages of the program's file that are never written to (the program is linked at a fixed address, so nothing in them
    // is relocated): the kernel reads them from the file again.
    unsafe { forget(instructions()) };
}

/// The part of the stack that this address lies in the mapping of, from its lowest page.
fn stack_below(address: usize) -> Option<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    let (lowest, rest) = line.split_once('-')?;
    let (end, _) = rest.split_once(' ')?;
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let mapping = number(lowest)?..number(end)?;
    mapping.contains(&address).then(|| mapping.start..address.saturating_sub(BELOW))
}

/// Where the linker has put what is read and executed; empty in a program that is loaded anywhere, where parts of it are relocated.
fn instructions() -> Range<usize> {
    if cfg!(not(target_env = "gnu")) {
        return 0..0;
    }
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    let (start, end) = ((&raw const __executable_start).addr(), (&raw const etext).addr());
    // Below 4 GiB: not moved by the kernel.
    if u32::try_from(end).is_ok() { start..end } else { 0..0 }
}

/// # Safety
/// Nobody may read what was written to these addresses.
unsafe fn forget(addresses: Range<usize>) {
    // SAFETY: it takes a number and returns one.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page = usize::try_from(page).unwrap_or(1 << 16);
    let (start, end) = (addresses.start.next_multiple_of(page), addresses.end / page * page);
    if start < end {
        // SAFETY: whole pages within the range, which is the caller's word. A refusal (a locked page) leaves them as they are.
        let _refused = unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes to 256 KiB of stack, and says how many of them were not 0.
    #[inline(never)]
    fn deep(depth: usize) -> usize {
        let frame = std::hint::black_box([1_u8; 4096]);
        let below = if depth == 0 { 0 } else { deep(depth - 1) };
        below + usize::from(std::hint::black_box(frame)[depth % 4096])
    }

    #[test]
    fn what_is_in_use_stays() {
        let kept: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let on_the_stack = std::hint::black_box([7_u8; 4096]);
        assert_eq!(deep(63), 64);
        give_back();
        assert_eq!(deep(63), 64);
        assert!(std::hint::black_box(on_the_stack).iter().all(|byte| *byte == 7));
        assert!(kept.iter().enumerate().all(|(number, text)| *text == number.to_string()));
    }

    #[test]
    fn a_stack_is_known_by_an_address_in_it() {
        assert_eq!(stack_below(1), None);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let lowest = usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        assert_eq!(stack_below(lowest + BELOW + 5000), Some(lowest..lowest + 5000));
    }
}
