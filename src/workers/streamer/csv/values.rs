//! Times and values of cells.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::limits::holds_time;
use crate::model::time::EventTime;

/// No time is written longer.
const LONGEST_TIME: usize = 40;

/// The instant in a cell, if a store can hold it: RFC 3339, or `YYYY-MM-DD HH:MM:SS`
/// (also with slashes) without a zone, which means UTC.
pub(super) fn event_time(cell: &[u8]) -> Option<EventTime> {
    written_time(cell).filter(|time| holds_time(*time))
}

fn written_time(cell: &[u8]) -> Option<EventTime> {
    let text = std::str::from_utf8(cell).ok()?.trim_ascii();
    // Shorter ones have no time of day.
    if !(16..=LONGEST_TIME).contains(&text.len()) {
        return None;
    }
    let rewritten = with_hyphens(text);
    let text = rewritten.as_deref().unwrap_or(text);
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.into());
    }
    let ends_with_digit = text.ends_with(|last: char| last.is_ascii_digit());
    let local: DateTime = text.parse().ok().filter(|_| ends_with_digit)?;
    let zoned = local.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().into())
}

/// A date as `nvidia-smi` writes it, `YYYY/MM/DD`, in the form that all others have.
fn with_hyphens(text: &str) -> Option<String> {
    let is_slash = |at: usize| text.as_bytes().get(at) == Some(&b'/');
    (is_slash(4) && is_slash(7)).then(|| text.replacen('/', "-", 2))
}

/// What a cell says about a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// This number; never NaN, never infinite.
    Number(f64),
    /// Blank: an empty cell, NaN (which is how Prometheus writes it) or one of DCGM's sentinels.
    Blank,
    /// Not a value. Infinity is none: no gauge of a GPU can have it and JSON cannot write it.
    Bad,
}

/// DCGM's sentinels: blank, not found, not supported, not permitted.
fn is_sentinel(value: f64) -> bool {
    // 32-bit, then doubles; the 64-bit ones all become 2^63 as a double.
    (2_147_483_632.0..=2_147_483_635.0).contains(&value)
        || (140_737_488_355_328.0..=140_737_488_355_331.0).contains(&value)
        || value == 9_223_372_036_854_775_808.0
}

/// The value in a cell.
pub(super) fn value(cell: &[u8]) -> Cell {
    let Ok(text) = std::str::from_utf8(cell) else {
        return Cell::Bad;
    };
    let text = text.trim_ascii();
    if text.is_empty() {
        return Cell::Blank;
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_nan() || is_sentinel(value) => Cell::Blank,
        Ok(value) if value.is_finite() => Cell::Number(value),
        _ => Cell::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w04_times_keep_their_instant_and_default_to_utc() {
        let expected = EventTime(1_752_871_354_000_000);
        for text in [
            "2025-07-18T20:42:34Z",
            "2025-07-18 20:42:34",
            "2025-07-18T20:42:34",
            "2025-07-18T22:42:34+02:00",
            " 2025-07-18T20:42:34Z ",
            " 2025/07/18 20:42:34.000",
        ] {
            assert_eq!(event_time(text.as_bytes()), Some(expected), "{text}");
        }
        assert!(event_time(b"0001-01-01T00:00:00Z").is_some());
        let fraction = event_time(b"2025-07-18T20:42:34.123456789Z");
        assert_eq!(fraction, Some(EventTime(expected.0 + 123_456)));
        for text in [
            "",
            "2025-07-18",
            "now",
            "1752871354",
            "2025-13-18T20:42:34Z",
            "2025-07-18 20:42:34 PM",
            "2025-07-18T20:42:34[Europe/Berlin]",
            "0000-12-31T23:59:59Z",
            "-000001-07-18T20:42:34Z",
            "18/07/2025 20:42:34",
        ] {
            assert_eq!(event_time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn blanks_are_no_numbers_and_nonsense_is_neither() {
        assert_eq!(value(b"0"), Cell::Number(0.0));
        assert_eq!(value(b"-66.805"), Cell::Number(-66.805));
        assert_eq!(value(b"1e3"), Cell::Number(1000.0));
        for text in [
            "",
            " ",
            "NaN",
            "9223372036854775794",
            "2147483632",
            "2147483635",
            "140737488355330",
            "9.223372036854776e18",
        ] {
            assert_eq!(value(text.as_bytes()), Cell::Blank, "{text}");
        }
        for text in ["inf", "-Infinity", "1,5", "N/A", "1e999", "\u{ff}"] {
            assert_eq!(value(text.as_bytes()), Cell::Bad, "{text}");
        }
        assert_eq!(value(b"2147483631"), Cell::Number(2_147_483_631.0));
    }
}
