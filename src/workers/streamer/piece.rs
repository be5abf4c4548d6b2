//! What a source is divided into, and which streamer does what first.

use serde::{Deserialize, Serialize};

use crate::model::source::{ByteRange, PassId, SourceId};

/// A part of the work on a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Piece {
    /// To make a batch of these bytes.
    Chunk(ByteRange),
    /// To make a batch of these bytes of a source that one streamer has for itself.
    Stretch(ByteRange),
    /// To sign the source off.
    SignOff,
}

/// Noted in the spool beside a message: which piece of what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) source: SourceId,
    pub(super) pass: PassId,
    pub(super) piece: Piece,
}

impl Note {
    /// The name of the piece among all streamers.
    pub(super) fn key(&self) -> String {
        let piece = match self.piece {
            Piece::Chunk(ByteRange { start, end }) | Piece::Stretch(ByteRange { start, end }) => {
                format!("{start}-{end}")
            }
            Piece::SignOff => "end".to_owned(),
        };
        format!("{}/{}/{piece}", self.source, self.pass.0)
    }

    /// Whether other streamers work on the same pieces: in loop mode every pass is one streamer's, and
    /// a live source has one streamer at a time.
    pub(super) fn is_shared(&self) -> bool {
        self.pass == PassId::once() && !matches!(self.piece, Piece::Stretch(_))
    }
}

/// Which pieces a streamer takes at once. The others belong to its siblings, until they have been
/// left alone for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Affinity {
    /// `None` if the streamer's name has no number: then it prefers everything.
    ordinal: Option<u64>,
    replicas: u64,
}

impl Affinity {
    /// From the streamer's name, which in a StatefulSet ends in `-N`.
    pub(super) fn of(streamer: &str, replicas: u32) -> Self {
        let replicas = u64::from(replicas.max(1));
        let ordinal = streamer
            .rsplit_once('-')
            .and_then(|(_, number)| number.parse::<u64>().ok());
        Self {
            ordinal: ordinal.map(|ordinal| ordinal % replicas),
            replicas,
        }
    }

    /// That of a streamer without siblings.
    pub(super) const fn everything() -> Self {
        Self {
            ordinal: None,
            replicas: 1,
        }
    }

    pub(super) fn prefers(self, index: u64) -> bool {
        self.ordinal
            .is_none_or(|ordinal| index % self.replicas == ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w17_streamers_that_start_together_prefer_different_chunks() {
        let first = Affinity::of("streamer-0", 2);
        let second = Affinity::of("edge-streamer-1", 2);
        let late = Affinity::of("streamer-2", 2);
        for index in 0..10 {
            assert_ne!(first.prefers(index), second.prefers(index));
            assert_eq!(first.prefers(index), late.prefers(index));
            assert!(Affinity::of("streamer-x7f", 2).prefers(index));
            assert!(Affinity::of("streamer-3", 1).prefers(index));
        }
    }
}
