//! One command deploys everything, a second one finds nothing to do.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use super::lab::{Clusters, GPUS, HOSTS, LAB_VALUES, LONG, Lab, ROWS};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);

#[test]
fn d05_one_command_brings_every_row_from_the_edge_to_the_api() {
    let Some(lab) = Lab::take() else { return };
    let (status, gpus) = lab.ask("/api/v1/gpus").expect("the gateway answers");
    assert_eq!(status, 200);
    // Other tests store the same file from other clusters.
    let of_edge: Vec<&Value> = gpus["gpus"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|gpu| gpu["cluster"] == *lab.edge)
        .collect();
    assert_eq!(of_edge.len(), GPUS);
    let hosts: BTreeSet<&str> = of_edge
        .iter()
        .filter_map(|gpu| gpu["hostname"].as_str())
        .collect();
    assert_eq!(hosts.len(), HOSTS);
}

#[test]
fn w10_the_store_holds_exactly_the_rows_of_the_file() {
    let Some(lab) = Lab::take() else { return };
    let mut expected: Vec<String> = csv::Reader::from_path(FILE)
        .expect("the sample file opens")
        .deserialize::<std::collections::BTreeMap<String, String>>()
        .map(|row| {
            let row = row.expect("every row parses");
            let time: jiff::Timestamp = row["timestamp"].parse().expect("RFC 3339");
            let value: f64 = row["value"].parse().expect("a number");
            format!(
                "{}|{}|{}|{value}",
                row["uuid"],
                row["metric_name"],
                time.as_second()
            )
        })
        .collect();
    let mut stored: Vec<String> = lab
        .sql(&format!(
            "select s.uuid, s.metric, extract(epoch from p.ts)::bigint, p.value \
             from sample p join series s using (series_id) where s.cluster = '{}'",
            lab.edge
        ))
        .lines()
        .map(str::to_owned)
        .collect();
    expected.sort();
    stored.sort();
    assert_eq!(stored.len() as u64, ROWS);
    assert_eq!(stored, expected);
}

#[test]
fn w17_both_streamers_stored_some_and_none_stored_what_the_other_did() {
    let Some(lab) = Lab::take() else { return };
    let (_, sources) = lab.ask("/api/v1/sources").expect("the gateway answers");
    let sources = sources["sources"].as_array().expect("sources");
    let source = sources.iter().find(|source| source["cluster"] == *lab.edge);
    let source = source.expect("the edge's source");
    let streamers = source["streamers"].as_object().expect("rows per streamer");
    let rows: Vec<u64> = streamers.values().filter_map(Value::as_u64).collect();
    assert_eq!(rows.len(), 2, "{source}");
    assert!(rows.iter().all(|rows| *rows > 0), "{source}");
    assert_eq!(rows.iter().sum::<u64>(), ROWS, "{source}");
}

#[test]
fn d07_second_deploy_changes_nothing() {
    let Some(lab) = Lab::take() else { return };
    let before = (lab.snapshot(&lab.edge), lab.snapshot(&lab.central));
    let _again = lab
        .lab(&["deploy-all", "--yes"])
        .exits(0)
        .says("No changes");
    let _plan = lab.lab(&["plan", "--exit-code"]).exits(0);
    let after = (lab.snapshot(&lab.edge), lab.snapshot(&lab.central));
    assert_eq!(before, after);
    assert!(
        !after.1.contains("\"Lease\""),
        "a Lease was left: {}",
        after.1
    );
}

#[test]
fn d10_a_dry_run_and_a_refused_prompt_change_nothing() {
    let Some(lab) = Lab::take() else { return };
    let kubeconfig = std::fs::read(&lab.kubeconfig).expect("the kubeconfig is there");
    let before = (lab.snapshot(&lab.edge), lab.snapshot(&lab.central));
    let other = ["-n", "somewhere-else"];
    let _dry = lab
        .lab(&[&["deploy-all", "--dry-run", "--yes"][..], &other].concat())
        .exits(0)
        .says("+ Namespace/somewhere-else");
    let _refused = lab
        .lab(&[&["deploy-all"][..], &other].concat())
        .exits(2)
        .says("nothing was changed");
    assert_eq!(
        before,
        (lab.snapshot(&lab.edge), lab.snapshot(&lab.central))
    );
    assert_eq!(
        kubeconfig,
        std::fs::read(&lab.kubeconfig).expect("the kubeconfig is there")
    );
}

