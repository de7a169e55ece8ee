//! keyctl(2): the session keyring.

use crate::errno::{CallError, called};
use std::ffi::CStr;

/// `KEYCTL_GET_KEYRING_ID`, `KEYCTL_JOIN_SESSION_KEYRING` and `KEYCTL_SETPERM` (keyctl(2)).
const GET_ID: libc::c_long = 0;
const JOIN_SESSION: libc::c_long = 1;
const SET_PERMISSIONS: libc::c_long = 5;
/// `KEY_SPEC_SESSION_KEYRING`.
const SESSION: libc::c_long = -3;
/// All for who possesses it, and to be found and looked at by its user (keyrings(7)).
const PERMISSIONS: u32 = 0x3f0b_0000;

/// Joins a new session keyring of this name. Its processes can read each other's keys, and none of those before. Its serial
/// number.
pub fn join_session(name: &CStr) -> Result<i64, CallError> {
    // SAFETY: the name is NUL-terminated and outlives the call.
    let keyring = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION, name.as_ptr()) };
    if keyring < 0 {
        let call = || format!("keyctl(KEYCTL_JOIN_SESSION_KEYRING, {name:?})");
        return Err(called(call)(std::io::Error::last_os_error()));
    }
    // SAFETY: takes integers only.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, SET_PERMISSIONS, keyring, PERMISSIONS) };
    if result == 0 {
        return Ok(keyring);
    }
    Err(called(|| "keyctl(KEYCTL_SETPERM)".to_owned())(std::io::Error::last_os_error()))
}

/// The serial number of the session keyring that this process has.
pub fn session() -> Result<i64, CallError> {
    // SAFETY: takes integers only, and makes none where there is none.
    let keyring = unsafe { libc::syscall(libc::SYS_keyctl, GET_ID, SESSION, 0) };
    if keyring >= 0 {
        return Ok(keyring);
    }
    Err(called(|| "keyctl(KEYCTL_GET_KEYRING_ID)".to_owned())(std::io::Error::last_os_error()))
}
