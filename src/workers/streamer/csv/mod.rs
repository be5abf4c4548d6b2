//! From a file to chunks: the rows, what had to be left out of them, and where they stood.
//!
//! Where a chunk begins and ends depends on the file's bytes and on the limits only, so that every
//! streamer cuts the same file alike. The chunks tile the file from its first byte to its last.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memchr;

use crate::model::batch::{Quarantined, Rows, SeriesLabels};
use crate::model::source::ByteRange;
use crate::model::time::EventTime;

mod dictionary;
mod familiar;
mod gathered;
mod growing;
mod header;
mod record;
mod row;
mod values;
mod wide;
mod window;

use dictionary::Dictionary;
use familiar::Frame;
pub(super) use gathered::Gathered;
use header::Form;
pub use header::HeaderError;
use record::{Field, Split, split};
pub(super) use row::{Row, checked};
use row::{bad_cell, labels};
use values::Cell;
use window::Window;

/// Longest record in bytes; a longer one is quarantined up to the end of its first line.
pub const LONGEST_RECORD: usize = 1024 * 1024;
/// How much of a quarantined record is kept, in bytes.
const KEPT_OF_RECORD: usize = 4 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// When a chunk ends: with the record that reaches one of them, or the number of days that a store
/// takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records, quarantined ones included.
    pub records: usize,
    /// Bytes of the source.
    pub bytes: u64,
}

/// Where a chunk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number in the file, from 0.
    pub index: u64,
    /// First byte.
    pub start: u64,
    /// Line of the first byte, from 1.
    pub line: u64,
}

/// A piece of a file, ready to become a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Where it begins.
    pub place: Place,
    /// The bytes that it covers.
    pub range: ByteRange,
    /// CRC-32 over those bytes.
    pub checksum: u32,
    /// Dictionary of the series.
    pub series: Vec<Arc<SeriesLabels>>,
    /// The rows.
    pub rows: Rows,
    /// Records that are no rows, and why.
    pub quarantined: Vec<Quarantined>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Its header cannot be used.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The disk does not give it.
    #[error("cannot read `{}` at byte {offset}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads chunks from a file.
pub struct Reader<R> {
    path: PathBuf,
    cluster: String,
    limits: Limits,
    window: Window<R>,
    /// Whether more may follow what is there: then a record without an end is left for later.
    is_growing: bool,
    form: Form,
    place: Place,
    dictionary: Dictionary,
    fields: Vec<Field>,
    frame: Frame,
    /// The last time cell and what it meant: whole stretches of a file have one time.
    last_time: (Vec<u8>, EventTime),
}

impl<R: Read> Reader<R> {
    /// Reads the header of a file that stands at its beginning. `cluster` becomes a label of every
    /// series; `path` is for messages.
    pub fn open(file: R, path: &Path, cluster: &str, limits: Limits) -> Result<Self, ReadError> {
        let mut window = Window::new(file, 0, 1);
        let form = read_header(&mut window, path)?;
        Ok(Self {
            path: path.to_owned(),
            cluster: cluster.to_owned(),
            limits,
            window,
            is_growing: false,
            form,
            place: Place {
                index: 0,
                start: 0,
                line: 1,
            },
            dictionary: Dictionary::default(),
            fields: Vec::new(),
            frame: Frame::default(),
            last_time: (Vec::new(), EventTime(0)),
        })
    }

    /// Columns of a file in the wide form that are for no metric that is known.
    pub fn ignored_columns(&self) -> &[String] {
        match &self.form {
            Form::Long(_) => &[],
            Form::Wide(wide) => &wide.ignored,
        }
    }

    /// The next chunk; `None` at the end of the file. Even a file without rows has one.
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, ReadError> {
        let mut gathered = Gathered::default();
        let place = self.place;
        loop {
            let length = self.window.offset() - place.start;
            let enough = gathered.count() >= self.limits.records || gathered.has_enough_days();
            if enough || length >= self.limits.bytes || !self.next_record(&mut gathered)? {
                break;
            }
        }
        let end = self.window.offset();
        if end == place.start {
            return Ok(None);
        }
        self.place = Place {
            index: place.index + 1,
            start: end,
            line: self.window.line(),
        };
        Ok(Some(Chunk {
            place,
            range: ByteRange {
                start: place.start,
                end,
            },
            checksum: self.window.take_checksum(),
            series: self.dictionary.finish_batch(),
            rows: gathered.rows,
            quarantined: gathered.quarantined,
        }))
    }

