//! Asks the clusters, all at once, each with a deadline of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::model::component::Component;
use crate::model::freshness::FreshnessReport;
use crate::model::profile::Profile;
use crate::probe::Cause;
use crate::validate::facts::{Objects, Role};
use crate::validate::observe::{ApiServer, api_server, ask, objects, workers};
use crate::validate::{Probing, Site};

use super::probed::{Probed, probed};

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

impl WorkerStatus {
    /// A text on its status page.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.as_ref()?[name].as_str()
    }
}

/// When a profile was last deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The profile.
    pub profile: Profile,
    /// RFC 3339; empty if no deployment came to its end.
    pub at: String,
    /// By whom.
    pub by: String,
    /// With which version of telectl.
    pub version: String,
    /// Which deployment it was, where that was recorded.
    pub generation: Option<u64>,
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
    /// When it answered last, if it did while it was watched.
    pub answered_at: Option<Timestamp>,
    /// The objects.
    pub objects: Objects,
    /// What could not be read, and why.
    pub gaps: Vec<String>,
    /// What the workers say.
    pub workers: Vec<WorkerStatus>,
    /// What a collector says about the data in the store, or why none does; `None` without collectors.
    pub freshness: Option<Result<FreshnessReport, String>>,
    /// The last deployments.
    pub deployed: Vec<Deployed>,
}

impl ClusterFacts {
    /// Whether its API server answers.
    pub const fn answers(&self) -> bool {
        matches!(self.api, ApiServer::Answers { .. })
    }
}

/// What all clusters answered.
#[derive(Debug, Clone)]
pub struct Collected {
    /// The clusters, in the order in which they were given.
    pub clusters: Vec<ClusterFacts>,
    /// What a probe found.
    pub probed: Probed,
}

/// Asks. Registrations and certificates are looked at by a probe, because the operator's machine
/// does not reach the servers; with [`Probing::Omit`] nothing is made in any cluster.
pub async fn collect(
    sites: &[Site],
    limits: Limits,
    probing: Probing,
    stop: CancellationToken,
) -> Collected {
    let asking = sites.iter().map(|site| Box::pin(ask_cluster(site, limits)));
    let clusters = join_all(asking).await;
    let probed = match probing {
        Probing::Run => probed(sites, &clusters, limits, stop).await,
        Probing::Omit => Probed::unknown("not asked for"),
    };
    Collected { clusters, probed }
}

/// Asks one cluster; at most so many requests at once as its client allows.
pub async fn ask_cluster(site: &Site, limits: Limits) -> ClusterFacts {
    let cluster = &site.cluster;
    let limit = limits.cluster;
    let first = timeout(limit, api_server(cluster)).await;
    let out_of_time = |detail: String| ApiServer::Fails {
        cause: Cause::TimedOut,
        detail,
    };
    let mut facts = ClusterFacts {
        context: cluster.name().to_owned(),
        server: cluster.server().to_owned(),
        roles: site.roles.clone(),
        api: first.unwrap_or_else(|_| {
            let (server, seconds) = (cluster.server(), limit.as_secs());
            out_of_time(format!("{server} does not answer within {seconds} s"))
        }),
        answered_at: None,
        objects: Objects::default(),
        gaps: Vec::new(),
        workers: Vec::new(),
        freshness: None,
        deployed: Vec::new(),
    };
    if !facts.answers() {
        return facts;
    }
    if timeout(limit, fill(site, &mut facts)).await.is_err() {
        let seconds = limit.as_secs();
        facts.api = out_of_time(format!("it answered and did not finish within {seconds} s"));
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
    let (workers, freshness) = tokio::join!(join_all(asking), freshness(site, found));
    facts.workers = workers;
    facts.freshness = freshness;
}

/// Asks one collector, a ready one if there is one: they all use one store.
async fn freshness(site: &Site, objects: &Objects) -> Option<Result<FreshnessReport, String>> {
    let (_, pod, port) = workers(objects)
        .filter(|(component, _, _)| *component == Component::Collector)
        .max_by_key(|(_, pod, _)| pod.is_ready)?;
    let answer = ask(&site.cluster, pod, port, "/api/v1/freshness").await;
    Some(match answer.code {
        Some(200) => serde_json::from_str(&answer.body)
            .map_err(|error| format!("{} answers nonsense: {error}", pod.name)),
        Some(404) => Err(format!("{} is too old to tell", pod.name)),
        _ => Err(format!("{}: {}", pod.name, answer.body)),
    })
}

/// The profiles that telectl deployed to the cluster's namespaces, also where it did not come to
/// the end.
fn deployed(objects: &Objects) -> Vec<Deployed> {
    let records = objects.records.iter().map(|record| {
        let last = record.last.clone().unwrap_or_default();
        Deployed {
            profile: record.profile,
            at: last.at,
            by: last.by,
            version: last.version,
            generation: last.generation,
        }
    });
    records.collect()
}
