//! The wide form: a record is one look at one GPU, with a column for each metric.
//!
//! It is mapped to the long form: every cell that is not empty becomes a row of the metric that its
//! column is for. Two programs write this form: the exports of the original system, and
//! `nvidia-smi --query-gpu=… --format=csv`, whose columns and cells name units.

use std::path::Path;

use crate::model::batch::SeriesLabels;

use super::familiar::Frame;
use super::header::{self, HeaderError, Need};
use super::record::Field;
use super::row::{bad_cell, checked};
use super::values::{self, Cell};

/// The columns that tell time and GPU, as in [`header::COLUMNS`].
const COLUMNS: [(&str, &[&str], Need); 9] = [
    ("timestamp", &["time"], Need::Required),
    ("gpu_id", &["gpu", "index"], Need::Optional),
    ("device", &[], Need::Optional),
    ("uuid", &["gpu_uuid"], Need::Required),
    (
        "modelName",
        &["model_name", "model", "name", "gpu_name"],
        Need::Optional,
    ),
    ("Hostname", &["host"], Need::Optional),
    ("container", &[], Need::Optional),
    ("pod", &[], Need::Optional),
    ("namespace", &[], Need::Optional),
];

/// How DCGM's names of these metrics begin.
const DEVICE: &str = "DCGM_FI_DEV_";
/// The rest of DCGM's name of a metric, its unit, and the names of columns for it.
const METRICS: [(&str, &str, &[&str]); 14] = [
    (
        "GPU_UTIL",
        "%",
        &["gpu_util", "gpu_utilization", "utilization.gpu"],
    ),
    (
        "MEM_COPY_UTIL",
        "%",
        &["mem_copy_util", "memory_utilization", "utilization.memory"],
    ),
    (
        "ENC_UTIL",
        "%",
        &["enc_util", "encoder_utilization", "utilization.encoder"],
    ),
    (
        "DEC_UTIL",
        "%",
        &["dec_util", "decoder_utilization", "utilization.decoder"],
    ),
    (
        "FB_USED",
        "MiB",
        &["fb_used", "memory_used_mb", "memory_used", "memory.used"],
    ),
    (
        "FB_FREE",
        "MiB",
        &["fb_free", "memory_free_mb", "memory_free", "memory.free"],
    ),
    (
        "FB_TOTAL",
        "MiB",
        &[
            "fb_total",
            "memory_total_mb",
            "memory_total",
            "memory.total",
        ],
    ),
    ("FB_RESERVED", "MiB", &["fb_reserved", "memory.reserved"]),
    (
        "GPU_TEMP",
        "",
        &["gpu_temp", "temperature", "temperature.gpu"],
    ),
    (
        "MEMORY_TEMP",
        "",
        &["memory_temp", "memory_temperature", "temperature.memory"],
    ),
    (
        "POWER_USAGE",
        "W",
        &["power_usage", "power_draw", "power.draw"],
    ),
    (
        "SM_CLOCK",
        "MHz",
        &["sm_clock", "sm_clock_mhz", "clocks.sm", "clocks.current.sm"],
    ),
    (
        "MEM_CLOCK",
        "MHz",
        &[
            "mem_clock",
            "memory_clock_mhz",
            "clocks.mem",
            "clocks.current.memory",
        ],
    ),
    ("FAN_SPEED", "%", &["fan_speed", "fan.speed"]),
];
/// Metrics that a file may have: a record becomes as many rows.
const MOST_METRICS: usize = 500;
/// What `nvidia-smi` writes where it has no value.
const NO_VALUE: [&str; 5] = [
    "[N/A]",
    "N/A",
    "[Not Supported]",
    "[Insufficient Permissions]",
    "[GPU requires reset]",
];