    /// Adds what the next record says, or what is wrong with it; answers whether there was one.
    fn next_record(&mut self, gathered: &mut Gathered) -> Result<bool, ReadError> {
        if !skip_empty_lines(&mut self.window, &self.path)? {
            return Ok(false);
        }
        if let Some(row) = self.familiar_row() {
            gathered.add(row);
            return Ok(true);
        }
        let bytes = self.window.bytes();
        let seen = &bytes[..bytes.len().min(LONGEST_RECORD)];
        let complete = !self.is_growing && self.window.reaches_end() && seen.len() == bytes.len();
        let found = split(seen, complete, &mut self.fields);
        if self.is_growing && growing::is_unfinished(seen, &found) {
            return Ok(false);
        }
        let why = match found {
            Split::Record { length, with_end } => {
                if let Err(why) = self.add_rows(length, gathered) {
                    let bad = self.quarantined(why, length);
                    gathered.quarantined.push(bad);
                }
                self.window.consume(with_end);
                return Ok(true);
            }
            Split::Unfinished => format!("record longer than {LONGEST_RECORD} bytes"),
            Split::Malformed(why) => why.to_owned(),
        };
        let line = memchr(b'\n', seen).unwrap_or(seen.len());
        let bad = self.quarantined(why, line);
        skip_line(&mut self.window, &self.path)?;
        gathered.quarantined.push(bad);
        Ok(true)
    }

    fn quarantined(&mut self, reason: String, length: usize) -> Quarantined {
        Quarantined {
            line: self.window.line(),
            offset: self.window.offset(),
            reason,
            record: self.window.bytes()[..length.min(KEPT_OF_RECORD)].to_vec(),
        }
    }

    /// The next record as a row, if it is the one that is expected, with a time and a value that
    /// can be read; otherwise it is left where it is.
    fn familiar_row(&mut self) -> Option<Row> {
        let bytes = self.window.bytes();
        let seen = &bytes[..bytes.len().min(LONGEST_RECORD)];
        let Form::Long(layout) = &self.form else {
            return None;
        };
        let (expected, frame) = self.dictionary.expected()?;
        let fitting = frame.fit(seen, layout)?;
        let time = event_time(&mut self.last_time, &fitting.time.content(seen)).ok()?;
        let value = value(&fitting.value.content(seen)).ok()?;
        let row = Row {
            series: self.dictionary.place_expected(expected),
            time,
            value,
            offset: self.window.offset(),
        };
        self.window.consume(fitting.with_end);
        Some(row)
    }

