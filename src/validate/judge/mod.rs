//! Decides what the observations mean. Pure: the same observations give the same findings.

mod connectivity;
mod deployment;
mod health;
mod registry;

#[cfg(test)]
mod tests;

use crate::model::component::Component;
use crate::probe::{Cause, TargetKind};

use super::check::{self, CheckInfo};
use super::facts::{Role, Unread};
use super::finding::Finding;
use super::observe::{Observed, SiteFacts};

/// Every finding, cluster after cluster in the order of the catalogue.
pub fn judge(observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in &observed.sites {
        findings.push(deployment::api_server(site));
        if !site.answers() {
            findings.extend(unanswered(site));
            continue;
        }
        findings.extend(deployment::gaps(site));
        findings.extend(deployment::workloads(observed, site));
        findings.extend(deployment::pipeline(observed, site));
        findings.extend(deployment::services(observed, site));
        findings.extend(connectivity::probes(observed, site));
        findings.extend(health::workers(site));
        findings.extend(health::gateway(site));
        findings.extend(registry::registrations(observed, site));
    }
    for role in &observed.absent {
        findings.extend(absent(*role));
    }
    findings
}

/// What cannot be judged while the API server does not answer.
fn unanswered(site: &SiteFacts) -> Vec<Finding> {
    let because = silent(site);
    let roles = site.roles.iter();
    let mut findings: Vec<Finding> = roles
        .flat_map(|role| skipped(*role, &site.context, &because))
        .collect();
    findings
        .push(Finding::new(&check::UNREGISTERED, &site.context, "registrations").skipped(&because));
    findings
}

fn silent(site: &SiteFacts) -> String {
    format!(
        "the API server of {} does not answer ({})",
        site.context,
        check::API_SERVER.id
    )
}

fn absent(role: Role) -> Vec<Finding> {
    let word = role.word();
    let because = format!("no --{word}-context was given");
    skipped(role, word, &because)
}

fn skipped(role: Role, cluster: &str, because: &str) -> Vec<Finding> {
    let workers = role.workers().iter();
    workers
        .flat_map(|component| skipped_component(*component, cluster, because))
        .collect()
}

/// What would be judged about a component and its targets.
fn skipped_component(component: Component, cluster: &str, because: &str) -> Vec<Finding> {
    let of_itself = Finding::new(&check::WORKLOAD_READY, cluster, component.name());
    let of_targets = targets_of(component).iter().map(|kind| {
        Finding::new(check_of(*kind), cluster, kind.word()).from(vantage(cluster, component))
    });
    std::iter::once(of_itself)
        .chain(of_targets)
        .map(|finding| finding.skipped(because))
        .collect()
}

/// Why nothing is said about what stands in a list.
fn unreadable(unread: &Unread) -> String {
    format!(
        "{} could not be read ({})",
        unread.what(),
        check::API_READ.id
    )
}

/// Adds to what was seen.
fn and_seen(finding: Finding, more: &str) -> Finding {
    let seen = format!("{}; {more}", finding.observed);
    finding.seen(seen)
}

/// What a component depends on.
const fn targets_of(component: Component) -> &'static [TargetKind] {
    use TargetKind::{ClusterDns, Etcd, Postgresql, Redis};
    match component {
        Component::Streamer => &[ClusterDns, Redis, Etcd],
        Component::Collector => &[ClusterDns, Redis, Postgresql, Etcd],
        Component::ApiGateway => &[ClusterDns, Postgresql, Etcd],
        Component::Redis | Component::Postgresql | Component::Etcd => &[],
    }
}

const fn check_of(kind: TargetKind) -> &'static CheckInfo {
    match kind {
        TargetKind::ClusterDns => &check::CLUSTER_DNS,
        TargetKind::Redis => &check::REDIS,
        TargetKind::Postgresql => &check::POSTGRESQL,
        TargetKind::Etcd => &check::ETCD,
        TargetKind::Http => &check::REACHABLE,
    }
}

/// The position of a component's pods.
fn vantage(cluster: &str, component: Component) -> String {
    format!("{cluster}/{component}")
}

/// What a component's probe found wrong: each target's check and cause.
fn faults(site: &SiteFacts, component: Component) -> Vec<(&'static CheckInfo, Cause)> {
    site.reports()
        .filter(|(probe, _)| probe.component == component)
        .flat_map(|(_, report)| &report.targets)
        .filter_map(|target| {
            let (cause, _) = target.failed_hop()?.outcome.failure()?;
            Some((check_of(target.kind), cause))
        })
        .collect()
}
