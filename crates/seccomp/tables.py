#!/usr/bin/env python3
"""Writes src/tables/calls.rs: names and numbers of system calls, as libseccomp's resolver has them, and beyond its version
those that have the same number on every architecture (the kernel's scripts/syscall.tbl). To be run when a kernel has new
calls, and `cargo fmt` after it."""
import ctypes, pathlib

library = ctypes.CDLL("libseccomp.so.2")
library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_void_p
libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]
# In the order of the numbers of a call: that of `Architecture`.
ARCHES = {"x86": 0x40000003, "x86_64": 0xC000003E, "x32": 0x4000003E, "arm": 0x40000028, "aarch64": 0xC00000B7}
NEWER = ("cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr "
         "lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr "
         "file_setattr").split()
calls = {}
for name, token in ARCHES.items():
    base = 0x40000000 if name == "x32" else 0
    found = {}
    numbers = list(range(0, 1000)) + (list(range(0xF0000, 0xF0010)) if name == "arm" else [])
    for number in numbers:
        text = library.seccomp_syscall_resolve_num_arch(ctypes.c_uint32(token), ctypes.c_int(base + number))
        if text:
            found[ctypes.string_at(text).decode()] = base + number
            libc.free(text)
    for offset, call in enumerate(NEWER):
        # What the library knows, and not for this architecture, is not there: map_shadow_stack of x32.
        if library.seccomp_syscall_resolve_name(call.encode()) == -1:
            found.setdefault(call, base + 451 + offset)
    if name == "x86_64":
        # The two that the kernel itself makes user space call; its syscall_64.tbl has them for 64 bits alone.
        found.update(uretprobe=335, uprobe=336)
    print(name, len(found), max(found.values()))
    for call, number in found.items():
        calls.setdefault(call, {})[name] = number


def shown(number):
    return "NONE" if number is None else f"{number:#x}" if number >= 0x10000 else str(number)


lines = "".join(f'    ("{call}", [{", ".join(shown(numbers.get(name)) for name in ARCHES)}]),\n'
                for call, numbers in sorted(calls.items()))
(pathlib.Path(__file__).parent / "src/tables/calls.rs").write_text(
    f"//! System calls by name, with their numbers on {', '.join(ARCHES)}. Made by tables.py.\n\n"
    f"use super::{{NONE, Row}};\n\n/// Sorted by name.\npub(crate) static CALLS: [Row; {len(calls)}] = [\n{lines}];\n")
print(len(calls), "names")
