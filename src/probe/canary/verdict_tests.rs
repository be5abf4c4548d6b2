use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::cluster::job::JobEnd;
use crate::model::canary::CanaryId;
use crate::probe::result::{Cause, TargetKind, TargetReport};
use crate::store::canary::{CanaryRecord, FoundCanary};

use super::central::{Collector, Look};
use super::report::{CanaryReport, SCHEMA_VERSION, Sending, SentCanary};
use super::verdict::{Arrived, CanaryError, Clock, Course, StoreFault, judge, may_start, sent};

const CENTRAL: &str = "namespace telemetry-system of central";

/// So many milliseconds after some time.
fn at(milliseconds: i64) -> Timestamp {
    let start: Timestamp = "2025-07-18T12:00:00Z".parse().unwrap();
    start
        .checked_add(SignedDuration::from_millis(milliseconds))
        .unwrap()
}

fn report(outcomes: Vec<(CanaryId, i64, Sending)>) -> JobEnd {
    let report = CanaryReport {
        schema_version: SCHEMA_VERSION,
        version: "0.1.0".to_owned(),
        pod: None,
        redis: TargetReport {
            kind: TargetKind::Redis,
            endpoint: "redis:6379".to_owned(),
            hops: Vec::new(),
            certificate: None,
            facts: BTreeMap::new(),
        },
        canaries: outcomes
            .into_iter()
            .map(|(id, sent_at, outcome)| SentCanary {
                id: id.to_string(),
                sent_at: at(sent_at),
                outcome,
            })
            .collect(),
    };
    JobEnd::Finished {
        log: report.encode().unwrap(),
    }
}

/// One canary that was sent at 0 and took 4 ms, by clocks that are off by so much.
fn published(id: &CanaryId, queue_off: i64) -> JobEnd {
    let outcome = Sending::Published {
        shard: 0,
        published_at: at(2 + queue_off),
        took_ms: 4.0,
    };
    report(vec![(id.clone(), 0, outcome)])
}

fn found(id: &CanaryId, [published, stored, answered]: [i64; 3], deliveries: u64) -> FoundCanary {
    FoundCanary {
        record: CanaryRecord {
            id: id.to_string(),
            cluster: "edge".to_owned(),
            sent_at: at(0),
            published_at: at(published),
            received_at: at(stored),
            stored_at: at(stored),
            collector: "collector-0".to_owned(),
            deliveries,
        },
        answered_at: at(answered),
    }
}

fn collector(canaries: &[&CanaryId], dead_letters: u64, store: Result<(), &str>) -> Collector {
    let canaries: Vec<String> = canaries.iter().map(ToString::to_string).collect();
    Collector {
        pod: "collector-x".to_owned(),
        status: Ok(json!({
            "dependencies": {
                "queue": {"ok": true, "required": true, "detail": ""},
                "registry": {"ok": false, "required": false, "detail": "etcd is down"},
                "store": {
                    "ok": store.is_ok(), "required": true, "detail": store.err().unwrap_or(""),
                },
            },
            "details": {"canaries": canaries, "collected": {"dead_letters": dead_letters}},
        })),
    }
}

fn course<'a>(ids: &'a [CanaryId], end: JobEnd) -> Course<'a> {
    Course {
        edge: "edge",
        central: CENTRAL,
        ids,
        end,
        left: None,
        found: BTreeMap::new(),
        last: None,
        before: vec![collector(&[], 2, Ok(()))],
        after: Vec::new(),
    }
}

/// One canary, found with these times, 500 ms after the start.
fn arrived(queue_off: i64, times: [i64; 3]) -> Arrived {
    let ids = [CanaryId::of(7)];
    let mut course = course(&ids, published(&ids[0], queue_off));
    let found = found(&ids[0], times, 1);
    course.found.insert(ids[0].clone(), (found, 500.0));
    judge(&course).unwrap()
}

#[test]
fn v10_the_time_of_every_hop_is_told() {
    let arrived = arrived(0, [2, 30, 130]);
    assert_eq!(arrived.skews, []);
    let flown = &arrived.canaries[0];
    assert_eq!(
        (flown.publish_ms, flown.store_ms, flown.show_ms),
        (4.0, Some(28.0), Some(100.0))
    );
    assert_eq!(arrived.slowest_ms(), 132.0);
    assert_eq!(
        arrived.to_string(),
        "1 of 1 arrived: Redis 4 ms, store 28 ms, API 100 ms"
    );
}

