//! Each target for some seconds: what it starts from, what was kept, and changes of these. Without a sanitizer and without feedback,
//! but on any compiler and the same each time; `make fuzz` looks for more.

use fuzz::mutator::Mutator;
use fuzz::{archive, corpus};
use rustix::time::{ClockId, clock_gettime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each target is tried; DEVOXX_FUZZ_SECONDS says otherwise.
const SECONDS: u64 = 5;

/// What one input may take of a processor, in a build that is not optimized.
const MOST: Duration = Duration::from_secs(1);

fn seconds() -> Duration {
    let said = std::env::var("DEVOXX_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(said.unwrap_or(SECONDS))
}

/// What this thread has taken of a processor: others on the machine do not count.
fn taken() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn tried(name: &str) {
    let target = fuzz::target(name).expect("a target");
    let mut inputs = (target.seeds)();
    inputs.extend(corpus::kept(target).expect("the corpus").into_values());
    let run = |input: &[u8]| {
        let before = taken();
        let fine = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        let took = taken() - before;
        if fine.is_err() || took > MOST {
            let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
            let kept = std::fs::write(&place, input).map(|()| place.display().to_string());
            panic!(
                "{name}: {} in {took:?}: corpus run {name} {kept:?}",
                if fine.is_ok() { "done" } else { "failed" }
            );
        }
    };
    inputs.iter().for_each(|input| run(input));
    let (end, mut mutator) = (Instant::now() + seconds(), Mutator::new(1));
    let mut count = inputs.len();
    while Instant::now() < end {
        let (from, other) = (&inputs[mutator.below(inputs.len())], &inputs[mutator.below(inputs.len())]);
        let input = if name == "layer" && mutator.below(4) != 0 {
            archive::changed(&mut mutator, from)
        } else {
            mutator.changed(from, other, target.words, target.longest)
        };
        run(&input);
        count += 1;
    }
    assert!(count > inputs.len() + 100, "{count} inputs are too few");
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { tried(stringify!($name)); })*

        #[test]
        fn all_are_tried() {
            let names: Vec<&str> = fuzz::ALL.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets!(auth_header config id_maps layer manifest mount_options reference seccomp state);

/// Changes are the same each time, and changes.
#[test]
fn chance_is_repeated() {
    let changed = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..50).map(|_| mutator.changed(b"some input", b"another", &["word"], 64)).collect::<Vec<_>>()
    };
    assert_eq!(changed(1), changed(1));
    assert_ne!(changed(1), changed(2));
}
