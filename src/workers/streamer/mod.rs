//! The streamer: reads a source, keeps its batches in a spool, and publishes them to the queue.
//!
//! # Expected flow
//! Every streamer scans the whole source and cuts it into the same chunks. It makes a batch of each
//! chunk that it claims, writes it to its spool, and only then publishes it. The spool is freed by
//! an acknowledgement, which comes after the store's commit. At the end one of them signs the
//! source off: size, rows, quarantined rows.
//!
//! # Guarantees
//! A batch that is in the spool is published until it is acknowledged, whatever happens to the
//! queue or to this process. Claims only keep work from being done twice: batches that were made
//! twice are told apart by the store's ledger. While the queue is away, batches collect in the
//! spool; when it is full, reading pauses.

use std::path::PathBuf;

use tokio::task::JoinError;

use crate::queue::codec::EncodeError;
use crate::queue::spool::SpoolError;

mod announced;
pub mod csv;
mod follow;
mod health;
mod left_over;
mod meter;
mod outbox;
mod piece;
mod publish;
mod read;
mod reconcile;
mod remembered;
mod run;
mod scrape;
mod source;
mod stream;
mod supply;
mod upload;

pub use read::QUARANTINED;
pub use run::run;
pub use upload::{Uploads, router as upload_router};

/// Why a streamer ends by itself. The queue is no reason: it waits for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamerError {
    /// The source cannot be read.
    #[error("cannot stream the source")]
    Read(#[source] csv::ReadError),
    /// The source is not there, or the disk does not give it.
    #[error("cannot read `{}`", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody wrote into the source, so that it is another one now.
    #[error("`{}` changed while it was read: replace a source by renaming a new file over it", .0.display())]
    SourceChanged(PathBuf),
    /// Rows were appended to a source that was streamed already.
    #[error("`{}` grew after it was streamed, and would be stored a second time: write what is new \
             into a file of its own", .0.display())]
    Grew(PathBuf),
    /// A file has no two lines by which it could be known.
    #[error("`{}` has no two lines within its first 2 MiB: it is no growing CSV file", .0.display())]
    NoHead(PathBuf),
    /// What has to outlive the process cannot be noted.
    #[error("cannot remember in `{}` how far it went", path.display())]
    Remember {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing can be scraped.
    #[error("cannot scrape: {0}")]
    Scrape(String),
    /// The spool cannot be used.
    #[error("cannot keep batches in the spool")]
    Spool(#[source] SpoolError),
    /// A batch cannot be encoded.
    #[error("cannot encode a batch")]
    Encode(#[source] EncodeError),
    /// A part of the streamer panicked.
    #[error("a task of the streamer ended abnormally")]
    Task(#[source] JoinError),
}

impl StreamerError {
    /// Whether one source is to blame, and not what all of them need.
    const fn is_of_source(&self) -> bool {
        matches!(
            self,
            Self::Read(_)
                | Self::Source { .. }
                | Self::SourceChanged(_)
                | Self::Grew(_)
                | Self::NoHead(_)
        )
    }

    /// Whether it may be another time with the same source: the disk did not give it.
    const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Source { .. } | Self::Read(csv::ReadError::File { .. })
        )
    }

    /// Whether the spool lacks nothing but room.
    fn is_full_disk(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let Self::Spool(SpoolError::File { source, .. }) = self else {
            return false;
        };
        matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}

/// Runs something that waits for the disk or computes for long, where that is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StreamerError> + Send + 'static,
) -> Result<T, StreamerError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(StreamerError::Task)?
}
