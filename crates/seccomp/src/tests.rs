//! Programs are run as the kernel runs them, and asked the same as libseccomp's.

mod profiles;

use super::*;
use crate::architecture::Architecture;
use crate::verdict::Call;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// Runs a program; the kernel checks that it ends.
fn run(program: &[Instruction], call: &Call) -> u32 {
    steps(program, call).0
}

/// What a program answers, and after how many instructions.
fn steps(program: &[Instruction], call: &Call) -> (u32, usize) {
    verdict::walk(program, call).expect("instructions that are known")
}

fn number(architecture: Architecture, name: &str) -> u32 {
    tables::Call::named(name).and_then(|call| call.number(architecture)).expect("a call")
}

fn profile(value: Value) -> LinuxSeccomp {
    serde_json::from_value(value).expect("a profile")
}

#[test]
fn answers_of_profiles() {
    fn check(profile_json: Value, call: (&str, [u64; 6]), expected: u32) {
        let program = compile(&profile(profile_json.clone()), Options::default()).expect("it compiles");
        let number = number(Architecture::X86_64, call.0);
        let call = Call { number, architecture: 0xc000_003e, arguments: call.1 };
        assert_eq!(run(&program.instructions, &call), expected, "{profile_json} {call:x?}");
    }
    let none = [0; 6];
    let allow = 0x7fff_0000;
    let with = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    check(json!({"defaultAction": "SCMP_ACT_ALLOW"}), ("read", none), allow);
    check(json!({"defaultAction": "SCMP_ACT_KILL_PROCESS"}), ("read", none), 0x8000_0000);
    check(json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13}), ("read", none), 0x0005_000d);
    let errno = with(json!({"names": ["chmod"], "action": "SCMP_ACT_ERRNO"}));
    check(errno.clone(), ("chmod", none), 0x0005_0001);
    check(errno, ("chown", none), allow);
    check(
        with(json!({"names": ["chmod"], "action": "SCMP_ACT_TRACE", "errnoRet": 7})),
        ("chmod", none),
        0x7ff0_0007,
    );
    check(with(json!({"names": ["chmod"], "action": "SCMP_ACT_LOG"})), ("chmod", none), 0x7ffc_0000);
    check(with(json!({"names": ["chmod"], "action": "SCMP_ACT_TRAP"})), ("chmod", none), 0x0003_0000);
    check(with(json!({"names": ["chmod"], "action": "SCMP_ACT_KILL"})), ("chmod", none), 0);
    let operator = |op: &str, value: u64, two: u64| {
        with(json!({"names": ["chmod"], "action": "SCMP_ACT_KILL_PROCESS",
            "args": [{"index": 1, "value": value, "valueTwo": two, "op": op}]}))
    };
    let big = 0x1_0000_0005;
    for (op, value, argument, holds) in [
        ("SCMP_CMP_EQ", big, big, true),
        ("SCMP_CMP_EQ", big, 5, false),
        ("SCMP_CMP_NE", big, 5, true),
        ("SCMP_CMP_NE", big, big, false),
        ("SCMP_CMP_GT", big, big, false),
        ("SCMP_CMP_GT", big, big + 1, true),
        ("SCMP_CMP_GT", big, 9, false),
        ("SCMP_CMP_GE", big, big, true),
        ("SCMP_CMP_LT", big, 9, true),
        ("SCMP_CMP_LT", big, big, false),
        ("SCMP_CMP_LE", big, big, true),
        ("SCMP_CMP_LE", big, big + 1, false),
    ] {
        let expected = if holds { 0x8000_0000 } else { allow };
        check(operator(op, value, 0), ("chmod", [0, argument, 0, 0, 0, 0]), expected);
    }
    check(
        operator("SCMP_CMP_MASKED_EQ", 0xff00, 0x1200),
        ("chmod", [0, 0x0034_1234, 0, 0, 0, 0]),
        0x8000_0000,
    );
    check(operator("SCMP_CMP_MASKED_EQ", 0xff00, 0x1200), ("chmod", [0, 0x34, 0, 0, 0, 0]), allow);
    // A call that is newer than any in the profile: this kernel seems not to have it.
    check(
        json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}),
        ("mseal", none),
        0x0005_0026,
    );
}

