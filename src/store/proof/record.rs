//! What a record of a file says, understood anew: by other code than the streamers'.

use std::path::Path;

use csv::ByteRecord;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::batch::SeriesLabels;

use super::file::FileError;

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
const METRIC: usize = 0;
const GPU: usize = 1;
const UUID: usize = 3;
const MODEL: usize = 4;
const HOST: usize = 5;
const TIME: usize = 10;
const VALUE: usize = 11;
/// What `nvidia-smi` writes for "no value".
const NO_VALUE: [&str; 5] = [
    "N/A",
    "[N/A]",
    "[Not Supported]",
    "[Insufficient Permissions]",
    "[GPU requires reset]",
];

/// What the header says about the records.
pub(super) struct Form {
    fields: usize,
    columns: [Option<usize>; 12],
    /// For each metric of the wide form its name, its column and its unit; none in the long form.
    metrics: Vec<(String, usize, &'static str)>,
    /// The host where there is no column for it.
    host: String,
}

/// One row of a record.
pub(super) struct Said<'a> {
    /// What its series is told by.
    pub(super) series: &'a [u8],
    /// Which of the record's metrics it is of.
    pub(super) metric: usize,
    /// Microseconds since the epoch.
    pub(super) time: i64,
    pub(super) value: Option<f64>,
}

impl Form {
    /// `name` is what the source is called.
    pub(super) fn of(header: &ByteRecord, path: &Path, name: &str) -> Result<Self, FileError> {
        let names: Vec<String> = header.iter().map(bare_name).collect();
        let mut columns = COLUMNS.map(|accepted| {
            let mut names = names.iter();
            names.position(|name| accepted.contains(&name.to_lowercase().as_str()))
        });
        let metrics = match columns[METRIC] {
            Some(_) => Vec::new(),
            None => metrics(&names),
        };
        let mut needed = vec![METRIC, GPU, UUID, HOST, TIME, VALUE];
        if !metrics.is_empty() {
            needed = vec![UUID, TIME];
            let smi = |others: &[&str]| {
                let mut names = names.iter();
                names.position(|name| others.contains(&name.to_lowercase().as_str()))
            };
            columns[GPU] = columns[GPU].or_else(|| smi(&["index"]));
            columns[MODEL] = columns[MODEL].or_else(|| smi(&["name", "gpu_name"]));
            // Neither is of this form.
            columns[VALUE] = None;
            columns[LABELS - 1] = None;
        }
        if let Some(missing) = needed.into_iter().find(|one| columns[*one].is_none()) {
            return Err(FileError::NoColumn {
                path: path.to_owned(),
                column: COLUMNS[missing][0],
            });
        }
        Ok(Self {
            fields: header.len(),
            columns,
            metrics,
            host: name.strip_suffix(".csv").unwrap_or(name).to_owned(),
        })
    }

