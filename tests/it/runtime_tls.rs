//! A worker whose HTTP port speaks TLS, as a process.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use telectl::config::environment::Environment;
use telectl::model::component::Component;
use telectl::probe::dns::Resolver;
use telectl::probe::{Cause, TargetKind};
use telectl::registry::Registry as _;
use telectl::workers::probe::{self, ProbeRequest};

use crate::program::{LIMIT, Program, run};
use crate::servers::etcd::EtcdServer;
use crate::servers::{Certificates, eventually, free_port, https_client};
use crate::streamer_harness::SAMPLE;

/// Longest time for a renewed certificate to be noticed: worker looks every five seconds.
const NOTICED: Duration = Duration::from_secs(30);

/// Puts files into a folder as the kubelet puts a Secret there: all of them change at once.
fn project(folder: &Path, version: &str, certificate: &str, key: &str) {
    let data = folder.join(version);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tls.crt"), certificate).unwrap();
    std::fs::write(data.join("tls.key"), key).unwrap();
    let next = folder.join("..next");
    std::os::unix::fs::symlink(version, &next).unwrap();
    std::fs::rename(&next, folder.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
}

/// The code with which a worker answers who trusts an authority; `None` if the two do not meet.
async fn code(url: &str, authority: &str) -> Option<u16> {
    let answer = https_client(authority).get(url).send().await.ok()?;
    Some(answer.status().as_u16())
}

/// What keeps a probe that knows an authority from the worker's health, if anything does.
async fn obstacle(url: &str, authority: &str) -> Option<Cause> {
    let request = ProbeRequest {
        component: Component::Streamer,
        http: vec![url.parse().unwrap()],
        resolver: Resolver::from_files("", "127.0.0.1 localhost"),
    };
    let environment = Environment::from([("HTTP_CA_CERT", authority)]);
    let report = probe::run(&environment, request).await;
    let mut targets = report.targets.iter();
    let target = targets.find(|target| target.kind == TargetKind::Http);
    let hop = target.unwrap().failed_hop()?;
    hop.outcome.failure().map(|(cause, _)| cause)
}

/// A streamer that serves TLS from a folder.
struct Secured {
    program: Program,
    port: String,
    _spool: TempDir,
}

impl Secured {
    async fn start(folder: &Path, endpoints: &str, authority: &str) -> Self {
        let spool = TempDir::new().unwrap();
        let port = free_port().to_string();
        let program = Program::start(
            &["worker", "streamer"],
            &[
                ("CLUSTER_ID", "edge"),
                ("POD_NAME", "streamer-0"),
                ("POD_IP", "10.1.2.3"),
                ("LISTEN_PORT", &port),
                ("HTTP_TLS_DIR", folder.to_str().unwrap()),
                ("REDIS_URL", "redis://127.0.0.1:9"),
                ("ETCD_ENDPOINTS", endpoints),
                ("CSV_FILE", SAMPLE),
                ("SPOOL_DIR", spool.path().to_str().unwrap()),
            ],
        );
        let this = Self {
            program,
            port,
            _spool: spool,
        };
        let url = this.url("https", "livez");
        eventually("an answer over TLS", LIMIT, async || {
            (code(&url, authority).await == Some(200)).then_some(())
        })
        .await;
        this
    }

    fn url(&self, scheme: &str, page: &str) -> String {
        format!("{scheme}://localhost:{}/{page}", self.port)
    }
}

#[tokio::test]
async fn n19_a_worker_serves_nothing_but_tls_and_registers_https() {
    let Some(etcd) = EtcdServer::start().await else {
        return;
    };
    let names = ["localhost"];
    let (own, other) = (
        Certificates::for_names(&names),
        Certificates::for_names(&names),
    );
    let folder = TempDir::new().unwrap();
    project(folder.path(), "1", &own.certificate, &own.key);
    let endpoints = etcd.settings().endpoints.join(",");
    let worker = Secured::start(folder.path(), &endpoints, &own.ca).await;
    let url = worker.url("https", "livez");
    assert_eq!(code(&url, &other.ca).await, None, "another authority");
    let plain = crate::servers::get(worker.url("http", "livez")).await;
    assert!(plain.is_err(), "plain HTTP is answered: {plain:?}");

    assert_eq!(obstacle(&url, &own.ca).await, None);
    let untrusted = obstacle(&url, &other.ca).await;
    assert_eq!(untrusted, Some(Cause::CertificateNotTrusted));
    let misnamed = url.replace("localhost", "127.0.0.1");
    let misnamed = obstacle(&misnamed, &own.ca).await;
    assert_eq!(misnamed, Some(Cause::CertificateNameMismatch));

    let registry = etcd.registry();
    let record = eventually("the registration", LIMIT, async || {
        let found = registry.get("/services/nexus-streamer/streamer-0").await;
        found.unwrap()?.record.ok()
    })
    .await;
    assert_eq!(record.metadata["scheme"], "https");
}

#[tokio::test]
async fn n19_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let names = ["localhost"];
    let (first, second) = (
        Certificates::for_names(&names),
        Certificates::for_names(&names),
    );
    let folder = TempDir::new().unwrap();
    project(folder.path(), "1", &first.certificate, &first.key);
    let worker = Secured::start(folder.path(), "http://127.0.0.1:9", &first.ca).await;
    let url = worker.url("https", "livez");

    project(folder.path(), "2", &second.certificate, &second.key);
    eventually("the renewed certificate", NOTICED, async || {
        (code(&url, &second.ca).await == Some(200)).then_some(())
    })
    .await;
    assert_eq!(code(&url, &first.ca).await, None, "the old certificate");

    project(folder.path(), "3", &first.certificate, &second.key);
    let page = worker.url("https", "readyz?verbose");
    eventually("the complaint on the page", NOTICED, async || {
        let answer = https_client(&second.ca).get(&page).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let is_noted = |line: &str| line.contains("certificate (advisory): tls.crt and tls.key");
        text.lines().any(is_noted).then_some(())
    })
    .await;
    worker.program.signal("TERM");
    let (status, log) = worker.program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    for said in ["renewed certificate in use", "certificate of no use"] {
        assert!(log.contains(said), "{log}");
    }
}

#[tokio::test]
async fn n19_a_worker_does_not_start_with_a_certificate_that_it_cannot_show() {
    let (first, second) = (
        Certificates::for_names(&["localhost"]),
        Certificates::for_names(&["localhost"]),
    );
    for (certificate, key, said) in [
        (Some(first.certificate.as_str()), None, "tls.key"),
        (None, Some(first.key.as_str()), "tls.crt"),
        (Some("no PEM"), Some(&first.key), "holds no PEM certificate"),
        (
            Some(&first.certificate),
            Some("no PEM"),
            "holds no PEM private key",
        ),
        (
            Some(&first.certificate),
            Some(&second.key),
            "cannot be used",
        ),
    ] {
        let folder = TempDir::new().unwrap();
        for (name, text) in [("tls.crt", certificate), ("tls.key", key)] {
            if let Some(text) = text {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
        }
        let environment = [
            ("CLUSTER_ID", "central"),
            ("DB_HOST", "127.0.0.1"),
            ("DB_SSL_MODE", "disable"),
            ("LISTEN_PORT", "0"),
            ("HTTP_TLS_DIR", folder.path().to_str().unwrap()),
        ];
        let output = run(&["worker", "api-gateway"], &environment).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(said), "{said}: {stderr}");
        assert!(stderr.contains(folder.path().to_str().unwrap()), "{stderr}");
        assert!(!stderr.contains("PRIVATE KEY"), "{stderr}");
    }
}
