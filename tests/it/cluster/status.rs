//! `status` over both clusters.

use std::time::Instant;

use serde_json::Value;

use super::lab::{Done, GPUS, HOSTS, LONG, Lab};
use crate::program::Program;

/// The status once all is well: what an earlier test disturbed takes a moment to be so again.
pub(super) fn well(lab: &Lab, arguments: &[&str]) -> Done {
    let all = [&["status"][..], arguments].concat();
    let deadline = Instant::now() + LONG;
    loop {
        let status = lab.on_both(&all);
        if status.code == 0 || Instant::now() > deadline {
            // Shows what is not well.
            return status.exits(0);
        }
    }
}

#[test]
fn s01_status_is_one_valid_and_complete_document() {
    let Some(lab) = Lab::take() else { return };
    let status = well(&lab, &["-o", "json"]).json();
    assert_eq!(status["verdict"], "ready");
    let component = |context: &str, name: &str| {
        let clusters = status["clusters"].as_array().expect("clusters");
        let cluster = clusters
            .iter()
            .find(|cluster| cluster["context"] == context);
        let workloads = cluster.expect("the cluster")["workloads"]
            .as_array()
            .cloned();
        let found = workloads
            .expect("workloads")
            .into_iter()
            .find(|w| w["component"] == name);
        found.unwrap_or_else(|| panic!("no {name} on {context}: {status:#}"))
    };
    for name in ["redis", "etcd", "postgresql", "collector", "api-gateway"] {
        let found = component(&lab.central, name);
        assert_eq!(found["ready"], found["desired"], "{found}");
    }
    let streamer = component(&lab.edge, "streamer");
    assert_eq!(streamer["ready"], 2);
    assert_eq!(streamer["autoscaler"]["max"], 3);
    assert!(streamer["autoscaler"]["unable"].is_null(), "{streamer}");
}

