//! How far each file was followed: kept beside the spool.
//!
//! A position is written after everything up to it is in the spool, so it is never ahead. One that is
//! lost or behind costs a second reading of what the ledger has: it takes only what it has not.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::growing;
use crate::model::source::SourceId;

use super::look::FileKey;

const NAME: &str = "followed.json";
/// Bytes before an offset that tell whether what was read is still there.
const TAIL: u64 = 512;

/// Everything that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Positions {
    /// The cluster whose sources they are.
    pub(super) cluster: String,
    /// The spool that has, or had, everything before them.
    pub(super) incarnation: String,
    /// The store that has what is not in the spool any more; `None` if none was known.
    pub(super) store: Option<String>,
    pub(super) files: Vec<Position>,
}

/// How far one file was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) path: PathBuf,
    pub(super) key: FileKey,
    pub(super) source: SourceId,
    pub(super) content: Content,
    /// Line of the byte at the offset, from 1.
    pub(super) line: u64,
    pub(super) rows: u64,
    pub(super) quarantined: u64,
    /// Whether it was signed off there.
    pub(super) ended: bool,
}

/// What tells whether a file still is what was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// Length of the head that it is known by.
    head_length: u64,
    /// That head's digest, of generation 0.
    pub(super) head: String,
    /// Up to where it was read.
    pub(super) offset: u64,
    /// Digest of the last bytes before that.
    tail: String,
}

impl Position {
    /// Of the same file, of which nothing was read.
    pub(super) fn restarted(&self) -> Self {
        Self {
            content: Content {
                offset: 0,
                tail: digest(&[]),
                ..self.content.clone()
            },
            line: 1,
            rows: 0,
            quarantined: 0,
            ..self.clone()
        }
    }
}

impl Content {
    /// Of a file with this head of which nothing was read.
    pub(super) fn beginning(head: &[u8]) -> Self {
        Self {
            head_length: head.len() as u64,
            head: growing::digest(head, 0),
            offset: 0,
            tail: digest(&[]),
        }
    }

    /// Whether a file begins like this one, and has what was read of it. Blocks.
    pub(super) fn is_in(&self, file: &File) -> io::Result<bool> {
        let size = file.metadata()?.len();
        if size < self.offset.max(self.head_length) {
            return Ok(false);
        }
        let is_head = growing::digest(&bytes(file, 0, self.head_length)?, 0) == self.head;
        Ok(is_head && tail(file, self.offset)? == self.tail)
    }

    /// Of the same file, read up to there. Blocks.
    pub(super) fn read_to(&self, offset: u64, file: &File) -> io::Result<Self> {
        Ok(Self {
            offset,
            tail: tail(file, offset)?,
            ..self.clone()
        })
    }
}

fn tail(file: &File, offset: u64) -> io::Result<String> {
    let length = offset.min(TAIL);
    Ok(digest(&bytes(file, offset - length, length)?))
}

/// As many bytes of a file; fewer if they are not there any more.
fn bytes(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Positions {
    /// What was kept in a folder; nothing if it is not there or somebody else's text. Blocks.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Keeps them, whole or not at all, whatever ends the process. Blocks.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(format!("{NAME}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&new, folder.join(NAME))?;
        File::open(folder)?.sync_all()
    }
}

/// Where they are kept.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_known_by_its_head_and_its_last_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let is_in = |content: &Content, text: &str| {
            std::fs::write(&path, text).unwrap();
            content.is_in(&File::open(&path).unwrap()).unwrap()
        };
        let begun = Content::beginning(b"a,b\n1,2\n");
        assert!(is_in(&begun, "a,b\n1,2\n"));
        assert!(is_in(&begun, "a,b\n1,2\n3,4\n"));
        assert!(!is_in(&begun, "a,b\n1,"));
        assert!(!is_in(&begun, "a,b\n1,3\n"));
        std::fs::write(&path, "a,b\n1,2\n3,4\n").unwrap();
        let read = begun.read_to(12, &File::open(&path).unwrap()).unwrap();
        assert!(is_in(&read, "a,b\n1,2\n3,4\n5"));
        assert!(!is_in(&read, "a,b\n1,2\n3,5\n5"));
        assert!(!is_in(&read, "a,b\n1,2\n"));
    }

    #[test]
    fn positions_are_read_back_and_what_is_none_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            Positions::read(folder.path()).unwrap(),
            Positions::default()
        );
        let positions = Positions {
            cluster: "edge".to_owned(),
            incarnation: "1f".to_owned(),
            ..Positions::default()
        };
        positions.write(folder.path()).unwrap();
        assert_eq!(Positions::read(folder.path()).unwrap(), positions);
        std::fs::write(path(folder.path()), "{").unwrap();
        assert_eq!(
            Positions::read(folder.path()).unwrap(),
            Positions::default()
        );
    }
}
