//! How long nodes pulled images, as the events of pods tell. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

/// For how long some image was being pulled since a time. Events are dated to the second, and a
/// pull that began earlier counts from then on.
pub(super) fn pulling<'a>(
    events: impl Iterator<Item = &'a Value> + Clone,
    since: Timestamp,
) -> Duration {
    let container = |event: &Value| {
        let involved = &event["involvedObject"];
        let text = |field: &str| involved[field].as_str().unwrap_or_default().to_owned();
        (text("uid"), text("fieldPath"))
    };
    let of = |reason: &'static str, time: &'static str| {
        let meant = events
            .clone()
            .filter(move |event| event["reason"] == reason);
        meant.filter_map(move |event| {
            let time: Timestamp = event[time].as_str()?.parse().ok()?;
            Some((container(event), time))
        })
    };
    let first = |reason, time| {
        let mut first = BTreeMap::new();
        for (container, time) in of(reason, time) {
            let earliest = first.entry(container).or_insert(time);
            *earliest = time.min(*earliest);
        }
        first
    };
    // A container that starts again finds its image on the node, and says that it was pulled.
    let (begun, ended) = (
        first("Pulling", "firstTimestamp"),
        first("Pulled", "firstTimestamp"),
    );
    let mut pulls: Vec<(Timestamp, Timestamp)> = ended
        .into_iter()
        .filter(|(_, end)| *end > since)
        .filter_map(|(container, end)| Some(((*begun.get(&container)?).max(since), end)))
        .collect();
    pulls.sort_unstable();
    let (mut all, mut until) = (Duration::ZERO, since);
    for (begin, end) in pulls {
        // Several nodes pull at the same time.
        let more = end.duration_since(begin.max(until));
        all += Duration::try_from(more).unwrap_or_default();
        until = until.max(end);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(reason: &str, pod: &str, seconds: (i64, i64)) -> Value {
        let time = |second| Timestamp::from_second(1_000 + second).unwrap().to_string();
        json!({
            "reason": reason,
            "firstTimestamp": time(seconds.0), "lastTimestamp": time(seconds.1),
            "involvedObject": {"uid": pod, "fieldPath": "spec.containers{main}"},
        })
    }

    fn pulled(events: &[Value], since: i64) -> u64 {
        pulling(
            events.iter(),
            Timestamp::from_second(1_000 + since).unwrap(),
        )
        .as_secs()
    }

    #[test]
    fn pulls_at_the_same_time_count_once_and_gaps_not_at_all() {
        let events = [
            event("Pulling", "a", (0, 0)),
            event("Pulled", "a", (10, 10)),
            event("Pulling", "b", (4, 4)),
            event("Pulled", "b", (12, 12)),
            event("Pulling", "c", (5, 5)),
            event("Pulled", "c", (6, 6)),
            event("Pulling", "d", (20, 20)),
            event("Pulled", "d", (23, 23)),
        ];
        assert_eq!(pulled(&events, 0), 12 + 3);
        assert_eq!(pulled(&events, 8), 4 + 3);
        assert_eq!(pulled(&events, 30), 0);
    }

    #[test]
    fn an_image_that_is_there_takes_no_time_and_a_pull_that_failed_counts_from_its_beginning() {
        assert_eq!(pulled(&[event("Pulled", "a", (7, 7))], 0), 0);
        let restarted = [
            event("Pulling", "a", (0, 0)),
            event("Pulled", "a", (10, 10)),
            event("Pulled", "a", (60, 60)),
        ];
        assert_eq!(pulled(&restarted, 0), 10);
        let again = [
            event("Pulling", "a", (1, 9)),
            event("Pulled", "a", (11, 11)),
        ];
        assert_eq!(pulled(&again, 0), 10);
        assert_eq!(pulled(&again[..1], 0), 0, "it goes on");
    }
}
