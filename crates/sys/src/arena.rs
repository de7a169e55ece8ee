//! Memory for a program that lives for milliseconds: one piece of it that is handed out from its beginning.
//!
//! A general allocator is made to use memory again for years: it sorts what is given back by size, and joins neighbours. A program that
//! reads its configuration, does its work and ends pays for that and has little of it. Here what is given back is kept for the next one of
//! its size, and what does not fit is the C library's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

/// The whole of it. Pages that nothing was ever in do not exist.
const SIZE: usize = 512 * 1024;
/// Sizes are multiples of this, and so are places.
const STEP: usize = 16;
/// What is larger is the C library's.
const LARGEST: usize = 2048;

/// The allocator; a program has one.
pub struct Arena {
    /// Whether somebody is at work on `lists`.
    taken: AtomicBool,
    lists: UnsafeCell<Lists>,
    memory: Memory,
}

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; SIZE]>);

struct Lists {
    /// How much of the memory was ever handed out.
    used: usize,
    /// What was given back, by its steps: where one is, from the beginning of the memory on, and 1 more; 0 where there is none. Each has
    /// the next in its first bytes.
    free: [usize; LARGEST / STEP + 1],
}

// SAFETY: `lists` is reached by who has set `taken` alone. A piece of `memory` belongs to whom it was handed out to, and one that was given
// back to who has set `taken`.
unsafe impl Sync for Arena {}

impl Arena {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            lists: UnsafeCell::new(Lists { used: 0, free: [0; LARGEST / STEP + 1] }),
            memory: Memory(UnsafeCell::new([0; SIZE])),
        }
    }

    /// Does something with the lists, alone.
    fn alone<T>(&self, what: impl FnOnce(&mut Lists) -> T) -> T {
        while self.taken.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: nobody else has them while `taken` is set, and `what` does not come back here: it allocates nothing.
        let done = what(unsafe { &mut *self.lists.get() });
        self.taken.store(false, Ordering::Release);
        done
    }

    fn start(&self) -> *mut u8 {
        self.memory.0.get().cast()
    }

    /// Where in the memory a place is, if it is in there.
    fn offset(&self, place: *mut u8) -> Option<usize> {
        Some(place.addr().wrapping_sub(self.start().addr())).filter(|offset| *offset < SIZE)
    }

    /// A place of so many steps.
    fn take(&self, steps: usize) -> Option<*mut u8> {
        self.alone(|lists| {
            if let Some(offset) = lists.free[steps].checked_sub(1) {
                // SAFETY: within the memory, on a multiple of 16: what `give` has put there, and written.
                let place = unsafe { self.start().add(offset) };
                // SAFETY: as above.
                lists.free[steps] = unsafe { place.cast::<usize>().read() };
                return Some(place);
            }
            let end = lists.used + steps * STEP;
            (end <= SIZE).then(|| {
                // SAFETY: within the memory.
                let place = unsafe { self.start().add(lists.used) };
                lists.used = end;
                place
            })
        })
    }

    /// Takes a place back.
    ///
    /// # Safety
    /// It was taken with so many steps, and nobody reads or writes it any more.
    unsafe fn give(&self, offset: usize, steps: usize) {
        self.alone(|lists| {
            // SAFETY: within the memory, on a multiple of 16, with 16 bytes at least: the caller's word.
            unsafe { self.start().add(offset).cast::<usize>().write(lists.free[steps]) };
            lists.free[steps] = offset + 1;
        });
    }

    /// Makes the place that was handed out last longer, or shorter, where it is.
    fn stretch(&self, offset: usize, steps: usize, wanted: usize) -> bool {
        self.alone(|lists| {
            let end = offset + wanted * STEP;
            let is_last = lists.used == offset + steps * STEP && end <= SIZE;
            if is_last {
                lists.used = end;
            }
            is_last
        })
    }
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

/// The steps of a size that is handed out here.
fn steps(layout: Layout) -> Option<usize> {
    let fits = layout.align() <= STEP && layout.size() <= LARGEST;
    fits.then(|| layout.size().div_ceil(STEP).max(1))
}

