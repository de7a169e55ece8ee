//! `linux.netDevices` as devices that move.

use super::invalid;
use crate::error::Result;
use crate::net_devices::{NetDevice, is_name};
use oci_spec::runtime::Linux;
use std::collections::BTreeSet;

/// Reads them, in the order of their names; `own_network` says whether there is a namespace for them to go to.
pub fn net_devices(linux: &Linux, own_network: bool) -> Result<Vec<NetDevice>> {
    let mut devices: Vec<NetDevice> = Vec::new();
    for (host, written) in linux.net_devices().iter().flatten() {
        let name = written.name().clone().filter(|name| !name.is_empty()).unwrap_or_else(|| host.clone());
        devices.push(NetDevice { host: host.clone(), name });
    }
    if !devices.is_empty() && !own_network {
        return Err(invalid("linux.netDevices", "unable to move network devices without a NET namespace"));
    }
    devices.sort_by(|one, other| one.host.cmp(&other.host));
    let mut taken = BTreeSet::new();
    for device in &devices {
        let field = format!("linux.netDevices.{}", device.host);
        let wrong = |name: &str| invalid(&field, &format!("{name:?} is not the name of a network device"));
        if !is_name(&device.host) {
            return Err(wrong(&device.host));
        }
        // One pattern for a number, and nothing else that the kernel would take for one.
        let pattern = device.name.matches('%').count();
        if !is_name(&device.name) || pattern > 1 || (pattern == 1 && !device.name.contains("%d")) {
            return Err(wrong(&device.name));
        }
        if pattern == 0 && !taken.insert(&device.name) {
            return Err(invalid(&field, &format!("{:?} is there twice", device.name)));
        }
    }
    Ok(devices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn devices_that_move() {
        fn check(written: Value, own: bool, expected: Result<&[(&str, &str)], &str>) {
            let linux =
                serde_json::from_value(json!({"netDevices": written})).expect("it is of the right form");
            let found = net_devices(&linux, own);
            let pairs = found.as_ref().map(|devices| {
                devices.iter().map(|one| (one.host.as_str(), one.name.as_str())).collect::<Vec<_>>()
            });
            match (pairs, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(expected)) => {
                    assert_eq!(error.to_string(), format!("config.json: linux.netDevices{expected}"));
                }
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
        check(json!({}), false, Ok(&[]));
        check(json!({"b": {}, "a": {"name": "c"}}), true, Ok(&[("a", "c"), ("b", "b")]));
        check(
            json!({"a": {"name": "eth%d"}, "b": {"name": "eth%d"}}),
            true,
            Ok(&[("a", "eth%d"), ("b", "eth%d")]),
        );
        check(json!({"a": {}}), false, Err(": unable to move network devices without a NET namespace"));
        check(json!({"a": {"name": "x"}, "b": {"name": "x"}}), true, Err(".b: \"x\" is there twice"));
        check(json!({"a": {"name": "a/b"}}), true, Err(".a: \"a/b\" is not the name of a network device"));
        check(json!({"a": {"name": "%s"}}), true, Err(".a: \"%s\" is not the name of a network device"));
        check(json!({"": {}}), true, Err(".: \"\" is not the name of a network device"));
    }
}
