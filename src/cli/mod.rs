//! The command line: types for clap, one file per command, views and exit codes.

mod backup;
mod completions;
mod config;
mod consent;
mod demo;
mod deploy;
mod ended;
mod error;
mod examples;
mod explain;
#[cfg(test)]
mod help_tests;
mod lint;
mod man;
mod number;
mod order;
mod parse;
mod rbac;
mod registry;
mod render;
mod secret_reference;
mod session;
mod signal;
mod sites;
mod status;
mod targets;
mod time;
mod uninstall;
mod validate;
mod values;
mod variables;
mod verify;
mod version;
mod who;
mod worker;
mod worker_fetch;
mod worker_probe;

use std::ffi::OsString;

use clap::{Arg, CommandFactory as _, Parser, Subcommand};

pub use error::CliError;
pub use session::{GlobalArgs, Session};
pub use targets::{TargetArgs, Targets};

use crate::config::environment::Environment;
use crate::model::exit::ExitCode;

/// Deploy, prove and run a GPU-telemetry pipeline that spans Kubernetes clusters
#[derive(Debug, Parser)]
#[command(
    name = "telectl",
    version,
    propagate_version = true,
    infer_subcommands = false
)]
#[command(after_help = exit_codes())]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(subcommand)]
    command: Command,
}

fn exit_codes() -> String {
    let codes = ExitCode::ALL.map(|code| format!("{} {}", code.number(), code.meaning()));
    let (first, second) = codes.split_at(4);
    format!(
        "Exit codes:\n  {}\n  {}",
        first.join(" · "),
        second.join(" · ")
    )
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the objects of a profile; Secrets are listed, never printed
    Render(render::RenderArgs),
    /// Find what is wrong with values and with what is made from them, without a cluster
    Lint(lint::LintArgs),
    /// Show what a deployment would change, field by field; writes nothing
    Plan(deploy::PlanArgs),
    /// Deploy one profile to one cluster
    Deploy(deploy::DeployArgs),
    /// Deploy shared, central and edge profiles to their clusters, in this order
    DeployAll(deploy::DeployAllArgs),
    /// Go on with a deployment over all clusters that did not come to its end
    Resume(deploy::ResumeArgs),
    /// Go back to what was deployed before, in every cluster
    Rollback(deploy::RollbackArgs),
    /// Show what was deployed when and by whom
    History(deploy::HistoryArgs),
    /// Delete what deployments made, edges first; volumes and passwords stay unless asked for
    Uninstall(uninstall::UninstallArgs),
    /// Print the Roles that an operator's account needs
    Rbac(rbac::RbacArgs),
    /// Show how the pipeline stands, over all clusters
    Status(status::StatusArgs),
    /// Prove by real packets from the real pods that the pipeline works
    Validate(validate::ValidateArgs),
    /// See who is registered in etcd, watch it, and delete what nobody keeps alive
    Registry(registry::RegistryArgs),
    /// Prove from the database that every row of every source is stored, once
    Verify(verify::VerifyArgs),
    /// Dump the database into a file, with a proof of what is in it
    Backup(backup::BackupArgs),
    /// Put a dump back, and prove that what is there is what was dumped
    Restore(backup::RestoreArgs),
    /// Look at values and where they come from
    Config(config::ConfigArgs),
    /// Tell versions: of telectl, and of what runs in the clusters
    Version(version::VersionArgs),
    /// Explain a check, a rule of lint or an exit code; `modes` compares one cluster with several
    Explain(explain::ExplainArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Say what can come next on a command line
    #[command(name = COMPLETE, hide = true)]
    Complete(completions::CompleteArgs),
    /// Print the manual page of a command, or write all of them
    Man(man::ManArgs),
    /// Run the whole data path in this process, on a sample, without any server
    Demo(demo::DemoArgs),
    /// Run one worker of the pipeline; it is configured by its environment
    Worker(worker::WorkerArgs),
}

impl Command {
    const fn is_about_clusters(&self) -> bool {
        !matches!(
            self,
            Self::Demo(_)
                | Self::Completions(_)
                | Self::Explain(_)
                | Self::Complete(_)
                | Self::Man(_)
                | Self::Registry(_)
                | Self::Verify(_)
                | Self::Worker(_)
        )
    }
}

/// The commands that are about no cluster.
const LOCAL: [&str; 8] = [
    "demo",
    "completions",
    COMPLETE,
    "explain",
    "man",
    "registry",
    "verify",
    "worker",
];
/// What the completion scripts call.
const COMPLETE: &str = "__complete";

/// The command line. Commands that are about no cluster take the flags that name clusters, as
/// every command does, and do not fill their help with them.
fn command() -> clap::Command {
    let whole = Arguments::command();
    let is_unused = |flag: &&Arg| flag.get_help_heading() == Some(targets::HEADING);
    let hidden: Vec<Arg> = whole
        .get_arguments()
        .filter(is_unused)
        .map(|flag| flag.clone().hide(true))
        .collect();
    let whole = LOCAL.into_iter().fold(whole, |command, name| {
        command.mut_subcommand(name, |local| local.args(hidden.clone()))
    });
    examples::shown(whole)
}

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let environment = Environment::of_process();
    let words: Vec<OsString> = std::env::args_os().collect();
    let arguments = match parse::parse(words, &environment) {
        Ok(arguments) => arguments,
        Err(refusal) => return refusal.print(&session::plain_ui(&environment)).into(),
    };
    let mut session = Session::new(&arguments.global, environment);
    let outcome = prepare(&arguments, &mut session).and_then(|()| dispatch(arguments, &session));
    session.finish(outcome).into()
}

