//! Collects: asks the clusters, runs the probes, judges nothing.

mod ask;
mod objects;
mod probes;
mod secrets;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::model::component::Component;
use crate::probe::{Cause, ProbeReport, TargetKind};

use super::facts::{Objects, Role};
use super::registrations::{doubtful, foreign_addresses};

pub use ask::{ask, cause_of};
pub use objects::objects;
pub use probes::{run as probe_workload, sweep};
pub use secrets::{Fingerprint, SecretKeyRef};
pub use site::{api_server, workers};

/// One cluster and what it is for.
#[derive(Debug, Clone)]
pub struct Site {
    /// The cluster.
    pub cluster: Cluster,
    /// Its roles; several if one cluster has them all.
    pub roles: BTreeSet<Role>,
    /// The namespaces to look at.
    pub namespaces: Vec<String>,
}

/// What a run needs.
#[derive(Debug)]
pub struct Circumstances {
    /// The run's id, part of the names of its Jobs: lower-case letters and digits.
    pub run: String,
    /// Ends the run early: at its deadline or when somebody interrupts it.
    pub stop: CancellationToken,
    /// Longest time for one probe, its pod's start included.
    pub probe_deadline: Duration,
    /// Whether probes are run.
    pub probing: Probing,
}

/// Whether probes are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probing {
    /// Jobs are made and deleted again.
    Run,
    /// Nothing is made: only what can be read is looked at.
    Omit,
}

/// Is told what goes on: cluster, then what.
pub type Listener<'a> = &'a dyn Fn(&str, &str);

/// Whether an API server answers.
#[derive(Debug, Clone, PartialEq)]
pub enum ApiServer {
    /// It does.
    Answers {
        /// Its version.
        version: String,
        /// How long that took, in milliseconds.
        latency_ms: f64,
    },
    /// It does not.
    Fails {
        /// Why.
        cause: Cause,
        /// In words.
        detail: String,
    },
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeEnd {
    /// With a report.
    Reported(Box<ProbeReport>),
    /// Its pod could not start.
    NotStarted {
        /// Why.
        reason: String,
    },
    /// There was no report within the deadline.
    OutOfTime {
        /// How its pod stood then.
        state: String,
    },
    /// The run was stopped before there was a report.
    Stopped,
    /// The Job was refused, or its log holds no report.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A probe that stood for a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeFacts {
    /// The component.
    pub component: Component,
    /// Namespace of the workload.
    pub namespace: String,
    /// Name of the workload.
    pub workload: String,
    /// How it ended.
    pub end: ProbeEnd,
    /// Why something of it may be left in the cluster, if it could not be cleared away.
    pub left: Option<String>,
}

/// Who answered a question to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The pod, or nobody.
    Pod,
    /// The API server, which does not let this user ask pods: nothing is known about the pod.
    ApiServer,
}

/// What a pod answered over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Who answered.
    pub by: AnsweredBy,
    /// The path that was asked for.
    pub path: String,
    /// HTTP status; `None` if there was no answer at all.
    pub code: Option<u16>,
    /// The body, or why there was no answer.
    pub body: String,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
}

/// What a pod said.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The component.
    pub component: Component,
    /// The pod.
    pub pod: String,
    /// Its address and port.
    pub address: String,
    /// What it answered, path after path.
    pub answers: Vec<Answer>,
}

/// The name service of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameService {
    /// `deployment/coredns` and the replicas that it asks for, if there is one.
    pub workload: Option<(String, i64)>,
    /// Endpoints of the Service `kube-dns`.
    pub endpoints: Vec<String>,
    /// Why one or the other could not be read.
    pub unread: Option<String>,
}

/// Everything that is known about one cluster.
#[derive(Debug, Clone)]
pub struct SiteFacts {
    /// Context.
    pub context: String,
    /// URL of the API server.
    pub server: String,
    /// Its roles.
    pub roles: BTreeSet<Role>,
    /// The namespaces that were looked at.
    pub namespaces: Vec<String>,
    /// Whether the API server answers, and has not ceased to in the course of the run.
    pub api: ApiServer,
    /// The objects.
    pub objects: Objects,
    /// What else could not be read, and why.
    pub gaps: Vec<String>,
    /// The probes.
    pub probes: Vec<ProbeFacts>,
    /// Health of the workers' pods.
    pub health: Vec<Asked>,
    /// The gateway's API, if a gateway pod is ready.
    pub gateway: Option<Asked>,
    /// Looked at only if name resolution failed.
    pub name_service: Option<NameService>,
    /// Compared only if a login or a certificate failed.
    pub fingerprints: BTreeMap<SecretKeyRef, Fingerprint>,
    /// Secrets that could not be read for that: namespace and name.
    pub unread_secrets: BTreeSet<(String, String)>,
    /// Registered addresses in other clusters that were asked for from here, and the answers.
    pub reached: Option<ProbeFacts>,
}

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The clusters, in the order in which they were given.
    pub sites: Vec<SiteFacts>,
    /// Roles for which no context was given.
    pub absent: Vec<Role>,
}

