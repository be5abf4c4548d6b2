//! The newest values in Prometheus' text format, under the names that their source gave them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};

use crate::store::{Reading, ReadingLabels};

use super::instant::{SPAN_FORM, span};
use super::parameters::Parameters;
use super::problem::Problem;
use super::reader::Reader;

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The parameters.
const EXPOSITION: [&str; 2] = ["max_age", "timestamps"];
/// Age of the oldest value that is shown, unless told otherwise.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// Longest age that can be asked for.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 36_600);

/// What DCGM counts up; all its other fields go up and down.
const COUNTERS: [&str; 5] = [
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
    "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
];

/// Whether values carry their own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Shown,
    Hidden,
}

/// The newest value of each series in Prometheus' text format, as DCGM's exporter names it. Values
/// that are older than `max_age`, and series whose newest sample is blank, are left out.
#[utoipa::path(get, path = "/metrics/gpu", tag = "telemetry",
    params(
        ("max_age" = Option<String>, Query, description =
            "Age of the oldest value that is shown, such as 30s, 5m or 3650d; 5m if unset",
            example = "5m"),
        ("timestamps" = Option<bool>, Query, description =
            "Whether each value carries the time of its event; true if unset. With false, a server \
             that scrapes takes the time of its own clock"),
    ),
    responses((status = OK, description = "Prometheus text format", body = String,
        content_type = "text/plain; version=0.0.4",
        example = "# TYPE DCGM_FI_DEV_GPU_UTIL gauge\n\
                   DCGM_FI_DEV_GPU_UTIL{gpu=\"0\",UUID=\"GPU-5fd4f087\"} 97 1752871354000\n")))]
pub(super) async fn gpu_metrics(
    State(store): State<Reader>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (max_age, times) = read(query.as_deref())?;
    let now = Timestamp::now();
    let since = now.checked_sub(max_age).unwrap_or(Timestamp::MIN);
    let readings = (store.readings)(since).await?;
    let text = render(readings, times);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn read(query: Option<&str>) -> Result<(SignedDuration, Times), Problem> {
    let parameters = Parameters::read(query, &EXPOSITION)?;
    let expected = format!("at most 36600d, as {SPAN_FORM}");
    let max_age = parameters.parsed("max_age", &expected, |text| {
        span(text).filter(|age| *age <= OLDEST)
    })?;
    let times = parameters.parsed("timestamps", "true or false", |text| match text {
        "true" => Some(Times::Shown),
        "false" => Some(Times::Hidden),
        _ => None,
    })?;
    Ok((max_age.unwrap_or(MAX_AGE), times.unwrap_or(Times::Shown)))
}

/// One group per metric, as the format wants it. Series that differ only in what is not shown would
/// be one series twice: the newest of them stands for all.
fn render(readings: Vec<Reading>, times: Times) -> String {
    let mut metrics: BTreeMap<String, BTreeMap<ReadingLabels, (Timestamp, f64)>> = BTreeMap::new();
    for reading in readings {
        let shown = (reading.at, reading.value);
        let series = metrics.entry(metric_name(&reading.metric)).or_default();
        let newest = series.entry(reading.labels).or_insert(shown);
        if shown.0 > newest.0 {
            *newest = shown;
        }
    }
    let mut text = String::new();
    for (metric, series) in &metrics {
        let kind = if COUNTERS.contains(&metric.as_str()) {
            "counter"
        } else {
            "gauge"
        };
        text.push_str(&format!(
            "# HELP {metric} Newest value that the pipeline has stored.\n# TYPE {metric} {kind}\n"
        ));
        for (labels, (at, value)) in series {
            write_sample(&mut text, metric, labels, *value);
            if times == Times::Shown {
                write!(text, " {}", at.as_millisecond()).unwrap_or_default();
            }
            text.push('\n');
        }
    }
    text
}

fn write_sample(text: &mut String, metric: &str, labels: &ReadingLabels, value: f64) {
    let named = [
        ("gpu", &labels.gpu_id),
        ("UUID", &labels.uuid),
        ("device", &labels.device),
        ("modelName", &labels.model_name),
        ("Hostname", &labels.hostname),
        ("container", &labels.container),
        ("namespace", &labels.namespace),
        ("pod", &labels.pod),
        ("cluster", &labels.cluster),
    ];
    // To Prometheus, an empty label is none.
    let pairs: Vec<String> = named
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    write!(text, "{metric}{{{}}} {value}", pairs.join(",")).unwrap_or_default();
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A name that the format allows: others have their symbols replaced.
fn metric_name(metric: &str) -> String {
    let mut name: String = metric
        .chars()
        .map(|symbol| match symbol {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | ':' => symbol,
            _ => '_',
        })
        .collect();
    if !name.starts_with(|first: char| !first.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(metric: &str, host: &str, second: i64, value: f64) -> Reading {
        Reading {
            metric: metric.to_owned(),
            labels: ReadingLabels {
                gpu_id: "0".to_owned(),
                hostname: host.to_owned(),
                ..ReadingLabels::default()
            },
            at: Timestamp::from_second(second).unwrap(),
            value,
        }
    }

    #[test]
    fn metrics_stand_together_with_their_type_and_escaped_labels() {
        let readings = vec![
            reading("DCGM_FI_DEV_GPU_UTIL", "b\"\\\n", 1, 97.5),
            reading("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "a", 2, 1e21),
            reading("DCGM_FI_DEV_GPU_UTIL", "a", 3, -0.25),
        ];
        let help = "Newest value that the pipeline has stored.";
        let expected = format!(
            "# HELP DCGM_FI_DEV_GPU_UTIL {help}\n\
             # TYPE DCGM_FI_DEV_GPU_UTIL gauge\n\
             DCGM_FI_DEV_GPU_UTIL{{gpu=\"0\",Hostname=\"a\"}} -0.25 3000\n\
             DCGM_FI_DEV_GPU_UTIL{{gpu=\"0\",Hostname=\"b\\\"\\\\\\n\"}} 97.5 1000\n\
             # HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION {help}\n\
             # TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter\n\
             DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{gpu=\"0\",Hostname=\"a\"}} \
             1000000000000000000000 2000\n"
        );
        assert_eq!(render(readings, Times::Shown), expected);
    }

    #[test]
    fn of_series_that_look_alike_the_newest_is_shown() {
        let readings = vec![
            reading("a.b", "h", 1, 1.0),
            reading("a_b", "h", 3, 3.0),
            reading("a-b", "h", 2, 2.0),
        ];
        let text = render(readings, Times::Hidden);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples, ["a_b{gpu=\"0\",Hostname=\"h\"} 3"]);
    }

    #[test]
    fn a_name_that_the_format_forbids_is_changed() {
        assert_eq!(metric_name("DCGM_FI_DEV_GPU_UTIL"), "DCGM_FI_DEV_GPU_UTIL");
        assert_eq!(metric_name("0 é"), "_0__");
        assert_eq!(metric_name(""), "_");
    }

    #[test]
    fn an_age_is_a_span_of_at_most_a_century() {
        assert_eq!(read(None).unwrap(), (MAX_AGE, Times::Shown));
        let old = read(Some("max_age=3650d&timestamps=false")).unwrap();
        assert_eq!(old, (SignedDuration::from_hours(24 * 3_650), Times::Hidden));
        for wrong in ["max_age=5", "max_age=36601d", "timestamps=no", "age=5m"] {
            assert!(read(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
