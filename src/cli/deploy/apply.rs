//! Plans, asks, applies, and says how far it got.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::apply::Ownership;
use crate::cluster::{Cluster, ClusterError};
use crate::config::{self, FlagValue};
use crate::deploy::event::Event;
use crate::deploy::execute::Progressed;
use crate::deploy::layout::Stage;
use crate::deploy::plan::StagePlan;
use crate::deploy::refusal::refuse;
use crate::deploy::run::{Inputs, Options};
use crate::deploy::secrets::SecretError;
use crate::deploy::{DeployError, Run};
use crate::model::exit::ExitCode;
use crate::model::manifest::RenderedSet;
use crate::render;

use super::super::consent;
use super::super::error::CliError;
use super::super::session::Session;
use super::super::signal;
use super::super::who::who;
use super::outcome::how_far;
use super::stages::Job;
use super::{ApplyArgs, preflight, progress, refusals, roles, view};

/// Plans and writes nothing.
pub(super) async fn plan_only(job: &Job, session: &Session) -> Result<Vec<StagePlan>, CliError> {
    let clusters = connect(job).await?;
    let renderer = renderer(job, session);
    let options = options(job, session, Ownership::Respect, None);
    let mut ignore = |_: Event| {};
    let inputs = inputs(job, &clusters, &renderer, options, CancellationToken::new());
    Ok(Run::new(inputs, &mut ignore).plan().await?)
}

/// Plans, shows, asks and applies.
pub(super) async fn run(
    job: &Job,
    args: &ApplyArgs,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let deadline = deadline(args)?;
    let ownership = if args.take {
        Ownership::Take
    } else {
        Ownership::Respect
    };
    let clusters = connect(job).await?;
    let renderer = renderer(job, session);
    let stop = CancellationToken::new();
    let mut progress = session.ui.progress();
    let mut show = |event: Event| progress::show(&mut progress, event);
    let options = options(job, session, ownership, deadline);
    let inputs = inputs(job, &clusters, &renderer, options, stop.clone());
    let mut run = Run::new(inputs, &mut show);

    let plans = run.plan().await?;
    session.ui.note(&view::text(&plans));
    if args.yes && !args.new_role && !args.dry_run {
        roles::refuse(&plans)?;
    }
    refuse_unchangeable(&plans)?;
    if args.dry_run {
        session.ui.note("Dry run: nothing was changed.");
        return Ok(ExitCode::Ok);
    }
    if !plans.iter().any(StagePlan::has_changes) && all_ready(&run, session).await? {
        return Ok(ExitCode::Ok);
    }
    if ownership == Ownership::Respect {
        refuse_conflicts(&plans)?;
    }
    let question = view::question(&plans, &named_clusters(&clusters));
    let confirmed = consent::obtain(session, args.consent(), &question)?;
    let mut progressed = Progressed::default();
    let (outcome, signalled) = {
        let signalled = Cell::new(ExitCode::Interrupted);
        let signals = signal::stop_on_signal(session, stop.clone(), &signalled);
        let applying = run.apply(&confirmed, &mut progressed);
        let outcome = tokio::select! {
            outcome = applying => outcome,
            () = signals => Err(DeployError::Stopped),
        };
        (outcome, signalled.get())
    };
    drop(run);
    let again = &session.command_line;
    outcome.map_err(|error| how_far(&progressed, error, signalled, again))?;
    let touched = view::touched(progressed.written(), progressed.deleted());
    session.ui.note(&format!("Done: {touched}."));
    Ok(ExitCode::Ok)
}

/// Whether everything that is deployed is ready; says what is not.
async fn all_ready(run: &Run<'_>, session: &Session) -> Result<bool, CliError> {
    let unready = run.not_ready().await?;
    if unready.is_empty() {
        session
            .ui
            .note("No changes: the clusters are as rendered, and everything is ready.");
    }
    for (stage, object, why) in &unready {
        session
            .ui
            .warn(&format!("{stage}: {object} is not ready: {why}"));
    }
    Ok(unready.is_empty())
}

