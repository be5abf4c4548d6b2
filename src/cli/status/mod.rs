//! `telectl status`

mod details;
mod view;
mod watch;

use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::model::exit::ExitCode;
use crate::status::{Collected, Limits, StatusReport, Verdict, collect, summarise};
use crate::validate::{Probing, Site};

use super::error::CliError;
use super::session::Session;
use super::sites::sites;
use super::targets::Targets;
use super::time::time;
pub(super) use view::age;
use view::{Extent, Frame};

/// The form of the report
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StatusOutput {
    /// For people
    Table,
    /// For people who want to see images, versions, deployments and the stalest GPUs, too
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
}

/// Arguments of `telectl status`
#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 0 if everything is well, else with 4; a cluster that does not answer \
                  is a row. --watch ends with 130 on Ctrl-C."
)]
pub(super) struct StatusArgs {
    /// The form of the report
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: StatusOutput,
    /// Keep looking: a screen that is drawn again, or one line per change where there is no terminal
    #[arg(short, long)]
    watch: bool,
    /// With --watch: pause between two looks at a cluster
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    interval: Duration,
    /// Only read: without the short-lived Job that looks at registrations and certificates
    #[arg(long)]
    read_only: bool,
    /// Longest time for one cluster, for example 20s
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = time)]
    timeout: Duration,
}

pub(super) fn run(
    args: &StatusArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let limit = args.timeout;
    let probing = if args.read_only {
        Probing::Omit
    } else {
        Probing::Run
    };
    let limits = Limits {
        cluster: limit,
        probe: limit,
    };
    super::block_on(async {
        let (sites, _) = sites(targets).await?;
        if args.watch {
            let watch = watch::Watch {
                limits,
                probing,
                interval: args.interval,
                output: args.output,
                session,
            };
            return Box::pin(watch.run(&sites)).await;
        }
        let collected = Box::pin(asked(&sites, limits, probing)).await?;
        let report = summarise(&collected, jiff::Timestamp::now());
        let text = written(&report, args.output, session)?;
        session.answer(&text, verdict(&report))
    })
}

/// The report in its form, for somebody who looks once.
fn written(
    report: &StatusReport,
    output: StatusOutput,
    session: &Session,
) -> Result<String, CliError> {
    let cannot = "cannot write the report";
    Ok(match output {
        StatusOutput::Table | StatusOutput::Wide => view::page(report, frame(output, session)),
        StatusOutput::Json => serde_json::to_string_pretty(report)
            .map_err(|error| CliError::failed(cannot).because(error))?,
        StatusOutput::Yaml => serde_yaml::to_string(report)
            .map_err(|error| CliError::failed(cannot).because(error))?,
    })
}

fn frame(output: StatusOutput, session: &Session) -> Frame {
    Frame {
        extent: match output {
            StatusOutput::Wide => Extent::Wide,
            _ => Extent::Short,
        },
        columns: session.ui.table_columns(),
        coloring: session.ui.data_coloring(),
    }
}

/// Well: 0. A cluster that does not answer, or something that is not well: 4.
const fn verdict(report: &StatusReport) -> ExitCode {
    match report.verdict {
        Verdict::Ready => ExitCode::Ok,
        Verdict::Unknown
        | Verdict::Degraded
        | Verdict::Down
        | Verdict::Missing
        | Verdict::Unreachable => ExitCode::ValidationFailed,
    }
}

/// Asks; an interrupt removes the probe before it ends the command.
async fn asked(sites: &[Site], limits: Limits, probing: Probing) -> Result<Collected, CliError> {
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
