//! `container VERB`: docker's second name of each command for containers.

use std::ffi::OsString;

/// The commands that are there under `container` too, with what they are without it.
const CONTAINER: [(&str, &[&str]); 29] = [
    ("attach", &["attach"]),
    ("commit", &["commit"]),
    ("cp", &["cp"]),
    ("create", &["create"]),
    ("diff", &["diff"]),
    ("exec", &["exec"]),
    ("export", &["export"]),
    ("inspect", &["inspect", "--type=container"]),
    ("kill", &["kill"]),
    ("list", &["ps"]),
    ("logs", &["logs"]),
    ("ls", &["ps"]),
    ("pause", &["pause"]),
    ("port", &["port"]),
    ("prune", &["container-prune"]),
    ("ps", &["ps"]),
    ("rename", &["rename"]),
    ("restart", &["restart"]),
    ("rm", &["rm"]),
    ("run", &["run"]),
    ("start", &["start"]),
    ("stats", &["stats"]),
    ("stop", &["stop"]),
    ("top", &["top"]),
    ("unpause", &["unpause"]),
    ("update", &["update"]),
    ("wait", &["wait"]),
    ("checkpoint", &["checkpoint"]),
    ("restore", &["restore"]),
];

/// The arguments with `container VERB` as the command that it is; an error is the help of the group, or a mistake in it.
pub fn flattened(arguments: Vec<OsString>, whole: &clap::Command) -> Result<Vec<OsString>, clap::Error> {
    if arguments.get(1).is_none_or(|word| word != "container") {
        return Ok(arguments);
    }
    let known = |name: &str| whole.find_subcommand(name);
    let verb = arguments.get(2).and_then(|word| word.to_str());
    let found = CONTAINER.iter().find(|(name, flat)| Some(*name) == verb && known(flat[0]).is_some());
    if let Some((_, flat)) = found {
        let words = flat.iter().map(OsString::from);
        return Ok(arguments[..1]
            .iter()
            .cloned()
            .chain(words)
            .chain(arguments[3..].iter().cloned())
            .collect());
    }
    let verbs = CONTAINER.iter().filter_map(|(name, flat)| Some(known(flat[0])?.clone().name(*name)));
    let group = clap::Command::new("devoxx-container container")
        .about("Manage containers")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(verbs);
    // None of its commands is among the words, so this is its help, or what is wrong with them.
    let words =
        std::iter::once(OsString::from("devoxx-container container")).chain(arguments[2..].iter().cloned());
    group.try_get_matches_from(words).map(|_| arguments)
}
