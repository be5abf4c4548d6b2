//! `telectl registry show`: one registration, and whether its address answers now.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::cli::error::CliError;
use crate::cli::session::Session;
use crate::cli::status::age;
use crate::model::component::Component;
use crate::model::exit::ExitCode;
use crate::model::likeness::nearest;
use crate::probe::{Cause, Hop, HttpTarget, Target, TargetReport, probe};
use crate::registry::entries::Entry;
use crate::report::visible_in_line;
use crate::workers::probe::{ProbeRequest, authority};

use super::access::{Access, AccessArgs};
use super::view::{Form, RegistrationView, SCHEMA_VERSION, document};

/// Names that are suggested at most.
const SUGGESTIONS: usize = 3;
/// How much alike a suggestion has to be, from 0 to 1.
const ALIKE: f64 = 0.5;

#[derive(Debug, Args)]
#[command(
    after_help = "The address is asked from here, at /health. For https, the authority is that of \
                  HTTP_CA_CERT, else of ETCD_CA_CERT (PEM texts). Exits with 4 if it does not answer \
                  that it is well."
)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    access: AccessArgs,
    /// Key, TYPE/ID, or ID where no other type has it
    #[arg(value_name = "ID")]
    id: String,
    /// The form of the answer
    #[arg(short, long, value_name = "FORM", default_value = "table")]
    output: Form,
}

#[derive(Debug, Serialize)]
struct ShowView {
    schema_version: u32,
    registration: RegistrationView,
    reachability: Reachability,
}

/// Whether the advertised address answers now, asked from here.
#[derive(Debug, Serialize)]
struct Reachability {
    /// What was asked; `null` if the registration names no address.
    url: Option<String>,
    reachable: bool,
    /// The address and port that were talked to.
    address: Option<String>,
    latency_ms: Option<f64>,
    /// Where it failed.
    hop: Option<Hop>,
    cause: Option<Cause>,
    /// What was seen where it failed.
    detail: Option<String>,
}

pub(super) fn run(args: &ShowArgs, session: &Session) -> Result<ExitCode, CliError> {
    let access = args.access.open(&session.environment)?;
    crate::cli::block_on(show(args, &access, session))
}

async fn show(args: &ShowArgs, access: &Access, session: &Session) -> Result<ExitCode, CliError> {
    let entries = access.registry.entries().await?.entries;
    let now = Timestamp::now();
    let entry = found(&args.id, &entries, &access.place)?;
    let registration = RegistrationView::of(entry, now);
    let view = ShowView {
        schema_version: SCHEMA_VERSION,
        reachability: reachability(&registration, session).await,
        registration,
    };
    let code = if view.reachability.reachable {
        ExitCode::Ok
    } else {
        ExitCode::ValidationFailed
    };
    let answer = match args.output {
        Form::Table => text(&view),
        form => document(form, &view)?,
    };
    let ended = session.answer(&answer, code)?;
    if let Some(hint) = hint(&view.reachability) {
        session.ui.hint(hint);
    }
    Ok(ended)
}

/// The entry of this name.
fn found<'a>(name: &str, entries: &'a [Entry], place: &str) -> Result<&'a Entry, CliError> {
    let parts = |entry: &Entry| {
        let (service_type, id) = super::filter::type_and_id(&entry.registered.key);
        (id.to_owned(), format!("{service_type}/{id}"))
    };
    let is_meant = |entry: &&Entry| {
        let (id, typed) = parts(entry);
        [entry.registered.key.as_str(), &id, &typed].contains(&name)
    };
    let meant: Vec<&Entry> = entries.iter().filter(is_meant).collect();
    if let [one] = meant[..] {
        return Ok(one);
    }
    if !meant.is_empty() {
        let types: Vec<String> = meant.iter().map(|entry| parts(entry).1).collect();
        return Err(CliError::usage(format!(
            "`{name}` is registered under {} types at {place}",
            types.len()
        ))
        .hint(format!("name one of {}", types.join(", "))));
    }
    let missing = CliError::failed(format!("`{name}` is not registered at {place}"));
    let ids: Vec<String> = entries.iter().map(|entry| parts(entry).1).collect();
    let near = near(name, &ids);
    Err(if ids.is_empty() {
        missing.hint("nothing is registered there")
    } else if near.is_empty() {
        missing.hint("`telectl registry list` shows what is")
    } else {
        missing.hint(format!("is it {}?", near.join(", or ")))
    })
}

/// The names that may have been meant: those with it in them, and those that are most alike.
fn near(name: &str, ids: &[String]) -> Vec<String> {
    let mut found: Vec<String> = ids.iter().filter(|id| id.contains(name)).cloned().collect();
    let bare = |id: &String| id.rsplit('/').next().unwrap_or(id).to_owned();
    let mut rest: Vec<String> = ids.to_vec();
    while found.len() < SUGGESTIONS {
        rest.retain(|id| !found.contains(id));
        let names: Vec<String> = rest.iter().map(bare).chain(rest.iter().cloned()).collect();
        let Some(nearest) = nearest(name, names.iter().map(String::as_str), ALIKE) else {
            break;
        };
        let Some(id) = rest.iter().find(|id| *id == nearest || bare(id) == nearest) else {
            break;
        };
        found.push(id.clone());
    }
    found.truncate(SUGGESTIONS);
    found
}