/// Positions of the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wide {
    /// How many fields every record has.
    pub(super) fields: usize,
    timestamp: usize,
    /// Those of [`COLUMNS`] behind the time, in that order.
    labels: [Option<usize>; 8],
    metrics: Vec<Metric>,
    /// The host of every record, if the file has no column for it: the file's name without `.csv`.
    host: String,
    /// Columns that mean nothing here.
    pub(super) ignored: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Metric {
    position: usize,
    name: String,
    /// As it may stand behind a number.
    unit: String,
}

/// A cell with a value.
pub(super) struct Sample {
    pub(super) value: Option<f64>,
    /// First byte of the cell within the record.
    pub(super) at: usize,
    metric: usize,
}

/// Finds the columns in a header; `None` if none of them is for a metric.
pub(super) fn layout(
    names: &[String],
    path: &Path,
    line: u64,
) -> Result<Option<Wide>, HeaderError> {
    let mut metrics: Vec<Metric> = Vec::new();
    let mut ignored = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let (bare, unit) = unit(name);
        let is_label = COLUMNS.iter().any(|column| header::is_for(column, bare));
        match metric(bare) {
            _ if is_label => {}
            None => ignored.push(bare.to_owned()),
            Some((_, expected)) if unit.is_some_and(|unit| unit != expected) => {
                return Err(HeaderError::Unit {
                    path: path.display().to_string(),
                    line,
                    column: name.trim().to_owned(),
                    expected: expected.to_owned(),
                });
            }
            Some((name, unit)) => metrics.push(Metric {
                position,
                name,
                unit: unit.to_owned(),
            }),
        }
    }
    if metrics.is_empty() {
        return Ok(None);
    }
    if metrics.len() > MOST_METRICS {
        return Err(HeaderError::ManyMetrics {
            path: path.display().to_string(),
            line,
            metrics: metrics.len(),
            limit: MOST_METRICS,
        });
    }
    refuse_twins(&metrics, path, line)?;
    let bare: Vec<String> = names.iter().map(|name| unit(name).0.to_owned()).collect();
    let [timestamp, labels @ ..] = header::positions(&COLUMNS, &bare, path, line)?;
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    Ok(Some(Wide {
        fields: names.len(),
        timestamp: timestamp.unwrap_or(usize::MAX),
        labels,
        metrics,
        host: name.strip_suffix(".csv").unwrap_or(&name).to_owned(),
        ignored,
    }))
}

/// A column's name without the unit that `nvidia-smi` writes behind it, and that unit.
fn unit(name: &str) -> (&str, Option<&str>) {
    let name = name.trim();
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((bare, unit)) => (bare.trim_end(), Some(unit)),
        None => (name, None),
    }
}

/// The metric that a column is for, and its unit.
fn metric(column: &str) -> Option<(String, &'static str)> {
    let short = match column.split_at_checked(DEVICE.len()) {
        Some((prefix, short)) if prefix.eq_ignore_ascii_case(DEVICE) => short,
        _ => column,
    };
    let known = METRICS.iter().find(|(_, _, columns)| {
        let mut columns = columns.iter();
        columns.any(|known| known.eq_ignore_ascii_case(short))
    });
    match known {
        Some((name, unit, _)) => Some((format!("{DEVICE}{name}"), unit)),
        None => column
            .starts_with("DCGM_FI_")
            .then(|| (column.to_owned(), "")),
    }
}

fn refuse_twins(metrics: &[Metric], path: &Path, line: u64) -> Result<(), HeaderError> {
    for (index, second) in metrics.iter().enumerate() {
        let mut before = metrics[..index].iter();
        if let Some(first) = before.find(|first| first.name == second.name) {
            return Err(HeaderError::DuplicateColumn {
                path: path.display().to_string(),
                line,
                column: second.name.clone(),
                first: first.position + 1,
                second: second.position + 1,
            });
        }
    }
    Ok(())
}