    /// Tells `each` the rows of a record, or what keeps it from having any.
    pub(super) fn read(
        &self,
        record: &ByteRecord,
        mut each: impl FnMut(Said<'_>),
    ) -> Result<(), String> {
        if record.len() != self.fields {
            let (found, expected) = (record.len(), self.fields);
            return Err(format!("{found} fields, the header has {expected}"));
        }
        let written = text(record, self.columns[TIME])?;
        let time = instant(written).ok_or_else(|| format!("bad timestamp `{written}`"))?;
        let values = self.values(record)?;
        let mut series = Vec::new();
        for column in &self.columns[..LABELS] {
            let cell = column.and_then(|place| record.get(place));
            let cell = cell.unwrap_or_default();
            let cell = if self.is_wide() {
                cell.trim_ascii()
            } else {
                cell
            };
            series.extend_from_slice(&(cell.len() as u64).to_le_bytes());
            series.extend_from_slice(cell);
        }
        let length = series.len();
        for (metric, value) in values {
            series.truncate(length);
            series.extend_from_slice(&(metric as u64).to_le_bytes());
            let series = &series;
            each(Said {
                series,
                metric,
                time,
                value,
            });
        }
        Ok(())
    }

    /// The values of a record, each with the number of its metric.
    fn values(&self, record: &ByteRecord) -> Result<Vec<(usize, Option<f64>)>, String> {
        if self.metrics.is_empty() {
            let written = text(record, self.columns[VALUE])?;
            return Ok(vec![(0, number(written)?)]);
        }
        let mut values = Vec::new();
        for (metric, (_, column, unit)) in self.metrics.iter().enumerate() {
            let written = text(record, Some(*column))?;
            if NO_VALUE.contains(&written) {
                values.push((metric, None));
            } else if !written.is_empty() {
                let bare = written.strip_suffix(unit).unwrap_or(written).trim_ascii();
                if bare.is_empty() {
                    return Err(format!("bad value `{written}`"));
                }
                values.push((metric, number(bare)?));
            }
        }
        Ok(values)
    }

    const fn is_wide(&self) -> bool {
        !self.metrics.is_empty()
    }

    /// The labels of a row of a record, without a cluster.
    pub(super) fn labels(&self, record: &ByteRecord, metric: usize) -> SeriesLabels {
        let mut texts = self.columns[..LABELS].iter().map(|column| {
            let cell = column.and_then(|place| record.get(place));
            let cell = cell.unwrap_or_default();
            let cell = if self.is_wide() {
                cell.trim_ascii()
            } else {
                cell
            };
            String::from_utf8_lossy(cell).into_owned()
        });
        let mut next = || texts.next().unwrap_or_default();
        let mut labels = SeriesLabels {
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
        };
        if let Some((name, _, _)) = self.metrics.get(metric) {
            labels.metric.clone_from(name);
            if self.columns[HOST].is_none() {
                labels.host.clone_from(&self.host);
            }
        }
        labels
    }
}

/// A column's name without a unit in brackets.
fn bare_name(cell: &[u8]) -> String {
    let name = String::from_utf8_lossy(cell);
    let bare = name.split_once('[').map_or(&*name, |(bare, _)| bare);
    bare.trim().to_owned()
}

/// The columns that are for a metric.
fn metrics(names: &[String]) -> Vec<(String, usize, &'static str)> {
    let known = |name: &str| {
        let lower = name.to_lowercase();
        Some(match lower.strip_prefix("dcgm_fi_dev_").unwrap_or(&lower) {
            "gpu_util" | "gpu_utilization" | "utilization.gpu" => ("GPU_UTIL", "%"),
            "mem_copy_util" | "memory_utilization" | "utilization.memory" => ("MEM_COPY_UTIL", "%"),
            "enc_util" | "encoder_utilization" | "utilization.encoder" => ("ENC_UTIL", "%"),
            "dec_util" | "decoder_utilization" | "utilization.decoder" => ("DEC_UTIL", "%"),
            "fb_used" | "memory_used" | "memory_used_mb" | "memory.used" => ("FB_USED", "MiB"),
            "fb_free" | "memory_free" | "memory_free_mb" | "memory.free" => ("FB_FREE", "MiB"),
            "fb_total" | "memory_total" | "memory_total_mb" | "memory.total" => ("FB_TOTAL", "MiB"),
            "fb_reserved" | "memory.reserved" => ("FB_RESERVED", "MiB"),
            "gpu_temp" | "temperature" | "temperature.gpu" => ("GPU_TEMP", ""),
            "memory_temp" | "memory_temperature" | "temperature.memory" => ("MEMORY_TEMP", ""),
            "power_usage" | "power_draw" | "power.draw" => ("POWER_USAGE", "W"),
            "sm_clock" | "sm_clock_mhz" | "clocks.sm" | "clocks.current.sm" => ("SM_CLOCK", "MHz"),
            "mem_clock" | "memory_clock_mhz" | "clocks.mem" | "clocks.current.memory" => {
                ("MEM_CLOCK", "MHz")
            }
            "fan_speed" | "fan.speed" => ("FAN_SPEED", "%"),
            _ => return None,
        })
    };
    let mut metrics = Vec::new();
    for (column, name) in names.iter().enumerate() {
        match known(name) {
            Some((metric, unit)) => metrics.push((format!("DCGM_FI_DEV_{metric}"), column, unit)),
            None if name.starts_with("DCGM_FI_") => metrics.push((name.clone(), column, "")),
            None => {}
        }
    }
    metrics
}

fn text(record: &ByteRecord, column: Option<usize>) -> Result<&str, String> {
    let cell = column.and_then(|place| record.get(place));
    let text = std::str::from_utf8(cell.unwrap_or_default());
    text.map(str::trim_ascii)
        .map_err(|_| "invalid UTF-8".to_owned())
}

/// The value in a cell; `None` if it says that there is none.
fn number(written: &str) -> Result<Option<f64>, String> {
    match written.parse::<f64>() {
        _ if written.is_empty() => Ok(None),
        Ok(value) if value.is_nan() || is_blank(value) => Ok(None),
        Ok(value) if value.is_finite() => Ok(Some(value)),
        _ => Err(format!("bad value `{written}`")),
    }
}

/// Microseconds since the epoch. Without a zone, a time is UTC.
fn instant(text: &str) -> Option<i64> {
    let slashes = text.bytes().filter(|byte| *byte == b'/').count();
    if slashes == 2 {
        return instant(&text.replace('/', "-"));
    }
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
