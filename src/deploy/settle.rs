//! Waits until a stage is what it should be.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::error::DeployError;
use super::event::Event;
use super::layout::Stage;
use super::observe::Observed;
use super::run::{Part, Run};
use crate::cluster::ClusterError;
use crate::cluster::apply::Writer;
use crate::cluster::pod;
use crate::cluster::readiness::{Readiness, external_addresses, readiness};
use crate::cluster::wait::{Waiting, until, until_ready};
use crate::model::consent::Confirmed;
use crate::model::endpoint::Endpoint;
use crate::model::labels;
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// How long a stage may take, unless told otherwise.
const fn default_deadline(profile: Profile) -> Duration {
    match profile {
        Profile::Central | Profile::SameCluster => Duration::from_secs(15 * 60),
        Profile::Dev | Profile::Edge | Profile::Shared => Duration::from_secs(10 * 60),
    }
}

/// How long a load balancer may take to give an address.
const ADDRESS_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// How long a controller may take to see that its object changed.
const OBSERVED_DEADLINE: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// Waits for the addresses of this stage's servers, and looks at the stage again.
    pub(super) async fn await_addresses(&mut self, stage: &Stage) -> Result<Observed, DeployError> {
        let observed = self.observe(stage).await?;
        let wanted: Vec<ObjectRef> = observed
            .set
            .manifests
            .iter()
            .filter(|manifest| manifest.value["spec"]["type"] == "LoadBalancer")
            .map(|manifest| manifest.object.clone())
            .collect();
        self.wait(stage, &wanted, "", ADDRESS_DEADLINE).await?;
        let observed = self.observe(stage).await?;
        self.learn(stage, &observed);
        for (component, (_, port, live)) in &observed.services {
            let addresses = live.as_ref().map(external_addresses);
            for address in addresses.unwrap_or_default() {
                self.say(Event::Address {
                    stage: stage.clone(),
                    server: component.to_string(),
                    endpoint: Endpoint::new(address, *port).to_string(),
                });
            }
        }
        Ok(observed)
    }

    pub(super) async fn await_ready(
        &mut self,
        stage: &Stage,
        observed: &Observed,
        lost: &CancellationToken,
    ) -> Result<(), DeployError> {
        let wanted = waited_for(&observed.set.manifests);
        let deadline = self
            .options
            .deadline
            .unwrap_or(default_deadline(stage.profile));
        let pods = format!("{}={}", labels::PART_OF, labels::PIPELINE);
        tokio::select! {
            outcome = self.wait(stage, &wanted, &pods, deadline) => outcome,
            () = lost.cancelled() => Err(DeployError::LockLost { stage: stage.to_string() }),
        }
    }

    async fn wait(
        &mut self,
        stage: &Stage,
        objects: &[ObjectRef],
        pods: &str,
        deadline: Duration,
    ) -> Result<(), DeployError> {
        let cluster = self.cluster(stage);
        let waiting = Waiting {
            objects,
            namespace: &stage.namespace,
            pods,
            deadline,
        };
        let stop = self.stop.clone();
        let outcome = until_ready(cluster, &waiting, &stop, |object, why| {
            let (stage, object) = (stage.clone(), object.clone());
            self.say(match why {
                Some(why) => Event::Waiting {
                    stage,
                    object,
                    why: why.to_owned(),
                },
                None => Event::Ready { stage, object },
            });
        })
        .await;
        if stop.is_cancelled() {
            return Err(DeployError::Stopped);
        }
        Ok(outcome?)
    }

    /// A StatefulSet never replaces a pod that did not become ready, not even when its template
    /// was mended: such pods of an earlier revision are deleted, or it would block for ever.
    pub(super) async fn unblock(
        &mut self,
        stage: &Stage,
        object: &ObjectRef,
        consent: &Confirmed,
    ) -> Result<(), DeployError> {
        let cluster = self.cluster(stage);
        let seen = |live: Option<&Value>| {
            live.is_none_or(|live| {
                live["status"]["observedGeneration"] == live["metadata"]["generation"]
            })
        };
        let live = until(
            cluster,
            object,
            "is seen by its controller",
            OBSERVED_DEADLINE,
            seen,
        );
        let Some(live) = live.await? else {
            return Ok(());
        };
        let selector = live["spec"]["selector"]["matchLabels"].as_object();
        let labels: Vec<String> = selector
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect();
        for pod in cluster.pods(&stage.namespace, &labels.join(",")).await? {
            let revision = &pod["metadata"]["labels"]["controller-revision-hash"];
            let is_new = *revision == live["status"]["updateRevision"];
            if is_new || pod::is_going(&pod) || pod::is_ready(&pod) {
                continue;
            }
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
            Writer::new(cluster, consent)
                .delete_pod(&stage.namespace, text("name"), text("uid"))
                .await?;
            self.say(Event::Unblocked {
                stage: stage.clone(),
                pod: text("name").to_owned(),
            });
        }
        Ok(())
    }

    /// The objects of applied stages that are not ready although nothing has to be written.
    ///
    /// # Errors
    /// When a cluster cannot be asked.
    pub async fn not_ready(&self) -> Result<Vec<(Stage, ObjectRef, String)>, ClusterError> {
        let mut found = Vec::new();
        for (stage, _) in self
            .stages
            .iter()
            .filter(|(_, part)| *part == Part::Applied)
        {
            // The names of objects do not depend on the cluster id.
            let values = super::handover::values_for(stage, &self.handover, None);
            let Ok(set) = (self.render)(stage, &values) else {
                continue;
            };
            for object in waited_for(&set.manifests) {
                let live = self
                    .cluster(stage)
                    .get(&object)
                    .await?
                    .unwrap_or(Value::Null);
                match readiness(&live) {
                    Readiness::Current => {}
                    Readiness::InProgress(why) | Readiness::Failed(why) => {
                        found.push((stage.clone(), object, why));
                    }
                }
            }
        }
        Ok(found)
    }
}

fn waited_for(manifests: &[Manifest]) -> Vec<ObjectRef> {
    let waits = |kind: ObjectKind| {
        matches!(
            kind,
            ObjectKind::Service
                | ObjectKind::Deployment
                | ObjectKind::StatefulSet
                | ObjectKind::HorizontalPodAutoscaler
        )
    };
    manifests
        .iter()
        .map(|manifest| manifest.object.clone())
        .filter(|object| waits(object.kind))
        .collect()
}
