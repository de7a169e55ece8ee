//! What a filter costs before the kernel has it: medians, in microseconds. `cargo bench -p devoxx-seccomp`; with a number,
//! compiles that often and prints nothing, for `perf` and `callgrind`.

use devoxx_seccomp::{Options, Program, compile, default_profile};
use oci_spec::runtime::LinuxSeccomp;
use std::hash::Hasher;
use std::hint::black_box;
use std::time::Instant;

/// Prints the median of many.
#[expect(clippy::print_stdout, reason = "its output is what it is for")]
fn measure<T>(what: &str, mut run: impl FnMut() -> T) {
    let mut times: Vec<u128> = (0..2000)
        .map(|_| {
            let before = Instant::now();
            black_box(run());
            before.elapsed().as_nanos()
        })
        .collect();
    // In a program that runs once, nothing is warm.
    let first = times[0];
    times.sort_unstable();
    let shown = |nanoseconds: u128| nanoseconds as f64 / 1000.0;
    println!("{what:44} {:8.1}  first {:8.1}", shown(times[times.len() / 2]), shown(first));
}

/// The least that a cache by content costs, in memory and in a file: a key of all that is compiled, then the instructions and
/// a sum of them. Its hash is one that nobody should trust a file by.
fn cached(profile: &LinuxSeccomp, program: &Program) {
    let sum = |bytes: &[u8]| {
        let mut hash = std::hash::DefaultHasher::new();
        hash.write(bytes);
        hash.finish()
    };
    let key = || sum(&serde_json::to_vec(black_box(profile)).expect("a profile is JSON"));
    measure("key of the profile", key);
    measure("compare the profile with another", || black_box(profile) == &profile.clone());
    let bytes: Vec<u8> = program
        .instructions
        .iter()
        .flat_map(|(code, yes, no, operand)| {
            [&code.to_ne_bytes()[..], &[*yes, *no], &operand.to_ne_bytes()].concat()
        })
        .collect();
    let directory = std::env::temp_dir().join(format!("devoxx-seccomp-bench-{}", std::process::id()));
    std::fs::create_dir(&directory).expect("mkdir");
    let (file, new) = (directory.join("program"), directory.join("new"));
    measure("write a program to a file, and rename it", || {
        std::fs::write(&new, &bytes).and_then(|()| std::fs::rename(&new, &file)).expect("write");
    });
    measure("key, read and check a program of a file", || {
        (key(), std::fs::read(&file).map(|bytes| sum(&bytes)).expect("read"))
    });
    std::fs::remove_dir_all(&directory).expect("remove");
}

fn main() {
    let profile = default_profile(&[]).expect("the default is a profile");
    let compiled = || compile(black_box(&profile), Options::default()).expect("the default compiles");
    if let Some(times) = std::env::args().find_map(|word| word.parse::<usize>().ok()) {
        (0..times).for_each(|_| drop(black_box(compiled())));
        return;
    }
    measure(&format!("compile to {} instructions", compiled().instructions.len()), compiled);
    let text = serde_json::to_string(&profile).expect("a profile is JSON");
    let parse = || serde_json::from_str::<LinuxSeccomp>(black_box(&text)).expect("JSON of a profile");
    measure(&format!("parse {} bytes of JSON", text.len()), parse);
    cached(&profile, &compiled());
    measure("make the default profile", || default_profile(&[]).expect("the default is a profile"));
}
