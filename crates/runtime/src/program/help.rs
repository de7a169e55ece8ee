//! Help, completion and man pages, from the table of commands.

use super::arguments::{Flag, Takes, Verb};
use super::verbs::{GLOBAL, VERBS};
use std::fmt::Write as _;

const NAME: &str = "devoxx-runtime";

fn names(flag: &Flag) -> String {
    let dashed = |name: &&str| if name.len() == 1 { format!("-{name}") } else { format!("--{name}") };
    let all: Vec<String> = flag.names.iter().map(dashed).collect();
    match flag.takes {
        Takes::Nothing => all.join(", "),
        Takes::Value(value) => format!("{} {value}", all.join(", ")),
    }
}

fn options(text: &mut String, flags: &[Flag]) {
    for flag in flags.iter().filter(|flag| !flag.help.is_empty()) {
        writeln!(text, "  {:<32} {}", names(flag), flag.help).unwrap_or_default();
    }
    writeln!(text, "  {:<32} print this help", "--help, -h").unwrap_or_default();
}

/// The help of the program, or of one command.
pub fn text(of: Option<&str>) -> String {
    let mut text = String::new();
    let Some(verb) = of.and_then(|name| VERBS.iter().find(|verb| verb.name == name)) else {
        text += "devoxx-runtime runs containers as the Open Container Initiative specifies them.\n\n";
        text += "Usage: devoxx-runtime [OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n";
        for verb in VERBS {
            writeln!(text, "  {:<12} {}", verb.name, verb.help).unwrap_or_default();
        }
        text += "\nOptions:\n";
        options(&mut text, GLOBAL);
        return text;
    };
    writeln!(text, "{}: {}\n\nUsage: {}\n\nOptions:", verb.name, verb.help, usage(verb)).unwrap_or_default();
    options(&mut text, verb.flags);
    text
}

fn usage(verb: &Verb) -> String {
    format!("{NAME} {} [OPTION...] {}", verb.name, verb.arguments).trim_end().to_owned()
}

/// A script for a shell that completes commands, options and the ids of containers.
pub fn completion(shell: &str) -> Option<String> {
    let verbs: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let flags = |flags: &[Flag]| -> String {
        let long =
            flags.iter().filter(|flag| !flag.help.is_empty()).map(|flag| format!("--{}", flag.names[0]));
        long.collect::<Vec<_>>().join(" ")
    };
    let ids = format!("{NAME} list -q 2>/dev/null");
    let mut text = String::new();
    match shell {
        "bash" => {
            text += "_devoxx_runtime() {\n    local word=${COMP_WORDS[COMP_CWORD]} verb= one\n";
            text += "    for one in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do [[ $one == -* ]] || { verb=$one; break; }; done\n";
            text += "    case $verb:$word in\n";
            writeln!(text, "    :-*) COMPREPLY=($(compgen -W '{}' -- \"$word\")) ;;", flags(GLOBAL))
                .unwrap_or_default();
            writeln!(text, "    :*) COMPREPLY=($(compgen -W '{}' -- \"$word\")) ;;", verbs.join(" "))
                .unwrap_or_default();
            for verb in VERBS {
                writeln!(
                    text,
                    "    {}:-*) COMPREPLY=($(compgen -W '{}' -- \"$word\")) ;;",
                    verb.name,
                    flags(verb.flags)
                )
                .unwrap_or_default();
            }
            writeln!(text, "    *) COMPREPLY=($(compgen -W \"$({ids})\" -- \"$word\")) ;;\n    esac\n}}")
                .unwrap_or_default();
            writeln!(text, "complete -o default -F _devoxx_runtime {NAME}").unwrap_or_default();
        }
        "zsh" => {
            writeln!(text, "#compdef {NAME}\nlocal -a verbs\nverbs=(").unwrap_or_default();
            for verb in VERBS {
                writeln!(text, "    '{}:{}'", verb.name, verb.help).unwrap_or_default();
            }
            text += ")\nif (( CURRENT == 2 )); then\n    _describe command verbs\n    return\nfi\ncase $words[2] in\n";
            for verb in VERBS {
                writeln!(text, "    {}) compadd -- {} ;;", verb.name, flags(verb.flags)).unwrap_or_default();
            }
            writeln!(text, "esac\ncompadd -- $({ids})").unwrap_or_default();
        }
        "fish" => {
            writeln!(text, "complete -c {NAME} -f").unwrap_or_default();
            for verb in VERBS {
                writeln!(
                    text,
                    "complete -c {NAME} -n __fish_use_subcommand -a {} -d '{}'",
                    verb.name, verb.help
                )
                .unwrap_or_default();
                for flag in verb.flags.iter().filter(|flag| !flag.help.is_empty()) {
                    writeln!(
                        text,
                        "complete -c {NAME} -n '__fish_seen_subcommand_from {}' -l {} -d '{}'",
                        verb.name,
                        flag.names[0],
                        flag.help.replace('\'', "\\'")
                    )
                    .unwrap_or_default();
                }
            }
            writeln!(text, "complete -c {NAME} -n 'not __fish_use_subcommand' -a '({ids})'")
                .unwrap_or_default();
        }
        _ => return None,
    }
    Some(text)
}

/// The man pages: names of files in section 8, and their text (man-pages(7)).
pub fn man() -> Vec<(String, String)> {
    let option = |flag: &Flag| format!(".TP\n.B {}\n{}.\n", names(flag).replace('-', "\\-"), flag.help);
    let head = |name: &str, help: &str| {
        format!(".TH {} 8\n.SH NAME\n{} \\- {help}\n", name.to_uppercase(), name.replace('-', "\\-"))
    };
    let mut pages = Vec::new();
    let mut text = head(NAME, "runs containers as the Open Container Initiative specifies them");
    text +=
        ".SH SYNOPSIS\n.B devoxx\\-runtime\n[OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n.SH COMMANDS\n";
    for verb in VERBS {
        write!(text, ".TP\n.BR {NAME}-{} (8)\n{}.\n", verb.name, verb.help).unwrap_or_default();
    }
    text += ".SH OPTIONS\n";
    text.extend(GLOBAL.iter().filter(|flag| !flag.help.is_empty()).map(option));
    pages.push((format!("{NAME}.8"), text));
    for verb in VERBS {
        let name = format!("{NAME}-{}", verb.name);
        let mut text = head(&name, verb.help);
        write!(text, ".SH SYNOPSIS\n{}\n.SH OPTIONS\n", usage(verb).replace('-', "\\-")).unwrap_or_default();
        text.extend(verb.flags.iter().filter(|flag| !flag.help.is_empty()).map(option));
        text += ".SH SEE ALSO\n.BR devoxx-runtime (8)\n";
        pages.push((format!("{name}.8"), text));
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_everywhere() {
        for verb in VERBS {
            for shell in ["bash", "zsh", "fish"] {
                let script = completion(shell).unwrap();
                assert!(script.contains(verb.name), "{} in {shell}", verb.name);
            }
            assert!(man().iter().any(|(name, _)| *name == format!("devoxx-runtime-{}.8", verb.name)));
            assert!(text(None).contains(verb.help));
            assert!(text(Some(verb.name)).contains("Usage:"));
        }
        assert_eq!(completion("csh"), None);
    }
}
