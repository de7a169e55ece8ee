//! What a process is beyond its command and its user: scheduling, memory policy, personality, labels.

use super::invalid;
use crate::error::{Error, Kind, Result};
use crate::plan::{Attributes, MemoryPolicy};
use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxPersonalityDomain, LinuxSchedulerFlag, LinuxSchedulerPolicy,
    MemoryPolicyFlagType, MemoryPolicyModeType, Process, Scheduler,
};
use sys::scheduler;

/// More than any machine has.
const MOST: usize = 8192;

/// Reads them; those of `linux` are the container's own process's alone.
pub fn of_process(process: &Process) -> Result<Attributes> {
    let affinity = process.exec_cpu_affinity().as_ref();
    let list = |field: &str, text: Option<&String>| {
        text.filter(|text| !text.is_empty()).map(|text| numbers(field, text)).transpose()
    };
    Ok(Attributes {
        scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
        io_priority: process
            .io_priority()
            .as_ref()
            .map(|written| io_priority(written.class(), written.priority()))
            .transpose()?,
        initial_affinity: list(
            "process.execCPUAffinity.initial",
            affinity.and_then(|one| one.initial().as_ref()),
        )?,
        final_affinity: list(
            "process.execCPUAffinity.final",
            affinity.and_then(|one| one.cpu_affinity_final().as_ref()),
        )?,
        apparmor: label("process.apparmorProfile", process.apparmor_profile().as_deref())?,
        selinux: label("process.selinuxLabel", process.selinux_label().as_deref())?,
        ..Attributes::default()
    })
}

/// A name that the kernel takes as it is written: of white space and NUL it would take the part before.
fn label(field: &str, text: Option<&str>) -> Result<Option<String>> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) if text.contains(|sign: char| sign.is_ascii_control()) || text.trim() != text => Err(
            invalid(field, &format!("{text:?} begins or ends with white space, or has a control character")),
        ),
        text => Ok(text.map(str::to_owned)),
    }
}

/// Those that `linux` has.
pub fn of_linux(linux: &Linux, attributes: &mut Attributes) -> Result<()> {
    if let Some(personality) = linux.personality() {
        attributes.personality = Some(match personality.domain() {
            LinuxPersonalityDomain::PerLinux => sys::personality::LINUX,
            LinuxPersonalityDomain::PerLinux32 => sys::personality::LINUX32,
        });
        if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
            return Err(invalid("linux.personality.flags", "none are defined"));
        }
    }
    if let Some(policy) = linux.memory_policy() {
        let nodes = policy.nodes().as_deref().unwrap_or_default();
        let flags = policy.flags().as_deref().unwrap_or_default();
        attributes.memory_policy = Some(memory_policy(policy.mode(), nodes, flags)?);
    }
    Ok(())
}

/// `SCHED_*` (sched(7)).
fn policy(policy: LinuxSchedulerPolicy) -> u32 {
    match policy {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIso => 4,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
    }
}

