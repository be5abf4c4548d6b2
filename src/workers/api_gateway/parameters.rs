//! Parameters of a query, each with an error that names it and its allowed form.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::{Order, TelemetryQuery};

use super::cursor::Cursor;
use super::instant::{TIME_FORM, instant};
use super::problem::Problem;

/// Samples on a page unless told otherwise, and at most.
const LIMIT: (u32, u32) = (1_000, 10_000);
/// Characters of a refused value that its problem repeats.
const REPEATED: usize = 80;

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
pub(super) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Reads them; each must be one of `known`.
    pub(super) fn read(query: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(name) = known.iter().find(|known| **known == name) else {
                return Err(unknown(&name, known));
            };
            if value.contains('\0') {
                return Err(bad(name, &value, "without NUL characters"));
            }
            if let Some(first) = values.insert(*name, value.into_owned()) {
                return Err(bad(name, &first, "given only once"));
            }
        }
        Ok(Self(values))
    }

    /// The value of a parameter, if it is given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a parameter that has to be given.
    pub(super) fn required(&self, name: &str, expected: &str) -> Result<&str, Problem> {
        let missing = || Problem::Parameter {
            name: name.to_owned(),
            value: None,
            expected: format!("given: {expected}"),
        };
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    }

    /// A value in its own form, if it is given.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.get(name)
            .map(|value| parse(value).ok_or_else(|| bad(name, value, expected)))
            .transpose()
    }

    /// An instant, if it is given.
    pub(super) fn instant(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
        self.parsed(name, TIME_FORM, |value| instant(value, now))
    }
}

/// The problem with a value.
pub(super) fn bad(name: &str, value: &str, expected: &str) -> Problem {
    Problem::Parameter {
        name: name.to_owned(),
        value: Some(value.chars().take(REPEATED).collect()),
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
        name: name.chars().take(REPEATED).collect(),
        value: None,
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
        let mut query = TelemetryQuery {
            uuid,
            metric: parameters.get("metric").map(str::to_owned),
            from: parameters.instant("start_time", now)?,
            to: parameters.instant("end_time", now)?,
            order: order(&parameters)?,
            limit: limit(&parameters)? + 1,
            after: None,
        };
        if let (Some(from), Some(to)) = (query.from, query.to)
            && from > to
        {
            return Err(bad(
                "start_time",
                &text("start_time"),
                "no later than `end_time`",
            ));
        }
        let request = filters.each_ref().map(String::as_str);
        if let Some(word) = parameters.get("cursor") {
            let cursor = Cursor::decode(word, &request).ok_or_else(|| {
                bad(
                    "cursor",
                    word,
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

fn order(parameters: &Parameters) -> Result<Order, Problem> {
    let order = parameters.parsed("order", "asc or desc", |value| match value {
        "asc" => Some(Order::Ascending),
        "desc" => Some(Order::Descending),
        _ => None,
    })?;
    Ok(order.unwrap_or(Order::Ascending))
}

fn limit(parameters: &Parameters) -> Result<u32, Problem> {
    let (usual, most) = LIMIT;
    let expected = format!("a number from 1 to {most}");
    let limit = parameters.parsed("limit", &expected, |value| {
        value
            .parse()
            .ok()
            .filter(|limit| (1..=most).contains(limit))
    })?;
    Ok(limit.unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2025-07-18T20:42:34Z";

    #[track_caller]
    fn refused(query: &str) -> (String, String) {
        let read = TelemetryRequest::read("g", "g".to_owned(), Some(query), NOW.parse().unwrap());
        match read {
            Err(Problem::Parameter { name, expected, .. }) => (name, expected),
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
        assert_eq!(refused("metric=a%00b").1, "without NUL characters");
    }

    #[test]
    fn a_refused_value_is_repeated_in_part() {
        let query = format!("order={}", "x".repeat(1_000));
        let now = NOW.parse().unwrap();
        match TelemetryRequest::read("g", "g".to_owned(), Some(&query), now) {
            Err(Problem::Parameter { value, .. }) => assert_eq!(value.unwrap().len(), REPEATED),
            other => panic!("{other:?}"),
        }
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
