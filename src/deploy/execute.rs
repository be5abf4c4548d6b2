//! Writes what was planned, stage by stage, and waits until each is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::belongings::{Belongings, find};
use super::certificates::{Pair, new_authority};
use super::error::DeployError;
use super::event::Event;
use super::handover::is_complete;
use super::layout::Stage;
use super::observe::{Observed, plan_object};
use super::plan::{Action, ObjectPlan};
use super::refusal::refuse;
use super::run::{Part, Run};
use super::scaling::Scaling;
use super::secrets::{AUTHORITY_SECRET, Making, manifest as secret_manifest, random_password};
use crate::cluster::apply::{Ownership, Writer};
use crate::cluster::lock::Lock;
use crate::model::consent::Confirmed;
use crate::model::labels;
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;

/// How far a run got.
#[derive(Debug, Default)]
pub struct Progressed {
    /// Stages that are deployed and ready.
    pub done: Vec<Stage>,
    /// The stage that failed, if one did.
    pub failed: Option<Stage>,
    /// Stages that were not begun.
    pub not_begun: Vec<Stage>,
    /// What was written and deleted, by stage.
    pub touched: BTreeMap<Stage, Touched>,
}

/// What a run did to the objects of a stage.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    /// What was written, each object once however often it was.
    pub written: BTreeSet<ObjectRef>,
    /// What was deleted.
    pub deleted: BTreeSet<ObjectRef>,
}

impl Progressed {
    /// How many objects were written altogether.
    pub fn written(&self) -> usize {
        self.touched.values().map(|stage| stage.written.len()).sum()
    }

    /// How many objects were deleted altogether.
    pub fn deleted(&self) -> usize {
        self.touched.values().map(|stage| stage.deleted.len()).sum()
    }

    /// What was done to a stage.
    pub fn of(&self, stage: &Stage) -> Touched {
        self.touched.get(stage).cloned().unwrap_or_default()
    }

    pub(super) fn touch(&mut self, stage: &Stage) -> &mut Touched {
        self.touched.entry(stage.clone()).or_default()
    }
}

