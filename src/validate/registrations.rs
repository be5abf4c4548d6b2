//! Registrations joined with the clusters' live pods. Pure.

use std::net::IpAddr;

use crate::model::component::Component;
use crate::probe::{Registration, TargetKind};

use super::facts::Pod;
use super::observe::{Observed, ProbeEnd, SiteFacts};

/// What etcd holds, by the first probe that could read it: the central cluster's is preferred,
/// because it has the shortest way there.
pub fn seen(observed: &Observed) -> Option<(&SiteFacts, Component, &[Registration])> {
    let mut sites: Vec<&SiteFacts> = observed.sites.iter().collect();
    sites.sort_by_key(|site| !site.roles.contains(&super::facts::Role::Central));
    sites.into_iter().find_map(|site| {
        site.reports().find_map(|(probe, report)| {
            let registrations = report.registrations.as_deref()?;
            Some((site, probe.component, registrations))
        })
    })
}

/// Under which `CLUSTER_ID` the workers of a cluster register.
pub fn cluster_id(site: &SiteFacts) -> &str {
    site.reports()
        .find_map(|(_, report)| report.cluster_id.as_deref())
        .or_else(|| literal(site, "CLUSTER_ID"))
        .unwrap_or(&site.context)
}

/// Value of a variable of a cluster's workers.
fn literal<'a>(site: &'a SiteFacts, variable: &str) -> Option<&'a str> {
    let workloads = &mut site.objects.workloads.iter();
    workloads.find_map(|workload| workload.literal(variable))
}

/// The cluster that a registration says it is in.
pub fn claimed_cluster(registration: &Registration) -> Option<&str> {
    let record = registration.record.as_ref()?;
    record.metadata.get("cluster_id").map(String::as_str)
}

/// Whether a registration says one of these namespaces, or none.
fn is_in(registration: &Registration, namespaces: &[String]) -> bool {
    let record = registration.record.as_ref();
    record.is_none_or(|record| record.is_in(namespaces))
}

/// Whether a registration is about a worker that was looked at: of this cluster, and not of another
/// deployment in another namespace of it.
pub fn is_of(site: &SiteFacts, registration: &Registration) -> bool {
    claimed_cluster(registration) == Some(cluster_id(site)) && is_in(registration, &site.namespaces)
}

/// The worker component that a registration is for, by its key.
pub fn component(registration: &Registration) -> Option<Component> {
    let registry_type = registration.key.split('/').nth(2)?;
    Component::WORKERS
        .into_iter()
        .find(|component| component.registry_type() == Some(registry_type))
}

/// Whether a registration is a pod's: it has the pod's name, alone or after those of its cluster and
/// namespace, and says no other namespace.
pub fn names(site: &SiteFacts, registration: &Registration, worker: Component, pod: &Pod) -> bool {
    let id = registration.key.rsplit('/').next().unwrap_or_default();
    let full = format!("{}.{}.{}", cluster_id(site), pod.namespace, pod.name);
    component(registration) == Some(worker)
        && (id == pod.name || id == full)
        && is_in(registration, std::slice::from_ref(&pod.namespace))
}

/// The worker pods of a component in a cluster.
pub fn pods(site: &SiteFacts, component: Component) -> impl Iterator<Item = &Pod> {
    site.objects
        .workloads_of(component)
        .flat_map(|workload| site.objects.pods_of(workload))
}

/// Where a registered address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nowhere: a loopback, unspecified or link-local address.
    Nowhere,
    /// To the pod, within its cluster's pod network.
    Pod,
    /// To a Service, within its cluster.
    Cluster,
    /// To somewhere outside the cluster's own networks.
    Outside,
}

/// Where a registered address leads, as seen from the cluster that its worker is in.
pub fn reach(site: &SiteFacts, registration: &Registration) -> Reach {
    let Some(record) = &registration.record else {
        return Reach::Nowhere;
    };
    let address = record.address.as_str();
    if let Ok(ip) = address.parse::<IpAddr>() {
        let link_local = match ip {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        };
        if ip.is_loopback() || ip.is_unspecified() || link_local {
            return Reach::Nowhere;
        }
    }
    if address == "localhost" {
        return Reach::Nowhere;
    }
    let objects = &site.objects;
    if objects
        .services
        .iter()
        .any(|service| service.external.iter().any(|external| external == address))
    {
        return Reach::Outside;
    }
    // The worker itself says which rule its address comes from; a pod that was replaced has
    // another address than its last registration.
    let says_pod = record
        .metadata
        .get("address_source")
        .is_some_and(|source| source == "POD_IP");
    if says_pod || objects.pods.iter().any(|pod| pod.ip == address) {
        return Reach::Pod;
    }
    let is_service = objects
        .services
        .iter()
        .any(|service| service.is_meant_by(address));
    if is_service || address.ends_with(".svc") || address.contains(".svc.") {
        return Reach::Cluster;
    }
    Reach::Outside
}

