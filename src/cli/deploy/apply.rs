//! Plans, asks, applies, and says how far it got.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, ClusterError};
use crate::config::{self, FlagValue};
use crate::deploy::event::Event;
use crate::deploy::layout::Stage;
use crate::deploy::plan::StagePlan;
use crate::deploy::preflight::{Finding, refuse as refuse_findings};
use crate::deploy::progressed::Ledger;
use crate::deploy::refusal::refuse;
use crate::deploy::run::{Inputs, OnFailure, Options, Unreachable};
use crate::deploy::secrets::SecretError;
use crate::deploy::{DeployError, Run};
use crate::model::exit::ExitCode;
use crate::model::manifest::RenderedSet;
use crate::render;

use super::super::consent::{self, Consent};
use super::super::error::CliError;
use super::super::session::Session;
use super::super::signal;
use super::super::who::who;
use super::intent::Behaviour;
use super::outcome::how_far;
use super::saved::Saved;
use super::stages::Job;
use super::{ApplyArgs, policy, preflight, progress, refusals, roles, view};

/// Whether, and to what, somebody agrees.
pub(super) struct Approval {
    /// How consent is sought.
    pub(super) consent: Consent,
    /// Nothing is to be written.
    pub(super) is_dry: bool,
    /// Somebody knows that the namespaces hold other profiles.
    pub(super) new_role: bool,
    /// The plan that was agreed to earlier.
    pub(super) saved: Option<Saved>,
    /// The number of the run that this one goes on with, if it does.
    pub(super) goes_on_with: Option<u32>,
}

impl Approval {
    /// What the flags say.
    pub(super) const fn of(args: &ApplyArgs) -> Self {
        Self {
            consent: args.consent(),
            is_dry: args.dry_run,
            new_role: args.new_role,
            saved: None,
            goes_on_with: None,
        }
    }

    /// Whether a run is over before it has begun. One that was broken off is not before its note is
    /// gone, even if that was the last thing to do.
    fn is_over(&self, has_changes: bool, is_ready: impl FnOnce() -> bool) -> bool {
        !has_changes && self.goes_on_with.is_none() && is_ready()
    }
}

/// Plans and writes nothing: the plans, and what stands in their way.
pub(super) async fn plan_only(
    job: &Job,
    behaviour: &Behaviour,
    session: &Session,
) -> Result<(Vec<StagePlan>, Vec<Finding>), CliError> {
    let clusters = connect(job).await?;
    let renderer = renderer(job, session);
    let options = options(job, session, behaviour)?;
    let inputs = inputs(job, &clusters, &renderer, options, CancellationToken::new());
    let quiet = |_: Event| {};
    let mut run = Run::new(inputs, &quiet);
    let plans = run.plan().await?;
    Ok((plans, run.findings().to_vec()))
}

