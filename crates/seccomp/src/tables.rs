//! Names and numbers of system calls.

pub mod aarch64;
pub mod arm;
pub mod x32;
pub mod x86;
pub mod x86_64;