impl SiteFacts {
    /// A cluster of which nothing is known yet.
    pub fn unknown(context: &str, server: &str, roles: BTreeSet<Role>, api: ApiServer) -> Self {
        Self {
            context: context.to_owned(),
            server: server.to_owned(),
            roles,
            namespaces: Vec::new(),
            api,
            objects: Objects::default(),
            gaps: Vec::new(),
            probes: Vec::new(),
            health: Vec::new(),
            gateway: None,
            name_service: None,
            fingerprints: BTreeMap::new(),
            unread_secrets: BTreeSet::new(),
            reached: None,
        }
    }

    /// Whether its API server answers.
    pub const fn answers(&self) -> bool {
        matches!(self.api, ApiServer::Answers { .. })
    }

    /// The reports of the probes.
    pub fn reports(&self) -> impl Iterator<Item = (&ProbeFacts, &ProbeReport)> {
        self.probes.iter().filter_map(|probe| match &probe.end {
            ProbeEnd::Reported(report) => Some((probe, &**report)),
            _ => None,
        })
    }
}

/// Observes all clusters at once. Nothing that fails ends the run: it is part of what is observed.
pub async fn observe(
    sites: &[Site],
    absent: Vec<Role>,
    circumstances: &Circumstances,
    listener: Listener<'_>,
) -> Observed {
    let looking = sites
        .iter()
        .map(|site| Box::pin(site::observe(site, circumstances, listener)));
    let mut observed = Observed {
        sites: join_all(looking).await,
        absent,
    };
    look_closer(sites, &mut observed).await;
    reach_across(sites, &mut observed, circumstances, listener).await;
    ask_again(sites, &mut observed).await;
    observed
}

/// Reads what explains a failure: only then are Secrets compared, and never shown.
async fn look_closer(sites: &[Site], observed: &mut Observed) {
    let failed = |wanted: &dyn Fn(TargetKind, Cause) -> bool| {
        observed
            .sites
            .iter()
            .flat_map(SiteFacts::reports)
            .flat_map(|(_, report)| &report.targets)
            .filter_map(|target| Some((target.kind, target.failed_hop()?.outcome.failure()?.0)))
            .any(|(kind, cause)| wanted(kind, cause))
    };
    let credentials = failed(&|_, cause| {
        matches!(
            cause,
            Cause::AuthenticationFailed
                | Cause::CertificateNotTrusted
                | Cause::Misconfigured
                | Cause::TlsFailed
        )
    });
    let names = failed(&|_, cause| cause.is_of_dns_itself());
    for (site, facts) in sites.iter().zip(&mut observed.sites) {
        if !facts.answers() {
            continue;
        }
        if credentials {
            let compared = secrets::fingerprints(&site.cluster, facts).await;
            (facts.fingerprints, facts.unread_secrets) = compared;
        }
        if names {
            facts.name_service = Some(site::name_service(&site.cluster).await);
        }
    }
}

/// Asks, from a pod of each cluster, for the addresses that others registered for everybody.
async fn reach_across(
    sites: &[Site],
    observed: &mut Observed,
    circumstances: &Circumstances,
    listener: Listener<'_>,
) {
    let mut wanted: Vec<(usize, Vec<String>)> = Vec::new();
    for index in 0..sites.len() {
        let addresses = foreign_addresses(observed, &observed.sites[index]);
        let urls: Vec<String> = addresses.into_iter().map(|address| address.url).collect();
        if !urls.is_empty() {
            wanted.push((index, urls));
        }
    }
    let asking = wanted.iter().map(async |(index, urls)| {
        let facts = &observed.sites[*index];
        let found = probes::reach(&sites[*index], facts, urls, circumstances, listener).await;
        (*index, found)
    });
    let reached: Vec<_> = join_all(asking).await;
    for (index, found) in reached {
        observed.sites[index].reached = found;
    }
}

/// Asks doubtful API servers once more. One that was lost counts as one that never answered.
async fn ask_again(sites: &[Site], observed: &mut Observed) {
    let asking = doubtful(observed)
        .into_iter()
        .map(async |index| (index, site::api_server(&sites[index].cluster).await));
    for (index, api) in join_all(asking).await {
        if matches!(api, ApiServer::Fails { .. }) {
            observed.sites[index].api = api;
        }
    }
}