/// Plans, shows, asks and applies.
pub(super) async fn run(
    job: &Job,
    behaviour: &Behaviour,
    approval: Approval,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let mut options = options(job, session, behaviour)?;
    options.goes_on_with = approval.goes_on_with;
    let policy = options.policy.clone();
    let clusters = connect(job).await?;
    let renderer = renderer(job, session);
    let stop = CancellationToken::new();
    let progress = RefCell::new(session.ui.progress());
    let show = |event: Event| progress::show(&mut progress.borrow_mut(), event);
    let inputs = inputs(job, &clusters, &renderer, options, stop.clone());
    let mut run = Run::new(inputs, &show);

    let plans = run.plan().await?;
    if let Some(saved) = &approval.saved {
        saved.require_same(&plans)?;
    }
    session.ui.note(&view::text(&plans));
    for skipped in run.skipped() {
        let (stage, why) = (&skipped.stage, &skipped.why);
        session.ui.warn(&format!("{stage} is left out: {why}"));
    }
    refuse_findings(run.findings())?;
    if approval.consent == Consent::Given && !approval.new_role && !approval.is_dry {
        roles::refuse(&plans)?;
    }
    // What a run that is gone on with was to take may be taken already.
    if approval.goes_on_with.is_none() {
        policy::refuse_unmatched(&policy, &plans)?;
    }
    refuse_unchangeable(&plans)?;
    if approval.is_dry {
        session.ui.note("Dry run: nothing was changed.");
        return Ok(ExitCode::Ok);
    }
    let has_changes = plans.iter().any(StagePlan::has_changes);
    if approval.is_over(has_changes, || all_ready(&run, session)) {
        return finished(&run);
    }
    refuse_conflicts(&plans)?;
    let question = view::question(&plans, &named_clusters(&clusters));
    let confirmed = consent::obtain(session, approval.consent, &question)?;
    let ledger = Ledger::default();
    let (outcome, signalled) = {
        let signalled = Cell::new(ExitCode::Interrupted);
        let signals = signal::stop_on_signal(session, stop.clone(), &signalled);
        let outcome = tokio::select! {
            outcome = run.apply(&confirmed, &ledger) => outcome,
            () = signals => Err(DeployError::Stopped),
        };
        (outcome, signalled.get())
    };
    let progressed = ledger.into_inner();
    let again = going_on(job, session);
    outcome.map_err(|error| how_far(&progressed, error, signalled, &again))?;
    let touched = view::touched(progressed.written(), progressed.deleted());
    session.ui.note(&format!("Done: {touched}."));
    finished(&run)
}

/// The end of a run that did what it could; clusters that were left out are still to do.
fn finished(run: &Run<'_>) -> Result<ExitCode, CliError> {
    let skipped = run.skipped();
    if skipped.is_empty() {
        return Ok(ExitCode::Ok);
    }
    let mut error = CliError::with_code(
        ExitCode::Partial,
        "some clusters did not answer and were left out",
    );
    for one in skipped {
        error = error.detail(format!("cluster {}: {}", one.stage.context, one.why));
    }
    Err(error.hint("once they answer: telectl resume"))
}

/// The command that goes on where a run broke off.
fn going_on(job: &Job, session: &Session) -> String {
    let Some(intent) = &job.intent else {
        return session.command_line.clone();
    };
    let mut command = "telectl resume".to_owned();
    for (flag, context) in [("-c", &intent.central), ("-s", &intent.shared)] {
        if let Some(context) = context {
            command.push_str(&format!(" {flag} {context}"));
        }
    }
    if let Some(namespace) = &intent.namespace {
        command.push_str(&format!(" -n {namespace}"));
    }
    command
}

/// Whether everything that is deployed is ready; says what is not.
fn all_ready(run: &Run<'_>, session: &Session) -> bool {
    let unready = run.not_ready();
    if unready.is_empty() {
        session
            .ui
            .note("No changes: the clusters are as rendered, and everything is ready.");
    }
    for (stage, object, why) in unready {
        session
            .ui
            .warn(&format!("{stage}: {object} is not ready: {why}"));
    }
    unready.is_empty()
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
        knowledge: job.knowledge.clone(),
        stop,
    }
}

type BoxedRenderer<'a> =
    Box<dyn Fn(&Stage, &[(String, serde_json::Value)]) -> Result<RenderedSet, DeployError> + 'a>;

