//! Workers as processes: what a kubelet sees of them.

use tempfile::TempDir;

use telectl::registry::Registry as _;

use crate::program::{LIMIT, Program, run};
use crate::servers::etcd::EtcdServer;
use crate::servers::redis::{RedisOptions, RedisServer};
use crate::servers::{eventually, free_port};

const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);

#[tokio::test]
async fn a_worker_names_every_missing_setting_and_exits_with_2() {
    for (worker, names) in [
        ("streamer", &["CLUSTER_ID", "CSV_FILE", "REDIS_URL"][..]),
        ("collector", &["CLUSTER_ID", "REDIS_URL", "DB_HOST"]),
        ("api-gateway", &["CLUSTER_ID", "DB_HOST"]),
    ] {
        let output = run(
            &["worker", worker],
            &[("LEASE_TTL", "5"), ("ETCD_ENDPOINTS", "etcd:2379")],
        )
        .await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{worker}: {stderr}");
        assert!(stderr.contains("`LEASE_TTL` must be a time"), "{stderr}");
        for name in names {
            assert!(
                stderr.contains(&format!("`{name}` is not set")),
                "{worker}: {stderr}"
            );
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken_ends_a_worker_with_1() {
    let taken = std::net::TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let environment = [
        ("CLUSTER_ID", "central"),
        ("DB_HOST", "127.0.0.1"),
        ("DB_SSL_MODE", "disable"),
        ("LISTEN_PORT", &port),
    ];
    let output = run(&["worker", "api-gateway"], &environment).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains(&format!("cannot listen on port {port}")),
        "{stderr}"
    );
}

#[tokio::test]
async fn w18_sigterm_deregisters_and_ends_with_0_and_no_secret_is_logged() {
    let options = RedisOptions {
        password: Some("canary-91ab-redis"),
        ..RedisOptions::default()
    };
    let (Some(redis), Some(etcd)) = (
        RedisServer::start_with(options).await,
        EtcdServer::start().await,
    ) else {
        return;
    };
    let spool = TempDir::new().unwrap();
    let (port, redis_url) = (
        free_port().to_string(),
        format!(
            "redis://:canary-91ab-redis@127.0.0.1:{}",
            redis.endpoint().port
        ),
    );
    let endpoints = etcd.settings().endpoints.join(",");
    let program = Program::start(
        &["worker", "streamer"],
        &[
            ("CLUSTER_ID", "edge"),
            ("POD_NAME", "streamer-0"),
            ("POD_IP", "10.1.2.3"),
            ("HTTP_PORT", "30081"),
            ("LISTEN_PORT", &port),
            ("REDIS_URL", &redis_url),
            ("ETCD_ENDPOINTS", &endpoints),
            ("LEASE_TTL", "3s"),
            ("CSV_FILE", SAMPLE),
            ("SPOOL_DIR", spool.path().to_str().unwrap()),
            ("LOG_LEVEL", "trace"),
        ],
    );
    let registry = etcd.registry();
    eventually("readiness", LIMIT, async || {
        let url = format!("http://127.0.0.1:{port}/readyz");
        let answer = crate::servers::get(url).await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    let record = eventually("the registration", LIMIT, async || {
        let found = registry.get("/services/nexus-streamer/streamer-0").await;
        found.unwrap()?.record.ok()
    })
    .await;
    assert_eq!(record.metadata["endpoint"], "10.1.2.3:30081");
    program.signal("TERM");
    let (status, log) = program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(registry.list().await.unwrap(), []);
    let line = log
        .lines()
        .find(|line| line.contains("Service will register with address 10.1.2.3:30081"))
        .unwrap_or_else(|| panic!("the address is not logged:\n{log}"));
    assert!(line.contains("source=POD_IP"), "{line}");
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test]
async fn w14_a_worker_without_its_servers_lives_and_says_what_is_missing() {
    let spool = TempDir::new().unwrap();
    let port = free_port().to_string();
    let program = Program::start(
        &["worker", "streamer"],
        &[
            ("CLUSTER_ID", "edge"),
            ("LISTEN_PORT", &port),
            ("REDIS_URL", "redis://127.0.0.1:9"),
            ("ETCD_ENDPOINTS", "http://127.0.0.1:9"),
            ("CSV_FILE", SAMPLE),
            ("SPOOL_DIR", spool.path().to_str().unwrap()),
        ],
    );
    eventually("both failures on the page", LIMIT, async || {
        let url = format!("http://127.0.0.1:{port}/readyz?verbose");
        let answer = crate::servers::get(url).await.ok()?;
        assert_eq!(answer.status().as_u16(), 503);
        let text = answer.text().await.unwrap();
        let refused = |name: &str| {
            text.lines()
                .any(|line| line.starts_with(name) && line.contains("refused"))
        };
        (refused("[-] queue (required)") && refused("[-] registry (advisory)")).then_some(())
    })
    .await;
    let url = format!("http://127.0.0.1:{port}/livez");
    assert_eq!(
        crate::servers::get(url).await.unwrap().status().as_u16(),
        200
    );
    program.signal("TERM");
    let (status, log) = program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
}
