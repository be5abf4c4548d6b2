//! `telectl registry`: who is registered, what is wrong with it, and where a worker would say it is.

mod access;
mod filter;
mod list;
mod prune;
mod resolve_address;
mod show;
mod view;
mod watch;

use clap::{Args, Subcommand};

use crate::config::environment::Environment;
use crate::model::exit::ExitCode;

use super::error::CliError;
use super::session::Session;
use super::targets::TargetArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "The registry is reached as the workers reach it, by their own variables: \
                  ETCD_ENDPOINTS, ETCD_CA_CERT, ETCD_CLIENT_CERT and ETCD_CLIENT_KEY (PEM texts), \
                  ETCD_USERNAME and ETCD_PASSWORD. `telectl status` shows the registrations of \
                  clusters without any of them."
)]
pub(super) struct RegistryArgs {
    #[command(subcommand)]
    command: RegistryCommand,
}

#[derive(Debug, Subcommand)]
enum RegistryCommand {
    /// List the registrations, stale and unreadable ones, too
    List(list::ListArgs),
    /// Show what is registered, then every change, until Ctrl-C
    Watch(watch::WatchArgs),
    /// Show one registration, and whether its address answers now
    Show(show::ShowArgs),
    /// Delete the entries that nobody keeps alive
    Prune(prune::PruneArgs),
    /// Print the address that a worker would advertise with this environment, and why
    ResolveAddress(resolve_address::ResolveAddressArgs),
}

pub(super) fn run(args: &RegistryArgs, session: &Session) -> Result<ExitCode, CliError> {
    match &args.command {
        RegistryCommand::List(args) => list::run(args, session),
        RegistryCommand::Watch(args) => watch::run(args, session),
        RegistryCommand::Show(args) => show::run(args, session),
        RegistryCommand::Prune(args) => prune::run(args, session),
        RegistryCommand::ResolveAddress(args) => resolve_address::run(args, session),
    }
}

/// Refuses flags that name clusters: whoever types one expects that cluster's registry, and gets
/// another.
pub(super) fn refuse_clusters(
    flags: &TargetArgs,
    environment: &Environment,
) -> Result<(), CliError> {
    flags.refuse_typed("registry", environment).map_err(|error| {
        error
            .hint("--etcd-endpoints or ETCD_ENDPOINTS names the registry")
            .hint("`telectl status -e … -c …` shows the registrations of clusters by their contexts")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_is_typed_is_refused_and_one_of_a_variable_is_not() {
        let flags = TargetArgs {
            central_context: Some("central".to_owned()),
            ..TargetArgs::default()
        };
        let refused = refuse_clusters(&flags, &Environment::default()).unwrap_err();
        assert_eq!(refused.exit_code(), ExitCode::Usage);
        let text = refused.text();
        assert!(text.contains("--central-context"), "{text}");
        assert!(text.contains("telectl status"), "{text}");
        let variable = Environment::from([("TELECTL_CENTRAL_CONTEXT", "central")]);
        refuse_clusters(&flags, &variable).unwrap();
        refuse_clusters(&TargetArgs::default(), &Environment::default()).unwrap();
    }
}
