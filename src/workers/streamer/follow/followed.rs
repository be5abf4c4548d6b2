//! One file that is followed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::model::growing::{self, LONGEST_HEAD};

use super::super::StreamerError;
use super::super::csv::{Chunk, Limits, Place, Reader};
use super::failed;
use super::look::{FileKey, Seen, Stamp};
use super::position::Position;

/// How much of a head is read first; most are shorter.
const FIRST_PIECE: u64 = 64 * 1024;

/// A file whose head is whole.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) key: FileKey,
    pub(super) head: Vec<u8>,
    file: File,
}

/// A file that is read as it grows.
pub(super) struct Followed {
    /// How far it was read, as far as everything is in the spool.
    pub(super) position: Position,
    file: File,
    reader: Reader<File>,
    /// How it was when everything of it was read.
    read: Option<Stamp>,
    /// When more of it was found last.
    pub(super) grew: Instant,
    /// Since when it is not where it was.
    pub(super) gone: Option<Instant>,
}

/// What a look at one file finds.
pub(super) enum Found {
    /// More of it.
    Chunk(Box<Chunk>),
    /// Nothing more for now.
    Nothing,
    /// It is not what was read: it was cut off, or written anew.
    Another,
}

impl Candidate {
    /// Opens a file; `None` if its head is not whole yet, or it is another one by now. Blocks.
    pub(super) fn open(seen: &Seen) -> Result<Option<Self>, StreamerError> {
        let failed = failed(&seen.path);
        let file = match File::open(&seen.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if FileKey::of(&file.metadata().map_err(&failed)?) != seen.key {
            return Ok(None);
        }
        let mut head = Vec::new();
        for limit in [FIRST_PIECE, LONGEST_HEAD as u64] {
            let more = limit - head.len() as u64;
            (&file).take(more).read_to_end(&mut head).map_err(&failed)?;
            if let Some(length) = growing::head_length(&head) {
                head.truncate(length);
                return Ok(Some(Self {
                    path: seen.path.clone(),
                    key: seen.key,
                    head,
                    file,
                }));
            }
        }
        if head.len() < LONGEST_HEAD {
            return Ok(None);
        }
        let path = seen.path.clone();
        Err(StreamerError::NoHead(path))
    }

    /// Whether it has what was read there. Blocks.
    pub(super) fn has(&self, position: &Position) -> Result<bool, StreamerError> {
        let is_in = position.content.is_in(&self.file);
        is_in.map_err(failed(&self.path))
    }

    /// Follows it from a position. Blocks.
    pub(super) fn follow(
        self,
        position: Position,
        limits: Limits,
    ) -> Result<Followed, StreamerError> {
        Followed::of(self.file, position, limits)
    }
}

impl Followed {
    fn of(file: File, position: Position, limits: Limits) -> Result<Self, StreamerError> {
        let failed = failed(&position.path);
        // A handle of its own: where it stands must not depend on anybody else.
        let own = file.try_clone().map_err(&failed)?;
        io::Seek::rewind(&mut &own).map_err(&failed)?;
        let reader = Reader::open(own, &position.path, &position.source.cluster, limits)
            .map_err(StreamerError::Read)?
            .growing();
        let start = position.content.offset;
        let place = Place {
            index: u64::from(start > 0),
            start,
            line: position.line,
        };
        let reader = reader.go_to(place).map_err(StreamerError::Read)?.growing();
        Ok(Self {
            position,
            file,
            reader,
            read: None,
            grew: Instant::now(),
            gone: None,
        })
    }

    /// Opens the rest of a file that was renamed; `None` if what is there is not what was read.
    /// Blocks.
    pub(super) fn renamed(
        path: &Path,
        position: &Position,
        limits: Limits,
    ) -> Result<Option<Self>, StreamerError> {
        let file = File::open(path).map_err(failed(path))?;
        if !position.content.is_in(&file).map_err(failed(path))? {
            return Ok(None);
        }
        let mut followed = Self::of(file, position.clone(), limits)?;
        followed.gone = Some(Instant::now());
        Ok(Some(followed))
    }

    pub(super) fn ignored_columns(&self) -> &[String] {
        self.reader.ignored_columns()
    }

    /// What is there beyond what was read, in bytes: also where reading is held up.
    pub(super) fn behind(&self) -> u64 {
        let size = self.file.metadata().map_or(0, |metadata| metadata.len());
        size.saturating_sub(self.position.content.offset)
    }

    /// The next piece, as far as its last record has an end. Blocks.
    pub(super) fn next(&mut self) -> Result<Found, StreamerError> {
        let failed = failed(&self.position.path);
        let stamp = Stamp::of(&self.file.metadata().map_err(&failed)?);
        if self.read == Some(stamp) {
            return Ok(Found::Nothing);
        }
        if self.read.take().is_some() {
            self.grew = Instant::now();
        }
        let content = &self.position.content;
        if !content.is_in(&self.file).map_err(&failed)? {
            return Ok(Found::Another);
        }
        let mut chunk = self.reader.next_chunk().map_err(StreamerError::Read)?;
        if chunk.is_none() {
            // What was read ahead may be older than the stamp.
            self.reader.rest().map_err(StreamerError::Read)?;
            chunk = self.reader.next_chunk().map_err(StreamerError::Read)?;
        }
        // After reading, too: a piece of a file that is another one by now must not be kept.
        if !content.is_in(&self.file).map_err(&failed)? {
            return Ok(Found::Another);
        }
        if let Some(chunk) = chunk {
            return Ok(Found::Chunk(Box::new(chunk)));
        }
        self.reader.rest().map_err(StreamerError::Read)?;
        // Taken before reading: what was written meanwhile makes it another one.
        self.read = Some(stamp);
        Ok(Found::Nothing)
    }

    /// Nothing more will follow: what is there without an end is its last record.
    pub(super) const fn ended(&mut self) {
        self.reader.ended();
        self.read = None;
    }

    /// Where it stands once a piece is in the spool. Blocks.
    pub(super) fn position_after(&self, chunk: &Chunk) -> Result<Position, StreamerError> {
        let Chunk { range, .. } = chunk;
        let content = self.position.content.read_to(range.end, &self.file);
        Ok(Position {
            content: content.map_err(failed(&self.position.path))?,
            line: self.reader.place().line,
            rows: self.position.rows + chunk.rows.len() as u64,
            quarantined: self.position.quarantined + chunk.quarantined.len() as u64,
            ..self.position.clone()
        })
    }

    /// Begins again, for a store that has nothing of it. Blocks.
    pub(super) fn again(mut self, limits: Limits) -> Result<Self, StreamerError> {
        self.position = self.position.restarted();
        self.reopened(limits)
    }

    /// The same from where it stands, as a file that may grow. Blocks.
    pub(super) fn reopened(self, limits: Limits) -> Result<Self, StreamerError> {
        let position = self.position;
        let (grew, gone) = (self.grew, self.gone);
        let again = Self::of(self.file, position, limits)?;
        Ok(Self {
            grew,
            gone,
            ..again
        })
    }
}
