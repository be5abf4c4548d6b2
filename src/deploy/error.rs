//! What can go wrong with a deployment.

use super::certificates::CertificateError;
use super::history::Unreadable;
use super::layout::{LayoutError, Stage};
use super::plan::ObjectPlan;
use super::preflight::{Finding, Severity};
use super::secrets::SecretError;
use crate::cluster::ClusterError;
use crate::probe::canary::CanaryError;

/// An error of a deployment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// A cluster did not do what it should.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The clusters do not fit their roles.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A Secret cannot be made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The values of a stage do not render.
    #[error("cannot render {stage}")]
    Render {
        /// Which stage.
        stage: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Others own fields that would be changed.
    #[error("{stage}: somebody else changed what telectl manages")]
    Conflicts {
        /// Which stage.
        stage: String,
        /// The objects with the fields.
        objects: Vec<ObjectPlan>,
    },
    /// Objects would have to change what is fixed for their life.
    #[error("{} cannot be changed in place", counted(objects))]
    CannotChange {
        /// The objects, with their stages.
        objects: Vec<(Stage, ObjectPlan)>,
    },
    /// A webhook or a policy of a cluster is against objects.
    #[error("{} {} refused by a policy of the cluster", counted(objects), are(objects.len()))]
    Rejected {
        /// The objects, with their stages.
        objects: Vec<(Stage, ObjectPlan)>,
    },
    /// Objects exist already and are somebody else's.
    #[error("{} {} to somebody else", counted(objects), belongs(objects.len()))]
    NotOurs {
        /// The objects, with their stages.
        objects: Vec<(Stage, ObjectPlan)>,
    },
    /// The look at the clusters beforehand found what stands in the way.
    #[error("the clusters are not ready for this: {}", errors(findings))]
    Preflight {
        /// All that was found, errors first.
        findings: Vec<Finding>,
    },
    /// A stage needs an address that no stage before it has.
    #[error("{stage} needs the external address of {server}, which is not known")]
    NoAddress {
        /// Which stage.
        stage: String,
        /// Of what.
        server: String,
    },
    /// A load balancer lost the address that it had given.
    #[error("a load balancer of {stage} has no address for its workers to register")]
    NoOwnAddress {
        /// Which stage.
        stage: String,
    },
    /// The private authority of a stage that is only looked at is gone.
    #[error(
        "the private authority of {stage} (Secret telectl-ca) is gone, so nothing can be signed"
    )]
    NoAuthority {
        /// Which stage.
        stage: String,
    },
    /// Something is to be made anew that is made elsewhere.
    #[error("--rotate {what}: nothing that this command deploys makes it")]
    NotRotated {
        /// What.
        what: &'static str,
    },
    /// The run was stopped between two writes.
    #[error("stopped before everything was applied")]
    Stopped,
    /// The run ended where somebody wanted to look first.
    #[error("paused after {done} {}, {left} still to go", edges(*done))]
    Paused {
        /// Edges that are deployed.
        done: usize,
        /// Edges that are not.
        left: usize,
    },
    /// The time for the whole run was over.
    #[error("not everything was deployed within {} s", after.as_secs())]
    OutOfTime {
        /// The time.
        after: std::time::Duration,
    },
    /// Nothing gets from the first edge to the gateway.
    #[error("no canary arrived from {stage}, so the other edges were not begun")]
    Canary {
        /// The first edge.
        stage: String,
        /// Where it was lost.
        #[source]
        source: Box<CanaryError>,
    },
    /// An entry of the history cannot be used.
    #[error(transparent)]
    History(#[from] Unreadable),
    /// The lock could not be renewed in time.
    #[error("the lock of {stage} was lost, so nothing more was written")]
    LockLost {
        /// Which stage.
        stage: String,
    },
}

const fn edges(count: usize) -> &'static str {
    if count == 1 { "edge" } else { "edges" }
}

const fn belongs(count: usize) -> &'static str {
    if count == 1 { "belongs" } else { "belong" }
}

const fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

fn errors(findings: &[Finding]) -> String {
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    match errors.count() {
        1 => "1 error".to_owned(),
        several => format!("{several} errors"),
    }
}

fn counted(objects: &[(Stage, ObjectPlan)]) -> String {
    match objects {
        [(stage, plan)] => format!("cluster {}: {}", stage.context, plan.object),
        several => format!("{} objects", several.len()),
    }
}
