//! The proof against a file itself, read by other code than the streamers'.
//!
//! Records are split by the `csv` crate, and columns, times and blanks are understood anew here: an
//! error of the reader in `workers::streamer::csv` would make the ledger agree with itself, and
//! disagree with this. Only which records are quarantined is taken from the store; they are left out,
//! because a quote out of place costs that reader one line and the `csv` crate many.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use crate::model::batch::SeriesLabels;
use crate::model::source::{PassId, SourceId};
use crate::store::series_id;

use super::{SeriesQuestion, Sums};

/// What is kept of a quarantined record at most; of one that has as much, the rest of the line is
/// left out, too.
const KEPT: u64 = 4 * 1024;
/// Names of the columns; the first ten are the labels of a series, in the order of
/// [`SeriesLabels::NAMES`] without the cluster.
const COLUMNS: [&[&str]; 12] = [
    &["metric_name", "metric"],
    &["gpu_id", "gpu"],
    &["device"],
    &["uuid", "gpu_uuid"],
    &["modelname", "model_name", "model"],
    &["hostname", "host"],
    &["container"],
    &["pod"],
    &["namespace"],
    &["labels_raw", "labels"],
    &["timestamp", "time"],
    &["value"],
];
/// How many of them are labels.
const LABELS: usize = 10;
const TIME: usize = 10;
const VALUE: usize = 11;

/// A source and pass of some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source.
    pub source: SourceId,
    /// Which reading.
    pub pass: PassId,
    /// What was quarantined of it, in the order of the file.
    pub quarantined: Vec<QuarantinedPlace>,
}

/// Where a quarantined record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantinedPlace {
    /// First byte.
    pub offset: u64,
    /// Bytes of it that were kept.
    pub kept: u64,
}

/// Why a file cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The disk does not give it.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no table of samples.
    #[error("`{}` has no column `{column}`", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// It changed while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

/// A record that this reading does not take for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRow {
    /// Line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// SHA-256, hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// All rows together.
    pub total: Sums,
    /// Records that are no rows although the store has them as such.
    pub no_rows: u64,
    /// The first of them.
    pub no_row: Option<NoRow>,
    /// Where the `csv` crate begins to look for it.
    no_row_at: u64,
    pub(super) series: Vec<Series>,
    /// First and last event time, microseconds.
    pub(super) times: Option<(i64, i64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    /// Without a cluster.
    labels: SeriesLabels,
    /// Where the `csv` crate begins to look for its first row: empty lines may follow.
    at: u64,
    /// Line of that row.
    pub(super) line: u64,
    pub(super) sums: Sums,
    /// Sum of the values without their signs.
    pub(super) magnitude: f64,
}

/// The size of a file and the SHA-256 of its content, hexadecimal. Blocks.
///
/// # Errors
/// [`FileError::Unreadable`].
pub fn identify(path: &Path) -> Result<(u64, String), FileError> {
    let failed = unreadable(path);
    let mut file = File::open(path).map_err(&failed)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1024 * 1024];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((size, hex::encode(hash.finalize()))),
            Ok(read) => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Unreadable {
        path: path.clone(),
        source,
    }
}

/// Reads a file of this digest, the quarantined records left out. Needs memory for its series, not
/// for its rows. Blocks.
///
/// # Errors
/// [`FileError`].
pub fn read(
    path: &Path,
    digest: &str,
    quarantined: &[QuarantinedPlace],
) -> Result<Reading, FileError> {
    let failed = unreadable(path);
    let file = File::open(path).map_err(&failed)?;
    let mut reading = rows(BufReader::new(file), path, quarantined)?;
    let again = File::open(path).map_err(&failed)?;
    let again = BufReader::new(Masked::new(again, quarantined));
    reading.locate(again).map_err(&failed)?;
    let (size, now) = identify(path)?;
    if now != digest {
        return Err(FileError::Changed {
            path: path.to_owned(),
        });
    }
    reading.size = size;
    reading.digest = now;
    Ok(reading)
}

