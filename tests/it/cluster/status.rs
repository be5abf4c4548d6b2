//! `status` over both clusters.

use super::lab::Lab;

#[test]
fn s01_status_is_one_valid_and_complete_document() {
    let Some(lab) = Lab::take() else { return };
    let status = lab.on_both(&["status", "-o", "json"]).exits(0).json();
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
}

#[test]
fn s04_registrations_have_address_health_and_age() {
    let Some(lab) = Lab::take() else { return };
    let status = lab.on_both(&["status"]).exits(0);
    let _shown = status
        .says("nexus-streamer/edge.telemetry-system.streamer-0")
        .says("nexus-collector/central.telemetry-system.collector-")
        .says("nexus-gateway/central.telemetry-system.api-gateway-")
        .says("healthy")
        .says("left");
}

#[test]
fn s08_external_addresses_are_shown() {
    let Some(lab) = Lab::take() else { return };
    let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    let address = lab.kubectl(
        &lab.central,
        &[
            "-n",
            "telemetry-system",
            "get",
            "service",
            "api-gateway",
            "-o",
            path,
        ],
    );
    let _shown = lab
        .on_both(&["status"])
        .exits(0)
        .says(&format!("{address}:80"));
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
    lab.eventually("the API server", super::lab::LONG, || {
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
