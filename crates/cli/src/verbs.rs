//! The verbs of containers: each stands alone, and in the group `container`, which docker has beside.

use crate::deferred::Deferred;
use engine::Result;

/// What can be done with containers.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Run a command in a new container
    Run(Box<Deferred<crate::run_arguments::RunArguments>>),
    /// Make a container without starting it
    Create(Box<Deferred<crate::run::Create>>),
    /// Start containers
    Start(Deferred<crate::containers::Start>),
    /// Stop containers and start them again
    Restart(Deferred<crate::containers::Restart>),
    /// Send a signal to containers
    Kill(Deferred<crate::containers::Kill>),
    /// Wait for containers to end, and print their exit codes
    Wait(Deferred<crate::containers::Wait>),
    /// Share the streams of a container that runs
    Attach(Deferred<crate::containers::AttachTo>),
    /// Run another command in a container
    Exec(Deferred<crate::containers::Exec>),
    /// Show what a container wrote
    Logs(Deferred<crate::containers::Logs>),
    /// Freeze all processes of containers
    Pause(Deferred<crate::containers::Pause>),
    /// Let the processes of containers go on
    Unpause(Deferred<crate::containers::Unpause>),
    /// Give a container another name
    Rename(Deferred<crate::containers::Rename>),
    /// Change the limits and the restart policy of containers
    Update(Deferred<crate::update::Update>),
    /// List the ports of the host that lead to a container
    Port(Deferred<crate::networks::Port>),
    /// Copy files from a container or to it
    Cp(Deferred<crate::files::Copy>),
    /// Show what a container changed of its image
    Diff(Deferred<crate::files::Diff>),
    /// Write the root of a container as an archive
    Export(Deferred<crate::files::Export>),
    /// Make an image of what a container changed
    Commit(Deferred<crate::files::Commit>),
    /// Show the processes of a container
    Top(Deferred<crate::top::Top>),
    /// Show what containers use
    Stats(Deferred<crate::stats::Stats>),
    /// Stop containers
    Stop(Deferred<crate::containers::StopContainers>),
    /// Remove containers
    Rm(Deferred<crate::containers::RemoveContainers>),
}

/// Containers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container container ls --all\n  devoxx-container container prune --force"
)]
pub struct Group {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GroupCommand {
    #[command(flatten)]
    Verb(Verb),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(Deferred<crate::ps::ListContainers>),
    /// Show everything that is known of containers, as JSON
    Inspect(Deferred<crate::inspect::Inspect>),
    /// Remove containers that do not run
    Prune(Deferred<crate::space::PruneContainers>),
}

/// `container ...`.
pub fn group(arguments: &Group) -> Result<i32> {
    match &arguments.command {
        GroupCommand::Verb(verb) => act(verb),
        GroupCommand::Ls(wanted) => crate::ps::ps(wanted),
        GroupCommand::Inspect(wanted) => crate::inspect::containers(wanted),
        GroupCommand::Prune(wanted) => crate::space::prune_containers(wanted),
    }
}

/// Does it.
pub fn act(verb: &Verb) -> Result<i32> {
    match verb {
        Verb::Run(wanted) => crate::run::run(wanted),
        Verb::Create(wanted) => crate::run::create(wanted),
        Verb::Start(wanted) => crate::containers::start(wanted),
        Verb::Restart(wanted) => crate::containers::restart(wanted),
        Verb::Kill(wanted) => crate::containers::kill(wanted),
        Verb::Wait(wanted) => crate::containers::wait(wanted),
        Verb::Attach(wanted) => crate::containers::attach(wanted),
        Verb::Exec(wanted) => crate::containers::exec(wanted),
        Verb::Logs(wanted) => crate::containers::logs(wanted),
        Verb::Pause(wanted) => crate::containers::pause(wanted),
        Verb::Unpause(wanted) => crate::containers::unpause(wanted),
        Verb::Rename(wanted) => crate::containers::rename(wanted),
        Verb::Update(wanted) => crate::update::update(wanted),
        Verb::Port(wanted) => crate::networks::port(wanted),
        Verb::Cp(wanted) => crate::files::cp(wanted),
        Verb::Diff(wanted) => crate::files::diff(wanted),
        Verb::Export(wanted) => crate::files::export(wanted),
        Verb::Commit(wanted) => crate::files::commit(wanted),
        Verb::Top(wanted) => crate::top::top(wanted),
        Verb::Stats(wanted) => crate::stats::stats(wanted),
        Verb::Stop(wanted) => crate::containers::stop(wanted),
        Verb::Rm(wanted) => crate::containers::rm(wanted),
    }
}