fn rows(
    file: impl Read,
    path: &Path,
    quarantined: &[QuarantinedPlace],
) -> Result<Reading, FileError> {
    let failed = |error: csv::Error| unreadable(path)(io::Error::from(error));
    let masked = Masked::new(file, quarantined);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(masked);
    let columns = columns(reader.byte_headers().map_err(failed)?, path)?;
    let fields = reader.byte_headers().map_err(failed)?.len();
    let mut reading = Reading::default();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut record = ByteRecord::new();
    let mut key = Vec::new();
    while reader.read_byte_record(&mut record).map_err(failed)? {
        let at = record.position().map_or(0, csv::Position::byte);
        match row(&record, &columns, fields, &mut key) {
            Ok((time, value)) => {
                let place = *known.entry(key.clone()).or_insert_with(|| {
                    reading.series.push(Series {
                        labels: labels(&record, &columns),
                        at,
                        line: 0,
                        sums: Sums::default(),
                        magnitude: 0.0,
                    });
                    reading.series.len() - 1
                });
                reading.add(place, time, value);
            }
            Err(reason) => {
                reading.no_rows += 1;
                if reading.no_row.is_none() {
                    reading.no_row = Some(NoRow { line: 0, reason });
                    reading.no_row_at = at;
                }
            }
        }
    }
    Ok(reading)
}

type Columns = [Option<usize>; 12];

fn columns(header: &ByteRecord, path: &Path) -> Result<Columns, FileError> {
    let columns = COLUMNS.map(|names| {
        header.iter().position(|cell| {
            let cell = String::from_utf8_lossy(cell).trim().to_lowercase();
            names.contains(&cell.as_str())
        })
    });
    for needed in [0, 1, 3, 5, TIME, VALUE] {
        if columns[needed].is_none() {
            return Err(FileError::NoColumn {
                path: path.to_owned(),
                column: COLUMNS[needed][0],
            });
        }
    }
    Ok(columns)
}

/// The time and the value of a record; `key` becomes what its series is told by.
fn row(
    record: &ByteRecord,
    columns: &Columns,
    fields: usize,
    key: &mut Vec<u8>,
) -> Result<(i64, Option<f64>), String> {
    if record.len() != fields {
        return Err(format!("{} fields, the header has {fields}", record.len()));
    }
    let cell = |column: usize| columns[column].and_then(|place| record.get(place));
    let text = |column: usize| {
        let text = std::str::from_utf8(cell(column).unwrap_or_default());
        text.map(str::trim_ascii)
            .map_err(|_| "invalid UTF-8".to_owned())
    };
    let written = text(TIME)?;
    let time = instant(written).ok_or_else(|| format!("bad timestamp `{written}`"))?;
    let written = text(VALUE)?;
    let value = match written.parse::<f64>() {
        _ if written.is_empty() => None,
        Ok(value) if value.is_nan() || is_blank(value) => None,
        Ok(value) if value.is_finite() => Some(value),
        _ => return Err(format!("bad value `{written}`")),
    };
    key.clear();
    for column in 0..LABELS {
        let cell = cell(column).unwrap_or_default();
        key.extend_from_slice(&(cell.len() as u64).to_le_bytes());
        key.extend_from_slice(cell);
    }
    Ok((time, value))
}

/// Microseconds since the epoch. Without a zone, a time is UTC.
fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_microsecond());
    }
    let local: DateTime = text.parse().ok()?;
    let zoned = local.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_microsecond())
}

/// What DCGM writes for "blank", "not found", "not supported" and "not permitted", in 32 bits, as a
/// double, and in 64 bits.
fn is_blank(value: f64) -> bool {
    [0x7fff_fff0_u64, 1 << 47].iter().any(|first| {
        let first = *first as f64;
        value >= first && value <= first + 3.0
    }) || value == (1_u64 << 63) as f64
}

