//! A registration on a real etcd that is killed, frozen, wiped and tampered with.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, DeleteOptions};
use telectl::model::service_record::ServiceRecord;
use telectl::registry::etcd::EtcdRegistry;
use telectl::registry::registration::{self, Report, Worker};
use telectl::registry::{LeaseId, Registry as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::registry_support::record;
use crate::servers::etcd::{Data, EtcdOptions, EtcdServer};
use crate::servers::{Certificates, eventually};

/// The leases of these tests live for 3 s; a third of that, a pause and a slow machine.
const REPAIR_LIMIT: Duration = Duration::from_secs(15);

/// A registration that runs until it is stopped.
struct Running {
    registry: EtcdRegistry,
    record: ServiceRecord,
    stop: CancellationToken,
    task: JoinHandle<()>,
    healthy: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Report>>>,
}

impl Running {
    fn start(registry: EtcdRegistry) -> Self {
        let record = record("nexus-streamer", "streamer-0");
        let stop = CancellationToken::new();
        let healthy = Arc::new(AtomicBool::new(true));
        let last = Arc::new(Mutex::new(None));
        let worker = Worker {
            is_healthy: {
                let healthy = Arc::clone(&healthy);
                move || healthy.load(Ordering::SeqCst)
            },
            tell: {
                let last = Arc::clone(&last);
                move |report| *last.lock().unwrap() = Some(report)
            },
        };
        let task = {
            let (registry, record, stop) = (registry.clone(), record.clone(), stop.clone());
            tokio::spawn(async move { registration::run(&registry, record, worker, &stop).await })
        };
        Self {
            registry,
            record,
            stop,
            task,
            healthy,
            last,
        }
    }

    async fn stored(&self) -> Option<ServiceRecord> {
        let found = self.registry.get(&self.record.key()).await.ok()??;
        found.lease_remaining?;
        found.record.ok()
    }

    async fn until_registered(&self) -> ServiceRecord {
        eventually("the registration", REPAIR_LIMIT, async || {
            let stored = self.stored().await?;
            (stored.instance_uid == self.record.instance_uid && self.state() == "registered")
                .then_some(stored)
        })
        .await
    }

    fn state(&self) -> &'static str {
        let last = self.last.lock().unwrap();
        last.as_ref().map_or("", |report| report.state)
    }

    fn lease(&self) -> LeaseId {
        let last = self.last.lock().unwrap();
        last.as_ref().and_then(|report| report.lease).unwrap()
    }

    async fn until_state(&self, state: &str) {
        eventually(state, REPAIR_LIMIT, async || {
            (self.state() == state).then_some(())
        })
        .await;
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task)
            .await
            .expect("it stops in time")
            .unwrap();
    }
}

async fn raw(client: &mut Client, key: &str) -> Option<serde_json::Value> {
    let answer = client.get(key, None).await.unwrap();
    let pair = answer.kvs().first()?;
    Some(serde_json::from_slice(pair.value()).unwrap())
}

#[tokio::test]
async fn x04_the_stored_json_has_the_fields_of_the_original_and_three_more() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    let key = "/services/nexus-streamer/streamer-0";
    let stored = raw(&mut server.client().await, key).await.unwrap();
    let names: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "id",
            "type",
            "address",
            "port",
            "metadata",
            "health",
            "version",
            "registered_at",
            "instance_uid",
            "started_at",
            "lease_ttl"
        ]
    );
    assert_eq!(stored["type"], "nexus-streamer");
    assert_eq!(stored["port"], 8081);
    assert_eq!(stored["metadata"]["endpoint"], "10.1.2.3:8081");
    let registered_at = stored["registered_at"].as_str().unwrap();
    assert_eq!(registered_at.len(), "2024-01-15T10:30:00Z".len());
    let age = jiff::Timestamp::now()
        .duration_since(registered_at.parse().unwrap())
        .as_secs();
    assert!((-1..60).contains(&age), "registered {age} s ago");
    running.stop().await;
}

#[tokio::test]
async fn x05_the_registration_survives_a_restart_that_keeps_the_data() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    server.stop();
    running.until_state("uncertain").await;
    server.start_again(Data::Kept).await;
    running.until_registered().await;
    running.stop().await;
}

#[tokio::test]
async fn x05_the_registration_comes_back_after_etcd_lost_its_data() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    server.stop();
    running.until_state("uncertain").await;
    server.start_again(Data::Lost).await;
    running.until_registered().await;
    running.stop().await;
}

