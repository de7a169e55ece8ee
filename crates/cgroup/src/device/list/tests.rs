//! Rules in, lines of the controller out; and a model of the kernel that reads them.

use super::*;
use crate::device::{DeviceRule, rules};

fn shown_writes(text: &str) -> String {
    let written: Vec<DeviceRule> = text.lines().map(rule).collect();
    match writes(&rules(&written).unwrap()) {
        Ok(all) => {
            let line =
                |(file, value): &(&str, String)| format!("{} {value}", file.trim_start_matches("devices."));
            all.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.to_string(),
    }
}

/// `+c 1:3 rwm`: allows; with `-`, denies.
fn rule(text: &str) -> DeviceRule {
    let mut words = text[1..].split(' ');
    let kind = words.next().unwrap().chars().next().unwrap();
    let numbers: Vec<Option<i64>> =
        words.next().unwrap().split(':').map(|number| number.parse().ok()).collect();
    let access = words.next().unwrap().to_owned();
    DeviceRule { allow: text.starts_with('+'), kind, major: numbers[0], minor: numbers[1], access }
}

#[test]
fn rules_become_a_list() {
    fn check(rules: &str, expected: &str) {
        assert_eq!(shown_writes(rules), expected, "{rules}");
    }
    check("", "deny a");
    check("-a *:* rwm", "deny a");
    check("+a *:* rwm", "allow a");
    check("-a *:* rwm\n+c 1:3 rwm\n+c *:* m", "deny a\nallow c 1:3 rwm\nallow c *:* m");
    check("+a *:* rwm\n-b 8:* w", "allow a\ndeny b 8:* w");
    check("+a *:* r", "deny a\nallow b *:* r\nallow c *:* r");
    check("+u 1:3 r\n+c 1:3 w", "deny a\nallow c 1:3 rw");
    check("+c *:* m\n+c 1:3 r", "deny a\nallow c *:* m\nallow c 1:3 rm");
    check("+c 1:* r\n+c *:3 w", "deny a\nallow c 1:* r\nallow c *:3 w\nallow c 1:3 rw");
    // A rule takes away those before it that it covers.
    check("+c 1:3 rwm\n-c 1:3 w", "deny a\nallow c 1:3 rm");
    check("+c 1:3 rw\n+b 8:0 r\n-c 1:* rwm", "deny a\nallow b 8:0 r");
    check("+a *:* rwm\n-c 1:3 rwm\n+c 1:3 r", "allow a\ndeny c 1:3 wm");
    check("+c 1:3 rwm\n-a *:* rwm\n+c 1:5 r", "deny a\nallow c 1:5 r");
    // What no list can say.
    check(
        "+c 1:* rw\n-c 1:3 w",
        "linux.resources.devices: c 1:3 w cannot be denied after c 1:* rw: cgroup v1 has no list for it",
    );
    check(
        "+a *:* rwm\n-c 1:* w\n+c *:3 w",
        "linux.resources.devices: c *:3 w cannot be allowed after c 1:* w: cgroup v1 has no list for it",
    );
    check("+c 1:* r\n-c 1:3 w", "deny a\nallow c 1:* r");
}