fn renderer<'a>(job: &'a Job, session: &'a Session) -> BoxedRenderer<'a> {
    let said = RefCell::new(std::collections::BTreeSet::new());
    Box::new(move |stage, handed_over| {
        // What was rendered once is not rendered again.
        if let Some((_, sets)) = &job.past {
            return Ok(sets[stage].clone());
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| DeployError::Render {
            stage: stage.to_string(),
            source,
        };
        let mut layers = job.layers.clone();
        layers.fleet.extend(job.of_stages.get(stage).cloned());
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

fn options(job: &Job, session: &Session, behaviour: &Behaviour) -> Result<Options, CliError> {
    let intent = job.intent.as_ref().map(serde_json::to_value).transpose();
    let files = job.layers.files.iter().map(|file| file.name.clone());
    Ok(Options {
        policy: behaviour.policy.policy(),
        deadline: behaviour.timeout,
        run_deadline: behaviour.run_timeout,
        on_failure: match behaviour.on_failure {
            super::OnFailure::Stop => OnFailure::Stop,
            super::OnFailure::Rollback => OnFailure::Rollback,
        },
        unreachable: if behaviour.skip_unreachable {
            Unreachable::Skip
        } else {
            Unreachable::Fail
        },
        max_unavailable: behaviour.max_unavailable,
        pause_after: behaviour.pause_after,
        who: who(session),
        files: files.collect(),
        goes_on_with: None,
        intent: intent
            .map_err(|error| CliError::failed("cannot note the deployment").because(error))?,
        skip_preflight: preflight::skipped(&behaviour.skip_preflight)?,
        note: job.past.as_ref().map(|(to, _)| format!("rollback to {to}")),
    })
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
            ClusterError::UnknownKind { .. } => made
                .hint("install the Prometheus operator first, or --set monitoring.enabled=false"),
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
            DeployError::Conflicts { ref objects, .. } => policy::conflicting(&error, objects),
            DeployError::NotOurs { ref objects } => policy::foreign(&error, objects),
            DeployError::CannotChange { ref objects } => refusals::explained(&error, objects),
            DeployError::Rejected { ref objects } => refusals::rejected(&error, objects),
            DeployError::Preflight { ref findings } => {
                preflight::explained(&error, findings).hint(preflight::way_on(findings))
            }
            DeployError::Layout(ref source) => Self::from_error(ExitCode::Usage, source)
                .hint("give contexts of different clusters, or `telectl deploy same-cluster`"),
            DeployError::Secret(ref source @ SecretError::Foreign { .. }) => {
                Self::from_error(ExitCode::Error, source).hint(
                    "whoever made it changes it; then telectl deploy-all restarts its readers",
                )
            }
            DeployError::NotRotated { .. } => Self::from_error(ExitCode::Usage, &error)
                .hint("telectl deploy-all --rotate … deploys everything that telectl makes"),
            DeployError::Secret(ref source @ SecretError::Missing { .. }) => {
                Self::from_error(ExitCode::Error, source)
                    .hint("kubectl create secret generic makes it; then run this again")
            }
            DeployError::NoAuthority { .. } => Self::from_error(ExitCode::Error, &error)
                .hint("telectl deploy-all makes another one and signs every certificate anew"),
            DeployError::NoAddress { .. } => Self::from_error(ExitCode::Error, &error)
                .hint("deploy the shared profile first, or give --redis-host and --etcd-endpoints"),
            DeployError::Render { .. } => Self::from_error(ExitCode::Usage, &error),
            DeployError::Canary { .. } => Self::from_error(ExitCode::Error, &error)
                .hint("telectl validate data says at which hop it is lost and what to do"),
            DeployError::OutOfTime { .. } => Self::from_error(ExitCode::Timeout, &error),
            DeployError::Paused { .. } => Self::from_error(ExitCode::Partial, &error)
                .hint("have a look: telectl status, telectl validate"),
            other => Self::from_error(ExitCode::Error, &other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval(goes_on_with: Option<u32>) -> Approval {
        Approval {
            consent: Consent::Given,
            is_dry: false,
            new_role: false,
            saved: None,
            goes_on_with,
        }
    }

    #[test]
    fn d16_a_run_that_was_broken_off_is_not_over_while_its_note_is_there() {
        assert!(approval(None).is_over(false, || true));
        assert!(!approval(None).is_over(false, || false), "not ready");
        assert!(!approval(None).is_over(true, || true), "something to do");
        assert!(!approval(Some(1)).is_over(false, || true), "its note");
    }
}
