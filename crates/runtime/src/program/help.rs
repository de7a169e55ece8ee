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
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn shown(flags: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    flags.iter().filter(|flag| !flag.help.is_empty())
}

/// All long options.
fn long(flags: &'static [Flag]) -> String {
    shown(flags).map(|flag| format!("--{}", flag.names[0])).collect::<Vec<_>>().join(" ")
}

/// Options that take a value, as a pattern of bash.
fn valued(flags: impl Iterator<Item = &'static Flag>) -> String {
    let mut all: Vec<String> = flags
        .filter(|flag| flag.takes != Takes::Nothing)
        .flat_map(|flag| flag.names.iter().flat_map(|name| [format!("-{name}"), format!("--{name}")]))
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join("|")
}

/// The words that a command's arguments can be: fixed ones, and whether ids of containers too.
fn words(verb: &Verb) -> (&'static str, bool) {
    match (verb.name, verb.arguments) {
        (_, "SHELL") => ("bash zsh fish", false),
        (_, "add|remove ID FILE") => ("add remove", true),
        // The id is a new one.
        ("create" | "run" | "restore", _) => ("", false),
        (_, arguments) => ("", arguments.starts_with("ID")),
    }
}

fn verbs() -> String {
    VERBS.iter().map(|verb| verb.name).chain(["help"]).collect::<Vec<_>>().join(" ")
}

/// The options before the command are walked over: their values are no command, and `--root` says where ids are from.
fn bash() -> String {
    let all = VERBS.iter().flat_map(|verb| verb.flags);
    let mut text = format!(
        r#"_devoxx_runtime() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb= option= root= one words
    for one in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        if [[ -n $option ]]; then
            [[ $one == = ]] && continue
            [[ $option == *-root ]] && root=$one
            option=
            continue
        fi
        case $one in
        {global}) option=$one ;;
        =) option=$one ;;
        -*) ;;
        *) verb=$one; break ;;
        esac
    done
    [[ -n $option ]] && return
    case $verb:$before in
    ?*:{valued}) return ;;
    esac
    case $verb:$word in
    :-*) words='{options}' ;;
    :*) words='{verbs}' ;;
    help:*) words='{verbs}' ;;
"#,
        global = valued(GLOBAL.iter()),
        valued = valued(all).replace('|', "|?*:"),
        options = long(GLOBAL),
        verbs = verbs(),
    );
    for verb in VERBS {
        let name = verb.name;
        writeln!(text, "    {name}:-*) words='{} --help' ;;", long(verb.flags)).unwrap_or_default();
        let ids = format!(" $({NAME} ${{root:+--root \"$root\"}} list -q 2>/dev/null)");
        let (fixed, takes_ids) = words(verb);
        let ids = if takes_ids { &ids } else { "" };
        writeln!(text, "    {name}:*) words=\"{fixed}{ids}\" ;;").unwrap_or_default();
    }
    text += "    *) return ;;\n    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n";
    writeln!(text, "complete -o default -F _devoxx_runtime {NAME}").unwrap_or_default();
    text
}

fn zsh() -> String {
    let mut text = format!("#compdef {NAME}\nlocal -a verbs\nverbs=(\n");
    for verb in VERBS {
        writeln!(text, "    '{}:{}'", verb.name, verb.help).unwrap_or_default();
    }
    writeln!(
        text,
        ")\nif (( CURRENT == 2 )); then\n    if [[ $words[2] == -* ]]; then\n        compadd -- {}\n    else\n        \
         _describe command verbs\n    fi\n    return\nfi\ncase $words[2]:$words[CURRENT] in",
        long(GLOBAL)
    )
    .unwrap_or_default();
    for verb in VERBS {
        writeln!(text, "    {}:-*) compadd -- {} --help ;;", verb.name, long(verb.flags)).unwrap_or_default();
        let (fixed, takes_ids) = words(verb);
        let ids = if takes_ids { format!("$({NAME} list -q 2>/dev/null)") } else { String::new() };
        writeln!(text, "    {}:*) compadd -- {fixed} {ids}; _files ;;", verb.name).unwrap_or_default();
    }
    text += "    *) _files ;;\nesac\n";
    text
}