#[test]
fn d14_the_current_context_is_never_used_or_changed() {
    let Some(clusters) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("config");
    std::fs::copy(&clusters.kubeconfig, &copy).expect("a copy is written");
    // A current context that leads nowhere: whoever used it would fail.
    let shown = copy.display().to_string();
    clusters.kubectl(
        &clusters.edge,
        &[
            "--kubeconfig",
            &shown,
            "config",
            "set",
            "current-context",
            "nowhere",
        ],
    );
    let before = std::fs::read(&copy).expect("the copy is there");
    let arguments = [
        "plan",
        "-f",
        "lab",
        "-e",
        &clusters.edge,
        "-c",
        &clusters.central,
    ];
    let status = clusters
        .command(&arguments)
        .env("KUBECONFIG", &copy)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("telectl starts");
    assert!(status.success());
    assert_eq!(before, std::fs::read(&copy).expect("the copy is there"));
}

#[test]
fn d15_what_a_command_requires_is_listed() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let _all = clusters
        .telectl(&["deploy-all"])
        .exits(2)
        .says("--edge-context")
        .says("--central-context");
    let _edge = clusters
        .telectl(&["deploy", "edge", "--context", &clusters.edge])
        .exits(2)
        .says("--redis-host");
    let _unknown = clusters
        .telectl(&[
            "deploy-all",
            "-e",
            "no-such-context",
            "-c",
            &clusters.central,
        ])
        .exits(2)
        .says("no-such-context")
        .says(&clusters.edge);
}

