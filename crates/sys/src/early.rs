//! The first instructions of a program, before its C library begins: there it executes itself out of reach, when the command is one
//! that enters containers.
//!
//! Whoever executes itself once more pays for the beginning of a program twice, and most of that is the C library asking the processor
//! what it is: a virtual machine answers each `cpuid` through its hypervisor, and two dozen of them take longer than all else until
//! `main`. Nothing is decided here: `own_program` of the runtime does the same in its own time, with every check and with words for what
//! fails. What is found to be otherwise than usual here is left to it.
//!
//! The linker makes this the program's entry (`crates/static_program.rs`).

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use crate::mount_setattr::RDONLY;
    use std::mem::MaybeUninit;

    /// Commands that enter containers; a container of such a name costs its caller one execve(2).
    static COMMANDS: [&[u8]; 6] = [b"create\0", b"run\0", b"exec\0", b"start\0", b"restore\0", b"boot\0"];

    const PROC: &[u8] = b"/proc\0";
    const PROGRAM: &[u8] = b"/proc/self/exe\0";

    unsafe extern "C" {
        /// Where the C library begins.
        fn _start();
    }

    /// The entry of the program. The stack is as the kernel left it, with the number of the arguments on top (System V ABI, AMD64,
    /// "Process Initialization"), and so it has to be when the C library takes over; `rdx` is what it is to call at the end.
    ///
    /// # Safety
    /// For the kernel alone.
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn devoxx_entry() {
        std::arch::naked_asm!(
            "mov rbx, rsp",
            "mov r12, rdx",
            "mov rdi, rsp",
            "xor ebp, ebp",
            "and rsp, -16",
            "call {out_of_reach}",
            "mov rsp, rbx",
            "mov rdx, r12",
            "jmp {start}",
            out_of_reach = sym out_of_reach,
            start = sym _start,
        )
    }

    /// Executes this program through a mount of its file that is read-only and attached nowhere; returns where that is not to be, or not
    /// to be had.
    ///
    /// Nothing is there yet: no thread-local storage, no relocated function (memcpy(3) and its like are chosen for the processor later).
    /// So it takes nothing from a library, and reads byte by byte.
    ///
    /// # Safety
    /// `stack` is that of a process at its entry.
    unsafe extern "C" fn out_of_reach(stack: *const usize) {
        // SAFETY: at the entry there is the number of arguments, a pointer to each, a null, a pointer to each variable of the environment,
        // a null; all of it stays as it is.
        let (count, arguments) = unsafe { (stack.read(), stack.add(1)) };
        if cfg!(feature = "mutant_rt_04") {
            return;
        }
        // SAFETY: as above.
        if count == 0 || !unsafe { is_asked_for(arguments.add(1)) } {
            return;
        }
        let mut about = MaybeUninit::<libc::statfs64>::uninit();
        let place = about.as_mut_ptr();
        // SAFETY: a NUL-terminated path and a place for what statfs(2) says; read where the kernel says that it has filled it.
        let proc_is_proc = unsafe {
            call(libc::SYS_statfs, [PROC.as_ptr().addr(), place.addr(), 0, 0, 0]) == 0
                && (&raw const (*place).f_type).read() == libc::PROC_SUPER_MAGIC
        };
        // SAFETY: as above.
        let is_writable = proc_is_proc
            && unsafe {
                call(libc::SYS_statfs, [PROGRAM.as_ptr().addr(), place.addr(), 0, 0, 0]) == 0
                    && (&raw const (*place).f_flags).read().cast_unsigned() & libc::ST_RDONLY == 0
            };
        if !is_writable {
            return;
        }
        let flags = libc::OPEN_TREE_CLONE as usize | libc::OPEN_TREE_CLOEXEC as usize;
        let here = libc::AT_FDCWD as usize;
        // SAFETY: a NUL-terminated path and numbers.
        let tree = unsafe { call(libc::SYS_open_tree, [here, PROGRAM.as_ptr().addr(), flags, 0, 0]) };
        let Ok(tree) = usize::try_from(tree) else { return };
        let empty = c"".as_ptr().addr();
        let attributes = libc::mount_attr { attr_set: RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
        let (at_empty, size) = (libc::AT_EMPTY_PATH as usize, size_of::<libc::mount_attr>());
        let shut = [tree, empty, at_empty, (&raw const attributes).addr(), size];
        // SAFETY: an empty NUL-terminated path, and the kernel's layout with its size, which lives across the call.
        if unsafe { call(libc::SYS_mount_setattr, shut) } == 0 {
            // SAFETY: the environment begins after the null that ends the arguments.
            let environment = unsafe { arguments.add(count).add(1) };
            let again = [tree, empty, arguments.addr(), environment.addr(), at_empty];
            // SAFETY: an empty NUL-terminated path, and the kernel's own two lists, each with a null at its end. Returns only on failure.
            unsafe { call(libc::SYS_execveat, again) };
        }
        // SAFETY: the descriptor is this function's own.
        unsafe { call(libc::SYS_close, [tree, 0, 0, 0, 0]) };
    }

    /// Whether one of the arguments is a command that enters containers.
    ///
    /// # Safety
    /// Pointers to NUL-terminated words, and a null at the end.
    unsafe fn is_asked_for(mut words: *const usize) -> bool {
        loop {
            // SAFETY: the caller's word: up to the null, which is seen before anything beyond it is read.
            let word = unsafe { words.read() } as *const u8;
            if word.is_null() {
                return false;
            }
            for command in &COMMANDS {
                // SAFETY: the caller's word.
                if unsafe { is(word, command.as_ptr()) } {
                    return true;
                }
            }
            // SAFETY: it was not the null.
            words = unsafe { words.add(1) };
        }
    }

    /// Whether two words are the same.
    ///
    /// # Safety
    /// Both end with a NUL.
    unsafe fn is(mut one: *const u8, mut other: *const u8) -> bool {
        loop {
            // SAFETY: neither is read beyond its NUL: the loop ends where they differ, and where both end. Volatile, so that no compiler
            // makes a call of strcmp(3) of it, which cannot be called yet.
            let (left, right) = unsafe { (one.read_volatile(), other.read_volatile()) };
            if left != right {
                return false;
            }
            if left == 0 {
                return true;
            }
            // SAFETY: neither has ended.
            (one, other) = unsafe { (one.add(1), other.add(1)) };
        }
    }

    /// A system call: what it returns, below zero for an error.
    ///
    /// # Safety
    /// That of the call.
    unsafe fn call(number: libc::c_long, arguments: [usize; 5]) -> isize {
        let [first, second, third, fourth, fifth] = arguments;
        let returned: isize;
        // SAFETY: the kernel's calling convention (syscall(2)): it takes the number in rax and arguments in these registers, returns in
        // rax and overwrites rcx and r11. The rest is the caller's word.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") number => returned,
                in("rdi") first,
                in("rsi") second,
                in("rdx") third,
                in("r10") fourth,
                in("r8") fifth,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        returned
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::ffi::CString;

        #[test]
        fn commands_that_enter_containers_are_known_by_a_word() {
            fn check(line: &str, expected: bool) {
                let words: Vec<CString> =
                    line.split(' ').map(|word| CString::new(word).expect("a word")).collect();
                let mut list: Vec<usize> = words.iter().map(|word| word.as_ptr().addr()).collect();
                list.push(0);
                // SAFETY: words that end with a NUL and outlive the call, and a null after them.
                assert_eq!(unsafe { is_asked_for(list.as_ptr()) }, expected, "{line}");
            }
            check("run", true);
            check("--root /run/x exec web true", true);
            check("restore", true);
            check("state run1", false);
            check("list --format runs ru", false);
            check("--run", false);
        }
    }
}