#[test]
fn architectures_of_other_machines_leave_no_trace() {
    let of = |architectures: &[&str]| {
        let rule = json!({"names": ["chmod"], "action": "SCMP_ACT_ERRNO"});
        let profile = profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures,
            "syscalls": [rule]}));
        compile(&profile, Options { fail_unknown: true, ..Options::default() })
            .expect("it compiles")
            .instructions
    };
    let only_this = of(&[]);
    assert_eq!(of(&["SCMP_ARCH_NATIVE"]), only_this);
    // A call from there, if a kernel ever said so, kills as one from any architecture that is not named.
    let others = "MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB";
    for name in others.split_whitespace() {
        assert_eq!(of(&[&format!("SCMP_ARCH_{name}")]), only_this, "{name}");
    }
    for architecture in [8, 0x8000_0016, 0xc000_00f3, 0x4000_0003] {
        assert_eq!(run(&only_this, &Call { number: 1, architecture, arguments: [0; 6] }), 0);
    }
    assert_ne!(of(&["SCMP_ARCH_X86"]), only_this);
}

#[test]
fn what_cannot_be_is_refused() {
    fn check(value: Value, expected: &str) {
        let said = compile(&profile(value.clone()), Options { fail_unknown: true, ..Options::default() })
            .unwrap_err()
            .to_string();
        assert_eq!(said, format!("linux.seccomp.{expected}"), "{value}");
    }
    let rule = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    check(
        json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
        "defaultAction: SCMP_ACT_NOTIFY cannot be the default action",
    );
    check(
        rule(json!({"names": ["chmod"], "action": "SCMP_ACT_NOTIFY"})),
        "listenerPath: must be there when SCMP_ACT_NOTIFY is used",
    );
    check(
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
        "listenerMetadata: has no meaning without listenerPath",
    );
    check(
        rule(json!({"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args":
            [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})),
        "syscalls[0].args[0].index: 6 is not an argument: a call has 6",
    );
    check(
        rule(json!({"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4096})),
        "syscalls[0].action: errnoRet 4096 is above 4095",
    );
    check(rule(json!({"names": [], "action": "SCMP_ACT_ERRNO"})), "syscalls[0].names: empty");
    check(
        rule(json!({"names": ["fly"], "action": "SCMP_ACT_ERRNO"})),
        "syscalls[0].names: unknown system call \"fly\"",
    );
    let many: Vec<Value> = (0..5000)
        .map(|n| {
            json!({"names": ["chmod"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 0, "value": n, "op": "SCMP_CMP_EQ"}]})
        })
        .collect();
    let said =
        compile(&profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": many})), Options::default());
    assert!(said.unwrap_err().to_string().contains("the kernel takes 4096"));
}

/// libseccomp, as a program.
struct Oracle(Child);

impl Oracle {
    /// Compiled here, from what tests/setup.sh installs.
    fn start() -> Self {
        static BUILT: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
        let program = BUILT.get_or_init(|| {
            // Beside this test, so that it goes with what is built; by a name of its own until it is whole.
            let place = std::env::current_exe().expect("a path").with_file_name("seccomp-oracle");
            let program = place.with_extension(std::process::id().to_string());
            let done = Command::new("cc")
                .args(["-O1", "-D_GNU_SOURCE", "-o"])
                .arg(&program)
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/oracle.c"))
                .arg("-lseccomp")
                .status()
                .expect("cc starts: run tests/setup.sh");
            assert!(done.success(), "oracle.c compiles: run tests/setup.sh");
            std::fs::rename(program, &place).expect("rename");
            place
        });
        let child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Self(child.expect("the oracle starts"))
    }

    fn number(&mut self) -> u32 {
        let mut number = [0; 4];
        self.0.stdout.as_mut().expect("a pipe").read_exact(&mut number).expect("the oracle answers");
        u32::from_ne_bytes(number)
    }

    fn say(&mut self, words: &str) {
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(words.as_bytes()).expect("the oracle reads");
        input.flush().expect("the oracle reads");
    }

    /// Whether libseccomp has heard of a call.
    fn knows(&mut self, name: &str) -> bool {
        self.say(&format!("knows {name}\n"));
        self.number() != 0
    }

    fn ask(&mut self, profile: &str) -> Vec<Instruction> {
        self.say(profile);
        let mut bytes = vec![0; self.number() as usize * 8];
        self.0.stdout.as_mut().expect("a pipe").read_exact(&mut bytes).expect("the oracle answers");
        bytes
            .chunks_exact(8)
            .map(|one| {
                let code = u16::from_ne_bytes([one[0], one[1]]);
                (code, one[2], one[3], u32::from_ne_bytes([one[4], one[5], one[6], one[7]]))
            })
            .collect()
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("the oracle ends");
    }
}

/// A profile in the words of oracle.c.
fn words(profile: &LinuxSeccomp) -> String {
    let default = action::answer(String::new, profile.default_action(), profile.default_errno_ret())
        .expect("an action");
    let mut text = format!("profile {default}\n");
    for arch in profile.architectures().iter().flatten() {
        text += &format!("arch {}\n", *arch as u32);
    }
    for rule in rule::read(profile, default, Options::default()).expect("rules") {
        text +=
            &format!("rule {} {} {}", rule.answer, tables::CALLS[rule.call.index()].0, rule.conditions.len());
        for one in &rule.conditions {
            let second = if one.operator == oci_spec::runtime::LinuxSeccompOperator::ScmpCmpMaskedEq {
                one.masked
            } else {
                0
            };
            text += &format!(" {} {} {} {second}", one.index, one.operator as u32, one.value);
        }
        text.push('\n');
    }
    text + "end\n"
}

/// Numbers worth asking, in every architecture.
fn numbers() -> impl Iterator<Item = u32> {
    (0..600).chain(0x4000_0000..0x4000_0258).chain(0xf_0000..0xf_0008).chain([
        1000,
        0x3fff_ffff,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX - 1,
    ])
}

fn compare(oracle: &mut Oracle, profile: &LinuxSeccomp, samples: &[[u64; 6]]) {
    let default = action::answer(String::new, profile.default_action(), profile.default_errno_ret())
        .expect("an action");
    let rules = rule::read(profile, default, Options::default()).expect("rules");
    let architectures = architecture::of_profile(profile, Architecture::X86_64);
    // Without the answer to newer calls, which is runc's and not libseccomp's.
    let ours = assemble::program(&architectures, &rules, ranges::Beyond { default, enosys: false });
    let words = words(profile);
    let theirs = oracle.ask(&words);
    for architecture in [0xc000_003e, 0x4000_0003, 0x4000_0028, 0xc000_00b7, 0x14] {
        for number in numbers() {
            for arguments in samples {
                let call = Call { number, architecture, arguments: *arguments };
                let (our, their) = (run(&ours, &call), run(&theirs, &call));
                assert_eq!(our, their, "{call:x?} of\n{words}");
            }
        }
    }
}

/// A small generator of numbers that is always the same.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % sides
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.throw(list.len() as u64) as usize]
    }
}

const VALUES: [u64; 9] = [0, 1, 2, 40, 0xff, 0x7e02_0000, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];

/// A profile of a few rules. One call has one action: what libseccomp makes of two depends on the order of its tree.
fn generated(dice: &mut Dice) -> LinuxSeccomp {
    let actions =
        ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_LOG", "SCMP_ACT_TRAP"];
    let operators = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    // In every architecture.
    let everywhere = [
        "read",
        "write",
        "openat",
        "clone",
        "clone3",
        "personality",
        "ptrace",
        "ioctl",
        "prctl",
        "fcntl",
        "futex",
        "keyctl",
        "bpf",
        "setns",
        "unshare",
        "socket",
        "bind",
        "sendmsg",
        "shmget",
        "semctl",
    ];
    // Calls that only some have go with one architecture: of several, libseccomp 2.5.4 leaves out the load of the number
    // in a later one whose first call is such.
    let somewhere =
        ["mmap", "time", "chown32", "arm_fadvise64_64", "no_such", "fork", "read", "open", "stat"];
    let arches = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"];
    let one = dice.throw(3) == 0;
    let names: &[&str] = if one { &somewhere } else { &everywhere };
    let mut chosen: Vec<&str> = Vec::new();
    let mut syscalls = Vec::new();
    for _ in 0..1 + dice.throw(4) {
        let mut of_rule: Vec<&str> = Vec::new();
        for _ in 0..1 + dice.throw(4) {
            let name = *dice.of(names);
            if !chosen.contains(&name) {
                chosen.push(name);
                of_rule.push(name);
            }
        }
        if of_rule.is_empty() {
            continue;
        }
        let action = *dice.of(&actions);
        // Several rules for one call only when they ask for equality: of two that order the same argument, libseccomp 2.5.4
        // forgets one where their upper halves differ.
        let several = dice.throw(2) == 0;
        let operators = if several { &operators[3..4] } else { &operators[..] };
        for _ in 0..1 + if several { dice.throw(3) } else { 0 } {
            let mut args = Vec::new();
            for index in 0..6 {
                if dice.throw(4) == 0 {
                    let mut value = *dice.of(&VALUES);
                    if value == 0 {
                        value = dice.throw(1 << 34);
                    }
                    args.push(json!({"index": index, "value": value, "valueTwo": dice.of(&VALUES),
                        "op": dice.of(operators)}));
                }
            }
            syscalls.push(json!({"names": of_rule, "action": action, "args": args}));
        }
    }
    let architectures: Vec<&str> = arches.iter().copied().filter(|_| !one && dice.throw(2) == 0).collect();
    profile(json!({"defaultAction": dice.of(&actions), "architectures": architectures, "syscalls": syscalls}))
}

#[test]
fn generated_profiles_mean_what_they_mean_to_libseccomp() {
    let mut oracle = Oracle::start();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..10_000 {
        let profile = generated(&mut dice);
        let values: Vec<u64> = profile
            .syscalls()
            .iter()
            .flatten()
            .flat_map(|one| one.args().iter().flatten())
            .flat_map(|one| [one.value(), one.value().wrapping_add(1), one.value_two().unwrap_or(0)])
            .chain([0, u64::MAX])
            .collect();
        let samples: Vec<[u64; 6]> = (0..3).map(|_| std::array::from_fn(|_| *dice.of(&values))).collect();
        compare(&mut oracle, &profile, &samples);
    }
}

/// So many answers that little is shared, and jumps are long.
#[test]
fn long_profiles_mean_what_they_mean_to_libseccomp() {
    let mut oracle = Oracle::start();
    let mut check = |architectures: &[&str], every: usize, least: usize| {
        let shared = architectures.len() > 1;
        let calls = tables::CALLS.iter().filter(|(name, numbers)| {
            // Those of all, as above; but none that x86 has by another number as well.
            let has = |one: Architecture| numbers[one as usize] != u32::MAX;
            let everywhere =
                [Architecture::X86, Architecture::X86_64, Architecture::X32].into_iter().all(has);
            oracle.knows(name) && has(Architecture::X86_64) && (everywhere || !shared)
        });
        let rules: Vec<Value> = calls
            .enumerate()
            .map(|(at, (name, _))| {
                let argument = json!({"index": at % 6, "value": 7_u64 << (at % 40), "op": "SCMP_CMP_LT"});
                let args = if at % every == 0 { vec![argument] } else { Vec::new() };
                json!({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": at + 2, "args": args})
            })
            .collect();
        let profile = profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures,
            "syscalls": rules}));
        let length = compile(&profile, Options::default()).expect("it compiles").instructions.len();
        assert!(length >= least, "{length}");
        compare(&mut oracle, &profile, &[[0; 6], [6 << 20; 6], [u64::MAX; 6]]);
    };
    check(&[], 1000, 700);
    check(&[], 2, 1200);
    check(&["SCMP_ARCH_X86", "SCMP_ARCH_X32"], 1000, 1500);
    check(&["SCMP_ARCH_X86", "SCMP_ARCH_X32"], 3, 2000);
}