impl Wide {
    /// The cell with the time, without what surrounds it.
    pub(super) fn time<'a>(
        &self,
        record: &'a [u8],
        fields: &[Field],
    ) -> std::borrow::Cow<'a, [u8]> {
        fields[self.timestamp].content(record)
    }

    /// The cells with values of a record whose fields are found, or what is wrong with one.
    pub(super) fn samples(&self, record: &[u8], fields: &[Field]) -> Result<Vec<Sample>, String> {
        let mut samples = Vec::with_capacity(self.metrics.len());
        for (metric, column) in self.metrics.iter().enumerate() {
            let field = fields[column.position];
            let content = field.content(record);
            let value = match cell(&content, &column.unit) {
                None => continue,
                Some(Cell::Number(value)) => Some(value),
                Some(Cell::Blank) => None,
                Some(Cell::Bad) => return Err(bad_cell(&column.name, &content)),
            };
            let at = field.start;
            samples.push(Sample { value, at, metric });
        }
        Ok(samples)
    }

    /// Makes `frame` what tells the series of a sample from every other one in the file.
    pub(super) fn identify(
        &self,
        sample: &Sample,
        record: &[u8],
        fields: &[Field],
        frame: &mut Frame,
    ) {
        let labels = self.labels.iter().flatten();
        let cells = labels.map(|position| &record[fields[*position].start..fields[*position].end]);
        frame.become_key(sample.metric, cells);
    }

    /// The labels of a sample.
    pub(super) fn labels(
        &self,
        sample: &Sample,
        record: &[u8],
        fields: &[Field],
        cluster: &str,
    ) -> Result<SeriesLabels, String> {
        let text = |column: Option<usize>| {
            let content = column.map(|column| fields[column].content(record));
            let bytes = content.as_deref().unwrap_or_default().trim_ascii();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let [gpu_id, device, uuid, model, host, container, pod, namespace] = self.labels;
        let labels = SeriesLabels {
            cluster: cluster.to_owned(),
            metric: self.metrics[sample.metric].name.clone(),
            gpu_id: text(gpu_id),
            device: text(device),
            uuid: text(uuid),
            model: text(model),
            host: host.map_or_else(|| self.host.clone(), |host| text(Some(host))),
            container: text(container),
            pod: text(pod),
            namespace: text(namespace),
            labels_raw: String::new(),
        };
        checked(record, labels)
    }
}

