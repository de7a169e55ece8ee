//! Versions of the CDI specification, and from which on a field is known: a spec that uses it names that one or a later one.

use super::spec::Spec;

/// All that there are.
const KNOWN: [(u32, u32); 10] =
    [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (0, 8), (1, 0), (1, 1)];

/// Refuses a version that there is none of, and one that is too old for what the spec uses.
pub fn check(spec: &Spec) -> Result<(), String> {
    let text = spec.cdi_version.strip_prefix('v').unwrap_or(&spec.cdi_version);
    let numbers: Option<Vec<u32>> = text.split('.').map(number).collect();
    let version = match numbers.as_deref() {
        Some([major, minor, 0]) if KNOWN.contains(&(*major, *minor)) => (*major, *minor),
        _ => return Err(format!("cdiVersion {:?} is not known here", spec.cdi_version)),
    };
    let (needed, field) = needed(spec);
    if version < needed {
        return Err(format!(
            "cdiVersion {:?}: {field} needs at least {}.{}.0",
            spec.cdi_version, needed.0, needed.1
        ));
    }
    Ok(())
}

fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

/// The version that a spec needs, and what for.
fn needed(spec: &Spec) -> ((u32, u32), &'static str) {
    let any = |uses: &dyn Fn(&super::spec::Edits) -> bool| spec.edits().any(uses);
    let class = spec.kind.split_once('/').map_or("", |(_, class)| class);
    let digit = |name: &String| !name.starts_with(|first: char| first.is_ascii_alphabetic());
    let of_rdt = |edits: &super::spec::Edits| {
        edits.intel_rdt.as_ref().is_some_and(|rdt| rdt.schemata.is_some() || rdt.enable_monitoring.is_some())
    };
    let uses = [
        ((1, 1), "netDevices", any(&|edits| !edits.net_devices.is_empty())),
        ((1, 1), "intelRdt.schemata or enableMonitoring", any(&of_rdt)),
        ((0, 7), "intelRdt", any(&|edits| edits.intel_rdt.is_some())),
        ((0, 7), "additionalGids", any(&|edits| !edits.additional_gids.is_empty())),
        ((0, 6), "annotations", !spec.annotations.is_empty()),
        ((0, 6), "annotations", spec.devices.iter().any(|device| !device.annotations.is_empty())),
        ((0, 6), "a dot in the class", class.contains('.')),
        (
            (0, 5),
            "a device whose name begins with a digit",
            spec.devices.iter().any(|device| digit(&device.name)),
        ),
        ((0, 5), "hostPath", any(&|edits| edits.device_nodes.iter().any(|node| node.host_path.is_some()))),
        ((0, 4), "a mount's type", any(&|edits| edits.mounts.iter().any(|mount| !mount.kind.is_empty()))),
    ];
    let first = uses.into_iter().find(|(_, _, used)| *used);
    first.map_or(((0, 1), ""), |(version, field, _)| (version, field))
}
