//! `telectl worker probe`: what `validate` and `status` run in a Job.

use clap::{Args, ValueEnum};
use url::Url;

use crate::model::component::Component;
use crate::model::exit::ExitCode;
use crate::probe::encode;
use crate::workers::probe::{ProbeRequest, run as probe};

use super::error::CliError;
use super::session::Session;

/// For which worker the probe stands
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Stand {
    /// DNS, Redis, etcd
    Streamer,
    /// DNS, Redis, PostgreSQL, etcd
    Collector,
    /// DNS, PostgreSQL, etcd
    ApiGateway,
}

#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// For which worker the probe stands; its settings are read from the environment
    #[arg(long, value_name = "WORKER")]
    component: Stand,
    /// Health endpoint to ask besides; may be given several times
    #[arg(long, value_name = "URL")]
    gateway: Vec<Url>,
}

/// Prints the report and succeeds, whatever the probe found: what it means is judged elsewhere.
pub(super) fn run(args: &ProbeArgs, session: &Session) -> Result<ExitCode, CliError> {
    let component = match args.component {
        Stand::Streamer => Component::Streamer,
        Stand::Collector => Component::Collector,
        Stand::ApiGateway => Component::ApiGateway,
    };
    let report = super::block_on(async {
        let request = ProbeRequest::in_this_pod(component, args.gateway.clone()).await;
        Ok(Box::pin(probe(&session.environment, request)).await)
    })?;
    let framed = encode(&report)
        .map_err(|error| CliError::failed("cannot write the report").because(error))?;
    session.ui.data(&framed)?;
    Ok(ExitCode::Ok)
}
