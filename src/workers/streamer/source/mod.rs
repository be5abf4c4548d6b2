//! What is streamed, and its identity.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::model::source::SourceId;

use super::StreamerError;

mod file;
mod files;
mod generated;
mod listing;

use file::FileContent;
pub(super) use files::Files;
pub(super) use generated::Generated;
use generated::GeneratedReader;
pub(super) use listing::Place;

/// Content of a known size that does not change, however often it is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: SourceId,
    /// For messages, and for the host's name where the content has none.
    pub(super) path: PathBuf,
    /// Where it is; empty if it is no file.
    pub(super) file: PathBuf,
    pub(super) size: u64,
    /// Whether no other streamer has the same source.
    pub(super) is_own: bool,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File(FileContent),
    Generated(Generated),
}

impl Source {
    /// What a generator writes, as a source.
    pub(super) fn generated(generated: Generated, cluster: &str, streamer: &str) -> Self {
        let name = format!("generated-{streamer}");
        Self {
            id: SourceId {
                cluster: cluster.to_owned(),
                digest: generated.digest(),
                name: name.clone(),
            },
            path: PathBuf::from(name),
            file: PathBuf::new(),
            size: generated.size(),
            is_own: true,
            content: Content::Generated(generated),
        }
    }

    /// The content from its beginning, whatever has become of the file's name.
    pub(super) fn reopen(&self) -> Result<SourceReader, StreamerError> {
        match &self.content {
            Content::File(file) => file.reopen(&self.path).map(SourceReader::File),
            Content::Generated(generated) => {
                let reader = GeneratedReader::of(generated.clone());
                Ok(SourceReader::Generated(reader))
            }
        }
    }

    /// Whether it is still what it was.
    pub(super) fn verify_unchanged(&self) -> Result<(), StreamerError> {
        match &self.content {
            Content::File(file) => file.verify_unchanged(&self.path, self.size),
            Content::Generated(_) => Ok(()),
        }
    }
}

/// The bytes of a source.
#[derive(Debug)]
pub(super) enum SourceReader {
    File(File),
    Generated(GeneratedReader),
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Generated(generated) => generated.read(buffer),
        }
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Generated(generated) => generated.seek(to),
        }
    }
}
