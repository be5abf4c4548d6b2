//! Deletes what nothing asks for any more, once every stage is ready.

use std::time::Duration;

use super::belongings::{Unwanted, find};
use super::error::DeployError;
use super::scaling::Scaling;
use super::stage_run::{Applied, StageRun};
use crate::cluster::wait::until;
use crate::model::manifest::Manifest;
use crate::model::object::ObjectKind;

/// How long an autoscaler may take to be gone.
const GONE_DEADLINE: Duration = Duration::from_secs(60);

impl StageRun<'_> {
    /// Deletes what the plan said and what still is unwanted; then the workloads whose autoscaler
    /// is gone get the number of pods that the values say.
    pub(super) async fn prune(&self, done: &Applied) -> Result<(), DeployError> {
        let mut agreed = self.run.to_delete.iter();
        if !agreed.any(|(stage, _)| stage == self.stage) {
            return Ok(());
        }
        let mut knowledge = done.knowledge.clone();
        let mut observed = self.look(&mut knowledge).await?;
        let found = find(&observed);
        let before = Scaling::of(&observed.set, &found);
        let is_agreed = |unwanted: &&Unwanted| {
            let agreed = (self.stage.clone(), unwanted.object.clone());
            self.run.to_delete.contains(&agreed)
        };
        for unwanted in found.unwanted.iter().filter(is_agreed) {
            self.delete_unwanted(unwanted).await?;
        }
        let freed = |manifest: &&Manifest| before.is_leaving(&manifest.object);
        let freed: Vec<Manifest> = done.manifests.iter().filter(freed).cloned().collect();
        if !freed.is_empty() {
            observed = self.look(&mut knowledge).await?;
            // An autoscaler that nobody agreed to delete goes on deciding.
            let after = Scaling::of(&observed.set, &find(&observed)).while_they_leave();
            self.write_all(&after, freed, &observed).await?;
            self.await_ready(&observed, self.deadline()).await?;
        }
        self.close_record(observed, &knowledge).await
    }

    pub(super) async fn delete_unwanted(&self, unwanted: &Unwanted) -> Result<(), DeployError> {
        let object = &unwanted.object;
        self.delete(object, &unwanted.uid).await?;
        if object.kind == ObjectKind::HorizontalPodAutoscaler {
            let is_gone = |live: Option<&serde_json::Value>| {
                live.is_none_or(|live| live["metadata"]["uid"] != unwanted.uid.as_str())
            };
            let _gone = until(self.cluster(), object, "is gone", GONE_DEADLINE, is_gone).await?;
        }
        Ok(())
    }
}