fn fish() -> String {
    let quoted = |text: &str| text.replace('\'', "\\'");
    let option = |flag: &Flag| {
        let short = flag.names.iter().filter(|name| name.len() == 1).map(|name| format!(" -s {name}"));
        let takes = if flag.takes == Takes::Nothing { "" } else { " -r" };
        format!("-l {}{}{takes} -d '{}'", flag.names[0], short.collect::<String>(), quoted(flag.help))
    };
    let mut text = String::new();
    for flag in shown(GLOBAL) {
        writeln!(text, "complete -c {NAME} -n __fish_use_subcommand {}", option(flag)).unwrap_or_default();
    }
    for verb in VERBS {
        let (name, seen) = (verb.name, format!("'__fish_seen_subcommand_from {}'", verb.name));
        writeln!(text, "complete -c {NAME} -f -n __fish_use_subcommand -a {name} -d '{}'", quoted(verb.help))
            .unwrap_or_default();
        for flag in shown(verb.flags) {
            writeln!(text, "complete -c {NAME} -n {seen} {}", option(flag)).unwrap_or_default();
        }
        let (fixed, takes_ids) = words(verb);
        let ids = if takes_ids { format!("({NAME} list -q 2>/dev/null)") } else { String::new() };
        if !fixed.is_empty() || takes_ids {
            writeln!(text, "complete -c {NAME} -n {seen} -a '{}'", format!("{fixed} {ids}").trim())
                .unwrap_or_default();
        }
    }
    text
}

/// Text as roff has it: a minus that is one, and no line that is a request.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    roff(&format!("{first}{}.", letters.as_str()))
}

fn head(name: &str, help: &str) -> String {
    format!(
        ".TH {} 8 \"\" \"{NAME} {}\" \"System administration\"\n.SH NAME\n{} \\- {}\n",
        roff(&name.to_uppercase()),
        super::VERSION,
        roff(name),
        roff(help)
    )
}

fn man_options(flags: &'static [Flag]) -> String {
    let mut text = ".SH OPTIONS\n".to_owned();
    for flag in shown(flags) {
        let dashed =
            |name: &&str| format!("\\fB{}{}\\fR", if name.len() == 1 { "\\-" } else { "\\-\\-" }, roff(name));
        let mut names = flag.names.iter().map(dashed).collect::<Vec<_>>().join(", ");
        if let Takes::Value(value) = flag.takes {
            write!(names, " \\fI{}\\fR", roff(value)).unwrap_or_default();
        }
        writeln!(text, ".TP\n{names}\n{}", sentence(flag.help)).unwrap_or_default();
    }
    text + ".TP\n\\fB\\-\\-help\\fR, \\fB\\-h\\fR\nPrint help.\n"
}

/// What the page of the program says besides what the tables say.
const ABOUT: &str = ".SH DESCRIPTION
\\fBdevoxx\\-runtime\\fR makes a container of a bundle: a directory with a \\fIconfig.json\\fR, as the runtime specification
of the Open Container Initiative describes it, and a root directory. Engines call it; it takes the command lines of
\\fBrunc\\fR(8) and \\fBcrun\\fR(1). \\fBspec\\fR writes a first \\fIconfig.json\\fR.
.PP
Options begin with one dash or two, and have their value behind \\fB=\\fR or as the next word. They may stand before or
behind the arguments of a command, but for \\fBexec\\fR and \\fBps\\fR, where what follows the id belongs to another program.
\\fB\\-\\-\\fR ends them.
";

const STATUS: &str = ".SH EXIT STATUS
\\fBrun\\fR, \\fBexec\\fR and \\fBrestore\\fR in the foreground: that of the process, or 128 and the number of the signal that
ended it. Else 0, or 1 for a failure, 255 for one of \\fBexec\\fR. The failure is one record on standard error, and
one in the log that \\fB\\-\\-log\\fR names.
.SH FILES
.TP
\\fI/run/devoxx\\-runtime\\fR, \\fI$XDG_RUNTIME_DIR/devoxx\\-runtime\\fR
The state of containers, of root and of an ordinary user.
.SH EXAMPLES
.EX
mkdir \\-p box/rootfs && cd box
# fill rootfs, then:
devoxx\\-runtime spec
devoxx\\-runtime run box
.EE
";

/// The man pages: names of files in section 8, and their text (man-pages(7)).
pub fn man() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let mut text = head(NAME, "run containers as the Open Container Initiative specifies them");
    let usage_of = |line: &str| format!(".SH SYNOPSIS\n{}\n", roff(line));
    text += &usage_of(&format!("{NAME} [OPTION...] COMMAND [OPTION...] [ARGUMENT...]"));
    text += ABOUT;
    text += ".SH COMMANDS\n";
    for verb in VERBS {
        let name = roff(&format!("{NAME}-{}", verb.name));
        writeln!(text, ".TP\n\\fB{name}\\fR(8)\n{}", sentence(verb.help)).unwrap_or_default();
    }
    text += &man_options(GLOBAL);
    text += STATUS;
    pages.push((format!("{NAME}.8"), text));
    for verb in VERBS {
        let name = format!("{NAME}-{}", verb.name);
        let mut text = head(&name, verb.help);
        text += &usage_of(&usage(verb));
        text += &man_options(verb.flags);
        text += ".SH SEE ALSO\n\\fBdevoxx\\-runtime\\fR(8)\n";
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