    /// Adds the rows in the record of this length at the front of the window, whose fields are
    /// found: all of them or none.
    fn add_rows(&mut self, length: usize, gathered: &mut Gathered) -> Result<(), String> {
        let record = &self.window.bytes()[..length];
        let (expected, found) = (self.form.fields(), self.fields.len());
        if found != expected {
            return Err(format!("{found} fields, the header has {expected}"));
        }
        let offset = self.window.offset();
        match &self.form {
            Form::Long(layout) => {
                let time = self.fields[layout.timestamp].content(record);
                let time = event_time(&mut self.last_time, &time)?;
                let value = value(&self.fields[layout.value].content(record))?;
                self.frame.become_of(record, &self.fields, layout);
                let read = || labels(record, &self.fields, layout, &self.cluster);
                let series = self.dictionary.place_or_learn(&self.frame, read)?;
                gathered.add(Row {
                    series,
                    time,
                    value,
                    offset,
                });
            }
            Form::Wide(wide) => {
                // Whether its series are known already must not matter.
                if std::str::from_utf8(record).is_err() {
                    return Err("invalid UTF-8".to_owned());
                }
                let time = event_time(&mut self.last_time, &wide.time(record, &self.fields))?;
                let samples = wide.samples(record, &self.fields)?;
                let mut rows = Vec::with_capacity(samples.len());
                for sample in samples {
                    wide.identify(&sample, record, &self.fields, &mut self.frame);
                    let read = || wide.labels(&sample, record, &self.fields, &self.cluster);
                    rows.push(Row {
                        series: self.dictionary.place_or_learn(&self.frame, read)?,
                        time,
                        value: sample.value,
                        offset: offset + sample.at as u64,
                    });
                }
                rows.into_iter().for_each(|row| gathered.add(row));
            }
        }
        Ok(())
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Goes to a chunk that was read before.
    pub fn go_to(self, place: Place) -> Result<Self, ReadError> {
        let path = self.path.clone();
        let failed = |source| ReadError::File {
            path: path.clone(),
            offset: place.start,
            source,
        };
        let cluster = self.cluster.clone();
        let limits = self.limits;
        let mut file = self.window.into_file();
        if place.index == 0 {
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            return Self::open(file, &path, &cluster, limits);
        }
        file.seek(SeekFrom::Start(place.start)).map_err(failed)?;
        Ok(Self {
            window: Window::new(file, place.start, place.line),
            is_growing: self.is_growing,
            place,
            path,
            cluster,
            limits,
            form: self.form,
            dictionary: self.dictionary,
            fields: self.fields,
            frame: self.frame,
            last_time: self.last_time,
        })
    }
}

/// The time in a cell; `last` is the last one that was read, with its text.
fn event_time(last: &mut (Vec<u8>, EventTime), cell: &[u8]) -> Result<EventTime, String> {
    if last.0 != cell || cell.is_empty() {
        let time = values::event_time(cell).ok_or_else(|| bad_cell("timestamp", cell))?;
        last.0.clear();
        last.0.extend_from_slice(cell);
        last.1 = time;
    }
    Ok(last.1)
}

/// The value in a cell; `None` if it says blank.
pub(super) fn value(cell: &[u8]) -> Result<Option<f64>, String> {
    match values::value(cell) {
        Cell::Number(value) => Ok(Some(value)),
        Cell::Blank => Ok(None),
        Cell::Bad => Err(bad_cell("value", cell)),
    }
}

fn file_error(path: &Path, offset: u64) -> impl Fn(io::Error) -> ReadError {
    let path = path.to_owned();
    move |source| ReadError::File {
        path: path.clone(),
        offset,
        source,
    }
}

/// Goes to the next record; answers whether there is one, with as much of it in the window as a
/// record may be long.
fn skip_empty_lines<R: Read>(window: &mut Window<R>, path: &Path) -> Result<bool, ReadError> {
    loop {
        let failed = file_error(path, window.offset());
        window.ensure(LONGEST_RECORD).map_err(failed)?;
        let mut bytes = window.bytes().iter();
        let empty = bytes
            .position(|byte| !matches!(byte, b'\r' | b'\n'))
            .unwrap_or(window.bytes().len());
        if empty == 0 {
            return Ok(!window.bytes().is_empty());
        }
        window.consume(empty);
    }
}

/// Skips to the start of the next line, however far it is.
fn skip_line<R: Read>(window: &mut Window<R>, path: &Path) -> Result<(), ReadError> {
    loop {
        let end = memchr(b'\n', window.bytes());
        window.consume(end.map_or(window.bytes().len(), |end| end + 1));
        if end.is_some() {
            return Ok(());
        }
        let failed = file_error(path, window.offset());
        window.ensure(1).map_err(failed)?;
        if window.bytes().is_empty() {
            return Ok(());
        }
    }
}

fn read_header<R: Read>(window: &mut Window<R>, path: &Path) -> Result<Form, ReadError> {
    let failed = file_error(path, 0);
    window.ensure(LONGEST_RECORD).map_err(failed)?;
    if window.bytes().starts_with(BYTE_ORDER_MARK) {
        window.consume(BYTE_ORDER_MARK.len());
    }
    let shown = path.display().to_string();
    if !skip_empty_lines(window, path)? {
        return Err(HeaderError::Empty { path: shown }.into());
    }
    let line = window.line();
    let malformed = |reason: &str| HeaderError::Malformed {
        path: shown.clone(),
        line,
        reason: reason.to_owned(),
    };
    let bytes = window.bytes();
    let seen = &bytes[..bytes.len().min(LONGEST_RECORD)];
    let complete = window.reaches_end() && seen.len() == bytes.len();
    let mut fields = Vec::new();
    let (length, with_end) = match split(seen, complete, &mut fields) {
        Split::Record { length, with_end } => (length, with_end),
        Split::Unfinished => return Err(malformed("it is longer than 1 MiB").into()),
        Split::Malformed(why) => return Err(malformed(why).into()),
    };
    let names = fields
        .iter()
        .map(|field| String::from_utf8(field.content(&seen[..length]).into_owned()))
        .collect::<Result<Vec<String>, _>>()
        .map_err(|_| malformed("invalid UTF-8"))?;
    let form = header::form(&names, path, line)?;
    window.consume(with_end);
    Ok(form)
}

#[cfg(test)]
mod tests;
