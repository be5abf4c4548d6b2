//! Samples summed up by buckets of time: parameters and route.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{AggregateQuery, Bucket};

use super::instant::{SPAN_FORM, TIME_FORM, span};
use super::parameters::{Parameters, bad};
use super::problem::Problem;
use super::questions::{Answer, Name, by_place, known, name};
use super::reader::Reader;

/// The parameters.
const AGGREGATE: [&str; 4] = ["metric", "start_time", "end_time", "bucket"];
/// Width of a bucket unless told otherwise.
const BUCKET: SignedDuration = SignedDuration::from_mins(1);
/// Buckets of an answer at most.
const BUCKETS: i64 = 10_000;
/// Longest range of time.
const RANGE: SignedDuration = SignedDuration::from_hours(24 * 366);

/// Samples of a metric, summed up.
#[derive(Serialize, ToSchema)]
pub(super) struct Aggregate {
    /// Identity of the GPU.
    #[schema(example = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50")]
    uuid: String,
    /// Metric name.
    #[schema(example = "DCGM_FI_DEV_GPU_UTIL")]
    metric: String,
    /// From this instant on.
    #[schema(value_type = String, format = DateTime, example = "2025-07-18T20:42:34Z")]
    start_time: Timestamp,
    /// Up to but not including this instant.
    #[schema(value_type = String, format = DateTime, example = "2025-07-18T20:43:00Z")]
    end_time: Timestamp,
    /// Width of a bucket in seconds.
    #[schema(example = 60)]
    bucket_seconds: i64,
    /// In the order of time. Buckets without a value are left out.
    buckets: Vec<Bucket>,
    /// How many.
    #[schema(example = 1)]
    count: usize,
}

