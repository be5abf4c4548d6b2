//! The log level of a running worker, changed over its real port.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::net::{IpAddr, UdpSocket};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{LIMIT, Program};
use crate::servers::{Certificates, eventually, free_port, https_client, install_tls_provider};

const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);

/// A streamer that reaches no server and logs nothing but errors.
struct Quiet {
    program: Program,
    port: u16,
    client: reqwest::Client,
    scheme: &'static str,
    _folder: TempDir,
}

impl Quiet {
    async fn start(certificates: Option<Certificates>) -> Self {
        install_tls_provider();
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let (listen, path) = (port.to_string(), folder.path().to_str().unwrap());
        let mut variables = vec![
            ("CLUSTER_ID", "edge"),
            ("LISTEN_PORT", &listen),
            ("REDIS_URL", "redis://127.0.0.1:9"),
            ("CSV_FILE", SAMPLE),
            ("SPOOL_DIR", path),
            ("LOG_LEVEL", "error"),
            ("LOG_FORMAT", "json"),
        ];
        if let Some(certificates) = &certificates {
            certificates.write_to(folder.path());
            variables.push(("HTTP_TLS_DIR", path));
        }
        let program = Program::start(&["worker", "streamer"], &variables);
        let (client, scheme) = match certificates {
            Some(certificates) => (https_client(&certificates.ca), "https"),
            None => (reqwest::Client::new(), "http"),
        };
        let quiet = Self {
            program,
            port,
            client,
            scheme,
            _folder: folder,
        };
        eventually("the worker's port", LIMIT, async || {
            quiet.level().await.ok()
        })
        .await;
        quiet
    }

    fn url(&self, host: &str, query: &str) -> String {
        let Self { scheme, port, .. } = self;
        format!("{scheme}://{host}:{port}/api/v1/log-level{query}")
    }

    async fn level(&self) -> reqwest::Result<Value> {
        let url = self.url("127.0.0.1", "");
        self.client.get(url).send().await?.json().await
    }

    /// Asks for a change; answers the status, the type and the body.
    async fn change(&self, request: reqwest::RequestBuilder) -> (u16, String, Value) {
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let status = answer.status().as_u16();
        (status, kind, answer.json().await.unwrap())
    }

    fn put(&self, host: &str, query: &str) -> reqwest::RequestBuilder {
        self.client.put(self.url(host, query))
    }

    /// Stops it; answers what it logged.
    async fn log(self) -> String {
        self.program.signal("TERM");
        let (status, log) = self.program.end().await;
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

/// The address under which others reach this machine.
pub(crate) fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the kernel only chooses the address.
    socket
        .connect("192.0.2.1:9")
        .expect("this machine has a network");
    socket.local_addr().unwrap().ip()
}

#[tokio::test]
async fn o12_the_log_level_is_switched_while_a_worker_runs() {
    let worker = Quiet::start(None).await;
    let before = worker.level().await.unwrap();
    assert_eq!(before["level"], "error", "{before}");
    let (status, _, told) = worker.change(worker.put("127.0.0.1", "?level=info")).await;
    assert_eq!(
        (status, &told["level"]),
        (200, &Value::from("info")),
        "{told}"
    );
    assert_eq!(worker.level().await.unwrap(), told);
    let log = worker.log().await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let has = |message: &str| lines.iter().any(|line| line["message"] == message);
    assert!(has("the log level was changed"), "{log}");
    assert!(has("stopping"), "what is logged afterwards: {log}");
    assert!(!has("started"), "what was not logged before: {log}");
}

#[tokio::test]
async fn o12_a_level_that_was_chosen_for_a_time_goes_back() {
    let worker = Quiet::start(None).await;
    let (status, _, told) = worker
        .change(worker.put("127.0.0.1", "?level=trace&for=200ms"))
        .await;
    assert_eq!(status, 200);
    assert!(told["until"].is_string(), "{told}");
    eventually("the level of the start", LIMIT, async || {
        let now = worker.level().await.unwrap();
        (now["level"] == "error" && now["until"].is_null()).then_some(())
    })
    .await;
    let log = worker.log().await;
    assert!(log.contains("the log level was changed"), "{log}");
    assert!(!log.contains("stopping"), "{log}");
}

#[tokio::test]
async fn o12_nobody_from_outside_the_pod_and_no_page_changes_the_level() {
    let worker = Quiet::start(None).await;
    let outside = own_address().to_string();
    let page = worker
        .put("127.0.0.1", "?level=trace")
        .header("Origin", "http://127.0.0.1");
    let token = worker
        .put(&outside, "?level=trace")
        .header("Authorization", "Bearer token");
    for refused in [worker.put(&outside, "?level=trace"), page, token] {
        let (status, kind, problem) = worker.change(refused).await;
        assert_eq!(status, 403, "{problem}");
        assert_eq!(kind, "application/problem+json");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("kubectl port-forward"), "{detail}");
    }
    assert_eq!(worker.level().await.unwrap()["level"], "error");
    let outside = worker.url(&outside, "");
    let read = worker.client.get(outside).send().await.unwrap();
    assert!(read.status().is_success(), "reading it is no secret");
}

#[tokio::test]
async fn o12_an_unknown_level_is_a_problem_that_names_the_known_ones() {
    let worker = Quiet::start(None).await;
    for query in ["?level=loud", "", "?level=h2%3Dtrace"] {
        let (status, kind, problem) = worker.change(worker.put("127.0.0.1", query)).await;
        assert_eq!(status, 400, "{query}: {problem}");
        assert_eq!(kind, "application/problem+json");
        assert_eq!(problem["status"], 400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("error, warn, info, debug or trace"),
            "{detail}"
        );
    }
    assert_eq!(worker.level().await.unwrap()["level"], "error");
}

#[tokio::test]
async fn o12_the_level_is_switched_over_tls_as_well() {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let worker = Quiet::start(Some(certificates)).await;
    let (status, _, told) = worker.change(worker.put("127.0.0.1", "?level=info")).await;
    assert_eq!(
        (status, &told["level"]),
        (200, &Value::from("info")),
        "{told}"
    );
}