impl Run<'_> {
    /// Applies every stage in order and waits for each. Namespaces and locks come first.
    /// `progressed` tells afterwards how far it got, whatever the result.
    ///
    /// # Errors
    /// The first thing that went wrong; later stages are then not begun.
    pub async fn apply(
        &mut self,
        consent: &Confirmed,
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        progressed.not_begun = self
            .stages
            .iter()
            .filter(|(_, part)| *part == Part::Applied)
            .map(|(stage, _)| stage.clone())
            .collect();
        let locks = self.make_namespaces_and_lock(consent, progressed).await?;
        let outcome = self.apply_stages(consent, &locks, progressed).await;
        give_back(locks, consent).await;
        outcome
    }

    async fn make_namespaces_and_lock(
        &mut self,
        consent: &Confirmed,
        progressed: &mut Progressed,
    ) -> Result<Vec<(Stage, Lock)>, DeployError> {
        let mut stages = progressed.not_begun.clone();
        // One order for everybody, so that two runs never wait for each other.
        stages.sort();
        let mut locks = Vec::new();
        for stage in stages {
            match self
                .make_namespace_and_lock(&stage, consent, progressed)
                .await
            {
                Ok(lock) => locks.push((stage, lock)),
                Err(error) => {
                    give_back(locks, consent).await;
                    return Err(error);
                }
            }
        }
        Ok(locks)
    }

    async fn make_namespace_and_lock(
        &mut self,
        stage: &Stage,
        consent: &Confirmed,
        progressed: &mut Progressed,
    ) -> Result<Lock, DeployError> {
        let cluster = self.cluster(stage);
        let namespace = ObjectRef::new(ObjectKind::Namespace, "", &stage.namespace);
        if cluster.get(&namespace).await?.is_none() {
            let manifest = namespace_manifest(namespace.clone());
            Writer::new(cluster, consent)
                .apply(&manifest, Ownership::Respect)
                .await?;
            progressed.touch(stage).written.insert(namespace.clone());
            self.say(Event::Applied {
                stage: stage.clone(),
                object: namespace,
                action: Action::Create,
            });
        }
        let name = format!("telectl-{}", stage.profile);
        Ok(Lock::acquire(cluster, &stage.namespace, &name, &self.options.who).await?)
    }

    async fn apply_stages(
        &mut self,
        consent: &Confirmed,
        locks: &[(Stage, Lock)],
        progressed: &mut Progressed,
    ) -> Result<(), DeployError> {
        for (stage, part) in self.stages.clone() {
            let observed = self.observe(&stage).await?;
            self.learn(&stage, &observed);
            if part == Part::Observed {
                continue;
            }
            if self.stop.is_cancelled() {
                return Err(DeployError::Stopped);
            }
            progressed.not_begun.retain(|waiting| waiting != &stage);
            progressed.failed = Some(stage.clone());
            let lost = locks
                .iter()
                .find(|(locked, _)| locked == &stage)
                .map(|(_, lock)| lock.lost())
                .unwrap_or_default();
            let writing = Writing {
                stage: &stage,
                consent,
                lost: &lost,
                progressed,
            };
            self.apply_stage(observed, writing).await?;
            progressed.failed = None;
            progressed.done.push(stage);
        }
        Ok(())
    }

    async fn apply_stage(
        &mut self,
        observed: Observed,
        mut writing: Writing<'_>,
    ) -> Result<(), DeployError> {
        let started = Instant::now();
        let stage = writing.stage;
        self.require_addresses(stage)?;
        self.say(Event::StageStarted(stage.clone()));
        let belongings = find(self.cluster(stage), stage, &observed).await?;
        self.open_record(&mut writing, &observed, &belongings)
            .await?;
        let (observed, manifests) = self
            .apply_objects(&mut writing, observed, &belongings)
            .await?;
        for manifest in &observed.set.manifests {
            if manifest.object.kind == ObjectKind::StatefulSet {
                self.unblock(stage, &manifest.object, writing.consent)
                    .await?;
            }
        }
        self.await_ready(stage, &observed, writing.lost).await?;
        self.prune(&mut writing, &observed, &manifests).await?;
        self.close_record(&mut writing, &observed).await?;
        let touched = writing.progressed.of(stage);
        self.say(Event::StageDone {
            stage: stage.clone(),
            written: touched.written.len(),
            deleted: touched.deleted.len(),
            seconds: started.elapsed().as_secs_f64(),
        });
        Ok(())
    }

    /// Applies what a stage is made of; gives back how it was seen last, and its manifests as they
    /// were applied.
    async fn apply_objects(
        &mut self,
        writing: &mut Writing<'_>,
        observed: Observed,
        belongings: &Belongings,
    ) -> Result<(Observed, Vec<Manifest>), DeployError> {
        let stage = writing.stage;
        let scaling = Scaling::of(&observed.set, belongings).while_they_leave();
        self.make_authority(writing, &observed).await?;
        let (early, _) = split(&observed.set.manifests);
        self.write_all(writing, &scaling, early).await?;
        let observed = self.await_addresses(stage).await?;
        let secrets = self.plan_secrets(stage, &observed, Making::Real)?;
        for plan in secrets.iter().filter(|plan| plan.changes()) {
            let manifest = plan
                .manifest
                .as_ref()
                .ok_or_else(|| plan.unmade(&stage.namespace))?;
            let action = if plan.exists {
                Action::Update
            } else {
                Action::Create
            };
            // It is telectl's own, and the plan said what becomes of it.
            self.write(writing, manifest, action, Ownership::Take)
                .await?;
        }
        let manifests = self.with_digests(&observed, &secrets);
        let (_, late) = split(&manifests);
        self.write_all(writing, &scaling, late).await?;
        Ok((observed, manifests))
    }

    pub(super) fn require_addresses(&self, stage: &Stage) -> Result<(), DeployError> {
        if is_complete(stage, &self.handover) {
            return Ok(());
        }
        let server = if self.handover.redis.external.is_none() {
            "Redis"
        } else {
            "etcd"
        };
        Err(DeployError::NoAddress {
            stage: stage.to_string(),
            server: server.to_owned(),
        })
    }

    /// The private authority is made in the first stage that runs a server.
    async fn make_authority(
        &mut self,
        writing: &mut Writing<'_>,
        observed: &Observed,
    ) -> Result<(), DeployError> {
        let stage = writing.stage;
        if !self.makes_authority(&observed.set) {
            return Ok(());
        }
        // Servers that this run only looks at have certificates of an authority that is gone.
        if let Some((observed, _)) = self.stages.iter().find(|(_, part)| *part == Part::Observed) {
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
        let manifest = secret_manifest(&stage.namespace, AUTHORITY_SECRET, &data.into());
        let ownership = self.options.ownership;
        self.write(writing, &manifest, Action::Create, ownership)
            .await?;
        self.vault.authority = Some(Pair { certificate, key });
        Ok(())
    }

    /// Writes what differs; what nothing differs in is left alone.
    pub(super) async fn write_all(
        &mut self,
        writing: &mut Writing<'_>,
        scaling: &Scaling,
        manifests: Vec<Manifest>,
    ) -> Result<(), DeployError> {
        let cluster = self.cluster(writing.stage);
        let plans = manifests
            .iter()
            .map(|manifest| plan_object(cluster, scaling, manifest.clone()));
        let plans: Vec<ObjectPlan> = futures::future::try_join_all(plans).await?;
        refuse(plans.iter().map(|plan| (writing.stage, plan)))?;
        let conflicts: Vec<ObjectPlan> = plans
            .iter()
            .filter(|plan| plan.action == Action::Conflict)
            .cloned()
            .collect();
        if !conflicts.is_empty() && self.options.ownership == Ownership::Respect {
            let stage = writing.stage.to_string();
            return Err(DeployError::Conflicts {
                stage,
                objects: conflicts,
            });
        }
        for (manifest, plan) in manifests.into_iter().zip(plans) {
            if plan.action == Action::Keep {
                continue;
            }
            // An autoscaler may have decided anew since the object was planned.
            let manifest = if scaling.is_autoscaled(&manifest.object) {
                let live = cluster.get(&manifest.object).await?;
                scaling.with_live_count(manifest, live.as_ref())
            } else {
                manifest
            };
            let ownership = if scaling.takes(&plan) {
                Ownership::Take
            } else {
                self.options.ownership
            };
            self.write(writing, &manifest, plan.action, ownership)
                .await?;
        }
        Ok(())
    }

    /// Writes one object. What is written again in the same run is neither counted nor said again.
    pub(super) async fn write(
        &mut self,
        writing: &mut Writing<'_>,
        manifest: &Manifest,
        action: Action,
        ownership: Ownership,
    ) -> Result<(), DeployError> {
        self.require_leave(writing)?;
        let writer = Writer::new(self.cluster(writing.stage), writing.consent);
        writer.apply(manifest, ownership).await?;
        let touched = writing.progressed.touch(writing.stage);
        if touched.written.insert(manifest.object.clone()) {
            self.say(Event::Applied {
                stage: writing.stage.clone(),
                object: manifest.object.clone(),
                action,
            });
        }
        Ok(())
    }

    /// Nothing is written once somebody said stop, or without the lock.
    pub(super) fn require_leave(&self, writing: &Writing<'_>) -> Result<(), DeployError> {
        if self.stop.is_cancelled() {
            return Err(DeployError::Stopped);
        }
        if writing.lost.is_cancelled() {
            return Err(DeployError::LockLost {
                stage: writing.stage.to_string(),
            });
        }
        Ok(())
    }
}

/// A lock that cannot be given back expires by itself.
pub(super) async fn give_back(locks: Vec<(Stage, Lock)>, consent: &Confirmed) {
    for (_, lock) in locks {
        if let Err(error) = lock.release(consent).await {
            tracing::warn!(%error, "cannot give back a lock");
        }
    }
}

/// What a stage's writes have in common.
pub(super) struct Writing<'a> {
    pub(super) stage: &'a Stage,
    pub(super) consent: &'a Confirmed,
    pub(super) lost: &'a CancellationToken,
    pub(super) progressed: &'a mut Progressed,
}

/// What goes before the Secrets (they need the Services' addresses), and what goes after.
fn split(manifests: &[Manifest]) -> (Vec<Manifest>, Vec<Manifest>) {
    manifests
        .iter()
        .cloned()
        .partition(|manifest| manifest.object.kind < ObjectKind::Secret)
}

fn namespace_manifest(namespace: ObjectRef) -> Manifest {
    let value = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace.name,
            "labels": {
                (labels::MANAGED_BY): labels::TELECTL,
                (labels::PART_OF): labels::PIPELINE,
            },
        },
    });
    Manifest {
        object: namespace,
        value,
    }
}
