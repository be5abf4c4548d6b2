//! Whether a file can be streamed: told before anything is started.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::workers::streamer::csv::{Limits, ReadError, Reader};

use super::CLUSTER;

/// Why a file is no source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It is not there, or may not be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("`{}` is no regular file", .0.display())]
    NoFile(PathBuf),
    /// Its beginning is none of a CSV file.
    #[error(transparent)]
    Header(ReadError),
    /// It has a header only.
    #[error("`{}` has a header and no rows", .0.display())]
    NoRows(PathBuf),
}

/// Reads the header and the first record. A record that cannot be stored is one, too: what is wrong
/// with it is told when the file is streamed. Blocks on the disk.
///
/// # Errors
/// When the file cannot be read, or has no header that tells the columns, or no record.
pub fn check(path: &Path) -> Result<(), SourceError> {
    let unreadable = |source| SourceError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SourceError::NoFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let limits = Limits {
        records: 1,
        bytes: u64::MAX,
    };
    let mut reader = Reader::open(file, path, CLUSTER, limits).map_err(SourceError::Header)?;
    let first = reader.next_chunk().map_err(SourceError::Header)?;
    match first {
        Some(chunk) if !chunk.rows.is_empty() || !chunk.quarantined.is_empty() => Ok(()),
        _ => Err(SourceError::NoRows(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::demo::sample;

    fn checked(bytes: &[u8]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.csv");
        std::fs::write(&path, bytes).unwrap();
        check(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn a_header_alone_is_no_source_and_one_record_is() {
        let header: Vec<u8> = sample::BYTES
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap()
            .into();
        for end in ["", "\n", "\r\n", "\n\n\n"] {
            let bytes = [header.as_slice(), end.as_bytes()].concat();
            let refused = checked(&bytes).unwrap_err();
            assert!(
                refused.contains("some.csv` has a header and no rows"),
                "{refused}"
            );
        }
        // Whatever it is worth.
        checked(&[header.as_slice(), b"\na,b,c"].concat()).unwrap();
        checked(sample::BYTES).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let refused = check(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is no regular file"), "{refused}");
        let refused = check(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(refused.contains("is no regular file"), "{refused}");
    }
}