async fn connect(job: &Job) -> Result<BTreeMap<String, Cluster>, CliError> {
    let mut clusters = BTreeMap::new();
    for (stage, _) in &job.stages {
        if !clusters.contains_key(&stage.context) {
            let cluster = Cluster::from_context(&job.contexts, &stage.context).await?;
            clusters.insert(stage.context.clone(), cluster);
        }
    }
    Ok(clusters)
}

fn inputs<'a>(
    job: &Job,
    clusters: &'a BTreeMap<String, Cluster>,
    render: &'a crate::deploy::run::Renderer<'a>,
    options: Options,
    stop: CancellationToken,
) -> Inputs<'a> {
    Inputs {
        clusters,
        render,
        options,
        stages: job.stages.clone(),
        handover: job.handover.clone(),
        vault: job.vault(),
        stop,
    }
}

type BoxedRenderer<'a> =
    Box<dyn Fn(&Stage, &[(String, serde_json::Value)]) -> Result<RenderedSet, DeployError> + 'a>;

fn renderer<'a>(job: &'a Job, session: &'a Session) -> BoxedRenderer<'a> {
    let said = std::cell::RefCell::new(std::collections::BTreeSet::new());
    Box::new(move |stage, handed_over| {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| DeployError::Render {
            stage: stage.to_string(),
            source,
        };
        let mut layers = job.layers.clone();
        let handed = |(key, value): &(String, serde_json::Value)| FlagValue {
            flag: "the deployment itself".to_owned(),
            key: key.clone(),
            value: value.clone(),
        };
        // What the user says about a value beats what the deployment found out.
        layers.found = handed_over.iter().map(handed).collect();
        layers.flags.push(FlagValue {
            flag: "--namespace".to_owned(),
            key: "namespace".to_owned(),
            value: stage.namespace.clone().into(),
        });
        let resolved =
            config::resolve(stage.profile, &layers).map_err(|error| failed(Box::new(error)))?;
        for warning in &resolved.warnings {
            let warning = warning.to_string();
            if said.borrow_mut().insert(warning.clone()) {
                session.ui.warn(&warning);
            }
        }
        render::render(&resolved).map_err(|error| failed(Box::new(error)))
    })
}

fn options(
    job: &Job,
    session: &Session,
    ownership: Ownership,
    deadline: Option<Duration>,
) -> Options {
    let who = who(session);
    Options {
        ownership,
        deadline,
        who,
        files: job
            .layers
            .files
            .iter()
            .map(|file| file.name.clone())
            .collect(),
        skip_preflight: job.skip_preflight.clone(),
    }
}

fn deadline(args: &ApplyArgs) -> Result<Option<Duration>, CliError> {
    let Some(text) = &args.timeout else {
        return Ok(None);
    };
    config::worker::parse_duration(text)
        .map(Some)
        .ok_or_else(|| CliError::usage(format!("--timeout `{text}` is no time such as 90s or 10m")))
}

fn named_clusters(clusters: &BTreeMap<String, Cluster>) -> String {
    let names: Vec<String> = clusters
        .iter()
        .map(|(context, cluster)| format!("{context} ({})", cluster.server()))
        .collect();
    names.join(", ")
}

/// Refuses a plan with objects that cannot be changed in place, before anything is written.
pub(super) fn refuse_unchangeable(plans: &[StagePlan]) -> Result<(), CliError> {
    let objects = plans
        .iter()
        .flat_map(|plan| plan.objects.iter().map(|object| (&plan.stage, object)));
    refuse(objects).map_err(|error| CliError::from(error).detail("nothing was written"))
}

