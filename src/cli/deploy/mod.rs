//! `telectl plan`, `deploy`, `deploy-all`, `resume`, `rollback` and `history`

mod apply;
mod difference;
mod intent;
mod outcome;
mod past;
mod policy;
pub(super) mod preflight;
mod progress;
mod refusals;
mod resume;
mod roles;
mod saved;
mod stages;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::deploy::rotation::Rotated;
use crate::model::exit::ExitCode;
use crate::model::profile::Profile;
use crate::report::visible;

use super::consent::Consent;
use super::error::CliError;
use super::session::Session;
use super::targets::Targets;
use super::time::time;
use super::values::{self, ValuesArgs};
use apply::Approval;
use intent::{Behaviour, Intent};
use policy::PolicyArgs;

/// What a deployment is made from
#[derive(Debug, Args)]
pub(super) struct SourceArgs {
    #[command(flatten)]
    values: ValuesArgs,
    /// Redis that somebody else runs, instead of the shared profile's [env: REDIS_HOST]
    #[arg(short, long, value_name = "HOST[:PORT]")]
    redis_host: Option<String>,
    /// etcd that somebody else runs; may be given several times
    #[arg(long, value_name = "URL")]
    etcd_endpoints: Vec<String>,
    /// Make this anew although it would do, in every cluster, and restart what reads it:
    /// redis-password, database-password, api-token, certificates, or authority (with every
    /// certificate); may be given several times
    #[arg(long, value_name = "WHAT", value_parser = rotated(), value_delimiter = ',')]
    rotate: Vec<Rotated>,
    #[command(flatten)]
    secrets: SecretArgs,
}

/// Reads what is to be rotated; a mistyped word is answered with the nearest.
fn rotated() -> impl TypedValueParser<Value = Rotated> {
    PossibleValuesParser::new(Rotated::ALL.map(Rotated::name))
        .try_map(|name| name.parse::<Rotated>())
}

/// Where secrets come from
#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// Where the password of Redis comes from: env:NAME, file:PATH or - [env: REDIS_PASSWORD]
    #[arg(short = 'p', long, value_name = "REFERENCE")]
    redis_password: Option<String>,
    /// Where the password of the database comes from: env:NAME, file:PATH or - [env: DB_PASSWORD]
    #[arg(short, long, value_name = "REFERENCE")]
    db_password: Option<String>,
}

/// How a deployment is applied
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// Apply the plan without asking
    #[arg(short, long)]
    yes: bool,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Go on in spite of the errors of this check of the clusters, such as TEL-PRE-012; may be given
    /// several times
    #[arg(long, value_name = "ID")]
    skip_preflight: Vec<String>,
    /// With --yes: deploy also where the namespace holds another profile, for example central where
    /// edge was deployed
    #[arg(long)]
    new_role: bool,
    /// Longest time for one stage to become ready, for example 10m; the profile's if not given
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// Longest time for everything together, for example 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    run_timeout: Option<Duration>,
    /// What becomes of a run that fails
    #[arg(long, value_name = "WHAT", default_value = "stop")]
    on_failure: OnFailure,
}

/// What becomes of a run that fails
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnFailure {
    /// What it wrote stays; `telectl resume` goes on
    #[default]
    Stop,
    /// Every cluster goes back to what was deployed before
    Rollback,
}

impl ApplyArgs {
    const fn consent(&self) -> Consent {
        if self.yes {
            Consent::Given
        } else {
            Consent::Ask
        }
    }
}

/// How a deployment goes over many clusters
#[derive(Debug, Args)]
pub(super) struct SpreadArgs {
    /// Go on without edge clusters that do not answer; `telectl resume` catches them up
    #[arg(long)]
    skip_unreachable: bool,
    /// How many edges, after the first, may be away at the same time: being deployed, or failed.
    /// All if not given
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(usize))]
    max_unavailable: Option<usize>,
    /// Stop after this many edges, to have a look; `telectl resume` goes on
    #[arg(long, value_name = "COUNT")]
    pause_after: Option<usize>,
}

/// The form of a plan
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlanOutput {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Arguments of `telectl plan`
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Go on in spite of the errors of this check of the clusters, such as TEL-PRE-012; may be given
    /// several times
    #[arg(long, value_name = "ID")]
    skip_preflight: Vec<String>,
    /// Exit with 3 if there are changes; with 1, always, if an object cannot be changed in place
    #[arg(long)]
    exit_code: bool,
    /// The form of the plan
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: PlanOutput,
    /// Keep the plan in a file, for `deploy-all --plan`
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Arguments of `telectl deploy-all`
#[derive(Debug, Args)]
pub(super) struct DeployAllArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    apply: ApplyArgs,
    #[command(flatten)]
    spread: SpreadArgs,
    /// Apply the plan that `plan --save` kept, and nothing else: refused if anything is different by
    /// now
    #[arg(long, value_name = "FILE", conflicts_with_all = SOURCES)]
    plan: Option<PathBuf>,
}

/// The flags that a saved plan answers.
const SOURCES: [&str; 10] = [
    "files",
    "sets",
    "rotate",
    "redis_host",
    "etcd_endpoints",
    "edge_context",
    "central_context",
    "shared_context",
    "namespace",
    "fleet",
];

