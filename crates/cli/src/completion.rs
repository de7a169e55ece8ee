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
    after_help = "Examples:\n  source <(devoxx-container completion bash)\n  devoxx-container completion fish >~/.config/fish/completions/devoxx-container.fish"
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

/// Arguments that are names offer those that there are.
fn with_names(command: Command) -> Command {
    let names = |arg: Arg| -> Arg {
        let offer = match arg.get_id().as_str() {
            "container" | "containers" => containers,
            "volume" | "volumes" => volumes,
            "network" | "networks" => networks,
            "image" | "images" => images,
            "names" => objects,
            _ => return arg,
        };
        // Options of the same name take something else.
        if arg.is_positional() { arg.add(ArgValueCandidates::new(offer)) } else { arg }
    };
    command.mut_args(names).mut_subcommands(with_names)
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
    let records: serde_json::Value =
        records.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let names = records["references"].as_object().into_iter().flat_map(serde_json::Map::keys);
    // Without the tag that is meant where none is typed.
    names.map(|name| CompletionCandidate::new(name.strip_suffix(":latest").unwrap_or(name))).collect()
}

/// What `inspect` looks at.
fn objects() -> Vec<CompletionCandidate> {
    containers().into_iter().chain(images()).collect()
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
    crate::place::print(String::from_utf8_lossy(&text).trim_end())?;
    Ok(0)
}

/// `man`.
pub fn manual(arguments: &Manual, command: fn() -> Command) -> Result<i32> {
    let mut command = command();
    command.build();
    clap_mangen::generate_to(command, &arguments.directory)
        .map_err(called(|| format!("write man pages to {:?}", arguments.directory)))?;
    Ok(0)
}