#[tokio::test]
async fn x05_the_registration_comes_back_after_a_freeze_longer_than_its_lease() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    server.process().signal("STOP");
    running.until_state("uncertain").await;
    // Time itself is what this waits for: the lease's 3 s have to pass.
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.process().signal("CONT");
    running.until_registered().await;
    running.stop().await;
}

#[tokio::test]
async fn x05_a_key_deleted_by_hand_is_written_again() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    let mut client = server.client().await;
    let options = DeleteOptions::new().with_prefix();
    client.delete("/services/", Some(options)).await.unwrap();
    assert_eq!(running.stored().await, None);
    running.until_registered().await;
    running.stop().await;
}

#[tokio::test]
async fn x05_a_revoked_lease_is_replaced() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    let lease = running.lease();
    server.client().await.lease_revoke(lease.0).await.unwrap();
    assert_eq!(running.stored().await, None);
    running.until_registered().await;
    assert_ne!(running.lease(), lease);
    running.stop().await;
}

#[tokio::test]
async fn x05_a_registry_that_is_down_at_the_start_is_waited_for() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    server.stop();
    let running = Running::start(server.registry());
    eventually("a failed step", REPAIR_LIMIT, async || {
        let last = running.last.lock().unwrap();
        last.as_ref()?.outcome.clone().err()
    })
    .await;
    assert_eq!(running.state(), "unregistered");
    server.start_again(Data::Kept).await;
    running.until_registered().await;
    running.stop().await;
}

#[tokio::test]
async fn x06_a_stopped_registration_is_gone_at_once() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    let (registry, key) = (running.registry.clone(), running.record.key());
    running.stop().await;
    assert_eq!(registry.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn x06_a_registry_that_does_not_answer_does_not_hold_up_the_stop() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    running.until_registered().await;
    server.process().signal("STOP");
    running.stop().await;
    server.process().signal("CONT");
}

#[tokio::test]
async fn x08_a_change_of_health_is_written_into_the_record() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let running = Running::start(server.registry());
    assert_eq!(running.until_registered().await.health, "healthy");
    let lease = running.lease();
    running.healthy.store(false, Ordering::SeqCst);
    eventually("the new health", REPAIR_LIMIT, async || {
        let stored = running.stored().await?;
        (stored.health == "unhealthy").then_some(())
    })
    .await;
    assert_eq!(running.lease(), lease);
    running.stop().await;
}

#[tokio::test]
async fn x10_tls_with_client_certificate_and_password_and_a_dead_first_endpoint() {
    let options = EtcdOptions {
        certificates: Some(Certificates::for_names(&["127.0.0.1", "localhost"])),
        authentication: true,
    };
    let Some(server) = EtcdServer::start_with(options).await else {
        return;
    };
    let mut settings = server.settings();
    settings
        .endpoints
        .insert(0, "https://127.0.0.1:9".to_owned());
    let running = Running::start(EtcdRegistry::new(settings));
    running.until_registered().await;
    running.stop().await;
}

#[tokio::test]
async fn x10_a_certificate_of_another_authority_and_a_wrong_password_are_named() {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let options = EtcdOptions {
        certificates: Some(certificates),
        authentication: true,
    };
    let Some(server) = EtcdServer::start_with(options).await else {
        return;
    };
    let reason = async |settings| {
        let error = EtcdRegistry::new(settings).list().await.unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let mut settings = server.settings();
    settings.ca_cert = Some(Certificates::for_names(&["127.0.0.1"]).ca);
    let untrusted = reason(settings).await;
    assert!(
        untrusted.contains("invalid peer certificate"),
        "{untrusted}"
    );
    let mut settings = server.settings();
    settings.login = Some(("root".to_owned(), "canary-wrong".into()));
    let refused = reason(settings).await;
    assert!(refused.contains("authentication failed"), "{refused}");
    assert!(!refused.contains("canary"), "{refused}");
}

#[tokio::test]
async fn x14_a_key_without_lease_and_a_value_that_is_no_record_are_listed_as_such() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let record = record("nexus-streamer", "streamer-7");
    let value = serde_json::to_string(&record).unwrap();
    let mut client = server.client().await;
    client.put(record.key(), value, None).await.unwrap();
    client
        .put("/services/nexus-streamer/broken", "{", None)
        .await
        .unwrap();
    let listed = server.registry().list().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed[0].record.is_err());
    assert_eq!(listed[1].record.as_ref(), Ok(&record));
    assert_eq!(listed[1].lease_remaining, None);
}
