//! From the fields of a record to a row and its labels.

use crate::model::batch::SeriesLabels;
use crate::model::limits::labels_defect;
use crate::model::time::EventTime;

use super::header::Layout;
use super::record::Field;

/// What a record says.
pub(in super::super) struct Row {
    pub(in super::super) series: u32,
    pub(in super::super) time: EventTime,
    pub(in super::super) value: Option<f64>,
    pub(in super::super) offset: u64,
}

pub(super) fn bad_cell(column: &str, cell: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&cell[..cell.len().min(60)]);
    if std::str::from_utf8(cell).is_err() {
        format!("invalid UTF-8 in {column} `{shown}`")
    } else {
        format!("bad {column} `{shown}`")
    }
}

pub(super) fn labels(
    record: &[u8],
    fields: &[Field],
    layout: &Layout,
    cluster: &str,
) -> Result<SeriesLabels, String> {
    let text =
        |column: usize| String::from_utf8_lossy(&fields[column].content(record)).into_owned();
    let optional = |column: Option<usize>| column.map(text).unwrap_or_default();
    let labels = SeriesLabels {
        cluster: cluster.to_owned(),
        metric: text(layout.metric),
        gpu_id: text(layout.gpu_id),
        device: optional(layout.device),
        uuid: text(layout.uuid),
        model: optional(layout.model),
        host: text(layout.host),
        container: optional(layout.container),
        pod: optional(layout.pod),
        namespace: optional(layout.namespace),
        labels_raw: optional(layout.labels_raw),
    };
    checked(record, labels)
}

/// The labels that were read from a record, if a store can hold them.
pub(in super::super) fn checked(
    record: &[u8],
    labels: SeriesLabels,
) -> Result<SeriesLabels, String> {
    if std::str::from_utf8(record).is_err() {
        return Err("invalid UTF-8".to_owned());
    }
    for (name, label) in [("metric_name", &labels.metric), ("uuid", &labels.uuid)] {
        if label.is_empty() {
            return Err(format!("{name} is empty"));
        }
    }
    match labels_defect(&labels) {
        Some(defect) => Err(defect),
        None => Ok(labels),
    }
}
