//! Entries that this collector has and is not done with.
//!
//! The queue gives an entry again that was delivered long ago, also to the one who has it: while the
//! database is slow, a collector would take over its own work and do it twice.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::queue::Delivery;

/// Where an entry is: shard, and position within it.
pub(super) type Place = (u32, String);

/// The entries under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<BTreeSet<Place>>);

impl UnderWay {
    /// Takes note of an entry; `false` if it is under way already.
    pub(super) fn begin(&self, delivery: &Delivery) -> bool {
        self.places().insert(place(delivery))
    }

    /// Forgets entries: whoever gives them again means it.
    pub(super) fn end(&self, places: &[Place]) {
        let mut known = self.places();
        for place in places {
            known.remove(place);
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeSet<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an entry is.
pub(super) fn place(delivery: &Delivery) -> Place {
    (delivery.shard, delivery.position.clone())
}
