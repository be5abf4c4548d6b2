//! The gateway over real HTTP, on both stores.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use reqwest::{Client, StatusCode};
use serde_json::Value;
use telectl::config::worker::GatewaySettings;
use telectl::model::secret::Secret;
use telectl::store::Store;
use telectl::workers::api_gateway;
use telectl::workers::vitals::Vitals;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::servers::install_tls_provider;
use crate::store_data::{Expected, MadeUp, RealFile, uuid};
use crate::store_fixture::{InPostgres, InSqlite, StoreFixture};

/// One test per claim and store.
macro_rules! claims {
    ($($claim:ident),* $(,)?) => {
        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                if let Some(fixture) = InPostgres::prepared().await {
                    super::$claim(&fixture).await;
                }
            })*
        }

        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                if let Some(fixture) = InSqlite::prepared().await {
                    super::$claim(&fixture).await;
                }
            })*
        }
    };
}

use claims;

mod canaries;
mod commit_order;
mod crossing;
mod document;
mod refusals;
mod streams;
mod summing;

/// A gateway that answers on a loopback port until it is dropped.
struct Gateway {
    base: String,
    client: Client,
    vitals: Vitals,
    stop: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateway {
    async fn of(store: impl Store, token: Option<&str>) -> Self {
        let settings = GatewaySettings {
            token: token.map(Secret::from),
            ..GatewaySettings::default()
        };
        Self::with(store, settings).await
    }

    async fn with(store: impl Store, settings: GatewaySettings) -> Self {
        install_tls_provider();
        let vitals = Vitals::default();
        let stop = CancellationToken::new();
        let router = api_gateway::router(store, &settings, &vitals, stop.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let serving = axum::serve(listener, router);
            serving.with_graceful_shutdown(stopped).await
        });
        crate::servers::install_tls_provider();
        Self {
            base,
            client: Client::new(),
            vitals,
            stop,
            task,
        }
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let request = self.client.get(format!("{}{path}", self.base));
        let response = request.send().await.unwrap();
        let status = response.status();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let expected = if status.is_success() {
            "application/json"
        } else {
            "application/problem+json"
        };
        assert_eq!(kind, expected, "{path}");
        (status, response.json().await.unwrap())
    }

    async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    async fn problem(&self, path: &str, status: u16, detail: &str) -> Value {
        let (found, body) = self.get(path).await;
        assert_eq!(found.as_u16(), status, "{path}: {body}");
        assert_eq!(body["status"], status);
        assert!(
            body["type"].as_str().unwrap().starts_with("/docs#"),
            "{body}"
        );
        assert!(body["detail"].as_str().unwrap().contains(detail), "{body}");
        body
    }

    /// Its metrics, as Prometheus reads them.
    fn metrics(&self) -> String {
        let mut text = String::new();
        self.vitals
            .with_metrics(|registry| prometheus_client::encoding::text::encode(&mut text, registry))
            .unwrap();
        text
    }

