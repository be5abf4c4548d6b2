//! `telectl status`

mod view;

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::config::worker::parse_duration;
use crate::model::exit::ExitCode;
use crate::status::{Collected, Limits, StatusReport, Verdict, collect, summarise};
use crate::validate::{Probing, Site};

use super::error::CliError;
use super::session::Session;
use super::sites::sites;
use super::targets::Targets;

/// The form of the report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusOutput {
    /// For people
    Table,
    /// For people with a wide screen: images, autoscalers, last deployments
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

/// Arguments of `telectl status`
#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 0 if everything is ready, else with 1; a cluster that does not \
                        answer is a row."
)]
pub(super) struct StatusArgs {
    /// The form of the report
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: StatusOutput,
    /// Only read: without the short-lived Job that reads the registrations from etcd
    #[arg(long)]
    read_only: bool,
    /// Longest time for one cluster, for example 20s
    #[arg(long, value_name = "TIME", default_value = "20s")]
    timeout: String,
}

pub(super) fn run(
    args: &StatusArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let Some(limit) = parse_duration(&args.timeout).filter(|limit| !limit.is_zero()) else {
        return Err(CliError::usage(format!(
            "`{}` is no time such as 20s",
            args.timeout
        )));
    };
    let probing = if args.read_only {
        Probing::Omit
    } else {
        Probing::Run
    };
    let report = super::block_on(async {
        let (sites, _) = sites(targets).await?;
        let collected = Box::pin(asked(&sites, limit, probing)).await?;
        Ok(summarise(&collected, jiff::Timestamp::now()))
    })?;
    let coloring = session.ui.data_coloring();
    let text = match args.output {
        StatusOutput::Table => view::table(&report, view::Width::Narrow, coloring),
        StatusOutput::Wide => view::table(&report, view::Width::Wide, coloring),
        StatusOutput::Json => serde_json::to_string_pretty(&report).unwrap_or_default(),
        StatusOutput::Yaml => serde_yaml::to_string(&report)
            .map_err(|error| CliError::failed("cannot write YAML").because(error))?,
    };
    session.answer(&text, verdict(&report))
}

/// Ready: 0. A cluster that does not answer, or something that is not ready or not known: 1.
fn verdict(report: &StatusReport) -> ExitCode {
    match report.verdict {
        Verdict::Ready => ExitCode::Ok,
        Verdict::Unknown
        | Verdict::Degraded
        | Verdict::Down
        | Verdict::Missing
        | Verdict::Unreachable => ExitCode::Error,
    }
}

/// Asks; an interrupt removes the probe before it ends the command.
async fn asked(sites: &[Site], limit: Duration, probing: Probing) -> Result<Collected, CliError> {
    let limits = Limits {
        cluster: limit,
        probe: limit,
    };
    let stop = CancellationToken::new();
    let mut collecting = std::pin::pin!(collect(sites, limits, probing, stop.clone()));
    let mut interrupted = None;
    loop {
        tokio::select! {
            collected = &mut collecting => {
                return match interrupted {
                    None => Ok(collected),
                    Some(code) => Err(CliError::with_code(code, "interrupted")),
                };
            }
            code = super::signal::received() => {
                if interrupted.is_some() {
                    return Err(CliError::with_code(code, "interrupted again"));
                }
                interrupted = Some(code);
                stop.cancel();
            }
        }
    }
}
