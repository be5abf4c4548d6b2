//! A file that is known by the hash of its content.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::model::source::SourceId;

use super::listing::Place;
use super::{Content, Source, StreamerError};

/// An open file, as it was when it was hashed.
#[derive(Debug)]
pub(super) struct FileContent {
    file: File,
    modified: Option<SystemTime>,
}

impl Source {
    /// Opens a file of a place and hashes it; `None` if `stop` was cancelled meanwhile. Blocks.
    pub(super) fn open(
        path: &Path,
        place: &Place,
        cluster: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, StreamerError> {
        let failed = failed(path);
        let mut file = File::open(path).map_err(&failed)?;
        let metadata = file.metadata().map_err(&failed)?;
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
        let source = Self {
            id: SourceId {
                cluster: cluster.to_owned(),
                name: place.name(path),
                digest: hex::encode(hasher.finalize()),
            },
            path: place.shown(path),
            file: path.to_owned(),
            size,
            is_own: place.is_own(),
            content: Content::File(FileContent {
                file,
                modified: metadata.modified().ok(),
            }),
        };
        source.verify_unchanged()?;
        Ok(Some(source))
    }
}

/// What a file held when it was streamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    size: u64,
    digest: String,
}

impl Source {
    /// What it holds.
    pub(super) fn held(&self) -> Held {
        Held {
            size: self.size,
            digest: self.id.digest.clone(),
        }
    }

    /// Whether it begins with all that a file held earlier, and more follows: then most of it would
    /// be stored again, as rows of another source. Blocks.
    pub(super) fn grew_from(&self, held: &Held) -> Result<bool, StreamerError> {
        if self.size <= held.size {
            return Ok(false);
        }
        let failed = failed(&self.path);
        let mut hasher = Sha256::new();
        let mut beginning = self.reopen()?.take(held.size);
        io::copy(&mut beginning, &mut HashWriter(&mut hasher)).map_err(failed)?;
        Ok(hex::encode(hasher.finalize()) == held.digest)
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> StreamerError {
    let path = path.to_owned();
    move |source| StreamerError::Source {
        path: path.clone(),
        source,
    }
}

impl FileContent {
    /// A handle at the beginning of the same content, whatever has become of the name.
    pub(super) fn reopen(&self, path: &Path) -> Result<File, StreamerError> {
        let failed = failed(path);
        let mut file = self.file.try_clone().map_err(&failed)?;
        io::Seek::rewind(&mut file).map_err(&failed)?;
        Ok(file)
    }

    /// Whether the file is still as long and as old as when it was hashed.
    pub(super) fn verify_unchanged(&self, path: &Path, size: u64) -> Result<(), StreamerError> {
        let metadata: Metadata = self.file.metadata().map_err(failed(path))?;
        if metadata.len() == size && metadata.modified().ok() == self.modified {
            Ok(())
        } else {
            Err(StreamerError::SourceChanged(path.to_owned()))
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
        let place = Place::File(path.clone());
        let source = Source::open(&path, &place, "edge", &stop).unwrap().unwrap();
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
        drop(file);
        let longer = Source::open(&path, &place, "edge", &stop).unwrap().unwrap();
        assert!(longer.grew_from(&source.held()).unwrap());
        assert!(!longer.grew_from(&longer.held()).unwrap());
        std::fs::write(&path, "another one").unwrap();
        let other = Source::open(&path, &place, "edge", &stop).unwrap().unwrap();
        assert!(!other.grew_from(&source.held()).unwrap());
        stop.cancel();
        assert!(
            Source::open(&path, &place, "edge", &stop)
                .unwrap()
                .is_none()
        );
    }
}
