//! Whether the queue answers and the disk has room, and how long to leave the queue alone when it
//! does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::queue::QueueError;
use crate::workers::runtime::dependency::chain;
use crate::workers::vitals::Vitals;

use super::StreamerError;
use super::meter::Meter;

/// First pause after a failure; doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause: after an outage of any length the flow goes on within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Notes how calls to the queue go. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Health {
    vitals: Vitals,
    meter: Meter,
    ok: Arc<AtomicBool>,
    disk: Arc<AtomicBool>,
}

impl Health {
    pub(super) fn new(vitals: &Vitals, meter: &Meter) -> Self {
        crate::workers::runtime::dependency::expect(vitals, "queue");
        Self {
            vitals: vitals.clone(),
            meter: meter.clone(),
            ok: Arc::new(AtomicBool::new(true)),
            disk: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Whether the last call worked; true before the first one.
    pub(super) fn is_ok(&self) -> bool {
        self.ok.load(Ordering::Relaxed)
    }

    /// Notes how a call went, and answers what it answered.
    pub(super) fn note<T>(&self, outcome: Result<T, QueueError>) -> Result<T, QueueError> {
        let was_ok = self.ok.swap(outcome.is_ok(), Ordering::Relaxed);
        let told = match &outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(chain(error)),
        };
        match &told {
            Ok(()) if !was_ok => tracing::info!("the queue answers again"),
            Err(reason) if was_ok => tracing::warn!(reason, "the queue does not answer"),
            _ => {}
        }
        self.meter.set_connected(i64::from(told.is_ok()));
        self.vitals.dependency("queue", true, told);
        outcome
    }

    /// Whether the last write to the spool found room; true before the first one.
    pub(super) fn has_disk(&self) -> bool {
        self.disk.load(Ordering::Relaxed)
    }

    /// Notes how a write to the spool went. `None`: the disk is full, which passes.
    pub(super) fn note_disk<T>(
        &self,
        written: Result<T, StreamerError>,
    ) -> Result<Option<T>, StreamerError> {
        let (told, answer) = match written {
            Err(error) if error.is_full_disk() => (Err(chain(&error)), None),
            written => (Ok(()), Some(written?)),
        };
        let had_room = self.disk.swap(told.is_ok(), Ordering::Relaxed);
        match &told {
            Ok(()) if !had_room => tracing::info!("the spool has room again"),
            Err(reason) if had_room => tracing::warn!(reason, "the spool has no room"),
            _ => {}
        }
        self.vitals.dependency("spool", true, told);
        Ok(answer)
    }
}

/// Pauses between attempts: full jitter, so that many streamers do not come back at one moment.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure. `random` is from 0 to 1.
    pub(super) fn failed(&mut self, random: f64) -> Duration {
        let longest = FIRST_PAUSE
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed(1.0), FIRST_PAUSE);
        assert_eq!(backoff.failed(0.5), FIRST_PAUSE);
        for _ in 0..1000 {
            assert!(backoff.failed(1.0) <= LONGEST_PAUSE);
        }
        assert_eq!(backoff.failed(1.0), LONGEST_PAUSE);
        backoff.succeeded();
        assert_eq!(backoff.failed(1.0), FIRST_PAUSE);
    }
}
