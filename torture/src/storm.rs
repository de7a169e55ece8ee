//! Starts, one after the other, while a name that they use is exchanged.

use crate::canary::SECRET;
use crate::swapper::Swapper;
use std::path::Path;
use testkit::{Host, Outcome};

/// How many starts are one script: as many as end in the time that a script may take, also where one of them hangs.
const AT_ONCE: u32 = 25;

/// How long one may take, in seconds: a path is tried for ten.
const HANGS: u32 = 25;

/// What is exchanged.
pub struct Exchanged<'a> {
    /// The directory that it is in, as the test reaches it.
    pub directory: &'a Path,
    /// Its name.
    pub name: &'a str,
    /// For how many others.
    pub others: usize,
}

/// What one start came to.
pub struct Turn {
    /// Its number.
    pub number: u32,
    /// Its exit code.
    pub code: i32,
    /// What it wrote.
    pub output: String,
    /// The beginning of what it complained of.
    pub complaint: String,
}

/// What all of them came to.
#[derive(Default)]
pub struct Tally {
    /// How many there were.
    pub starts: u32,
    /// How many ran.
    pub ran: u32,
    /// How many were refused.
    pub refused: u32,
    /// How many never ended.
    pub hung: u32,
    /// What got out.
    pub escapes: Vec<String>,
    /// What a refusal said.
    pub refusal: String,
    /// What was in the way of the race itself.
    pub broken: Option<String>,
}

impl Tally {
    /// Counts a start.
    fn count(&mut self, turn: &Turn) {
        self.starts += 1;
        match turn.code {
            0 => self.ran += 1,
            // timeout(1), of one that it has killed.
            124 | 137 => self.hung += 1,
            _ => {
                self.refused += 1;
                self.refusal.clone_from(&turn.complaint);
            }
        }
        if turn.output.contains(SECRET) || turn.complaint.contains(SECRET) {
            self.escapes.push(format!("start {}: the secret was read", turn.number));
        }
    }
}

/// `times` starts by the command `start`, in which `$turn` is the number of the start, beginning at `directory`. What `look` sees after
/// some of them has got out; with `one` the first that does is enough.
pub fn storm(
    host: &Host,
    exchanged: &Exchanged<'_>,
    (directory, start): (&str, &str),
    times: u32,
    one: bool,
    look: impl Fn(&[Turn]) -> Vec<String>,
) -> Tally {
    let mut tally = Tally::default();
    if !one {
        // It is the exchange alone that is refused later.
        let quiet = turns(&host.sh(&script(directory, start, 0, 1)));
        let refusal = quiet.first().filter(|turn| turn.code != 0).map(|turn| turn.complaint.clone());
        if let Some(refusal) = refusal {
            tally.broken = Some(format!("refused before anything is exchanged: {refusal}"));
            return tally;
        }
    }
    let swapper = Swapper::start(exchanged.directory, exchanged.name, exchanged.others);
    let (mut from, times) = (1, times + 1);
    while from < times && tally.escapes.is_empty() {
        let at_once = if one { AT_ONCE / 5 } else { AT_ONCE };
        let to = times.min(from + at_once);
        let turns = turns(&host.sh(&script(directory, start, from, to)));
        turns.iter().for_each(|turn| tally.count(turn));
        if turns.len() < (to - from) as usize {
            tally.hung += 1;
        }
        tally.escapes.extend(look(&turns));
        from = to;
    }
    drop(swapper);
    tally
}

/// One that hangs is killed. Descriptor 9 is a directory of the host. An archive has the secret anywhere: it is looked for.
fn script(directory: &str, start: &str, from: u32, to: u32) -> String {
    format!(
        r#"cd {directory}; exec 9</tmp/canary; turn={from}
while [ $turn -lt {to} ]; do
    test -e config.template && sed s/TURN/$turn/g config.template >config.json
    timeout -s KILL {HANGS} {start} >/tmp/race.out 2>/tmp/race.err </dev/null; code=$?
    printf '%s\t%s\t%s\t%s\n' $turn $code \
        "$(head -c 16000 /tmp/race.out | tr '\t\r\n' '   ') $(grep -ao '{SECRET}' /tmp/race.out)" "$(head -c 400 /tmp/race.err | tr '\t\r\n' '   ')"
    turn=$((turn + 1))
done"#
    )
}

fn turns(outcome: &Outcome) -> Vec<Turn> {
    let turn = |line: &str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        let (number, code) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let text = |field: Option<&str>| field.unwrap_or_default().trim_end().to_owned();
        Some(Turn { number, code, output: text(next()), complaint: text(next()) })
    };
    outcome.stdout.lines().filter_map(turn).collect()
}
