//! A worker's endpoints and its end, over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use futures::StreamExt as _;
use serde_json::Value;
use telectl::config::environment::Environment;
use telectl::config::worker::{AdvertiseSettings, IdentitySettings};
use telectl::model::component::Component;
use telectl::registry::Registry as _;
use telectl::registry::address::Reach;
use telectl::registry::memory::MemoryRegistry;
use telectl::workers::runtime::about::About;
use telectl::workers::runtime::registration::Advertisement;
use telectl::workers::runtime::signals::Signal;
use telectl::workers::runtime::supervisor::{Ended, Phase, StopTimes, Supervisor};
use telectl::workers::runtime::worker::{self, Frame};
use telectl::workers::runtime::{dependency, http};
use telectl::workers::vitals::Vitals;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::servers::eventually;

const LIMIT: Duration = Duration::from_secs(10);

/// A worker whose work is nothing.
struct Running {
    url: String,
    registry: MemoryRegistry,
    vitals: Vitals,
    signals: mpsc::Sender<Signal>,
    task: JoinHandle<Ended>,
}

fn frame(registry: &MemoryRegistry, settings: AdvertiseSettings) -> Frame<MemoryRegistry> {
    let environment = Environment::from([("CLUSTER_ID", "edge"), ("POD_NAME", "streamer-0")]);
    let identity = IdentitySettings::from_environment(Component::Streamer, &environment).unwrap();
    Frame {
        advertisement: Advertisement {
            about: About::starting_now(Component::Streamer, &identity),
            settings,
            listen_port: 0,
            reach: Reach::Network,
            host_name: None,
            mode: "once",
            facts: BTreeMap::from([("node".to_owned(), "node-a".to_owned())]),
        },
        registry: Some((registry.clone(), Duration::from_secs(3))),
        times: StopTimes {
            notice: Duration::ZERO,
            grace: LIMIT,
        },
        tls: None,
        logs: None,
    }
}

impl Running {
    async fn start(work: impl FnOnce(&mut Supervisor, &Vitals) -> Router + Send + 'static) -> Self {
        let settings = AdvertiseSettings {
            pod_ip: Some("10.1.2.3".to_owned()),
            port: Some(30081),
            ..AdvertiseSettings::default()
        };
        let registry = MemoryRegistry::default();
        let frame = frame(&registry, settings);
        let listener = http::listen(0).await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (signals, inbox) = mpsc::channel(2);
        let (tell, told) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let inbox = futures::stream::unfold(inbox, |mut inbox| async move {
                inbox.recv().await.map(|signal| (signal, inbox))
            });
            worker::run(frame, listener, inbox.boxed(), |supervisor, vitals| {
                tell.send(vitals.clone()).unwrap();
                work(supervisor, vitals)
            })
            .await
            .unwrap()
        });
        Self {
            url,
            registry,
            vitals: told.await.unwrap(),
            signals,
            task,
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = crate::servers::get(format!("{}{path}", self.url))
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn json(&self, path: &str) -> (u16, Value) {
        let (code, text) = self.get(path).await;
        (code, serde_json::from_str(&text).unwrap())
    }

    async fn until_registered(&self) -> Value {
        eventually("the registration", LIMIT, async || {
            let (_, status) = self.json("/api/v1/status").await;
            (status["registration"]["state"] == "registered").then_some(status)
        })
        .await
    }

    async fn stop(self) -> Ended {
        self.signals.send(Signal::Terminate).await.unwrap();
        self.task.await.unwrap()
    }
}

