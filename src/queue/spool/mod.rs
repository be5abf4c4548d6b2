//! A write-ahead log on disk: what was appended survives the process until it is marked done.
//!
//! A folder holds `incarnation` (a random id made with the spool), `lock`, and segments
//! `<first sequence>.log` with their marks `<first sequence>.done`. Sequences count from 0 and are
//! never used twice within one incarnation. A segment is deleted once all its records are done.
//! A record that a crash cut off is removed when the spool is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::source::IncarnationId;

mod disk;
mod record;
mod segment;
#[cfg(test)]
pub(crate) mod simulated;

use disk::{Disk, Lock, Mode};
use segment::Segment;

/// What can go wrong with a spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process has it open.
    #[error("the spool in `{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// A file cannot be made, written or read.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A note cannot be written as JSON.
    #[error("cannot write the note of a record")]
    Note(#[source] serde_json::Error),
    /// A record is not what was written: the disk returned something else.
    #[error("record {sequence} in `{}` is damaged", path.display())]
    Damaged {
        /// Which record.
        sequence: u64,
        /// In which file.
        path: PathBuf,
    },
}

fn file_error<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> SpoolError + 'a {
    move |source| SpoolError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Makes the names in a folder survive a power cut.
fn sync_folder(disk: &dyn Disk, folder: &Path) -> Result<(), SpoolError> {
    disk.sync_folder(folder).map_err(file_error("sync", folder))
}

/// Where an undone record is.
#[derive(Debug)]
struct Place<N> {
    segment: u64,
    offset: u64,
    note: N,
}

/// A spool whose records carry a note of type `N` beside their payload.
///
/// Calls block on the disk.
#[derive(Debug)]
pub struct Spool<N> {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    incarnation: IncarnationId,
    segments: BTreeMap<u64, Segment>,
    undone: BTreeMap<u64, Place<N>>,
    next: u64,
    segment_size: u64,
    /// Held as long as the spool is open.
    _lock: Box<dyn Lock>,
}

impl<N: Serialize + DeserializeOwned> Spool<N> {
    /// Opens the spool in a folder, or makes it. `segment_size` is the length in bytes after which
    /// a new segment is begun.
    pub fn open(folder: &Path, segment_size: u64) -> Result<Self, SpoolError> {
        let disk = disk::of(folder);
        create_folder(disk.as_ref(), folder)?;
        let lock = lock(disk.as_ref(), folder)?;
        let incarnation = incarnation(disk.as_ref(), folder)?;
        let mut spool = Self {
            disk,
            folder: folder.to_owned(),
            incarnation,
            segments: BTreeMap::new(),
            undone: BTreeMap::new(),
            next: 0,
            segment_size,
            _lock: lock,
        };
        for first in segment::list(spool.disk.as_ref(), folder)? {
            spool.recover(first)?;
        }
        spool.begin_segment()?;
        spool.remove_finished()?;
        Ok(spool)
    }

    fn recover(&mut self, first: u64) -> Result<(), SpoolError> {
        let (segment, recovered) = Segment::recover::<N>(&self.disk, &self.folder, first)?;
        self.next = self.next.max(first).max(recovered.next);
        for (sequence, offset, note) in recovered.undone {
            self.undone.insert(
                sequence,
                Place {
                    segment: first,
                    offset,
                    note,
                },
            );
        }
        self.segments.insert(first, segment);
        Ok(())
    }

    /// The random id made with this spool.
    pub const fn incarnation(&self) -> &IncarnationId {
        &self.incarnation
    }

