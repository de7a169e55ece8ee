//! The program devoxx-container: arguments in, one line of error out, an exit code.
//!
//! What a container is stands in the crates below; this one only reads words and prints.

mod about;
mod archive;
mod boot;
mod completion;
mod confirm;
mod containers;
mod deferred;
mod demo;
mod doctor;
mod events;
#[cfg(test)]
mod examples;
mod files;
mod human;
mod image_archives;
mod image_history;
mod image_list;
mod image_mount;
mod images;
mod inspect;
mod interrupt;
mod listing;
mod login;
mod meter;
mod moment;
mod network_list;
mod networks;
mod place;
mod progress;
mod ps;
mod run;
mod run_arguments;
mod run_health;
mod run_limits;
mod run_network;
mod run_sharing;
mod space;
mod stats;
mod system;
mod top;
mod update;
mod verbs;
mod volumes;

use clap::{CommandFactory, Parser, Subcommand};
use deferred::Deferred;
use engine::{Error, Kind};
use std::io::Write;

/// A container engine without a daemon.
///
/// Without a command it shows what a container is: a child in new PID, UTS and mount namespaces.
#[derive(Debug, Parser)]
#[command(
    name = "devoxx-container",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  devoxx-container run --rm -it debian:12 bash\n  devoxx-container run -d --name web -p 8080:80 nginx\n  devoxx-container --hostname inside -- ps -ef"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: demo::DemoArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Verb(verbs::Verb),
    /// Containers
    Container(Deferred<verbs::Group>),
    /// Networks that containers share
    Network(Deferred<networks::Network>),
    /// Pull an image from a registry
    Pull(Deferred<images::Pull>),
    /// List images
    Images(Deferred<image_list::ListImages>),
    /// Push an image to a registry
    Push(Deferred<images::Push>),
    /// Give an image one more name
    Tag(Deferred<images::Tag>),
    /// Show the steps that made an image
    History(Deferred<image_history::History>),
    /// Write images into one file
    Save(Deferred<image_archives::Save>),
    /// Load images from a file
    Load(Deferred<image_archives::Load>),
    /// Make an image of an archive with a root
    Import(Deferred<image_archives::Import>),
    /// Images
    Image(Deferred<images::Group>),
    /// Volumes
    Volume(Deferred<volumes::Group>),
    /// The engine as a whole
    System(Deferred<system::Group>),
    /// Remove images
    Rmi(Deferred<images::RemoveImages>),
    /// Show everything that is known of something, as JSON
    Inspect(Deferred<inspect::Inspect>),
    /// List containers
    Ps(Deferred<ps::ListContainers>),
    /// Show what happens, as it happens
    Events(Deferred<events::Events>),
    /// Show what there is on this machine
    Info(Deferred<about::Info>),
    /// Show the version of this program
    Version(Deferred<about::Version>),
    /// Check credentials at a registry and keep them
    Login(Deferred<login::Login>),
    /// Forget credentials of a registry
    Logout(Deferred<login::Logout>),
    /// Print what a shell needs to complete commands, options and names
    Completion(Deferred<completion::Completion>),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(Deferred<completion::Manual>),
    /// The demonstration's child; started by the program itself
    #[command(hide = true)]
    Child(Deferred<demo::ChildArguments>),
}

/// Every command with its options, for whoever looks through them.
fn all_commands() -> clap::Command {
    deferred::make_all_at_once();
    Arguments::command()
}

fn main() {
    completion::answer(all_commands);
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => std::process::exit(usage(&error)),
    };
    if !matches!(arguments.command, None | Some(Command::Child(_))) {
        sys::signals::take_long_files_for_errors();
    }
    let done = match arguments.command {
        None => demo::parent(&arguments.demo),
        Some(Command::Verb(verb)) => verbs::act(&verb),
        Some(Command::Container(wanted)) => verbs::group(&wanted),
        Some(Command::Completion(wanted)) => completion::completion(&wanted, all_commands),
        Some(Command::Man(wanted)) => completion::manual(&wanted, all_commands),
        Some(Command::Child(child)) => demo::child(&child),
        Some(Command::Network(wanted)) => networks::network(&wanted),
        Some(Command::Pull(wanted)) => images::pull(&wanted),
        Some(Command::Images(wanted)) => image_list::images(&wanted),
        Some(Command::Push(wanted)) => images::push(&wanted),
        Some(Command::Tag(wanted)) => images::tag(&wanted),
        Some(Command::History(wanted)) => image_history::history(&wanted),
        Some(Command::Save(wanted)) => image_archives::save(&wanted),
        Some(Command::Load(wanted)) => image_archives::load(&wanted),
        Some(Command::Import(wanted)) => image_archives::import(&wanted),
        Some(Command::Image(wanted)) => images::group(&wanted),
        Some(Command::Volume(wanted)) => volumes::group(&wanted),
        Some(Command::System(wanted)) => system::group(&wanted),
        Some(Command::Rmi(wanted)) => images::rmi(&wanted),
        Some(Command::Inspect(wanted)) => inspect::inspect(&wanted),
        Some(Command::Ps(wanted)) => ps::ps(&wanted),
        Some(Command::Events(wanted)) => events::events(&wanted),
        Some(Command::Info(wanted)) => about::info(&wanted),
        Some(Command::Version(wanted)) => about::version(&wanted),
        Some(Command::Login(wanted)) => login::login(&wanted),
        Some(Command::Logout(wanted)) => login::logout(&wanted),
    };
    let code = done.unwrap_or_else(|error| report(&error));
    std::process::exit(code);
}

/// One line for the error, with its hint; what came from outside cannot add another.
fn report(error: &Error) -> i32 {
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    let mut line = one_line(&error.to_string());
    // The demonstration's words are its own, to the letter.
    if !line.starts_with("permission denied: run with sudo") {
        line = format!("devoxx-container: {line}");
    }
    if let Some(hint) = &error.hint {
        line = format!("{line} ({})", one_line(hint));
    }
    complain(&line);
    error.kind.exit_code()
}

/// Writes a line to standard error; there is nobody to tell if that fails.
fn complain(line: &str) {
    let _nobody = writeln!(std::io::stderr(), "{line}");
}

/// Help and version go to standard output and are no error; a mistake is one line.
fn usage(error: &clap::Error) -> i32 {
    use clap::error::ErrorKind;
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let printed = error.print();
        return i32::from(printed.is_err());
    }
    let text = error.to_string();
    let first: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let message = first.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    complain(&format!("devoxx-container: {message} (try --help)"));
    Kind::Usage.exit_code()
}
