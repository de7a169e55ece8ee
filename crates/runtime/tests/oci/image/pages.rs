//! Pages that come when they are asked for: the container runs on before its memory is there.

use super::{at, counts, counts_on, restore_words, with_criu};
use testkit::deadline::wait_for;

#[test]
fn lazy_pages() {
    let Some(oci) = with_criu() else { return };
    oci.host.admin("ip link set lo up");
    let container = oci.bundle(counts).start(&[]);
    counts_on(&container);
    let port = 27_000;
    let server = format!("127.0.0.1:{port}");
    // The descriptor that hears of it is the standard output.
    let options = ["--lazy-pages", "--page-server", &server, "--status-fd", "1"];
    let places = at(&container);
    let words: Vec<&str> = ["checkpoint"]
        .into_iter()
        .chain(places.iter().map(String::as_str))
        .chain(options)
        .chain([container.id()])
        .collect();
    let dumped = oci.spawn(words);
    wait_for("the page server", || oci.host.listens(port).then_some(()));
    let count = container.bundle.read("rootfs/count");
    let [image, work] = ["image", "work"].map(|name| container.bundle.inside(name));
    let daemon = format!(
        "exec criu lazy-pages --page-server --address 127.0.0.1 --port {port} -D {image} -W {work} \
            -v4 -o lazy-pages.log"
    );
    let mut daemon = oci.host.script(&daemon);
    let daemon = testkit::Running::start(&mut daemon);
    let socket = container.bundle.path("work/lazy-pages.socket");
    wait_for("the daemon", || socket.exists().then_some(()));
    oci.call(restore_words(&container, &["--detach", "--lazy-pages"], "other")).ok().prints("");
    wait_for("the next number", || (container.bundle.read("rootfs/count") > count).then_some(()));
    daemon.wait().ok();
    dumped.wait().ok().prints("\0");
    counts_on(&container);
    let log = container.bundle.read("work/lazy-pages.log");
    assert!(log.contains("UFFD transferred pages: ("), "{log}");
    container.call("state", &[]).refused(&["does not exist"]);
    oci.call(["delete", "--force", "other"]).ok();
    oci.assert_empty("lazy pages");
}
