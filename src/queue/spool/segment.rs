//! One file of records and the file of marks beside it.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::disk::{Disk, DiskFile, Mode, Reader};
use super::{SpoolError, file_error, record, sync_folder};

/// An open segment. Records are only ever appended.
#[derive(Debug)]
pub(super) struct Segment {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    length: u64,
    records: u64,
    done: u64,
    marks: Option<Box<dyn DiskFile>>,
}

/// What was found in a segment.
pub(super) struct Recovered<N> {
    /// Sequence, offset and note of every record that is not done.
    pub(super) undone: Vec<(u64, u64, N)>,
    /// No record up to here can have been used.
    pub(super) next: u64,
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// The segments in a folder, by their first sequence, in order.
pub(super) fn list(disk: &dyn Disk, folder: &Path) -> Result<BTreeSet<u64>, SpoolError> {
    let paths = disk.list(folder).map_err(file_error("list", folder))?;
    let logs = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let firsts = logs.filter_map(|path| path.file_stem()?.to_str()?.parse().ok());
    Ok(firsts.filter(|first| *first <= record::HIGHEST).collect())
}

impl Segment {
    pub(super) fn create(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        first: u64,
    ) -> Result<Self, SpoolError> {
        let path = path(folder, first);
        let file = disk
            .open(&path, Mode::New)
            .map_err(file_error("create", &path))?;
        // Marks of a segment of this name can only be left over from one that was deleted.
        remove_if_there(disk.as_ref(), &path.with_extension("done"))?;
        sync_folder(disk.as_ref(), folder)?;
        Ok(Self {
            disk: Arc::clone(disk),
            path,
            file,
            length: 0,
            records: 0,
            done: 0,
            marks: None,
        })
    }

    /// Opens a segment; what a crash cut off or the disk damaged is cut away.
    pub(super) fn recover<N: DeserializeOwned>(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        first: u64,
    ) -> Result<(Self, Recovered<N>), SpoolError> {
        let path = path(folder, first);
        let file = disk
            .open(&path, Mode::Existing)
            .map_err(file_error("open", &path))?;
        let marks = read_marks(disk.as_ref(), &path.with_extension("done"))?;
        let mut segment = Self {
            disk: Arc::clone(disk),
            path,
            file,
            length: 0,
            records: 0,
            done: 0,
            marks: None,
        };
        let mut recovered = Recovered {
            undone: Vec::new(),
            next: first,
        };
        segment.scan(&marks, &mut recovered)?;
        segment.cut(&mut recovered)?;
        Ok((segment, recovered))
    }

    /// Finds the records. A damaged one counts as done if a sound one follows it; otherwise it is
    /// what a crash left of the last one.
    fn scan<N: DeserializeOwned>(
        &mut self,
        marks: &BTreeSet<u64>,
        recovered: &mut Recovered<N>,
    ) -> Result<(), SpoolError> {
        let error = file_error("read", &self.path);
        let mut reader = BufReader::new(Reader::of(self.file.as_ref()));
        let mut buffer = Vec::new();
        let mut offset = 0;
        let mut damaged = 0;
        while let Some(length) = read_record(&mut reader, &mut buffer).map_err(&error)? {
            let start = offset;
            offset += length;
            let Some(found) = record::decode(&buffer) else {
                damaged += 1;
                continue;
            };
            if damaged > 0 {
                tracing::error!(path = %self.path.display(), records = damaged, "damaged");
            }
            self.records += damaged + 1;
            self.done += damaged;
            damaged = 0;
            self.length = offset;
            recovered.next = recovered.next.max(found.sequence + 1);
            let note = serde_json::from_slice(found.note);
            match (marks.contains(&found.sequence), note) {
                (false, Ok(note)) => recovered.undone.push((found.sequence, start, note)),
                // A note of another version: the source is read again instead.
                (true, _) | (_, Err(_)) => self.done += 1,
            }
        }
        Ok(())
    }

    /// Cuts away what follows the last sound record. Sequences that may have been in it are not
    /// used again: somebody may have acknowledged them.
    fn cut<N>(&mut self, recovered: &mut Recovered<N>) -> Result<(), SpoolError> {
        let error = file_error("truncate", &self.path);
        let on_disk = self.file.length().map_err(&error)?;
        let excess = on_disk - self.length;
        if excess > 0 {
            tracing::warn!(
                path = %self.path.display(),
                bytes = excess,
                "cut a record away that was not written completely"
            );
            recovered.next += excess.div_ceil(record::SHORTEST);
            self.file.set_length(self.length).map_err(&error)?;
            self.file.sync().map_err(&error)?;
        }
        Ok(())
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether nobody needs it any more: every record that it holds is done.
    pub(super) const fn is_finished(&self) -> bool {
        self.records == self.done
    }

    /// Appends a record and answers its offset.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<u64, SpoolError> {
        let error = file_error("write", &self.path);
        let offset = self.length;
        let written = self.file.append(bytes).and_then(|()| self.file.sync());
        if let Err(source) = written {
            // A full disk leaves half a record behind, which must not stand before the next one.
            self.file.set_length(offset).map_err(&error)?;
            return Err(error(source));
        }
        self.length += bytes.len() as u64;
        self.records += 1;
        Ok(offset)
    }

