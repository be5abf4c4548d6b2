//! Looks at every cluster before anything is planned or written, so that nobody waits in vain: all
//! clusters at once, and all that is found is told together.
//!
//! Reading is in `ground` and `permissions`; what follows from it is decided purely, in a file for
//! each kind of question.

mod amounts;
mod balancer;
mod capacity;
pub mod catalogue;
mod finding;
mod ground;
mod images;
mod limits;
mod needs;
mod permissions;
mod placement;
mod prospect;
mod security;
mod server;
mod storage;
mod versions;
mod wanting;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join_all, try_join_all};
use serde_json::Value;

pub use finding::{Finding, Severity};

use self::ground::Ground;
pub(super) use self::ground::Place;
use self::needs::Makers;
use self::prospect::Prospect;
use self::versions::Untouched;
use super::error::DeployError;
use super::handover::values_for;
use super::layout::Stage;
use super::run::{Part, Run};
use crate::cluster::access::Greeting;
use crate::cluster::rights::Question;
use crate::cluster::{Cluster, ClusterError};
use crate::model::causes::causes;
use crate::model::object::ObjectKind;

/// What was seen of one cluster.
struct Seen {
    greeting: Greeting,
    findings: Vec<Finding>,
    untouched: Vec<Untouched>,
}

impl Run<'_> {
    /// Looks at every cluster: what was found, the gravest first. Errors that are let through by
    /// name ([`super::Options::skip_preflight`]) are warnings.
    ///
    /// # Errors
    /// When a stage cannot be rendered.
    pub(super) async fn preflight(&self) -> Result<Vec<Finding>, DeployError> {
        let prospects = self.prospects()?;
        let makers = Makers {
            vault: &self.knowledge.vault,
            has_looked: self.has_looked,
            stages: &prospects,
        };
        let is_asked = |context: &String| {
            let mut stages = self.stages.iter();
            stages.any(|(stage, _)| stage.context == *context)
        };
        let clusters = self.clusters.iter();
        let clusters = clusters.filter(|(context, _)| is_asked(context));
        let looking = clusters.map(async |(context, cluster)| {
            let here: Vec<&Prospect> = prospects
                .iter()
                .filter(|prospect| prospect.stage.context == *context)
                .collect();
            (context, look(cluster, &here, &self.places, &makers).await)
        });
        let mut findings = Vec::new();
        let (mut versions, mut untouched) = (BTreeMap::new(), Vec::new());
        for (context, looked) in join_all(looking).await {
            match looked {
                Ok(seen) => {
                    versions.insert(context.clone(), seen.greeting.version);
                    findings.extend(seen.findings);
                    untouched.extend(seen.untouched);
                }
                Err(error) => findings.push(unreachable(context, &error)),
            }
        }
        findings.extend(server::judge_apart(&versions));
        findings.extend(versions::judge(&prospects, &untouched));
        Ok(settled(findings, &self.options.skip_preflight))
    }

    /// Every stage as far as it can be rendered before anything is known.
    fn prospects(&self) -> Result<Vec<Prospect>, DeployError> {
        let stages = self.stages.iter();
        stages
            .map(|(stage, part)| {
                let values = values_for(stage, &self.knowledge.handover, None);
                Ok(Prospect {
                    stage: stage.clone(),
                    part: *part,
                    set: (self.render)(stage, &values)?,
                })
            })
            .collect()
    }

    /// What was found about a stage; what is about its cluster stands with the cluster's first.
    pub(super) fn findings_of(&self, stage: &Stage) -> Vec<Finding> {
        let applied = self.stages.iter();
        let applied = applied.filter(|(_, part)| *part == Part::Applied);
        // What is about several clusters stands with the first of all.
        let is_about = |finding: &&Finding| match finding.profile {
            Some(profile) => finding.cluster == stage.context && profile == stage.profile,
            None => {
                let is_of =
                    |other: &Stage| finding.cluster.is_empty() || finding.cluster == other.context;
                let first = applied.clone().find(|(other, _)| is_of(other));
                first.is_some_and(|(first, _)| first == stage)
            }
        };
        self.findings.iter().filter(is_about).cloned().collect()
    }
}

/// The warnings among findings, as lines. Errors are told together, where the run ends.
pub(super) fn warned(findings: &[Finding]) -> impl Iterator<Item = String> {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning)
        .map(ToString::to_string)
}

/// Lets errors through that somebody named. Pure.
fn settled(mut findings: Vec<Finding>, skipped: &BTreeSet<&'static str>) -> Vec<Finding> {
    for finding in &mut findings {
        if finding.severity == Severity::Error && skipped.contains(finding.check.id) {
            finding.severity = Severity::Warning;
        }
    }
    findings.sort_by_key(|finding| (finding.severity, finding.check.id));
    findings
}

/// Refuses to go on where something stands in the way. Pure.
///
/// # Errors
/// [`DeployError::Preflight`] with all that was found.
pub fn refuse(findings: &[Finding]) -> Result<(), DeployError> {
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    if findings.iter().any(is_error) {
        return Err(DeployError::Preflight {
            findings: findings.to_vec(),
        });
    }
    Ok(())
}

