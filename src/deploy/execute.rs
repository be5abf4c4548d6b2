//! Writes what was planned: stage by stage, and the edges side by side once the first of them is
//! well.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::error::DeployError;
use super::event::Event;
use super::knowledge::Knowledge;
use super::layout::Stage;
use super::looks::Looks;
use super::plan::Action;
use super::progressed::Ledger;
use super::run::{OnFailure, Part, Run};
use super::stage_run::{Applied, StageRun};
use crate::cluster::ClusterError;
use crate::cluster::apply::{Ownership, Writer};
use crate::cluster::lock::{Lock, LockNews};
use crate::model::consent::Confirmed;
use crate::model::labels;
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// The locks of a run, by stage.
pub(super) type Locks = BTreeMap<Stage, Lock>;

/// What the stages of one run share while they are written.
pub(super) struct Writing<'w> {
    pub(super) consent: &'w Confirmed,
    pub(super) ledger: &'w Ledger,
    pub(super) locks: &'w Locks,
    /// Is cancelled when nothing more is to be begun: somebody said stop, or the time is over.
    pub(super) halt: CancellationToken,
    /// What was seen once the locks were taken.
    pub(super) looks: Looks,
}

impl Run<'_> {
    /// Applies every stage in order and waits for each. Namespaces and locks come first.
    /// `ledger` tells afterwards how far it got, whatever the result.
    ///
    /// # Errors
    /// The first thing that went wrong; what was not begun until then stays so. What else became of
    /// the stages is in the ledger.
    pub async fn apply(&self, consent: &Confirmed, ledger: &Ledger) -> Result<(), DeployError> {
        ledger.note(|all| {
            all.not_begun = self.applied().cloned().collect();
            all.skipped.clone_from(&self.skipped);
        });
        let mut locks = Locks::new();
        let outcome = match self.lock_all(consent, ledger, &mut locks).await {
            Ok(()) => self.apply_locked(consent, ledger, &locks).await,
            Err(error) => Err(error),
        };
        give_back(locks, consent).await;
        outcome
    }

    /// The stages that are written.
    pub(super) fn applied(&self) -> impl Iterator<Item = &Stage> {
        let applied = self
            .stages
            .iter()
            .filter(|(_, part)| *part == Part::Applied);
        applied.map(|(stage, _)| stage)
    }

    async fn apply_locked(
        &self,
        consent: &Confirmed,
        ledger: &Ledger,
        locks: &Locks,
    ) -> Result<(), DeployError> {
        let mut writing = Writing {
            consent,
            ledger,
            locks,
            halt: self.stop.child_token(),
            looks: Looks::none(),
        };
        let (noted, looks) = tokio::join!(self.open_intent(&writing), self.look_at_all());
        let noted = noted?;
        writing.looks = looks;
        let outcome = self.before_the_deadline(&writing).await;
        let is_finished = match &outcome {
            Ok(()) => self.skipped.is_empty(),
            Err(error) if self.is_taken_back(error) => {
                self.take_back(&writing).await;
                true
            }
            Err(_) => false,
        };
        if is_finished {
            // The time of the run may be over; only a person stops this.
            writing.halt = self.stop.child_token();
            let closed = self.close_intent(&writing, noted).await;
            // What went wrong first is what counts.
            return outcome.and(closed);
        }
        outcome
    }

    /// Whoever stops a run, or has lost its lock, must not write any more.
    fn is_taken_back(&self, error: &DeployError) -> bool {
        self.options.on_failure == OnFailure::Rollback
            && !matches!(
                error,
                DeployError::Stopped | DeployError::Paused { .. } | DeployError::LockLost { .. }
            )
    }

    async fn before_the_deadline(&self, writing: &Writing<'_>) -> Result<(), DeployError> {
        let Some(limit) = self.options.run_deadline else {
            return self.apply_stages(writing).await;
        };
        let mut applying = std::pin::pin!(self.apply_stages(writing));
        tokio::select! {
            outcome = &mut applying => return outcome,
            () = tokio::time::sleep(limit) => writing.halt.cancel(),
        }
        // What is in flight comes to its end.
        match applying.await {
            Err(DeployError::Stopped) if !self.stop.is_cancelled() => {
                Err(DeployError::OutOfTime { after: limit })
            }
            outcome => outcome,
        }
    }

    /// Makes missing namespaces and takes the locks: those of the stages that several runs share in
    /// one order, so that of two runs one fails before it holds anything; then those of the edges.
    async fn lock_all(
        &self,
        consent: &Confirmed,
        ledger: &Ledger,
        locks: &mut Locks,
    ) -> Result<(), DeployError> {
        let mut stages: Vec<&Stage> = self.applied().collect();
        stages.sort();
        let (edges, first): (Vec<&Stage>, Vec<&Stage>) = stages
            .into_iter()
            .partition(|stage| stage.profile == Profile::Edge);
        for stage in first {
            let lock = self.lock(stage, consent, ledger).await?;
            locks.insert(stage.clone(), lock);
        }
        let taken = edges.iter().map(|stage| self.lock(stage, consent, ledger));
        let mut failed = None;
        for (stage, lock) in edges.iter().zip(join_all(taken).await) {
            match lock {
                Ok(lock) => drop(locks.insert((*stage).clone(), lock)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Takes a stage's lock, after making the namespace if there is none.
    async fn lock(
        &self,
        stage: &Stage,
        consent: &Confirmed,
        ledger: &Ledger,
    ) -> Result<Lock, DeployError> {
        match self.take_lock(stage).await {
            Err(ClusterError::Refused { code: 404, .. }) => {}
            taken => return Ok(taken?),
        }
        let namespace = ObjectRef::new(ObjectKind::Namespace, "", &stage.namespace);
        let manifest = namespace_manifest(namespace.clone());
        ledger.begin_write(stage, &namespace);
        Writer::new(self.cluster(stage), consent)
            .apply(&manifest, Ownership::Respect)
            .await
            .inspect_err(|_| ledger.refused(stage, &namespace))?;
        ledger.finish_write(stage, &namespace, Action::Create);
        self.say(Event::Applied {
            stage: stage.clone(),
            object: namespace,
            action: Action::Create,
        });
        Ok(self.take_lock(stage).await?)
    }

    async fn take_lock(&self, stage: &Stage) -> Result<Lock, ClusterError> {
        let name = format!("telectl-{}", stage.profile);
        let news = |news| {
            let stage = stage.clone();
            self.say(match news {
                LockNews::Watched(holder) => Event::LockWatched { stage, holder },
                LockNews::TakenOver(former) => Event::LockTakenOver { stage, former },
            });
        };
        let (cluster, who) = (self.cluster(stage), &self.options.who);
        Lock::acquire(cluster, &stage.namespace, &name, who, news).await
    }

    async fn apply_stages(&self, writing: &Writing<'_>) -> Result<(), DeployError> {
        let mut knowledge = self.knowledge.clone();
        let mut applied = Vec::new();
        let is_edge = |stage: &Stage| stage.profile == Profile::Edge;
        for (stage, part) in self.stages.iter().filter(|(stage, _)| !is_edge(stage)) {
            match part {
                Part::Observed => drop(self.look_again(stage, &mut knowledge, writing).await?),
                Part::Applied => {
                    let done = self.apply_stage(stage, knowledge, writing).await?;
                    knowledge = done.knowledge.clone();
                    applied.push(done);
                }
            }
        }
        let edges: Vec<&Stage> = self.applied().filter(|stage| is_edge(stage)).collect();
        if let Some((first, others)) = edges.split_first() {
            let done = self.apply_stage(first, knowledge.clone(), writing).await?;
            applied.push(done);
            if !others.is_empty() {
                self.send_canary(first, writing).await?;
            }
            let done = self.apply_edges(others, &knowledge, writing).await?;
            applied.extend(done);
        }
        self.prune_all(&applied, writing).await
    }

    /// The edges after the first, side by side. One that fails stays away, so that with as many
    /// failures as may be away at the same time no other is begun.
    async fn apply_edges(
        &self,
        edges: &[&Stage],
        knowledge: &Knowledge,
        writing: &Writing<'_>,
    ) -> Result<Vec<Applied>, DeployError> {
        let before_pause = self
            .options
            .pause_after
            .map(|after| after.saturating_sub(1));
        let (now, later) = edges.split_at(before_pause.unwrap_or(edges.len()).min(edges.len()));
        let mut may_be_away = self.options.max_unavailable.unwrap_or(now.len()).max(1);
        let mut waiting = now.iter();
        let mut under_way = FuturesUnordered::new();
        let (mut done, mut failed) = (Vec::new(), None);
        loop {
            let room = may_be_away.saturating_sub(under_way.len());
            for stage in waiting.by_ref().take(room) {
                under_way.push(self.apply_stage(stage, knowledge.clone(), writing));
            }
            match under_way.next().await {
                None => break,
                Some(Ok(edge)) => done.push(edge),
                Some(Err(error)) => {
                    may_be_away = may_be_away.saturating_sub(1);
                    failed = failed.or(Some(error));
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if later.is_empty() => Ok(done),
            None => Err(DeployError::Paused {
                done: 1 + done.len(),
                left: later.len(),
            }),
        }
    }

    /// Applies one stage and notes what becomes of it.
    async fn apply_stage(
        &self,
        stage: &Stage,
        knowledge: Knowledge,
        writing: &Writing<'_>,
    ) -> Result<Applied, DeployError> {
        if writing.halt.is_cancelled() {
            return Err(DeployError::Stopped);
        }
        writing.ledger.note(|all| {
            all.not_begun.retain(|waiting| waiting != stage);
            all.under_way.insert(stage.clone());
        });
        let outcome = StageRun::new(self, stage, writing).apply(knowledge).await;
        writing.ledger.note(|all| match &outcome {
            Ok(_) => {
                all.under_way.remove(stage);
                all.done.push(stage.clone());
            }
            Err(DeployError::Stopped) => {}
            Err(error) => {
                all.under_way.remove(stage);
                all.failed.push((stage.clone(), error.to_string()));
            }
        });
        outcome
    }

    /// Deletes what nothing asks for any more, once everything that may have used it is deployed:
    /// the edges' first.
    async fn prune_all(
        &self,
        applied: &[Applied],
        writing: &Writing<'_>,
    ) -> Result<(), DeployError> {
        for done in applied.iter().rev() {
            let stage = done.stage.clone();
            let outcome = StageRun::new(self, &done.stage, writing).prune(done).await;
            if let Err(error) = outcome {
                writing.ledger.note(|all| {
                    all.done.retain(|other| *other != stage);
                    all.failed.push((stage, error.to_string()));
                });
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A lock that cannot be given back expires by itself.
pub(super) async fn give_back(locks: Locks, consent: &Confirmed) {
    let given = locks.into_values().map(|lock| lock.release(consent));
    for outcome in join_all(given).await {
        if let Err(error) = outcome {
            tracing::warn!(%error, "cannot give back a lock");
        }
    }
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
