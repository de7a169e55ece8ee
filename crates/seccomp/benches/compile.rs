//! What a filter costs before the kernel has it: medians, in microseconds. `cargo bench -p devoxx-seccomp`; with a number,
//! compiles that often and prints nothing, for `perf` and `callgrind`.

use devoxx_seccomp::{Options, compile, default_profile};
use oci_spec::runtime::LinuxSeccomp;
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
    measure("make the default profile", || default_profile(&[]).expect("the default is a profile"));
}