fn labels(record: &ByteRecord, columns: &Columns) -> SeriesLabels {
    let mut texts = columns[..LABELS].iter().map(|column| {
        let cell = column.and_then(|place| record.get(place));
        String::from_utf8_lossy(cell.unwrap_or_default()).into_owned()
    });
    let mut next = || texts.next().unwrap_or_default();
    SeriesLabels {
        cluster: String::new(),
        metric: next(),
        gpu_id: next(),
        device: next(),
        uuid: next(),
        model: next(),
        host: next(),
        container: next(),
        pod: next(),
        namespace: next(),
        labels_raw: next(),
    }
}

impl Sums {
    fn add(&mut self, value: Option<f64>) {
        self.rows += 1;
        let Some(value) = value else { return };
        self.values += 1;
        self.sum += value;
        let (least, most) = self.range.unwrap_or((value, value));
        self.range = Some((least.min(value), most.max(value)));
    }
}

impl Reading {
    fn add(&mut self, place: usize, time: i64, value: Option<f64>) {
        self.total.add(value);
        let (first, last) = self.times.unwrap_or((time, time));
        self.times = Some((first.min(time), last.max(time)));
        if let Some(series) = self.series.get_mut(place) {
            series.sums.add(value);
            series.magnitude += value.unwrap_or_default().abs();
        }
    }

    /// Finds the lines of what may be told. The `csv` crate counts those before empty ones, and half
    /// of a line break that has two characters.
    fn locate(&mut self, mut file: impl BufRead) -> io::Result<()> {
        let series = self.series.iter_mut();
        let mut wanted: Vec<(u64, &mut u64)> =
            series.map(|series| (series.at, &mut series.line)).collect();
        if let Some(no_row) = &mut self.no_row {
            wanted.push((self.no_row_at, &mut no_row.line));
        }
        wanted.sort_by_key(|(at, _)| *at);
        let mut wanted = wanted.into_iter().peekable();
        let (mut at, mut line) = (0, 1);
        while wanted.peek().is_some() {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            for byte in bytes {
                let is_empty = matches!(byte, b'\r' | b'\n');
                while let Some((_, found)) = wanted.next_if(|(from, _)| *from <= at && !is_empty) {
                    *found = line;
                }
                line += u64::from(*byte == b'\n');
                at += 1;
            }
            let read = bytes.len();
            file.consume(read);
        }
        Ok(())
    }

    /// How many series.
    pub fn series(&self) -> u64 {
        self.series.len() as u64
    }

    /// What to ask a store, where this file was read in a cluster.
    pub fn question(&self, cluster: &str) -> SeriesQuestion {
        let (from, to) = self.times.unwrap_or_default();
        let ids = self.series.iter().map(|series| series.id(cluster));
        SeriesQuestion {
            ids: ids.collect(),
            from,
            to,
        }
    }
}

impl Series {
    pub(super) fn labels_in(&self, cluster: &str) -> SeriesLabels {
        SeriesLabels {
            cluster: cluster.to_owned(),
            ..self.labels.clone()
        }
    }

    pub(super) fn id(&self, cluster: &str) -> i64 {
        series_id(&self.labels_in(cluster))
    }
}

/// A file whose quarantined records are blank: they become carriage returns, so that neither offsets
/// nor the numbers of the lines change.
struct Masked<R> {
    file: R,
    at: u64,
    places: Vec<QuarantinedPlace>,
    next: usize,
    left: u64,
    to_line_end: bool,
}

impl<R: Read> Read for Masked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        for byte in &mut buffer[..read] {
            self.mask(byte);
            self.at += 1;
        }
        Ok(read)
    }
}

impl<R> Masked<R> {
    fn new(file: R, places: &[QuarantinedPlace]) -> Self {
        Self {
            file,
            at: 0,
            places: places.to_vec(),
            next: 0,
            left: 0,
            to_line_end: false,
        }
    }

