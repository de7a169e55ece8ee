//! What a group of resctrl has and uses, in the words of runc's `events` (Documentation/filesystems/resctrl.rst of the
//! kernel, "Info directory", "Resource alloc and monitor groups").

use crate::error::Result;
use serde::Serialize;
use std::io::ErrorKind;
use std::path::Path;
use sys::called;

/// The `intel_rdt` of an event. What this machine's processor does not have is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The third cache of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_info: Option<CacheInfo>,
    /// How the group of everybody shares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema_root: Option<String>,
    /// How the container's group does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l3_cache_schema: Option<String>,
    /// The way to memory of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_info: Option<BandwidthInfo>,
    /// How the group of everybody shares it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema_root: Option<String>,
    /// How the container's group does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_bw_schema: Option<String>,
    /// All lines of the container's group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    /// What went to memory and came from it, by domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mbm_stats: Option<Vec<Bandwidth>>,
    /// What is in the third cache, by domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmt_stats: Option<Vec<Occupancy>>,
}

/// `info/L3`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CacheInfo {
    /// All of it, as a mask in hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cbm_mask: String,
    /// The least number of bits of a share.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_cbm_bits: u64,
    /// How many groups there may be.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_closids: u64,
}

/// `info/MB`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BandwidthInfo {
    /// The step of a share, in percent.
    #[serde(skip_serializing_if = "is_zero")]
    pub bandwidth_gran: u64,
    /// Whether the delay is linear.
    #[serde(skip_serializing_if = "is_zero")]
    pub delay_linear: u64,
    /// The least share, in percent.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_bandwidth: u64,
    /// How many groups there may be.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_closids: u64,
}

/// Bytes that a group moved in one domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Bandwidth {
    /// To and from all memory.
    pub mbm_total_bytes: u64,
    /// To and from that of the domain.
    pub mbm_local_bytes: u64,
}

/// Bytes that a group has in one cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Occupancy {
    /// `llc_occupancy`.
    pub llc_occupancy: u64,
}

/// Reads what is below the mount point `top` of the group `group` and its monitoring group.
pub(super) fn read(top: &Path, group: &Path, monitoring: Option<&Path>) -> Result<Usage> {
    let (everybody, own) = (text(&top.join("schemata"))?, text(&group.join("schemata"))?);
    let info = top.join("info");
    let mut usage =
        Usage { schemata: own.lines().map(|line| line.trim().to_owned()).collect(), ..Usage::default() };
    let l3 = info.join("L3");
    if l3.is_dir() {
        usage.l3_cache_info = Some(CacheInfo {
            cbm_mask: text(&l3.join("cbm_mask"))?.trim().to_owned(),
            min_cbm_bits: number(&l3.join("min_cbm_bits"))?,
            num_closids: number(&l3.join("num_closids"))?,
        });
        usage.l3_cache_schema_root = line_of(&everybody, "L3");
        usage.l3_cache_schema = line_of(&own, "L3");
    }
    let mb = info.join("MB");
    if mb.is_dir() {
        usage.mem_bw_info = Some(BandwidthInfo {
            bandwidth_gran: number(&mb.join("bandwidth_gran"))?,
            delay_linear: number(&mb.join("delay_linear"))?,
            min_bandwidth: number(&mb.join("min_bandwidth"))?,
            num_closids: number(&mb.join("num_closids"))?,
        });
        usage.mem_bw_schema_root = line_of(&everybody, "MB");
        usage.mem_bw_schema = line_of(&own, "MB");
    }
    let features = text(&info.join("L3_MON/mon_features"))?;
    let has = |name: &str| features.lines().any(|line| line.trim() == name);
    let data = monitoring.unwrap_or(group).join("mon_data");
    let domains = domains(&data)?;
    if has("mbm_total_bytes") || has("mbm_local_bytes") {
        let one = |domain: &String| {
            let counter = |name| number(&data.join(domain).join(name));
            Ok(Bandwidth {
                mbm_total_bytes: counter("mbm_total_bytes")?,
                mbm_local_bytes: counter("mbm_local_bytes")?,
            })
        };
        usage.mbm_stats = Some(domains.iter().map(one).collect::<Result<_>>()?);
    }
    if has("llc_occupancy") {
        let one = |domain: &String| {
            Ok(Occupancy { llc_occupancy: number(&data.join(domain).join("llc_occupancy"))? })
        };
        usage.cmt_stats = Some(domains.iter().map(one).collect::<Result<_>>()?);
    }
    Ok(usage)
}