/// What a cell says; `None` if it is empty: nothing was measured.
fn cell(content: &[u8], unit: &str) -> Option<Cell> {
    let content = content.trim_ascii();
    if content.is_empty() {
        return None;
    }
    if NO_VALUE.iter().any(|known| known.as_bytes() == content) {
        return Some(Cell::Blank);
    }
    let number = content.strip_suffix(unit.as_bytes()).unwrap_or(content);
    match values::value(number) {
        // The unit alone.
        Cell::Blank if number.trim_ascii().is_empty() => Some(Cell::Bad),
        value => Some(value),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::{Chunk, Limits, Reader};
    use super::*;

    /// A row: its metric, host and value, and the text that stands at its place.
    type Said = (String, String, Option<f64>, String);

    /// What a file says.
    fn rows(file: &str, records: usize) -> (Vec<Said>, Vec<Chunk>) {
        let limits = Limits {
            records,
            bytes: u64::MAX,
        };
        let bytes = Cursor::new(file.as_bytes());
        let mut reader = Reader::open(bytes, Path::new("dir/node-7.csv"), "edge", limits).unwrap();
        let chunks: Vec<Chunk> = std::iter::from_fn(|| reader.next_chunk().unwrap()).collect();
        let mut said = Vec::new();
        for chunk in &chunks {
            for row in 0..chunk.rows.len() {
                let labels = &chunk.series[chunk.rows.series[row] as usize];
                let metric = labels.metric.replace("DCGM_FI_DEV_", "");
                let at = chunk.rows.offset[row] as usize;
                assert!((chunk.range.start..chunk.range.end).contains(&(at as u64)));
                let cell = file[at..].split([',', '\n']).next().unwrap();
                let value = chunk.rows.value[row];
                said.push((metric, labels.host.clone(), value, cell.trim().to_owned()));
            }
        }
        (said, chunks)
    }

    #[test]
    fn w03_what_nvidia_smi_prints_becomes_rows_of_the_host_that_the_file_is_named_after() {
        let file = "timestamp, index, uuid, name, pstate, utilization.gpu [%], memory.used [MiB], temperature.gpu\n\
                    2025/07/18 20:42:34.500, 0, GPU-a, NVIDIA H100, P0, 45 %, 1024 MiB, 61\n\
                    2025/07/18 20:42:34.500, 1, GPU-b, NVIDIA H100, P0, [N/A], , 62\n";
        let (said, chunks) = rows(file, 5000);
        let row = |metric: &str, value, cell: &str| {
            (
                metric.to_owned(),
                "node-7".to_owned(),
                value,
                cell.to_owned(),
            )
        };
        let expected = [
            row("GPU_UTIL", Some(45.0), "45 %"),
            row("FB_USED", Some(1024.0), "1024 MiB"),
            row("GPU_TEMP", Some(61.0), "61"),
            row("GPU_UTIL", None, "[N/A]"),
            row("GPU_TEMP", Some(62.0), "62"),
        ];
        assert_eq!(said, expected);
        let labels = &chunks[0].series[0];
        let texts = [&labels.gpu_id, &labels.uuid, &labels.model, &labels.cluster];
        assert_eq!(texts, ["0", "GPU-a", "NVIDIA H100", "edge"]);
        assert_eq!(chunks[0].rows.time[0].0, 1_752_871_354_500_000);
    }

    #[test]
    fn w03_a_record_is_stored_whole_or_quarantined_whole() {
        let file = "timestamp,uuid,Hostname,gpu_util,power_draw\n\
                    2025-07-18 20:42:34,GPU-a,h,1,2\n\
                    2025-07-18 20:42:34,GPU-a,h,1,broken\n\
                    2025-07-18 20:42:34,,h,1,2\n\
                    never,GPU-a,h,1,2\n\
                    2025-07-18 20:42:35,GPU-a,h,3,4,5\n\
                    2025-07-18 20:42:36,GPU-a,h,3,4\n";
        // However it is cut: a record is never in two chunks.
        for records in [1, 2, 3, 5000] {
            let (said, chunks) = rows(file, records);
            let values: Vec<f64> = said.iter().filter_map(|row| row.2).collect();
            assert_eq!(values, [1.0, 2.0, 3.0, 4.0]);
            let bad = chunks.iter().flat_map(|chunk| &chunk.quarantined);
            let told: Vec<(u64, &str)> = bad.map(|bad| (bad.line, bad.reason.as_str())).collect();
            let expected = [
                (3, "bad DCGM_FI_DEV_POWER_USAGE `broken`"),
                (4, "uuid is empty"),
                (5, "bad timestamp `never`"),
                (6, "6 fields, the header has 5"),
            ];
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn w03_what_a_record_is_worth_does_not_depend_on_what_was_read_before() {
        let good = "2025-07-18 20:42:34,GPU-a,h,1,\n";
        let bad = b"2025-07-18 20:42:34,GPU-a,h,1,\xff\n";
        let header = "timestamp,uuid,Hostname,gpu_util,notes\n";
        for before in ["", good] {
            let file = [header.as_bytes(), before.as_bytes(), bad].concat();
            let limits = Limits {
                records: 10,
                bytes: u64::MAX,
            };
            let bytes = Cursor::new(file.as_slice());
            let mut reader = Reader::open(bytes, Path::new("a.csv"), "edge", limits).unwrap();
            let chunk = reader.next_chunk().unwrap().unwrap();
            assert_eq!(chunk.quarantined[0].reason, "invalid UTF-8");
        }
    }

    fn found(header: &str) -> Result<Option<Wide>, String> {
        let names: Vec<String> = header.split(',').map(str::to_owned).collect();
        layout(&names, Path::new("dir/node-7.csv"), 1).map_err(|error| error.to_string())
    }

    fn metrics(header: &str) -> Vec<String> {
        let wide = found(header).unwrap().unwrap();
        wide.metrics.into_iter().map(|metric| metric.name).collect()
    }

    #[test]
    fn w03_columns_of_every_writer_become_the_metrics_of_dcgm() {
        let original = "timestamp,gpu_id,uuid,device,model_name,hostname,gpu_utilization,\
                        memory_utilization,memory_used_mb,memory_free_mb,temperature,power_draw,\
                        sm_clock_mhz,memory_clock_mhz";
        let expected = [
            "GPU_UTIL",
            "MEM_COPY_UTIL",
            "FB_USED",
            "FB_FREE",
            "GPU_TEMP",
            "POWER_USAGE",
            "SM_CLOCK",
            "MEM_CLOCK",
        ]
        .map(|name| format!("DCGM_FI_DEV_{name}"));
        assert_eq!(metrics(original), expected);
        let smi = "timestamp, index, uuid, name, utilization.gpu [%], utilization.memory [%], \
                   memory.used [MiB], memory.free [MiB], temperature.gpu, power.draw [W], \
                   clocks.current.sm [MHz], clocks.current.memory [MHz]";
        assert_eq!(metrics(smi), expected);
        let dcgm = "timestamp,uuid,DCGM_FI_DEV_GPU_UTIL,DCGM_FI_PROF_SM_ACTIVE,fb_used";
        let names = ["DEV_GPU_UTIL", "PROF_SM_ACTIVE", "DEV_FB_USED"];
        assert_eq!(metrics(dcgm), names.map(|name| format!("DCGM_FI_{name}")));
    }

    #[test]
    fn w03_what_is_no_metric_is_told_and_what_contradicts_is_refused() {
        let wide = found("timestamp,uuid,pstate,gpu_util,notes")
            .unwrap()
            .unwrap();
        assert_eq!(wide.ignored, ["pstate", "notes"]);
        assert_eq!(wide.host, "node-7");
        assert_eq!(found("timestamp,uuid,pstate").unwrap(), None);
        let refused = found("timestamp,uuid,memory.used [GiB]").unwrap_err();
        assert!(refused.contains("column `memory.used [GiB]`"), "{refused}");
        assert!(refused.contains("`MiB`"), "{refused}");
        let refused = found("timestamp,uuid,gpu_util,utilization.gpu [%]").unwrap_err();
        assert!(refused.contains("columns 3 and 4"), "{refused}");
        let refused = found("timestamp,gpu_util,Hostname").unwrap_err();
        assert!(refused.contains("column `uuid` is missing"), "{refused}");
        let many: String = (0..=MOST_METRICS)
            .map(|one| format!(",DCGM_FI_{one}"))
            .collect();
        let refused = found(&format!("timestamp,uuid{many}")).unwrap_err();
        assert!(refused.contains("501 metrics"), "{refused}");
    }

    #[test]
    fn w03_units_belong_to_cells_and_blanks_are_told_from_what_was_not_measured() {
        assert_eq!(cell(b" 45 %", "%"), Some(Cell::Number(45.0)));
        assert_eq!(cell(b"45", "%"), Some(Cell::Number(45.0)));
        assert_eq!(cell(b" 81.25 W", "W"), Some(Cell::Number(81.25)));
        assert_eq!(cell(b"  ", "W"), None);
        for blank in ["[N/A]", "[Not Supported]", "nan", "2147483632"] {
            assert_eq!(cell(blank.as_bytes(), "W"), Some(Cell::Blank), "{blank}");
        }
        for bad in ["W", "45 %", "[Unknown Error]", "1,5 W"] {
            assert_eq!(cell(bad.as_bytes(), "W"), Some(Cell::Bad), "{bad}");
        }
    }
}
