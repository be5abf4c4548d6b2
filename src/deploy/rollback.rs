//! Takes back what a failed run wrote: in reverse order, each stage to its own last good
//! generation. One that cannot be taken back does not keep the others from it.

use super::belongings::{Unwanted, find, reason_to_keep};
use super::error::DeployError;
use super::event::Event;
use super::execute::Writing;
use super::history::{self, Generation};
use super::layout::Stage;
use super::looks::Looks;
use super::progressed::{Restored, Touched};
use super::record::members;
use super::run::{Inputs, Part, Renderer, Run};
use super::stage_run::StageRun;
use crate::cluster::snapshot::Snapshot;
use crate::model::object::{ObjectKind, ObjectRef};

impl Run<'_> {
    /// Takes every stage back that was touched; what becomes of each is in the ledger.
    pub(super) async fn take_back(&self, writing: &Writing<'_>) {
        let stages: Vec<&Stage> = self.applied().collect();
        // The time of the run may be over; only a person stops this.
        let writing = Writing {
            consent: writing.consent,
            ledger: writing.ledger,
            locks: writing.locks,
            halt: self.stop.child_token(),
            looks: Looks::none(),
        };
        for stage in stages.into_iter().rev() {
            let touched = writing.ledger.of(stage);
            if !touched.is_touched() {
                continue;
            }
            self.say(Event::RollingBack(stage.clone()));
            let outcome = self.take_stage_back(stage, &touched, &writing).await;
            writing.ledger.note(|all| match outcome {
                Ok(restored) => {
                    all.done.retain(|done| done != stage);
                    all.under_way.remove(stage);
                    all.rolled_back.push((stage.clone(), restored));
                }
                Err(error) => all.not_rolled_back.push((stage.clone(), error.to_string())),
            });
        }
    }

    async fn take_stage_back(
        &self,
        stage: &Stage,
        touched: &Touched,
        writing: &Writing<'_>,
    ) -> Result<Restored, DeployError> {
        let live = Snapshot::take(self.cluster(stage), &stage.namespace).await?;
        let before = history::set_of(&live, stage.profile, self.generation - 1)?;
        let restored = match before {
            Some((generation, set)) => {
                let number = generation.number;
                let render: &Renderer<'_> = &|_, _| Ok(set.clone());
                let back = self.of_stage(stage, render);
                StageRun::new(&back, stage, writing)
                    .restore(touched, &generation)
                    .await?;
                Restored::Generation(number)
            }
            None => {
                StageRun::new(self, stage, writing)
                    .remove_created(touched, &live)
                    .await?;
                Restored::Nothing
            }
        };
        StageRun::new(self, stage, writing).forget().await?;
        Ok(restored)
    }

    /// A run of one stage, that goes back to what was rendered once.
    fn of_stage<'b>(&'b self, stage: &Stage, render: &'b Renderer<'b>) -> Run<'b> {
        let inputs = Inputs {
            clusters: self.clusters,
            render,
            options: self.options.clone(),
            stages: vec![(stage.clone(), Part::Applied)],
            knowledge: self.knowledge.clone(),
            stop: self.stop.clone(),
        };
        let mut run = Run::new(inputs, self.events);
        run.generation = self.generation;
        run
    }
}

impl StageRun<'_> {
    /// Applies what was deployed before, and deletes what this run made beyond it.
    async fn restore(&self, touched: &Touched, generation: &Generation) -> Result<(), DeployError> {
        let mut knowledge = self.run.knowledge.clone();
        let observed = self.look(&mut knowledge).await?;
        drop(self.apply_and_wait(observed, &mut knowledge).await?);
        let observed = self.look(&mut knowledge).await?;
        let found = find(&observed);
        let made_now = |unwanted: &&Unwanted| touched.created.contains(&unwanted.object);
        for unwanted in found.unwanted.iter().filter(made_now) {
            self.delete_unwanted(unwanted).await?;
        }
        let observed = self.look(&mut knowledge).await?;
        let members = members(&observed, &find(&observed));
        self.note(&observed, &members, generation).await
    }

    /// Deletes what this run made where nothing had been deployed before. What holds data stays,
    /// and so does the namespace.
    async fn remove_created(&self, touched: &Touched, live: &Snapshot) -> Result<(), DeployError> {
        let is_removed = |object: &&ObjectRef| {
            object.kind != ObjectKind::Namespace
                && live
                    .get(object)
                    .is_some_and(|live| reason_to_keep(object, live).is_none())
        };
        for object in touched.created.iter().rev().filter(is_removed) {
            let uid = live.get(object).map(|live| &live["metadata"]["uid"]);
            let uid = uid.and_then(serde_json::Value::as_str).unwrap_or_default();
            self.delete(object, uid).await?;
        }
        Ok(())
    }

    /// Takes this run out of the history of the stage: it was no good.
    async fn forget(&self) -> Result<(), DeployError> {
        let live = Snapshot::take(self.cluster(), &self.stage.namespace).await?;
        match history::entry_of(&live, self.stage.profile, self.run.generation) {
            Some((object, uid)) => self.delete_quietly(&object, &uid).await,
            None => Ok(()),
        }
    }
}
