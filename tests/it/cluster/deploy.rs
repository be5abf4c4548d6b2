//! One command deploys everything, a second one finds nothing to do.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use super::lab::{Clusters, GPUS, HOSTS, Lab, ROWS};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);

#[test]
fn d05_one_command_brings_every_row_from_the_edge_to_the_api() {
    let Some(lab) = Lab::take() else { return };
    let (status, gpus) = lab.ask("/api/v1/gpus").expect("the gateway answers");
    assert_eq!(status, 200);
    let gpus = gpus["gpus"].as_array().expect("a list").clone();
    assert_eq!(gpus.len(), GPUS);
    let hosts: BTreeSet<&str> = gpus
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
        .sql(
            "select s.uuid, s.metric, extract(epoch from p.ts)::bigint, p.value \
             from sample p join series s using (series_id)",
        )
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
    let source = &sources["sources"][0];
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
    let Some(clusters) = Clusters::find() else {
        return;
    };
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
