//! Canaries in a store: found by name, counted nowhere, forgotten in time.

use jiff::Timestamp;
use telectl::model::canary::{Canary, CanaryId};
use telectl::model::time::EventTime;
use telectl::store::Store as _;
use telectl::store::canary::CanaryArrival;

use crate::store_fixture::StoreFixture;

pub(crate) fn arrival(number: u128) -> CanaryArrival {
    let time = |text: &str| -> Timestamp { text.parse().unwrap() };
    CanaryArrival {
        canary: Canary {
            route: Canary::route(0),
            id: CanaryId::of(number),
            cluster: "edge".to_owned(),
            sent_at: EventTime::from(time("2025-07-18T12:00:00.000001Z")),
        },
        published_at: time("2025-07-18T12:00:00.005Z"),
        received_at: time("2025-07-18T12:00:00.25Z"),
        collector: "collector-0".to_owned(),
    }
}

/// A canary is found with all its times, is stored once however often it is delivered, and is in
/// no list and no count.
pub(crate) async fn v10_a_canary_is_found_and_counts_for_nothing(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let arrival = arrival(1);
    let id = &arrival.canary.id;
    assert_eq!(store.canary(id).await.unwrap(), None);
    let token = store.note_canary(&arrival).await.unwrap();
    assert_eq!(token, store.token().await.unwrap());
    let found = store.canary(id).await.unwrap().unwrap();
    assert_eq!(found.id, id.as_str());
    assert_eq!(found.cluster, "edge");
    assert_eq!(found.sent_at.as_microsecond(), arrival.canary.sent_at.0);
    assert_eq!(found.published_at, arrival.published_at);
    assert_eq!(found.received_at, arrival.received_at);
    assert_eq!(found.collector, "collector-0");
    assert_eq!(found.deliveries, 1);
    let age = Timestamp::now().duration_since(found.stored_at);
    assert!(age.as_secs().abs() < 60, "{age:?}");
    let mut again = arrival.clone();
    again.collector = "collector-1".to_owned();
    store.note_canary(&again).await.unwrap();
    let twice = store.canary(id).await.unwrap().unwrap();
    assert_eq!(twice.deliveries, 2);
    assert_eq!(
        (twice.stored_at, &twice.collector),
        (found.stored_at, &found.collector)
    );
    assert_eq!(store.canary(&CanaryId::of(2)).await.unwrap(), None);
    assert_eq!(store.sources().await.unwrap(), Vec::new());
    let statistics = store.statistics().await.unwrap();
    assert_eq!((statistics.total_records, statistics.unique_series), (0, 0));
    assert_eq!(fixture.count("sample") + fixture.count("ledger"), 0);
}

/// Whatever arrives lets go of what is older than a day, and of what is too much.
pub(crate) async fn v10_old_canaries_are_forgotten(fixture: &impl StoreFixture) {
    let store = fixture.open();
    for number in 0..3 {
        store.note_canary(&arrival(number)).await.unwrap();
    }
    fixture.age_canary(CanaryId::of(0).as_str(), 25);
    fixture.age_canary(CanaryId::of(1).as_str(), 23);
    store.note_canary(&arrival(3)).await.unwrap();
    assert_eq!(store.canary(&CanaryId::of(0)).await.unwrap(), None);
    for number in 1..=3 {
        assert!(store.canary(&CanaryId::of(number)).await.unwrap().is_some());
    }
    // Many at once: only the newest stay.
    fixture.sql(
        "INSERT INTO canary (id, cluster, sent_at, published_at, received_at, stored_at, collector)
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10500)
         SELECT 'many ' || n, cluster, sent_at, published_at, received_at, stored_at, collector
         FROM canary CROSS JOIN number WHERE id = '00000000000000000000000000000001'",
    );
    store.note_canary(&arrival(4)).await.unwrap();
    assert!(store.canary(&CanaryId::of(4)).await.unwrap().is_some());
    assert_eq!(fixture.count("canary"), 10_000);
}