/// The kernel tries a filter for each number when it gets it, and some at each call.
#[test]
fn the_default_is_short() {
    let program =
        compile(&default_profile(&[]).expect("a profile"), Options::default()).expect("it compiles");
    assert!(program.instructions.len() < 400, "{} instructions", program.instructions.len());
    for (name, numbers) in &tables::CALLS {
        let number = numbers[Architecture::X86_64 as usize];
        let call = Call { number, architecture: Architecture::X86_64.token(), arguments: [u64::MAX; 6] };
        let (_, steps) = steps(&program.instructions, &call);
        let most = if ["socket", "personality"].contains(name) { 50 } else { 20 };
        assert!(steps <= most, "{steps} steps for {name}");
    }
}

proptest! {
    #[test]
    fn any_rule_compiles_to_a_program_that_ends(
        names in proptest::collection::vec(0usize..500, 1..60),
        index in 0usize..6, value in any::<u64>(), two in any::<u64>(), argument in any::<u64>(),
    ) {
        let calls = tables::CALLS.iter().filter(|row| row.1[Architecture::X86_64 as usize] != u32::MAX);
        let calls: Vec<&str> = calls.map(|(name, _)| *name).collect();
        let names: Vec<&str> = names.iter().map(|at| calls[*at % calls.len()]).collect();
        let rule = json!({"names": names, "action": "SCMP_ACT_ERRNO",
            "args": [{"index": index, "value": value, "valueTwo": two, "op": "SCMP_CMP_MASKED_EQ"}]});
        let profile = profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        let program = compile(&profile, Options::default()).expect("it compiles");
        for name in names {
            let number = number(Architecture::X86_64, name);
            let call = Call { number, architecture: 0xc000_003e, arguments: [argument; 6] };
            let expected = if argument & value == two & value { 0x0005_0001 } else { 0x7fff_0000 };
            prop_assert_eq!(run(&program.instructions, &call), expected);
        }
    }
}
