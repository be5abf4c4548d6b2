//! Applies one stage: Services first, since certificates need their addresses, then Secrets, then
//! what reads them; waits; and notes it in the inventory and the history.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures::StreamExt as _;
use futures::future::try_join_all;
use serde_json::Value;

use super::advertised;
use super::belongings::find;
use super::certificates::{Pair, new_authority};
use super::error::DeployError;
use super::event::Event;
use super::execute::Writing;
use super::knowledge::Knowledge;
use super::layout::Stage;
use super::observe::Observed;
use super::plan::{Action, ObjectPlan};
use super::planning::{plan_objects, plan_secrets};
use super::refusal::refuse;
use super::rotation::Rotated;
use super::run::{Part, Run, require_addresses};
use super::scaling::Scaling;
use super::secrets::{AUTHORITY_SECRET, Making, manifest as secret_manifest, random_password};
use super::times::Times;
use crate::cluster::apply::{Ownership, Writer};
use crate::cluster::snapshot::Snapshot;
use crate::cluster::{Cluster, ClusterError};
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;

/// How many objects are written at once; the cluster limits requests further.
const AT_ONCE: usize = 16;

/// How often an object is written again because its autoscaler was faster.
const ATTEMPTS: u32 = 5;

/// One stage while it is written.
pub(super) struct StageRun<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) stage: &'r Stage,
    pub(super) writing: &'r Writing<'r>,
    times: Mutex<Times>,
}

/// A stage that is deployed and ready.
pub(super) struct Applied {
    pub(super) stage: Stage,
    /// Its manifests as they were applied.
    pub(super) manifests: Vec<Manifest>,
    /// What is known once it is deployed.
    pub(super) knowledge: Knowledge,
}

impl Run<'_> {
    /// Looks at a stage that is not written, for what it tells.
    pub(super) async fn look_again(
        &self,
        stage: &Stage,
        knowledge: &mut Knowledge,
        writing: &Writing<'_>,
    ) -> Result<Observed, DeployError> {
        let live = match writing.looks.still(stage, writing.ledger) {
            Some(seen) => seen,
            None => Snapshot::take(self.cluster(stage), &stage.namespace).await?,
        };
        let nodes = self.nodes(stage);
        let observed = Observed::new(stage, live, nodes, knowledge, self.render)?;
        knowledge.learn(stage, &observed);
        Ok(observed)
    }
}

impl<'r> StageRun<'r> {
    pub(super) fn new(run: &'r Run<'r>, stage: &'r Stage, writing: &'r Writing<'r>) -> Self {
        Self {
            run,
            stage,
            writing,
            times: Mutex::default(),
        }
    }