/// `SCHED_FLAG_*` (include/uapi/linux/sched.h).
fn flag(flag: LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

fn scheduler(written: &Scheduler) -> Result<scheduler::Attributes> {
    let kind = *written.policy();
    let nice = written.nice().unwrap_or(0);
    let priority = written.priority().unwrap_or(0);
    let wrong = |field: &str, why: &str| Err(invalid(&format!("process.scheduler.{field}"), why));
    if !(-20..=19).contains(&nice) {
        return wrong("nice", &format!("{nice} is not from -20 to 19"));
    }
    let real_time = matches!(kind, LinuxSchedulerPolicy::SchedFifo | LinuxSchedulerPolicy::SchedRr);
    if priority != 0 && !real_time {
        return wrong("priority", "only SCHED_FIFO and SCHED_RR have priorities");
    }
    let deadline = [written.runtime(), written.deadline(), written.period()];
    if deadline.iter().any(|one| one.is_some_and(|time| time != 0))
        && kind != LinuxSchedulerPolicy::SchedDeadline
    {
        return wrong("runtime", "runtime, deadline and period are those of SCHED_DEADLINE");
    }
    Ok(scheduler::Attributes {
        policy: policy(kind),
        flags: written.flags().iter().flatten().fold(0, |all, one| all | flag(*one)),
        nice,
        priority: u32::try_from(priority).map_err(|_| invalid("process.scheduler.priority", "negative"))?,
        runtime: written.runtime().unwrap_or(0),
        deadline: written.deadline().unwrap_or(0),
        period: written.period().unwrap_or(0),
    })
}

fn io_priority(class: IOPriorityClass, priority: i64) -> Result<(u32, u32)> {
    let priority = u32::try_from(priority)
        .ok()
        .filter(|priority| *priority <= 7)
        .ok_or_else(|| invalid("process.ioPriority.priority", &format!("{priority} is not from 0 to 7")))?;
    let class = match class {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    Ok((class, priority))
}

fn memory_policy(
    mode: MemoryPolicyModeType,
    nodes: &str,
    flags: &[MemoryPolicyFlagType],
) -> Result<MemoryPolicy> {
    // include/uapi/linux/mempolicy.h
    let number = match mode {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    let bits = flags.iter().fold(0, |all, flag| {
        all | match flag {
            MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
            MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
            MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
        }
    });
    let nodes = if nodes.is_empty() { Vec::new() } else { numbers("linux.memoryPolicy.nodes", nodes)? };
    let bare = matches!(mode, MemoryPolicyModeType::MpolDefault | MemoryPolicyModeType::MpolLocal);
    let preferred = mode == MemoryPolicyModeType::MpolPreferred;
    if bare && !nodes.is_empty() {
        return Err(invalid("linux.memoryPolicy.nodes", "this mode takes none"));
    }
    if !bare && !preferred && nodes.is_empty() {
        return Err(invalid("linux.memoryPolicy.nodes", "this mode needs some"));
    }
    let mut mask = Vec::new();
    for node in nodes {
        if mask.len() <= node / 64 {
            mask.resize(node / 64 + 1, 0u64);
        }
        mask[node / 64] |= 1 << (node % 64);
    }
    Ok(MemoryPolicy { mode: number | bits, nodes: mask })
}

/// A list such as `0-3,8`.
pub fn numbers(field: &str, text: &str) -> Result<Vec<usize>> {
    let wrong =
        || Error::new(Kind::Invalid, format!("config.json: {field}: {text:?} is not a list such as 0-3,8"));
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number < MOST).ok_or_else(wrong);
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first.trim())?, number(last.trim())?),
            None => (number(part.trim())?, number(part.trim())?),
        };
        if first > last {
            return Err(wrong());
        }
        all.extend(first..=last);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn lists_of_numbers() {
        fn check(text: &str, expected: Option<&[usize]>) {
            assert_eq!(numbers("x", text).ok().as_deref(), expected, "{text:?}");
        }
        check("0", Some(&[0]));
        check("0-2,8", Some(&[0, 1, 2, 8]));
        check("3,1-3", Some(&[1, 2, 3]));
        for wrong in ["", "-", "1-", "2-1", "a", "0,,1", "-1", "8192", "0-99999999999"] {
            check(wrong, None);
        }
    }

    #[test]
    fn attributes_that_cannot_be() {
        fn check(field: &str, value: Value, expected: &str) {
            let mut process = json!({"cwd": "/", "args": ["x"], "user": {"uid": 0, "gid": 0}});
            process[field] = value.clone();
            let process: Process = serde_json::from_value(process).expect("a process");
            let said =
                of_process(&process).map(drop).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(said, expected, "{value}");
        }
        let at = |rest: &str| format!("config.json: process.{rest}");
        check("scheduler", json!({"policy": "SCHED_BATCH", "nice": 5}), "");
        check(
            "scheduler",
            json!({"policy": "SCHED_OTHER", "nice": 20}),
            &at("scheduler.nice: 20 is not from -20 to 19"),
        );
        check(
            "scheduler",
            json!({"policy": "SCHED_OTHER", "priority": 1}),
            &at("scheduler.priority: only SCHED_FIFO and SCHED_RR have priorities"),
        );
        check(
            "scheduler",
            json!({"policy": "SCHED_FIFO", "priority": 1, "period": 5}),
            &at("scheduler.runtime: runtime, deadline and period are those of SCHED_DEADLINE"),
        );
        check(
            "ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 8}),
            &at("ioPriority.priority: 8 is not from 0 to 7"),
        );
    }
}