/// Arguments of `telectl resume`
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    secrets: SecretArgs,
    /// Apply what is left without asking
    #[arg(short, long)]
    yes: bool,
    /// Show what is left and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `telectl rollback`
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The generation to go back to, by `telectl history`; the one before the newest if not given
    #[arg(long, value_name = "GENERATION")]
    to: Option<u32>,
    #[command(flatten)]
    apply: ApplyArgs,
}

/// Arguments of `telectl history`
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The form
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: HistoryOutput,
}

/// The form of a history
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HistoryOutput {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Arguments of `telectl deploy`
#[derive(Debug, Args)]
pub(super) struct DeployArgs {
    /// Which profile
    #[arg(value_parser = values::profile())]
    profile: Profile,
    /// Context of the cluster that it goes to. `edge` also needs to know where Redis and etcd are:
    /// --central-context (-c), or --shared-context (-s) if they have a cluster of their own, or
    /// --redis-host with --etcd-endpoints. `central` needs -s in the second case only
    #[arg(long, value_name = "CONTEXT")]
    context: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    apply: ApplyArgs,
}

pub(super) fn plan(
    args: &PlanArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let mut intent = Intent::of(&args.source, targets, session)?;
    intent.behaviour.policy = args.policy.clone();
    intent.behaviour.skip_preflight = args.skip_preflight.clone();
    let policy = args.policy.policy();
    let job = stages::all("plan", &intent, &args.source.secrets, targets, session)?;
    let planning = apply::plan_only(&job, &intent.behaviour, session);
    let (plans, findings) = super::block_on(planning)?;
    let text = match args.output {
        PlanOutput::Text => visible(&view::text(&plans)).into_owned(),
        PlanOutput::Json => view::json(&plans),
    };
    let changes = plans
        .iter()
        .any(crate::deploy::plan::StagePlan::has_changes);
    let code = if args.exit_code && changes {
        ExitCode::ChangesPending
    } else {
        ExitCode::Ok
    };
    let code = session.answer(&text, code)?;
    crate::deploy::preflight::refuse(&findings)?;
    policy::refuse_unmatched(&policy, &plans)?;
    apply::refuse_unchangeable(&plans)?;
    if let Some(file) = &args.save {
        saved::write(file, &intent, &plans)?;
    }
    Ok(code)
}

pub(super) fn deploy_all(
    args: &DeployAllArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let (mut intent, saved) = match &args.plan {
        Some(file) => {
            let saved = saved::read(file)?;
            (saved.intent.clone(), Some(saved))
        }
        None => (Intent::of(&args.source, targets, session)?, None),
    };
    let planned = std::mem::take(&mut intent.behaviour.policy);
    intent.behaviour = Behaviour::of(&args.apply, Some(&args.spread));
    if saved.is_some() {
        intent.behaviour.policy = planned;
    }
    let secrets = &args.source.secrets;
    let job = stages::all("deploy-all", &intent, secrets, targets, session)?;
    let approval = Approval {
        consent: args.apply.consent(),
        is_dry: args.apply.dry_run,
        new_role: args.apply.new_role,
        saved,
        goes_on_with: None,
    };
    super::block_on(apply::run(&job, &intent.behaviour, approval, session))
}

pub(super) fn deploy(
    args: &DeployArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let context = args.context.as_deref();
    let job = stages::one(args.profile, context, &args.source, targets, session)?;
    let behaviour = Behaviour::of(&args.apply, None);
    super::block_on(apply::run(
        &job,
        &behaviour,
        Approval::of(&args.apply),
        session,
    ))
}

pub(super) fn resume(
    args: &ResumeArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    super::block_on(async {
        let Some(unfinished) = resume::find(targets).await? else {
            session
                .ui
                .note("Nothing to go on with: the last deployment came to its end.");
            return Ok(ExitCode::Ok);
        };
        let generation = unfinished.generation;
        let mut intent = resume::intent(unfinished, session)?;
        // Whoever goes on has had a look.
        intent.behaviour.pause_after = None;
        let job = stages::all("resume", &intent, &args.secrets, targets, session)?;
        let approval = Approval {
            consent: if args.yes {
                Consent::Given
            } else {
                Consent::Ask
            },
            is_dry: args.dry_run,
            new_role: true,
            saved: None,
            goes_on_with: Some(generation),
        };
        apply::run(&job, &intent.behaviour, approval, session).await
    })
}

pub(super) fn rollback(
    args: &RollbackArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    super::block_on(async {
        let past = past::read(targets).await?;
        let job = past.job(args.to)?;
        let behaviour = Behaviour::of(&args.apply, None);
        apply::run(&job, &behaviour, Approval::of(&args.apply), session).await
    })
}

pub(super) fn history(
    args: &HistoryArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let past = super::block_on(past::read(targets))?;
    match args.output {
        HistoryOutput::Table => session.ui.table(&past.table())?,
        HistoryOutput::Json => session.ui.data(&past.json())?,
    }
    Ok(ExitCode::Ok)
}
