// Included by the build scripts of the programs: `#[path = "../static_program.rs"] mod static_program;`.

//! Links a program statically and at a fixed address. It executes itself once more at its start, to be out of reach of containers, and so
//! neither start has a library to map or a relocation to write; and a process that is a fork of it shares all pages that hold none.
//!
//! `-C target-feature=+crt-static` is for a whole build, procedural macros included, which cannot be static. What it does is done here for
//! the program alone: each library that it would load is replaced by a linker script that names the archive.

use std::path::PathBuf;
use std::process::Command;

/// Libraries that rustc names, and what each is in a static program.
const LIBRARIES: [(&str, &str); 3] = [("gcc_s", "libgcc_eh.a"), ("c", "libc.a"), ("m", "libm.a")];

/// Tells cargo how; where an archive is not installed the program is linked as any other, with a warning.
pub fn link() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../static_program.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let gnu = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from).filter(|_| gnu) else { return };
    for (library, archive) in LIBRARIES {
        let script = out.join(format!("lib{library}.so"));
        let Some(archive) = place_of(archive) else {
            println!(
                "cargo::warning={archive} is not installed: the program needs shared libraries, and starts slower"
            );
            return;
        };
        if let Err(error) = std::fs::write(&script, format!("INPUT({archive})\n")) {
            println!("cargo::error={}: {error}", script.display());
            return;
        }
    }
    println!("cargo::rustc-link-arg-bins=-L{}", out.display());
    println!("cargo::rustc-link-arg-bins=-static");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        // `sys::early`. A program with an interpreter begins in that, and has its own beginning after it.
        println!("cargo::rustc-link-arg-bins=-Wl,-e,devoxx_entry");
    }
}

/// Where the linker has an archive.
fn place_of(archive: &str) -> Option<String> {
    let linker = std::env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let said = Command::new(linker).arg(format!("-print-file-name={archive}")).output().ok()?;
    let place = String::from_utf8(said.stdout).ok()?.trim().to_owned();
    // What it does not have it answers with the bare name.
    place.contains('/').then_some(place)
}
