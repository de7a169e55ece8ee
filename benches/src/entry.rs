//! A work and who does it: the commands that are measured, and those around them. `@id` in them is a fresh id each time, `@pid` the
//! process that was asked for after the set-up.

use crate::sample::{Failure, Sample};
use crate::surroundings::Surroundings;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A command, word by word.
pub type Words = Vec<String>;

/// What is done, by whom, and what came of it.
#[derive(Default)]
pub struct Entry {
    /// What is done.
    pub work: String,
    /// By whom.
    pub who: String,
    /// Whether `timed` are started at once, and not one after the other.
    pub at_once: bool,
    /// Only every so manyth round: what takes seconds. None: each.
    pub seldom: Option<usize>,
    /// Where all of it is run.
    pub surroundings: Surroundings,
    /// Once, before everything.
    pub set_up: Vec<Words>,
    /// Prints a JSON object with the `pid` that `timed` is to know.
    pub target: Option<Words>,
    /// What is measured.
    pub timed: Vec<Words>,
    /// After each, not measured.
    pub after: Vec<Words>,
    /// Once, after everything.
    pub tear_down: Vec<Words>,
    /// Why it does not take part.
    pub out: Option<String>,
    /// What came of it.
    pub samples: Vec<Result<Sample, Failure>>,
}

impl Entry {
    /// With what is measured alone.
    pub fn new(work: &str, who: &str, timed: &[String]) -> Self {
        let timed = timed.iter().map(|text| words(text)).collect();
        Self { work: work.to_owned(), who: who.to_owned(), timed, ..Self::default() }
    }

    /// One command many times, all at once.
    pub fn many(work: &str, who: &str, command: &str, times: usize) -> Self {
        Self { at_once: true, timed: vec![words(command); times], ..Self::new(work, who, &[]) }
    }

    /// What it needs before the first round.
    pub fn set_up(&mut self) {
        self.out = self.surroundings.unmeasured(&self.set_up).and_then(|()| self.aim()).err();
    }

    fn aim(&mut self) -> Result<(), String> {
        let Some(target) = &self.target else { return Ok(()) };
        let state: serde_json::Value =
            serde_json::from_str(&printed(target)?).map_err(|error| error.to_string())?;
        let pid = state["pid"].to_string();
        for word in self.timed.iter_mut().flatten() {
            *word = word.replace("@pid", &pid);
        }
        Ok(())
    }

    /// Whether it is its turn.
    pub fn has_turn(&self, round: usize) -> bool {
        self.out.is_none() && round.is_multiple_of(self.seldom.unwrap_or(1))
    }

    /// Does its work once.
    pub fn run(&self, round: usize) -> Result<Sample, Failure> {
        let with_id = |list: &[Words]| -> Vec<Words> {
            let id = |number: usize| format!("{}-{round}-{number}", own_name());
            let filled = |(number, command): (usize, &Words)| {
                let own = if self.at_once { id(number) } else { id(0) };
                command.iter().map(|word| word.replace("@id", &own)).collect()
            };
            list.iter().enumerate().map(filled).collect()
        };
        let sample = self.surroundings.take(&with_id(&self.timed), self.at_once);
        for command in with_id(&self.after) {
            // After a success there may be nothing to remove.
            let _left = self.surroundings.unmeasured(&[command]);
        }
        sample
    }

    /// What it leaves after the last round.
    pub fn tear_down(&self) {
        // The namespaces of this process end with it, and what is in them.
        let _left = self.surroundings.unmeasured(&self.tear_down);
    }
}

/// What the ids of containers begin with, and so their cgroups: another one for each bench on a machine. To be asked for the first time
/// before there is a PID namespace.
pub fn own_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| format!("devoxx-bench-{}", std::process::id()));
    &NAME
}

/// A command from its words.
pub fn words(text: &str) -> Words {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A command to be started. Words before the program that have a `=` are its environment, as in a shell: env(1) as a launcher would be
/// measured along, and takes a millisecond where the C library of every program asks the processor what it is.
pub fn command(words: &[String]) -> Result<Command, String> {
    let is_variable = |word: &&String| !word.starts_with('/') && word.contains('=');
    let variables: Vec<&String> = words.iter().take_while(is_variable).collect();
    let (program, arguments) = words[variables.len()..].split_first().ok_or("no command")?;
    let mut command = Command::new(program);
    command.envs(variables.into_iter().filter_map(|word| word.split_once('='))).args(arguments);
    Ok(command)
}

/// What a command prints; it is not measured.
pub fn printed(words: &[String]) -> Result<String, String> {
    let mut command = command(words)?;
    let program = command.get_program().display().to_string();
    let said = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    if !said.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&said.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_stands_before_its_program() {
        fn check(text: &str, variables: &[&str], program: &str, arguments: &[&str]) {
            let command = command(&words(text)).expect("a command");
            let set: Vec<String> = command
                .get_envs()
                .filter_map(|(name, value)| Some(format!("{}={}", name.display(), value?.display())))
                .collect();
            let given: Vec<&std::ffi::OsStr> = command.get_args().collect();
            assert_eq!(
                (set, command.get_program()),
                (variables.iter().map(|one| (*one).to_owned()).collect(), program.as_ref())
            );
            assert_eq!(given, arguments);
        }
        check("/bin/true", &[], "/bin/true", &[]);
        check("A=1 B=/x=y /bin/run --env C=3", &["A=1", "B=/x=y"], "/bin/run", &["--env", "C=3"]);
        assert!(command(&words("A=1")).is_err());
    }
}
