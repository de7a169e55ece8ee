//! Maps of ids: as crun writes them at a mount, as numbers, and as /etc/subuid has them.

use crate::config::{plan, sound};
use runtime::id_map::{self, IdMaps, Range};
use runtime::plan::Source;
use serde_json::json;

/// Whatever is taken is what the kernel takes, leads back where it came from, and is read again as the same.
pub fn id_maps(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(maps) = of_mount(&text) {
        kernel_takes(&maps.uid);
        kernel_takes(&maps.gid);
        assert_eq!(of_mount(&self::text(&maps)).as_ref(), Some(&maps), "{text:?}");
    }
    id_map::subordinate(&text, "user", 1000);
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let ranges: Vec<Range> = data
        .chunks_exact(12)
        .map(|one| Range { container: number(one), host: number(&one[4..]), size: number(&one[8..]) })
        .collect();
    match id_map::check("uidMappings", &ranges) {
        Ok(()) => kernel_takes(&ranges),
        Err(why) => assert!(!is_sound(&ranges), "{ranges:?}: {why}"),
    }
}

/// The maps of a mount with this option.
fn of_mount(text: &str) -> Option<IdMaps> {
    let mut config = sound();
    config["mounts"] = json!([{"destination": "/x", "type": "bind", "source": "/source", "options": [format!("idmap={text}")]}]);
    match plan(config.to_string().as_bytes())?.mounts.pop()?.source {
        Source::Bind(bind) => bind.id_map?.maps,
        _ => None,
    }
}

/// The option that means these maps.
pub(crate) fn text(maps: &IdMaps) -> String {
    let list = |ranges: &[Range]| {
        let one = |range: &Range| format!("{}-{}-{}", range.container, range.host, range.size);
        ranges.iter().map(one).collect::<Vec<_>>().join("#")
    };
    format!("uids={};gids={}", list(&maps.uid), list(&maps.gid))
}

/// What user_namespaces(7) asks of a map, written once more in another way.
fn is_sound(ranges: &[Range]) -> bool {
    let apart = |first: fn(&Range) -> u32| {
        let mut ends: Vec<(u64, u64)> = ranges
            .iter()
            .map(|range| (u64::from(first(range)), u64::from(first(range)) + u64::from(range.size)))
            .collect();
        ends.sort_unstable();
        ends.iter().all(|(begin, end)| begin < end && *end < 1 << 32)
            && ends.windows(2).all(|two| two[0].1 <= two[1].0)
    };
    let length: usize =
        ranges.iter().map(|one| format!("{} {} {}\n", one.container, one.host, one.size).len()).sum();
    ranges.len() <= 340 && length < 4096 && apart(|range| range.container) && apart(|range| range.host)
}

fn kernel_takes(ranges: &[Range]) {
    assert!(is_sound(ranges), "{ranges:?}");
    for range in ranges {
        for offset in [0, range.size / 2, range.size - 1] {
            let (container, host) = (range.container + offset, range.host + offset);
            assert_eq!(id_map::outside(ranges, container), Some(host), "{ranges:?}");
            assert_eq!(id_map::inside(ranges, host), Some(container), "{ranges:?}");
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let binary =
        |ranges: &[[u32; 3]]| ranges.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    vec![
        b"uids=0-1-10;gids=0-100-10".to_vec(),
        b"gids=0-100-10;uids=0-1-10#10-11-10#@20-5-7".to_vec(),
        b"uids=@0-1-10;gids=@5-0-1".to_vec(),
        b"uids=0-4294967294-1;gids=4294967295-0-1".to_vec(),
        b"user:100000:65536\n1000:5:1\n other : x : y\n".to_vec(),
        binary(&[[0, 1000, 1], [1, 100_000, 65_536]]),
        binary(&[[0, 0, u32::MAX], [u32::MAX, u32::MAX, 1]]),
        binary(&[[5, 5, 5], [10, 10, 5], [0, 0, 5]]),
        (0..300_u32).flat_map(|n| [2 * n, 2 * n, 1]).flat_map(u32::to_le_bytes).collect(),
    ]
}

pub const WORDS: &[&str] = &[
    "uids=",
    ";gids=",
    "#",
    "@",
    "-",
    "0-0-1",
    "4294967295",
    "4294967296",
    "65536",
    "user:",
    "1000:",
    ":",
    "\n",
    "\x01\0\0\0",
    "\0\0\0\0",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
];