#[test]
fn v10_clocks_that_contradict_each_other_are_named_instead_of_negative_times() {
    let all = |arrived: Arrived| -> Vec<(Clock, Clock, f64)> {
        let skews = arrived.skews.iter();
        skews
            .map(|skew| (skew.ahead, skew.behind, skew.at_least_ms))
            .collect()
    };
    // Redis is an hour ahead of all the others.
    let hour = 3_600_000;
    let ahead = arrived(hour, [2 + hour, 30, 130]);
    assert_eq!(ahead.canaries[0].store_ms, None);
    assert_eq!(ahead.canaries[0].show_ms, Some(100.0));
    assert!(
        ahead.to_string().contains("store unknown, API 100 ms"),
        "{ahead}"
    );
    assert!(
        ahead.skews[1]
            .to_string()
            .contains("the clock of Redis is at least 3599972 ms ahead"),
        "{}",
        ahead.skews[1]
    );
    assert_eq!(
        all(ahead),
        [
            (Clock::Queue, Clock::Edge, 3_599_998.0),
            (Clock::Queue, Clock::Store, 3_599_972.0)
        ]
    );
    // It took longer than was waited for it.
    assert_eq!(
        all(arrived(0, [2, 30, 10_030])),
        [(Clock::Gateway, Clock::Store, 9_500.0)]
    );
    assert_eq!(
        all(arrived(-60_000, [-59_998, 30, 130])),
        [
            (Clock::Edge, Clock::Queue, 59_998.0),
            (Clock::Store, Clock::Queue, 59_528.0)
        ]
    );
}

#[test]
fn v10_a_second_delivery_is_noticed() {
    let ids = [CanaryId::of(7)];
    let mut course = course(&ids, published(&ids[0], 0));
    let found = found(&ids[0], [2, 30, 130], 2);
    course.found.insert(ids[0].clone(), (found, 500.0));
    assert_eq!(judge(&course).unwrap().delivered_again(), 1);
}

#[track_caller]
fn not_stored(course: &Course<'_>) -> (StoreFault, String) {
    match judge(course) {
        Err(CanaryError::NotStored {
            lost: 1,
            sent: 1,
            fault,
            detail,
        }) => (fault, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn v10_where_a_canary_was_lost_is_named() {
    let ids = [CanaryId::of(7)];
    let id = &ids[0];
    let mut lost = course(&ids, published(id, 0));
    assert_eq!(not_stored(&lost).0, StoreFault::NoCollector);
    lost.after = vec![collector(&[], 2, Err("connection refused"))];
    let (fault, detail) = not_stored(&lost);
    assert_eq!(fault, StoreFault::Unwell);
    assert_eq!(detail, "pod/collector-x: store: connection refused");
    lost.after = vec![collector(&[], 5, Ok(()))];
    let (fault, detail) = not_stored(&lost);
    assert_eq!(fault, StoreFault::SetAside);
    assert!(detail.starts_with("3 entries"), "{detail}");
    lost.after = vec![collector(&[&CanaryId::of(8)], 2, Ok(()))];
    assert_eq!(not_stored(&lost).0, StoreFault::Unexplained);
    lost.after = vec![collector(&[id], 2, Ok(()))];
    lost.last = Some(Look::Failed("no gateway pod is ready".to_owned()));
    let error = judge(&lost).unwrap_err();
    assert!(
        matches!(
            error,
            CanaryError::NotShown {
                lost: 1,
                sent: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().ends_with("no gateway pod is ready"),
        "{error}"
    );
}

#[test]
fn v10_a_canary_that_was_not_published_says_why() {
    let refused = Sending::Failed {
        cause: Cause::AuthenticationFailed,
        detail: "the server refuses user and password".to_owned(),
    };
    let id = CanaryId::of(7);
    let error = sent("edge", &report(vec![(id, 0, refused)])).unwrap_err();
    assert!(
        matches!(
            error,
            CanaryError::NotPublished {
                cause: Some(Cause::AuthenticationFailed),
                ..
            }
        ),
        "{error:?}"
    );
    let reason = "container probe: ImagePullBackOff".to_owned();
    let error = sent("edge", &JobEnd::NotStarted { reason }).unwrap_err();
    assert!(error.to_string().contains("ImagePullBackOff"), "{error}");
    let log = "error: unexpected argument '--canary' found".to_owned();
    let error = sent("edge", &JobEnd::Finished { log }).unwrap_err();
    assert!(matches!(error, CanaryError::TooOld { .. }), "{error:?}");
    let log = "thread main panicked".to_owned();
    let error = sent("edge", &JobEnd::Finished { log }).unwrap_err();
    assert!(
        error.to_string().ends_with("thread main panicked"),
        "{error}"
    );
}

/// A collector that does not know canaries would set them aside as dead letters.
#[test]
fn v10_no_canary_is_sent_where_a_collector_does_not_know_it() {
    let knows = collector(&[], 0, Ok(()));
    may_start(CENTRAL, std::slice::from_ref(&knows)).unwrap();
    let silent = Collector {
        pod: "collector-z".to_owned(),
        status: Err("CrashLoopBackOff".to_owned()),
    };
    may_start(CENTRAL, &[silent.clone(), knows.clone()]).unwrap();
    let older = Collector {
        pod: "collector-y".to_owned(),
        status: Ok(json!({"details": {"collected": {}}})),
    };
    let error = may_start(CENTRAL, &[knows, older]).unwrap_err();
    assert!(matches!(error, CanaryError::TooOld { .. }), "{error:?}");
    assert!(error.to_string().contains("pod/collector-y"), "{error}");
    for (collectors, fault, said) in [
        (vec![], StoreFault::NoCollector, "no collector runs in"),
        (vec![silent], StoreFault::Unwell, "CrashLoopBackOff"),
    ] {
        let error = may_start(CENTRAL, &collectors).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(
            matches!(error, CanaryError::NotStored { sent: 0, fault: found, .. } if found == fault),
            "{error:?}"
        );
    }
}
