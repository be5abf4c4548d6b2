//! From the pieces of a request to a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt as _, stream};
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::workers::streamer::csv::{Limits, ReadError, Reader};

use super::{PARTIAL, Uploads, file_id};

/// How long the sender may send nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a form around its file.
const AROUND: u64 = 64 * 1024;
/// Longest name of a file in bytes: a digest stands before it, and file systems take 255.
const LONGEST_NAME: usize = 150;

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Name(String),
    #[error("{0} uploads are under way: try again later")]
    Busy(usize),
    #[error("the file is longer than {0} bytes (UPLOAD_LIMIT)")]
    TooLarge(u64),
    #[error(
        "no room: {0} bytes are kept at most (UPLOAD_TOTAL), and what is there is not stored yet; \
         try again later"
    )]
    Full(u64),
    #[error("nothing came for {} s", PATIENCE.as_secs())]
    Stalled,
    #[error("the upload broke off: {0}")]
    Broken(String),
    #[error("the file is empty")]
    Empty,
    #[error(transparent)]
    Header(ReadError),
    #[error("cannot keep the file")]
    Disk(#[from] io::Error),
}

/// A file that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: String,
    pub(super) digest: String,
    pub(super) size: u64,
}

/// The pieces of a request, with an end to its length and to its sender's silence: also what stands
/// around the file in a form.
pub(super) fn bounded(
    body: Body,
    limit: u64,
) -> impl Stream<Item = Result<Bytes, Refusal>> + Send + Unpin {
    let pieces = body.into_data_stream();
    Box::pin(stream::try_unfold(
        (pieces, 0),
        move |(mut pieces, read)| async move {
            let piece = timeout(PATIENCE, pieces.next()).await;
            let Some(piece) = piece.map_err(|_| Refusal::Stalled)? else {
                return Ok(None);
            };
            let piece = piece.map_err(|error| Refusal::Broken(error.to_string()))?;
            let read = read + piece.len() as u64;
            if read > limit.saturating_add(AROUND) {
                return Err(Refusal::TooLarge(limit));
            }
            Ok(Some((piece, (pieces, read))))
        },
    ))
}

/// A file that is not whole yet. Unless it is put into place, nothing of it stays.
struct Partial<'a> {
    uploads: &'a Uploads,
    path: PathBuf,
    reserved: u64,
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        self.uploads.release(self.reserved);
        // It is gone if it was put into place, and is removed at the next start if this fails.
        drop(std::fs::remove_file(&self.path));
    }
}

/// The name that a file is kept under.
pub(super) fn name(given: Option<&str>) -> Result<&str, Refusal> {
    let refused = |why: &str| Err(Refusal::Name(why.to_owned()));
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return refused(
            "the file has no name: `curl -F file=@node-7.csv`, or `?filename=node-7.csv`",
        );
    };
    // Some browsers send a path.
    let name = given.rsplit(['/', '\\']).next().unwrap_or(given);
    if !name.to_ascii_lowercase().ends_with(".csv") {
        return refused("the file's name must end in .csv");
    }
    if name.starts_with('.') || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return refused(
            "the file's name must be at most 150 bytes of text and not begin with a dot",
        );
    }
    Ok(name)
}

/// Takes a file from the pieces of a request, and answers once it is whole and durable.
pub(super) async fn receive(
    uploads: &Uploads,
    name: &str,
    pieces: impl Stream<Item = Result<Bytes, Refusal>>,
) -> Result<Taken, Refusal> {
    let random = hex::encode(rand::random::<[u8; 8]>());
    let mut partial = Partial {
        uploads,
        path: uploads.folder().join(format!("{PARTIAL}{random}")),
        reserved: 0,
    };
    let (digest, size) = write(&mut partial, pieces).await?;
    let (path, shown) = (partial.path.clone(), PathBuf::from(name));
    blocking(move || check(&path, &shown)).await?;
    let kept = format!("{digest}-{}", with_known_ending(name));
    let id = file_id(&kept);
    let (path, placing) = (partial.path.clone(), uploads.clone());
    blocking(move || Ok(placing.place(&path, &kept, size)?)).await?;
    Ok(Taken { id, digest, size })
}

/// The ending by which files are found.
fn with_known_ending(name: &str) -> String {
    let stem = &name[..name.len() - ".csv".len()];
    format!("{stem}.csv")
}

async fn write(
    partial: &mut Partial<'_>,
    pieces: impl Stream<Item = Result<Bytes, Refusal>>,
) -> Result<(String, u64), Refusal> {
    let uploads = partial.uploads;
    let mut file = File::create_new(&partial.path).await?;
    let mut hasher = Sha256::new();
    let mut pieces = std::pin::pin!(pieces);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let length = piece.len() as u64;
        if partial.reserved + length > uploads.0.limit {
            return Err(Refusal::TooLarge(uploads.0.limit));
        }
        if !uploads.reserve(length)? {
            return Err(Refusal::Full(uploads.0.total));
        }
        partial.reserved += length;
        hasher.update(&piece);
        file.write_all(&piece).await?;
    }
    if partial.reserved == 0 {
        return Err(Refusal::Empty);
    }
    file.flush().await?;
    file.sync_all().await?;
    Ok((hex::encode(hasher.finalize()), partial.reserved))
}

/// Whether a file has a header that tells its columns.
fn check(path: &Path, shown: &Path) -> Result<(), Refusal> {
    let limits = Limits {
        records: 1,
        bytes: u64::MAX,
    };
    Reader::open(std::fs::File::open(path)?, shown, "", limits).map_err(Refusal::Header)?;
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::Disk(io::Error::other(error)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w16_a_file_is_kept_under_its_last_name_only() {
        assert_eq!(name(Some("node-7.csv")).unwrap(), "node-7.csv");
        assert_eq!(name(Some("../../etc/a.CSV")).unwrap(), "a.CSV");
        assert_eq!(name(Some("C:\\data\\a b.csv")).unwrap(), "a b.csv");
        assert_eq!(with_known_ending("a.CSV"), "a.csv");
        let long = format!("{}.csv", "x".repeat(200));
        for refused in ["", "a.txt", "a/.csv", "a\n.csv", ".hidden.csv", &long] {
            assert!(name(Some(refused)).is_err(), "{refused}");
        }
        assert!(name(None).unwrap_err().to_string().contains("curl -F"));
    }
}
