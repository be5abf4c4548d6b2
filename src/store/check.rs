//! What makes a batch impossible to store, decided before a store is asked.

use crate::model::batch::{Batch, Rows};
use crate::model::limits::{self, holds_time, labels_defect, text_defect};
use crate::model::source::ByteRange;

/// Why this batch cannot be stored by any store; `None` if it can.
pub(super) fn defect(batch: &Batch) -> Option<String> {
    range_defect(batch)
        .or_else(|| identity_defect(batch))
        .or_else(|| batch.series.iter().find_map(|labels| labels_defect(labels)))
        .or_else(|| rows_defect(batch))
        .or_else(|| quarantine_defect(batch))
}

fn range_defect(batch: &Batch) -> Option<String> {
    let ByteRange { start, end } = batch.range;
    (start >= end || i64::try_from(end).is_err())
        .then(|| format!("range {start}..{end} is no range of bytes"))
}

fn identity_defect(batch: &Batch) -> Option<String> {
    let texts = [
        ("cluster", &batch.source.cluster),
        ("name", &batch.source.name),
        ("digest", &batch.source.digest),
        ("pass", &batch.pass.0),
        ("incarnation", &batch.id.incarnation.0),
        ("streamer", &batch.streamer),
    ];
    if i64::try_from(batch.id.sequence).is_err() {
        return Some(format!("sequence {} is too large", batch.id.sequence));
    }
    texts
        .into_iter()
        .find_map(|(name, text)| text_defect(name, text, limits::LABEL))
}

fn rows_defect(batch: &Batch) -> Option<String> {
    let Rows {
        series,
        time,
        value,
        offset,
    } = &batch.rows;
    if [time.len(), value.len(), offset.len()] != [series.len(); 3] {
        return Some("the columns of its rows differ in length".to_owned());
    }
    if let Some(index) = series
        .iter()
        .find(|index| usize::try_from(**index).map_or(true, |index| index >= batch.series.len()))
    {
        return Some(format!("a row names series {index}, which it lacks"));
    }
    if let Some(time) = time.iter().find(|time| !holds_time(**time)) {
        return Some(format!(
            "event time {} µs is outside the years 1 to 9999",
            time.0
        ));
    }
    offset
        .iter()
        .find(|offset| !holds(batch.range, **offset))
        .map(|offset| outside("a row", *offset, batch.range))
}

fn quarantine_defect(batch: &Batch) -> Option<String> {
    batch
        .quarantined
        .iter()
        .find(|row| !holds(batch.range, row.offset))
        .map(|row| outside("a quarantined row", row.offset, batch.range))
}

/// SHA-256, hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// Text that every store takes: without NUL characters.
pub(super) fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

const fn holds(range: ByteRange, offset: u64) -> bool {
    range.start <= offset && offset < range.end
}

fn outside(what: &str, offset: u64, range: ByteRange) -> String {
    format!(
        "{what} starts at byte {offset}, outside the range {}..{}",
        range.start, range.end
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::batch::SeriesLabels;
    use crate::model::source::{BatchId, IncarnationId, PassId, SourceId};
    use crate::model::time::EventTime;

    fn sound() -> Batch {
        Batch {
            id: BatchId {
                incarnation: IncarnationId("i".to_owned()),
                sequence: 0,
            },
            streamer: "s".to_owned(),
            source: SourceId {
                cluster: "edge".to_owned(),
                name: "f.csv".to_owned(),
                digest: "d".to_owned(),
            },
            pass: PassId::once(),
            range: ByteRange { start: 0, end: 10 },
            checksum: 1,
            series: vec![Arc::new(SeriesLabels {
                cluster: "edge".to_owned(),
                metric: "m".to_owned(),
                gpu_id: String::new(),
                device: String::new(),
                uuid: "GPU".to_owned(),
                model: String::new(),
                host: String::new(),
                container: String::new(),
                pod: String::new(),
                namespace: String::new(),
                labels_raw: String::new(),
            })],
            rows: Rows {
                series: vec![0],
                time: vec![EventTime(0)],
                value: vec![None],
                offset: vec![9],
            },
            quarantined: Vec::new(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Batch), expected: &str) {
        let mut batch = sound();
        change(&mut batch);
        let reason = defect(&batch).expect("a defect");
        assert!(reason.contains(expected), "{reason}");
    }

    #[test]
    fn a_sound_batch_has_no_defect() {
        assert_eq!(defect(&sound()), None);
    }

    #[test]
    fn what_no_store_can_hold_is_named() {
        check(|batch| batch.range.end = 0, "0..0 is no range");
        check(|batch| batch.range.end = u64::MAX, "is no range");
        check(|batch| batch.rows.value.clear(), "differ in length");
        check(|batch| batch.rows.series[0] = 1, "series 1, which it lacks");
        check(|batch| batch.rows.time[0].0 = i64::MAX, "outside the years");
        check(|batch| batch.rows.offset[0] = 10, "outside the range 0..10");
        check(
            |batch| Arc::make_mut(&mut batch.series[0]).pod = "a\0b".to_owned(),
            "`pod` holds a NUL",
        );
        check(
            |batch| batch.source.name = "x".repeat(2000),
            "`name` is longer",
        );
        check(|batch| batch.id.sequence = u64::MAX, "too large");
    }
}