/// Samples of a metric of a GPU, summed up by buckets of time. Buckets begin at multiples of their
/// width since 1970; all series of the metric count together.
#[utoipa::path(get, path = "/api/v1/gpus/{id}/aggregate", tag = "telemetry",
    params(
        ("id" = String, Path, description = "UUID of the GPU, or host:index", min_length = 1,
            example = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"),
        ("metric" = String, Query, description = "Which metric", min_length = 1,
            example = "DCGM_FI_DEV_GPU_UTIL"),
        ("start_time" = String, Query, description =
            "From this instant on: RFC 3339, seconds since 1970, or relative such as now-1h30m; at \
             most 366 days before the end", example = "now-1h"),
        ("end_time" = Option<String>, Query, description =
            "Up to but not including this instant; now if unset", example = "now"),
        ("bucket" = Option<String>, Query, description =
            "Width of a bucket, from 1s on, such as 30s, 5m or 1h30m, so that there are at most \
             10000 of them; 1m if unset", example = "5m"),
    ),
    responses(
        (status = OK, description = "The buckets", body = Aggregate),
        (status = NOT_FOUND, description = "Nothing has this name", body = super::problem::ProblemDetails,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn aggregate(
    State(store): State<Reader>,
    id: Name,
    RawQuery(query): RawQuery,
) -> Answer<Aggregate> {
    let id = name("id", id)?;
    let mut asked = read(&id, query.as_deref(), Timestamp::now())?;
    if let Some(uuid) = by_place(&store, "id", &id).await? {
        asked.uuid = uuid;
    }
    let buckets = (store.aggregate)(asked.clone()).await?;
    if buckets.is_empty() {
        known(&store, &id).await?;
    }
    Ok(Json(Aggregate {
        uuid: asked.uuid,
        metric: asked.metric,
        start_time: asked.from,
        end_time: asked.to,
        bucket_seconds: asked.bucket.as_secs(),
        count: buckets.len(),
        buckets,
    }))
}

fn read(uuid: &str, query: Option<&str>, now: Timestamp) -> Result<AggregateQuery, Problem> {
    let parameters = Parameters::read(query, &AGGREGATE)?;
    let metric = parameters.required("metric", "the name of one, such as DCGM_FI_DEV_GPU_UTIL")?;
    let start = parameters.required("start_time", TIME_FORM)?;
    let asked = AggregateQuery {
        uuid: uuid.to_owned(),
        metric: metric.to_owned(),
        from: parameters.instant("start_time", now)?.unwrap_or(now),
        to: parameters.instant("end_time", now)?.unwrap_or(now),
        bucket: bucket(&parameters)?,
    };
    let range = asked.to.duration_since(asked.from);
    if range.is_negative() {
        let expected = "no later than `end_time`, which is now if unset";
        return Err(bad("start_time", start, expected));
    }
    if range > RANGE {
        let expected = "at most 366 days before `end_time`: ask for one year after the other";
        return Err(bad("start_time", start, expected));
    }
    let least = narrowest(range);
    if asked.bucket < least {
        let expected = format!(
            "at least {}s for this range, so that there are at most {BUCKETS} buckets: give a \
             wider one or a shorter range",
            least.as_secs()
        );
        let given = parameters.get("bucket").unwrap_or("1m");
        return Err(bad("bucket", given, &expected));
    }
    Ok(asked)
}

fn bucket(parameters: &Parameters) -> Result<SignedDuration, Problem> {
    let expected = format!("from 1s to 366d, as {SPAN_FORM}");
    let bucket = parameters.parsed("bucket", &expected, |text| {
        span(text).filter(|width| (SignedDuration::from_secs(1)..=RANGE).contains(width))
    })?;
    Ok(bucket.unwrap_or(BUCKET))
}

/// The narrowest bucket that a range allows. One bucket is kept in reserve: a range that begins
/// within a bucket touches one more than it has room for.
fn narrowest(range: SignedDuration) -> SignedDuration {
    let buckets = BUCKETS - 1;
    let whole = range.as_secs() + i64::from(range.subsec_nanos() > 0);
    SignedDuration::from_secs((whole + buckets - 1) / buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2025-07-18T20:42:34Z";

    fn read(query: &str) -> Result<AggregateQuery, Problem> {
        super::read("g", Some(query), NOW.parse().unwrap())
    }

    #[track_caller]
    fn refused(query: &str) -> (String, String) {
        match read(query) {
            Err(Problem::Parameter { name, expected, .. }) => (name, expected),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_given_is_one_minute_and_up_to_now() {
        let asked = read("metric=UTIL&start_time=now-1h").unwrap();
        assert_eq!(asked.to, NOW.parse().unwrap());
        assert_eq!(
            asked.to.duration_since(asked.from),
            SignedDuration::from_hours(1)
        );
        assert_eq!(asked.bucket, SignedDuration::from_secs(60));
    }

    #[test]
    fn a_bad_question_is_refused_by_parameter() {
        assert!(refused("start_time=now-1h").1.contains("given"));
        assert_eq!(refused("metric=&start_time=now-1h").0, "metric");
        assert_eq!(refused("metric=UTIL").0, "start_time");
        for (bucket, name) in [("0s", "bucket"), ("5ms", "bucket"), ("367d", "bucket")] {
            let query = format!("metric=UTIL&start_time=now-1h&bucket={bucket}");
            assert_eq!(refused(&query).0, name, "{bucket}");
        }
        let later = refused("metric=UTIL&start_time=now%2B1s");
        assert!(later.1.contains("no later than `end_time`"), "{later:?}");
        let long = refused("metric=UTIL&start_time=now-366d1s&bucket=1d");
        assert!(long.1.contains("366 days"), "{long:?}");
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_the_least_width_is_named() {
        // 9,999 s have room for 9,999 buckets, and touch 10,000.
        assert!(read("metric=UTIL&start_time=now-9999s&bucket=1s").is_ok());
        let (name, expected) = refused("metric=UTIL&start_time=now-10000s&bucket=1s");
        assert_eq!(name, "bucket");
        assert!(expected.starts_with("at least 2s"), "{expected}");
        assert!(read("metric=UTIL&start_time=now-10000s&bucket=2s").is_ok());
        assert!(read("metric=UTIL&start_time=now-366d&bucket=1h").is_ok());
    }
}
