//! What is added is read in its order, each sample once.

use telectl::model::batch::Batch;
use telectl::store::{Additions, AdditionsQuery, Progress, Store, TelemetryPoint};

use crate::store_data::{MadeUp, uuid};
use crate::store_fixture::StoreFixture;

/// Where the end is now.
pub(crate) async fn end(store: &impl Store) -> Progress {
    let found = store.additions(&AdditionsQuery::default()).await.unwrap();
    assert_eq!(found.samples, []);
    assert_eq!(found.next, found.end);
    found.next
}

async fn page(store: &impl Store, query: &AdditionsQuery) -> Additions {
    let found = store.additions(query).await.unwrap();
    assert!(found.samples.len() <= query.limit as usize);
    found
}

/// Everything from there on, in pages of `query.limit`.
pub(crate) async fn follow(store: &impl Store, mut query: AdditionsQuery) -> Vec<TelemetryPoint> {
    let mut all = Vec::new();
    loop {
        let found = page(store, &query).await;
        all.extend(found.samples.into_iter().map(|(_, sample)| sample));
        query.from = Some(found.next);
        assert!(all.len() < 100_000, "the pages do not end");
        if !found.has_more {
            return all;
        }
    }
}

fn samples(batches: &[Batch]) -> Vec<(i64, Option<f64>)> {
    let mut samples: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.rows.time.iter().zip(&batch.rows.value))
        .map(|(time, value)| (time.0, *value))
        .collect();
    samples.sort_by_key(|(time, _)| *time);
    samples
}

fn seen(points: &[TelemetryPoint]) -> Vec<(i64, Option<f64>)> {
    let mut seen: Vec<_> = points
        .iter()
        .map(|point| (point.timestamp.as_microsecond(), point.value))
        .collect();
    seen.sort_by_key(|(time, _)| *time);
    seen
}

/// In pages of any size, from any place, whatever the event times are.
pub(crate) async fn w13_what_is_added_is_read_once(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 300);
    let mut batches = source.cut(30);
    store.store(&batches[..1]).await.unwrap();
    fixture.settle().await;
    let start = end(&store).await;
    // The later ones first, and several in one transaction.
    batches.reverse();
    batches.pop();
    for group in batches.chunks(4) {
        store.store(group).await.unwrap();
    }
    fixture.settle().await;
    let expected = samples(&batches);
    let query = |limit| AdditionsQuery {
        from: Some(start),
        limit,
        ..AdditionsQuery::default()
    };
    let whole = follow(&store, query(1_000)).await;
    assert_eq!(seen(&whole), expected);
    for limit in [1, 7, 100] {
        assert_eq!(follow(&store, query(limit)).await, whole, "limit {limit}");
    }
    // From behind every sample on, the rest comes.
    let first = page(&store, &query(1_000)).await;
    for (place, (progress, _)) in first.samples.iter().enumerate().step_by(13) {
        let query = AdditionsQuery {
            from: Some(*progress),
            ..query(1_000)
        };
        assert_eq!(follow(&store, query).await, whole[place + 1..]);
    }
    assert!(first.samples.is_sorted_by_key(|(progress, _)| *progress));
}

/// What somebody else wants is passed over, and what was stored already adds nothing.
pub(crate) async fn w13_additions_are_selected_and_not_repeated(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 200);
    let start = end(&store).await;
    store.store(&source.cut(50)).await.unwrap();
    fixture.settle().await;
    let all = AdditionsQuery {
        from: Some(start),
        limit: 5,
        ..AdditionsQuery::default()
    };
    let whole = follow(&store, all.clone()).await;
    let queries = [
        AdditionsQuery {
            uuid: Some(uuid(1)),
            ..all.clone()
        },
        AdditionsQuery {
            hostname: Some("host-1".to_owned()),
            ..all.clone()
        },
        AdditionsQuery {
            metric: Some("METRIC_1".to_owned()),
            ..all.clone()
        },
        AdditionsQuery {
            hostname: Some("host-0".to_owned()),
            metric: Some("METRIC_1".to_owned()),
            ..all.clone()
        },
    ];
    for query in queries {
        let wanted = |point: &&TelemetryPoint| {
            query.uuid.as_ref().is_none_or(|uuid| point.uuid == *uuid)
                && query
                    .hostname
                    .as_ref()
                    .is_none_or(|it| point.hostname == *it)
                && query.metric.as_ref().is_none_or(|it| point.metric == *it)
        };
        let expected: Vec<TelemetryPoint> = whole.iter().filter(wanted).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < whole.len());
        assert_eq!(follow(&store, query.clone()).await, expected, "{query:?}");
    }
    let now = end(&store).await;
    assert_ne!(now, start);
    store.store(&source.cut(40)).await.unwrap();
    fixture.settle().await;
    let again = AdditionsQuery {
        from: Some(now),
        ..all
    };
    assert_eq!(follow(&store, again).await, []);
}
