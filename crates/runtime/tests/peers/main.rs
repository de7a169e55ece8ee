//! The same configs on devoxx-runtime, runc and crun: who accepts them, and what a container finds inside.
//!
//! Every difference is explained in `explained.txt`, or the test fails; so it does for an explanation that explains
//! nothing any more. The configs are made from a list of changes by numbers that are always the same.

mod changes;
mod explained;
mod facts;

use changes::config;
use explained::Explanations;
use facts::{Answer, answer};
use std::path::{Path, PathBuf};
use testkit::{Host, Oci};

/// How many configs.
const CONFIGS: u32 = 300;

/// The program under test.
fn ours() -> PathBuf {
    env!("CARGO_BIN_EXE_devoxx-runtime").into()
}

/// A runtime with a host of its own.
struct Peer {
    name: &'static str,
    oci: Oci,
}

impl Peer {
    #[track_caller]
    fn new(name: &'static str, host: Host) -> Self {
        Self { name, oci: Oci::new(host) }
    }
}

/// Asks every peer the same; the first is ours.
#[track_caller]
fn compare(peers: &[Peer], numbers: impl Iterator<Item = u32>) {
    let mut explanations = Explanations::read(peers.iter().map(|peer| peer.name));
    let mut wrong = Vec::new();
    for number in numbers {
        let (changes, written) = config(number);
        let answers: Vec<Answer> = peers.iter().map(|peer| answer(&peer.oci, &written)).collect();
        for (peer, other) in peers.iter().zip(&answers).skip(1) {
            for difference in answers[0].differences(other) {
                if !explanations.explain(peer.name, &changes, &difference) {
                    wrong.push(format!(
                        "config {number} ({}): {}: {difference}",
                        changes.join(", "),
                        peer.name
                    ));
                }
            }
        }
    }
    wrong.extend(explanations.unused().map(|line| format!("explains nothing any more: {line}")));
    // What the others leave behind is theirs: their hosts take it along.
    peers[0].oci.assert_empty("the configs");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn as_runc_and_crun_where_cgroup_v2_is_all() {
    let host = |program: &Path| Host::root_cgroup2_view(program);
    let peers = [
        Peer::new("ours", host(&ours())),
        Peer::new("runc", host(Path::new("/usr/sbin/runc"))),
        Peer::new("crun", host(Path::new("/usr/bin/crun"))),
    ];
    compare(&peers, 0..CONFIGS);
}
