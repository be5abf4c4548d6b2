//! Asks the clusters, all at once, each with a deadline of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::model::component::Component;
use crate::model::profile::Profile;
use crate::probe::{Cause, Registration};
use crate::validate::facts::{Listing, Objects, Role};
use crate::validate::observe::{
    ApiServer, ProbeEnd, api_server, ask, objects, probe_workload, sweep, workers,
};
use crate::validate::{Circumstances, Probing, Site};

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For one cluster.
    pub cluster: Duration,
    /// For the probe that reads the registrations, its pod's start included.
    pub probe: Duration,
}

/// What a worker says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerStatus {
    /// The component.
    pub component: Component,
    /// The pod.
    pub pod: String,
    /// The body of its status page; `None` if it did not answer.
    pub body: Option<Value>,
}

/// When a profile was last deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The profile.
    pub profile: Profile,
    /// RFC 3339.
    pub at: String,
    /// By whom.
    pub by: String,
    /// With which version of telectl.
    pub version: String,
}

/// What one cluster answered.
#[derive(Debug, Clone)]
pub struct ClusterFacts {
    /// Context.
    pub context: String,
    /// URL of the API server.
    pub server: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// Whether the API server answers.
    pub api: ApiServer,
    /// The objects.
    pub objects: Objects,
    /// What could not be read, and why.
    pub gaps: Vec<String>,
    /// What the workers say.
    pub workers: Vec<WorkerStatus>,
    /// The last deployments.
    pub deployed: Vec<Deployed>,
}

/// What all clusters answered.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The clusters, in the order in which they were given.
    pub clusters: Vec<ClusterFacts>,
    /// What etcd holds, or why that is not known.
    pub registrations: Result<Vec<Registration>, String>,
}

/// Asks. The registrations are read by a probe, because the operator's machine does not reach
/// etcd; with [`Probing::Omit`] nothing is made in any cluster.
pub async fn collect(
    sites: &[Site],
    limits: Limits,
    probing: Probing,
    stop: CancellationToken,
) -> Collected {
    let asking = sites.iter().map(|site| Box::pin(one(site, limits.cluster)));
    let clusters = join_all(asking).await;
    let registrations = match probing {
        Probing::Run => registrations(sites, &clusters, limits, stop).await,
        Probing::Omit => Err("not asked for".to_owned()),
    };
    Collected {
        clusters,
        registrations,
    }
}

async fn one(site: &Site, limit: Duration) -> ClusterFacts {
    let cluster = &site.cluster;
    let mut facts = ClusterFacts {
        context: cluster.name().to_owned(),
        server: cluster.server().to_owned(),
        roles: site.roles.clone(),
        api: api_server(cluster).await,
        objects: Objects::default(),
        gaps: Vec::new(),
        workers: Vec::new(),
        deployed: Vec::new(),
    };
    if !matches!(facts.api, ApiServer::Answers { .. }) {
        return facts;
    }
    if timeout(limit, fill(site, &mut facts)).await.is_err() {
        facts.api = ApiServer::Fails {
            cause: Cause::TimedOut,
            detail: format!(
                "it answered and did not finish within {} s",
                limit.as_secs()
            ),
        };
    }
    facts
}

async fn fill(site: &Site, facts: &mut ClusterFacts) {
    let cluster = &site.cluster;
    (facts.objects, facts.gaps) = objects(cluster, &site.namespaces).await;
    facts.deployed = deployed(&facts.objects);
    let found = &facts.objects;
    let asking = workers(found).map(async |(component, pod, port)| {
        let answer = ask(cluster, pod, port, "/api/v1/status").await;
        let body = answer.code.filter(|code| *code == 200);
        WorkerStatus {
            component,
            pod: pod.name.clone(),
            body: body.and_then(|_| serde_json::from_str(&answer.body).ok()),
        }
    });
    facts.workers = join_all(asking).await;
}

/// The profiles that telectl deployed to the cluster's namespaces.
fn deployed(objects: &Objects) -> Vec<Deployed> {
    let ended = objects.records.iter().filter_map(|record| {
        let last = record.last.clone()?;
        Some(Deployed {
            profile: record.profile,
            at: last.at,
            by: last.by,
            version: last.version,
        })
    });
    ended.collect()
}

/// Reads etcd from the place of the first worker that can be stood for, the central cluster's
/// first.
async fn registrations(
    sites: &[Site],
    clusters: &[ClusterFacts],
    limits: Limits,
    stop: CancellationToken,
) -> Result<Vec<Registration>, String> {
    let mut places: Vec<(&Site, &ClusterFacts)> = sites.iter().zip(clusters).collect();
    places.sort_by_key(|(site, _)| !site.roles.contains(&Role::Central));
    let place = places.into_iter().find_map(|(site, facts)| {
        let (component, workload) = facts.objects.stand_in()?;
        Some((site, component, workload))
    });
    let Some((site, component, workload)) = place else {
        let mut objects = clusters.iter().map(|facts| &facts.objects);
        return Err(match objects.find_map(|o| o.unread(&Listing::WORKLOADS)) {
            Some(unread) => format!("{} could not be read", unread.what()),
            None => "no worker is deployed that a probe could stand for".to_owned(),
        });
    };
    let circumstances = Circumstances {
        run: format!("{:08x}", rand::random::<u32>()),
        stop,
        probe_deadline: limits.probe,
        probing: Probing::Run,
    };
    sweep(&site.cluster, &site.namespaces, Timestamp::now())
        .await
        .map_err(|error| error.to_string())?;
    let probed = probe_workload(&site.cluster, workload, component, &[], &circumstances).await;
    match probed.end {
        ProbeEnd::Reported(report) => report
            .registrations
            .map(|all| of_sites(sites, all))
            .ok_or_else(|| format!("the {component}'s probe could not read etcd")),
        ProbeEnd::NotStarted { reason } | ProbeEnd::Failed { reason } => Err(reason),
        ProbeEnd::OutOfTime { state } => Err(format!("the probe did not report in time: {state}")),
        ProbeEnd::Stopped => Err("the probe was stopped".to_owned()),
    }
}

/// Those of the pipeline that is looked at.
fn of_sites(sites: &[Site], all: Vec<Registration>) -> Vec<Registration> {
    let namespaces: Vec<String> = sites
        .iter()
        .flat_map(|site| site.namespaces.clone())
        .collect();
    let is_ours = |one: &Registration| {
        let record = one.record.as_ref();
        record.is_none_or(|record| record.is_in(&namespaces))
    };
    all.into_iter().filter(is_ours).collect()
}
