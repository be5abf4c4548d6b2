//! The file that is streamed, and its identity.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::model::source::SourceId;

use super::StreamerError;

/// An open file whose content is known by its hash.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: SourceId,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    file: File,
    modified: Option<SystemTime>,
}

impl Source {
    /// Opens a file and hashes it; `None` if `stop` was cancelled meanwhile. Blocks.
    pub(super) fn open(
        path: &Path,
        cluster: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, StreamerError> {
        let failed = |source| StreamerError::Source {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; 1024 * 1024];
        loop {
            if stop.is_cancelled() {
                return Ok(None);
            }
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    size += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let name = path.file_name().unwrap_or(path.as_os_str());
        let source = Self {
            id: SourceId {
                cluster: cluster.to_owned(),
                name: name.to_string_lossy().into_owned(),
                digest: hex::encode(hasher.finalize()),
            },
            path: path.to_owned(),
            size,
            file,
            modified: metadata.modified().ok(),
        };
        source.verify_unchanged()?;
        Ok(Some(source))
    }

    fn failed(&self, source: io::Error) -> StreamerError {
        StreamerError::Source {
            path: self.path.clone(),
            source,
        }
    }

    /// A handle at the beginning of the same content, whatever has become of the name.
    pub(super) fn reopen(&self) -> Result<File, StreamerError> {
        let mut file = self.file.try_clone().map_err(|error| self.failed(error))?;
        io::Seek::rewind(&mut file).map_err(|error| self.failed(error))?;
        Ok(file)
    }

    /// Whether the file is still as long and as old as when it was hashed.
    pub(super) fn verify_unchanged(&self) -> Result<(), StreamerError> {
        let metadata: Metadata = self.file.metadata().map_err(|error| self.failed(error))?;
        if metadata.len() == self.size && metadata.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(StreamerError::SourceChanged(self.path.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_source_is_known_by_its_content_and_notices_changes() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "abc").unwrap();
        let stop = CancellationToken::new();
        let source = Source::open(&path, "edge", &stop).unwrap().unwrap();
        assert_eq!(
            source.id.to_string(),
            "edge/a.csv@ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        source.verify_unchanged().unwrap();
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        file.write_all(b"d").unwrap();
        let changed = source.verify_unchanged().unwrap_err();
        assert!(changed.to_string().contains("changed while it was read"));
        stop.cancel();
        assert!(Source::open(&path, "edge", &stop).unwrap().is_none());
    }
}