#[tokio::test]
async fn w14_health_tells_who_it_is_and_how_its_dependencies_are() {
    let worker = Running::start(|_, _| Router::new()).await;
    worker.until_registered().await;
    worker.vitals.required("queue", Ok(()));
    for path in ["/health", "/api/v1/health"] {
        let (code, body) = worker.json(path).await;
        assert_eq!((code, &body["status"]), (200, &"healthy".into()), "{path}");
        assert_eq!(body["service"], "nexus-streamer");
        assert_eq!(body["id"], "streamer-0");
        assert_eq!(body["cluster_id"], "edge");
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        assert!(body["uptime_seconds"].is_u64());
        assert_eq!(body["dependencies"]["queue"]["ok"], true);
        assert_eq!(body["dependencies"]["registry"]["required"], false);
        let time: jiff::Timestamp = body["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(time).as_secs().abs() < 60);
    }
    assert_eq!(worker.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn w14_a_required_dependency_makes_a_worker_unready_but_never_dead() {
    let worker = Running::start(|_, vitals| {
        dependency::expect(vitals, "queue");
        Router::new()
    })
    .await;
    assert_eq!(worker.get("/readyz").await.0, 503);
    worker.vitals.required("queue", Ok(()));
    worker
        .vitals
        .advisory("registry", Err("refused".to_owned()));
    assert_eq!(worker.get("/readyz").await.0, 200);
    worker.vitals.required("queue", Err("timed out".to_owned()));
    let (code, text) = worker.get("/readyz?verbose").await;
    assert_eq!(code, 503);
    assert!(text.contains("[-] queue (required): timed out"), "{text}");
    assert!(text.ends_with("not ready\n"), "{text}");
    let (code, body) = worker.json("/health").await;
    assert_eq!((code, &body["status"]), (503, &"unhealthy".into()));
    assert_eq!(worker.get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(worker.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn w14_a_watched_dependency_is_noted_as_it_comes_and_goes() {
    let worker = Running::start(|supervisor, vitals| {
        dependency::expect(vitals, "store");
        let (vitals, stop) = (vitals.clone(), supervisor.token(Phase::Work));
        supervisor.start("store watch", Phase::Work, async move {
            let ping = || async { Err(std::io::Error::other("connection refused")) };
            dependency::watch("store", &vitals, &stop, ping).await;
            Ok(())
        });
        Router::new()
    })
    .await;
    eventually("the reason on the page", LIMIT, async || {
        let (code, text) = worker.get("/readyz?verbose").await;
        (code == 503 && text.contains("store (required): connection refused")).then_some(())
    })
    .await;
    assert_eq!(worker.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn w15_status_shows_the_address_its_rung_and_the_lease() {
    let worker = Running::start(|_, vitals| {
        vitals.detail("rows_read", 7);
        Router::new()
    })
    .await;
    let status = worker.until_registered().await;
    assert_eq!(status["address"]["endpoint"], "10.1.2.3:30081");
    assert_eq!(status["address"]["source"], "POD_IP");
    let not_used = &status["address"]["not_used"];
    assert_eq!(not_used[0]["rung"], "service-address");
    assert_eq!(not_used[0]["because"], "not set");
    assert_eq!(
        status["registration"]["key"],
        "/services/nexus-streamer/streamer-0"
    );
    assert!(status["registration"]["lease"].is_string());
    assert_eq!(status["details"]["rows_read"], 7);
    assert_eq!(worker.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn x04_the_record_is_made_from_what_the_worker_knows() {
    let worker = Running::start(|_, _| Router::new()).await;
    worker.until_registered().await;
    let listed = worker.registry.list().await.unwrap();
    let record = listed[0].record.clone().unwrap();
    assert_eq!(listed[0].key, "/services/nexus-streamer/streamer-0");
    assert_eq!((record.address.as_str(), record.port), ("10.1.2.3", 30081));
    assert_eq!(record.metadata["cluster_id"], "edge");
    assert_eq!(record.metadata["endpoint"], "10.1.2.3:30081");
    assert_eq!(record.metadata["mode"], "once");
    assert_eq!(record.metadata["node"], "node-a");
    assert_eq!(record.health, "healthy");
    assert_eq!(record.lease_ttl, 3);
    assert_eq!(worker.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn metrics_are_openmetrics_and_hold_the_dependencies() {
    let worker = Running::start(|_, vitals| {
        vitals.required("queue", Ok(()));
        Router::new()
    })
    .await;
    let answer = crate::servers::get(format!("{}/metrics", worker.url))
        .await
        .unwrap();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().await.unwrap();
    assert!(
        text.contains("telectl_dependency_up{dependency=\"queue\"} 1"),
        "{text}"
    );
    assert!(text.contains("telectl_build_info{version="), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(worker.stop().await, Ended::Stopped);
}

#[tokio::test]
async fn w18_a_stopping_worker_is_unready_drains_and_then_deregisters() {
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let worker = Running::start(|supervisor, _| {
        let stop = supervisor.token(Phase::Work);
        supervisor.start("core", Phase::Work, async move {
            stop.cancelled().await;
            released.await?;
            Ok(())
        });
        Router::new()
    })
    .await;
    worker.until_registered().await;
    worker.signals.send(Signal::Terminate).await.unwrap();
    eventually(
        "the worker to be unready while it drains",
        LIMIT,
        async || (worker.get("/readyz").await.0 == 503).then_some(()),
    )
    .await;
    assert_eq!(worker.get("/livez").await.0, 200);
    eventually("the registration to go", LIMIT, async || {
        worker
            .registry
            .list()
            .await
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    release.send(()).unwrap();
    assert_eq!(worker.task.await.unwrap(), Ended::Stopped);
    crate::servers::get(format!("{}/livez", worker.url))
        .await
        .unwrap_err();
}