/// The line of a schemata file that shares a resource; `L3` may be `L3CODE` and `L3DATA`, then it is the last one.
fn line_of(schemata: &str, resource: &str) -> Option<String> {
    let mut lines = schemata.lines().map(str::trim);
    lines.rfind(|line| line.starts_with(resource)).map(str::to_owned)
}

/// The domains of the third cache that are counted, in order: `mon_L3_00` and so on.
fn domains(data: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(data) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(called(|| format!("open({data:?})")))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(called(|| format!("getdents64({data:?})")))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("mon_L3_") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A file; empty where this kernel or processor does not have it.
fn text(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => Ok(other.map_err(called(|| format!("read({path:?})")))?),
    }
}

/// A number; 0 for what the hardware cannot count now, of which the kernel says `Unavailable` or `Error`.
fn number(path: &Path) -> Result<u64> {
    Ok(text(path)?.trim().parse().unwrap_or(0))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this way")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Files as the kernel's documentation shows them.
    fn check(files: &[(&str, &str)], monitoring: bool, expected: serde_json::Value) {
        let top = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = top.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            std::fs::write(path, text).expect("write");
        }
        let group = top.path().join("p0");
        let inner = group.join("mon_groups/m1");
        let usage = read(top.path(), &group, monitoring.then_some(inner.as_path())).expect("it is readable");
        assert_eq!(serde_json::to_value(usage).expect("JSON"), expected);
    }

    #[test]
    fn what_a_processor_shares_and_counts() {
        check(&[], false, json!({}));
        let cache = [
            ("schemata", "L3:0=ffff;1=ffff\n"),
            ("p0/schemata", "    L3:0=3;1=c\n"),
            ("info/L3/cbm_mask", "ffff\n"),
            ("info/L3/min_cbm_bits", "2\n"),
            ("info/L3/num_closids", "16\n"),
        ];
        check(
            &cache,
            false,
            json!({
                "l3_cache_info": {"cbm_mask": "ffff", "min_cbm_bits": 2, "num_closids": 16},
                "l3_cache_schema_root": "L3:0=ffff;1=ffff", "l3_cache_schema": "L3:0=3;1=c",
                "schemata": ["L3:0=3;1=c"],
            }),
        );
        let memory = [
            ("schemata", "    MB:0=100;1=100\n    L3:0=fffff;1=fffff\n"),
            ("p0/schemata", "    MB:0= 50;1=100\n    L3:0=fffff;1=fffff\n"),
            ("info/MB/bandwidth_gran", "10\n"),
            ("info/MB/delay_linear", "1\n"),
            ("info/MB/min_bandwidth", "10\n"),
            ("info/MB/num_closids", "8\n"),
        ];
        check(
            &memory,
            false,
            json!({
                "mem_bw_info": {"bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8},
                "mem_bw_schema_root": "MB:0=100;1=100", "mem_bw_schema": "MB:0= 50;1=100",
                "schemata": ["MB:0= 50;1=100", "L3:0=fffff;1=fffff"],
            }),
        );
        let counted = [
            (
                "info/L3_MON/mon_features",
                "llc_occupancy\nmbm_total_bytes\nmbm_total_bytes_config\nmbm_local_bytes\n",
            ),
            ("p0/mon_data/mon_L3_01/llc_occupancy", "16789000\n"),
            ("p0/mon_data/mon_L3_01/mbm_total_bytes", "Unavailable\n"),
            ("p0/mon_data/mon_L3_00/llc_occupancy", "16234000\n"),
            ("p0/mon_data/mon_L3_00/mbm_total_bytes", "98000\n"),
            ("p0/mon_data/mon_L3_00/mbm_local_bytes", "95000\n"),
            ("p0/mon_groups/m1/mon_data/mon_L3_00/llc_occupancy", "31234000\n"),
        ];
        check(
            &counted,
            false,
            json!({
                "mbm_stats": [
                    {"mbm_total_bytes": 98000, "mbm_local_bytes": 95000},
                    {"mbm_total_bytes": 0, "mbm_local_bytes": 0},
                ],
                "cmt_stats": [{"llc_occupancy": 16_234_000}, {"llc_occupancy": 16_789_000}],
            }),
        );
        check(
            &counted,
            true,
            json!({
                "mbm_stats": [{"mbm_total_bytes": 0, "mbm_local_bytes": 0}],
                "cmt_stats": [{"llc_occupancy": 31_234_000}],
            }),
        );
    }
}
