//! The workers as processes on real servers, every connection with TLS and a password.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use telectl::registry::Registry as _;

use crate::program::{LIMIT, Program};
use crate::servers::etcd::{EtcdOptions, EtcdServer};
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::{RedisOptions, RedisServer};
use crate::servers::{Certificates, eventually, free_port};

const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);
const REDIS_PASSWORD: &str = "canary-3e77-redis";

fn certificates() -> Option<Certificates> {
    Some(Certificates::for_names(&["127.0.0.1"]))
}

struct Servers {
    redis: RedisServer,
    postgres: PostgresServer,
    etcd: EtcdServer,
}

impl Servers {
    async fn start() -> Option<Self> {
        Some(Self {
            redis: RedisServer::start_with(RedisOptions {
                password: Some(REDIS_PASSWORD),
                certificates: certificates(),
                ..RedisOptions::default()
            })
            .await?,
            postgres: PostgresServer::start(certificates()).await?,
            etcd: EtcdServer::start_with(EtcdOptions {
                certificates: certificates(),
                authentication: true,
            })
            .await?,
        })
    }

    /// The variables that the manifests would give to a worker.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let (redis, database) = (self.redis.settings(), self.postgres.database());
        let etcd = self.etcd.settings();
        let (certificate, key) = etcd.client.unwrap();
        let (user, password) = etcd.login.unwrap();
        vec![
            ("POD_IP", "10.1.2.3".to_owned()),
            ("REDIS_URL", format!("rediss://{}", redis.servers)),
            ("REDIS_PASSWORD", REDIS_PASSWORD.to_owned()),
            ("REDIS_CA_CERT", redis.ca_cert.unwrap()),
            ("DB_HOST", database.endpoint.host),
            ("DB_PORT", database.endpoint.port.to_string()),
            ("DB_NAME", database.name),
            ("DB_USER", database.user),
            ("DB_PASSWORD", database.password.unwrap().expose().clone()),
            ("DB_CA_CERT", database.ca_cert.unwrap()),
            ("ETCD_ENDPOINTS", etcd.endpoints.join(",")),
            ("ETCD_CA_CERT", etcd.ca_cert.unwrap()),
            ("ETCD_CLIENT_CERT", certificate),
            ("ETCD_CLIENT_KEY", key.expose().clone()),
            ("ETCD_USERNAME", user),
            ("ETCD_PASSWORD", password.expose().clone()),
            ("CSV_FILE", SAMPLE.to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
        ]
    }
}

/// A worker that runs.
pub(crate) struct Worker {
    pub(crate) program: Program,
    pub(crate) url: String,
    /// Kept as long as the worker runs.
    _spool: TempDir,
}

/// Starts a worker of this name in a cluster, with these variables.
pub(crate) fn start(
    worker: &str,
    name: &str,
    cluster: &str,
    environment: &[(&str, String)],
) -> Worker {
    let spool = TempDir::new().unwrap();
    let port = free_port().to_string();
    let folder = spool.path().to_str().unwrap().to_owned();
    let mut variables: Vec<(&str, &str)> = environment
        .iter()
        .map(|(variable, value)| (*variable, value.as_str()))
        .collect();
    variables.extend([
        ("POD_NAME", name),
        ("CLUSTER_ID", cluster),
        ("LISTEN_PORT", &port),
        ("SPOOL_DIR", &folder),
        ("STREAMER_REPLICAS", "2"),
    ]);
    // Small batches, so that two streamers have something to share.
    if worker == "streamer" {
        variables.push(("BATCH_SIZE", "100"));
    }
    Worker {
        program: Program::start(&["worker", worker], &variables),
        url: format!("http://127.0.0.1:{port}"),
        _spool: spool,
    }
}

/// The JSON behind a URL, if it answers.
pub(crate) async fn get(url: &str) -> Option<Value> {
    let answer = crate::servers::get(url).await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    serde_json::from_str(&answer.text().await.ok()?).ok()
}

/// What the gateway says about the source once all of it is stored.
async fn whole_file(gateway: &str) -> Value {
    eventually("the whole file in the store", LIMIT, async || {
        let sources = get(&format!("{gateway}/api/v1/sources")).await?;
        let source = sources["sources"].get(0)?.clone();
        (source["expected_rows"] == 2470 && source["stored_rows"] == 2470).then_some(source)
    })
    .await
}

/// The database is lost and an empty one takes its place while everybody is idle, with every claim
/// completed: nobody has to be told.
#[tokio::test]
async fn w10_a_lost_database_is_filled_again() {
    let Some(servers) = Servers::start().await else {
        return;
    };
    let environment = servers.environment();
    let name = environment
        .iter()
        .find(|(variable, _)| *variable == "DB_NAME");
    let name = name.unwrap().1.clone();
    let workers = [
        start("api-gateway", "api-gateway-0", "central", &environment),
        start("collector", "collector-0", "central", &environment),
        start("streamer", "streamer-0", "edge", &environment),
        start("streamer", "streamer-1", "edge", &environment),
    ];
    let gateway = &workers[0].url;
    whole_file(gateway).await;
    let drop_it = format!("DROP DATABASE {name} WITH (FORCE)");
    servers.postgres.sql("postgres", &drop_it);
    let make_it = format!("CREATE DATABASE {name}");
    servers.postgres.sql("postgres", &make_it);
    whole_file(gateway).await;
    let rows = servers.postgres.sql(&name, "SELECT count(*) FROM sample");
    assert_eq!(rows, "2470");
}

#[tokio::test]
async fn w06_the_sample_goes_from_two_streamers_to_the_api_over_tls() {
    let Some(servers) = Servers::start().await else {
        return;
    };
    let environment = servers.environment();
    let workers = [
        start("api-gateway", "api-gateway-0", "central", &environment),
        start("collector", "collector-0", "central", &environment),
        start("streamer", "streamer-0", "edge", &environment),
        start("streamer", "streamer-1", "edge", &environment),
    ];
    let gateway = workers[0].url.clone();
    let source = whole_file(&gateway).await;
    let streamers: BTreeSet<&String> = source["streamers"].as_object().unwrap().keys().collect();
    assert_eq!(streamers.len(), 2, "{source}");
    let statistics = get(&format!("{gateway}/api/v1/stats")).await.unwrap();
    assert_eq!(statistics["total_records"], 2470, "{statistics}");
    assert_eq!(statistics["unique_gpus"], 247, "{statistics}");
    assert_eq!(statistics["unique_hosts"], 31, "{statistics}");
    let registry = servers.etcd.registry();
    eventually("four registrations of healthy workers", LIMIT, async || {
        let listed = registry.list().await.unwrap();
        let healthy = listed.iter().filter(|registered| {
            let record = registered.record.as_ref();
            record.is_ok_and(|record| record.health == "healthy")
        });
        (healthy.count() == 4).then_some(())
    })
    .await;
    for worker in workers {
        let health = get(&format!("{}/api/v1/health", worker.url)).await.unwrap();
        assert_eq!(health["status"], "healthy", "{health}");
        worker.program.signal("TERM");
        let (status, log) = worker.program.end().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
    assert_eq!(registry.list().await.unwrap(), []);
}
