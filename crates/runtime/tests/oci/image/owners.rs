//! Mounts with ids of their own: whose the files are stays the same.

use super::{assert_same, checkpoint, counts, counts_on, restore, seen, with_criu};
use crate::world::{mount, namespace, plain};
use serde_json::{Value, json};

const MAP: &str = "idmap=uids=0-5000-100;gids=0-5000-100";
const TREE: &str = "ridmap=uids=0-5000-100;gids=0-5000-100";

#[test]
fn mounts_with_ids_of_their_own() {
    let Some(oci) = with_criu() else { return };
    oci.host.admin(
        "mkdir -p /tmp/data/in/deep /tmp/data/other; mount --bind /tmp/data/other /tmp/data/in/deep
         echo >/tmp/data/in/f; echo >/tmp/data/in/deep/f; echo >/tmp/data/one; chown 3:4 /tmp/data/one",
    );
    let check = |edit: &dyn Fn(&mut Value)| {
        let container = oci
            .bundle(|config| {
                counts(config);
                mount(config, "/tree", "bind", "/tmp/data/in", &["rbind", TREE]);
                mount(config, "/top", "bind", "/tmp/data/in", &["bind", "ro", MAP]);
                mount(config, "/one", "bind", "/tmp/data/one", &["bind", MAP]);
                mount(config, "/plain", "bind", "/tmp/data/in", &["rbind"]);
                edit(config);
            })
            .start(&[]);
        counts_on(&container);
        let owners = || {
            let files = "/tree/f /tree/deep/f /top/f /one /plain/f";
            container.exec(&[], &format!("stat -c %u:%g {files}")).ok().stdout
        };
        let (owned, before) = (owners(), seen(&oci, &container));
        assert!(owned.starts_with("5000:5000\n5000:5000\n5000:5000\n5003:5004\n"), "{owned}");
        checkpoint(&oci, &container, &[]);
        restore(&oci, &container, &[]);
        counts_on(&container);
        assert_same(&owned, &owners());
        assert_same(&before, &seen(&oci, &container));
        container.end();
        container.call("delete", &[]).ok();
    };
    check(&plain);
    check(&|config| {
        namespace(config, "user", None);
        config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    });
    oci.host.admin("umount /tmp/data/in/deep");
    oci.assert_empty("restore with ids");
}