/// An address that a worker registered for everybody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignAddress {
    /// Where it tells its health.
    pub url: String,
    /// The context of the cluster that the worker is in.
    pub home: String,
}

/// What other clusters registered for everybody.
pub fn foreign_addresses(observed: &Observed, from: &SiteFacts) -> Vec<ForeignAddress> {
    let Some((_, _, registrations)) = seen(observed) else {
        return Vec::new();
    };
    let mut found: Vec<ForeignAddress> = registrations
        .iter()
        .filter_map(|registration| {
            let record = registration.record.as_ref()?;
            let home = observed
                .sites
                .iter()
                .find(|site| is_of(site, registration) && site.context != from.context)?;
            let worker = component(registration)?;
            let is_live = pods(home, worker).any(|pod| names(home, registration, worker, pod));
            let scheme = record.metadata.get("scheme").map_or("http", String::as_str);
            // Who signed the certificate of a proxy in front of it, a pod here need not know.
            let is_known = scheme == "http" || (scheme == "https" && speaks_tls(home, worker));
            let is_asked = is_live && is_known && reach(home, registration) == Reach::Outside;
            is_asked.then(|| ForeignAddress {
                url: health_url(scheme, &record.address, record.port),
                home: home.context.clone(),
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The clusters (by position) whose API server is to be asked once more before anything is judged:
/// something that goes through it failed, or nobody reached a worker of theirs. An API server that
/// was lost on the way would otherwise look like many other faults.
pub fn doubtful(observed: &Observed) -> Vec<usize> {
    let unreached: Vec<String> = observed
        .sites
        .iter()
        .flat_map(|site| unreached(observed, site))
        .map(|address| address.home)
        .collect();
    let is_doubtful = |site: &SiteFacts| {
        let mut probes = site.probes.iter().chain(&site.reached);
        !(site.gaps.is_empty() && site.objects.unread.is_empty())
            || probes.any(|probe| !matches!(probe.end, ProbeEnd::Reported(_)))
            || unreached.contains(&site.context)
    };
    let sites = observed.sites.iter().enumerate();
    sites
        .filter(|(_, site)| site.answers() && is_doubtful(site))
        .map(|(index, _)| index)
        .collect()
}

/// The addresses of others that did not answer a cluster.
fn unreached(observed: &Observed, from: &SiteFacts) -> Vec<ForeignAddress> {
    let Some(ProbeEnd::Reported(report)) = from.reached.as_ref().map(|probe| &probe.end) else {
        return Vec::new();
    };
    let failed: Vec<&str> = report
        .targets
        .iter()
        .filter(|target| target.kind == TargetKind::Http && target.failed_hop().is_some())
        .map(|target| target.endpoint.as_str())
        .collect();
    let mut addresses = foreign_addresses(observed, from);
    addresses.retain(|address| failed.contains(&address.url.as_str()));
    addresses
}

/// Whether the workers of a component themselves speak TLS to whoever has their address: a scheme
/// that somebody told them is that of something in front of them, such as an Ingress.
fn speaks_tls(site: &SiteFacts, worker: Component) -> bool {
    let mut workloads = site.objects.workloads_of(worker);
    workloads.any(|workload| {
        workload.literal("HTTP_TLS_DIR").is_some()
            && workload.literal("ADVERTISED_SCHEME").is_none()
    })
}

fn health_url(scheme: &str, address: &str, port: u16) -> String {
    let endpoint = crate::model::endpoint::Endpoint::new(address, port);
    let url = format!("{scheme}://{endpoint}/health");
    // As the probe repeats it: without the port that belongs to the scheme.
    url::Url::parse(&url).map_or(url, |url| url.to_string())
}