/// A pod's environment is the workers' own, and a line that is being typed is not disturbed.
fn prepare(arguments: &Arguments, session: &mut Session) -> Result<(), CliError> {
    match arguments.command {
        Command::Worker(_) | Command::Complete(_) => return Ok(()),
        Command::Registry(_) => {
            registry::refuse_clusters(&arguments.targets, &session.environment)?;
        }
        Command::Verify(_) => verify::refuse_clusters(&arguments.targets, &session.environment)?,
        _ => {}
    }
    session.environment = parse::without_flags(&session.environment, &session.ui)?;
    Ok(())
}

fn dispatch(arguments: Arguments, session: &Session) -> Result<ExitCode, CliError> {
    let (flags, environment) = (&arguments.targets, &session.environment);
    let targets = if arguments.command.is_about_clusters() {
        Targets::resolve(flags, environment)?
    } else {
        Targets::without_fleet(flags, environment)
    };
    match arguments.command {
        Command::Render(command) => render::run(&command, &targets, session),
        Command::Lint(command) => lint::run(&command, &targets, session),
        Command::Plan(command) => deploy::plan(&command, &targets, session),
        Command::Deploy(command) => deploy::deploy(&command, &targets, session),
        Command::DeployAll(command) => deploy::deploy_all(&command, &targets, session),
        Command::Resume(command) => deploy::resume(&command, &targets, session),
        Command::Rollback(command) => deploy::rollback(&command, &targets, session),
        Command::History(command) => deploy::history(&command, &targets, session),
        Command::Uninstall(command) => uninstall::run(&command, &targets, session),
        Command::Rbac(command) => rbac::run(&command, &targets, session),
        Command::Status(command) => status::run(&command, &targets, session),
        Command::Validate(command) => validate::run(&command, &targets, session),
        Command::Registry(command) => registry::run(&command, session),
        Command::Verify(command) => verify::run(&command, session),
        Command::Backup(command) => backup::run(&command, &targets, session),
        Command::Restore(command) => backup::restore(&command, &targets, session),
        Command::Config(command) => config::run(&command, &targets, session),
        Command::Version(command) => version::run(&command, &targets, session),
        Command::Explain(command) => explain::run(&command, session),
        Command::Completions(command) => completions::run(&command, session),
        Command::Complete(command) => completions::answer(&command, session),
        Command::Man(command) => man::run(&command, session),
        Command::Demo(command) => demo::run(&command, session),
        Command::Worker(command) => worker::run(&command, session),
    }
}

/// Runs a command that waits for the network on one thread.
fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::failed("cannot start the asynchronous runtime").because(error)
        })?;
    let outcome = runtime.block_on(work);
    // What still waits for a disk or a name is not waited for.
    runtime.shutdown_background();
    outcome
}
