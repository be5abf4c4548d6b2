//! What every registry has to do; run against the table in the process and against etcd.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::time::Duration;

use telectl::model::service_record::ServiceRecord;
use telectl::registry::memory::MemoryRegistry;
use telectl::registry::{KeepAlive, LeaseId, Registry};

use crate::registry_support::record;
use crate::servers::etcd::EtcdServer;
use crate::servers::eventually;

/// The shortest that etcd grants with its default election time.
const TTL: Duration = Duration::from_secs(2);

/// Longest time for an expired lease to be gone: etcd looks twice a second, a busy machine later.
const EXPIRY_LIMIT: Duration = Duration::from_secs(10);

macro_rules! conformance {
    ($($claim:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $claim() {
                super::$claim(super::MemoryRegistry::default()).await;
            })*
        }
        mod etcd {
            $(#[tokio::test]
            async fn $claim() {
                if let Some(server) = super::EtcdServer::start().await {
                    super::$claim(server.registry()).await;
                }
            })*
        }
    };
}

conformance![
    x03_a_record_is_found_under_its_key_with_the_life_of_its_lease,
    x05_a_lease_that_is_not_kept_alive_takes_its_record_with_it,
    x05_a_lease_that_is_kept_alive_stays,
    x05_a_record_that_moved_to_a_new_lease_outlives_the_old_one,
    x05_a_lost_lease_is_an_answer_not_an_error,
    x06_revoking_a_lease_removes_its_record_at_once,
    x03_the_list_is_ordered_and_has_one_record_per_key,
];

async fn registered<R: Registry>(registry: &R, record: &ServiceRecord) -> LeaseId {
    let lease = registry.grant(TTL).await.unwrap();
    registry.put(record, lease).await.unwrap();
    lease
}

async fn x03_a_record_is_found_under_its_key_with_the_life_of_its_lease(registry: impl Registry) {
    let record = record("nexus-streamer", "streamer-0");
    assert_eq!(registry.get(&record.key()).await.unwrap(), None);
    registered(&registry, &record).await;
    let found = registry.get(&record.key()).await.unwrap().unwrap();
    assert_eq!(found.key, "/services/nexus-streamer/streamer-0");
    assert_eq!(found.record, Ok(record));
    let remaining = found.lease_remaining.unwrap();
    assert!((0..=2).contains(&remaining), "{remaining} s");
}

async fn x05_a_lease_that_is_not_kept_alive_takes_its_record_with_it(registry: impl Registry) {
    let record = record("nexus-streamer", "streamer-0");
    registered(&registry, &record).await;
    eventually("the lease to run out", EXPIRY_LIMIT, async || {
        let found = registry.get(&record.key()).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    assert_eq!(registry.list().await.unwrap(), []);
}

async fn x05_a_lease_that_is_kept_alive_stays(registry: impl Registry) {
    let record = record("nexus-streamer", "streamer-0");
    let lease = registered(&registry, &record).await;
    let started = tokio::time::Instant::now();
    eventually("three lives of the lease", TTL * 4, async || {
        let answer = registry.keep_alive(lease).await.unwrap();
        assert_eq!(answer, KeepAlive::Alive { ttl: TTL });
        assert!(registry.get(&record.key()).await.unwrap().is_some());
        (started.elapsed() > TTL * 3).then_some(())
    })
    .await;
}

async fn x05_a_record_that_moved_to_a_new_lease_outlives_the_old_one(registry: impl Registry) {
    let record = record("nexus-streamer", "streamer-0");
    let old = registered(&registry, &record).await;
    let new = registered(&registry, &record).await;
    assert_ne!(old, new);
    registry.revoke(old).await.unwrap();
    let found = registry.get(&record.key()).await.unwrap();
    assert!(
        found.is_some(),
        "the record went with a lease it was not on"
    );
}

async fn x05_a_lost_lease_is_an_answer_not_an_error(registry: impl Registry) {
    let record = record("nexus-streamer", "streamer-0");
    let lease = registered(&registry, &record).await;
    registry.revoke(lease).await.unwrap();
    assert_eq!(registry.keep_alive(lease).await.unwrap(), KeepAlive::Gone);
    registry.revoke(lease).await.unwrap();
    registry.put(&record, lease).await.unwrap_err();
    assert_eq!(registry.get(&record.key()).await.unwrap(), None);
}

async fn x06_revoking_a_lease_removes_its_record_at_once(registry: impl Registry) {
    let (first, second) = (
        record("nexus-streamer", "streamer-0"),
        record("nexus-streamer", "streamer-1"),
    );
    let lease = registered(&registry, &first).await;
    registered(&registry, &second).await;
    registry.revoke(lease).await.unwrap();
    assert_eq!(registry.get(&first.key()).await.unwrap(), None);
    assert!(registry.get(&second.key()).await.unwrap().is_some());
}

async fn x03_the_list_is_ordered_and_has_one_record_per_key(registry: impl Registry) {
    assert_eq!(registry.list().await.unwrap(), []);
    for (service_type, id) in [
        ("nexus-streamer", "streamer-1"),
        ("nexus-collector", "collector-0"),
        ("nexus-streamer", "streamer-0"),
        ("nexus-gateway", "gateway-0"),
        ("nexus-streamer", "streamer-1"),
    ] {
        registered(&registry, &record(service_type, id)).await;
    }
    let keys: Vec<String> = registry
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|registered| registered.key)
        .collect();
    assert_eq!(
        keys,
        [
            "/services/nexus-collector/collector-0",
            "/services/nexus-gateway/gateway-0",
            "/services/nexus-streamer/streamer-0",
            "/services/nexus-streamer/streamer-1",
        ]
    );
}
