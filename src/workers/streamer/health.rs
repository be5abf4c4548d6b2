//! Whether the queue answers and the disk has room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::causes::chain;
use crate::queue::QueueError;
use crate::workers::vitals::Vitals;

use super::StreamerError;
use super::meter::Meter;

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
        self.vitals.required("queue", told);
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
        self.vitals.required("spool", told);
        Ok(answer)
    }
}
