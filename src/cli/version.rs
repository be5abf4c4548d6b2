//! `telectl version`

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::model::exit::ExitCode;
use crate::report::{Cell, Coloring, Emphasis, Table};
use crate::status::report::{StatusReport, VersionStatus};
use crate::status::{Limits, collect, summarise};
use crate::validate::Probing;

use super::error::CliError;
use super::session::Session;
use super::sites::sites;
use super::targets::Targets;
use super::time::time;

/// Version of the answer as JSON; fields are only ever added.
const SCHEMA_VERSION: u32 = 1;

/// The form of the answer
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VersionOutput {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Arguments of `telectl version`
#[derive(Debug, Args)]
#[command(
    after_help = "Clusters are asked only if their contexts are given. Exits with 0 also where \
                  versions differ; `telectl status` judges."
)]
pub(super) struct VersionArgs {
    /// The form of the answer
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: VersionOutput,
    /// Longest time for one cluster, for example 20s
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = time)]
    timeout: Duration,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    schema_version: u32,
    telectl: Build,
    clusters: Vec<ClusterVersion>,
    components: Vec<VersionStatus>,
}

/// What this program was built from.
#[derive(Debug, Serialize)]
struct Build {
    version: &'static str,
    os: &'static str,
    architecture: &'static str,
    profile: &'static str,
    /// The Kubernetes version whose objects it knows.
    kubernetes_api: &'static str,
}

const BUILD: Build = Build {
    version: env!("CARGO_PKG_VERSION"),
    os: std::env::consts::OS,
    architecture: std::env::consts::ARCH,
    profile: if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    },
    kubernetes_api: "1.34",
};

/// What a cluster is.
#[derive(Debug, Serialize)]
struct ClusterVersion {
    context: String,
    server: String,
    kubernetes: Option<String>,
    unreachable: Option<String>,
}

pub(super) fn run(
    args: &VersionArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let limit = args.timeout;
    let answer = if targets.is_empty() {
        answer(None)
    } else {
        answer(Some(asked(targets, limit)?))
    };
    let text = match args.output {
        VersionOutput::Text => text(&answer, session.ui.data_coloring()),
        VersionOutput::Json => serde_json::to_string_pretty(&answer)
            .map_err(|error| CliError::failed("cannot write the answer").because(error))?,
    };
    session.ui.data(&text)?;
    Ok(ExitCode::Ok)
}

fn asked(targets: &Targets, limit: Duration) -> Result<StatusReport, CliError> {
    let limits = Limits {
        cluster: limit,
        probe: limit,
    };
    super::block_on(async {
        let (sites, _) = sites(targets).await?;
        let stop = CancellationToken::new();
        let collecting = collect(&sites, limits, Probing::Omit, stop);
        tokio::select! {
            collected = Box::pin(collecting) => {
                Ok(summarise(&collected, jiff::Timestamp::now()))
            }
            code = super::signal::received() => Err(CliError::with_code(code, "interrupted")),
        }
    })
}

fn answer(report: Option<StatusReport>) -> Answer {
    let (clusters, components) = report.map_or_else(Default::default, |report| {
        let clusters = report.clusters.into_iter().map(|cluster| ClusterVersion {
            context: cluster.context,
            server: cluster.server,
            kubernetes: cluster.version,
            unreachable: cluster.unreachable,
        });
        (clusters.collect(), report.versions)
    });
    Answer {
        schema_version: SCHEMA_VERSION,
        telectl: BUILD,
        clusters,
        components,
    }
}

fn text(answer: &Answer, coloring: Coloring) -> String {
    let build = &answer.telectl;
    let mut text = format!(
        "telectl {} ({}, {}, {} build, Kubernetes API {})\n",
        build.version, build.os, build.architecture, build.profile, build.kubernetes_api
    );
    let mut table = Table::new(&["CLUSTER", "OF", "VERSION", ""]);
    for cluster in &answer.clusters {
        let version = match (&cluster.kubernetes, &cluster.unreachable) {
            (Some(version), _) => Cell::from(version.clone()),
            (None, why) => Cell::new(why.clone().unwrap_or_default(), Emphasis::Bad),
        };
        table.row(vec![
            cluster.context.clone().into(),
            "kubernetes".into(),
            version,
            "".into(),
        ]);
        for of in &answer.components {
            table_rows(&mut table, of, &cluster.context);
        }
    }
    if !table.is_empty() {
        text.push('\n');
        text.push_str(&table.render(coloring));
    }
    text
}

fn table_rows(table: &mut Table, of: &VersionStatus, context: &str) {
    let name = match of.of {
        "telectl" => "deployed by telectl",
        other => other,
    };
    let seen = of.seen.iter().filter(|seen| seen.cluster == context);
    let versions: BTreeSet<String> = seen
        .map(|seen| match &seen.reported {
            Some(reported) if *reported != seen.version => {
                format!("{} (says {reported})", seen.version)
            }
            _ => seen.version.clone(),
        })
        .collect();
    for version in versions {
        let skew = if of.is_skewed {
            Cell::new("differs between clusters", Emphasis::Warning)
        } else {
            Cell::from("")
        };
        table.row(vec![context.into(), name.into(), version.into(), skew]);
    }
}
