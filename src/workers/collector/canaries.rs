//! Canaries on their way through the collector.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::model::canary::Canary;
use crate::queue::Delivery;
use crate::store::canary::CanaryArrival;
use crate::workers::vitals::Vitals;

/// How many of the last ones are on the status page.
const SHOWN: usize = 64;

/// Whoever sends a canary looks at the status page first: a collector of an earlier version, which
/// lacks this, would set it aside as a dead letter.
#[derive(Debug)]
pub(super) struct Canaries(Mutex<VecDeque<String>>);

impl Canaries {
    /// Says that this collector knows canaries.
    pub(super) fn announce(vitals: &Vitals) -> Self {
        vitals.detail("canaries", Value::Array(Vec::new()));
        Self(Mutex::default())
    }

    /// Shows that one is stored.
    pub(super) fn stored(&self, canary: &Canary, vitals: &Vitals) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() == SHOWN {
            shown.pop_front();
        }
        shown.push_back(canary.id.to_string());
        vitals.detail("canaries", json!(*shown));
    }
}

/// A canary as it arrives.
pub(super) fn arrival(
    canary: Canary,
    delivery: &Delivery,
    collector: &str,
    now: Timestamp,
) -> CanaryArrival {
    let published = i64::try_from(delivery.published_ms).ok();
    let published_at = published.and_then(|time| Timestamp::from_millisecond(time).ok());
    CanaryArrival {
        canary,
        // The queue's clock is beyond all calendars only if somebody wrote the entry by hand.
        published_at: published_at.unwrap_or(now),
        received_at: now,
        collector: collector.to_owned(),
    }
}
