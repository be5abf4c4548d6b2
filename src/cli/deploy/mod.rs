//! `telectl plan`, `telectl deploy` and `telectl deploy-all`

mod apply;
mod difference;
mod outcome;
pub(super) mod preflight;
mod progress;
mod refusals;
mod roles;
mod stages;
mod view;

use clap::{Args, ValueEnum};

use crate::model::exit::ExitCode;
use crate::model::profile::Profile;

use super::consent::Consent;
use super::error::CliError;
use super::session::Session;
use super::targets::Targets;
use super::values::{self, ValuesArgs};

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
    /// Where the password of Redis comes from: env:NAME, file:PATH or - [env: REDIS_PASSWORD]
    #[arg(short = 'p', long, value_name = "REFERENCE")]
    redis_password: Option<String>,
    /// Where the password of the database comes from: env:NAME, file:PATH or - [env: DB_PASSWORD]
    #[arg(short, long, value_name = "REFERENCE")]
    db_password: Option<String>,
    /// Go on in spite of the errors of this check of the clusters, such as TEL-PRE-012; may be given
    /// several times
    #[arg(long, value_name = "ID")]
    skip_preflight: Vec<String>,
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
    /// Take over fields that somebody else changed
    #[arg(long)]
    take: bool,
    /// With --yes: deploy also where the namespace holds another profile, for example central where
    /// edge was deployed
    #[arg(long)]
    new_role: bool,
    /// Longest time for one stage to become ready, for example 10m; the profile's if not given
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
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
    /// Exit with 3 if there are changes; with 1, always, if an object cannot be changed in place
    #[arg(long)]
    exit_code: bool,
    /// The form of the plan
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: PlanOutput,
}

/// Arguments of `telectl deploy-all`
#[derive(Debug, Args)]
pub(super) struct DeployAllArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    apply: ApplyArgs,
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
    let job = stages::all("plan", &args.source, targets, session)?;
    let plans = super::block_on(apply::plan_only(&job, session))?;
    let text = match args.output {
        PlanOutput::Text => view::text(&plans),
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
    apply::refuse_unchangeable(&plans)?;
    Ok(code)
}

pub(super) fn deploy_all(
    args: &DeployAllArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let job = stages::all("deploy-all", &args.source, targets, session)?;
    super::block_on(apply::run(&job, &args.apply, session))
}

pub(super) fn deploy(
    args: &DeployArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let context = args.context.as_deref();
    let job = stages::one(args.profile, context, &args.source, targets, session)?;
    super::block_on(apply::run(&job, &args.apply, session))
}
