//! The command line: types for clap, one file per command, views and exit codes.

mod completions;
mod config;
mod consent;
mod demo;
mod deploy;
mod error;
#[cfg(test)]
mod help_tests;
mod rbac;
mod render;
mod secret_reference;
mod session;
mod signal;
mod sites;
mod status;
mod targets;
mod uninstall;
mod validate;
mod values;
mod who;
mod worker;
mod worker_probe;

use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

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
#[command(after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    targets: TargetArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0 ok · 1 error · 2 wrong flags or input files · 3 changes pending (with --exit-code) · 4 validation failed
  5 partial · 6 rolled back · 7 timeout · 8 lock held · 130 interrupted · 143 terminated";

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the objects of a profile; Secrets are listed, never printed
    Render(render::RenderArgs),
    /// Show what a deployment would change, field by field; writes nothing
    Plan(deploy::PlanArgs),
    /// Deploy one profile to one cluster
    Deploy(deploy::DeployArgs),
    /// Deploy shared, central and edge profiles to their clusters, in this order
    DeployAll(deploy::DeployAllArgs),
    /// Delete what deployments made, edges first; volumes and passwords stay unless asked for
    Uninstall(uninstall::UninstallArgs),
    /// Print the Roles that an operator's account needs
    Rbac(rbac::RbacArgs),
    /// Show how the pipeline stands, over all clusters
    Status(status::StatusArgs),
    /// Prove by real packets from the real pods that the pipeline works
    Validate(validate::ValidateArgs),
    /// Look at values and where they come from
    Config(config::ConfigArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Run the whole data path in this process, on a sample, without any server
    Demo(demo::DemoArgs),
    /// Run one worker of the pipeline; it is configured by its environment
    Worker(worker::WorkerArgs),
}

/// The commands that are about no cluster.
const LOCAL: [&str; 3] = ["demo", "completions", "worker"];

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
    LOCAL.into_iter().fold(whole, |command, name| {
        command.mut_subcommand(name, |local| local.args(hidden.clone()))
    })
}

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let environment = Environment::of_process();
    let arguments = Arguments::from_arg_matches(&command().get_matches());
    let arguments = arguments.unwrap_or_else(|error| error.exit());
    let session = Session::new(&arguments.global, environment);
    let outcome = dispatch(arguments, &session);
    session.finish(outcome).into()
}

fn dispatch(arguments: Arguments, session: &Session) -> Result<ExitCode, CliError> {
    let targets = Targets::resolve(&arguments.targets, &session.environment);
    match arguments.command {
        Command::Render(command) => render::run(&command, &targets, session),
        Command::Plan(command) => deploy::plan(&command, &targets, session),
        Command::Deploy(command) => deploy::deploy(&command, &targets, session),
        Command::DeployAll(command) => deploy::deploy_all(&command, &targets, session),
        Command::Uninstall(command) => uninstall::run(&command, &targets, session),
        Command::Rbac(command) => rbac::run(&command, &targets, session),
        Command::Status(command) => status::run(&command, &targets, session),
        Command::Validate(command) => validate::run(&command, &targets, session),
        Command::Config(command) => config::run(&command, &targets, session),
        Command::Completions(command) => completions::run(&command, session),
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
    runtime.block_on(work)
}
