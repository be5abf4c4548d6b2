//! Instants and spans of time, as queries write them.

use jiff::{SignedDuration, Timestamp};

/// What an instant has to be.
pub(super) const TIME_FORM: &str = "RFC 3339 such as 2025-07-18T20:42:34Z, seconds (not milliseconds) since 1970 such as \
     1752871354.5, or relative such as now, now-5m or now-1h30m (units s, m, h, d)";
/// What a span has to be.
pub(super) const SPAN_FORM: &str =
    "whole numbers with units s, m, h or d, such as 30s, 5m or 1h30m";

/// 0001-01-01 in seconds since 1970: the first day of a store, and RFC 3339 has no years below 0.
const EARLIEST: i64 = -62_135_596_800;

/// An instant in whole microseconds, as the store has them; rounded up, which keeps half-open
/// ranges what they are.
pub(super) fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    let exact = relative(text, now)
        .or_else(|| unix(text))
        .or_else(|| text.parse().ok())
        // In a query, `+` stands for a space unless it is escaped.
        .or_else(|| {
            text.rsplit_once(' ')
                .and_then(|(a, b)| format!("{a}+{b}").parse().ok())
        })?;
    if exact.as_second() < EARLIEST {
        return None;
    }
    let whole = Timestamp::from_microsecond(exact.as_microsecond()).ok()?;
    if whole < exact {
        return Timestamp::from_microsecond(exact.as_microsecond() + 1).ok();
    }
    Some(whole)
}

fn relative(text: &str, now: Timestamp) -> Option<Timestamp> {
    let rest = text.strip_prefix("now")?;
    if rest.is_empty() {
        return Some(now);
    }
    let distance = span(rest.get(1..)?)?;
    match rest.chars().next()? {
        '-' => now.checked_sub(distance).ok(),
        '+' | ' ' => now.checked_add(distance).ok(),
        _ => None,
    }
}

/// A span such as `90s`, `5m` or `1h30m`.
pub(super) fn span(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut seconds = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|symbol: char| !symbol.is_ascii_digit())?;
        let (number, unit) = rest.split_at(end);
        let seconds_per_unit = match unit.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return None,
        };
        let part = number.parse::<i64>().ok()?.checked_mul(seconds_per_unit)?;
        seconds = seconds.checked_add(part)?;
        // Every unit is one byte.
        rest = &unit[1..];
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(seconds))
}

fn unix(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, whole),
    };
    if !is_number(digits) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    let seconds: i64 = digits.parse().ok()?;
    // Milliseconds of today are beyond the last second that there is, and so refused.
    Timestamp::new(sign * seconds, i32::try_from(sign).ok()? * nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2025-07-18T20:42:34Z";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = instant(text, NOW.parse().unwrap());
        assert_eq!(found, Some(expected.parse().unwrap()), "{text}");
    }

    #[test]
    fn times_are_absolute_unix_or_relative() {
        check(NOW, NOW);
        check("2025-07-18T22:42:34+02:00", NOW);
        check("2025-07-18T22:42:34 02:00", NOW);
        check("1752871354", NOW);
        check("1752871354.5", "2025-07-18T20:42:34.5Z");
        check("-0.5", "1969-12-31T23:59:59.5Z");
        check("-62135596800", "0001-01-01T00:00:00Z");
        check("now", NOW);
        check("now-5m", "2025-07-18T20:37:34Z");
        check("now-1h30m", "2025-07-18T19:12:34Z");
        check("now-7d", "2025-07-11T20:42:34Z");
        check("now+1h", "2025-07-18T21:42:34Z");
        check("now 1h", "2025-07-18T21:42:34Z");
        check(
            "2025-07-18T20:42:34.0000001Z",
            "2025-07-18T20:42:34.000001Z",
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "now-",
            "now-5",
            "now-5y",
            "now-m",
            "now-5m3",
            "now5m",
            "nowé5m",
            "now-999999999999d",
            "yesterday",
            "1e9",
            "2025-13-01T00:00:00Z",
            // Before all days of a store.
            "-62135596801",
            "-000001-01-01T00:00:00Z",
            "now-999999d",
            // Milliseconds.
            "1752871354123",
        ] {
            assert_eq!(instant(wrong, NOW.parse().unwrap()), None, "{wrong}");
        }
    }

    #[test]
    fn spans_add_their_parts_up() {
        let seconds = |text: &str| span(text).map(|span| span.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("1d1s"), Some(86_401));
        for wrong in [
            "",
            "5",
            "m",
            "-5m",
            "1.5h",
            "5ms",
            "5M",
            "9223372036854775807d",
        ] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
