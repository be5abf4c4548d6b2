use std::collections::BTreeMap;

use super::*;
use crate::registry::watch::changes::Change;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_752_840_000 + second).unwrap()
}

fn name(id: &str) -> Name {
    ("edge".to_owned(), id.to_owned())
}

fn record_of(service_type: &str, id: &str, pipeline: Option<&str>) -> ServiceRecord {
    let mut metadata = BTreeMap::from([
        ("cluster_id".to_owned(), "edge".to_owned()),
        ("endpoint".to_owned(), "10.1.2.3:8081".to_owned()),
    ]);
    if let Some(pipeline) = pipeline {
        metadata.insert("pipeline".to_owned(), pipeline.to_owned());
    }
    ServiceRecord {
        id: id.to_owned(),
        service_type: service_type.to_owned(),
        address: "10.1.2.3".to_owned(),
        port: 8081,
        metadata,
        health: "healthy".to_owned(),
        version: "0.1.0".to_owned(),
        registered_at: String::new(),
        instance_uid: "one".to_owned(),
        started_at: String::new(),
        lease_ttl: 15,
    }
}

fn registered(record: &ServiceRecord) -> News {
    News::Changed(vec![Change::Registered {
        key: record.key(),
        now: Seen {
            record: Ok(record.clone()),
            lease: None,
        },
    }])
}

fn streamers() -> (Streamers, Vitals) {
    let vitals = Vitals::default();
    (Streamers::of("ours", &vitals), vitals)
}

/// The counts, in the order registered, silent, unregistered.
fn counts(streamers: &Streamers, now: Timestamp) -> [Option<usize>; 3] {
    streamers.known().counts(now).map(|(_, count)| count)
}

#[test]
fn x11_who_is_registered_and_who_sends_are_compared() {
    let (streamers, _) = streamers();
    streamers.note(News::Began(Vec::new()));
    streamers.note(registered(&record_of("nexus-streamer", "a", None)));
    streamers.note(registered(&record_of("nexus-streamer", "b", Some("ours"))));
    streamers.note(registered(&record_of("nexus-streamer", "c", Some("other"))));
    streamers.note(registered(&record_of("nexus-gateway", "d", None)));
    for _ in 0..2 {
        streamers.known().note_data(name("a"), 10, at(1));
    }
    streamers.known().note_data(name("z"), 5, at(2));
    assert_eq!(counts(&streamers, at(3)), [Some(2), Some(1), Some(1)]);
    let page = streamers.known().page(at(3));
    let rows: Vec<String> = page["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let Value::String(id) = &row["id"] else {
                panic!("{row}")
            };
            let (known, rows, last) = (&row["registered"], &row["rows"], &row["last_data"]);
            format!("{id} {known} {rows} {last}")
        })
        .collect();
    let [first, second] = [1, 2].map(|second| at(second).to_string());
    assert_eq!(
        rows,
        [
            format!("a true 20 \"{first}\""),
            "b true 0 null".to_owned(),
            format!("z false 5 \"{second}\""),
        ]
    );
    let gone = record_of("nexus-streamer", "a", None);
    streamers.note(News::Changed(vec![Change::Gone {
        key: gone.key(),
        before: Seen {
            record: Ok(gone),
            lease: None,
        },
    }]));
    assert_eq!(counts(&streamers, at(3)), [Some(1), Some(1), Some(2)]);
}

#[test]
fn x11_what_a_registry_said_is_kept_while_it_is_away_and_nothing_is_made_up() {
    let (streamers, vitals) = streamers();
    streamers.known().note_data(name("a"), 1, at(0));
    streamers.show(&vitals);
    let page = vitals.details()["streamers"].clone();
    assert_eq!(page["registry"], "not configured");
    assert_eq!(page["list"][0]["registered"], Value::Null);
    assert_eq!(page["counts"]["unregistered"], Value::Null);
    streamers.note(News::Began(Vec::new()));
    streamers.note(registered(&record_of("nexus-streamer", "a", None)));
    streamers.note(News::Away("refused".to_owned()));
    let page = streamers.known().page(at(1));
    let words = page["registry"].as_str().unwrap();
    assert!(
        words.starts_with("away") && words.ends_with("refused"),
        "{words}"
    );
    assert_eq!(page["list"][0]["registered"], true);
    streamers.note(News::Back);
    assert_eq!(streamers.known().page(at(1))["registry"], "followed");
}

#[test]
fn x11_who_sends_no_more_is_forgotten_and_names_are_not_remembered_without_end() {
    let (streamers, _) = streamers();
    streamers.note(News::Began(Vec::new()));
    streamers.note(registered(&record_of("nexus-streamer", "a", None)));
    streamers.known().note_data(name("a"), 1, at(0));
    streamers.known().note_data(name("gone"), 1, at(0));
    assert_eq!(counts(&streamers, at(299))[2], Some(1));
    assert_eq!(counts(&streamers, at(301))[2], Some(0), "it sends no more");
    streamers.known().forget(at(3599));
    assert_eq!(streamers.known().heard.len(), 2);
    streamers.known().forget(at(3601));
    assert_eq!(streamers.known().heard.len(), 1, "the registered one stays");
    for number in 0..2000 {
        streamers
            .known()
            .note_data(name(&format!("made-up-{number}")), 1, at(0));
    }
    streamers.known().note_data(name("a"), 1, at(5));
    let known = streamers.known();
    assert_eq!(known.heard.len(), REMEMBERED);
    assert_eq!(known.heard[&name("a")].batches, 2);
    let page = known.page(at(5));
    assert_eq!(page["list"].as_array().unwrap().len(), SHOWN);
    assert_eq!(page["not_shown"], REMEMBERED - SHOWN);
}
