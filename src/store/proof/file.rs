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
use sha2::{Digest as _, Sha256};

use crate::model::batch::SeriesLabels;
use crate::model::growing;
use crate::model::source::{PassId, SourceId};
use crate::store::series_id;

use super::masked::Masked;
pub use super::masked::QuarantinedPlace;
use super::record::Form;
use super::{SeriesQuestion, Sums};

/// A source and pass of some content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The source.
    pub source: SourceId,
    /// Which reading.
    pub pass: PassId,
    /// One past the last byte that the ledger has of it.
    pub reach: u64,
    /// What was quarantined of it, in the order of the file.
    pub quarantined: Vec<QuarantinedPlace>,
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
    /// Bytes; of a growing file, those that were read.
    pub size: u64,
    /// Whether it is the beginning of a growing file.
    pub is_growing: bool,
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

/// Reads a file of this digest, which is called so as a source, the quarantined records left out. Needs memory for its series, not
/// for its rows. Blocks.
///
/// # Errors
/// [`FileError`].
pub fn read(
    path: &Path,
    name: &str,
    digest: &str,
    quarantined: &[QuarantinedPlace],
) -> Result<Reading, FileError> {
    let failed = unreadable(path);
    let file = File::open(path).map_err(&failed)?;
    let mut reading = rows(BufReader::new(file), (path, name), quarantined)?;
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

/// The head by which a growing file is known; `None` if it has none. Blocks.
///
/// # Errors
/// [`FileError::Unreadable`].
pub fn head(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let failed = unreadable(path);
    let file = File::open(path).map_err(&failed)?;
    let mut bytes = Vec::new();
    let longest = growing::LONGEST_HEAD as u64;
    file.take(longest).read_to_end(&mut bytes).map_err(failed)?;
    let length = growing::head_length(&bytes);
    Ok(length.map(|length| {
        bytes.truncate(length);
        bytes
    }))
}

/// Reads a growing file up to a byte, which is as far as the store has it. Blocks.
///
/// # Errors
/// [`FileError`].
pub fn read_beginning(
    path: &Path,
    of: &SourceId,
    reach: u64,
    quarantined: &[QuarantinedPlace],
) -> Result<Reading, FileError> {
    let failed = unreadable(path);
    let open = || File::open(path).map(|file| file.take(reach));
    let before = head(path)?;
    let file = BufReader::new(open().map_err(&failed)?);
    let mut reading = rows(file, (path, &of.name), quarantined)?;
    let again = BufReader::new(Masked::new(open().map_err(&failed)?, quarantined));
    reading.locate(again).map_err(&failed)?;
    let size = std::fs::metadata(path).map_err(&failed)?.len();
    if head(path)? != before || size < reach {
        return Err(FileError::Changed {
            path: path.to_owned(),
        });
    }
    reading.size = reach;
    reading.is_growing = true;
    reading.digest.clone_from(&of.digest);
    Ok(reading)
}

fn rows(
    file: impl Read,
    (path, name): (&Path, &str),
    quarantined: &[QuarantinedPlace],
) -> Result<Reading, FileError> {
    let failed = |error: csv::Error| unreadable(path)(io::Error::from(error));
    let masked = Masked::new(file, quarantined);
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(masked);
    let form = Form::of(reader.byte_headers().map_err(failed)?, path, name)?;
    let mut reading = Reading::default();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(failed)? {
        let at = record.position().map_or(0, csv::Position::byte);
        let outcome = form.read(&record, |said| {
            let place = known.get(said.series).copied().unwrap_or_else(|| {
                known.insert(said.series.to_vec(), reading.series.len());
                reading.series.push(Series {
                    labels: form.labels(&record, said.metric),
                    at,
                    line: 0,
                    sums: Sums::default(),
                    magnitude: 0.0,
                });
                reading.series.len() - 1
            });
            reading.add(place, said.time, said.value);
        });
        match outcome {
            Ok(()) => {}
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

#[cfg(test)]
mod tests {
    use super::super::masked::KEPT;
    use super::*;

    const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";

    fn read(text: &str, quarantined: &[QuarantinedPlace]) -> Reading {
        let text = format!("{HEADER}{text}");
        let mut reading =
            rows(text.as_bytes(), (Path::new("a.csv"), "a.csv"), quarantined).unwrap();
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
    fn w03_the_wide_form_is_summed_up_by_metric_and_blanks_around_labels_mean_nothing() {
        let text = "timestamp, uuid, gpu_util, power.draw [W], DCGM_FI_X\n\
                    2025/07/18 20:42:01, a, 5 %, 7 W, 1\n\
                    2025-07-18T20:42:02Z,a,[N/A],,2\n";
        let reading = rows(text.as_bytes(), (Path::new("copy"), "node-1.csv"), &[]).unwrap();
        assert_eq!((reading.no_rows, reading.total.rows), (0, 5));
        let told: Vec<(&str, &str, u64, u64)> = reading
            .series
            .iter()
            .map(|series| {
                let labels = &series.labels;
                let sums = series.sums;
                (&*labels.metric, &*labels.host, sums.rows, sums.values)
            })
            .collect();
        let expected = [
            ("DCGM_FI_DEV_GPU_UTIL", "node-1", 2, 1),
            ("DCGM_FI_DEV_POWER_USAGE", "node-1", 1, 1),
            ("DCGM_FI_X", "node-1", 2, 2),
        ];
        assert_eq!(told, expected);
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
        let error = rows(text.as_bytes(), (Path::new("a.csv"), "a.csv"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "`a.csv` has no column `value`");
    }
}
