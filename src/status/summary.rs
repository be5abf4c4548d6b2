//! From answers to one picture. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::component::Component;
use crate::probe::Registration;
use crate::validate::facts::{Listing, ServiceFacts, Unread, Unseen, Workload};
use crate::validate::observe::ApiServer;

use super::collect::{ClusterFacts, Collected};
use super::report::{
    AddressStatus, AutoscalerStatus, ClusterStatus, DeployedStatus, QueueStatus,
    RegistrationStatus, SCHEMA_VERSION, SpoolStatus, StatusReport, Verdict, WorkloadStatus,
};

/// The picture at a time.
pub fn summarise(collected: &Collected, now: Timestamp) -> StatusReport {
    let clusters: Vec<ClusterStatus> = collected.clusters.iter().map(cluster).collect();
    let verdict = clusters
        .iter()
        .map(|cluster| cluster.verdict)
        .max()
        .unwrap_or(Verdict::Ready);
    let (registrations, registrations_unknown) = match &collected.registrations {
        Ok(found) => (
            found.iter().map(|one| registration(one, now)).collect(),
            None,
        ),
        Err(reason) => (Vec::new(), Some(reason.clone())),
    };
    StatusReport {
        schema_version: SCHEMA_VERSION,
        at: format!("{now:.0}"),
        verdict,
        clusters,
        queue: queue(collected),
        registrations,
        registrations_unknown,
    }
}

fn cluster(facts: &ClusterFacts) -> ClusterStatus {
    let (version, unreachable) = match &facts.api {
        ApiServer::Answers { version, .. } => (Some(version.clone()), None),
        ApiServer::Fails { cause, detail } => (None, Some(format!("{cause}: {detail}"))),
    };
    let workloads = if unreachable.is_some() {
        Vec::new()
    } else {
        workloads(facts)
    };
    let worst = workloads.iter().map(|workload| workload.verdict).max();
    let verdict = match &unreachable {
        Some(_) => Verdict::Unreachable,
        None => worst.unwrap_or(Verdict::Ready),
    };
    ClusterStatus {
        context: facts.context.clone(),
        roles: facts.roles.iter().map(|role| role.word()).collect(),
        server: facts.server.clone(),
        version,
        unreachable,
        verdict,
        workloads,
        addresses: addresses(facts),
        spools: spools(facts),
        deployed: facts
            .deployed
            .iter()
            .map(|deployed| DeployedStatus {
                profile: deployed.profile.name(),
                at: deployed.at.clone(),
                by: deployed.by.clone(),
                version: deployed.version.clone(),
            })
            .collect(),
        gaps: gaps(facts),
    }
}

fn gaps(facts: &ClusterFacts) -> Vec<String> {
    let of_lists = facts.objects.unread.iter().map(|unread| unread.why.clone());
    of_lists.chain(facts.gaps.iter().cloned()).collect()
}

/// What is there, in the order of deployment, and what the roles ask for or telectl recorded and is
/// not there.
fn workloads(facts: &ClusterFacts) -> Vec<WorkloadStatus> {
    let mut found: Vec<WorkloadStatus> = Component::ALL
        .into_iter()
        .flat_map(|component| facts.objects.workloads_of(component))
        .map(|one| workload(facts, one))
        .collect();
    let unseen: Vec<WorkloadStatus> = facts.objects.unseen_workloads().map(recorded).collect();
    let wanted = facts.roles.iter().flat_map(|role| role.workers());
    for component in wanted {
        // The record says more of one than its role does.
        let is_recorded = unseen.iter().any(|one| one.name == component.name());
        if !is_recorded && facts.objects.workloads_of(*component).next().is_none() {
            found.push(match facts.objects.unread(&Listing::WORKLOADS) {
                Some(unread) => unknown(missing(*component), unread),
                None => missing(*component),
            });
        }
    }
    found.extend(unseen);
    if found.is_empty() {
        found.push(nothing(facts));
    }
    found
}

/// A workload that a record lists and that was not seen.
fn recorded(unseen: Unseen<'_>) -> WorkloadStatus {
    let object = unseen.object;
    let trouble = format!("profile {} was deployed with it", unseen.profile);
    let gone = WorkloadStatus {
        component: Component::from_name(&object.name),
        namespace: object.namespace.clone(),
        kind: object.kind.name().to_owned(),
        ..absent(&object.name, format!("it is gone: {trouble}"))
    };
    match unseen.unread {
        Some(unread) => unknown(gone, unread),
        None => gone,
    }
}

/// The cluster's roles ask for no worker, and nothing of the pipeline was seen.
fn nothing(facts: &ClusterFacts) -> WorkloadStatus {
    let roles: Vec<&str> = facts.roles.iter().map(|role| role.word()).collect();
    let nothing = absent(
        &roles.join(", "),
        "nothing of the pipeline is there".to_owned(),
    );
    match facts.objects.unread(&Listing::WORKLOADS) {
        Some(unread) => unknown(nothing, unread),
        None => nothing,
    }
}

fn missing(component: Component) -> WorkloadStatus {
    WorkloadStatus {
        component: Some(component),
        ..absent(component.name(), "it is not deployed".to_owned())
    }
}

fn absent(name: &str, trouble: String) -> WorkloadStatus {
    WorkloadStatus {
        component: None,
        namespace: String::new(),
        kind: String::new(),
        name: name.to_owned(),
        ready: 0,
        desired: 0,
        images: BTreeMap::new(),
        restarts: 0,
        autoscaler: None,
        trouble: Some(trouble),
        verdict: Verdict::Missing,
    }
}

