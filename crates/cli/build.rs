//! The program is linked at a fixed address: with nothing to relocate at its start, a supervisor (a fork of it) shares with all others
//! what would else be a megabyte of its own.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
