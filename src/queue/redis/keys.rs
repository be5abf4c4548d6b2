//! Names of the keys.
//!
//! All keys of a shard carry one hash tag, so that they live on one node of a cluster; the tag has
//! the pipeline's name, so that several pipelines can use one server.

use crate::model::source::IncarnationId;

/// One shard of a pipeline's queue.
#[derive(Debug, Clone)]
pub struct Shard {
    /// Its number, from 0.
    pub number: u32,
    stream: String,
}

impl Shard {
    /// A shard of a pipeline.
    pub fn of(pipeline: &str, number: u32) -> Self {
        Self {
            number,
            stream: format!("tele:{{{pipeline}.{number}}}"),
        }
    }

    /// The stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Random name of the data set.
    pub(super) fn token(&self) -> String {
        self.key("token")
    }

    /// Entries that were set aside.
    pub(super) fn dead(&self) -> String {
        self.key("dead")
    }

    /// Sequences of an incarnation that were acknowledged and not yet forgotten.
    pub(super) fn acknowledged(&self, incarnation: &IncarnationId) -> String {
        self.key(&format!("acked:{}", incarnation.0))
    }

    /// Who works on a piece of a source. `hash` is the piece's.
    pub(super) fn claim(&self, hash: &[u8]) -> String {
        self.key(&format!("claim:{}", hex::encode(hash)))
    }

    fn key(&self, part: &str) -> String {
        format!("{}:{part}", self.stream)
    }
}

/// Where the collectors of a pipeline announce which store they fill.
pub(super) fn store(pipeline: &str) -> String {
    format!("tele:{{{pipeline}}}:store")
}
