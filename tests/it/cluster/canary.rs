//! Canary records between real clusters: they arrive, and where they do not, the hop is named.

use std::time::Duration;

use serde_json::Value;
use telectl::cluster::Cluster;
use telectl::cluster::kubeconfig::Contexts;
use telectl::probe::canary::{Arrived, CanaryError, Flight, StoreFault, arrive};
use tokio_util::sync::CancellationToken;

use super::connectivity::no_probe_is_left;
use super::lab::{LONG, Lab, ROWS};

const WORKERS: &str = "telemetry-system";

/// The finding about the canaries.
fn canaries(report: &Value) -> &Value {
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .find(|finding| finding["id"] == "TEL-DAT-001")
        .unwrap_or_else(|| panic!("no finding about canaries in {report:#}"))
}

/// Scales a workload and, to zero, waits until its pods are gone.
fn scale(lab: &Lab, workload: &str, component: &str, replicas: u32) {
    let to = format!("--replicas={replicas}");
    lab.kubectl(&lab.central, &["-n", WORKERS, "scale", workload, &to]);
    if replicas == 0 {
        let label = format!("app.kubernetes.io/component={component},telectl.io/serving=true");
        let pods = ["-n", WORKERS, "get", "pods", "-l", &label, "-o", "name"];
        lab.eventually("the pods to be gone", LONG, || {
            lab.kubectl(&lab.central, &pods).is_empty().then_some(())
        });
    }
}

/// As `deploy` asks: from the edge's streamer to the central gateway.
fn fly(lab: &Lab, deadline: Duration) -> Result<Arrived, CanaryError> {
    crate::servers::install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let files = std::slice::from_ref(&lab.kubeconfig);
        let contexts = Contexts::read(files).expect("the kubeconfig can be read");
        let connect = async |context: &str| {
            let cluster = Cluster::from_context(&contexts, context).await;
            cluster.expect("the context is sound")
        };
        let (edge, central) = (connect(&lab.edge).await, connect(&lab.central).await);
        arrive(&Flight {
            edge: &edge,
            edge_namespace: WORKERS,
            central: &central,
            central_namespace: WORKERS,
            count: 2,
            deadline,
            stop: &CancellationToken::new(),
        })
        .await
    })
}

#[test]
fn v10_a_canary_record_arrives_from_edge_to_api() {
    let Some(lab) = Lab::take() else { return };
    let report = lab
        .on_both(&["validate", "data", "-o", "json"])
        .exits(0)
        .json();
    let finding = canaries(&report);
    assert_eq!(finding["result"], "passed", "{finding:#}");
    assert_eq!(finding["vantage"], format!("{}/streamer", lab.edge));
    let observed = finding["observed"].as_str().expect("words");
    assert!(observed.starts_with("4 of 4 arrived: Redis"), "{observed}");
    assert!(
        finding["latency_ms"].as_f64().expect("a time") > 0.0,
        "{finding:#}"
    );
    let id = lab.sql("select id from canary order by stored_at desc limit 1");
    let (status, canary) = lab
        .ask(&format!("/api/v1/canaries/{}", id.trim()))
        .expect("the gateway answers");
    assert_eq!(status, 200, "{canary}");
    assert_eq!(canary["deliveries"], 1, "{canary}");
    assert_eq!(lab.stored_of(&lab.edge), ROWS);
    assert_eq!(lab.sql("select count(*) from dead_letter").trim(), "0");
    no_probe_is_left(&lab);
    let arrived = fly(&lab, Duration::from_secs(60)).expect("they arrive");
    assert_eq!(arrived.canaries.len(), 2);
    assert_eq!(
        (arrived.delivered_again(), &arrived.skews[..]),
        (0, &[][..])
    );
    no_probe_is_left(&lab);
}

#[test]
fn v10_collectors_scaled_to_zero_are_named() {
    let Some(lab) = Lab::take() else { return };
    scale(&lab, "deployment/collector", "collector", 0);
    let report = lab
        .on_both(&["validate", "data", "-o", "json"])
        .exits(4)
        .json();
    let finding = canaries(&report);
    assert_eq!(finding["result"], "failed", "{finding:#}");
    let observed = finding["observed"].as_str().expect("words");
    assert!(observed.contains("no collector runs"), "{observed}");
    let command = finding["remedy"]["commands"][0]
        .as_str()
        .expect("a command");
    let done = lab.shell(command).output().expect("a shell");
    assert!(done.status.success(), "{command}: {done:?}");
    lab.eventually("canaries to arrive again", LONG, || {
        let done = lab.on_both(&["validate", "data", "-o", "json"]);
        (done.code == 0 && canaries(&done.json())["result"] == "passed").then_some(())
    });
    no_probe_is_left(&lab);
}

/// Beyond what validate's probes find first: the canary itself tells how far it came.
#[test]
fn v10_a_canary_tells_how_far_it_came() {
    let Some(lab) = Lab::take() else { return };
    let limit = Duration::from_secs(20);
    scale(&lab, "deployment/api-gateway", "api-gateway", 0);
    let shown = fly(&lab, limit);
    scale(&lab, "deployment/api-gateway", "api-gateway", 1);
    let error = shown.expect_err("there is no gateway");
    assert!(
        matches!(
            error,
            CanaryError::NotShown {
                lost: 2,
                sent: 2,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("no gateway pod is ready"),
        "{error}"
    );
    scale(&lab, "statefulset/postgresql", "postgresql", 0);
    let stored = fly(&lab, limit);
    scale(&lab, "statefulset/postgresql", "postgresql", 1);
    let error = stored.expect_err("there is no database");
    let CanaryError::NotStored { fault, detail, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*fault, StoreFault::Unwell);
    assert!(detail.contains("store"), "{detail}");
    no_probe_is_left(&lab);
    // What was published meanwhile is not lost: it is stored late.
    lab.eventually("all canaries in the store", LONG, || {
        fly(&lab, limit).ok().map(drop)
    });
}