fn refuse_conflicts(plans: &[StagePlan]) -> Result<(), CliError> {
    match plans.iter().find(|plan| plan.conflicts().next().is_some()) {
        None => Ok(()),
        Some(plan) => Err(DeployError::Conflicts {
            stage: plan.stage.to_string(),
            objects: plan.conflicts().cloned().collect(),
        }
        .into()),
    }
}

impl From<ClusterError> for CliError {
    fn from(error: ClusterError) -> Self {
        let exit = match &error {
            ClusterError::NoKubeconfig { .. }
            | ClusterError::Kubeconfig { .. }
            | ClusterError::UnknownContext { .. }
            | ClusterError::BrokenContext { .. } => ExitCode::Usage,
            ClusterError::LockHeld { .. } => ExitCode::LockHeld,
            ClusterError::Deadline { .. } | ClusterError::TimedOut { .. } => ExitCode::Timeout,
            _ => ExitCode::Error,
        };
        let made = Self::from_error(exit, &error);
        match &error {
            ClusterError::Unreachable { server, .. } | ClusterError::TimedOut { server, .. } => {
                made.hint(format!(
                    "is the API server up and reachable? curl -k {server}/livez"
                ))
            }
            ClusterError::NoKubeconfig { .. } => {
                made.hint("name the file: --kubeconfig FILE, or KUBECONFIG=FILE")
            }
            ClusterError::Kubeconfig { file, .. } => made.hint(format!(
                "kubectl --kubeconfig {} config view shows whether kubectl can read it; another \
                 file: --kubeconfig FILE",
                file.display()
            )),
            ClusterError::UnknownContext { known, .. } => made.hint(match known.first() {
                Some(nearest) => format!(
                    "give a context that there is, such as `{nearest}`, or another file: \
                     --kubeconfig FILE"
                ),
                None => "name a file with contexts: --kubeconfig FILE".to_owned(),
            }),
            ClusterError::BrokenContext { context, .. } => made.hint(format!(
                "mend its cluster and user; then `kubectl --context {context} version` answers"
            )),
            ClusterError::LockHeld { .. } => {
                made.hint("wait for the other run; a lock that nobody renews expires after 30 s")
            }
            _ => made,
        }
    }
}

impl From<DeployError> for CliError {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Cluster(error) => error.into(),
            DeployError::Conflicts { ref objects, .. } => {
                let mut made = Self::from_error(ExitCode::Error, &error);
                for object in objects {
                    for conflict in &object.conflicts {
                        made = made.cause(format!("{} {}", object.object, view::clash(conflict)));
                    }
                }
                made.hint(
                    "--take makes telectl's values win; or put the wanted value into a values file",
                )
            }
            DeployError::CannotChange { ref objects } => refusals::explained(&error, objects),
            DeployError::Preflight { ref findings } => preflight::explained(&error, findings)
                .hint("--skip-preflight ID goes on in spite of the errors of one check"),
            DeployError::Layout(ref source) => Self::from_error(ExitCode::Usage, source)
                .hint("give contexts of different clusters, or `telectl deploy same-cluster`"),
            DeployError::Secret(ref source @ SecretError::Initialised { .. }) => {
                Self::from_error(ExitCode::Error, source)
                    .hint("give the password that it was initialised with: --db-password env:NAME")
                    .hint("to change it, run ALTER ROLE in the database and patch the Secret")
            }
            DeployError::Secret(ref source @ SecretError::Missing { .. }) => {
                Self::from_error(ExitCode::Error, source)
                    .hint("kubectl create secret generic makes it; then run this again")
            }
            DeployError::NoAuthority { .. } => Self::from_error(ExitCode::Error, &error)
                .hint("telectl deploy-all makes another one and signs every certificate anew"),
            DeployError::NoAddress { .. } => Self::from_error(ExitCode::Error, &error)
                .hint("deploy the shared profile first, or give --redis-host and --etcd-endpoints"),
            DeployError::Render { .. } => Self::from_error(ExitCode::Usage, &error),
            other => Self::from_error(ExitCode::Error, &other),
        }
    }
}
