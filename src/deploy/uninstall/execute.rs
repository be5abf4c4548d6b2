//! Deletes what was planned, stage by stage.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::super::belongings::Unwanted;
use super::super::error::DeployError;
use super::super::execute::{Locks, give_back};
use super::super::history;
use super::super::layout::Stage;
use super::observe::observe;
use super::plan::{Claim, KEPT_CLAIMS, NamespaceFate, RecordFate, Removal, kept_members, plan};
use super::{Event, Uninstall};
use crate::cluster::apply::{Ownership, Writer};
use crate::cluster::lock::Lock;
use crate::cluster::wait::until;
use crate::cluster::{ClusterError, contents, gone, inventory};
use crate::model::consent::Confirmed;
use crate::model::labels;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// How far a run got.
#[derive(Debug, Default)]
pub struct Progressed {
    /// Stages that are gone, as far as they should.
    pub done: Vec<Stage>,
    /// The stage that failed, if one did.
    pub failed: Option<Stage>,
    /// Stages that were not begun.
    pub not_begun: Vec<Stage>,
    /// How many objects were deleted, by stage.
    pub deleted: BTreeMap<Stage, usize>,
}

/// What the deletions of a stage have in common.
struct Deleting<'a> {
    removal: Removal,
    consent: &'a Confirmed,
    lost: CancellationToken,
}

