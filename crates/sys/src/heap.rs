//! The heap of this process.

/// Gives the kernel back the pages of the heap that nothing is in: what was needed once and is free by now (malloc_trim(3)). Whether
/// there were any makes no difference to anybody.
pub fn trim() {
    // SAFETY: it takes a number of bytes to keep and looks at the allocator's own lists, under the allocator's own lock.
    let _whether_there_were_any = unsafe { libc::malloc_trim(0) };
}