// SAFETY: a place is handed out once until it is given back, with its whole size within the memory, on a multiple of 16. What is not in the
// memory is the system's from beginning to end, also where it would have fitted.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match steps(layout).and_then(|steps| self.take(steps)) {
            Some(place) => place,
            // SAFETY: the caller's word.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        match (self.offset(place), steps(layout)) {
            // SAFETY: the caller gives it back, and says what it was taken with.
            (Some(offset), Some(steps)) => unsafe { self.give(offset, steps) },
            // SAFETY: the caller's word: what is not in here was the system's.
            _ => unsafe { System.dealloc(place, layout) },
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some((offset, now)) = self.offset(place).zip(steps(layout)) else {
            // SAFETY: the caller's word: what is not in here was the system's, and stays it.
            return unsafe { System.realloc(place, layout, size) };
        };
        // SAFETY: the caller's word: a size that does not overflow with this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if steps(wanted).is_some_and(|wanted| wanted == now || self.stretch(offset, now, wanted)) {
            return place;
        }
        // SAFETY: the caller's word; both places have as many bytes as are copied, and they are two.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                new.copy_from_nonoverlapping(place, layout.size().min(size));
                self.dealloc(place, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is held, and the byte that it is full of.
    struct Held {
        place: *mut u8,
        layout: Layout,
        byte: u8,
    }

    fn is_whole(held: &Held) -> bool {
        // SAFETY: so many bytes of it were written.
        let bytes = unsafe { std::slice::from_raw_parts(held.place, held.layout.size()) };
        bytes.iter().all(|byte| *byte == held.byte)
    }

    fn fill(held: &Held) {
        // SAFETY: it has so many bytes.
        unsafe { held.place.write_bytes(held.byte, held.layout.size()) };
    }

    #[test]
    fn nobody_is_given_what_another_has() {
        static ARENA: Arena = Arena::new();
        let mut held: Vec<Held> = Vec::new();
        let mut state = 1_u64;
        let mut random = |below: usize| {
            // Knuth's MMIX.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for turn in 0..30_000_usize {
            let byte = turn as u8;
            match random(5) {
                0 | 1 => {
                    // Most are short; some are the system's, and some fill the memory up.
                    let most = [40, 300, 3000][random(3)];
                    let layout = Layout::from_size_align(1 + random(most), 1 << random(6)).expect("a layout");
                    // SAFETY: its size is not 0.
                    let place = unsafe { ARENA.alloc(layout) };
                    assert!(!place.is_null() && place.addr() % layout.align() == 0);
                    held.push(Held { place, layout, byte });
                    fill(&held[held.len() - 1]);
                }
                2 if !held.is_empty() => {
                    let at = random(held.len());
                    let one = held.swap_remove(at);
                    assert!(is_whole(&one));
                    // SAFETY: it came from there with this layout, and is forgotten.
                    unsafe { ARENA.dealloc(one.place, one.layout) };
                }
                3 if !held.is_empty() => {
                    let last = held.len() - 1;
                    let at = [last, random(held.len())][random(2)];
                    let one = &mut held[at];
                    let size = 1 + random(2 * one.layout.size());
                    // SAFETY: it came from there with this layout; the size is not 0.
                    one.place = unsafe { ARENA.realloc(one.place, one.layout, size) };
                    let kept = Layout::from_size_align(size.min(one.layout.size()), 1).expect("a layout");
                    assert!(is_whole(&Held { layout: kept, ..*one }));
                    one.layout = Layout::from_size_align(size, one.layout.align()).expect("a layout");
                    fill(one);
                }
                _ => {}
            }
        }
        assert!(held.iter().all(is_whole));
        let outside =
            held.iter().filter(|one| ARENA.offset(one.place).is_none() && steps(one.layout).is_some());
        assert!(outside.count() > 0, "it was never full");
        for one in held {
            // SAFETY: it came from there with this layout, and is forgotten.
            unsafe { ARENA.dealloc(one.place, one.layout) };
        }
    }

    #[test]
    fn what_was_given_back_is_the_next_of_its_size() {
        static ARENA: Arena = Arena::new();
        let layout = |size| Layout::from_size_align(size, 8).expect("a layout");
        // SAFETY: no size is 0, and each is given back with what it was taken with.
        unsafe {
            let (first, second) = (ARENA.alloc(layout(20)), ARENA.alloc(layout(20)));
            ARENA.dealloc(first, layout(20));
            assert_eq!(ARENA.alloc(layout(32)), first);
            assert_eq!(ARENA.realloc(second, layout(20), 400), second);
            assert_ne!(ARENA.realloc(first, layout(32), 400), first);
        }
    }
}