#[test]
fn s03_s05_s06_s07_queue_versions_certificates_and_data_are_told() {
    let Some(lab) = Lab::take() else { return };
    let status = well(&lab, &["-o", "json"]).json();
    let queue = &status["queue"];
    assert!(
        queue["lag"].is_u64() && queue["pending"].is_u64(),
        "{queue}"
    );
    assert!(queue["oldest_seconds"].is_f64(), "{queue}");
    let versions = status["versions"].as_array().expect("versions");
    let of = |name: &str| {
        let found = versions.iter().find(|version| version["of"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {versions:#?}"))
    };
    assert_eq!(of("workers")["is_skewed"], false);
    assert_eq!(of("workers")["seen"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        of("workers")["seen"][0]["reported"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(of("telectl")["is_skewed"], false);
    let certificates = status["certificates"].as_array().expect("certificates");
    let days = |server: &str| {
        let found = certificates.iter().find(|one| one["server"] == server);
        found.and_then(|one| one["days_left"].as_i64())
    };
    for server in ["Redis", "PostgreSQL", "etcd"] {
        assert!(days(server) > Some(30), "{server}: {certificates:#?}");
    }
    let data = status["data"].as_array().expect("data");
    let edge = data.iter().find(|one| one["cluster"] == lab.edge.as_str());
    let edge = edge.unwrap_or_else(|| panic!("no data: {data:#?}"));
    assert_eq!(
        (&edge["gpus"], &edge["hosts"]),
        (&GPUS.into(), &HOSTS.into())
    );
    assert_eq!(edge["newest_event"], "2025-07-18T20:42:37Z");
    assert_eq!(edge["is_stalled"], false);
    assert!(edge["ingest_age_seconds"].as_i64() >= Some(0), "{edge}");
    let stalest = status["stalest"].as_array().expect("GPUs");
    assert!(
        stalest.len() == 100 && stalest[0]["last_ingest"].is_string(),
        "{:#}",
        stalest[0]
    );
    let deployed = &status["clusters"][0]["deployed"][0];
    assert!(
        deployed["by"]
            .as_str()
            .is_some_and(|by| by.contains("tester")),
        "{deployed}"
    );
    assert!(deployed["age_seconds"].as_i64() >= Some(0), "{deployed}");
}

#[tokio::test]
async fn s10_watching_sees_a_cluster_go_and_come_back() {
    let Some(lab) = Lab::take() else { return };
    let _well = well(&lab, &[]);
    let kubeconfig = lab.kubeconfig.display().to_string();
    let arguments = ["status", "-w", "-e", &lab.edge, "-c", &lab.central];
    let mut watching = Program::start(&arguments, &[("KUBECONFIG", &kubeconfig)]);
    watching.line(|line| line.contains("verdict:")).await;
    lab.fixture(&["apiserver", "stop", &lab.edge]);
    let gone = format!("{}: ready → unreachable", lab.edge);
    watching.line(|line| line.contains(&gone)).await;
    lab.fixture(&["apiserver", "start", &lab.edge]);
    let back = format!("{}: unreachable → ", lab.edge);
    watching.line(|line| line.contains(&back)).await;
    watching.signal("INT");
    let (ended, said) = watching.end().await;
    assert_eq!(ended.code(), Some(130), "{said}");
    let _well = well(&lab, &[]);
}

#[test]
fn v15_version_tells_what_runs_where() {
    let Some(lab) = Lab::take() else { return };
    let answer = lab.on_both(&["version", "-o", "json"]).exits(0).json();
    let clusters: Vec<&Value> = answer["clusters"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(clusters.len(), 2);
    for cluster in clusters {
        assert!(cluster["kubernetes"].is_string(), "{cluster}");
    }
    assert_eq!(answer["components"][0]["of"], "workers");
    assert_eq!(answer["components"][0]["is_skewed"], false);
}

#[test]
fn s04_registrations_have_address_health_and_age() {
    let Some(lab) = Lab::take() else { return };
    let status = well(&lab, &[]);
    let _shown = status
        .says(&format!(
            "nexus-streamer/{}.telemetry-system.streamer-0",
            lab.edge
        ))
        .says(&format!(
            "nexus-collector/{}.telemetry-system.collector-",
            lab.central
        ))
        .says(&format!(
            "nexus-gateway/{}.telemetry-system.api-gateway-",
            lab.central
        ))
        .says("healthy")
        .says("left");
}

#[test]
fn s08_external_addresses_are_shown() {
    let Some(lab) = Lab::take() else { return };
    let address = lab.external(&lab.central, "telemetry-system", "api-gateway");
    let _shown = well(&lab, &[]).says(&format!("{address}:80"));
}

#[test]
fn s02_a_workload_that_is_not_ready_is_no_success() {
    let Some(lab) = Lab::take() else { return };
    let namespace = ["-n", "telemetry-system"];
    let scale = |count: &str| {
        let scale = ["scale", "deployment/api-gateway", "--replicas", count];
        lab.kubectl(&lab.central, &[&namespace[..], &scale].concat());
    };
    scale("0");
    let status = lab.on_both(&["status", "-o", "json"]);
    scale("1");
    let rollout = [
        "rollout",
        "status",
        "deployment/api-gateway",
        "--timeout",
        "120s",
    ];
    lab.kubectl(&lab.central, &[&namespace[..], &rollout].concat());
    let _taken = lab.lab(&["deploy-all", "--yes", "--take"]).exits(0);
    assert_ne!(status.code, 0, "{}", status.stdout);
}

#[test]
fn s09_an_unreachable_cluster_is_a_row_and_no_abort() {
    let Some(lab) = Lab::take() else { return };
    lab.fixture(&["apiserver", "stop", &lab.edge]);
    let status = lab.on_both(&["status"]);
    let report = lab.on_both(&["validate", "connectivity", "-o", "json"]);
    lab.fixture(&["apiserver", "start", &lab.edge]);
    lab.eventually("the API server", LONG, || {
        (lab.try_kubectl(&lab.edge, &["get", "--raw", "/readyz"])
            .code
            == 0)
            .then_some(())
    });
    assert_ne!(status.code, 0);
    let _rows = status.says("unreachable").says("collector");
    let report = report.exits(4).json();
    assert!(
        report["findings"]
            .as_array()
            .is_some_and(|findings| findings.len() > 10)
    );
    let _one = lab
        .telectl(&["status", "--central-context", &lab.central])
        .exits(0);
}

#[test]
fn d13_an_unreachable_api_server_is_named() {
    // Its turn: nobody else may write meanwhile.
    let Some(clusters) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("config");
    std::fs::copy(&clusters.kubeconfig, &copy).expect("a copy is written");
    let shown = copy.display().to_string();
    let server = [
        "config",
        "set-cluster",
        &clusters.edge,
        "--server",
        "https://127.0.0.1:1",
    ];
    clusters.kubectl(
        &clusters.edge,
        &[&["--kubeconfig", &shown][..], &server].concat(),
    );
    let before = clusters.snapshot(&clusters.central);
    let arguments = ["deploy-all", "--yes", "--kubeconfig", &shown];
    let _named = clusters
        .lab(&arguments)
        .exits(1)
        .says("https://127.0.0.1:1")
        .says("cannot be reached");
    assert_eq!(before, clusters.snapshot(&clusters.central));
}
