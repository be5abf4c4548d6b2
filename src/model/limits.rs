//! What every store can hold.
//!
//! A batch is stored as a whole or not at all. So whoever makes one leaves out the rows that no
//! store can hold, and ends it in time.

use super::batch::SeriesLabels;
use super::time::EventTime;

/// Most bytes of a label; longer ones do not fit into an index.
pub const LABEL: usize = 1024;
/// Most bytes of the remaining labels, which no index holds.
pub const REMAINDER: usize = 64 * 1024;
/// Most days of event time in a batch: each is a partition, whose locks the server has to hold.
pub const DAYS: usize = 400;

/// 0001-01-01T00:00:00Z in microseconds; earlier years have no common notation.
const EARLIEST: i64 = -62_135_596_800_000_000;
/// 9999-12-31T00:00:00Z in microseconds.
const LATEST: i64 = 253_402_214_400_000_000;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Whether a store can hold this time: whether it is in the years 1 to 9999.
pub fn holds_time(time: EventTime) -> bool {
    (EARLIEST..LATEST).contains(&time.0)
}

/// The day of an event, counted from 1970-01-01.
pub const fn day(time: EventTime) -> i64 {
    time.0.div_euclid(DAY)
}

/// Why no store can hold a series of these labels; `None` if each can.
pub fn labels_defect(labels: &SeriesLabels) -> Option<String> {
    let named = SeriesLabels::NAMES.into_iter().zip(labels.texts());
    named
        .map(|(name, text)| match name {
            "labels_raw" => (name, text, REMAINDER),
            _ => (name, text, LABEL),
        })
        .find_map(|(name, text, limit)| text_defect(name, text, limit))
}

/// Why no store can hold this text; `None` if each can. `limit` is in bytes.
pub fn text_defect(name: &str, text: &str, limit: usize) -> Option<String> {
    if text.contains('\0') {
        return Some(format!("`{name}` holds a NUL character"));
    }
    (text.len() > limit).then(|| format!("`{name}` is longer than {limit} bytes"))
}
