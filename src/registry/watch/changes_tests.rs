use std::collections::BTreeMap;

use super::*;

fn record(id: &str) -> ServiceRecord {
    ServiceRecord {
        id: id.to_owned(),
        service_type: "nexus-streamer".to_owned(),
        address: "10.1.2.3".to_owned(),
        port: 8081,
        metadata: BTreeMap::from([("mode".to_owned(), "once".to_owned())]),
        health: "healthy".to_owned(),
        version: "0.1.0".to_owned(),
        registered_at: "2026-01-15T10:30:00Z".to_owned(),
        instance_uid: "one".to_owned(),
        started_at: "2026-01-15T10:29:59Z".to_owned(),
        lease_ttl: 15,
    }
}

fn seen(record: ServiceRecord) -> Seen {
    Seen {
        record: Ok(record),
        lease: Some(LeaseId(7)),
    }
}

fn snapshot(entries: &[(&str, Seen)]) -> Snapshot {
    let entries = entries.iter();
    entries
        .map(|(key, seen)| ((*key).to_owned(), seen.clone()))
        .collect()
}

/// The fields that are told of one change, as `field: before -> now`.
fn told(before: &Seen, now: &Seen) -> Vec<String> {
    let all = differences(
        &snapshot(&[("a", before.clone())]),
        &snapshot(&[("a", now.clone())]),
    );
    let fields = all.iter().flat_map(|change| match change {
        Change::Changed { fields, .. } => fields.clone(),
        other => panic!("{other:?}"),
    });
    let text = |side: Option<String>| side.unwrap_or_else(|| "-".to_owned());
    fields
        .map(|one| format!("{}: {} -> {}", one.field, text(one.before), text(one.now)))
        .collect()
}

#[test]
fn x07_what_is_new_what_is_gone_and_nothing_else_is_told() {
    let (one, other) = (seen(record("0")), seen(record("1")));
    let before = snapshot(&[("a", one.clone()), ("b", one.clone())]);
    let now = snapshot(&[("b", one.clone()), ("c", other.clone())]);
    let gone = Change::Gone {
        key: "a".to_owned(),
        before: one,
    };
    let new = Change::Registered {
        key: "c".to_owned(),
        now: other,
    };
    assert_eq!(differences(&before, &now), [gone, new]);
    assert_eq!(differences(&now, &now), []);
}

#[test]
fn x07_a_change_is_told_field_by_field_and_only_as_what_it_is() {
    let before = seen(record("0"));
    let mut now = before.clone();
    now.record = now.record.map(|mut record| {
        record.health = "unhealthy".to_owned();
        record.registered_at = "2026-01-15T11:00:00Z".to_owned();
        record.metadata.insert("mode".to_owned(), "loop".to_owned());
        record
    });
    assert_eq!(
        told(&before, &now),
        [
            "health: healthy -> unhealthy",
            "metadata.mode: once -> loop"
        ]
    );
    let mut restarted = before.clone();
    restarted.lease = Some(LeaseId(255));
    restarted.record = restarted.record.map(|record| ServiceRecord {
        instance_uid: "two".to_owned(),
        started_at: "later".to_owned(),
        registered_at: "later".to_owned(),
        ..record
    });
    assert_eq!(
        told(&before, &restarted),
        ["instance_uid: one -> two", "lease: 7 -> ff"]
    );
    let mut written = before.clone();
    written.record = written.record.map(|record| ServiceRecord {
        registered_at: "later".to_owned(),
        ..record
    });
    assert_eq!(
        told(&before, &written),
        ["registered_at: 2026-01-15T10:30:00Z -> later"]
    );
}

#[test]
fn x14_a_lease_that_is_lost_and_a_value_that_breaks_are_changes() {
    let before = seen(record("0"));
    let orphan = Seen {
        lease: None,
        ..before.clone()
    };
    assert_eq!(told(&before, &orphan), ["lease: 7 -> -"]);
    let broken = Seen {
        record: Err("no JSON".to_owned()),
        ..before.clone()
    };
    assert_eq!(
        told(&before, &broken),
        ["value: a record -> no record: no JSON"]
    );
}

#[test]
fn x07_an_event_is_told_against_what_is_known() {
    let mut known = Snapshot::new();
    let one = seen(record("0"));
    let first = note(&mut known, "a".to_owned(), Some(one.clone()));
    assert!(
        matches!(first, Some(Change::Registered { .. })),
        "{first:?}"
    );
    assert_eq!(note(&mut known, "a".to_owned(), Some(one)), None);
    let gone = note(&mut known, "a".to_owned(), None);
    assert!(matches!(gone, Some(Change::Gone { .. })), "{gone:?}");
    assert_eq!(note(&mut known, "a".to_owned(), None), None);
    assert!(known.is_empty());
}