/// Deletes an object of a profile, deploys the profile alone, and expects the object back.
fn comes_back(lab: &Lab, deploy: &[&str], context: &str, namespace: &str, object: &str) {
    let place = ["-n", namespace];
    lab.kubectl(context, &[&place[..], &["delete", object]].concat());
    let plan = lab.lab(&["plan", "--exit-code"]);
    let _seen = plan.exits(3).says("1 to create");
    let _done = lab
        .telectl(&[deploy, &LAB_VALUES, &["--yes"]].concat())
        .exits(0);
    lab.kubectl(context, &[&place[..], &["get", object]].concat());
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn d02_edge_alone_is_deployed_to_a_named_context() {
    let Some(lab) = Lab::take() else { return };
    let deploy = [
        "deploy",
        "edge",
        "--context",
        &lab.edge,
        "--central-context",
        &lab.central,
    ];
    comes_back(
        &lab,
        &deploy,
        &lab.edge,
        "telemetry-system",
        "poddisruptionbudget/streamer",
    );
}

#[test]
fn d03_central_alone_is_deployed_to_a_named_context() {
    let Some(lab) = Lab::take() else { return };
    let deploy = ["deploy", "central", "--context", &lab.central];
    comes_back(
        &lab,
        &deploy,
        &lab.central,
        "telemetry-system",
        "service/collector",
    );
}

#[test]
fn d04_shared_alone_is_deployed_to_a_named_context() {
    let Some(lab) = Lab::take() else { return };
    let deploy = ["deploy", "shared", "--context", &lab.central];
    comes_back(
        &lab,
        &deploy,
        &lab.central,
        "shared-infrastructure",
        "networkpolicy/redis",
    );
}

#[test]
fn d06_a_second_edge_gets_its_namespace_and_doubles_the_rows() {
    let Some(lab) = Lab::take() else { return };
    let namespace = [
        "get",
        "namespace",
        "telemetry-system",
        "--ignore-not-found",
        "-o",
        "name",
    ];
    assert_eq!(lab.kubectl(&lab.edge2, &namespace), "");
    let edges = ["-e", &lab.edge, "-e", &lab.edge2, "-c", &lab.central];
    let deploy = [&["deploy-all", "--yes"][..], &edges, &LAB_VALUES].concat();
    let _dry = lab
        .telectl(&[&deploy[..], &["--dry-run"]].concat())
        .exits(0);
    assert_eq!(lab.kubectl(&lab.edge2, &namespace), "");
    let _both = lab.telectl(&deploy).exits(0);
    assert_eq!(
        lab.kubectl(&lab.edge2, &namespace).trim(),
        "namespace/telemetry-system"
    );
    lab.eventually("the second edge's rows", LONG, || {
        (lab.stored_of(&lab.edge2) == ROWS).then_some(())
    });
    assert_eq!(
        lab.stored_of(&lab.edge) + lab.stored_of(&lab.edge2),
        2 * ROWS
    );
    // Pods have the same names on both edges; their registrations do not.
    let _told_apart = lab
        .telectl(&[&["status"][..], &edges].concat())
        .exits(0)
        .says(&format!(
            "nexus-streamer/{}.telemetry-system.streamer-0",
            lab.edge
        ))
        .says("nexus-streamer/edge-2.telemetry-system.streamer-0");
}

/// Everything that both use is told apart by the pipeline's name: neither gets a row of the other.
#[test]
fn d05_a_second_pipeline_shares_the_servers_and_nothing_else() {
    let Some(lab) = Lab::take() else { return };
    let second = ["-n", "second", "-e", &lab.edge, "-c", &lab.central];
    let command = |command: &[&str]| lab.telectl(&[command, &second].concat());
    let _deployed = command(&[&["deploy-all", "--yes"][..], &LAB_VALUES].concat()).exits(0);
    let count = [
        "-n",
        "second",
        "exec",
        "postgresql-0",
        "--",
        "psql",
        "-U",
        "telemetry",
        "-d",
        "telemetry",
        "-Atc",
        "SELECT count(*) FROM sample",
    ];
    lab.eventually("the second pipeline's rows", LONG, || {
        (lab.kubectl(&lab.central, &count).trim() == ROWS.to_string()).then_some(())
    });
    assert_eq!(lab.stored_of(&lab.edge), ROWS);
    let _sound = command(&["validate", "connectivity"]).exits(0);
    let _own = command(&["status"])
        .exits(0)
        .says(&format!("nexus-streamer/{}.second.streamer-0", lab.edge));
    for context in [&lab.edge, &lab.central] {
        lab.kubectl(context, &["delete", "namespace", "second"]);
    }
    let _unharmed = lab.on_both(&["validate", "connectivity"]).exits(0);
}

#[test]
fn v05_the_gateways_routes_answer_from_outside_the_clusters() {
    let Some(lab) = Lab::take() else { return };
    let asked = |path: &str| {
        lab.ask(path)
            .unwrap_or_else(|| panic!("no answer to {path}"))
    };
    let (status, health) = asked("/api/v1/health");
    assert_eq!(
        (status, health["status"].as_str()),
        (200, Some("healthy")),
        "{health}"
    );
    let (_, gpus) = asked("/api/v1/gpus");
    let uuid = gpus["gpus"][0]["uuid"].as_str().expect("a UUID");
    let (status, page) = asked(&format!("/api/v1/gpus/{uuid}/telemetry?limit=3"));
    assert_eq!(status, 200);
    assert_eq!(
        page["data_points"].as_array().map(Vec::len),
        Some(3),
        "{page}"
    );
    let (status, problem) = asked("/api/v1/gpus/no-such-gpu/telemetry?limit=x");
    assert_eq!(status, 400, "{problem}");
}

#[test]
fn d07_a_record_that_an_interrupted_run_did_not_write_is_made_up_for() {
    let Some(lab) = Lab::take() else { return };
    let record = [
        "-n",
        "telemetry-system",
        "get",
        "configmap/telectl-central",
        "-o",
        "yaml",
    ];
    lab.kubectl(
        &lab.central,
        &[
            "-n",
            "telemetry-system",
            "delete",
            "configmap/telectl-central",
        ],
    );
    let _planned = lab
        .lab(&["plan", "--exit-code"])
        .exits(3)
        .says("+ ConfigMap/telectl-central");
    let _written = lab.lab(&["deploy-all", "--yes"]).exits(0);
    assert!(
        lab.kubectl(&lab.central, &record)
            .contains("telectl.io/deployed-at")
    );
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
}
