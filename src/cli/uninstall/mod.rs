//! `telectl uninstall`

mod stages;
mod view;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::cluster::kubeconfig::Contexts;
use crate::deploy::DeployError;
use crate::deploy::layout::Stage;
use crate::deploy::uninstall::plan::{Data, Removal};
use crate::deploy::uninstall::{Event, Inputs, Planned, Progressed, Uninstall};
use crate::model::consent::Confirmed;
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;

use super::consent::{self, Consent};
use super::deploy::preflight::explained;
use super::error::CliError;
use super::session::Session;
use super::targets::Targets;
use super::time::time;
use super::who::who;
use super::{signal, values};

/// Arguments of `telectl uninstall`
#[derive(Debug, Args)]
#[command(
    after_help = "Only what the record of a deployment lists, or carries its label, is deleted. \
                  Volumes, passwords and the private authority stay, and with them the record and \
                  the namespace, unless --delete-data is given. Broken off, it continues when it \
                  is run again."
)]
pub(super) struct UninstallArgs {
    /// Only these profiles; by default edge of every -e, central of -c, shared of -s (of -c if -s is
    /// not given)
    #[arg(value_name = "PROFILE", value_parser = values::profile())]
    profiles: Vec<Profile>,
    /// Context of the cluster, for one profile; dev and same-cluster take -c as well
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    /// Also delete volumes, passwords and the private authority: what was stored is lost
    #[arg(long)]
    delete_data: bool,
    /// Delete without asking
    #[arg(short, long)]
    yes: bool,
    /// Show what would be deleted and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on with the other clusters where one does not answer; exits with 5 then
    #[arg(long)]
    skip_unreachable: bool,
    /// Longest time for the pods of one profile to end
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    timeout: Duration,
}

impl UninstallArgs {
    const fn consent(&self) -> Consent {
        if self.yes {
            Consent::Given
        } else {
            Consent::Ask
        }
    }

    const fn data(&self) -> Data {
        if self.delete_data {
            Data::Delete
        } else {
            Data::Keep
        }
    }
}

pub(super) fn run(
    args: &UninstallArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let stages = stages::of(&args.profiles, args.context.as_deref(), targets)?;
    super::block_on(uninstall(args, stages, args.timeout, targets, session))
}

async fn uninstall(
    args: &UninstallArgs,
    stages: Vec<Stage>,
    deadline: Duration,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let clusters = connect(&stages, targets).await?;
    let stop = CancellationToken::new();
    let mut progress = session.ui.progress();
    let mut show = |event: Event| view::show(&mut progress, event);
    let inputs = Inputs {
        clusters: &clusters,
        stages,
        data: args.data(),
        who: who(session),
        deadline,
        stop: stop.clone(),
    };
    let mut run = Uninstall::new(inputs, &mut show);
    let planned = run.plan().await.map_err(refused)?;
    session.ui.note(&view::text(&planned));
    let code = unreachable(&planned, args, session)?;
    if args.dry_run {
        session.ui.note("Dry run: nothing was changed.");
        return Ok(code);
    }
    if !planned.removals.iter().any(Removal::has_changes) {
        session.ui.note("Nothing to delete.");
        return Ok(code);
    }
    let confirmed = confirm(&planned, args, session)?;
    let mut progressed = Progressed::default();
    let signalled = Cell::new(ExitCode::Interrupted);
    let outcome = {
        let signals = signal::stop_on_signal(session, stop.clone(), &signalled);
        let applying = run.apply(&planned.removals, &confirmed, &mut progressed);
        tokio::select! {
            outcome = applying => outcome,
            () = signals => Err(DeployError::Stopped),
        }
    };
    drop(run);
    let again = &session.command_line;
    outcome.map_err(|error| view::how_far(&progressed, error, signalled.get(), again))?;
    let deleted: usize = progressed.deleted.values().sum();
    session
        .ui
        .note(&format!("Done: {} deleted.", view::objects(deleted)));
    Ok(code)
}

/// What stands in the way has no way around here.
fn refused(error: DeployError) -> CliError {
    match &error {
        DeployError::Preflight { findings } => explained(&error, findings),
        _ => error.into(),
    }
}

async fn connect(
    stages: &[Stage],
    targets: &Targets,
) -> Result<BTreeMap<String, Cluster>, CliError> {
    let contexts = Contexts::read(&targets.kubeconfig)?;
    let mut clusters = BTreeMap::new();
    for stage in stages {
        if !clusters.contains_key(&stage.context) {
            let cluster = Cluster::from_context(&contexts, &stage.context).await?;
            clusters.insert(stage.context.clone(), cluster);
        }
    }
    Ok(clusters)
}

/// Refuses to begin while a cluster does not answer, unless that was allowed; the exit code of a
/// run that leaves it out.
fn unreachable(
    planned: &Planned,
    args: &UninstallArgs,
    session: &Session,
) -> Result<ExitCode, CliError> {
    if planned.unreachable.is_empty() {
        return Ok(ExitCode::Ok);
    }
    if args.skip_unreachable {
        for (stage, error) in &planned.unreachable {
            session.ui.warn(&format!("{stage} is left out: {error}"));
        }
        return Ok(ExitCode::Partial);
    }
    let made = CliError::failed("not every cluster answers");
    let made = planned
        .unreachable
        .iter()
        .fold(made, |made, (stage, error)| {
            made.detail(format!("{stage}: {error}"))
        });
    Err(made
        .detail("nothing was deleted")
        .hint("--skip-unreachable goes on without it; run it again once the cluster answers"))
}

fn confirm(
    planned: &Planned,
    args: &UninstallArgs,
    session: &Session,
) -> Result<Confirmed, CliError> {
    let question = view::question(&planned.removals);
    if !args.delete_data {
        return consent::obtain(session, args.consent(), &question);
    }
    let namespaces: BTreeSet<&str> = planned
        .removals
        .iter()
        .filter(|removal| removal.has_changes())
        .map(|removal| removal.stage.namespace.as_str())
        .collect();
    let names: Vec<&str> = namespaces.into_iter().collect();
    let names = names.join(" ");
    let question = format!("{question} What was stored is lost. Type {names}");
    consent::obtain_by_name(session, args.consent(), &question, &names)
}
