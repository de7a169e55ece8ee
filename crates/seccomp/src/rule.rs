//! What a profile says about a call, in its order.

use crate::tables::Call;
use crate::{Options, Refused, action, refused};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator as Operator};

/// How many arguments a call has at most.
const ARGUMENTS: usize = 6;

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Which argument.
    pub(crate) index: usize,
    /// How.
    pub(crate) operator: Operator,
    /// With what; for a mask, the mask.
    pub(crate) value: u64,
    /// For a mask, what is left under it.
    pub(crate) masked: u64,
}

/// One answer to a call whose arguments fulfil all conditions.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// The call.
    pub(crate) call: Call,
    /// All of them have to hold.
    pub(crate) conditions: Vec<Condition>,
    /// What the kernel answers.
    pub(crate) answer: u32,
}

impl Rule {
    /// Whether it says the same, of whatever call.
    pub(crate) fn says(&self, other: &Self) -> bool {
        self.answer == other.answer && self.conditions == other.conditions
    }
}

/// Reads the rules. Those that say what the default says anyway are left out.
pub(crate) fn read(profile: &LinuxSeccomp, default: u32, options: Options) -> Result<Vec<Rule>, Refused> {
    let mut rules =
        Vec::with_capacity(profile.syscalls().iter().flatten().map(|one| one.names().len()).sum());
    for (index, written) in profile.syscalls().iter().flatten().enumerate() {
        let field = || format!("linux.seccomp.syscalls[{index}]");
        if written.names().is_empty() {
            return refused(format!("{}.names", field()), "empty");
        }
        let of_action = || format!("syscalls[{index}].action");
        let answer = action::answer(of_action, written.action(), written.errno_ret())?;
        let arguments: &[LinuxSeccompArg] = written.args().as_deref().unwrap_or_default();
        let conditions = conditions(field, arguments)?;
        for name in written.names() {
            let Some(call) = Call::named(name) else {
                if options.fail_unknown {
                    return refused(format!("{}.names", field()), format!("unknown system call {name:?}"));
                }
                continue;
            };
            if answer == default {
                continue;
            }
            for all in &conditions {
                rules.push(Rule { call, conditions: all.clone(), answer });
            }
        }
    }
    Ok(rules)
}

/// All conditions together; each for itself where two are on one argument, as runc and crun have always read them.
fn conditions(
    field: impl Fn() -> String,
    arguments: &[LinuxSeccompArg],
) -> Result<Vec<Vec<Condition>>, Refused> {
    let mut all = Vec::new();
    for (index, one) in arguments.iter().enumerate() {
        if one.index() >= ARGUMENTS {
            return refused(
                format!("{}.args[{index}].index", field()),
                format!("{} is not an argument: a call has {ARGUMENTS}", one.index()),
            );
        }
        all.push(Condition {
            index: one.index(),
            operator: one.op(),
            value: one.value(),
            masked: one.value_two().unwrap_or(0) & one.value(),
        });
    }
    let twice =
        all.iter().enumerate().any(|(at, one)| all[..at].iter().any(|other| other.index == one.index));
    if twice {
        return Ok(all.into_iter().map(|one| vec![one]).collect());
    }
    Ok(vec![all])
}
