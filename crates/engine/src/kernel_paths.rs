//! Paths of the kernel that tell or change too much, for everybody but a privileged container; docker's lists.

use std::path::Path;

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];

/// And what all processors do together: what others compute can be heard from it (GHSA-7ww5-4wqc-m92c, GHSA-jq35-85cj-fj4p).
const HEARD: [&str; 2] = ["/proc/interrupts", "/sys/devices/virtual/powercap"];

/// What a container may read alone.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where the processors are.
const PROCESSORS: &str = "/sys/devices/system/cpu";
/// How often one of them was too hot: what others compute can be heard from it (GHSA-6fw5-f8r9-fgfm).
const HEAT: &str = "thermal_throttle";

/// What a container does not see.
pub fn masked() -> Vec<String> {
    let mut all: Vec<String> = MASKED.map(str::to_owned).into();
    if !sys::mutant!("mutant_en_23") {
        all.extend(HEARD.map(str::to_owned));
        all.extend(heat(Path::new(PROCESSORS)));
    }
    all
}

/// One path for each processor that tells; most virtual machines have none, which one look shows.
fn heat(processors: &Path) -> Vec<String> {
    if !processors.join("cpu0").join(HEAT).exists() {
        return Vec::new();
    }
    let Ok(list) = std::fs::read_dir(processors) else { return Vec::new() };
    let is_processor = |name: &str| {
        name.strip_prefix("cpu")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let names = list.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> = names
        .filter(|name| is_processor(name) && processors.join(name).join(HEAT).exists())
        .map(|name| format!("{PROCESSORS}/{name}/{HEAT}"))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_processor_that_tells_is_masked() {
        fn check(directories: &[&str], expected: &[&str]) {
            let place = tempfile::tempdir().expect("a directory");
            for directory in directories {
                std::fs::create_dir_all(place.path().join(directory)).expect("mkdir");
            }
            let expected: Vec<String> =
                expected.iter().map(|name| format!("{PROCESSORS}/{name}/{HEAT}")).collect();
            assert_eq!(heat(place.path()), expected, "{directories:?}");
        }
        check(&[], &[]);
        check(&["cpu0/topology", "cpu1/topology"], &[]);
        let some =
            ["cpu0/thermal_throttle", "cpu11/thermal_throttle", "cpu3/topology", "cpufreq/thermal_throttle"];
        check(&some, &["cpu0", "cpu11"]);
        check(&["cpu0/thermal_throttle", "cpu/thermal_throttle", "cpu1x/thermal_throttle"], &["cpu0"]);
    }
}
