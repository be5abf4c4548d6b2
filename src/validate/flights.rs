//! Which canaries are sent from where to where, and what stands in their way. Pure.

use std::collections::BTreeSet;

use crate::model::component::Component;
use crate::probe::TargetKind;

use super::check;
use super::facts::Role;
use super::observe::{Observed, ProbeEnd, SiteFacts};

/// A flight that makes sense, or why it makes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFlight {
    /// Index of the edge among the sites.
    pub edge: usize,
    /// Namespace of its streamers.
    pub edge_namespace: String,
    /// Index of the central cluster and namespace of its collectors, or why nothing is sent.
    pub central: Result<(usize, String), String>,
}

/// One flight for each namespace with streamers of each edge that answers; one that is not possible
/// for an edge of which no streamer is known.
pub fn planned(observed: &Observed) -> Vec<PlannedFlight> {
    let mut flights = Vec::new();
    for (edge, site) in observed.sites.iter().enumerate() {
        let streamers = site.objects.workloads_of(Component::Streamer);
        let namespaces: BTreeSet<&str> = streamers
            .map(|workload| workload.namespace.as_str())
            .collect();
        if namespaces.is_empty() && site.answers() && site.roles.contains(&Role::Edge) {
            let id = check::WORKLOAD_READY.id;
            flights.push(PlannedFlight {
                edge,
                edge_namespace: String::new(),
                central: Err(format!("no streamer is known there ({id})")),
            });
        }
        flights.extend(namespaces.into_iter().map(|namespace| PlannedFlight {
            edge,
            edge_namespace: namespace.to_owned(),
            central: central(observed, site, namespace),
        }));
    }
    flights
}

fn central(
    observed: &Observed,
    edge: &SiteFacts,
    namespace: &str,
) -> Result<(usize, String), String> {
    let mut sites = observed.sites.iter().enumerate();
    let Some((index, site)) = sites.find(|(_, site)| site.roles.contains(&Role::Central)) else {
        return Err("no --central-context was given".to_owned());
    };
    if !site.answers() {
        return Err(format!(
            "the API server of {} does not answer ({})",
            site.context,
            check::API_SERVER.id
        ));
    }
    let mut collectors = site.objects.workloads_of(Component::Collector);
    let Some(collector) = collectors.next() else {
        let id = check::WORKLOAD_READY.id;
        return Err(format!("{} has no collector ({id})", site.context));
    };
    let obstacle = obstacle(edge, Component::Streamer, namespace)
        .or_else(|| obstacle(site, Component::Collector, &collector.namespace))
        .or_else(|| obstacle(site, Component::ApiGateway, &collector.namespace));
    match obstacle {
        Some(obstacle) => Err(obstacle),
        None => Ok((index, collector.namespace.clone())),
    }
}

/// What a probe has already found that no canary gets past.
fn obstacle(site: &SiteFacts, component: Component, namespace: &str) -> Option<String> {
    let mut probes = site
        .probes
        .iter()
        .filter(|probe| probe.component == component && probe.namespace == namespace);
    probes.find_map(|probe| {
        let ProbeEnd::Reported(report) = &probe.end else {
            let id = check::PROBE_RAN.id;
            return Some(format!("the probe for the {component} did not run ({id})"));
        };
        report.targets.iter().find_map(|target| {
            let check = match target.kind {
                TargetKind::Redis => &check::REDIS,
                TargetKind::Postgresql => &check::POSTGRESQL,
                // Data flows without them; where a name is needed, its target says so.
                TargetKind::ClusterDns | TargetKind::Etcd | TargetKind::Http => return None,
            };
            let (cause, _) = target.failed_hop()?.outcome.failure()?;
            Some(format!(
                "{check} has found why, for the {component}: {cause}"
            ))
        })
    })
}
