//! What is said when something goes wrong: what was asked, what failed, and what would mend it.

use crate::world::{BUSYBOX, World};

#[test]
fn a_command_that_cannot_be_executed() {
    for world in World::both() {
        world.host.admin(
        "mkdir -m 755 /tmp/x; cd /tmp/x; printf '#!/bin/none -x\\n' >missing; printf '#!/bin/sh\\r\\necho hello\\r\\n' >windows; \
         printf 'echo hello\\n' >bare; : >empty; mkdir directory; printf '#!/bin/sh\\n' >plain; printf '#!/bin/sh\\necho runs\\n' >fine; \
         printf '\\177ELF\\2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\2\\0\\363\\0' >foreign; head -c 100 /dev/zero >>foreign; \
         cp /bin/true linked; chmod 755 missing windows bare empty fine foreign linked",
    );
        let check = |options: &[&str], command: &str, code: i32, words: &[&str]| {
            let words = [&[command], words].concat();
            world
                .run(&[&["--net", "none", "-v", "/tmp/x:/x"], options].concat(), &[command])
                .refuses(code, &words);
        };
        world.run(&["--net", "none", "-v", "/tmp/x:/x"], &["/x/fine"]).ok().prints("runs");
        check(&[], "/x/missing", 126, &["its interpreter /bin/none is not in the container"]);
        check(&[], "/x/windows", 126, &["CR LF", "/bin/sh"]);
        check(&[], "/x/linked", 126, &["its loader /lib", "is not in the container"]);
        check(&[], "/x/foreign", 126, &["a program for riscv64"]);
        check(&[], "/x/bare", 126, &["without a first line"]);
        check(&[], "/x/empty", 126, &["the file is empty"]);
        check(&[], "/x/directory", 126, &["it is a directory"]);
        check(&[], "/x/plain", 126, &["its mode is 0644", "chmod +x"]);
        check(&["-v", "/tmp/x:/y:noexec"], "/y/fine", 126, &["noexec"]);
        check(&[], "none-such", 127, &["executable file not found in $PATH"]);
        check(&[], "/x/none", 127, &["no such file or directory"]);
    }
}

#[test]
fn an_image_that_is_not_there() {
    for world in World::both() {
        world
            .host
            .run(["pull", &format!("{BUSYBOX}:no-such-tag")])
            .refuses(125, &["no-such-tag", "busybox has no tag no-such-tag; it has ", "latest"]);
        world
            .host
            .run(["pull", "127.0.0.1:5000/no/such"])
            .refuses(125, &["127.0.0.1:5000 has no repository no/such"]);
        world.host.run(["pull", "127.0.0.1:1/nobody/listens"]).refuses(125, &["127.0.0.1:1"]);
    }
}
