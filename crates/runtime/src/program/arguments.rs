//! A command line as runc reads it (Go's `flag`): `-flag` and `--flag` alike, `--flag=value` and `--flag value`, options
//! before and after arguments but for `exec` and `ps`. One table has every word; help, completion and man pages are made
//! from it.

use super::verbs::{GLOBAL, VERBS};

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing, or `=true` and `=false`.
    Nothing,
    /// A value that is called so in the help.
    Value(&'static str),
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its names without dashes; the first is the one that it is known by.
    pub names: &'static [&'static str],
    /// What it takes.
    pub takes: Takes,
    /// What it does; empty for one that is only accepted.
    pub help: &'static str,
}

/// How many arguments a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Just so many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// From the first to the second.
    Between(usize, usize),
}

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// Its name.
    pub name: &'static str,
    /// The words behind it, as the help has them.
    pub arguments: &'static str,
    /// How many there are.
    pub count: Count,
    /// Its options.
    pub flags: &'static [Flag],
    /// What it does.
    pub help: &'static str,
    /// Whether everything behind the first argument belongs to somebody else.
    pub passes_on: bool,
}

/// A part of a command line, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    flags: Vec<(&'static str, String)>,
    /// The arguments.
    pub arguments: Vec<String>,
}

impl Words {
    /// The value of an option; of several the last.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The values of an option that may come many times.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether an option without a value is given.
    pub fn is_set(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }
}

/// A command line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Help is asked for: of the program, or of a command.
    Help(Option<&'static str>),
    /// The version is asked for.
    Version,
    /// A command.
    Command {
        /// Options before it.
        global: Words,
        /// Its name.
        verb: &'static str,
        /// What stands behind it.
        words: Words,
    },
}

/// A mistake in a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Options before the command, as far as they were read: they say where the mistake is told.
    pub global: Words,
    /// The command that it is in.
    pub verb: Option<&'static str>,
    /// What is wrong.
    pub text: String,
}

/// Reads a command line, without the program's name.
pub fn parse(args: &[String]) -> Result<Invocation, Mistake> {
    let (global, used) =
        flags(GLOBAL, args, true).map_err(|text| Mistake { global: Words::default(), verb: None, text })?;
    let Some(name) = args.get(used).filter(|_| !global.is_set("help") && !global.is_set("version")) else {
        return Ok(if global.is_set("version") { Invocation::Version } else { Invocation::Help(None) });
    };
    if matches!(name.as_str(), "help" | "h") {
        return match args.get(used + 1) {
            None => Ok(Invocation::Help(None)),
            Some(of) => find(of, &global).map(|verb| Invocation::Help(Some(verb.name))),
        };
    }
    let verb = find(name, &global)?;
    let wrong = |text: String| Mistake { global: global.clone(), verb: Some(verb.name), text };
    let rest = &args[used + 1..];
    let (mut words, used) = flags(verb.flags, rest, verb.passes_on).map_err(wrong)?;
    if words.is_set("help") {
        return Ok(Invocation::Help(Some(verb.name)));
    }
    words.arguments.extend_from_slice(&rest[used..]);
    check_count(verb, &words).map_err(wrong)?;
    Ok(Invocation::Command { global, verb: verb.name, words })
}

fn find(name: &str, global: &Words) -> Result<&'static Verb, Mistake> {
    VERBS.iter().find(|verb| verb.name == name).ok_or_else(|| Mistake {
        global: global.clone(),
        verb: None,
        text: format!("no such command: {name:?}"),
    })
}

fn check_count(verb: &Verb, words: &Words) -> Result<(), String> {
    let (name, given) = (verb.name, words.arguments.len());
    // The command comes from a file then.
    let count = match verb.count {
        Count::AtLeast(2) if words.value("process").is_some() => Count::AtLeast(1),
        other => other,
    };
    match count {
        Count::Exactly(wanted) if given != wanted => {
            Err(format!("{name:?} requires exactly {wanted} argument(s)"))
        }
        Count::AtLeast(wanted) | Count::Between(wanted, _) if given < wanted => {
            Err(format!("{name:?} requires a minimum of {wanted} argument(s)"))
        }
        Count::Between(_, wanted) if given > wanted => {
            Err(format!("{name:?} requires a maximum of {wanted} argument(s)"))
        }
        _ => Ok(()),
    }
}