    /// All pages of a query.
    async fn pages(&self, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut next = path.to_owned();
        loop {
            let page = self.ok(&next).await;
            let points = page["data_points"].as_array().unwrap();
            assert_eq!(page["count"], points.len());
            all.extend(points.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => {
                    assert_eq!(page["has_more"], true);
                    let joint = if path.contains('?') { '&' } else { '?' };
                    next = format!("{path}{joint}cursor={cursor}");
                }
                None => {
                    assert_eq!(page["has_more"], false);
                    return all;
                }
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn sample(point: &Value) -> Expected {
    let time: jiff::Timestamp = text(&point["timestamp"]).parse().unwrap();
    Expected {
        time: time.as_microsecond(),
        labels: ["metric", "uuid", "hostname", "gpu_id"].map(|name| text(&point[name])),
        value: point["value"].as_f64(),
    }
}

async fn w13_the_real_file_is_answered_as_an_independent_parser_reads_it(
    fixture: &impl StoreFixture,
) {
    let store = fixture.open();
    let file = RealFile::read("edge");
    store.store(&file.cut(400)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let gpus = gateway.ok("/api/v1/gpus").await;
    assert_eq!(gpus["count"], 247);
    let hosts = gateway.ok("/api/v1/hosts").await;
    assert_eq!(hosts["count"], 31);
    let mut of_hosts = 0;
    for host in hosts["hosts"].as_array().unwrap() {
        let path = format!("/api/v1/hosts/{}/gpus", text(&host["hostname"]));
        let of_host = gateway.ok(&path).await;
        assert_eq!(of_host["count"], host["gpu_count"]);
        of_hosts += of_host["count"].as_u64().unwrap();
    }
    assert_eq!(of_hosts, 247);
    let mut found = Vec::new();
    for gpu in gpus["gpus"].as_array().unwrap() {
        let path = format!("/api/v1/gpus/{}/telemetry?limit=4", text(&gpu["uuid"]));
        found.extend(gateway.pages(&path).await.iter().map(sample));
    }
    let mut expected = file.rows.clone();
    let key = |sample: &Expected| (sample.labels.clone(), sample.time);
    found.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(expected.len(), 2470);
    assert_eq!(found, expected);
    let stats = gateway.ok("/api/v1/stats").await;
    let numbers = [
        "total_records",
        "unique_gpus",
        "unique_hosts",
        "unique_series",
    ];
    assert_eq!(
        numbers.map(|name| stats[name].as_u64().unwrap()),
        [2470, 247, 31, 2470]
    );
    assert_eq!(stats["earliest_timestamp"], "2025-07-18T20:42:34Z");
    assert_eq!(stats["latest_timestamp"], "2025-07-18T20:42:37Z");
    assert_eq!(gateway.ok("/api/v1/telemetry/latest").await["count"], 2470);
    let sources = gateway.ok("/api/v1/sources").await;
    assert_eq!(sources["sources"][0]["stored_rows"], 2470);
}

async fn w13_a_gpu_is_named_by_uuid_or_by_place(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let file = RealFile::read("edge");
    store.store(&file.cut(2470)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let [_, uuid, host, index] = &file.rows[0].labels;
    for path in ["telemetry", "latest"] {
        let by_uuid = gateway.ok(&format!("/api/v1/gpus/{uuid}/{path}")).await;
        let by_place = gateway
            .ok(&format!("/api/v1/gpus/{host}:{index}/{path}"))
            .await;
        assert_eq!(by_uuid["count"], 10);
        assert_eq!(by_uuid["data_points"], by_place["data_points"]);
        // An index is unique per host only, so it is no name.
        for unknown in [index.as_str(), "GPU-0", "nowhere:0", &format!("{host}:9")] {
            let path = format!("/api/v1/gpus/{unknown}/{path}");
            gateway.problem(&path, 404, "no GPU").await;
        }
    }
    gateway
        .problem("/api/v1/hosts/nowhere/gpus", 404, "no host")
        .await;
    let unknown = format!("/api/v1/gpus/{uuid}/telemetry?metric=NONE");
    assert_eq!(gateway.ok(&unknown).await["count"], 0);
}

async fn w13_ranges_orders_and_pages_select_samples(fixture: &impl StoreFixture) {
    let store = fixture.open();
    let source = MadeUp::of("edge", "a.csv", 300);
    store.store(&source.cut(100)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let path = format!("/api/v1/gpus/{}/telemetry", uuid(0));
    let all = gateway.pages(&path).await;
    assert!(all.len() > 100);
    // Blanks stay null.
    assert!(all.iter().any(|point| point["value"].is_null()));
    let mut backwards = gateway.pages(&format!("{path}?limit=7&order=desc")).await;
    backwards.reverse();
    assert_eq!(backwards, all);
    // Half-open: from the tenth on, up to but not including the twentieth.
    let (from, to) = (text(&all[10]["timestamp"]), text(&all[20]["timestamp"]));
    let range = format!("{path}?start_time={from}&end_time={to}&limit=3");
    assert_eq!(gateway.pages(&range).await, all[10..20]);
    let seconds = |time: &str| time.parse::<jiff::Timestamp>().unwrap().as_second();
    let range = format!(
        "{path}?start_time={}&end_time={}",
        seconds(&from),
        seconds(&to)
    );
    assert_eq!(gateway.pages(&range).await, all[10..20]);
    assert_eq!(gateway.pages(&format!("{path}?end_time=now")).await, all);
    assert_eq!(
        gateway.pages(&format!("{path}?start_time=now-5m")).await,
        Vec::<Value>::new()
    );
    let only = gateway.pages(&format!("{path}?metric=METRIC_2")).await;
    assert!(!only.is_empty() && only.iter().all(|point| point["metric"] == "METRIC_2"));
    // A cursor belongs to its filters.
    let page = gateway.ok(&format!("{path}?limit=5")).await;
    let cursor = text(&page["next_cursor"]);
    let other = format!("{path}?order=desc&cursor={cursor}");
    let problem = gateway.problem(&other, 400, "same filters").await;
    assert_eq!(problem["parameter"], "cursor");
}

claims!(
    w13_a_gpu_is_named_by_uuid_or_by_place,
    w13_ranges_orders_and_pages_select_samples,
    w13_the_real_file_is_answered_as_an_independent_parser_reads_it,
);