async fn reachability(view: &RegistrationView, session: &Session) -> Reachability {
    let url = view.scheme.as_ref().zip(view.endpoint.as_ref());
    let url = url.map(|(scheme, endpoint)| format!("{scheme}://{endpoint}/health"));
    let nowhere = |cause, detail: String| Reachability {
        url: url.clone(),
        reachable: false,
        address: None,
        latency_ms: None,
        hop: None,
        cause: Some(cause),
        detail: Some(detail),
    };
    let Some(written) = &url else {
        let detail = "an unreadable value names no address".to_owned();
        return nowhere(Cause::Misconfigured, detail);
    };
    let parsed = match Url::parse(written) {
        Ok(parsed) => parsed,
        Err(error) => {
            let detail = format!("`{written}` is no URL: {error}");
            return nowhere(Cause::Misconfigured, detail);
        }
    };
    let request = ProbeRequest::in_this_pod(Component::Collector, Vec::new()).await;
    let target = Target::Http(HttpTarget {
        url: parsed,
        authority: authority(&session.environment),
    });
    let (report, _) = Box::pin(probe(&target, &request.resolver)).await;
    judged(&report)
}

fn judged(report: &TargetReport) -> Reachability {
    let failed = report.failed_hop();
    let failure = failed.and_then(|hop| hop.outcome.failure());
    let (cause, detail) = failure.unzip();
    Reachability {
        url: Some(report.endpoint.clone()),
        reachable: failed.is_none(),
        address: failed
            .and_then(|hop| hop.address.clone())
            .or_else(|| report.address().map(str::to_owned)),
        latency_ms: Some(report.latency_ms()),
        hop: failed.map(|hop| hop.hop),
        cause,
        detail,
    }
}

/// What a failure from here may mean.
const fn hint(reachability: &Reachability) -> Option<&'static str> {
    match reachability.cause {
        Some(Cause::TimedOut | Cause::Unreachable | Cause::NameNotFound | Cause::Refused) => Some(
            "addresses of pods and Services answer only within their cluster: `telectl validate \
             connectivity` asks from the pods",
        ),
        Some(Cause::CertificateNotTrusted) => {
            Some("HTTP_CA_CERT names the authority of the workers (PEM text)")
        }
        _ => None,
    }
}

fn text(view: &ShowView) -> String {
    let one = &view.registration;
    let mut lines = vec![
        ("key", one.key.clone()),
        ("type", one.service_type.clone()),
        ("id", one.id.clone()),
    ];
    let started = one.started_at.clone();
    let facts = [
        ("cluster", one.cluster.clone()),
        ("address", one.endpoint.clone()),
        ("mode", one.mode.clone()),
        ("version", one.version.clone()),
        ("health", one.health.clone()),
        ("registered", registered(one)),
        ("started", started.filter(|time| !time.is_empty())),
        ("instance", one.instance_uid.clone()),
        ("lease", Some(lease(one))),
    ];
    lines.extend(
        facts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    lines.extend(one.problems.iter().map(|text| ("problem", text.clone())));
    lines.push(("reachable", reached(&view.reachability)));
    let mut written = String::new();
    // Writing to a string cannot fail.
    let mut line = |name: &str, value: &str| {
        writeln!(written, "{name:<12}{}", visible_in_line(value)).unwrap_or_default();
    };
    for (name, value) in &lines {
        line(&format!("{name}:"), value);
    }
    if !one.metadata.is_empty() {
        line("metadata:", "");
    }
    for (name, value) in &one.metadata {
        line("", &format!("{name}: {value}"));
    }
    let lines = written.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn registered(view: &RegistrationView) -> Option<String> {
    let at = view.registered_at.as_ref()?;
    Some(match view.age_s {
        Some(seconds) => format!("{at} ({} ago)", age(seconds)),
        None => at.clone(),
    })
}

fn lease(view: &RegistrationView) -> String {
    let (Some(lease), Some(left)) = (&view.lease, view.lease_remaining_s) else {
        return "none: it stays when its worker is gone; `telectl registry prune` deletes it"
            .to_owned();
    };
    match view.lease_ttl_s {
        Some(life) => format!("{lease}, {left} s of {life} s left"),
        None => format!("{lease}, {left} s left"),
    }
}

fn reached(reachability: &Reachability) -> String {
    let url = reachability.url.as_deref().unwrap_or_default();
    let (Some(cause), detail) = (
        reachability.cause,
        reachability.detail.as_deref().unwrap_or_default(),
    ) else {
        let took = reachability.latency_ms.unwrap_or_default();
        return format!("yes, {url} answered in {took:.0} ms");
    };
    let Some(hop) = reachability.hop else {
        return format!("no: {detail}");
    };
    let address = reachability.address.as_ref();
    let address = address.map_or_else(String::new, |address| format!(" of {address}"));
    format!("no, {url}: {hop}{address} failed: {cause}: {detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x07_a_name_that_is_not_there_is_answered_with_those_near_it() {
        let ids = [
            "nexus-streamer/edge.telemetry-system.streamer-0",
            "nexus-streamer/edge.telemetry-system.streamer-1",
            "nexus-gateway/gw",
        ];
        let ids = ids.map(str::to_owned);
        assert_eq!(near("streamer-1", &ids), [ids[1].clone()]);
        assert_eq!(near("gv", &ids), [ids[2].clone()]);
        assert_eq!(
            near("edge.telemetry-sytem.streamer-0", &ids),
            [ids[0].clone(), ids[1].clone()]
        );
        assert!(near("nothing like it at all", &ids).is_empty());
    }
}
