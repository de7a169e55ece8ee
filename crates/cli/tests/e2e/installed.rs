//! What `make install` puts where: programs, man pages, completions, below DESTDIR and PREFIX.

use crate::world::{World, program};
use std::path::Path;

#[test]
fn below_destdir_and_prefix() {
    let world = World::of(testkit::Host::root(&program()));
    // The programs that were just built stand where `make` leaves those of a release; the runtime's own words are its own matter.
    let makefile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Makefile");
    std::fs::copy(makefile, world.host.path("/tmp/home/Makefile")).expect("the Makefile");
    world.host.admin(
        "cd /tmp/home; mkdir bin; ln -s /tmp/bin/devoxx-container bin/devoxx-container
         printf '#!/bin/sh\\ntest $1 != man || echo page >$2/devoxx-runtime.8; echo said\\n' >bin/devoxx-runtime
         chmod 755 bin/devoxx-runtime",
    );
    let install =
        |variables: &str| world.host.admin(&format!("cd /tmp/home; make -o build install {variables}"));
    let check = |root: &str, prefix: &str| {
        let at = |path: &str| world.host.path(format!("{root}{prefix}/{path}"));
        for path in [
            "bin/devoxx-runtime",
            "share/man/man8/devoxx-runtime.8",
            "share/man/man1/devoxx-container.1",
            "share/man/man1/devoxx-container-run.1",
            "share/man/man1/devoxx-container-network-create.1",
            "share/bash-completion/completions/devoxx-container",
            "share/zsh/site-functions/_devoxx-container",
            "share/fish/vendor_completions.d/devoxx-container.fish",
        ] {
            assert!(
                at(path).metadata().is_ok_and(|file| file.is_file() && file.len() > 0),
                "{root}{prefix}/{path}"
            );
        }
        // It runs from there, and its shell finds what completes it.
        let installed = format!("{root}{prefix}");
        world.host.sh(&format!("{installed}/bin/devoxx-container version")).ok();
        let loaded = "complete -p devoxx-container";
        let script =
            format!("source {installed}/share/bash-completion/completions/devoxx-container; {loaded}");
        let outcome = world.host.sh(&format!("exec bash -c '{script}'")).ok();
        assert!(outcome.stdout.contains("devoxx"), "{outcome}");
    };
    let said = install("DESTDIR=/tmp/home/stage PREFIX=/usr");
    assert!(said.stdout.contains("/tmp/home/stage/usr/bin/devoxx-container"), "{said}");
    check("/tmp/home/stage", "/usr");
    install("PREFIX=/tmp/home/own");
    check("", "/tmp/home/own");
    // Where nothing else was asked for: below /usr/local, of which this host has one of its own.
    install("DESTDIR=/tmp/home/usual");
    check("/tmp/home/usual", "/usr/local");
}