    pub(super) fn load(&self, sequence: u64, offset: u64) -> Result<Bytes, SpoolError> {
        let error = file_error("read", &self.path);
        let damaged = || SpoolError::Damaged {
            sequence,
            path: self.path.clone(),
        };
        let mut header = [0; record::HEADER];
        self.read_exact(&mut header, offset).map_err(&error)?;
        let mut bytes = vec![0; record::length(&header).ok_or_else(damaged)?];
        self.read_exact(&mut bytes, offset).map_err(&error)?;
        match record::decode(&bytes) {
            Some(found) if found.sequence == sequence => Ok(Bytes::copy_from_slice(found.payload)),
            _ => Err(damaged()),
        }
    }

    fn read_exact(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        Reader::from(self.file.as_ref(), offset).read_exact(buffer)
    }

    /// Notes that records are done. If all are, the segment is about to be deleted, which says it
    /// too. If it fails, they are not done, and it can be tried again.
    pub(super) fn mark_done(&mut self, sequences: &[u64]) -> Result<(), SpoolError> {
        let done = self.done + sequences.len() as u64;
        if done < self.records {
            let path = self.path.with_extension("done");
            let mut marks = match self.marks.take() {
                Some(marks) => marks,
                None => self
                    .disk
                    .open(&path, Mode::Append)
                    .map_err(file_error("write", &path))?,
            };
            add_marks(marks.as_mut(), sequences).map_err(file_error("write", &path))?;
            self.marks = Some(marks);
        }
        self.done = done;
        Ok(())
    }

    pub(super) fn delete(self) -> Result<(), SpoolError> {
        let error = file_error("remove", &self.path);
        self.disk.remove(&self.path).map_err(error)?;
        remove_if_there(self.disk.as_ref(), &self.path.with_extension("done"))
    }
}

/// Reads what may be a record into the buffer and answers its length; `None` if there can be none.
fn read_record(reader: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<u64>> {
    buffer.clear();
    let mut read = |buffer: &mut Vec<u8>, wanted: usize| {
        let read = reader.by_ref().take(wanted as u64).read_to_end(buffer)?;
        Ok::<_, io::Error>(read == wanted)
    };
    if !read(buffer, record::HEADER)? {
        return Ok(None);
    }
    let Some(length) = record::length(buffer) else {
        return Ok(None);
    };
    let complete = read(buffer, length - record::HEADER)?;
    Ok(complete.then_some(length as u64))
}

fn remove_if_there(disk: &dyn Disk, path: &Path) -> Result<(), SpoolError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Bytes of a mark.
const MARK: usize = 12;

/// What a full disk or a power cut has left of a mark would hide all that follow.
fn add_marks(marks: &mut dyn DiskFile, sequences: &[u64]) -> io::Result<()> {
    let length = marks.length()?;
    let torn = length % MARK as u64;
    if torn > 0 {
        marks.set_length(length - torn)?;
    }
    let bytes: Vec<u8> = sequences.iter().flat_map(|done| mark(*done)).collect();
    marks.append(&bytes)?;
    marks.sync()
}

/// A mark: the sequence and its checksum, so that a torn or damaged mark counts as none.
fn mark(sequence: u64) -> [u8; MARK] {
    let mut bytes = [0; MARK];
    bytes[..8].copy_from_slice(&sequence.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..8]);
    bytes[8..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// A mark that is lost costs a publication that the ledger ignores.
fn read_marks(disk: &dyn Disk, path: &Path) -> Result<BTreeSet<u64>, SpoolError> {
    let bytes = match disk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(file_error("read", path)(error)),
    };
    Ok(bytes
        .chunks_exact(MARK)
        .filter_map(|bytes| Some(u64::from_le_bytes(bytes[..8].try_into().ok()?)))
        .zip(bytes.chunks_exact(MARK))
        .filter(|(sequence, bytes)| mark(*sequence) == **bytes)
        .map(|(sequence, _)| sequence)
        .collect())
}
