//! The parts of the status that speak of versions, deployments, data and certificates.

use jiff::Timestamp;

use crate::model::component::Component;
use crate::report::{Cell, Emphasis, Table};
use crate::status::report::{StatusReport, WorkloadStatus};
use crate::status::versions::tag;

use super::view::age;

/// GPUs that are named.
const NAMED: usize = 10;

/// What the pods of a workload run; marked where it is not the same everywhere.
pub(super) fn version_cell(report: &StatusReport, workload: &WorkloadStatus) -> Cell {
    let tags: Vec<String> = workload.images.keys().map(|image| tag(image)).collect();
    let text: Vec<&str> = tags.iter().map(|tag| short(tag)).collect();
    let text = text.join(", ");
    let of = match workload.component {
        Some(component) if Component::WORKERS.contains(&component) => "workers",
        Some(component) => component.name(),
        None => "",
    };
    let is_skewed = report
        .versions
        .iter()
        .any(|one| one.of == of && one.is_skewed);
    if is_skewed && !text.is_empty() {
        Cell::new(format!("{text} (differs)"), Emphasis::Warning)
    } else {
        Cell::from(text)
    }
}

/// A digest, as short as people write it.
fn short(tag: &str) -> &str {
    match tag.strip_prefix("sha256:") {
        Some(digest) => digest.get(..12).unwrap_or(digest),
        None => tag,
    }
}

/// The images of a workload, with how many pods have each where there are several.
pub(super) fn images(workload: &WorkloadStatus) -> String {
    let images: Vec<String> = workload
        .images
        .iter()
        .map(|(image, pods)| match workload.images.len() {
            1 => image.clone(),
            _ => format!("{image} ×{pods}"),
        })
        .collect();
    images.join(", ")
}

/// How fresh the data of each source cluster is.
pub(super) fn data(report: &StatusReport) -> Table {
    let mut table = Table::new(&[
        "DATA OF",
        "GPUS",
        "HOSTS",
        "BEHIND",
        "NEWEST EVENT",
        "LAST INGEST",
        "SOURCES",
    ]);
    for one in &report.data {
        let known = &one.freshness;
        let ingest = one
            .ingest_age_seconds
            .map(|seconds| format!("{} ago", age(seconds)));
        let complete = known.sources - known.incomplete_sources.min(known.sources);
        let (ingest_emphasis, behind_emphasis) = (
            if one.is_stalled {
                Emphasis::Bad
            } else {
                Emphasis::None
            },
            if known.gpus_behind > 0 {
                Emphasis::Warning
            } else {
                Emphasis::None
            },
        );
        table.row(vec![
            known.cluster.clone().into(),
            known.gpus.to_string().into(),
            known.hosts.to_string().into(),
            Cell::new(known.gpus_behind.to_string(), behind_emphasis),
            known
                .newest_event
                .map(to_seconds)
                .unwrap_or_default()
                .into(),
            Cell::new(ingest.unwrap_or_default(), ingest_emphasis),
            format!("{complete} of {} complete", known.sources).into(),
        ]);
    }
    table
}

/// The GPUs that have been silent for the longest time.
pub(super) fn stalest(report: &StatusReport) -> Table {
    let mut table = Table::new(&[
        "STALEST",
        "GPU",
        "DATA OF",
        "LAST EVENT",
        "LAST INGEST",
        "UUID",
    ]);
    for gpu in report.stalest.iter().take(NAMED) {
        let ingest = gpu.last_ingest.map(to_seconds);
        table.row(vec![
            gpu.hostname.clone().into(),
            gpu.gpu_id.clone().into(),
            gpu.cluster.clone().into(),
            to_seconds(gpu.last_event).into(),
            ingest.unwrap_or_else(|| "earlier".to_owned()).into(),
            gpu.uuid.clone().into(),
        ]);
    }
    table
}

/// What runs where.
pub(super) fn versions(report: &StatusReport) -> Table {
    let mut table = Table::new(&["VERSION OF", "CLUSTER", "VERSION", "SAYS ITSELF", "PODS"]);
    for of in &report.versions {
        let emphasis = if of.is_skewed {
            Emphasis::Warning
        } else {
            Emphasis::None
        };
        for one in &of.seen {
            let pods = (one.pods > 0).then(|| one.pods.to_string());
            table.row(vec![
                of.of.into(),
                one.cluster.clone().into(),
                Cell::new(short(&one.version), emphasis),
                one.reported.clone().unwrap_or_default().into(),
                pods.unwrap_or_default().into(),
            ]);
        }
    }
    table
}

/// The last deployment of each profile.
pub(super) fn deployments(report: &StatusReport) -> Table {
    let mut table = Table::new(&[
        "CLUSTER",
        "PROFILE",
        "DEPLOYED",
        "BY",
        "TELECTL",
        "GENERATION",
    ]);
    for cluster in &report.clusters {
        for deployed in &cluster.deployed {
            let at = match deployed.at.parse() {
                Ok(at) => to_seconds(at),
                Err(_) => "did not come to its end".to_owned(),
            };
            let generation = deployed.generation.map(|number| number.to_string());
            table.row(vec![
                cluster.context.clone().into(),
                deployed.profile.into(),
                at.into(),
                deployed.by.clone().into(),
                deployed.version.clone().into(),
                generation.unwrap_or_default().into(),
            ]);
        }
    }
    table
}

/// The servers' certificates.
pub(super) fn certificates(report: &StatusReport) -> Table {
    let mut table = Table::new(&["CERTIFICATE OF", "ENDPOINT", "DAYS LEFT", "UNTIL"]);
    for one in &report.certificates {
        table.row(vec![
            one.server.into(),
            one.endpoint.clone().into(),
            one.days_left.to_string().into(),
            one.not_after.clone().into(),
        ]);
    }
    table
}

/// `certificates: Redis 364 days, PostgreSQL 364 days`
pub(super) fn certificate_line(report: &StatusReport) -> String {
    let listed: Vec<String> = report
        .certificates
        .iter()
        .map(|one| format!("{} {} days", one.server, one.days_left))
        .collect();
    format!("certificates: {}", listed.join(", "))
}

/// Seconds between two times in RFC 3339.
pub(super) fn seconds_between(earlier: &str, later: &str) -> Option<i64> {
    let at = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    Some(at(later)? - at(earlier)?)
}

/// A time without its fraction.
fn to_seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}