impl Uninstall<'_> {
    /// Deletes what the plan said and what still is there, in its order. `progressed` tells
    /// afterwards how far it got, whatever the result.
    ///
    /// # Errors
    /// The first thing that went wrong; later stages are then not begun.
    pub async fn apply(
        &mut self,
        agreed: &[Removal],
        consent: &Confirmed,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        let wanted: Vec<&Removal> = agreed.iter().filter(|one| one.has_changes()).collect();
        progressed.not_begun = wanted.iter().map(|one| one.stage.clone()).collect();
        let locks = self.lock(&progressed.not_begun, consent).await?;
        let outcome = self
            .apply_stages(&wanted, consent, &locks, progressed)
            .await;
        give_back(locks, consent).await;
        outcome
    }

    /// Takes the locks that a deployment takes, in its order.
    async fn lock(&self, stages: &[Stage], consent: &Confirmed) -> Result<Locks, DeployError> {
        let mut stages = stages.to_vec();
        stages.sort_by_key(|stage| (stage.profile == Profile::Edge, stage.clone()));
        let mut locks = Locks::new();
        for stage in stages {
            let name = format!("telectl-{}", stage.profile);
            let (cluster, who) = (self.cluster(&stage), &self.inputs.who);
            match Lock::acquire(cluster, &stage.namespace, &name, who, |_| {}).await {
                Ok(lock) => drop(locks.insert(stage, lock)),
                Err(error) => {
                    give_back(locks, consent).await;
                    return Err(error.into());
                }
            }
        }
        Ok(locks)
    }

    async fn apply_stages(
        &mut self,
        agreed: &[&Removal],
        consent: &Confirmed,
        locks: &Locks,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        for agreed in agreed {
            let stage = agreed.stage.clone();
            self.require_leave(&stage, &CancellationToken::new())?;
            progressed.not_begun.retain(|waiting| *waiting != stage);
            progressed.failed = Some(stage.clone());
            let cluster = self.cluster(&stage);
            let found = observe(cluster, &stage, &BTreeSet::new()).await?;
            let seen = plan(&stage, cluster.server(), &found, self.inputs.data);
            let lock = locks.get(&stage);
            let deleting = Deleting {
                removal: within(seen, agreed),
                consent,
                lost: lock.map(Lock::lost).unwrap_or_default(),
            };
            self.say(Event::StageStarted(stage.clone()));
            self.apply_stage(&deleting, found.record.as_ref(), progressed)
                .await?;
            progressed.failed = None;
            progressed.done.push(stage.clone());
            let deleted = progressed.deleted.get(&stage).copied().unwrap_or_default();
            self.say(Event::StageDone { stage, deleted });
        }
        Ok(())
    }

    /// Workloads first; their pods still need what they were given while they end. The record goes
    /// last, so that whatever is left after an interruption is found again.
    async fn apply_stage(
        &mut self,
        deleting: &Deleting<'_>,
        record: Option<&Value>,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        let is_early = |one: &&Unwanted| one.object.kind >= ObjectKind::StatefulSet;
        let objects = &deleting.removal.objects;
        for unwanted in objects.iter().filter(is_early) {
            self.delete(deleting, unwanted, progressed).await?;
        }
        self.await_pods(deleting).await?;
        for claim in &deleting.removal.claims {
            self.delete_claim(deleting, claim, progressed).await?;
        }
        for unwanted in objects.iter().filter(|one| !is_early(one)) {
            self.delete(deleting, unwanted, progressed).await?;
        }
        if let Some(record) = record {
            self.close_record(deleting, record, progressed).await?;
        }
        if deleting.removal.namespace == NamespaceFate::Deleted {
            self.delete_namespace(deleting, progressed).await?;
        }
        Ok(())
    }

    async fn delete(
        &mut self,
        deleting: &Deleting<'_>,
        unwanted: &Unwanted,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        let stage = &deleting.removal.stage;
        self.require_leave(stage, &deleting.lost)?;
        let object = &unwanted.object;
        Writer::new(self.cluster(stage), deleting.consent)
            .delete(object, &unwanted.uid)
            .await?;
        self.count(
            stage,
            format!("{}/{}", object.kind, object.name),
            progressed,
        );
        Ok(())
    }

    async fn delete_claim(
        &mut self,
        deleting: &Deleting<'_>,
        claim: &Claim,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        let stage = &deleting.removal.stage;
        self.require_leave(stage, &deleting.lost)?;
        Writer::new(self.cluster(stage), deleting.consent)
            .delete_claim(&stage.namespace, &claim.name, &claim.uid)
            .await?;
        let object = format!("PersistentVolumeClaim/{}", claim.name);
        self.count(stage, object, progressed);
        Ok(())
    }

    fn count(&mut self, stage: &Stage, object: String, progressed: &mut Progressed) {
        *progressed.deleted.entry(stage.clone()).or_default() += 1;
        let stage = stage.clone();
        self.say(Event::Deleted { stage, object });
    }

    async fn await_pods(&mut self, deleting: &Deleting<'_>) -> Result<(), DeployError> {
        let stage = &deleting.removal.stage;
        let (cluster, deadline) = (self.cluster(stage), self.inputs.deadline);
        let stop = self.inputs.stop.clone();
        for instance in &deleting.removal.instances {
            let labels = format!(
                "app.kubernetes.io/instance={instance},{}={}",
                labels::PART_OF,
                labels::PIPELINE
            );
            let place = (stage.namespace.as_str(), labels.as_str());
            let whose = stage.to_string();
            let going = gone::pods(cluster, place, &whose, deadline, |left| {
                let names: Vec<&str> = left.iter().map(String::as_str).collect();
                self.say(Event::Waiting {
                    stage: stage.clone(),
                    what: format!("pods to end: {}", names.join(", ")),
                });
            });
            tokio::select! {
                gone = going => gone?,
                () = stop.cancelled() => return Err(DeployError::Stopped),
                () = deleting.lost.cancelled() => return Err(lost(stage)),
            }
        }
        Ok(())
    }

    async fn close_record(
        &mut self,
        deleting: &Deleting<'_>,
        record: &Value,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        let Removal {
            stage,
            record: fate,
            ..
        } = &deleting.removal;
        let parent = inventory::parent(&stage.namespace, stage.profile.name());
        if matches!(fate, RecordFate::Deleted | RecordFate::Shortened) {
            self.delete_history(deleting).await?;
        }
        match fate {
            RecordFate::Absent | RecordFate::Unchanged => Ok(()),
            RecordFate::Deleted => {
                let uid = record["metadata"]["uid"].as_str().unwrap_or_default();
                let record = Unwanted {
                    object: parent,
                    uid: uid.to_owned(),
                };
                self.delete(deleting, &record, progressed).await
            }
            RecordFate::Shortened => {
                self.require_leave(stage, &deleting.lost)?;
                let members = kept_members(&deleting.removal);
                let cluster_id = inventory::recorded_cluster_id(record).unwrap_or_default();
                let mut manifest = inventory::parent_manifest(&parent, &members, cluster_id, None);
                let claims = serde_json::json!(deleting.removal.kept_claims).to_string();
                manifest.value["metadata"]["annotations"][KEPT_CLAIMS] = claims.into();
                Writer::new(self.cluster(stage), deleting.consent)
                    .apply(&manifest, Ownership::Take)
                    .await?;
                Ok(())
            }
        }
    }

    /// What was deployed before cannot be gone back to once its volumes' pods are gone. Telectl's own
    /// notes are neither said nor counted.
    async fn delete_history(&self, deleting: &Deleting<'_>) -> Result<(), DeployError> {
        let stage = &deleting.removal.stage;
        let cluster = self.cluster(stage);
        let labels = history::selector(stage.profile);
        let entries = cluster
            .list(ObjectKind::ConfigMap, &stage.namespace, &labels)
            .await?;
        for entry in entries {
            self.require_leave(stage, &deleting.lost)?;
            let text = |field: &str| entry["metadata"][field].as_str().unwrap_or_default();
            let object = ObjectRef::new(ObjectKind::ConfigMap, &stage.namespace, text("name"));
            Writer::new(cluster, deleting.consent)
                .delete(&object, text("uid"))
                .await?;
        }
        Ok(())
    }

    /// Deletes the namespace, unless something is in it that nobody agreed to delete.
    async fn delete_namespace(
        &mut self,
        deleting: &Deleting<'_>,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        let stage = &deleting.removal.stage;
        let cluster = self.cluster(stage);
        let object = ObjectRef::new(ObjectKind::Namespace, "", &stage.namespace);
        let because = match contents::of_namespace(cluster, &stage.namespace).await {
            Ok(items) => items.first().map(|first| match items.len() - 1 {
                0 => format!("{first} is in it"),
                more => format!("{first} and {more} more are in it"),
            }),
            Err(ClusterError::Refused { message, .. }) => Some(format!(
                "whether anything is in it cannot be seen: {message}"
            )),
            Err(error) => return Err(error.into()),
        };
        if let Some(because) = because {
            let stage = stage.clone();
            self.say(Event::NamespaceKept { stage, because });
            return Ok(());
        }
        let Some(live) = cluster.get(&object).await? else {
            return Ok(());
        };
        let uid = live["metadata"]["uid"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let namespace = Unwanted { object, uid };
        self.delete(deleting, &namespace, progressed).await?;
        self.say(Event::Waiting {
            stage: stage.clone(),
            what: "the namespace to go".to_owned(),
        });
        let is_gone = |live: Option<&Value>| {
            live.is_none_or(|live| live["metadata"]["uid"] != namespace.uid.as_str())
        };
        let deadline = self.inputs.deadline;
        let _gone = until(cluster, &namespace.object, "is gone", deadline, is_gone).await?;
        Ok(())
    }

    /// Nothing is deleted once somebody said stop, or without the lock.
    fn require_leave(
        &self,
        stage: &Stage,
        lost_lock: &CancellationToken,
    ) -> Result<(), DeployError> {
        if self.inputs.stop.is_cancelled() {
            return Err(DeployError::Stopped);
        }
        if lost_lock.is_cancelled() {
            return Err(lost(stage));
        }
        Ok(())
    }
}

fn lost(stage: &Stage) -> DeployError {
    DeployError::LockLost {
        stage: stage.to_string(),
    }
}

/// What is there and was agreed to. What came since stays, and with it record and namespace. Pure.
fn within(mut seen: Removal, agreed: &Removal) -> Removal {
    let before = seen.objects.len() + seen.claims.len();
    seen.objects.retain(|one| agreed.objects.contains(one));
    seen.claims.retain(|claim| agreed.claims.contains(claim));
    if seen.objects.len() + seen.claims.len() < before {
        seen.record = RecordFate::Unchanged;
        seen.namespace = NamespaceFate::Kept {
            because: "something came into it meanwhile".to_owned(),
        };
    }
    if agreed.namespace != NamespaceFate::Deleted {
        seen.namespace.clone_from(&agreed.namespace);
    }
    seen
}
