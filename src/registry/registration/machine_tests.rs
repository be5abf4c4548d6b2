use std::collections::BTreeMap;

use super::*;

const LEASE: LeaseId = LeaseId(7);
const TTL: Duration = Duration::from_secs(15);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn registered() -> Machine {
    let mut machine = Machine::new(TTL);
    for event in [
        Event::Found(Stored::Missing),
        Event::Granted(LEASE),
        Event::Written,
    ] {
        machine.observe(event, Duration::ZERO, 0.5);
    }
    machine
}

/// Feeds events at one instant and compares the step after each.
#[track_caller]
fn check(machine: &mut Machine, now: Duration, expected: &[(Event, Step, Duration)]) {
    for (event, step, due) in expected {
        machine.observe(*event, now, 1.0);
        assert_eq!(machine.next(), (*step, *due), "after {event:?}");
    }
}

#[test]
fn a_registration_is_kept_alive_and_read_back_every_third_of_the_lease() {
    let mut machine = Machine::new(TTL);
    assert_eq!(machine.next(), (Step::Read, Duration::ZERO));
    check(
        &mut machine,
        seconds(1),
        &[
            (Event::Found(Stored::Missing), Step::Grant, seconds(1)),
            (Event::Granted(LEASE), Step::Put(LEASE), seconds(1)),
            (Event::Written, Step::KeepAlive(LEASE), seconds(6)),
        ],
    );
    check(
        &mut machine,
        seconds(6),
        &[
            (Event::KeptAlive, Step::Read, seconds(6)),
            (
                Event::Found(Stored::Ours),
                Step::KeepAlive(LEASE),
                seconds(11),
            ),
        ],
    );
    assert_eq!(machine.word(), "registered");
}

#[test]
fn x05_a_lost_lease_is_replaced_at_once() {
    let mut machine = registered();
    check(
        &mut machine,
        seconds(5),
        &[
            (Event::LeaseGone, Step::Read, seconds(5)),
            (Event::Found(Stored::Missing), Step::Grant, seconds(5)),
            (
                Event::Granted(LeaseId(8)),
                Step::Put(LeaseId(8)),
                seconds(5),
            ),
        ],
    );
}

#[test]
fn x05_a_key_that_was_deleted_is_written_again_under_the_same_lease() {
    let mut machine = registered();
    check(
        &mut machine,
        seconds(5),
        &[
            (Event::KeptAlive, Step::Read, seconds(5)),
            (Event::Found(Stored::Missing), Step::Put(LEASE), seconds(5)),
        ],
    );
}

#[test]
fn x05_failures_are_retried_for_ever_on_the_same_lease_with_growing_pauses() {
    let mut machine = registered();
    let mut pauses = Vec::new();
    for _ in 0..100 {
        machine.observe(Event::Failed, seconds(5), 1.0);
        let (step, due) = machine.next();
        assert_eq!(step, Step::KeepAlive(LEASE));
        pauses.push((due - seconds(5)).as_millis());
    }
    assert_eq!(pauses[..5], [500, 1000, 2000, 4000, 5000]);
    assert_eq!(pauses[99], 5000);
    assert_eq!(machine.word(), "uncertain");
    machine.observe(Event::Failed, seconds(5), 0.0);
    assert_eq!(
        machine.next().1,
        seconds(5),
        "full jitter reaches down to 0"
    );
}

#[test]
fn x05_a_refused_write_makes_the_lease_doubtful_not_lost() {
    let mut machine = registered();
    check(
        &mut machine,
        seconds(5),
        &[
            (Event::HealthChanged, Step::Put(LEASE), seconds(5)),
            (
                Event::Failed,
                Step::KeepAlive(LEASE),
                Duration::from_millis(5500),
            ),
            (Event::KeptAlive, Step::Read, seconds(5)),
            (
                Event::Found(Stored::Ours),
                Step::KeepAlive(LEASE),
                seconds(10),
            ),
        ],
    );
    assert_eq!(machine.lease(), Some(LEASE));
}

#[test]
fn x05_a_successor_keeps_the_name_until_it_is_gone() {
    let mut machine = registered();
    check(
        &mut machine,
        seconds(5),
        &[
            (Event::KeptAlive, Step::Read, seconds(5)),
            (Event::Found(Stored::Successor), Step::Read, seconds(10)),
        ],
    );
    assert_eq!((machine.word(), machine.lease()), ("displaced", None));
    check(
        &mut machine,
        seconds(10),
        &[(Event::Found(Stored::Missing), Step::Grant, seconds(10))],
    );
}

fn record(uid: &str, started_at: &str) -> ServiceRecord {
    ServiceRecord {
        id: "streamer-0".to_owned(),
        service_type: "nexus-streamer".to_owned(),
        address: "10.1.2.3".to_owned(),
        port: 8081,
        metadata: BTreeMap::new(),
        health: "healthy".to_owned(),
        version: "0.1.0".to_owned(),
        registered_at: "2026-01-15T10:30:00Z".to_owned(),
        instance_uid: uid.to_owned(),
        started_at: started_at.to_owned(),
        lease_ttl: 15,
    }
}

#[test]
fn only_a_younger_process_on_a_lease_is_a_successor() {
    let ours = record("ours", "2026-01-15T10:30:00Z");
    let judged = |record: Result<ServiceRecord, String>, lease_remaining| {
        let key = ours.key();
        judge(
            Some(&Registered {
                key,
                record,
                lease_remaining,
            }),
            &ours,
        )
    };
    let older = || Ok(record("older", "2026-01-15T10:29:59.9Z"));
    let younger = || Ok(record("younger", "2026-01-15T10:30:00.1Z"));
    assert_eq!(judge(None, &ours), Stored::Missing);
    assert_eq!(judged(Ok(ours.clone()), Some(3)), Stored::Ours);
    assert_eq!(judged(Ok(ours.clone()), None), Stored::Missing);
    let edited = ServiceRecord {
        health: "unhealthy".to_owned(),
        ..ours.clone()
    };
    assert_eq!(judged(Ok(edited), Some(3)), Stored::Missing);
    assert_eq!(judged(older(), Some(3)), Stored::Missing);
    assert_eq!(judged(younger(), Some(3)), Stored::Successor);
    assert_eq!(judged(younger(), None), Stored::Missing);
    assert_eq!(judged(Err("no JSON".to_owned()), Some(3)), Stored::Missing);
}
