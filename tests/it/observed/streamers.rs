//! Which streamers a collector knows, with a real registry that comes and goes.

use std::time::Duration;

use serde_json::Value;
use telectl::model::batch::{Batch, Message};
use telectl::queue::{Entry, Queue as _, codec};
use telectl::registry::Registry as _;

use crate::pipeline::Worker;
use crate::program::LIMIT;
use crate::registry_support::record;
use crate::servers::etcd::Data;
use crate::servers::eventually;
use crate::store_data::MadeUp;

use super::{Lab, ROWS, status, until_drained};

/// Sends batches under the name of a streamer that runs nowhere.
async fn send(lab: &Lab, streamer: &str, batches: Vec<Batch>) {
    for batch in batches {
        let batch = Batch {
            streamer: streamer.to_owned(),
            ..batch
        };
        let message = Message::Batch(batch);
        let id = message.id().clone();
        let payload = codec::encode(&message).expect("a sound batch");
        let entry = Entry { id, payload };
        lab.queue()
            .publish(entry)
            .await
            .expect("the queue takes it");
    }
}

/// Waits until the collector's page shows its streamers as `wanted`.
async fn shown(collector: &Worker, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, LIMIT, async || {
        let page = status(collector).await?["details"]["streamers"].clone();
        wanted(&page).then_some(page)
    })
    .await
}

fn row<'a>(page: &'a Value, id: &str) -> &'a Value {
    let rows = page["list"].as_array();
    let found = rows.and_then(|rows| rows.iter().find(|row| row["id"] == id));
    found.unwrap_or(&Value::Null)
}

async fn rows(collector: &Worker, wanted: u64) {
    eventually("the rows", LIMIT, async || {
        let page = status(collector).await?;
        (page["details"]["collected"]["rows"] == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn x11_a_collector_tells_which_streamers_are_registered_and_which_of_them_send() {
    let Some(lab) = Lab::start().await else {
        return;
    };
    let registry = lab.etcd.registry();
    let lease = registry
        .grant(Duration::from_secs(300))
        .await
        .expect("a lease");
    let silent = record("nexus-streamer", "silent");
    registry.put(&silent, lease).await.expect("a registration");
    let collector = lab.worker("collector");
    let page = shown(&collector, "the silent one", |page| {
        page["counts"]["silent"] == 1 && page["registry"] == "followed"
    })
    .await;
    assert_eq!(row(&page, "silent")["last_data"], Value::Null, "{page}");
    assert_eq!(row(&page, "silent")["registered"], true, "{page}");

    let streamer = lab.worker("streamer");
    until_drained(&streamer).await;
    let source = MadeUp::of("far", "b.csv", 40);
    send(&lab, "stranger", source.cut(40)).await;
    let page = shown(&collector, "all three", |page| {
        page["counts"]["registered"] == 2 && page["counts"]["unregistered"] == 1
    })
    .await;
    assert_eq!(page["counts"]["silent"], 1, "{page}");
    let known = row(&page, "streamer-x");
    assert_eq!(
        (&known["registered"], &known["cluster"]),
        (&true.into(), &"edge".into())
    );
    assert_eq!(
        (&known["rows"], &known["batches"]),
        (&ROWS.into(), &25.into()),
        "{page}"
    );
    assert!(known["last_data"].is_string(), "{page}");
    let stranger = row(&page, "stranger");
    assert_eq!(
        (&stranger["registered"], &stranger["cluster"]),
        (&false.into(), &"far".into())
    );
    assert_eq!(stranger["rows"], source.rows());

    registry.revoke(lease).await.expect("it can be revoked");
    let page = shown(&collector, "the silent one to go", |page| {
        page["counts"]["silent"] == 0
    })
    .await;
    assert_eq!(row(&page, "silent"), &Value::Null, "{page}");
}

#[tokio::test]
async fn x11_data_goes_on_while_the_registry_is_away() {
    let Some(mut lab) = Lab::start().await else {
        return;
    };
    lab.etcd.stop();
    let collector = lab.worker("collector");
    let [first, second] = ["a.csv", "b.csv"].map(|name| MadeUp::of("edge", name, 40));
    send(&lab, "early", first.cut(10)).await;
    rows(&collector, first.rows()).await;
    let page = shown(&collector, "who sent", |page| {
        row(page, "early")["batches"] == 4
    })
    .await;
    assert_eq!(
        row(&page, "early")["registered"],
        Value::Null,
        "nobody knows: {page}"
    );
    assert_eq!(
        page["counts"]["unregistered"],
        Value::Null,
        "nobody knows: {page}"
    );

    lab.etcd.start_again(Data::Kept).await;
    shown(&collector, "an answer", |page| {
        row(page, "early")["registered"] == false
    })
    .await;
    lab.etcd.stop();
    let is_away = |page: &Value| {
        page["registry"]
            .as_str()
            .is_some_and(|word| word.starts_with("away"))
    };
    shown(&collector, "the registry to be away", is_away).await;
    send(&lab, "early", second.cut(10)).await;
    rows(&collector, first.rows() + second.rows()).await;
    let page = shown(&collector, "what came meanwhile", |page| {
        row(page, "early")["batches"] == 8
    })
    .await;
    assert!(is_away(&page), "{page}");
    let health = status(&collector).await.expect("it answers");
    assert_eq!(health["status"], "healthy", "{health}");
}
