//! Waits until a stage is what it should be.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::error::DeployError;
use super::event::Event;
use super::knowledge::Knowledge;
use super::observe::Observed;
use super::plan::Action;
use super::stage_run::StageRun;
use crate::cluster::apply::Writer;
use crate::cluster::pod;
use crate::cluster::readiness::{Readiness, external_addresses, is_awaited, readiness};
use crate::cluster::wait::{Waiting, until, until_ready};
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;
use crate::model::labels;
use crate::model::manifest::Manifest;
use crate::model::object::ObjectRef;
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

impl StageRun<'_> {
    /// When the stage has to be ready, if it begins now.
    pub(super) fn deadline(&self) -> Instant {
        let limit = self.run.options.deadline;
        Instant::now() + limit.unwrap_or(default_deadline(self.stage.profile))
    }

    /// Waits for the addresses of this stage's Services, and looks at the stage again if there are
    /// any.
    pub(super) async fn await_addresses(
        &self,
        observed: Observed,
        knowledge: &mut Knowledge,
        deadline: Instant,
    ) -> Result<Observed, DeployError> {
        let awaited: Vec<ObjectRef> = observed
            .set
            .manifests
            .iter()
            .filter(|manifest| manifest.value["spec"]["type"] == "LoadBalancer")
            .map(|manifest| manifest.object.clone())
            .collect();
        let is_untouched = !self.writing.ledger.of(self.stage).is_touched();
        if is_untouched && awaited.iter().all(|object| is_ready(&observed, object)) {
            self.say_addresses(&observed);
            return Ok(observed);
        }
        let deadline = deadline.min(Instant::now() + ADDRESS_DEADLINE);
        let started = Instant::now();
        self.wait(&awaited, "", deadline).await?;
        self.took(|times| times.addresses += started.elapsed());
        let observed = self.look(knowledge).await?;
        self.say_addresses(&observed);
        Ok(observed)
    }

    fn say_addresses(&self, observed: &Observed) {
        let servers = observed.services.iter();
        let servers = servers.filter(|(component, _)| !Component::WORKERS.contains(component));
        for (component, (_, port, live)) in servers {
            let addresses = live.as_ref().map(external_addresses);
            for address in addresses.unwrap_or_default() {
                self.run.say(Event::Address {
                    stage: self.stage.clone(),
                    server: component.to_string(),
                    endpoint: Endpoint::new(address, *port).to_string(),
                });
            }
        }
    }

    /// Whether the run has changed nothing that could have to be waited for, and all of that was
    /// ready before.
    pub(super) fn is_settled(&self, observed: &Observed) -> bool {
        let touched = self.writing.ledger.of(self.stage);
        let mut waited_for = waited_for(&observed.set.manifests).into_iter();
        let is_touched = |object| touched.written.contains(&object);
        !waited_for.any(is_touched) && unready(observed).is_empty()
    }

    pub(super) async fn await_ready(
        &self,
        observed: &Observed,
        deadline: Instant,
    ) -> Result<(), DeployError> {
        let wanted = waited_for(&observed.set.manifests);
        let pods = format!("{}={}", labels::PART_OF, labels::PIPELINE);
        let started = Instant::now();
        let pulls = self.wait(&wanted, &pods, deadline).await?;
        let waited = started.elapsed();
        self.took(|times| {
            times.readiness += waited;
            // Nodes date pulls by their own clocks.
            times.pulls += pulls.min(waited);
        });
        Ok(())
    }

    /// Waits, and gives for how long images were pulled meanwhile.
    async fn wait(
        &self,
        objects: &[ObjectRef],
        pods: &str,
        deadline: Instant,
    ) -> Result<Duration, DeployError> {
        let waiting = Waiting {
            objects,
            namespace: &self.stage.namespace,
            pods,
            deadline: deadline.saturating_duration_since(Instant::now()),
        };
        let outcome = until_ready(
            self.cluster(),
            &waiting,
            &self.writing.halt,
            |object, why| {
                let (stage, object) = (self.stage.clone(), object.clone());
                self.run.say(match why {
                    Some(why) => Event::Waiting {
                        stage,
                        object,
                        why: why.to_owned(),
                    },
                    None => Event::Ready { stage, object },
                });
            },
        );
        let outcome = self.while_allowed(outcome).await?;
        if self.writing.halt.is_cancelled() {
            return Err(DeployError::Stopped);
        }
        Ok(outcome?)
    }

    /// What some waiting comes to, unless the lock is lost before.
    async fn while_allowed<T>(&self, waiting: impl Future<Output = T>) -> Result<T, DeployError> {
        let lost = self.writing.locks.get(self.stage).map(|lock| lock.lost());
        tokio::select! {
            outcome = waiting => Ok(outcome),
            () = lost.unwrap_or_default().cancelled_owned() => {
                Err(DeployError::LockLost { stage: self.stage.to_string() })
            }
        }
    }

    /// A StatefulSet never replaces a pod that did not become ready, not even when its template
    /// was mended: such pods of an earlier revision are deleted, or it would block for ever.
    pub(super) async fn unblock(&self, object: &ObjectRef) -> Result<(), DeployError> {
        let cluster = self.cluster();
        let seen = |live: Option<&Value>| {
            live.is_none_or(|live| {
                live["status"]["observedGeneration"] == live["metadata"]["generation"]
            })
        };
        let what = "is seen by its controller";
        let live = until(cluster, object, what, OBSERVED_DEADLINE, seen);
        let live = tokio::select! {
            live = self.while_allowed(live) => live??,
            () = self.writing.halt.cancelled() => return Err(DeployError::Stopped),
        };
        let Some(live) = live else {
            return Ok(());
        };
        let selector = live["spec"]["selector"]["matchLabels"].as_object();
        let labels: Vec<String> = selector
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect();
        for pod in cluster
            .pods(&self.stage.namespace, &labels.join(","))
            .await?
        {
            let revision = &pod["metadata"]["labels"]["controller-revision-hash"];
            let is_new = *revision == live["status"]["updateRevision"];
            if is_new || pod::is_going(&pod) || pod::is_ready(&pod) {
                continue;
            }
            self.require_leave()?;
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
            Writer::new(cluster, self.writing.consent)
                .delete_pod(&self.stage.namespace, text("name"), text("uid"))
                .await?;
            self.run.say(Event::Unblocked {
                stage: self.stage.clone(),
                pod: text("name").to_owned(),
            });
        }
        Ok(())
    }

    /// Deletes an object, and says so.
    pub(super) async fn delete(&self, object: &ObjectRef, uid: &str) -> Result<(), DeployError> {
        self.require_leave()?;
        let ledger = self.writing.ledger;
        ledger.begin_write(self.stage, object);
        let writer = Writer::new(self.cluster(), self.writing.consent);
        if let Err(error) = writer.delete(object, uid).await {
            ledger.refused(self.stage, object);
            return Err(error.into());
        }
        ledger.finish_write(self.stage, object, Action::Delete);
        self.run.say(Event::Applied {
            stage: self.stage.clone(),
            object: object.clone(),
            action: Action::Delete,
        });
        Ok(())
    }
}

/// The objects of a stage that are not ready, and why.
pub(super) fn unready(observed: &Observed) -> Vec<(ObjectRef, String)> {
    waited_for(&observed.set.manifests)
        .into_iter()
        .filter_map(|object| {
            let live = observed.live.get(&object).unwrap_or(&Value::Null);
            match readiness(live) {
                Readiness::Current => None,
                Readiness::InProgress(why) | Readiness::Failed(why) => Some((object, why)),
            }
        })
        .collect()
}

fn is_ready(observed: &Observed, object: &ObjectRef) -> bool {
    let live = observed.live.get(object);
    live.is_some_and(|live| readiness(live) == Readiness::Current)
}

fn waited_for(manifests: &[Manifest]) -> Vec<ObjectRef> {
    manifests
        .iter()
        .map(|manifest| manifest.object.clone())
        .filter(|object| is_awaited(object.kind))
        .collect()
}
