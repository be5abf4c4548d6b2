//! Deletes what nothing asks for any more, once the rest of a stage is ready.

use std::time::Duration;

use super::belongings::{Unwanted, find};
use super::error::DeployError;
use super::event::Event;
use super::execute::Writing;
use super::observe::Observed;
use super::plan::Action;
use super::run::Run;
use super::scaling::Scaling;
use crate::cluster::apply::Writer;
use crate::cluster::wait::until;
use crate::model::manifest::Manifest;
use crate::model::object::ObjectKind;

/// How long an autoscaler may take to be gone.
const GONE_DEADLINE: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// Deletes what the plan said and what still is unwanted; then the workloads whose autoscaler
    /// is gone get the number of pods that the values say.
    pub(super) async fn prune(
        &mut self,
        writing: &mut Writing<'_>,
        observed: &Observed,
        manifests: &[Manifest],
    ) -> Result<(), DeployError> {
        let stage = writing.stage;
        let found = find(self.cluster(stage), stage, observed).await?;
        let before = Scaling::of(&observed.set, &found);
        let is_agreed = |unwanted: &&Unwanted| {
            let agreed = (stage.clone(), unwanted.object.clone());
            self.to_delete.contains(&agreed)
        };
        let agreed: Vec<Unwanted> = found.unwanted.iter().filter(is_agreed).cloned().collect();
        for unwanted in &agreed {
            self.delete(writing, unwanted).await?;
        }
        let freed = |manifest: &&Manifest| before.is_leaving(&manifest.object);
        let freed: Vec<Manifest> = manifests.iter().filter(freed).cloned().collect();
        if freed.is_empty() {
            return Ok(());
        }
        let found = find(self.cluster(stage), stage, observed).await?;
        // An autoscaler that nobody agreed to delete goes on deciding.
        let after = Scaling::of(&observed.set, &found).while_they_leave();
        self.write_all(writing, &after, freed).await?;
        self.await_ready(stage, observed, writing.lost).await
    }

    async fn delete(
        &mut self,
        writing: &mut Writing<'_>,
        unwanted: &Unwanted,
    ) -> Result<(), DeployError> {
        self.require_leave(writing)?;
        let (cluster, object) = (self.cluster(writing.stage), &unwanted.object);
        Writer::new(cluster, writing.consent)
            .delete(object, &unwanted.uid)
            .await?;
        let touched = writing.progressed.touch(writing.stage);
        touched.deleted.insert(object.clone());
        self.say(Event::Applied {
            stage: writing.stage.clone(),
            object: object.clone(),
            action: Action::Delete,
        });
        if object.kind == ObjectKind::HorizontalPodAutoscaler {
            let is_gone = |live: Option<&serde_json::Value>| {
                live.is_none_or(|live| live["metadata"]["uid"] != unwanted.uid.as_str())
            };
            let _gone = until(cluster, object, "is gone", GONE_DEADLINE, is_gone).await?;
        }
        Ok(())
    }
}
