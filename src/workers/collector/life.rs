//! What the logs tell of an entry's life here. The field `batch` is the name that its streamer gave it
//! and told by the same field, so that one search finds the whole way from the file to the
//! acknowledgement. All of it is told at level debug; a dead letter is an error.

use crate::queue::Delivery;
use crate::store::Outcome;

/// Entries that came from the queue.
pub(super) fn received(deliveries: &[Delivery]) {
    for delivery in deliveries {
        let Delivery {
            shard, position, ..
        } = delivery;
        let bytes = delivery.entry.payload.len();
        tracing::debug!(batch = %delivery.entry.id, shard, position, bytes, "received");
    }
}

/// A batch with which the store is done.
pub(super) fn committed(delivery: &Delivery, outcome: &Outcome) {
    let (word, rows) = words(outcome);
    tracing::debug!(batch = %delivery.entry.id, outcome = word, rows, "committed");
}

/// An entry other than a batch that is in the store.
pub(super) fn noted(delivery: &Delivery, what: &'static str) {
    tracing::debug!(batch = %delivery.entry.id, what, "committed");
}

/// Entries that left the queue.
pub(super) fn acknowledged(deliveries: &[Delivery]) {
    for delivery in deliveries {
        tracing::debug!(batch = %delivery.entry.id, "acknowledged");
    }
}

/// Every word of [`words`].
pub(super) const OUTCOMES: [&str; 4] = ["stored", "completed", "already_stored", "refused"];

/// What became of a batch in one word, and how many rows were added.
pub(super) const fn words(outcome: &Outcome) -> (&'static str, u64) {
    match outcome {
        Outcome::Stored { rows } => ("stored", *rows),
        Outcome::Completed { rows } => ("completed", *rows),
        Outcome::AlreadyStored => ("already_stored", 0),
        Outcome::Refused { .. } => ("refused", 0),
    }
}
