//! The program devoxx-container: arguments in, one line of error out, an exit code.
//!
//! What a container is stands in the crates below; this one only reads words and prints.

mod commands;
mod completion;
mod confirm;
mod containers;
mod demo;
mod events;
mod files;
mod filter;
mod groups;
mod human;
mod images;
mod inspect;
mod interrupt;
mod listing;
mod moment;
mod networks;
mod progress;
mod ps;
mod run_arguments;
mod run_health;
mod run_limits;
mod run_sharing;
mod space;
mod stats;
mod system;
mod template;
mod top;
mod update;
mod volumes;

use clap::{CommandFactory, Parser, Subcommand};
use engine::{Error, Kind};
use run_arguments::RunArguments;
use std::io::Write;

/// A container engine without a daemon.
///
/// Without a command it shows what a container is: a child in new PID, UTS and mount namespaces.
#[derive(Debug, Parser)]
#[command(
    name = "devoxx-container",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: demo::DemoArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command in a new container
    Run(Box<RunArguments>),
    /// Make a container without starting it
    Create(Box<containers::Create>),
    /// Start containers
    Start(containers::Start),
    /// Stop containers and start them again
    Restart(containers::Restart),
    /// Send a signal to containers
    Kill(containers::Kill),
    /// Wait for containers to end, and print their exit codes
    Wait(containers::Wait),
    /// Share the streams of a container that runs
    Attach(containers::AttachTo),
    /// Run another command in a container
    Exec(containers::Exec),
    /// Show what a container wrote
    Logs(containers::Logs),
    /// Freeze all processes of containers
    Pause(containers::Pause),
    /// Let the processes of containers go on
    Unpause(containers::Unpause),
    /// Give a container another name
    Rename(containers::Rename),
    /// Change the limits and the restart policy of containers
    Update(update::Update),
    /// Networks that containers share
    Network(networks::Network),
    /// List the ports of the host that lead to a container
    Port(networks::Port),
    /// Pull an image from a registry
    Pull(commands::Pull),
    /// List images
    Images(images::ListImages),
    /// Push an image to a registry
    Push(images::Push),
    /// Give an image one more name
    Tag(images::Tag),
    /// Show the steps that made an image
    History(images::History),
    /// Write images into one file
    Save(images::Save),
    /// Load images from a file
    Load(images::Load),
    /// Make an image of an archive with a root
    Import(images::Import),
    /// Images
    Image(images::Group),
    /// Copy files from a container or to it
    Cp(files::Copy),
    /// Show what a container changed of its image
    Diff(files::Diff),
    /// Write the root of a container as an archive
    Export(files::Export),
    /// Make an image of what a container changed
    Commit(files::Commit),
    /// Volumes
    Volume(volumes::Group),
    /// The engine as a whole
    System(space::Group),
    /// Remove containers that do not run
    #[command(hide = true)]
    ContainerPrune(space::PruneContainers),
    /// Remove images
    Rmi(commands::RemoveImages),
    /// Show everything that is known of something, as JSON
    Inspect(inspect::Inspect),
    /// List containers
    Ps(ps::ListContainers),
    /// Show the processes of a container
    Top(top::Top),
    /// Show what containers use
    Stats(stats::Stats),
    /// Show what happens, as it happens
    Events(events::Events),
    /// Show what there is on this machine
    Info(system::Info),
    /// Show the version of this program
    Version(system::Version),
    /// Stop containers
    Stop(commands::StopContainers),
    /// Remove containers
    Rm(commands::RemoveContainers),
    /// Check credentials at a registry and keep them
    Login(commands::Login),
    /// Forget credentials of a registry
    Logout(commands::Logout),
    /// Print what a shell needs to complete commands, options and names
    Completion(completion::Completion),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(completion::Manual),
    /// The demonstration's child; started by the program itself
    #[command(hide = true)]
    Child(demo::ChildArguments),
}

fn main() {
    completion::answer(Arguments::command);
    let words = groups::flattened(std::env::args_os().collect(), &Arguments::command());
    let arguments = match words.and_then(Arguments::try_parse_from) {
        Ok(arguments) => arguments,
        Err(error) => std::process::exit(usage(&error)),
    };
    let done = match arguments.command {
        None => demo::parent(&arguments.demo),
        Some(Command::Completion(wanted)) => completion::completion(&wanted, Arguments::command),
        Some(Command::Man(wanted)) => completion::manual(&wanted, Arguments::command),
        Some(Command::Child(child)) => demo::child(&child),
        Some(Command::Run(wanted)) => commands::run(&wanted),
        Some(Command::Create(wanted)) => containers::create(&wanted),
        Some(Command::Start(wanted)) => containers::start(&wanted),
        Some(Command::Restart(wanted)) => containers::restart(&wanted),
        Some(Command::Kill(wanted)) => containers::kill(&wanted),
        Some(Command::Wait(wanted)) => containers::wait(&wanted),
        Some(Command::Attach(wanted)) => containers::attach(&wanted),
        Some(Command::Exec(wanted)) => containers::exec(&wanted),
        Some(Command::Logs(wanted)) => containers::logs(&wanted),
        Some(Command::Pause(wanted)) => containers::pause(&wanted),
        Some(Command::Unpause(wanted)) => containers::unpause(&wanted),
        Some(Command::Rename(wanted)) => containers::rename(&wanted),
        Some(Command::Update(wanted)) => update::update(&wanted),
        Some(Command::Network(wanted)) => networks::network(&wanted),
        Some(Command::Port(wanted)) => networks::port(&wanted),
        Some(Command::Pull(wanted)) => commands::pull(&wanted),
        Some(Command::Images(wanted)) => images::images(&wanted),
        Some(Command::Push(wanted)) => images::push(&wanted),
        Some(Command::Tag(wanted)) => images::tag(&wanted),
        Some(Command::History(wanted)) => images::history(&wanted),
        Some(Command::Save(wanted)) => images::save(&wanted),
        Some(Command::Load(wanted)) => images::load(&wanted),
        Some(Command::Import(wanted)) => images::import(&wanted),
        Some(Command::Image(wanted)) => images::group(&wanted),
        Some(Command::Cp(wanted)) => files::cp(&wanted),
        Some(Command::Diff(wanted)) => files::diff(&wanted),
        Some(Command::Export(wanted)) => files::export(&wanted),
        Some(Command::Commit(wanted)) => files::commit(&wanted),
        Some(Command::Volume(wanted)) => volumes::group(&wanted),
        Some(Command::System(wanted)) => space::group(&wanted),
        Some(Command::ContainerPrune(wanted)) => space::prune_containers(&wanted),
        Some(Command::Rmi(wanted)) => commands::rmi(&wanted),
        Some(Command::Inspect(wanted)) => inspect::inspect(&wanted),
        Some(Command::Ps(wanted)) => ps::ps(&wanted),
        Some(Command::Top(wanted)) => top::top(&wanted),
        Some(Command::Stats(wanted)) => stats::stats(&wanted),
        Some(Command::Events(wanted)) => events::events(&wanted),
        Some(Command::Info(wanted)) => system::info(&wanted),
        Some(Command::Version(wanted)) => system::version(&wanted),
        Some(Command::Stop(wanted)) => commands::stop(&wanted),
        Some(Command::Rm(wanted)) => commands::rm(&wanted),
        Some(Command::Login(wanted)) => commands::login(&wanted),
        Some(Command::Logout(wanted)) => commands::logout(&wanted),
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
