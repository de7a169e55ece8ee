//! What a shell offers after Tab, and the man pages: both from the commands as they are.

use clap::{Arg, Command};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use engine::{Error, Kind, Result};
use std::path::{Path, PathBuf};
use sys::called;

/// The variable by which the script of a shell asks this program.
const VARIABLE: &str = "COMPLETE";

/// Print what a shell needs to complete commands, options and names
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container completion bash >/etc/bash_completion.d/devoxx-container\n  source <(devoxx-container completion bash)\n  devoxx-container completion fish >~/.config/fish/completions/devoxx-container.fish"
)]
pub struct Completion {
    /// bash, zsh or fish
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Write the man pages into a directory
#[derive(Debug, clap::Args)]
pub struct Manual {
    /// The directory
    directory: PathBuf,
}

/// Answers a shell, if it is one that asks; the process ends then.
pub fn answer(command: fn() -> Command) {
    CompleteEnv::with_factory(move || with_names(command())).var(VARIABLE).complete();
}

/// Arguments that are names offer those that there are, also in groups.
fn with_names(command: Command) -> Command {
    command.mut_args(|arg| named(arg, objects)).mut_subcommands(|group| {
        // In a group, `inspect` looks at things of one kind.
        let looked_at: Offer = match group.get_name() {
            "container" => containers,
            "image" => images,
            "volume" => volumes,
            "network" => networks,
            _ => objects,
        };
        group
            .mut_args(move |arg| named(arg, looked_at))
            .mut_subcommands(|verb| without_aliases(verb).mut_args(move |arg| named(arg, looked_at)))
    })
}

/// Of several names of a command, the first alone is offered; the others are understood.
fn without_aliases(verb: Command) -> Command {
    // Names of commands live as long as the program, which ends with its answer.
    let aliases: Vec<&'static str> =
        verb.get_visible_aliases().map(|alias| -> &'static str { alias.to_owned().leak() }).collect();
    verb.visible_alias(None).aliases(aliases)
}

/// What is offered.
type Offer = fn() -> Vec<CompletionCandidate>;

/// An argument with what it offers; `looked_at` is what `inspect` looks at.
fn named(arg: Arg, looked_at: Offer) -> Arg {
    let offer: Offer = match (arg.get_id().as_str(), arg.is_positional()) {
        ("container" | "containers", true) => containers,
        ("volume" | "volumes", true) => volumes,
        ("network" | "networks", true) => networks,
        // The first word of `run` is an image; what follows is a command, for which its names do no harm.
        ("image" | "images" | "words" | "source", true) => images,
        ("names", true) => looked_at,
        ("from" | "to", true) => paths,
        ("network", false) => networks,
        ("volumes_from", false) => containers,
        ("log_driver", false) => log_drivers,
        ("restart", false) => restart_policies,
        _ => return arg,
    };
    arg.add(ArgValueCandidates::new(offer))
}

fn log_drivers() -> Vec<CompletionCandidate> {
    engine::log_driver::names().into_iter().map(CompletionCandidate::new).collect()
}

fn restart_policies() -> Vec<CompletionCandidate> {
    ["no", "on-failure", "always", "unless-stopped"].map(CompletionCandidate::new).into()
}

/// The beginning of a path in a container. Those of this machine a shell knows by itself.
fn paths() -> Vec<CompletionCandidate> {
    let Some(data) = crate::place::data() else { return Vec::new() };
    let names = below(&data.join("containers/by-name"));
    names
        .iter()
        .map(|name| CompletionCandidate::new(format!("{}:/", name.get_value().to_string_lossy())))
        .collect()
}

fn below(directory: &Path) -> Vec<CompletionCandidate> {
    let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| name.strip_suffix(".json").unwrap_or(&name).to_owned())
        .collect();
    names.sort();
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn containers() -> Vec<CompletionCandidate> {
    crate::place::data().map(|data| below(&data.join("containers/by-name"))).unwrap_or_default()
}

fn volumes() -> Vec<CompletionCandidate> {
    crate::place::data().map(|data| below(&data.join("volumes"))).unwrap_or_default()
}

fn networks() -> Vec<CompletionCandidate> {
    let mut all: Vec<CompletionCandidate> = ["bridge", "host", "none"].map(CompletionCandidate::new).into();
    all.extend(crate::place::data().map(|data| below(&data.join("network/networks"))).unwrap_or_default());
    all
}

fn images() -> Vec<CompletionCandidate> {
    let records = crate::place::data().and_then(|data| std::fs::read(data.join("image/records.json")).ok());
    // The second line is its digest.
    let first = |text: Vec<u8>| text.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    let records: serde_json::Value =
        records.and_then(first).and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let names = records["references"].as_object().into_iter().flat_map(serde_json::Map::keys);
    // Without the tag that is meant where none is typed.
    names.map(|name| CompletionCandidate::new(name.strip_suffix(":latest").unwrap_or(name))).collect()
}

/// What `inspect` looks at.
fn objects() -> Vec<CompletionCandidate> {
    [containers(), images(), volumes(), networks()].into_iter().flatten().collect()
}

/// `completion`.
pub fn completion(arguments: &Completion, command: fn() -> Command) -> Result<i32> {
    use clap_complete::env::Shells;
    let shells = Shells::builtins();
    let shell = shells.completer(&arguments.shell).ok_or_else(|| Error::new(Kind::Usage, "no such shell"))?;
    let name = command().get_name().to_owned();
    let mut text = Vec::new();
    shell
        .write_registration(VARIABLE, &name, &name, &name, &mut text)
        .map_err(called(|| "write the script".to_owned()))?;
    if arguments.shell == "zsh" {
        // From a directory of functions zsh runs it with the first press of the key: it has to answer that one too.
        text.extend_from_slice(AUTOLOADED.as_bytes());
    }
    crate::place::print(String::from_utf8_lossy(&text).trim_end())?;
    Ok(0)
}

/// What the script of zsh ends with.
const AUTOLOADED: &str = "
if [[ $funcstack[1] == _devoxx-container ]]; then
    _clap_dynamic_completer_devoxx_container \"$@\"
fi
";

/// `man`.
pub fn manual(arguments: &Manual, command: fn() -> Command) -> Result<i32> {
    let mut command = command();
    command.build();
    clap_mangen::generate_to(command, &arguments.directory)
        .map_err(called(|| format!("write man pages to {:?}", arguments.directory)))?;
    Ok(0)
}