    /// The sequence that the next record gets.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.segments.values().map(Segment::length).sum()
    }

    /// How many records are not done.
    pub fn undone_count(&self) -> usize {
        self.undone.len()
    }

    /// The records that are not done, in order.
    pub fn undone(&self) -> impl Iterator<Item = (u64, &N)> {
        self.undone
            .iter()
            .map(|(sequence, place)| (*sequence, &place.note))
    }

    /// The note of a record that is not done.
    pub fn note(&self, sequence: u64) -> Option<&N> {
        self.undone.get(&sequence).map(|place| &place.note)
    }

    /// Appends a record and answers its sequence ([`Self::next_sequence`] before the call). When
    /// this returns, the record survives a power cut; if it fails, the record was not appended.
    pub fn append(&mut self, note: N, payload: &[u8]) -> Result<u64, SpoolError> {
        let sequence = self.next;
        let bytes = record::encode(sequence, &note, payload).map_err(SpoolError::Note)?;
        if self
            .segments
            .last_key_value()
            .is_none_or(|(_, last)| last.length() > 0 && last.length() >= self.segment_size)
        {
            self.begin_segment()?;
        }
        let Some(mut last) = self.segments.last_entry() else {
            return Err(file_error("find a segment in", &self.folder)(
                io::ErrorKind::NotFound.into(),
            ));
        };
        let segment = *last.key();
        let offset = last.get_mut().append(&bytes)?;
        self.next += 1;
        self.undone.insert(
            sequence,
            Place {
                segment,
                offset,
                note,
            },
        );
        Ok(sequence)
    }

    /// The payload of a record; `None` if it is done or was never there.
    pub fn load(&self, sequence: u64) -> Result<Option<Bytes>, SpoolError> {
        let Some(place) = self.undone.get(&sequence) else {
            return Ok(None);
        };
        match self.segments.get(&place.segment) {
            Some(segment) => segment.load(sequence, place.offset).map(Some),
            None => Ok(None),
        }
    }

    /// Marks records as done, durably, and frees the segments that hold nothing else. Sequences
    /// that are done already are ignored. If it fails, some may be done and others not
    /// ([`Self::note`]); a full disk does not keep whole segments from being freed.
    pub fn mark_done(&mut self, sequences: &BTreeSet<u64>) -> Result<(), SpoolError> {
        let mut by_segment: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for sequence in sequences {
            if let Some(place) = self.undone.get(sequence) {
                by_segment.entry(place.segment).or_default().push(*sequence);
            }
        }
        let mut outcome = Ok(());
        for (first, done) in by_segment {
            let segment = self.segments.get_mut(&first);
            match segment.map_or(Ok(()), |segment| segment.mark_done(&done)) {
                Ok(()) => {
                    for sequence in done {
                        self.undone.remove(&sequence);
                    }
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        self.remove_finished().and(outcome)
    }

    /// Begins a segment unless the last one is empty. Its name keeps `next` from ever going back,
    /// even when every record is gone.
    fn begin_segment(&mut self) -> Result<(), SpoolError> {
        if !self.segments.contains_key(&self.next) {
            let segment = Segment::create(&self.disk, &self.folder, self.next)?;
            self.segments.insert(self.next, segment);
        }
        Ok(())
    }

    fn remove_finished(&mut self) -> Result<(), SpoolError> {
        let finished: Vec<u64> = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.is_finished())
            .map(|(first, _)| *first)
            .filter(|first| *first != self.next)
            .collect();
        if finished.is_empty() {
            return Ok(());
        }
        for first in finished {
            if self.segments.last_key_value().map(|(last, _)| *last) == Some(first) {
                self.begin_segment()?;
            }
            if let Some(segment) = self.segments.remove(&first) {
                segment.delete()?;
            }
        }
        sync_folder(self.disk.as_ref(), &self.folder)
    }
}

/// Makes a folder and those above it, so that they survive a power cut.
fn create_folder(disk: &dyn Disk, folder: &Path) -> Result<(), SpoolError> {
    let above = match folder.parent() {
        Some(above) if above == Path::new("") => Path::new("."),
        Some(above) => above,
        None => folder,
    };
    let made = match disk.create_folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && above != Path::new(".") => {
            create_folder(disk, above)?;
            disk.create_folder(folder)
        }
        made => made,
    };
    let is_new = made.map_err(file_error("create", folder))?;
    match disk.sync_folder(above) {
        // Whoever made it earlier may have been killed before this; but it may be somebody else's.
        Err(error) if is_new => Err(file_error("sync", above)(error)),
        _ => Ok(()),
    }
}

fn lock(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Lock>, SpoolError> {
    let path = folder.join("lock");
    disk.lock(&path).map_err(|error| match error {
        TryLockError::WouldBlock => SpoolError::InUse(folder.to_owned()),
        TryLockError::Error(source) => file_error("lock", &path)(source),
    })
}

/// Reads the id of the spool, or makes it: written aside and renamed, so that it is whole or absent.
fn incarnation(disk: &dyn Disk, folder: &Path) -> Result<IncarnationId, SpoolError> {
    let path = folder.join("incarnation");
    let read = disk.read(&path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    match read {
        Ok(text) => return Ok(IncarnationId(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(file_error("read", &path)(error)),
    }
    let id = hex::encode(rand::random::<[u8; 16]>());
    let aside = folder.join("incarnation.new");
    disk.open(&aside, Mode::Empty)
        .and_then(|mut file| {
            file.append(id.as_bytes())?;
            file.sync()
        })
        .and_then(|()| disk.rename(&aside, &path))
        .map_err(file_error("write", &path))?;
    sync_folder(disk, folder)?;
    Ok(IncarnationId(id))
}

#[cfg(test)]
mod tests;
