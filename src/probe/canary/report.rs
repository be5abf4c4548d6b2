//! What the sender of canaries tells, as JSON in its log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::probe::frame::{Frame, FrameError};
use crate::probe::result::{Cause, TargetReport};

/// Version of [`CanaryReport`] as JSON. Fields are only ever added within one version.
pub const SCHEMA_VERSION: u32 = 1;

const FRAME: Frame = Frame {
    title: "TELECTL CANARY REPORT",
    newest: SCHEMA_VERSION,
};

/// What became of canaries at their start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CanaryReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of the binary.
    pub version: String,
    /// Name of the pod.
    pub pod: Option<String>,
    /// What a look at Redis found, hop by hop, before anything was sent.
    pub redis: TargetReport,
    /// The canaries, in the order in which they were asked for.
    pub canaries: Vec<SentCanary>,
}

/// One canary at its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentCanary {
    /// Its name.
    pub id: String,
    /// When it was sent, by the clock of the sender.
    pub sent_at: Timestamp,
    /// What became of it.
    pub outcome: Sending,
}

/// Whether a canary got into the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Sending {
    /// It did.
    Published {
        /// Into which shard.
        shard: u32,
        /// When, by the clock of the queue, to the millisecond.
        published_at: Timestamp,
        /// From the command to its answer, in milliseconds, by the sender.
        took_ms: f64,
    },
    /// It did not.
    Failed {
        /// Why.
        cause: Cause,
        /// What was seen, for a person; no secrets.
        detail: String,
    },
}

impl CanaryReport {
    /// The report as it stands in a log.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        FRAME.encode(self)
    }

    /// The last complete report in a log.
    ///
    /// # Errors
    /// When there is none, or when it cannot be read.
    pub fn decode(log: &str) -> Result<Self, FrameError> {
        FRAME.decode(log)
    }

    /// Why nothing, or not everything, was published: what the look at Redis found, else what the
    /// first canary that failed met.
    pub fn failure(&self) -> Option<(Cause, String)> {
        let failed = self
            .canaries
            .iter()
            .find_map(|canary| match &canary.outcome {
                Sending::Published { .. } => None,
                Sending::Failed { cause, detail } => Some((*cause, detail.clone())),
            })?;
        let seen = self.redis.failed_hop().and_then(|hop| {
            let (cause, detail) = hop.outcome.failure()?;
            let detail = format!("{} at {}: {detail}", hop.hop, self.redis.endpoint);
            Some((cause, detail))
        });
        Some(seen.unwrap_or(failed))
    }
}
