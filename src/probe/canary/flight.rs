//! Sends canaries from an edge and waits until the central gateway knows them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::cluster::job::{self, Ran};
use crate::cluster::{Cluster, ClusterError};
use crate::model::canary::CanaryId;
use crate::model::causes::chain;
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::probe::job::{Place, manifest, name};
use crate::store::canary::FoundCanary;

use super::central::{Central, Gateway, Look};
use super::verdict::{Arrived, CanaryError, Course, judge, may_start, sent};

/// Pause between two looks for a canary at the gateway.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// From where to where canaries fly, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Flight<'a> {
    /// The cluster with the streamer.
    pub edge: &'a Cluster,
    /// The streamer's namespace.
    pub edge_namespace: &'a str,
    /// The cluster with collectors and gateway; may be the same.
    pub central: &'a Cluster,
    /// Their namespace.
    pub central_namespace: &'a str,
    /// How many canaries; they take the shards of the queue in turn, the first one shard 0.
    pub count: usize,
    /// Longest time from the creation of the Job until the last canary is seen.
    pub deadline: Duration,
    /// Ends it early.
    pub stop: &'a CancellationToken,
}

/// The workload in whose place canaries are sent.
struct Streamer {
    name: String,
    template: Value,
}

/// Sends canaries with a Job in the streamer's place and waits until the gateway answers with all
/// of them. The Job is deleted in every outcome, also when it was stopped; if this future is
/// dropped, the Job deletes itself within two minutes.
///
/// # Errors
/// [`CanaryError`] names the hop at which they were lost, or why none was sent.
pub async fn arrive(flight: &Flight<'_>) -> Result<Arrived, CanaryError> {
    let central = Central {
        cluster: flight.central,
        namespace: flight.central_namespace,
    };
    let (streamer, before, gateway) =
        tokio::try_join!(streamer(flight), central.collectors(), central.gateway())?;
    let Some(streamer) = streamer else {
        return Err(CanaryError::NoStreamer {
            cluster: flight.edge.name().to_owned(),
            namespace: flight.edge_namespace.to_owned(),
        });
    };
    may_start(&central_place(flight), &before)?;
    let ids: Vec<CanaryId> = (0..flight.count.max(1))
        .map(|_| CanaryId::of(rand::random()))
        .collect();
    let mut watch = Watch::new(central, gateway, &ids);
    // Before anything is sent, so that an earlier version is noticed in time.
    watch.look().await;
    if watch.last == Some(Look::TooOld) {
        return Err(CanaryError::TooOld {
            cluster: flight.central.name().to_owned(),
            what: "the gateway".to_owned(),
        });
    }
    let Ran { end, left } = follow(flight, &streamer, &mut watch).await?;
    if flight.stop.is_cancelled() {
        return Err(CanaryError::Interrupted);
    }
    let after = if watch.is_complete() {
        Vec::new()
    } else {
        central.collectors().await?
    };
    judge(&Course {
        edge: flight.edge.name(),
        central: &central_place(flight),
        ids: &ids,
        end,
        left: left.map(|error| chain(&error)),
        found: watch.found,
        last: watch.last,
        before,
        after,
    })
}

fn central_place(flight: &Flight<'_>) -> String {
    format!(
        "namespace {} of {}",
        flight.central_namespace,
        flight.central.name()
    )
}

async fn streamer(flight: &Flight<'_>) -> Result<Option<Streamer>, ClusterError> {
    let labels = format!("{COMPONENT}={}", Component::Streamer.name());
    for kind in [ObjectKind::StatefulSet, ObjectKind::Deployment] {
        let list = flight.edge.list(kind, flight.edge_namespace, &labels);
        if let Some(found) = list.await?.into_iter().next() {
            return Ok(Some(Streamer {
                name: found["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                template: found["spec"]["template"].clone(),
            }));
        }
    }
    Ok(None)
}

/// Runs the Job and looks for the canaries meanwhile, until both are done or it makes no sense to
/// wait any longer.
async fn follow(
    flight: &Flight<'_>,
    streamer: &Streamer,
    watch: &mut Watch<'_>,
) -> Result<Ran, CanaryError> {
    let place = Place {
        namespace: flight.edge_namespace,
        name: &streamer.name,
        template: &streamer.template,
    };
    let run = format!("{:08x}-canary", rand::random::<u32>());
    let job = ObjectRef::new(ObjectKind::Job, flight.edge_namespace, name(&place, &run));
    let manifest = manifest(&place, &run, &arguments(watch.ids));
    let sending = job::run(flight.edge, &job, manifest, flight.deadline, flight.stop);
    let mut sending = std::pin::pin!(sending);
    let deadline = Instant::now() + flight.deadline;
    let mut ticks = interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ended = None;
    while ended.is_none() || !watch.is_complete() {
        tokio::select! {
            ran = &mut sending, if ended.is_none() => {
                let ran = ran?;
                let is_hopeless = sent(flight.edge.name(), &ran.end).is_err();
                ended = Some(ran);
                if is_hopeless {
                    break;
                }
            }
            _ = ticks.tick() => watch.look().await,
            () = sleep_until(deadline) => break,
            () = flight.stop.cancelled() => break,
        }
    }
    match ended {
        Some(ran) => Ok(ran),
        // It has the same deadline and token; what is left to do is to clear it away.
        None => Ok(sending.await?),
    }
}

fn arguments(ids: &[CanaryId]) -> Vec<String> {
    let streamer = Component::Streamer.name();
    let mut words = vec!["--component".to_owned(), streamer.to_owned()];
    for id in ids {
        words.extend(["--canary".to_owned(), id.to_string()]);
    }
    words
}

/// Looks for canaries at the gateway.
struct Watch<'a> {
    central: Central<'a>,
    gateway: Option<Gateway>,
    ids: &'a [CanaryId],
    started: Instant,
    /// What was found, and how long after the start, in milliseconds.
    found: BTreeMap<CanaryId, (FoundCanary, f64)>,
    /// Why the last look found less than all; `None` if they were just not there.
    last: Option<Look>,
}

impl<'a> Watch<'a> {
    fn new(central: Central<'a>, gateway: Option<Gateway>, ids: &'a [CanaryId]) -> Self {
        Self {
            central,
            gateway,
            ids,
            started: Instant::now(),
            found: BTreeMap::new(),
            last: None,
        }
    }

    fn is_complete(&self) -> bool {
        self.found.len() == self.ids.len()
    }

    async fn look(&mut self) {
        if self.gateway.is_none() {
            // Another one may be ready by now; if that cannot be said, the next look asks again.
            self.gateway = self.central.gateway().await.ok().flatten();
        }
        let Some(gateway) = &self.gateway else {
            self.last = Some(Look::Failed("no gateway pod is ready".to_owned()));
            return;
        };
        let missing = self.ids.iter().filter(|id| !self.found.contains_key(id));
        let looks = missing.map(async |id| (id, self.central.look(gateway, id).await));
        let looks = join_all(looks).await;
        let after = self.started.elapsed().as_secs_f64() * 1000.0;
        self.last = None;
        for (id, look) in looks {
            match look {
                Look::Found(found) => {
                    self.found.insert(id.clone(), (*found, after));
                }
                Look::NotYet => {}
                other => self.last = Some(other),
            }
        }
        if self.last.is_some() {
            self.gateway = None;
        }
    }
}
