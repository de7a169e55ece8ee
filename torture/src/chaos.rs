//! Chaos: mixed work on one host by several at once, while processes of it are killed at random moments: commands, supervisors, containers,
//! pasta, the holder of a user's networks. At the end all containers are removed and what is left is pruned, once.

use crate::arguments::Arguments;
use crate::replay::tried;
use crate::report::Section;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::outcome::run_into;
use testkit::{Host, Outcome, Registry, Snapshot};

/// How long it goes on, and on one host: by `--quick`, and otherwise.
const QUICK: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(20));
const LONG: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(300));

/// How many work on a host at once.
const WORKERS: u64 = 3;
/// The time from one kill to the next, in milliseconds: from here to there.
const BETWEEN: (u64, u64) = (20, 400);

/// Choices that are the same for the same seed (xorshift64*).
struct Choices(u64);

impl Choices {
    fn of(seed: u64) -> Self {
        // Neighbours among the seeds are to have nothing in common, and it must not be 0.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        usize::try_from(self.below(of.len() as u64)).ok().and_then(|at| of.get(at)).copied().unwrap_or("")
    }
}

/// What is done, each as often as the others; `C`, `V`, `N` and `I` stand for some container, volume, network, image, and `B` for the image
/// that containers are made of.
const WORK: &[&str] = &[
    "run -d --name C -v V:/data B sleep 1000",
    "run -d --name C -p 8080:80 B sleep 1000",
    "run -d --name C --network N B sleep 1000",
    "run -d --name C --network N -v V:/data --restart always B sleep 1000",
    "run -d --name C --restart on-failure B sleep 1",
    "run --rm B true",
    "run --rm --network N -v V:/data B touch /data/file",
    "create --name C B sleep 1000",
    "start C",
    "stop -t 0 C",
    "restart -t 0 C",
    "kill C",
    "pause C",
    "unpause C",
    "exec C true",
    "exec C true",
    "rename C C",
    "rm -f C",
    "rm -f -v C",
    "rm C",
    "commit C made",
    "pull -q I",
    "rmi I",
    "rmi made",
    "volume create V",
    "volume rm V",
    "network create N",
    "network rm N",
    "network connect N C",
    "network disconnect N C",
    "ps -a",
    "container prune -f",
];

const CONTAINERS: &[&str] = &["c0", "c1", "c2", "c3", "c4"];
const VOLUMES: &[&str] = &["v0", "v1"];
const NETWORKS: &[&str] = &["n0", "n1"];
const IMAGES: &[&str] = &["debian:12", "team/plain:1", "busybox"];

/// What is done at the end, and before the beginning, so that both are alike.
const TIDY: &str = r#"
for id in $("$C" ps -aq); do "$C" rm -f -v $id >/dev/null || exit 1; done
"$C" network rm -f n0 n1 >/dev/null && "$C" volume rm -f v0 v1 >/dev/null && "$C" system prune -a --volumes -f >/dev/null &&
"$C" pull -q BUSYBOX >/dev/null && "$C" run --rm BUSYBOX true && "$C" system check
"#;

