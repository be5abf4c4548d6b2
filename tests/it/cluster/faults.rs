//! Processes killed and data lost while some but not all rows are stored: nothing is lost, nothing
//! is stored twice.

use std::process::Command;

use super::lab::{LAB_VALUES, LONG, Lab, ROWS};

const WORKERS: &str = "telemetry-system";
const SHARED: &str = "shared-infrastructure";

/// Slows the flow down so that there is a middle to strike in, streams the file as a new source,
/// strikes, and expects every row once.
pub(super) fn strike(lab: &Lab, source: &str, blow: impl FnOnce()) {
    // New to clusters that the test ran on before, too.
    let source = &format!("{source}-{}", std::process::id());
    let slow = [
        "--set",
        "collector.config.commitInterval=4s",
        "--set",
        "collector.config.batchSize=100",
    ];
    let central = ["deploy", "central", "--context", &lab.central, "--yes"];
    let _slowed = lab
        .telectl(&[&central[..], &LAB_VALUES, &slow].concat())
        .exits(0);
    let id = format!("global.clusterId={source}");
    let paced = [
        "--set",
        &id,
        "--set",
        "streamer.config.streamInterval=2s",
        "--yes",
    ];
    let edge = [
        "deploy",
        "edge",
        "--context",
        &lab.edge,
        "--central-context",
        &lab.central,
    ];
    let _begun = lab
        .telectl(&[&edge[..], &LAB_VALUES, &paced].concat())
        .exits(0);
    lab.eventually("the first rows", LONG, || {
        (lab.stored_of(source) > 0).then_some(())
    });
    let before = lab.stored_of(source);
    assert!(
        before < ROWS,
        "the flow was too fast: {before} rows are stored already"
    );
    blow();
    lab.eventually("every row", LONG, || {
        (lab.stored_of(source) >= ROWS).then_some(())
    });
    // Whatever is still on its way could only be a duplicate now: let it all arrive.
    lab.eventually("an empty queue and empty spools", LONG, || drained(lab));
    let twice = format!(
        "select count(*), count(distinct (uuid, metric, ts)) \
         from sample join series using (series_id) where cluster = '{source}'"
    );
    assert_eq!(lab.sql(&twice).trim(), format!("{ROWS}|{ROWS}"));
    // The cluster's id is recorded: what was set has to be set back.
    let id = format!("global.clusterId={}", lab.edge);
    let _renamed = lab
        .telectl(&[&edge[..], &LAB_VALUES, &["--set", &id, "--yes"]].concat())
        .exits(0);
    let _restored = lab.lab(&["deploy-all", "--yes"]).exits(0);
}

/// Whether nothing is on its way any more.
fn drained(lab: &Lab) -> Option<()> {
    let status = lab.on_both(&["status", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).ok()?;
    let spools = status["clusters"]
        .as_array()?
        .iter()
        .flat_map(|cluster| cluster["spools"].as_array().cloned().unwrap_or_default());
    let undrained: u64 = spools.filter_map(|spool| spool["undrained"].as_u64()).sum();
    (status["queue"]["entries"] == 0 && undrained == 0).then_some(())
}

/// The host's process ids of a pod's processes whose command line holds all the words.
fn processes(lab: &Lab, context: &str, namespace: &str, pod: &str, words: &[&str]) -> Vec<String> {
    let uid = lab.kubectl(
        context,
        &[
            "-n",
            namespace,
            "get",
            "pod",
            pod,
            "-o",
            "jsonpath={.metadata.uid}",
        ],
    );
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
    {
        let folder = entry.path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let command = read("cmdline").replace('\0', " ");
        if words.iter().all(|word| command.contains(word))
            && read("cgroup").replace('_', "-").contains(&uid)
        {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

fn kill(processes: &[String]) {
    assert!(!processes.is_empty(), "there is no such process");
    let status = Command::new("kill")
        .arg("-9")
        .args(processes)
        .status()
        .expect("kill starts");
    assert!(status.success());
}

fn pods(lab: &Lab, context: &str, component: &str) -> Vec<String> {
    let label = format!("app.kubernetes.io/component={component}");
    let path = "jsonpath={.items[*].metadata.name}";
    lab.kubectl(
        context,
        &["-n", WORKERS, "get", "pods", "-l", &label, "-o", path],
    )
    .split_whitespace()
    .map(str::to_owned)
    .collect()
}

#[test]
fn w08_a_killed_collector_loses_nothing() {
    let Some(lab) = Lab::take() else { return };
    strike(&lab, "killed-collector", || {
        for pod in pods(&lab, &lab.central, "collector") {
            kill(&processes(
                &lab,
                &lab.central,
                WORKERS,
                &pod,
                &["worker", "collector"],
            ));
        }
    });
}

#[test]
fn w17_a_killed_streamer_loses_nothing() {
    let Some(lab) = Lab::take() else { return };
    strike(&lab, "killed-streamer", || {
        for pod in pods(&lab, &lab.edge, "streamer") {
            kill(&processes(
                &lab,
                &lab.edge,
                WORKERS,
                &pod,
                &["worker", "streamer"],
            ));
        }
    });
}

#[test]
fn w19_a_redis_that_forgets_everything_loses_nothing() {
    let Some(lab) = Lab::take() else { return };
    strike(&lab, "forgetful-redis", || {
        let forget = "rm -rf /data/*";
        lab.kubectl(
            &lab.central,
            &["-n", SHARED, "exec", "redis-0", "--", "sh", "-c", forget],
        );
        kill(&processes(
            &lab,
            &lab.central,
            SHARED,
            "redis-0",
            &["redis-server"],
        ));
    });
}
