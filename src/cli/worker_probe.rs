//! `telectl worker probe`: what `validate` and `status` run in a Job.

use clap::{Args, ValueEnum};
use url::Url;

use crate::model::canary::CanaryId;
use crate::model::component::Component;
use crate::model::exit::ExitCode;
use crate::probe::encode;
use crate::workers::probe::{ProbeRequest, run as probe, send_canaries};

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
    /// Instead, publish a canary of this name (32 hexadecimal digits) as a streamer would; may be
    /// given several times
    #[arg(long, value_name = "ID", value_parser = canary_id, conflicts_with = "gateway")]
    canary: Vec<CanaryId>,
}

fn canary_id(text: &str) -> Result<CanaryId, String> {
    CanaryId::parse(text).ok_or_else(|| "a name of 32 hexadecimal digits is expected".to_owned())
}

/// Prints the report and succeeds, whatever the probe found: what it means is judged elsewhere.
pub(super) fn run(args: &ProbeArgs, session: &Session) -> Result<ExitCode, CliError> {
    let component = match args.component {
        Stand::Streamer => Component::Streamer,
        Stand::Collector => Component::Collector,
        Stand::ApiGateway => Component::ApiGateway,
    };
    if !args.canary.is_empty() && component != Component::Streamer {
        return Err(CliError::usage(
            "only a streamer sends canaries: --component streamer",
        ));
    }
    let framed = super::block_on(async {
        let request = ProbeRequest::in_this_pod(component, args.gateway.clone()).await;
        let environment = &session.environment;
        let framed = if args.canary.is_empty() {
            encode(&Box::pin(probe(environment, request)).await)
        } else {
            Box::pin(send_canaries(environment, &request, &args.canary))
                .await
                .encode()
        };
        framed.map_err(|error| CliError::failed("cannot write the report").because(error))
    })?;
    session.ui.data(&framed)?;
    Ok(ExitCode::Ok)
}
