//! One name for a batch in all logs, from the file to the acknowledgement.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use telectl::model::source::{BatchId, IncarnationId};
use telectl::queue::{Entry, Queue as _};

use crate::pipeline::Worker;
use crate::program::LIMIT;
use crate::servers::eventually;

use super::{BATCHES, Lab, ROWS, status, until_drained};

/// What a worker told of each batch, in order.
type Lives = BTreeMap<String, Vec<Value>>;

/// Stops a worker and reads its logs.
async fn lives(worker: Worker) -> Lives {
    worker.program.signal("TERM");
    let (ended, log) = worker.program.end().await;
    assert_eq!(ended.code(), Some(0), "{log}");
    let mut lives = Lives::new();
    for line in log.lines() {
        let told: Value = serde_json::from_str(line).expect("every line is JSON");
        if let Some(batch) = told["batch"].as_str() {
            lives.entry(batch.to_owned()).or_default().push(told);
        }
    }
    lives
}

fn messages(life: &[Value]) -> Vec<&str> {
    life.iter()
        .filter_map(|told| told["message"].as_str())
        .collect()
}

#[tokio::test]
async fn o12_one_search_tells_the_whole_life_of_a_batch() {
    let Some(lab) = Lab::start().await else {
        return;
    };
    let workers = [lab.worker("streamer"), lab.worker("collector")];
    until_drained(&workers[0]).await;
    let [streamer, collector] = workers;
    let (sent, stored) = (lives(streamer).await, lives(collector).await);
    assert_eq!(
        sent.len() as u64,
        BATCHES + 1,
        "the batches and the end: {sent:?}"
    );
    assert!(sent.keys().eq(stored.keys()), "{sent:?} {stored:?}");
    let mut rows = [0, 0];
    for (batch, life) in &sent {
        let told = messages(life);
        let begins = match told.first() {
            Some(&"read") => "read",
            _ => "read to the end",
        };
        let whole = [
            begins,
            "spooled",
            "published",
            "acknowledged, and out of the spool",
        ];
        assert_eq!(told, whole, "{batch}");
        let there = &stored[batch];
        assert_eq!(
            messages(there),
            ["received", "committed", "acknowledged"],
            "{batch}"
        );
        // The place in the queue and the size are the same on both sides.
        for fact in ["shard", "position", "bytes"] {
            assert_eq!(life[2][fact], there[0][fact], "{batch}: {fact}");
        }
        if begins == "read" {
            rows[0] += life[0]["rows"].as_u64().unwrap_or(0);
            rows[1] += there[1]["rows"].as_u64().unwrap_or(0);
            assert_eq!(there[1]["outcome"], "stored", "{batch}");
        }
    }
    assert_eq!(rows, [ROWS, ROWS]);
}

#[tokio::test]
async fn o12_a_dead_letter_is_told_by_the_same_name() {
    let Some(lab) = Lab::start().await else {
        return;
    };
    let collector = lab.worker("collector");
    let id = BatchId {
        incarnation: IncarnationId("made-up".to_owned()),
        sequence: 7,
    };
    let entry = Entry {
        id: id.clone(),
        payload: Bytes::from_static(b"no message"),
    };
    lab.queue()
        .publish(entry)
        .await
        .expect("the queue takes it");
    eventually("the dead letter", LIMIT, async || {
        let status = status(&collector).await?;
        (status["details"]["collected"]["dead_letters"] == 1).then_some(())
    })
    .await;
    let lives = lives(collector).await;
    let life = &lives[&id.to_string()];
    assert_eq!(
        messages(life),
        ["received", "set aside as a dead letter", "acknowledged"]
    );
    assert_eq!(life[1]["level"], "ERROR");
    assert!(
        life[1]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("not a message"))
    );
}
