//! Canaries as a store keeps them: for a day, and not more than it can look through at once.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::canary::Canary;

/// How long a canary is kept.
pub(super) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How many are kept at most: the newest.
pub(super) const MOST_KEPT: i64 = 10_000;

/// A canary that a collector has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryArrival {
    /// The canary.
    pub canary: Canary,
    /// When the queue took it, by the queue's clock.
    pub published_at: Timestamp,
    /// When the collector received it, by the collector's clock.
    pub received_at: Timestamp,
    /// Id of the collector.
    pub collector: String,
}

/// A canary that is in the store, with its time at every hop. Each time is by another clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CanaryRecord {
    /// Its name.
    #[schema(example = "0123456789abcdef0123456789abcdef")]
    pub id: String,
    /// The cluster that it was sent from.
    #[schema(example = "edge")]
    pub cluster: String,
    /// When it was sent, by the sender's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-07-18T20:42:34Z")]
    pub sent_at: Timestamp,
    /// When the queue took it, by the queue's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-07-18T20:42:34Z")]
    pub published_at: Timestamp,
    /// When a collector received it first, by the collector's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-07-18T20:42:34Z")]
    pub received_at: Timestamp,
    /// When it was stored first, by the store's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-07-18T20:42:34Z")]
    pub stored_at: Timestamp,
    /// The collector that received it first.
    #[schema(example = "central.telemetry-system.collector-0")]
    pub collector: String,
    /// How often it was delivered: 1, unless a collector died or Redis did not hear of it.
    #[schema(example = 1)]
    pub deliveries: u64,
}

/// A canary as the gateway answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoundCanary {
    /// When it was at every hop.
    #[serde(flatten)]
    pub record: CanaryRecord,
    /// When this answer was given, by the gateway's clock.
    #[schema(value_type = String, format = DateTime, example = "2026-07-18T20:42:34Z")]
    pub answered_at: Timestamp,
}
