//! Intel's Resource Director Technology where there is none (config-linux.md, "IntelRdt"): the hosts of these tests mount no
//! resctrl. What is written where there is one is under test in `rdt` and `bundle::rdt`.

use crate::world::{plain, root, rootless};
use serde_json::{Value, json};

#[test]
fn without_resctrl_it_is_refused() {
    clause!("config-linux.intelRdt.no-resctrl");
    for oci in [root(), rootless()] {
        let with = |rdt: Value| move |config: &mut Value| config["linux"]["intelRdt"] = rdt;
        for rdt in [
            json!({}),
            json!({"closID": "gold"}),
            json!({"schemata": ["L3:0=f"]}),
            json!({"enableMonitoring": true}),
        ] {
            oci.run(with(rdt), "true").refused(&["linux.intelRdt", "no resctrl file system is mounted"]);
            oci.assert_empty("a refusal");
        }
        oci.run(with(json!({"closID": ".."})), "true").refused(&["linux.intelRdt.closID"]);
        oci.run(with(json!({"memBwSchema": "L3:0=f"})), "true").refused(&["linux.intelRdt.memBwSchema"]);
        oci.run(with(Value::Null), "true").ok();
    }
}

#[test]
fn a_container_without_it_gets_none_by_update() {
    let oci = root();
    let container = oci.bundle(plain).create(&[]);
    container.with("update", &["--l3-cache-schema", "L3:0=f"], &[]).refused(&["without linux.intelRdt"]);
    container.with("update", &["--mem-bw-schema", "MB:0=10"], &[]).refused(&["without linux.intelRdt"]);
}