/// What came of it.
#[derive(Default)]
struct Told {
    /// Operations by how they ended: done, refused, killed.
    done: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    /// Kills by who it was.
    kills: Mutex<BTreeMap<String, u64>>,
    /// Containers that were there at the end.
    containers: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Told {
    fn wrong(&self, what: String) {
        if let Ok(mut all) = self.wrong.lock() {
            all.push(what);
        }
    }
}

/// As root and as an ordinary user, at the same time.
pub fn part(arguments: &Arguments) -> Section {
    let (whole, on_one) = if arguments.quick { QUICK } else { LONG };
    let program = arguments.programs.join("devoxx-container");
    let program = program.as_path();
    let all = [Told::default(), Told::default()];
    let kinds = ["root", "an ordinary user"];
    std::thread::scope(|scope| {
        for (kind, told) in all.iter().enumerate() {
            let seed = arguments.seed.wrapping_mul(2).wrapping_add(kind as u64);
            let host = move || if kind == 0 { Host::root(program) } else { Host::rootless(program) };
            scope.spawn(move || {
                let end = Instant::now() + whole;
                let mut round = 0;
                while round == 0 || Instant::now() < end {
                    let seed = seed.wrapping_add(round << 32);
                    let panicked = tried(|| on_a_host(host(), seed, on_one, told));
                    if let Some(words) = panicked {
                        told.wrong(format!("round {round}: {words}"));
                    }
                    round += 1;
                }
            });
        }
    });
    let (mut rows, mut all_wrong) = (Vec::new(), Vec::new());
    for (told, name) in all.iter().zip(kinds) {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let kills = told.kills.lock().map(|kills| kills.clone()).unwrap_or_default();
        let wrong = told.wrong.lock().map(|wrong| wrong.clone()).unwrap_or_default();
        let killed: Vec<String> = kills.iter().map(|(who, times)| format!("{who} {times}")).collect();
        rows.push(vec![
            name.to_owned(),
            (count(&told.done) + count(&told.refused) + count(&told.cut)).to_string(),
            format!("{}, {}, {}", count(&told.done), count(&told.refused), count(&told.cut)),
            format!("{}: {}", kills.values().sum::<u64>(), killed.join(", ")),
            count(&told.containers).to_string(),
            wrong.len().to_string(),
        ]);
        all_wrong.extend(wrong.into_iter().take(5).map(|wrong| format!("{name}: {wrong}")));
    }
    let killed: u64 =
        all.iter().flat_map(|told| told.kills.lock().map(|kills| kills.values().sum::<u64>())).sum();
    Section {
        name: "chaos",
        title: "Kills at random moments, over mixed work",
        columns: &[
            "who",
            "commands",
            "done, refused, killed",
            "kills",
            "containers at the end",
            "left after one removal and prune, or wrong",
        ],
        figures: format!("{} s, {killed} kills; {} things left or wrong.", whole.as_secs(), all_wrong.len()),
        rows,
        notes: Vec::new(),
        wrong: all_wrong,
    }
}

/// One host, from its beginning to its end.
fn on_a_host(host: Host, seed: u64, time: Duration, told: &Told) {
    let registry = Registry::start(&host);
    host.admin("mkdir -m 777 /tmp/output");
    let busybox = registry.image("busybox");
    let tidy = TIDY.replace("BUSYBOX", &busybox);
    // The files of networks, volumes and the log are made once, and stay.
    let first = format!(
        "\"$C\" network create n0 && \"$C\" run --rm --network n0 -v v0:/data {busybox} true && touch $DEVOXX_ROOT/events/log.1 $DEVOXX_ROOT/network/names"
    );
    testkit::outcome::run(&mut host.bash(&first)).ok();
    testkit::outcome::run(&mut host.bash(&tidy)).ok();
    let before = Snapshot::take(&host);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let (host, busybox) = (&host, &busybox);
                scope.spawn(move || {
                    let mut choices = Choices::of(seed ^ (number << 16));
                    let end = Instant::now() + time;
                    while Instant::now() < end {
                        let panicked = tried(|| work(host, busybox, number, &mut choices, told));
                        if let Some(words) = panicked {
                            told.wrong(words);
                            return;
                        }
                    }
                })
            })
            .collect();
        let (host, over, registry) = (&host, &over, registry.pid());
        scope.spawn(move || kill(host, registry, &mut Choices::of(seed ^ (WORKERS << 16)), over, told));
        for worker in workers {
            // What it panicked with is told already.
            worker.join().ok();
        }
        over.store(true, Ordering::Relaxed);
    });
    let there = testkit::outcome::run(&mut host.bash("\"$C\" ps -aq")).ok();
    told.containers.fetch_add(there.stdout.lines().count() as u64, Ordering::Relaxed);
    let tidied = testkit::outcome::run(&mut host.bash(&tidy));
    if tidied.code != 0 {
        told.wrong(format!("seed {seed}: {tidied}"));
    }
    let left = before.settled(&host);
    if !left.is_empty() {
        told.wrong(format!("seed {seed}: {}", left.join("; ")));
    }
}

/// One command.
fn work(host: &Host, busybox: &str, number: u64, choices: &mut Choices, told: &Told) {
    let mut words: Vec<String> = Vec::new();
    for word in choices.one(WORK).split(' ') {
        let (word, behind) = word.split_once(':').unwrap_or((word, ""));
        let meant = match word {
            "B" => busybox.to_owned(),
            "C" => choices.one(CONTAINERS).to_owned(),
            "V" => choices.one(VOLUMES).to_owned(),
            "N" => choices.one(NETWORKS).to_owned(),
            "I" => format!("127.0.0.1:5000/{}", choices.one(IMAGES)),
            word => word.to_owned(),
        };
        words.push(if behind.is_empty() { meant } else { format!("{meant}:{behind}") });
    }
    let file = |kind: &str| host.path(format!("/tmp/output/{number}.{kind}"));
    // Not by pipes: a supervisor whose command was killed has them, too.
    let outcome: Outcome = run_into(&mut host.command(&words), &file("out"), &file("err"));
    let counter = match outcome.code {
        0 => &told.done,
        137 => &told.cut,
        _ => &told.refused,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    if outcome.stderr.contains("panicked") {
        told.wrong(outcome.to_string());
    }
}

/// Kills one process of the host after the other, but for the registry.
fn kill(host: &Host, registry: i32, choices: &mut Choices, over: &AtomicBool, told: &Told) {
    while !over.load(Ordering::Relaxed) {
        // Any moment is right: there is nothing to wait for.
        std::thread::sleep(Duration::from_millis(BETWEEN.0 + choices.below(BETWEEN.1 - BETWEEN.0)));
        let all: Vec<i32> = host.processes().into_iter().filter(|pid| *pid != registry).collect();
        let victim = usize::try_from(choices.below(all.len() as u64)).ok().and_then(|at| all.get(at));
        let Some(victim) = victim else { continue };
        let name = std::fs::read_to_string(format!("/proc/{victim}/comm")).unwrap_or_default();
        host.kill(*victim);
        if let Ok(mut kills) = told.kills.lock() {
            *kills.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_those_of_the_seed() {
        let of = |seed| {
            let mut choices = Choices::of(seed);
            (0..50).map(|_| choices.below(10)).collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        assert!((0..10).all(|number| of(0).contains(&number)), "{:?}", of(0));
    }
}
