//! What only a pod can see: registrations and the servers' certificates. One probe looks, in a
//! short-lived Job.

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::model::component::Component;
use crate::probe::{CertificateFacts, ProbeReport, Registration, TargetKind};
use crate::validate::facts::{Listing, Role};
use crate::validate::observe::{ProbeEnd, probe_workload, sweep};
use crate::validate::{Canaries, Circumstances, Probing, Site};

use super::collect::{ClusterFacts, Limits};

/// The certificate that a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Which server.
    pub server: TargetKind,
    /// Where, as the worker is told.
    pub endpoint: String,
    /// What it says.
    pub facts: CertificateFacts,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// When it looked.
    pub at: Option<Timestamp>,
    /// What etcd holds, or why that is not known.
    pub registrations: Result<Vec<Registration>, String>,
    /// Certificates of Redis, PostgreSQL and etcd, or why they are not known.
    pub certificates: Result<Vec<ServerCertificate>, String>,
}

impl Probed {
    /// Nothing is known.
    pub fn unknown(why: impl Into<String>) -> Self {
        let why = why.into();
        Self {
            at: None,
            registrations: Err(why.clone()),
            certificates: Err(why),
        }
    }
}

/// Looks from the place of the first worker that can be stood for, a collector of the central
/// cluster first: it depends on every server.
pub async fn probed(
    sites: &[Site],
    clusters: &[ClusterFacts],
    limits: Limits,
    stop: CancellationToken,
) -> Probed {
    let mut places: Vec<(&Site, &ClusterFacts)> = sites
        .iter()
        .zip(clusters)
        .filter(|(_, facts)| facts.answers())
        .collect();
    places.sort_by_key(|(site, _)| !site.roles.contains(&Role::Central));
    let place = places.into_iter().find_map(|(site, facts)| {
        let (component, workload) = facts.objects.stand_in()?;
        Some((site, component, workload))
    });
    let Some((site, component, workload)) = place else {
        let mut objects = clusters.iter().map(|facts| &facts.objects);
        return Probed::unknown(
            match objects.find_map(|all| all.unread(&Listing::WORKLOADS)) {
                Some(unread) => format!("{} could not be read", unread.what()),
                None => "no worker is deployed that a probe could stand for".to_owned(),
            },
        );
    };
    let circumstances = Circumstances {
        run: format!("{:08x}", rand::random::<u32>()),
        stop,
        probe_deadline: limits.probe,
        probing: Probing::Run,
        canaries: Canaries::Omit,
    };
    if let Err(error) = sweep(&site.cluster, &site.namespaces, Timestamp::now()).await {
        return Probed::unknown(error.to_string());
    }
    let probed = probe_workload(&site.cluster, workload, component, &[], &circumstances).await;
    match probed.end {
        ProbeEnd::Reported(report) => read(*report, component, sites),
        ProbeEnd::NotStarted { reason } | ProbeEnd::Failed { reason } => Probed::unknown(reason),
        ProbeEnd::OutOfTime { state } => {
            Probed::unknown(format!("the probe did not report in time: {state}"))
        }
        ProbeEnd::Stopped => Probed::unknown("the probe was stopped"),
    }
}

fn read(report: ProbeReport, component: Component, sites: &[Site]) -> Probed {
    let certificates = report.targets.into_iter().filter_map(|target| {
        Some(ServerCertificate {
            server: target.kind,
            endpoint: target.endpoint,
            facts: target.certificate?,
        })
    });
    Probed {
        at: Some(Timestamp::now()),
        certificates: Ok(certificates.collect()),
        registrations: report
            .registrations
            .map(|all| of_sites(sites, all))
            .ok_or_else(|| format!("the {component}'s probe could not read etcd")),
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
