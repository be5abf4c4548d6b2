//! A worker's registration: made, kept alive, repaired and ended.
//!
//! # Expected flow
//! Read the key → grant a lease → write the record → registered: keep the lease alive and read the
//! record back every third of its life. Whatever is lost (lease, record, the registry's whole data)
//! is made again, for ever, with full-jitter pauses after failures.
//!
//! # Guarantees
//! Advisory: no failure here stops a worker or makes it unready. The record comes back within a
//! third of the lease's life plus one pause after the registry answers again.
//!
//! [`machine`] decides and does no I/O; [`run`] does what it says.

pub mod machine;

use std::time::Duration;

use jiff::{Timestamp, Unit};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::model::causes::chain;
use crate::model::service_record::ServiceRecord;

use super::{KeepAlive, LeaseId, Registry, RegistryError};
use machine::{Event, Machine, Step, judge};

/// Longest time to give a registration back when the worker stops.
const DEREGISTER_LIMIT: Duration = Duration::from_secs(2);

/// How often the worker's own health is looked at.
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// What a registration says about itself after every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// `registered`, `unregistered`, `uncertain` or `displaced`.
    pub state: &'static str,
    /// The lease, if there is one.
    pub lease: Option<LeaseId>,
    /// How the last step went.
    pub outcome: Result<(), String>,
}

/// The worker, as its registration sees it.
#[derive(Debug, Clone)]
pub struct Worker<H, T> {
    /// Whether it is well; written into the record.
    pub is_healthy: H,
    /// Is told how the registration stands.
    pub tell: T,
}

struct Active<'a, R> {
    registry: &'a R,
    record: ServiceRecord,
    machine: Machine,
    started: Instant,
}

/// Registers a worker and keeps it registered until `stop`; then gives the registration back
/// within [`DEREGISTER_LIMIT`]. Never fails.
pub async fn run<R, H, T>(
    registry: &R,
    record: ServiceRecord,
    worker: Worker<H, T>,
    stop: &CancellationToken,
) where
    R: Registry,
    H: Fn() -> bool + Send + Sync,
    T: Fn(Report) + Send + Sync,
{
    let ttl = Duration::from_secs(record.lease_ttl.unsigned_abs().max(1));
    let mut active = Active {
        registry,
        record,
        machine: Machine::new(ttl),
        started: Instant::now(),
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = active.until_due(&worker.is_healthy) => {}
        }
        let step = active.machine.next().0;
        let health = health_word((worker.is_healthy)());
        // A step that the stop interrupts leaves at worst a lease that runs out by itself.
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            outcome = active.take(step, health) => outcome,
        };
        let report = active.note(step, outcome);
        (worker.tell)(report);
    }
    let outcome = active.deregister().await;
    (worker.tell)(Report {
        state: "unregistered",
        lease: None,
        outcome,
    });
}

const fn health_word(is_healthy: bool) -> &'static str {
    if is_healthy { "healthy" } else { "unhealthy" }
}

impl<R: Registry> Active<'_, R> {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the next step; a change of health makes it due earlier.
    async fn until_due(&mut self, is_healthy: &(impl Fn() -> bool + Sync)) {
        loop {
            if health_word(is_healthy()) != self.record.health {
                let now = self.now();
                self.machine.observe(Event::HealthChanged, now, 0.0);
            }
            let wait = self.machine.next().1.saturating_sub(self.now());
            if wait.is_zero() {
                return;
            }
            sleep(wait.min(HEALTH_INTERVAL)).await;
        }
    }

    async fn take(&mut self, step: Step, health: &str) -> Result<Event, RegistryError> {
        let ttl = Duration::from_secs(self.record.lease_ttl.unsigned_abs());
        match step {
            Step::Read => {
                let stored = self.registry.get(&self.record.key()).await?;
                Ok(Event::Found(judge(stored.as_ref(), &self.record)))
            }
            Step::Grant => self.registry.grant(ttl).await.map(Event::Granted),
            Step::Put(lease) => {
                health.clone_into(&mut self.record.health);
                self.record.registered_at = to_the_second(Timestamp::now());
                self.registry.put(&self.record, lease).await?;
                Ok(Event::Written)
            }
            Step::KeepAlive(lease) => Ok(match self.registry.keep_alive(lease).await? {
                KeepAlive::Alive { .. } => Event::KeptAlive,
                KeepAlive::Gone => Event::LeaseGone,
            }),
        }
    }

    fn note(&mut self, step: Step, outcome: Result<Event, RegistryError>) -> Report {
        let before = self.machine.word();
        let (event, outcome) = match outcome {
            Ok(event) => (event, Ok(())),
            Err(error) => (Event::Failed, Err(chain(&error))),
        };
        self.machine.observe(event, self.now(), rand::random());
        let state = self.machine.word();
        let key = self.record.key();
        match &outcome {
            Err(reason) if before != state || state == "unregistered" => {
                tracing::warn!(%key, state, ?step, reason, "registration failed, will try again");
            }
            Err(reason) => tracing::debug!(%key, state, ?step, reason, "registration step failed"),
            Ok(()) if before != state => tracing::info!(%key, before, state, "registration"),
            Ok(()) => tracing::trace!(%key, state, ?step, "registration step"),
        }
        Report {
            state,
            lease: self.machine.lease(),
            outcome,
        }
    }

    async fn deregister(&self) -> Result<(), String> {
        let Some(lease) = self.machine.lease() else {
            return Ok(());
        };
        let key = self.record.key();
        let outcome = match timeout(DEREGISTER_LIMIT, self.registry.revoke(lease)).await {
            Ok(Ok(())) => {
                tracing::info!(%key, "deregistered");
                return Ok(());
            }
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("no answer within {} s", DEREGISTER_LIMIT.as_secs()),
        };
        tracing::warn!(%key, reason = outcome, "not deregistered: the lease has to run out");
        Err(outcome)
    }
}

fn to_the_second(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}
