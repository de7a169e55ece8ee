//! Visits: one container that is attached to again and again, and what its supervisor keeps of them.

use super::{Told, look};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::deadline::{poll, wait_for};
use testkit::{Host, Pty, Snapshot};

/// What the supervisor of a container is given anew for a visit it has to give back: descriptors, and memory but for this.
const GROWS: u64 = 256 << 10;

/// Visits of a container that has a terminal, each by a window of another size.
pub(super) fn many(program: &Path, (times, goes): (u32, u32), told: &mut Told) {
    let host = Host::root(program);
    host.admin("cp -a /tmp/fixtures/rootfs/busybox /tmp/tree");
    // What the first container of all makes stays.
    host.run(["run", "--rm", "--net", "none", "--rootfs", "/tmp/tree", "true"]).ok();
    let before = Snapshot::take(&host);
    let answers = "while :; do read word && echo $word: $(stty size); done";
    let run =
        ["run", "-dit", "--name", "up", "--net", "none", "--log-driver", "none", "--rootfs", "/tmp/tree"];
    host.run([&run[..], &["sh", "-c", answers]].concat()).ok();
    let supervisor = supervisor(&host);
    let mut first = None;
    for go in 0..goes {
        let begun = Instant::now();
        for turn in go * times..(go + 1) * times {
            visit(&host, turn);
        }
        told.add(look(&host, begun.elapsed() / times), Vec::new());
        // The last client is gone, and its connection is on its way.
        let (files, memory) = *first.get_or_insert_with(|| weight(supervisor));
        let mut now = (0, 0);
        let same = poll(Duration::from_secs(5), || {
            now = weight(supervisor);
            (now.0 <= files && now.1 <= memory + GROWS).then_some(())
        });
        if same.is_none() {
            told.wrong.push(format!(
                "the supervisor has {} descriptors and {} bytes, {files} and {memory} at first",
                now.0, now.1
            ));
        }
    }
    host.run(["rm", "-f", "up"]).ok();
    told.wrong.extend(before.settled(&host));
}

/// One visit: its window is as it says, what is typed arrives, and it can be left.
fn visit(host: &Host, turn: u32) {
    let (rows, columns) = (10 + u16::try_from(turn % 90).unwrap_or_default(), 80);
    let pty = Pty::new(rows, columns + 1);
    let modes = pty.modes();
    let client = pty.start(&host.command(["attach", "up"]));
    // What is typed before the terminal is raw is thrown away.
    wait_for("raw mode", || (pty.modes() != modes).then_some(()));
    pty.resize(rows, columns);
    // The new size is on its way as the word is.
    wait_for("the new size", || {
        pty.types("word\r");
        let answer = format!("word: {rows} {columns}");
        poll(Duration::from_millis(50), || pty.screen().contains(&answer).then_some(()))
    });
    pty.types("\x10\x11");
    let code = client.wait();
    assert_eq!(code, 0, "attach {turn}: {}", pty.screen());
}

/// The one process of the engine that is there while nobody is calling it.
fn supervisor(host: &Host) -> i32 {
    let words = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let ours = |pid: &i32| words(pid).starts_with(b"/tmp/bin/devoxx-container");
    host.processes().into_iter().find(ours).expect("a supervisor")
}

/// How many descriptors it has open, and how many bytes of its own.
fn weight(pid: i32) -> (usize, u64) {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let own = own.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    (files, own.unwrap_or_default() << 10)
}
