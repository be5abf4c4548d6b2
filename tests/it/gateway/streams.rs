//! What is added, as server-sent events over real HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde_json::Value;
use telectl::config::worker::GatewaySettings;
use telectl::store::Store as _;
use tokio::time::{Instant, timeout};

use crate::servers::eventually;
use crate::store_data::{MadeUp, uuid};
use crate::store_fixture::{InPostgres, InSqlite, StoreFixture};

use super::{Gateway, text};

/// Longer than any event takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A block of a stream: what stands between two empty lines.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Option<Value>,
    is_heartbeat: bool,
}

/// Reads events as the standard says; anything that it does not know fails.
struct Events {
    response: Response,
    text: String,
}

impl Events {
    async fn open(gateway: &Gateway, query: &str, last: Option<&str>) -> Self {
        let response = ask(gateway, query, last).await;
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], "text/event-stream");
        assert_eq!(headers["cache-control"], "no-cache");
        let mut events = Self {
            response,
            text: String::new(),
        };
        let greeting = events.next().await.unwrap();
        assert_eq!(greeting.data, None, "the first block has an id only");
        if let Some(last) = last {
            assert_eq!(greeting.id, last);
        }
        events
    }

    /// The next block; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let event = event(block);
                self.text = rest.to_owned();
                return Some(event);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let Some(chunk) = chunk.expect("an event in time").unwrap() else {
                assert_eq!(self.text, "", "cut off within an event");
                return None;
            };
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// So many samples.
    async fn samples(&mut self, count: usize) -> Vec<Event> {
        let mut samples = Vec::new();
        while samples.len() < count {
            let event = self.next().await.expect("the stream goes on");
            if event.data.is_some() {
                assert_eq!(event.kind, "message");
                samples.push(event);
            }
        }
        samples
    }
}

fn event(block: &str) -> Event {
    let mut event = Event {
        id: String::new(),
        kind: "message".to_owned(),
        data: None,
        is_heartbeat: false,
    };
    for line in block.lines() {
        match line.split_once(": ").unwrap() {
            ("id", id) => event.id = id.to_owned(),
            ("event", kind) => event.kind = kind.to_owned(),
            ("data", data) => event.data = Some(serde_json::from_str(data).unwrap()),
            ("retry", time) => assert_eq!(time, "2000"),
            ("", "heartbeat") => event.is_heartbeat = true,
            other => panic!("{other:?} in {block}"),
        }
    }
    assert!(!event.id.is_empty(), "without an id: {block}");
    event
}

async fn ask(gateway: &Gateway, query: &str, last: Option<&str>) -> Response {
    let mut request = gateway
        .client
        .get(format!("{}/api/v1/stream{query}", gateway.base));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    request.send().await.unwrap()
}

/// Time, metric and GPU: what tells the samples of a made-up source apart.
fn key(event: &Event) -> (String, String, String) {
    let data = event.data.as_ref().unwrap();
    (
        text(&data["timestamp"]),
        text(&data["metric"]),
        text(&data["uuid"]),
    )
}

async fn w13_a_stream_goes_on_after_every_event_without_loss_or_repetition(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let gateway = Gateway::of(store.clone(), None).await;
    let source = MadeUp::of("edge", "a.csv", 1_500);
    let batches = source.cut(100);
    store.store(&batches[..2]).await.unwrap();
    fixture.settle().await;
    let mut events = Events::open(&gateway, "", None).await;
    let rows: usize = batches[2..].iter().map(|batch| batch.rows.len()).sum();
    let writer = tokio::spawn(async move {
        for batch in batches[2..].iter().rev() {
            store.store(std::slice::from_ref(batch)).await.unwrap();
        }
    });
    let mut seen: BTreeMap<_, u32> = BTreeMap::new();
    let mut left = rows;
    // Ever more at a time, and in between the connection is lost.
    let mut count = 1;
    while left > 0 {
        let samples = events.samples(count.min(left)).await;
        left -= samples.len();
        for sample in &samples {
            *seen.entry(key(sample)).or_default() += 1;
        }
        let last = samples.last().unwrap().id.clone();
        drop(events);
        events = Events::open(&gateway, "", Some(&last)).await;
        count *= 3;
    }
    writer.await.unwrap();
    assert_eq!(seen.len(), rows);
    assert!(seen.values().all(|times| *times == 1));
    // Nothing more comes than that nothing comes.
    let rest = timeout(Duration::from_millis(2_500), events.next()).await;
    assert!(rest.is_err(), "{rest:?}");
}

async fn w13_a_stream_is_of_what_was_asked_for(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 200);
    let batches = source.cut(100);
    store.store(&batches[..1]).await.unwrap();
    let gateway = Gateway::of(store.clone(), None).await;
    let uuid = uuid(0);
    let mut by_gpu = Events::open(&gateway, &format!("?gpu={uuid}"), None).await;
    let mut by_place = Events::open(&gateway, "?gpu=host-0:0&metric=METRIC_1", None).await;
    let mut by_host = Events::open(&gateway, "?host=host-1", None).await;
    store.store(&batches[1..]).await.unwrap();
    for event in by_gpu.samples(20).await {
        assert_eq!(event.data.unwrap()["uuid"], uuid);
    }
    for event in by_place.samples(5).await {
        let data = event.data.unwrap();
        assert_eq!(data["metric"], "METRIC_1");
        assert_eq!(data["uuid"], uuid);
    }
    for event in by_host.samples(20).await {
        assert_eq!(event.data.unwrap()["hostname"], "host-1");
    }
    gateway
        .problem("/api/v1/stream?gpu=nowhere:0", 404, "no GPU")
        .await;
    for wrong in ["last_event_id=x", "last_event_id=", "gpus=x"] {
        let path = format!("/api/v1/stream?{wrong}");
        gateway.problem(&path, 400, "must be").await;
    }
    let refused = ask(&gateway, "", Some("x")).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

