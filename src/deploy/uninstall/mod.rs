//! Takes profiles away again: only what the inventory lists, stage by stage in the reverse order
//! of a deployment, and resumable: the record of a stage goes last.

mod execute;
mod observe;
pub mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::observe::observe;
use self::plan::{Data, Removal, plan};
use super::error::DeployError;
use super::layout::Stage;
use super::preflight::denied;
use crate::cluster::rights::Question;
use crate::cluster::{Cluster, ClusterError};
use crate::model::profile::Profile;

pub use execute::Progressed;

/// What a run is made from.
pub struct Inputs<'a> {
    /// The clusters, by context.
    pub clusters: &'a BTreeMap<String, Cluster>,
    /// The stages, in the order in which they go.
    pub stages: Vec<Stage>,
    /// What becomes of data.
    pub data: Data,
    /// Who runs this, for locks: user and host.
    pub who: String,
    /// The longest time that the pods of one stage, or a namespace, may take to go.
    pub deadline: Duration,
    /// Is cancelled when the user wants to stop.
    pub stop: CancellationToken,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage begins.
    StageStarted(Stage),
    /// Something is deleted.
    Deleted {
        /// Where.
        stage: Stage,
        /// What, as `KIND/NAME`.
        object: String,
    },
    /// Something takes its time.
    Waiting {
        /// Where.
        stage: Stage,
        /// For what.
        what: String,
    },
    /// The namespace stays, although the plan said that it goes.
    NamespaceKept {
        /// Where.
        stage: Stage,
        /// Why.
        because: String,
    },
    /// A stage is done.
    StageDone {
        /// Where.
        stage: Stage,
        /// How many objects were deleted.
        deleted: usize,
    },
}

/// One uninstall.
pub struct Uninstall<'a> {
    inputs: Inputs<'a>,
    events: &'a mut (dyn FnMut(Event) + Send),
}

/// What would be done, and where that is not known.
#[derive(Debug, Default)]
pub struct Planned {
    /// The stages, in the order in which they go.
    pub removals: Vec<Removal>,
    /// The stages whose cluster does not answer, and why.
    pub unreachable: Vec<(Stage, ClusterError)>,
}

impl<'a> Uninstall<'a> {
    /// A run. Nothing is sent yet.
    pub fn new(inputs: Inputs<'a>, events: &'a mut (dyn FnMut(Event) + Send)) -> Self {
        Self { inputs, events }
    }

    /// Says what would be done. Writes nothing. A cluster that does not answer is part of the
    /// plan, not an error.
    ///
    /// # Errors
    /// When a cluster refuses something, or the user may not delete what would be deleted.
    pub async fn plan(&mut self) -> Result<Planned, DeployError> {
        let mut planned = Planned::default();
        let mut going: BTreeMap<(String, String), BTreeSet<Profile>> = BTreeMap::new();
        for stage in self.inputs.stages.clone() {
            let place = (stage.context.clone(), stage.namespace.clone());
            let going = going.entry(place).or_default();
            match observe(self.cluster(&stage), &stage, going).await {
                Ok(found) => {
                    let server = self.cluster(&stage).server();
                    let removal = plan(&stage, server, &found, self.inputs.data);
                    if removal.kept.is_empty() {
                        going.insert(stage.profile);
                    }
                    planned.removals.push(removal);
                }
                Err(error @ (ClusterError::Unreachable { .. } | ClusterError::TimedOut { .. })) => {
                    planned.unreachable.push((stage, error));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.require_rights(&planned.removals).await?;
        Ok(planned)
    }

    /// Refuses to begin what the user may not finish.
    async fn require_rights(&self, removals: &[Removal]) -> Result<(), DeployError> {
        let mut findings = Vec::new();
        for removal in removals.iter().filter(|removal| removal.has_changes()) {
            let questions = questions(removal);
            findings
                .extend(denied(self.cluster(&removal.stage), &removal.stage, &questions).await?);
        }
        if findings.is_empty() {
            Ok(())
        } else {
            Err(DeployError::Preflight { findings })
        }
    }

    fn cluster(&self, stage: &Stage) -> &'a Cluster {
        // Every stage's context was connected before the run was made.
        &self.inputs.clusters[&stage.context]
    }

    fn say(&mut self, event: Event) {
        (self.events)(event);
    }
}

/// Exactly what deleting this needs. Pure.
fn questions(removal: &Removal) -> BTreeSet<Question> {
    let namespace = &removal.stage.namespace;
    let question = |group, resource, verb| Question {
        group,
        resource,
        verb,
        namespace: namespace.clone(),
        name: String::new(),
    };
    let mut questions: BTreeSet<Question> = removal
        .objects
        .iter()
        .map(|unwanted| {
            let (group, _, plural) = unwanted.object.kind.resource();
            question(group, plural, "delete")
        })
        .collect();
    let lease = ["create", "delete", "get", "update"];
    questions.extend(lease.map(|verb| question("coordination.k8s.io", "leases", verb)));
    questions.insert(question("", "pods", "watch"));
    if !removal.claims.is_empty() {
        questions.insert(question("", "persistentvolumeclaims", "delete"));
    }
    let of_record: &[&str] = match removal.record {
        plan::RecordFate::Deleted => &["delete"],
        plan::RecordFate::Shortened => &["patch"],
        plan::RecordFate::Absent | plan::RecordFate::Unchanged => &[],
    };
    questions.extend(
        of_record
            .iter()
            .map(|verb| question("", "configmaps", verb)),
    );
    questions
}
