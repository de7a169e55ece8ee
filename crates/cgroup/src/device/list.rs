//! Rules as the devices controller of cgroup v1 keeps them: a list, either of what is allowed or of what is not.
//!
//! The kernel takes a line out of its list only as it stands there, and passes over one that would cut a piece out of
//! a larger one (devices.rst). So the list is worked out here, and rules that no list can say are refused.

use super::{DeviceKind, MKNOD, READ, Rule, WRITE};
use crate::{Error, Kind, Result};

/// One line of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    kind: DeviceKind,
    major: Option<u32>,
    minor: Option<u32>,
    access: u32,
}

impl Line {
    fn has(&self, other: &Self) -> bool {
        let number = |mine: Option<u32>, its: Option<u32>| mine.is_none() || mine == its;
        self.kind == other.kind && number(self.major, other.major) && number(self.minor, other.minor)
    }

    fn meets(&self, other: &Self) -> bool {
        let number = |mine: Option<u32>, its: Option<u32>| mine.is_none() || its.is_none() || mine == its;
        self.kind == other.kind && number(self.major, other.major) && number(self.minor, other.minor)
    }
}

/// The writes, file and line, that make a cgroup's list what the rules say.
pub(crate) fn writes(rules: &[Rule]) -> Result<Vec<(&'static str, String)>> {
    // Nothing is allowed until a rule does.
    let (mut allowed, mut list) = (sys::mutant!("mutant_rt_10"), Vec::new());
    for rule in rules {
        if rule.has_everything() {
            allowed = rule.allow;
            list.clear();
            continue;
        }
        let kinds = [DeviceKind::Block, DeviceKind::Character];
        for kind in kinds.into_iter().filter(|kind| rule.kind.is_none_or(|only| only == *kind)) {
            let line = Line { kind, major: rule.major, minor: rule.minor, access: rule.access };
            if rule.allow == allowed {
                take_out(&mut list, line, allowed)?;
            } else {
                add(&mut list, line);
            }
        }
    }
    if !allowed {
        add_up(&mut list);
    }
    let (first, file) =
        if allowed { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
    let mut all = vec![(first, "a".to_owned())];
    all.extend(list.iter().map(|line| (file, shown(line))));
    Ok(all)
}

fn add(list: &mut Vec<Line>, line: Line) {
    match list.iter_mut().find(|one| one.has(&line) && line.has(one)) {
        Some(one) => one.access |= line.access,
        None => list.push(line),
    }
}

/// The kernel takes all rights that are asked for at once from one line: gives each line those of the lines it is a
/// part of, and a line of its own to what two have in common.
fn add_up(list: &mut Vec<Line>) {
    loop {
        let mut together = list.clone();
        for (at, one) in list.iter().enumerate() {
            for other in list[..at].iter().filter(|other| one.meets(other)) {
                let (major, minor) = (one.major.or(other.major), one.minor.or(other.minor));
                add(&mut together, Line { major, minor, access: one.access | other.access, ..*one });
            }
        }
        if together == *list {
            return;
        }
        *list = together;
    }
}

fn take_out(list: &mut Vec<Line>, line: Line, allowed: bool) -> Result<()> {
    for one in &mut *list {
        if one.access & line.access == 0 || !one.meets(&line) {
            continue;
        }
        if !line.has(one) {
            let verb = if allowed { "allowed" } else { "denied" };
            let why = format!(
                "linux.resources.devices: {} cannot be {verb} after {}: cgroup v1 has no list for it",
                shown(&line),
                shown(one)
            );
            return Err(Error::new(Kind::Unsupported, why));
        }
        one.access &= !line.access;
    }
    list.retain(|one| one.access != 0);
    Ok(())
}

/// A line as devices.rst has it: `c 1:3 rwm`.
fn shown(line: &Line) -> String {
    let kind = if line.kind == DeviceKind::Block { 'b' } else { 'c' };
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let access: String = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .into_iter()
        .filter_map(|(bit, letter)| (line.access & bit != 0).then_some(letter))
        .collect();
    format!("{kind} {}:{} {access}", number(line.major), number(line.minor))
}

#[cfg(test)]
mod tests;