async fn w13_a_stream_of_other_data_begins_anew_and_says_so(fixture: &impl StoreFixture) {
    let other = InSqlite::prepared().await.unwrap().open();
    let before = Gateway::of(other, None).await;
    let response = ask(&before, "", None).await;
    let mut events = Events {
        response,
        text: String::new(),
    };
    let foreign = events.next().await.unwrap().id;
    let store = fixture.open();
    let gateway = Gateway::of(store.clone(), None).await;
    let response = ask(&gateway, &format!("?last_event_id={foreign}"), None).await;
    let mut events = Events {
        response,
        text: String::new(),
    };
    let greeting = events.next().await.unwrap();
    let reset = events.next().await.unwrap();
    assert_eq!(reset.kind, "reset");
    assert_ne!(reset.id, foreign);
    assert_eq!(reset.id, greeting.id);
    store
        .store(&MadeUp::of("edge", "a.csv", 5).cut(5))
        .await
        .unwrap();
    assert_eq!(events.samples(5).await.len(), 5);
}

#[tokio::test]
async fn w13_streams_are_bounded_in_number_and_the_place_is_free_again() {
    let fixture = InSqlite::prepared().await.unwrap();
    let settings = GatewaySettings {
        stream_limit: 2,
        ..GatewaySettings::default()
    };
    let gateway = Gateway::with(fixture.open(), settings).await;
    let first = Events::open(&gateway, "", None).await;
    let _second = Events::open(&gateway, "", None).await;
    assert!(gateway.metrics().contains("telectl_gateway_streams 2"));
    let problem = gateway
        .problem("/api/v1/stream", 503, "STREAM_LIMIT allows")
        .await;
    assert_eq!(problem["type"], "/docs#streams");
    // The other routes answer.
    gateway.ok("/api/v1/gpus").await;
    drop(first);
    eventually("a free place", PATIENCE, async || {
        let status = ask(&gateway, "", None).await.status();
        (status == StatusCode::OK).then_some(())
    })
    .await;
}

/// It outlives the longest time for an answer, says that it is alive, and ends with the gateway.
#[tokio::test]
async fn w13_a_silent_stream_lives_until_the_gateway_stops() {
    let fixture = InSqlite::prepared().await.unwrap();
    let store = fixture.open();
    let mut gateway = Gateway::of(store.clone(), None).await;
    let mut events = Events::open(&gateway, "?metric=METRIC_0", None).await;
    let begun = Instant::now();
    let source = MadeUp::of("edge", "a.csv", 300);
    // Nothing of it is asked for, but the place moves on.
    let mut batch = source.batch(3..6);
    batch.quarantined.clear();
    store.store(&[batch]).await.unwrap();
    let heartbeats = [events.next().await.unwrap(), events.next().await.unwrap()];
    assert!(begun.elapsed() > Duration::from_secs(16), "{heartbeats:?}");
    assert!(
        heartbeats.iter().all(|it| it.is_heartbeat),
        "{heartbeats:?}"
    );
    store.store(&[source.batch(14..22)]).await.unwrap();
    let samples = events.samples(3).await;
    assert_ne!(samples[0].id, heartbeats[1].id);
    let mut again = Events::open(&gateway, "?metric=METRIC_0", Some(&heartbeats[1].id)).await;
    assert_eq!(again.samples(3).await, samples);
    gateway.stop.cancel();
    assert_eq!(events.next().await, None);
    assert_eq!(again.next().await, None);
    let ended = timeout(PATIENCE, &mut gateway.task).await;
    ended.expect("the gateway ends").unwrap().unwrap();
}

#[tokio::test]
async fn w13_a_stream_outlasts_an_outage_of_the_store() {
    let Some(mut server) = crate::servers::postgres::PostgresServer::start(None).await else {
        return;
    };
    let settings = server.database();
    let store = telectl::store::postgres::PostgresStore::new(&settings).unwrap();
    store.migrate().await.unwrap();
    let gateway = Gateway::of(store.clone(), None).await;
    let mut events = Events::open(&gateway, "", None).await;
    server.stop();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = ask(&gateway, "", None).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    server.start_again().await;
    let batches = MadeUp::of("edge", "a.csv", 5).cut(5);
    let deadline = Instant::now() + PATIENCE;
    while store.store(&batches).await.is_err() {
        assert!(Instant::now() < deadline, "the store does not come back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(events.samples(5).await.len(), 5);
}

super::claims!(
    w13_a_stream_goes_on_after_every_event_without_loss_or_repetition,
    w13_a_stream_is_of_what_was_asked_for,
    w13_a_stream_of_other_data_begins_anew_and_says_so,
);
