//! A layer in which later entries take the place of earlier ones, as builders that append to an archive make it: it runs as it should,
//! and leaves with the bytes that it came with.

use crate::world::{BUSYBOX, World};
use testkit::Registry;

/// Appends to the layer of busybox, and makes an archive of the image that it is then. Prints the layer's digest.
const MAKE: &str = r#"
set -eu
cd /tmp/home; mkdir x t
$C save BUSYBOX | tar -x -C x
layer=$(cd x; ls -d */layer.tar); old=${layer%/*}; all=$PWD/x/$layer
add() { tar -rf $all --format=gnu --owner=0 --group=0 --no-recursion "$@"; }
cd t
echo first >f; ln f h; add f h
rm f; echo second >f; add f
touch .wh.f; add .wh.f
mkdir d d/e; seq 300000 >d/e/big; echo small >d/s; add d d/e d/e/big d/s
rm -r d; echo a file now >d; add d
mkdir a; ln -s a l; echo through >a/one; add a l l/one
rm l; mkdir l; echo apart >l/one; add l l/one
echo not for long >s; add s; ln -sf f s; add s
cd ../x
new=$(sha256sum $layer | cut -c1-64)
sed -i "s/$old/$new/" *.json
mv $old $new
sed -i "s|127.0.0.1:5000/busybox:latest|appended:1|" manifest.json
tar -cf ../appended.tar *
cd ..; rm -r x t; echo $new
"#;

#[test]
fn what_later_entries_take_the_place_of() {
    for world in World::both() {
        let own = Registry::settings(&world.host).port(5002).writable().start();
        let layer = world.host.sh(&MAKE.replace("BUSYBOX", BUSYBOX)).ok().line().to_owned();
        world.host.run(["load", "-q", "-i", "/tmp/home/appended.tar"]).ok();
        let sound = |what: &str, name: &str| {
            let script =
                "cat f h d a/one l/one s; ls -A / | grep -c '^.wh' || ls -l h | tr -s ' ' | cut -d' ' -f2";
            let said = "second\nfirst\na file now\nthrough\napart\nsecond\n0\n1";
            world.run(&["--net", "none", "--pull", "never"], &["true"]).ok();
            world
                .host
                .run(["run", "--rm", "--net", "none", "--pull", "never", name, "sh", "-c", script])
                .ok()
                .prints(said);
            world.host.run(["system", "check", "--deep"]).ok().prints("");
            let files = format!(
                "cd /tmp/data/image; ls layers/{layer} | grep -v gzip.json | tr '\\n' ' '; ls staging | wc -l"
            );
            assert_eq!(world.host.admin(&files).line(), "blob diff size split 0", "{what}");
        };
        sound("loaded", "appended:1");
        for format in ["docker-archive", "oci-archive"] {
            let script = format!(
                "set -e; cd /tmp/home; mkdir x; $C save --format {format} appended:1 | tee again.tar | tar -x -C x
                 find x -type f -exec sha256sum {{}} + | cut -c1-64 | grep {layer}; rm -r x
                 $C rmi appended:1 >/dev/null; $C load -qi again.tar"
            );
            world.host.sh(&script).ok().prints(&layer);
            sound(format, "appended:1");
        }
        let there = own.image("appended:1");
        world.host.run(["tag", "appended:1", &there]).ok();
        world.host.run(["push", "-q", &there]).ok();
        let manifest = own.manifest(&own.digest("appended", "1"));
        let blob = own.blob(manifest["layers"][0]["digest"].as_str().expect("a digest"));
        let sum = world.host.admin(&format!("gunzip <{} | sha256sum", blob.display()));
        assert_eq!(sum.line(), format!("{layer}  -"));
        world.host.run(["rmi", "appended:1", &there]).ok();
        world.host.run(["pull", "-q", &there]).ok();
        sound("pulled", &there);
    }
}
