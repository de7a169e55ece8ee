//! Many containers alive at a time: what the last start takes beside the first, what a list of them takes, and what stays for each.

use crate::census::{Census, memory};
use crate::engines::{self, Engine};
use crate::entry::{Words, own_name, words};
use crate::fact::{Facts, median};
use crate::machine::Machine;
use crate::runtimes::{Bundles, OURS, Runtime};
use crate::surroundings::Surroundings;
use crate::waits;
use std::path::PathBuf;

/// The subject of these facts.
pub const SUBJECT: &str = "many containers alive";

struct Contestant {
    who: String,
    surroundings: Surroundings,
    /// Starts one, `@id`.
    start: Words,
    list: Words,
    /// Removes one.
    remove: Vec<Words>,
    /// Where its files are.
    place: PathBuf,
    /// A run to its end that is traced while all of them are alive.
    traced: Option<Words>,
}

/// With so many of ours and of the runtimes beside it.
pub fn find(
    machine: &Machine,
    count: usize,
    runtimes: &[Runtime],
    engines: &[Engine],
    bundles: &Bundles,
    facts: &mut Facts,
) {
    // youki hangs now and then, and one of a thousand would.
    let runtimes = runtimes.iter().filter(|runtime| runtime.who != "youki").map(|runtime| {
        let verb = |text: &str| words(&format!("{} {text}", runtime.command));
        Contestant {
            who: runtime.who.clone(),
            surroundings: runtime.surroundings.clone(),
            start: verb(&format!("run --detach --bundle {} @id", bundles.waiting.display())),
            list: verb("list"),
            remove: vec![verb("delete --force @id")],
            place: machine.work.join(format!("{}-state", runtime.who)),
            traced: (runtime.who == OURS)
                .then(|| verb(&format!("run --bundle {} @id", bundles.plain.display()))),
        }
    });
    let engine = engines.iter().filter(|engine| engine.who == engines::OURS).filter_map(|engine| {
        Some(Contestant {
            who: engine.who.to_owned(),
            surroundings: engine.surroundings.clone(),
            start: words(&engine.detached),
            list: words(&format!("{} ps", engines::ours(&machine.work).ok()?)),
            remove: engine.remove.clone(),
            place: machine.work.join("data/containers"),
            traced: None,
        })
    });
    for contestant in runtimes.chain(engine) {
        one(machine, &contestant, count, facts);
    }
}

fn one(machine: &Machine, contestant: &Contestant, count: usize, facts: &mut Facts) {
    let of = (SUBJECT, contestant.who.as_str());
    let named = |words: &Words, number: usize| -> Words {
        let id = format!("{}-alive-{number}", own_name());
        words.iter().map(|word| word.replace("@id", &id)).collect()
    };
    let (before, mut starts, mut failed) = (Census::take(&contestant.place), Vec::new(), 0);
    for number in 0..count {
        match contestant.surroundings.take(&[named(&contestant.start, number)], false) {
            Ok(sample) => starts.push(sample.milliseconds()),
            Err(why) => {
                failed += 1;
                facts.word(of, "failed", &why.to_string());
            }
        }
        if failed > 3 {
            break;
        }
    }
    let alive = starts.len();
    if alive >= 10 {
        // One start alone is more of the moment than of its number.
        let few = (alive / 50).max(5);
        let first = median(starts[..few].to_vec()).unwrap_or_default();
        let last = median(starts[alive - few..].to_vec()).unwrap_or_default();
        facts.number(of, "alive", alive as f64, "");
        facts.number(of, "first starts", first, "ms");
        facts.number(of, "last starts", last, "ms");
        facts.number(of, "last of first", last / first, "x");
        let lists = (0..5).filter_map(|_| {
            let list = std::slice::from_ref(&contestant.list);
            contestant.surroundings.take(list, false).ok().map(|sample| sample.milliseconds())
        });
        match median(lists.collect()) {
            Some(list) => facts.number(of, "list", list, "ms"),
            None => facts.word(of, "list", "failed"),
        }
        stays(contestant, &before, alive, facts);
        if let Some(run) = &contestant.traced {
            let what = format!("{}, run, {alive} others alive", contestant.who);
            waits::find(&contestant.surroundings, &what, run, (alive / 10, &machine.work), facts);
        }
    }
    for number in 0..alive + failed {
        for command in &contestant.remove {
            let _after_a_failure = contestant.surroundings.unmeasured(&[named(command, number)]);
        }
    }
    let left = Census::take(&contestant.place).more_than(&before);
    facts.word(of, "left after removal", left.as_deref().unwrap_or("nothing"));
}

/// What there is more than before, for each of them.
fn stays(contestant: &Contestant, before: &Census, alive: usize, facts: &mut Facts) {
    let of = (SUBJECT, contestant.who.as_str());
    let now = Census::take(&contestant.place);
    let each = |more: usize| more as f64 / alive as f64;
    let processes: Vec<u32> = now.processes.difference(&before.processes).copied().collect();
    let kilobytes: u64 =
        processes.iter().filter_map(|pid| memory(*pid)).map(|memory| memory.proportional).sum();
    facts.number(of, "processes outside for each", each(processes.len()), "x");
    facts.number(of, "their memory (PSS) for each", kilobytes as f64 / alive as f64, "kB");
    facts.number(of, "mounts outside for each", each(now.mounts.saturating_sub(before.mounts)), "x");
    facts.number(of, "cgroups for each", each(now.cgroups.saturating_sub(before.cgroups)), "x");
    facts.number(of, "files for each", each(now.files.saturating_sub(before.files)), "x");
}
