//! Parameters of a query, each with an error that names it and its allowed form.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::store::{Order, TelemetryQuery};

use super::cursor::Cursor;
use super::problem::Problem;

/// Samples on a page unless told otherwise, and at most.
const LIMIT: (u32, u32) = (1_000, 10_000);
const TIME_FORM: &str =
    "RFC 3339 such as 2025-07-18T20:42:34Z, seconds since 1970, or relative such as now-5m";

/// The parameters of `telemetry`.
const TELEMETRY: [&str; 6] = [
    "start_time",
    "end_time",
    "metric",
    "limit",
    "cursor",
    "order",
];

/// Parameters by name, each once.
#[derive(Debug)]
struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    fn read(query: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(unknown(&name, known));
            };
            if values.insert(*name, value.into_owned()).is_some() {
                return Err(bad(name, "given only once"));
            }
        }
        Ok(Self(values))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn bad(name: &str, expected: &str) -> Problem {
    Problem::Parameter {
        name: name.to_owned(),
        expected: expected.to_owned(),
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let expected = if known.is_empty() {
        "left out: this route has no parameters".to_owned()
    } else {
        format!("one of the parameters {}", known.join(", "))
    };
    Problem::Parameter {
        name: name.to_owned(),
        expected,
    }
}

/// Refuses any parameter.
pub(super) fn none(query: Option<&str>) -> Result<(), Problem> {
    Parameters::read(query, &[]).map(drop)
}

/// A question for samples, and what makes cursors for its further pages.
#[derive(Debug)]
pub(super) struct TelemetryRequest {
    /// For the store; one more row than the page may have.
    pub(super) query: TelemetryQuery,
    filters: [String; 5],
}

impl TelemetryRequest {
    /// Reads the parameters. `gpu` is the name of the GPU in the address, `uuid` whom it means.
    pub(super) fn read(
        gpu: &str,
        uuid: String,
        query: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let parameters = Parameters::read(query, &TELEMETRY)?;
        let text = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
        let filters = [
            gpu.to_owned(),
            text("start_time"),
            text("end_time"),
            text("metric"),
            text("order"),
        ];
        let instant = |name: &str| {
            let read = |value: &str| instant(value, now).ok_or_else(|| bad(name, TIME_FORM));
            parameters.get(name).map(read).transpose()
        };
        let mut query = TelemetryQuery {
            uuid,
            metric: parameters.get("metric").map(str::to_owned),
            from: instant("start_time")?,
            to: instant("end_time")?,
            order: order(parameters.get("order"))?,
            limit: limit(parameters.get("limit"))? + 1,
            after: None,
        };
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from > to
        {
            return Err(bad("start_time", "no later than `end_time`"));
        }
        let request = filters.each_ref().map(String::as_str);
        if let Some(word) = parameters.get("cursor") {
            let cursor = Cursor::decode(word, &request).ok_or_else(|| {
                bad(
                    "cursor",
                    "the `next_cursor` of an answer to the same filters",
                )
            })?;
            query.after = Some(cursor.after);
            let time =
                |bound: Option<i64>| bound.and_then(|it| Timestamp::from_microsecond(it).ok());
            (query.from, query.to) = (time(cursor.from), time(cursor.to));
        }
        Ok(Self { query, filters })
    }

    /// How many samples a page has at most.
    pub(super) const fn page(&self) -> usize {
        self.query.limit as usize - 1
    }

    /// The word for the page after this sample.
    pub(super) fn cursor(&self, after: crate::store::Position) -> String {
        let cursor = Cursor {
            after,
            from: self.query.from.map(Timestamp::as_microsecond),
            to: self.query.to.map(Timestamp::as_microsecond),
        };
        cursor.encode(&self.filters.each_ref().map(String::as_str))
    }
}

fn order(value: Option<&str>) -> Result<Order, Problem> {
    match value {
        None | Some("asc") => Ok(Order::Ascending),
        Some("desc") => Ok(Order::Descending),
        Some(_) => Err(bad("order", "asc or desc")),
    }
}

fn limit(value: Option<&str>) -> Result<u32, Problem> {
    let (usual, most) = LIMIT;
    let Some(value) = value else { return Ok(usual) };
    value
        .parse()
        .ok()
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| bad("limit", &format!("a number from 1 to {most}")))
}

/// An instant in whole microseconds, as the store has them; rounded up, which keeps half-open
/// ranges what they are.
fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    let exact = relative(text, now)
        .or_else(|| unix(text))
        .or_else(|| text.parse().ok())
        // In a query, `+` stands for a space unless it is escaped.
        .or_else(|| {
            text.rsplit_once(' ')
                .and_then(|(a, b)| format!("{a}+{b}").parse().ok())
        })?;
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
    let sign = match rest.chars().next()? {
        '-' => -1,
        '+' | ' ' => 1,
        _ => return None,
    };
    let rest = &rest[1..];
    let (number, unit) = rest.split_at(rest.find(|symbol: char| !symbol.is_ascii_digit())?);
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<i64>().ok()?.checked_mul(seconds * sign)?;
    now.checked_add(SignedDuration::from_secs(seconds)).ok()
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
        check("now", NOW);
        check("now-5m", "2025-07-18T20:37:34Z");
        check("now+1h", "2025-07-18T21:42:34Z");
        check("now-2d", "2025-07-16T20:42:34Z");
        check(
            "2025-07-18T20:42:34.0000001Z",
            "2025-07-18T20:42:34.000001Z",
        );
        for wrong in [
            "",
            "now-",
            "now-5",
            "now-5y",
            "yesterday",
            "1e9",
            "2025-13-01T00:00:00Z",
        ] {
            assert_eq!(instant(wrong, NOW.parse().unwrap()), None, "{wrong}");
        }
    }

    #[track_caller]
    fn refused(query: &str) -> (String, String) {
        let read = TelemetryRequest::read("g", "g".to_owned(), Some(query), NOW.parse().unwrap());
        match read {
            Err(Problem::Parameter { name, expected }) => (name, expected),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn a_bad_parameter_is_named_with_its_allowed_form() {
        assert_eq!(refused("limit=0").1, "a number from 1 to 10000");
        assert_eq!(refused("limit=10001").0, "limit");
        assert_eq!(refused("order=up").1, "asc or desc");
        assert!(refused("start_time=soon").1.contains("now-5m"));
        assert_eq!(refused("end_time=1&start_time=2").0, "start_time");
        assert_eq!(refused("cursor=abc").0, "cursor");
        assert!(refused("strat_time=1").1.contains("start_time"));
        assert_eq!(refused("limit=1&limit=2").1, "given only once");
    }

    #[test]
    fn a_cursor_keeps_what_relative_times_meant_on_the_first_page() {
        let read = |query: &str, now: &str| {
            TelemetryRequest::read("g", "g".to_owned(), Some(query), now.parse().unwrap()).unwrap()
        };
        let first = read("start_time=now-5m", NOW);
        let word = first.cursor(crate::store::Position::default());
        let next = format!("start_time=now-5m&limit=5&cursor={word}");
        let second = read(&next, "2025-07-18T21:00:00Z");
        assert_eq!(second.query.from, first.query.from);
        assert_eq!(second.page(), 5);
    }
}
