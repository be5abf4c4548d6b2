//! `telectl validate`

mod junit;
mod view;

use std::cell::RefCell;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::model::exit::ExitCode;
use crate::validate::facts::Role;
use crate::validate::{
    Canaries, Category, Circumstances, Finding, Observed, Probing, Site, Summary, judge, observe,
};

use super::error::CliError;
use super::session::Session;
use super::sites::sites;
use super::targets::Targets;
use super::time::time;

/// A probe whose pod does not start in this time is given up.
const PROBE_DEADLINE: Duration = Duration::from_secs(90);

/// What to validate
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subset {
    /// Workloads, pods and Services
    Deployment,
    /// Health of the workers and the API
    Health,
    /// From the pods' positions: DNS, Redis, PostgreSQL and etcd; with all that explains a failure
    /// there
    Connectivity,
    /// Registrations joined with live pods
    Registry,
    /// Canary records from each edge, through queue and store, to the API; with the failures that
    /// explain why one does not arrive
    Data,
    /// Every check, also those that later versions add
    All,
}

impl Subset {
    /// Which findings are shown; an API server that is gone always is.
    fn shows(self, finding: &Finding) -> bool {
        let category = finding.check.category;
        finding.check.id == "TEL-API-001"
            || match self {
                Self::Deployment => category == Category::Deployment,
                Self::Health => category == Category::Health,
                Self::Registry => {
                    category == Category::Registry
                        || matches!(finding.check.id, "TEL-ETC-001" | "TEL-PRB-001")
                }
                Self::Data => category == Category::Data || finding.verdict.is_failure(),
                Self::Connectivity | Self::All => true,
            }
    }

    const fn probing(self) -> Probing {
        match self {
            Self::Deployment | Self::Health => Probing::Omit,
            Self::Connectivity | Self::Registry | Self::Data | Self::All => Probing::Run,
        }
    }

    const fn canaries(self) -> Canaries {
        match self {
            Self::Data | Self::All => Canaries::Send,
            Self::Deployment | Self::Health | Self::Connectivity | Self::Registry => Canaries::Omit,
        }
    }
}

/// From which severity on the command fails
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A check failed
    Failure,
    /// A check failed or warned
    Warning,
}

/// The form of the report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportOutput {
    /// For people
    Table,
    /// Only what is not as it should be, to paste into a chat
    Short,
    /// For programs
    Json,
    /// For CI servers
    Junit,
}

/// Arguments of `telectl validate`
#[derive(Debug, Args)]
pub(super) struct ValidateArgs {
    /// What to validate
    #[arg(default_value = "all")]
    subset: Subset,
    /// From which severity on to exit with 4
    #[arg(long, value_name = "SEVERITY", default_value = "failure")]
    fail_on: FailOn,
    /// The form of the report
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: ReportOutput,
    /// Longest time for the whole run, for example 300s or 5m
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = time)]
    timeout: Duration,
}

pub(super) fn run(
    args: &ValidateArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let limit = args.timeout;
    let findings = super::block_on(async {
        let (sites, absent) = sites(targets).await?;
        let observed = Box::pin(collect(args.subset, &sites, absent, limit, session)).await?;
        let mut findings = judge(&observed);
        findings.retain(|finding| args.subset.shows(finding));
        Ok(findings)
    })?;
    let text = match args.output {
        ReportOutput::Table => view::table(&findings, session.ui.data_coloring()),
        ReportOutput::Short => view::short(&findings),
        ReportOutput::Json => view::json(&findings),
        ReportOutput::Junit => junit::report(&findings),
    };
    session.answer(&text, verdict(args.fail_on, &Summary::of(&findings)))
}

fn verdict(fail_on: FailOn, summary: &Summary) -> ExitCode {
    let warned = fail_on == FailOn::Warning && summary.warnings > 0;
    if summary.has_failures() || warned {
        ExitCode::ValidationFailed
    } else {
        ExitCode::Ok
    }
}

/// Observes until everything is known, the time is over, or somebody interrupts. In the last two
/// cases the probes that run are removed before this returns.
async fn collect(
    subset: Subset,
    sites: &[Site],
    absent: Vec<Role>,
    limit: Duration,
    session: &Session,
) -> Result<Observed, CliError> {
    let circumstances = Circumstances {
        run: format!("{:08x}", rand::random::<u32>()),
        stop: CancellationToken::new(),
        probe_deadline: limit.min(PROBE_DEADLINE),
        probing: subset.probing(),
        canaries: subset.canaries(),
    };
    let progress = RefCell::new(session.ui.progress());
    let listener = |cluster: &str, text: &str| match text {
        "done" => progress.borrow_mut().done(cluster),
        _ => progress.borrow_mut().waiting(cluster, text),
    };
    let stop = &circumstances.stop;
    let mut observing = std::pin::pin!(observe(sites, absent, &circumstances, &listener));
    let deadline = Instant::now() + limit;
    let mut interrupted = None;
    loop {
        tokio::select! {
            observed = &mut observing => {
                return match interrupted {
                    None => Ok(observed),
                    Some(code) => Err(CliError::with_code(
                        code,
                        "interrupted; the probes that were running have been removed",
                    )),
                };
            }
            () = sleep_until(deadline), if !stop.is_cancelled() => {
                session.ui.warn(&format!("{} s are over: stopping", limit.as_secs()));
                stop.cancel();
            }
            code = super::signal::received() => {
                if interrupted.is_some() {
                    return Err(CliError::with_code(code, "interrupted again; probes may be left, \
                        and the next run removes them"));
                }
                session.ui.note("Removing the probes; interrupt again to stop at once.");
                interrupted = Some(code);
                stop.cancel();
            }
        }
    }
}