/// The option that every command has.
const HELP: Flag = Flag { names: &["help", "h"], takes: Takes::Nothing, help: "print this help" };

/// Reads options up to the first argument, or with those after arguments too; how many words were used.
fn flags(known: &'static [Flag], args: &[String], stop: bool) -> Result<(Words, usize), String> {
    let mut words = Words::default();
    let mut index = 0;
    while let Some(word) = args.get(index) {
        if word == "--" {
            index += 1;
            break;
        }
        let dashed = word.len() > 1 && word.starts_with('-');
        if !dashed {
            if stop {
                break;
            }
            words.arguments.push(word.clone());
            index += 1;
            continue;
        }
        let bare = word.strip_prefix("--").unwrap_or(&word[1..]);
        let (name, given) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (bare, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: {word}"));
        }
        let flag = known
            .iter()
            .chain([&HELP])
            .find(|flag| flag.names.contains(&name))
            .ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
        index += 1;
        let value = match (flag.takes, given) {
            (Takes::Nothing, None) => "true".to_owned(),
            (Takes::Nothing, Some(value)) => match value.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => "true".to_owned(),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => "false".to_owned(),
                _ => return Err(format!("invalid boolean value {value:?} for -{name}")),
            },
            (Takes::Value(_), Some(value)) => value,
            (Takes::Value(_), None) => {
                let value = args.get(index).ok_or_else(|| format!("flag needs an argument: -{name}"))?;
                index += 1;
                value.clone()
            }
        };
        words.flags.push((flag.names[0], value));
    }
    Ok((words, index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(line: &str) -> String {
        let args: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        match parse(&args) {
            Ok(Invocation::Help(of)) => format!("help {}", of.unwrap_or("program")),
            Ok(Invocation::Version) => "version".to_owned(),
            Ok(Invocation::Command { global, verb, words }) => {
                let flags = |words: &Words| {
                    words.flags.iter().map(|(name, value)| format!("{name}={value} ")).collect::<String>()
                };
                format!("{}{verb} {}[{}]", flags(&global), flags(&words), words.arguments.join(" "))
            }
            Err(mistake) => format!("{}: {}", mistake.verb.unwrap_or("program"), mistake.text),
        }
    }

    #[test]
    fn lines_as_runc_reads_them() {
        fn check(line: &str, expected: &str) {
            assert_eq!(shown(line), expected, "{line}");
        }
        check("", "help program");
        check("--help", "help program");
        check("help create", "help create");
        check("create --help", "help create");
        check("checkpoint -h", "help checkpoint");
        check("--version", "version");
        check("-v", "version");
        check("state box", "state [box]");
        check("--root /r --log=/l state box", "root=/r log=/l state [box]");
        check("delete box --force", "delete force=true [box]");
        check("delete -force=false box", "delete force=false [box]");
        check("delete --force=perhaps box", "delete: invalid boolean value \"perhaps\" for -force");
        check("restore -no-subreaper --bundle b box", "restore no-subreaper=true bundle=b [box]");
        check("create -b b box --pid-file", "create: flag needs an argument: -pid-file");
        check("restore --lsm-mount-context", "restore: flag needs an argument: -lsm-mount-context");
        check("state --no-such box", "state: flag provided but not defined: -no-such");
        check("state", "state: \"state\" requires exactly 1 argument(s)");
        check("state a b", "state: \"state\" requires exactly 1 argument(s)");
        check("exec -t box ls -l --color", "exec tty=true [box ls -l --color]");
        check("exec box -- ls", "exec [box -- ls]");
        check("exec --process p box", "exec process=p [box]");
        check("exec box", "exec: \"exec\" requires a minimum of 2 argument(s)");
        check("ps box -ef", "ps [box -ef]");
        check("kill -a box 9", "kill all=true [box 9]");
        check("kill box 9 extra", "kill: \"kill\" requires a maximum of 2 argument(s)");
        check("delete -- -x", "delete [-x]");
        check("-V", "version");
        check(
            "-log /l -log-format=json -debug=false state box",
            "log=/l log-format=json debug=false state [box]",
        );
        check("--rootless true state box", "rootless=true state [box]");
        check("--root= state box", "root= state [box]");
        check("--debug", "help program");
        check("--version=false", "help program");
        check("help help", "program: no such command: \"help\"");
        check("h kill", "help kill");
        check("state box -h", "help state");
        check("exec box cmd --help", "exec [box cmd --help]");
        check("exec --help box", "help exec");
        check("state ---x", "state: bad flag syntax: ---x");
        check("state --=x box", "state: bad flag syntax: --=x");
        check("state -=x box", "state: bad flag syntax: -=x");
        check("kill box -9", "kill: flag provided but not defined: -9");
        check("kill -- box -9", "kill [box -9]");
        check("delete - --force", "delete force=true [-]");
        check("run -d=1 --keep=0 box", "run detach=true keep=false [box]");
        check("create --pid-file --bundle b", "create pid-file=--bundle [b]");
        check(
            "checkpoint --leave-running --leave-running box",
            "checkpoint leave-running=true leave-running=true [box]",
        );
        check(
            "restore --parent-path ../p -no-subreaper box",
            "restore parent-path=../p no-subreaper=true [box]",
        );
        check(
            "exec -e A=1 --env=B=2=3 -u 1:2 -g 3 -g 4 -c CAP_KILL box c",
            "exec env=A=1 env=B=2=3 user=1:2 additional-gids=3 additional-gids=4 cap=CAP_KILL [box c]",
        );
        check("exec --tty=false box c", "exec tty=false [box c]");
        check("exec --tty false box", "exec tty=true [false box]");
        check("exec -td box c", "exec: flag provided but not defined: -td");
        check("exec -- box c", "exec [box c]");
        check("ps --format json box", "ps format=json [box]");
        check("ps box --format json", "ps [box --format json]");
        check("ps", "ps: \"ps\" requires a minimum of 1 argument(s)");
        check("kill", "kill: \"kill\" requires a minimum of 1 argument(s)");
        check("list box", "list: \"list\" requires exactly 0 argument(s)");
        check("update --memory -1 box", "update memory=-1 [box]");
        check("update box --resources -", "update resources=- [box]");
        check("mounts add box file", "mounts [add box file]");
        check("mounts add box", "mounts: \"mounts\" requires exactly 3 argument(s)");
        check("spec -b d --rootless -f x", "spec bundle=d rootless=true file=x []");
        check("events box --stats --interval=500ms", "events stats=true interval=500ms [box]");
        check("fly", "program: no such command: \"fly\"");
        check("-", "program: no such command: \"-\"");
    }

    #[test]
    fn every_option_by_every_name() {
        for verb in VERBS {
            for flag in verb.flags {
                for name in flag.names {
                    for dashes in ["-", "--"] {
                        let known = flag.names[0];
                        let (value, words) = match flag.takes {
                            Takes::Nothing => ("true", vec![format!("{dashes}{name}")]),
                            Takes::Value(_) => ("v", vec![format!("{dashes}{name}"), "v".to_owned()]),
                        };
                        let (read, used) = flags(verb.flags, &words, true).expect("an option of the table");
                        assert_eq!(
                            (read.value(known), used),
                            (Some(value), words.len()),
                            "{} {name}",
                            verb.name
                        );
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(args in proptest::collection::vec("(?s)-{0,3}[a-z=]{0,8}.{0,3}", 0..6)) {
            let _answer = parse(&args);
        }
    }
}
