//! Sending canaries to a real Redis.

use telectl::config::environment::Environment;
use telectl::model::batch::Message;
use telectl::model::canary::CanaryId;
use telectl::model::component::Component;
use telectl::probe::Cause;
use telectl::probe::canary::{CanaryReport, Sending};
use telectl::queue::codec;
use telectl::queue::redis::RedisQueue;
use telectl::workers::probe::{ProbeRequest, send_canaries};

use super::no_resolver;
use super::redis::{PASSWORD, protected};
use crate::conformance::queue::receive;
use crate::servers::redis::RedisServer;

/// As the sender's pod reports it: through its log.
async fn sent(server: &RedisServer, password: &str, ids: &[CanaryId]) -> CanaryReport {
    let settings = server.settings();
    let url = format!("redis://{}", settings.servers);
    let environment = Environment::from([
        ("REDIS_URL", url.as_str()),
        ("REDIS_PASSWORD", password),
        ("PIPELINE", &settings.pipeline),
        ("CLUSTER_ID", "edge-7"),
    ]);
    let request = ProbeRequest {
        component: Component::Streamer,
        http: Vec::new(),
        resolver: no_resolver(),
    };
    let report = send_canaries(&environment, &request, ids).await;
    let log = format!("noise\n{}more noise\n", report.encode().expect("JSON"));
    assert!(
        !log.contains(PASSWORD) && !log.contains("a-wrong-one"),
        "{log}"
    );
    CanaryReport::decode(&log).expect("a report")
}

#[tokio::test]
async fn v10_canaries_are_published_over_all_shards_and_timed() {
    let Some(server) = protected().await else {
        return;
    };
    let ids: Vec<CanaryId> = (0..4).map(CanaryId::of).collect();
    let report = sent(&server, PASSWORD, &ids).await;
    assert_eq!(report.failure(), None);
    let mut shards = Vec::new();
    for (id, canary) in ids.iter().zip(&report.canaries) {
        assert_eq!(canary.id, id.as_str());
        let Sending::Published {
            shard,
            published_at,
            took_ms,
        } = &canary.outcome
        else {
            panic!("{canary:?}");
        };
        shards.push(*shard);
        assert!(*took_ms > 0.0);
        let late = published_at.as_millisecond() - canary.sent_at.as_millisecond();
        assert!(
            (0..=took_ms.ceil() as i64 + 1).contains(&late),
            "{canary:?}"
        );
    }
    assert_eq!(shards, [0, 1, 0, 1]);
    let queue = RedisQueue::new(&server.settings()).unwrap();
    for delivery in receive(&queue, "a", 4).await {
        let Ok(Message::Canary(canary)) = codec::decode(&delivery.entry.payload) else {
            panic!("{delivery:?}");
        };
        assert_eq!(canary.route, delivery.entry.id);
        assert_eq!(canary.cluster, "edge-7");
    }
}

#[tokio::test]
async fn v10_what_keeps_a_canary_out_of_the_queue_is_named() {
    let Some(mut server) = protected().await else {
        return;
    };
    let ids = [CanaryId::of(1)];
    let report = sent(&server, "a-wrong-one", &ids).await;
    let (cause, detail) = report.failure().unwrap();
    assert_eq!(cause, Cause::AuthenticationFailed, "{detail}");
    assert!(detail.contains("authentication at 127.0.0.1"), "{detail}");
    // Everything answers, and takes no entries.
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let report = sent(&server, PASSWORD, &ids).await;
    assert!(report.redis.failed_hop().is_none(), "{report:?}");
    let (cause, detail) = report.failure().unwrap();
    assert_eq!(cause, Cause::ReadOnly);
    assert!(detail.contains("out of memory"), "{detail}");
    server.stop();
    let report = sent(&server, PASSWORD, &ids).await;
    assert_eq!(report.failure().unwrap().0, Cause::Refused);
}