/// One that may be there or not.
fn unknown(missing: WorkloadStatus, unread: &Unread) -> WorkloadStatus {
    WorkloadStatus {
        trouble: Some(format!("{} could not be read", unread.what())),
        verdict: Verdict::Unknown,
        ..missing
    }
}

fn workload(facts: &ClusterFacts, workload: &Workload) -> WorkloadStatus {
    let mut images = BTreeMap::new();
    let (mut ready, mut restarts) = (0, 0);
    let mut trouble = None;
    for pod in facts.objects.pods_of(workload) {
        *images.entry(pod.image.clone()).or_default() += 1;
        ready += usize::from(pod.is_ready);
        restarts += pod.restarts;
        let seen = pod.trouble.as_ref().or(pod.complaint.as_ref());
        trouble = trouble.or_else(|| seen.map(|trouble| format!("{}: {trouble}", pod.name)));
    }
    let pods = [Listing::Pods];
    if let Some(unread) = facts.objects.unread_in(&pods, &workload.namespace) {
        // Its controller can count them.
        ready = usize::try_from(workload.ready).unwrap_or(0);
        trouble = Some(format!("{} could not be read", unread.what()));
    }
    let wanted = usize::try_from(workload.desired).unwrap_or(0);
    let verdict = if ready == 0 {
        Verdict::Down
    } else if ready < wanted || workload.rollout.is_some() {
        Verdict::Degraded
    } else {
        Verdict::Ready
    };
    trouble = match (&workload.rollout, trouble) {
        (Some(why), Some(trouble)) => Some(format!("{why}; {trouble}")),
        (why, trouble) => trouble.or_else(|| why.clone()),
    };
    if wanted == 0 {
        trouble = trouble.or_else(|| Some("it is scaled to zero".to_owned()));
    }
    let target = format!("{}/{}", workload.kind, workload.name);
    let autoscaler = facts.objects.autoscalers.iter().find(|autoscaler| {
        autoscaler.namespace == workload.namespace && autoscaler.target == target
    });
    WorkloadStatus {
        component: workload.component,
        namespace: workload.namespace.clone(),
        kind: workload.kind.name().to_owned(),
        name: workload.name.clone(),
        ready,
        desired: workload.desired,
        images,
        restarts,
        autoscaler: autoscaler.map(|autoscaler| AutoscalerStatus {
            current: autoscaler.current,
            min: autoscaler.min,
            max: autoscaler.max,
        }),
        trouble,
        verdict,
    }
}

fn addresses(facts: &ClusterFacts) -> Vec<AddressStatus> {
    let outward = facts
        .objects
        .services
        .iter()
        .filter(|service| service.kind == "LoadBalancer" || !service.external.is_empty());
    outward
        .flat_map(|service| {
            let port = service.ports.first().copied().unwrap_or_default();
            let mut external = service.external.clone();
            if external.is_empty() {
                external.push(String::new());
            }
            external.into_iter().map(move |host| AddressStatus {
                namespace: service.namespace.clone(),
                service: service.name.clone(),
                address: if host.is_empty() {
                    host
                } else {
                    crate::model::endpoint::Endpoint::new(host, port).to_string()
                },
                endpoints: endpoints(facts, service),
            })
        })
        .collect()
}

fn endpoints(facts: &ClusterFacts, service: &ServiceFacts) -> Option<usize> {
    let slices = [Listing::EndpointSlices];
    let unread = facts.objects.unread_in(&slices, &service.namespace);
    unread.is_none().then_some(service.ready.len())
}

fn spools(facts: &ClusterFacts) -> Vec<SpoolStatus> {
    facts
        .workers
        .iter()
        .filter(|worker| worker.component == Component::Streamer)
        .map(|worker| {
            let count = |name: &str| worker.body.as_ref()?["details"][name].as_u64();
            SpoolStatus {
                pod: worker.pod.clone(),
                undrained: count("spool_undrained"),
                bytes: count("spool_bytes"),
            }
        })
        .collect()
}

/// The queue as the first collector says that knows it.
fn queue(collected: &Collected) -> Option<QueueStatus> {
    let workers = collected.clusters.iter().flat_map(|facts| &facts.workers);
    workers
        .filter(|worker| worker.component == Component::Collector)
        .find_map(|worker| {
            let depth = &worker.body.as_ref()?["details"]["queue"];
            let count = |name: &str| depth[name].as_u64();
            Some(QueueStatus {
                entries: count("entries")?,
                pending: count("pending").unwrap_or_default(),
                oldest_seconds: depth["oldest_seconds"].as_f64().unwrap_or_default(),
                dead: count("dead").unwrap_or_default(),
                seen_by: worker.pod.clone(),
            })
        })
}

fn registration(registration: &Registration, now: Timestamp) -> RegistrationStatus {
    let record = registration.record.as_ref();
    let fact = |name: &str| {
        record
            .and_then(|record| record.metadata.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let written = record.and_then(|record| record.registered_at.parse::<Timestamp>().ok());
    RegistrationStatus {
        key: registration.key.clone(),
        cluster: fact("cluster_id"),
        endpoint: record.map_or_else(String::new, |record| {
            crate::model::endpoint::Endpoint::new(record.address.clone(), record.port).to_string()
        }),
        health: record.map_or_else(|| "malformed".to_owned(), |record| record.health.clone()),
        age_seconds: written.map(|written| now.as_second() - written.as_second()),
        lease_remaining_seconds: registration.lease_remaining_s,
    }
}