    fn mask(&mut self, byte: &mut u8) {
        if let Some(place) = self.places.get(self.next)
            && place.offset == self.at
        {
            self.next += 1;
            self.left = place.kept;
            self.to_line_end = place.kept >= KEPT;
        }
        if self.left > 0 {
            self.left -= 1;
        } else if *byte == b'\n' || !self.to_line_end {
            self.to_line_end = false;
            return;
        }
        if *byte != b'\n' {
            *byte = b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";

    fn read(text: &str, quarantined: &[QuarantinedPlace]) -> Reading {
        let text = format!("{HEADER}{text}");
        let mut reading = rows(text.as_bytes(), Path::new("a.csv"), quarantined).unwrap();
        let again = Masked::new(text.as_bytes(), quarantined);
        reading.locate(BufReader::new(again)).unwrap();
        reading
    }

    fn row(second: u32, gpu: &str, value: &str) -> String {
        format!("2025-07-18T20:42:{second:02}Z,UTIL,0,{gpu},host,{value}\n")
    }

    #[test]
    fn v17_a_file_is_summed_up_by_series_and_blanks_have_no_value() {
        let text = [
            row(1, "a", "1.5"),
            row(2, "a", "-3"),
            row(3, "a", "9223372036854775794"),
            row(4, "b", ""),
            row(5, "b", "2147483635"),
        ];
        let reading = read(&text.concat(), &[]);
        assert_eq!((reading.no_rows, reading.series()), (0, 2));
        let sums = Sums {
            rows: 3,
            values: 2,
            sum: -1.5,
            range: Some((-3.0, 1.5)),
        };
        assert_eq!(reading.series[0].sums, sums);
        let blank = Sums {
            rows: 2,
            ..Sums::default()
        };
        assert_eq!(reading.series[1].sums, blank);
        assert_eq!(reading.series[1].line, 5);
        let question = reading.question("edge");
        assert_eq!(question.to - question.from, 4_000_000);
    }

    #[test]
    fn v17_a_quarantined_record_is_left_out_with_the_quote_that_would_swallow_the_rest() {
        let good = row(1, "a", "1");
        let bad = "2025-07-18T20:42:02Z,UTIL,0,\"a,host,2\n";
        let text = format!("{good}{bad}{}", row(3, "a", "4"));
        assert!(read(&text, &[]).no_rows > 0);
        let place = QuarantinedPlace {
            offset: (HEADER.len() + good.len()) as u64,
            kept: bad.len() as u64 - 1,
        };
        let reading = read(&text, &[place]);
        assert_eq!((reading.no_rows, reading.total.rows), (0, 2));
        assert_eq!(reading.total.sum, 5.0);
    }

    #[test]
    fn v17_the_rest_of_a_line_of_which_only_the_start_was_kept_is_left_out() {
        let long = format!("{}\"\n", "x".repeat(5000));
        let place = QuarantinedPlace {
            offset: HEADER.len() as u64,
            kept: KEPT,
        };
        let text = format!("{long}nonsense\n{}", row(1, "a", "1"));
        let reading = read(&text, &[place]);
        let reason = "1 fields, the header has 6".to_owned();
        assert_eq!(reading.no_row, Some(NoRow { line: 3, reason }));
        assert_eq!((reading.no_rows, reading.total.rows), (1, 1));
    }

    #[test]
    fn v17_lines_are_counted_as_an_editor_does() {
        let text = [
            row(1, "a", "1"),
            "\n\r\n".to_owned(),
            row(2, "b", "1").replace('\n', "\r\n"),
            row(3, "c", "1"),
            "one,two\n".to_owned(),
        ];
        let reading = read(&text.concat(), &[]);
        let lines: Vec<u64> = reading.series.iter().map(|series| series.line).collect();
        assert_eq!(lines, [2, 5, 6]);
        assert_eq!(reading.no_row.unwrap().line, 7);
    }

    #[test]
    fn v17_a_file_that_is_no_table_of_samples_names_the_column() {
        let text = "timestamp,metric_name,gpu_id,uuid,Hostname\n";
        let error = rows(text.as_bytes(), Path::new("a.csv"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "`a.csv` has no column `value`");
    }
}