fn unreachable(context: &str, error: &ClusterError) -> Finding {
    let (observed, remedy) = match error {
        ClusterError::Unreachable { server, source, .. } => (
            {
                let why = causes("", Some(source.as_ref()));
                let why = why.last().map_or("", String::as_str);
                format!("the API server at {server} cannot be reached: {why}")
            },
            format!("is it up and reachable? curl -k {server}/livez"),
        ),
        ClusterError::TimedOut { server, .. } => (
            error.to_string(),
            format!("is it up and reachable? curl -k {server}/livez"),
        ),
        other => (
            other.to_string(),
            format!("kubectl --context {context} version answers once user and server are right"),
        ),
    };
    Finding::warning(
        &catalogue::REACHABLE,
        observed,
        "the API server answers",
        remedy,
    )
    .being(Severity::Error)
    .in_cluster(context)
}

/// Looks at one cluster. Everything is only read.
async fn look(
    cluster: &Cluster,
    here: &[&Prospect],
    places: &BTreeMap<Stage, Place>,
    makers: &Makers<'_>,
) -> Result<Seen, ClusterError> {
    let stages = here
        .iter()
        .map(|prospect| look_at(cluster, prospect, places.get(&prospect.stage), makers));
    let (greeting, served, stages, live) = futures::try_join!(
        cluster.greet(),
        cluster.served(),
        try_join_all(stages),
        live_workers(cluster, makers.stages),
    )?;
    let mut findings = server::judge(&greeting);
    let mut kinds = BTreeSet::new();
    for prospect in here {
        for finding in needs::unserved(&prospect.set, &served) {
            if kinds.insert(finding.observed.clone()) {
                findings.push(finding);
            }
        }
    }
    let mut denied = BTreeSet::new();
    for of_stage in stages {
        findings.extend(of_stage.findings);
        denied.extend(of_stage.denied);
    }
    let profiles: Vec<&str> = here
        .iter()
        .map(|prospect| prospect.stage.profile.name())
        .collect();
    findings.extend(permissions::judge(&denied, &profiles));
    let context = cluster.name();
    Ok(Seen {
        greeting,
        findings: findings
            .into_iter()
            .map(|finding| finding.in_cluster(context))
            .collect(),
        untouched: versions::untouched(context, &live, makers.stages),
    })
}

/// What the user may not do of these, as findings about a stage.
pub(super) async fn denied(
    cluster: &Cluster,
    stage: &Stage,
    questions: &BTreeSet<Question>,
) -> Result<Vec<Finding>, ClusterError> {
    let denied = permissions::denied(cluster, questions).await?;
    let denied: BTreeSet<Question> = denied.into_iter().collect();
    let found = permissions::judge(&denied, &[stage.profile.name()]);
    let found = found.into_iter();
    Ok(found
        .map(|finding| finding.of(stage.profile).in_cluster(cluster.name()))
        .collect())
}

/// What was found about one stage.
struct OfStage {
    findings: Vec<Finding>,
    denied: Vec<Question>,
}

async fn look_at(
    cluster: &Cluster,
    prospect: &Prospect,
    place: Option<&Place>,
    makers: &Makers<'_>,
) -> Result<OfStage, ClusterError> {
    let place = match place {
        Some(seen) => seen.clone(),
        None => ground::place(cluster, prospect).await?,
    };
    let questions = permissions::questions(prospect, &place);
    let denied = permissions::denied(cluster, &questions);
    if prospect.part == Part::Observed {
        let denied = denied.await?;
        let findings = Vec::new();
        return Ok(OfStage { findings, denied });
    }
    let (denied, ground) =
        futures::try_join!(denied, ground::read(cluster, prospect, (&place, makers)))?;
    let findings = judge(prospect, &place, &ground, makers);
    let profile = prospect.stage.profile;
    let findings = findings.into_iter().map(|finding| finding.of(profile));
    Ok(OfStage {
        findings: findings.collect(),
        denied,
    })
}

/// What a stage will meet in its place. Pure.
fn judge(prospect: &Prospect, place: &Place, ground: &Ground, makers: &Makers<'_>) -> Vec<Finding> {
    let set = &prospect.set;
    let mut found = needs::absent_secrets(prospect, place, ground, makers);
    found.extend(storage::judge(set, ground));
    found.extend(placement::judge(set, ground));
    if !place.was_deployed() {
        found.extend(capacity::judge(set, ground));
    }
    found.extend(balancer::judge(prospect, ground));
    found.extend(images::judge(prospect, ground));
    found.extend(security::judge(set, place.namespace.as_ref()));
    found.extend(limits::judge(prospect, ground));
    found
}

/// The workloads in the namespaces that the run writes to; none that may not be listed.
async fn live_workers(
    cluster: &Cluster,
    all: &[Prospect],
) -> Result<Vec<(&'static str, Value)>, ClusterError> {
    let namespaces: BTreeSet<&str> = all
        .iter()
        .filter(|prospect| prospect.part == Part::Applied)
        .map(|prospect| prospect.stage.namespace.as_str())
        .collect();
    let kinds = [ObjectKind::Deployment, ObjectKind::StatefulSet];
    let wanted = namespaces
        .into_iter()
        .flat_map(|namespace| kinds.map(|kind| (namespace, kind)));
    let reading =
        wanted.map(
            async |(namespace, kind)| match cluster.list(kind, namespace, "").await {
                Ok(found) => Ok(found.into_iter().map(|one| (kind.name(), one)).collect()),
                Err(ClusterError::Refused { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            },
        );
    Ok(try_join_all(reading).await?.concat())
}

#[cfg(test)]
mod tests;