    /// Takes note of what time went into; gives what is known by now.
    pub(super) fn took(&self, note: impl FnOnce(&mut Times)) -> Times {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut times);
        *times
    }

    /// Applies the stage and waits until it is ready.
    pub(super) async fn apply(&self, mut knowledge: Knowledge) -> Result<Applied, DeployError> {
        let started = Instant::now();
        // The lock is held now: what the plan saw may be over.
        let observed = self.look(&mut knowledge).await?;
        require_addresses(self.stage, &observed.set)?;
        self.run.say(Event::StageStarted(self.stage.clone()));
        self.open_record(&observed).await?;
        let (observed, manifests) = self.apply_and_wait(observed, &mut knowledge).await?;
        self.close_record(observed, &knowledge).await?;
        let touched = self.writing.ledger.of(self.stage);
        let times = self.took(|times| times.total = started.elapsed());
        self.run.say(Event::StageDone {
            stage: self.stage.clone(),
            written: touched.written.len(),
            deleted: touched.deleted.len(),
            times,
        });
        Ok(Applied {
            stage: self.stage.clone(),
            manifests,
            knowledge,
        })
    }

    pub(super) fn cluster(&self) -> &'r Cluster {
        self.run.cluster(self.stage)
    }

    /// Looks at the stage again.
    pub(super) async fn look(&self, knowledge: &mut Knowledge) -> Result<Observed, DeployError> {
        self.run
            .look_again(self.stage, knowledge, self.writing)
            .await
    }

    /// Applies what the stage is made of and waits until it is ready; gives back how it was seen
    /// last, and its manifests as they were applied.
    pub(super) async fn apply_and_wait(
        &self,
        observed: Observed,
        knowledge: &mut Knowledge,
    ) -> Result<(Observed, Vec<Manifest>), DeployError> {
        let deadline = self.deadline();
        let (observed, manifests) = self.apply_objects(observed, knowledge, deadline).await?;
        if self.is_settled(&observed) {
            return Ok((observed, manifests));
        }
        let sets = observed
            .set
            .manifests
            .iter()
            .filter(|manifest| manifest.object.kind == ObjectKind::StatefulSet);
        try_join_all(sets.map(|manifest| self.unblock(&manifest.object))).await?;
        self.await_ready(&observed, deadline).await?;
        Ok((observed, manifests))
    }

    /// Applies what the stage is made of; gives back how it was seen last, and its manifests as
    /// they were applied.
    async fn apply_objects(
        &self,
        observed: Observed,
        knowledge: &mut Knowledge,
        deadline: tokio::time::Instant,
    ) -> Result<(Observed, Vec<Manifest>), DeployError> {
        let scaling = Scaling::of(&observed.set, &find(&observed)).while_they_leave();
        self.make_authority(&observed, knowledge).await?;
        let (early, _) = split(&observed.set.manifests);
        self.write_all(&scaling, early, &observed).await?;
        let observed = self.await_addresses(observed, knowledge, deadline).await?;
        if advertised::is_awaited(&observed.set) {
            return Err(DeployError::NoOwnAddress {
                stage: self.stage.to_string(),
            });
        }
        let secrets = plan_secrets(self.stage, &observed, knowledge, Making::Real)?;
        let changing = secrets.iter().filter(|plan| plan.changes());
        let written = changing.map(|plan| async move {
            let manifest = plan
                .manifest
                .as_ref()
                .ok_or_else(|| plan.unmade(&self.stage.namespace))?;
            // One that is there is telectl's own, and the plan said what becomes of it. One that
            // appeared meanwhile is somebody else's.
            let (action, ownership) = if plan.exists {
                (Action::Update, Ownership::Take)
            } else {
                (Action::Create, Ownership::Respect)
            };
            self.write(manifest, action, ownership).await
        });
        try_join_all(written).await?;
        let manifests = observed.with_digests(&secrets, knowledge);
        let (_, late) = split(&manifests);
        self.write_all(&scaling, late, &observed).await?;
        Ok((observed, manifests))
    }

    /// The private authority is made in the first stage that runs a server.
    async fn make_authority(
        &self,
        observed: &Observed,
        knowledge: &mut Knowledge,
    ) -> Result<(), DeployError> {
        if !knowledge.makes_authority(&observed.set) {
            return Ok(());
        }
        // Servers that this run only looks at have certificates of an authority that is gone.
        let mut stages = self.run.stages.iter();
        if let Some((observed, _)) = stages.find(|(_, part)| *part == Part::Observed) {
            return Err(DeployError::NoAuthority {
                stage: observed.to_string(),
            });
        }
        let name = format!("telectl authority {}", &random_password()[..8]);
        let Pair { certificate, key } = new_authority(&name, jiff::Timestamp::now())?;
        let data = [
            ("tls.crt", certificate.clone()),
            ("tls.key", key.expose().clone()),
        ]
        .map(|(name, value)| (name.to_owned(), Secret::new(value.into_bytes())));
        let place = (self.stage.namespace.as_str(), AUTHORITY_SECRET);
        let rotation = &knowledge.vault.rotation;
        let rotated_at = rotation
            .what
            .contains(&Rotated::Authority)
            .then_some(rotation.since.as_str());
        let manifest = secret_manifest(place, &data.into(), rotated_at);
        // One that is there and ours is rotated, as the plan said.
        let (action, ownership) = match observed.secrets.get(AUTHORITY_SECRET) {
            Some(live) if live.ours => (Action::Update, Ownership::Take),
            Some(_) => (Action::Update, Ownership::Respect),
            None => (Action::Create, Ownership::Respect),
        };
        self.write(&manifest, action, ownership).await?;
        knowledge.vault.authority = Some(Pair { certificate, key });
        Ok(())
    }

    /// Writes what differs; what nothing differs in is left alone. Kinds go one after the other,
    /// the objects of a kind side by side.
    pub(super) async fn write_all(
        &self,
        scaling: &Scaling,
        manifests: Vec<Manifest>,
        observed: &Observed,
    ) -> Result<(), DeployError> {
        let judging = self.run.judging(scaling);
        let plans = plan_objects(self.cluster(), judging, manifests.clone(), observed).await?;
        refuse(plans.iter().map(|plan| (self.stage, plan)))?;
        let conflicts: Vec<ObjectPlan> = plans
            .iter()
            .filter(|plan| plan.action == Action::Conflict)
            .cloned()
            .collect();
        if !conflicts.is_empty() {
            return Err(DeployError::Conflicts {
                stage: self.stage.to_string(),
                objects: conflicts,
            });
        }
        let mut changed: Vec<(Manifest, ObjectPlan)> = manifests.into_iter().zip(plans).collect();
        changed.retain(|(_, plan)| plan.action != Action::Keep);
        for kind in ObjectKind::ALL {
            let of_kind = changed
                .iter()
                .filter(|(manifest, _)| manifest.object.kind == kind);
            // Whatever fails, what was begun comes to its end.
            let outcomes: Vec<Result<(), DeployError>> = futures::stream::iter(of_kind)
                .map(|(manifest, plan)| self.write_planned(scaling, manifest, plan))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            outcomes.into_iter().collect::<Result<(), DeployError>>()?;
        }
        Ok(())
    }

    async fn write_planned(
        &self,
        scaling: &Scaling,
        manifest: &Manifest,
        plan: &ObjectPlan,
    ) -> Result<(), DeployError> {
        let ownership = if scaling.takes(plan) {
            Ownership::Take
        } else {
            plan.ownership()
        };
        let manifest = self.counted(scaling, manifest).await?;
        self.take_possession(plan, &manifest).await?;
        let mut written = self.write(&manifest, plan.action, ownership).await;
        for _ in 1..ATTEMPTS {
            match &written {
                Err(DeployError::Cluster(ClusterError::Conflict { fields, .. }))
                    if scaling.decided_anew(&manifest.object, fields) =>
                {
                    let manifest = self.counted(scaling, &manifest).await?;
                    written = self.write(&manifest, plan.action, ownership).await;
                }
                _ => break,
            }
        }
        written
    }

    /// A manifest with the number of pods that runs now, where an autoscaler decides it: it may have
    /// done so anew since the object was planned.
    async fn counted(
        &self,
        scaling: &Scaling,
        manifest: &Manifest,
    ) -> Result<Manifest, DeployError> {
        if !scaling.is_autoscaled(&manifest.object) {
            return Ok(manifest.clone());
        }
        let live = self.cluster().get(&manifest.object).await?;
        Ok(scaling.with_live_count(manifest.clone(), live.as_ref()))
    }

    /// Writes one object. What is written again in the same run is neither counted nor said again.
    pub(super) async fn write(
        &self,
        manifest: &Manifest,
        action: Action,
        ownership: Ownership,
    ) -> Result<(), DeployError> {
        self.require_leave()?;
        let ledger = self.writing.ledger;
        let object = &manifest.object;
        ledger.begin_write(self.stage, object);
        let writer = Writer::new(self.cluster(), self.writing.consent);
        if let Err(error) = writer.apply(manifest, ownership).await {
            ledger.refused(self.stage, object);
            return Err(error.into());
        }
        if ledger.finish_write(self.stage, object, action) {
            self.run.say(Event::Applied {
                stage: self.stage.clone(),
                object: object.clone(),
                action,
            });
        }
        Ok(())
    }

    /// Writes something that belongs to the run and not to what is deployed: it is neither said nor
    /// counted.
    pub(super) async fn write_quietly(&self, manifest: &Manifest) -> Result<Value, DeployError> {
        self.require_leave()?;
        let writer = Writer::new(self.cluster(), self.writing.consent);
        Ok(writer.apply(manifest, Ownership::Take).await?)
    }

    /// Deletes something that belongs to the run and not to what is deployed.
    pub(super) async fn delete_quietly(
        &self,
        object: &ObjectRef,
        uid: &str,
    ) -> Result<(), DeployError> {
        self.require_leave()?;
        let writer = Writer::new(self.cluster(), self.writing.consent);
        Ok(writer.delete(object, uid).await?)
    }

    /// Nothing is written once somebody said stop, or without the lock.
    pub(super) fn require_leave(&self) -> Result<(), DeployError> {
        if self.writing.halt.is_cancelled() {
            return Err(DeployError::Stopped);
        }
        match self.writing.locks.get(self.stage) {
            Some(lock) if lock.is_held() => Ok(()),
            _ => Err(DeployError::LockLost {
                stage: self.stage.to_string(),
            }),
        }
    }
}

/// What goes before the Secrets (they need the Services' addresses), and what goes after.
fn split(manifests: &[Manifest]) -> (Vec<Manifest>, Vec<Manifest>) {
    manifests
        .iter()
        .cloned()
        .partition(|manifest| manifest.object.kind < ObjectKind::Secret)
}
