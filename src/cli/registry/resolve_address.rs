//! `telectl registry resolve-address`: where a worker would say it is, and why.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::worker;
use crate::config::environment::Environment;
use crate::config::worker::{AdvertiseSettings, listen_port};
use crate::model::exit::ExitCode;
use crate::registry::address::{AddressError, Advertised, Reach, Rung, Skipped};
use crate::registry::lookup::advertised_address;
use crate::report::Table;

use super::filter::WorkerType;
use super::view::{Form, SCHEMA_VERSION, document};

/// From where the address has to be reachable
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReachArg {
    /// From other machines, as for a worker in a pod: loopback addresses are refused
    Cluster,
    /// From this machine is enough, as for a worker outside a cluster
    Host,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Reads what a worker reads: SERVICE_ADDRESS, EXTERNAL_SERVICE_ADDRESS, POD_IP, \
                  SERVICE_NAME with NAMESPACE, HTTP_PORT, LISTEN_PORT, ADVERTISED_SCHEME and \
                  HTTP_TLS_DIR; names are looked up from here. No registry is needed. Exits with 2 \
                  where a worker would find no address to advertise."
)]
pub(super) struct ResolveAddressArgs {
    /// For which worker: its own port is what it listens on unless LISTEN_PORT says another
    #[arg(long, value_name = "TYPE", default_value = "streamer")]
    r#type: WorkerType,
    /// Port that the worker listens on [env: LISTEN_PORT]
    #[arg(long, value_name = "PORT")]
    listen_port: Option<u16>,
    /// From where the address has to be reachable; as a worker decides if not given
    #[arg(long, value_name = "WHERE")]
    reach: Option<ReachArg>,
    /// The form of the answer
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Debug, Serialize)]
struct AddressView<'a> {
    schema_version: u32,
    /// `host:port`.
    endpoint: String,
    address: &'a str,
    port: u16,
    /// `http` or `https`.
    scheme: &'a str,
    /// The rung of the ladder that won.
    source: Rung,
    /// `cluster` or `host`.
    reach: &'static str,
    /// The rungs above it, and why each did not.
    not_used: &'a [Skipped],
}

pub(super) fn run(args: &ResolveAddressArgs, session: &Session) -> Result<ExitCode, CliError> {
    let environment = &session.environment;
    let settings = AdvertiseSettings::from_environment(environment)?;
    let port = match args.listen_port {
        Some(port) => port,
        None => listen_port(args.r#type.component(), environment)?,
    };
    let reach = match args.reach {
        Some(ReachArg::Cluster) => Reach::Network,
        Some(ReachArg::Host) => Reach::Host,
        None => worker::reach(environment),
    };
    let found = crate::cli::block_on(async {
        let host_name = worker::host_name(environment).await;
        Ok(advertised_address(&settings, port, reach, host_name.as_deref()).await)
    })?;
    let advertised = found.map_err(|error| refused(&error, args.reach, environment))?;
    match args.output {
        Form::Table => session.ui.table(&table(&advertised, reach))?,
        form => session
            .ui
            .data(&document(form, &view(&advertised, reach))?)?,
    }
    Ok(ExitCode::Ok)
}

fn view(advertised: &Advertised, reach: Reach) -> AddressView<'_> {
    AddressView {
        schema_version: SCHEMA_VERSION,
        endpoint: advertised.endpoint.to_string(),
        address: &advertised.endpoint.host,
        port: advertised.endpoint.port,
        scheme: &advertised.scheme,
        source: advertised.rung,
        reach: match reach {
            Reach::Network => "cluster",
            Reach::Host => "host",
        },
        not_used: &advertised.skipped,
    }
}

/// The ladder from the top down to the rung that won.
fn table(advertised: &Advertised, reach: Reach) -> Table {
    let mut table = Table::new(&["FROM", "ADDRESS", "WHY"]);
    for skip in &advertised.skipped {
        table.row(vec![
            skip.rung.to_string().into(),
            "-".into(),
            skip.because.clone().into(),
        ]);
    }
    let url = format!("{}://{}", advertised.scheme, advertised.endpoint);
    let why = match reach {
        Reach::Network => "advertised: the first that other machines reach",
        Reach::Host => "advertised: the first; this machine is enough",
    };
    table.row(vec![
        advertised.rung.to_string().into(),
        url.into(),
        why.into(),
    ]);
    table
}

/// As a worker refuses: with every rung.
fn refused(error: &AddressError, asked: Option<ReachArg>, environment: &Environment) -> CliError {
    let AddressError::OnlyLoopback { skipped } = error;
    let refused =
        CliError::usage("a worker with this environment has no address that other machines reach");
    let refused = skipped.iter().fold(refused, |refused, skip| {
        refused.detail(format!("{}: {}", skip.rung, skip.because))
    });
    let refused = refused.hint(
        "set SERVICE_ADDRESS or EXTERNAL_SERVICE_ADDRESS to a name or address that others reach, or \
         POD_IP by the downward API",
    );
    match (asked, worker::sign_of_a_pod(environment)) {
        (None, Some(variable)) => refused.hint(format!(
            "{variable} is set, as in a pod; --reach host asks for a worker that only this machine \
             has to reach"
        )),
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x02_nothing_but_loopback_is_refused_with_every_rung_and_the_way_out() {
        let skipped = vec![Skipped {
            rung: Rung::PodIp,
            because: "`127.0.0.1` is reachable from this machine only".to_owned(),
        }];
        let error = AddressError::OnlyLoopback { skipped };
        let environment = Environment::from([("POD_IP", "127.0.0.1")]);
        let told = refused(&error, None, &environment);
        assert_eq!(told.exit_code(), ExitCode::Usage);
        let text = told.text();
        assert!(text.contains("POD_IP: `127.0.0.1` is reachable"), "{text}");
        assert!(text.contains("set SERVICE_ADDRESS"), "{text}");
        assert!(text.contains("POD_IP is set, as in a pod"), "{text}");
        let asked = refused(&error, Some(ReachArg::Cluster), &environment);
        assert!(!asked.text().contains("as in a pod"), "{}", asked.text());
    }
}
