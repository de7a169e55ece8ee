//! The examples that `--help` shows: every command has two, and every one of them is understood by this program.

use crate::{Arguments, all_commands};
use clap::{Command, CommandFactory};

/// The words of one command of a line for a shell: up to what it is piped or redirected to.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => words.extend(word.take()),
            '|' | '>' | '<' | ';' | ')' => break,
            '&' => break,
            '\'' => word.get_or_insert_default().extend(letters.by_ref().take_while(|one| *one != '\'')),
            '"' => word.get_or_insert_default().extend(letters.by_ref().take_while(|one| *one != '"')),
            '\\' => word.get_or_insert_default().extend(letters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// The examples of a help text, line by line.
fn examples(command: &Command) -> Vec<String> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let Some((_, after)) = text.split_once("Examples:\n") else { return Vec::new() };
    after.lines().take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

fn check(command: &Command, path: &str, wrong: &mut Vec<String>) {
    let examples = examples(command);
    let own = examples.iter().filter(|line| line.starts_with("devoxx-container ")).count();
    if own < 2 {
        wrong.push(format!("{path}: {own} examples"));
    }
    for line in &examples {
        let mut rest = line.as_str();
        // Also one behind a pipe.
        while let Some(at) = rest.find("devoxx-container ") {
            let words = words(&rest[at..]);
            if let Err(error) = Arguments::command().try_get_matches_from(&words) {
                wrong.push(format!("{path}: {line}\n    {}", error.to_string().replace('\n', "\n    ")));
            }
            rest = &rest[at + "devoxx-container ".len()..];
        }
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        check(inner, &format!("{path} {}", inner.get_name()), wrong);
    }
}

#[test]
fn every_command_has_two_that_are_understood() {
    let mut wrong = Vec::new();
    check(&all_commands(), "devoxx-container", &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn words_of_a_shell() {
    let check = |line: &str, expected: &[&str]| assert_eq!(words(line), expected, "{line}");
    check("a b  c", &["a", "b", "c"]);
    check("a 'b c' \"d e\"f", &["a", "b c", "d ef"]);
    check("a 'x|y' | b", &["a", "x|y"]);
    check("a b >c", &["a", "b"]);
    check("a '' \\'", &["a", "", "'"]);
    check("a b) = 0", &["a", "b"]);
}
