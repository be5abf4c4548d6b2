//! Version and clock of an API server. Pure.

use std::collections::BTreeMap;

use super::catalogue::{CLOCK, VERSION};
use super::finding::{Finding, Severity};
use crate::cluster::access::Greeting;

/// The minor versions of Kubernetes 1 that telectl is known to work with.
const KNOWN: std::ops::RangeInclusive<u32> = 29..=36;
/// How many minor versions the clusters of one deployment may be apart.
const APART: u32 = 2;
/// From here on clocks that disagree are worth a warning, in seconds.
const NOTABLE_SECONDS: f64 = 5.0;
/// From here on two machines that may write could be 20 s apart, and a lock that lives for 30 s and
/// is renewed every 10 s would look expired to one of them.
const DANGEROUS_SECONDS: f64 = 10.0;

/// What is wrong with a server's version and clock.
pub(super) fn judge(greeting: &Greeting) -> Vec<Finding> {
    version(greeting)
        .into_iter()
        .chain(clock(greeting))
        .collect()
}

/// The minor version of `v1.34.4`.
fn minor(version: &str) -> Option<u32> {
    let digits = version.strip_prefix("v1.")?;
    digits
        .split(|symbol: char| !symbol.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

fn version(greeting: &Greeting) -> Option<Finding> {
    let minor = minor(&greeting.version);
    if minor.is_some_and(|minor| KNOWN.contains(&minor)) {
        return None;
    }
    Some(Finding::warning(
        &VERSION,
        format!("the API server has version {}", greeting.version),
        format!("1.{} to 1.{}", KNOWN.start(), KNOWN.end()),
        "telectl is not tested with it",
    ))
}

/// Clusters, by context, whose versions are far apart.
pub(super) fn judge_apart(versions: &BTreeMap<String, String>) -> Option<Finding> {
    let known = versions
        .iter()
        .filter_map(|(context, version)| Some((minor(version)?, context, version)));
    let known: Vec<(u32, &String, &String)> = known.collect();
    let (oldest, newest) = (known.iter().min()?, known.iter().max()?);
    if newest.0 - oldest.0 <= APART {
        return None;
    }
    let finding = Finding::warning(
        &VERSION,
        format!(
            "cluster {} has version {}, cluster {} has {}",
            oldest.1, oldest.2, newest.1, newest.2
        ),
        format!("at most {APART} minor versions between the clusters"),
        format!("update {}", oldest.1),
    );
    Some(finding.in_cluster(oldest.1))
}

/// How far the server's clock is ahead, and how exact that is, both in seconds.
fn skew(greeting: &Greeting) -> Option<(f64, f64)> {
    let date = greeting.date?;
    let (asked, answered) = (seconds(greeting.asked), seconds(greeting.answered));
    let middle = f64::midpoint(asked, answered);
    // The server's time is cut off to whole seconds: on average half a second is missing.
    let ahead = seconds(date) + 0.5 - middle;
    let exactness = 0.5 + (answered - asked).abs() / 2.0;
    Some((ahead, exactness))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this century fit"
)]
fn seconds(time: jiff::Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

fn clock(greeting: &Greeting) -> Option<Finding> {
    let (ahead, exactness) = skew(greeting)?;
    // What could be due to the way there and back is no fault of the clock.
    let certain = ahead.abs() - exactness;
    let severity = if certain > DANGEROUS_SECONDS {
        Severity::Error
    } else if certain > NOTABLE_SECONDS {
        Severity::Warning
    } else {
        return None;
    };
    let side = if ahead > 0.0 { "ahead of" } else { "behind" };
    let finding = Finding::warning(
        &CLOCK,
        format!(
            "the API server's clock is {:.1} s {side} this machine's (± {exactness:.1} s)",
            ahead.abs()
        ),
        format!("at most {NOTABLE_SECONDS} s; {DANGEROUS_SECONDS} s for locks to hold"),
        "set the clocks by NTP, this machine's and those of the control plane",
    );
    Some(finding.being(severity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(version: &str, date: &str) -> Greeting {
        Greeting {
            version: version.to_owned(),
            date: Some(date.parse().unwrap()),
            asked: "2026-06-01T12:00:00.000Z".parse().unwrap(),
            answered: "2026-06-01T12:00:00.200Z".parse().unwrap(),
        }
    }

    #[test]
    fn d13_an_unknown_version_is_a_warning() {
        let of = |version| version_of(version).map(|finding| finding.observed);
        fn version_of(version: &str) -> Option<Finding> {
            super::version(&greeting(version, "2026-06-01T12:00:00Z"))
        }
        assert_eq!(of("v1.29.0"), None);
        assert_eq!(of("v1.34.4+k3s1"), None);
        assert!(of("v1.28.15").unwrap().contains("v1.28.15"));
        assert!(of("v1.37.0").is_some());
        assert!(of("v2.0.0").is_some());
    }

    #[test]
    fn d13_clusters_far_apart_are_named() {
        let versions = |central: &str| {
            BTreeMap::from([
                ("edge".to_owned(), "v1.31.2".to_owned()),
                ("central".to_owned(), central.to_owned()),
            ])
        };
        assert_eq!(judge_apart(&versions("v1.33.0")), None);
        let found = judge_apart(&versions("v1.34.0")).unwrap();
        assert_eq!(found.cluster, "edge");
        assert_eq!(
            found.observed,
            "cluster edge has version v1.31.2, cluster central has v1.34.0"
        );
        assert_eq!(judge_apart(&BTreeMap::new()), None);
    }

    #[test]
    fn d13_clocks_are_compared_with_the_middle_of_question_and_answer() {
        let of = |date| clock(&greeting("v1.34.0", date));
        assert_eq!(of("2026-06-01T12:00:00Z"), None);
        assert_eq!(of("2026-06-01T12:00:05Z"), None, "5.4 s, ± 0.6 s");
        let warned = of("2026-06-01T12:00:06Z").unwrap();
        assert_eq!(warned.severity, Severity::Warning);
        assert_eq!(
            warned.observed,
            "the API server's clock is 6.4 s ahead of this machine's (± 0.6 s)"
        );
        let wrong = of("2026-06-01T11:59:48Z").unwrap();
        assert_eq!(wrong.severity, Severity::Error);
        assert!(wrong.observed.contains("11.6 s behind"), "{wrong}");
    }

    #[test]
    fn a_slow_answer_is_not_the_fault_of_the_clock() {
        let mut slow = greeting("v1.34.0", "2026-06-01T12:00:00Z");
        slow.answered = "2026-06-01T12:00:20Z".parse().unwrap();
        assert_eq!(clock(&slow), None);
        slow.date = None;
        assert_eq!(clock(&slow), None);
    }
}
