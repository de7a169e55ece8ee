//! `linux.intelRdt` as a wish for groups.

use super::invalid;
use crate::error::Result;
use crate::rdt::Wish;
use oci_spec::runtime::{Linux, LinuxIntelRdt};

/// Reads it, for container `id`.
pub fn rdt(linux: &Linux, id: &str) -> Result<Option<Wish>> {
    let Some(written) = linux.intel_rdt() else { return Ok(None) };
    let class = written.clos_id().as_deref().filter(|class| !class.is_empty());
    let group = match class {
        None => id,
        // The group that every process is in.
        Some("/") => "",
        Some(class) => class,
    };
    let reserved = [".", "..", "info", "mon_data", "mon_groups"].contains(&group);
    if reserved || group.contains(['/', '\n']) {
        return Err(invalid("linux.intelRdt.closID", &format!("{group:?} is not the name of a group")));
    }
    Ok(Some(Wish {
        group: group.to_owned(),
        own: class.is_none(),
        schemata: schemata(written)?,
        monitoring: written.enable_monitoring().unwrap_or(false).then(|| id.to_owned()),
    }))
}

/// The writes: cache and memory together, and then what is written out.
fn schemata(written: &LinuxIntelRdt) -> Result<Vec<String>> {
    let mut writes = combined(
        written.l3_cache_schema().as_deref().unwrap_or_default(),
        written.mem_bw_schema().as_deref().unwrap_or_default(),
    );
    let lines = written.schemata().as_deref().unwrap_or_default();
    if let Some(index) = lines.iter().position(|line| !line.contains(':')) {
        return Err(invalid(
            &format!("linux.intelRdt.schemata[{index}]"),
            &format!("{:?} names no resource", lines[index]),
        ));
    }
    if !lines.is_empty() {
        writes.push(lines.join("\n"));
    }
    Ok(writes)
}

/// One write of both. A line for memory in the cache's schema gives way to memory's own.
pub fn combined(cache: &str, memory: &str) -> Vec<String> {
    let lines: Vec<&str> = cache
        .lines()
        .filter(|line| {
            !line.trim().is_empty() && (memory.is_empty() || !line.trim_start().starts_with("MB:"))
        })
        .chain(Some(memory).filter(|memory| !memory.is_empty()))
        .collect();
    if lines.is_empty() { Vec::new() } else { vec![lines.join("\n")] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn wishes() {
        fn check(written: Value, expected: Result<(&str, bool, &[&str], bool), &str>) {
            let linux =
                serde_json::from_value(json!({"intelRdt": written})).expect("it is of the right form");
            match (rdt(&linux, "box"), expected) {
                (Ok(Some(wish)), Ok((group, own, schemata, monitoring))) => {
                    assert_eq!((wish.group.as_str(), wish.own), (group, own));
                    assert_eq!(wish.schemata, schemata);
                    assert_eq!(wish.monitoring.as_deref(), monitoring.then_some("box"));
                }
                (Err(error), Err(expected)) => {
                    assert_eq!(error.to_string(), format!("config.json: linux.intelRdt.{expected}"));
                }
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
        check(json!({}), Ok(("box", true, &[], false)));
        check(json!({"closID": "gold", "enableMonitoring": true}), Ok(("gold", false, &[], true)));
        check(json!({"closID": "/"}), Ok(("", false, &[], false)));
        check(
            json!({"l3CacheSchema": "L3:0=f\nMB:0=10", "memBwSchema": "MB:0=20", "schemata": ["L2:0=1", "L3:0=1"]}),
            Ok(("box", true, &["L3:0=f\nMB:0=20", "L2:0=1\nL3:0=1"], false)),
        );
        check(json!({"l3CacheSchema": "L3:0=f\nMB:0=10"}), Ok(("box", true, &["L3:0=f\nMB:0=10"], false)));
        check(json!({"schemata": ["x"]}), Err("schemata[0]: \"x\" names no resource"));
        for wrong in ["..", ".", "a/b", "info", "mon_groups"] {
            check(json!({"closID": wrong}), Err(&format!("closID: {wrong:?} is not the name of a group")));
        }
    }
}
