//! Samples of a metric, summed up by buckets of time.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// What is summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateQuery {
    /// UUID of the GPU.
    pub uuid: String,
    /// Which metric; all series of it count together.
    pub metric: String,
    /// From this instant on.
    pub from: Timestamp,
    /// Up to but not including this instant.
    pub to: Timestamp,
    /// Width of a bucket, at least 1 s. Buckets begin at its multiples since 1970.
    pub bucket: SignedDuration,
}

/// The samples of one bucket of time; blanks count for nothing.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Bucket {
    /// Begin of the bucket, RFC 3339, UTC; its end is the next one's begin. The first and the last
    /// bucket count only what lies within the range asked for.
    #[schema(value_type = String, format = DateTime, example = "2025-07-18T20:42:00Z")]
    pub start: Timestamp,
    /// How many samples have a value.
    #[schema(example = 60)]
    pub count: u64,
    /// The least value.
    #[schema(example = 0.0)]
    pub min: f64,
    /// The greatest value.
    #[schema(example = 100.0)]
    pub max: f64,
    /// The mean of the values.
    #[schema(example = 42.5)]
    pub avg: f64,
    /// The sum of the values.
    #[schema(example = 2550.0)]
    pub sum: f64,
    /// The value of the newest sample.
    #[schema(example = 97.0)]
    pub last: f64,
}
