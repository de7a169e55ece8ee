//! bpf(2) as far as the filter of devices goes: a program is loaded, attached to a cgroup, found there and detached.
//!
//! It holds no program: what the instructions do is decided in `cgroup`.

use crate::errno::{CallError, called};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands, `enum bpf_cmd` (linux/bpf.h).
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const PROG_QUERY: libc::c_int = 16;

/// `BPF_PROG_TYPE_CGROUP_DEVICE` and `BPF_CGROUP_DEVICE`.
const TYPE_DEVICE: u32 = 15;
const ATTACH_DEVICE: u32 = 6;
/// Beside those of the cgroups above, and of others that are attached here: all have to allow.
const ALLOW_MULTI: u32 = 1 << 1;
/// `BPF_OBJ_NAME_LEN`, with its NUL.
const NAME: usize = 16;
/// More programs than these nobody attaches to one cgroup.
const MOST: usize = 64;

/// The part of `union bpf_attr` for a load.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// The part of `union bpf_attr` for an attachment.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
    padding: u32,
}

/// The part of `union bpf_attr` for a query.
#[repr(C)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The part of `union bpf_attr` for an id.
#[repr(C)]
struct ById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
    padding: u32,
}

/// The part of `union bpf_attr` for what is known of a program.
#[repr(C)]
struct InfoOf {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The beginning of `struct bpf_prog_info`, to its name.
#[repr(C)]
struct Info {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME],
}

/// Loads a filter of devices, as instructions in the kernel's encoding (instruction-set.rst); the kernel verifies it.
/// A longer name than 15 bytes is cut.
pub fn load_device_filter(instructions: &[u64], name: &str) -> Result<OwnedFd, CallError> {
    let call = || format!("bpf(BPF_PROG_LOAD, {} instructions)", instructions.len());
    let mut prog_name = [0; NAME];
    for (to, from) in prog_name.iter_mut().take(NAME - 1).zip(name.bytes()) {
        *to = from;
    }
    let mut attr = Load {
        prog_type: TYPE_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name,
        prog_ifindex: 0,
        expected_attach_type: ATTACH_DEVICE,
    };
    // SAFETY: `Load` is the kernel's layout; `insns` points to `insn_cnt` instructions of 8 bytes each and `license`
    // to a NUL-terminated string, and both outlive the call.
    let result = unsafe { bpf(PROG_LOAD, &mut attr) };
    let number = result.map_err(called(call))?;
    // SAFETY: the kernel made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Attaches a filter of devices to a cgroup of v2, beside others.
pub fn attach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), CallError> {
    let mut attr = attachment(cgroup, program, ALLOW_MULTI);
    // SAFETY: `Attach` is the kernel's layout, and has no pointers.
    unsafe { bpf(PROG_ATTACH, &mut attr) }.map_err(called(|| "bpf(BPF_PROG_ATTACH)".to_owned()))?;
    Ok(())
}

/// Detaches a filter of devices from a cgroup.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), CallError> {
    let mut attr = attachment(cgroup, program, 0);
    // SAFETY: `Attach` is the kernel's layout, and has no pointers.
    unsafe { bpf(PROG_DETACH, &mut attr) }.map_err(called(|| "bpf(BPF_PROG_DETACH)".to_owned()))?;
    Ok(())
}

/// The filters of devices right on a cgroup, with their names; not those of the cgroups above.
pub fn device_filters(cgroup: BorrowedFd<'_>) -> Result<Vec<(OwnedFd, String)>, CallError> {
    let mut ids = [0_u32; MOST];
    let mut attr = Query {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_type: ATTACH_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MOST as u32,
        padding: 0,
    };
    // SAFETY: `Query` is the kernel's layout; `prog_ids` points to room for `prog_cnt` numbers, and outlives the call.
    unsafe { bpf(PROG_QUERY, &mut attr) }.map_err(called(|| "bpf(BPF_PROG_QUERY)".to_owned()))?;
    let mut found = Vec::new();
    for id in ids.iter().take(attr.prog_cnt as usize) {
        let mut attr = ById { prog_id: *id, next_id: 0, open_flags: 0, padding: 0 };
        // SAFETY: `ById` is the kernel's layout, and has no pointers.
        let number = match unsafe { bpf(PROG_GET_FD_BY_ID, &mut attr) } {
            // Detached meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
            other => other.map_err(called(|| format!("bpf(BPF_PROG_GET_FD_BY_ID, {id})")))?,
        };
        // SAFETY: the kernel made this descriptor for us, and nobody else knows of it.
        let program = unsafe { OwnedFd::from_raw_fd(number) };
        let name = name(&program)?;
        found.push((program, name));
    }
    Ok(found)
}

fn name(program: &OwnedFd) -> Result<String, CallError> {
    // SAFETY: `Info` is plain integers, for which zero is a valid value.
    let mut info: Info = unsafe { std::mem::zeroed() };
    let mut attr = InfoOf {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: size_of::<Info>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `InfoOf` is the kernel's layout; `info` points to `info_len` bytes, zeroed so that the kernel copies no
    // instructions and no ids out, and outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }
        .map_err(called(|| "bpf(BPF_OBJ_GET_INFO_BY_FD)".to_owned()))?;
    let end = info.name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    Ok(String::from_utf8_lossy(&info.name[..end]).into_owned())
}

fn attachment(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, attach_flags: u32) -> Attach {
    Attach {
        target_fd: cgroup.as_raw_fd().cast_unsigned(),
        attach_bpf_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: ATTACH_DEVICE,
        attach_flags,
        replace_bpf_fd: 0,
        padding: 0,
    }
}

/// # Safety
///
/// `attr` has the kernel's layout for `command`, and every pointer in it is valid for what the command does with it.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> Result<libc::c_int, std::io::Error> {
    // SAFETY: the caller vouches for the pointers in `attr`, whose size is given; the kernel takes what is beyond a
    // shorter one as zero.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    match libc::c_int::try_from(result) {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(std::io::Error::last_os_error()),
    }
}
