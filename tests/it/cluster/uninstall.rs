//! What a deployment made goes again, and nothing else.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::lab::{Clusters, Done, LAB_VALUES, LONG};

const NAMESPACE: &str = "to-be-left";

fn uninstall(clusters: &Clusters, more: &[&str]) -> Done {
    let place = ["--context", &clusters.edge2, "-n", NAMESPACE];
    clusters.telectl(&[&["uninstall", "dev", "--yes"], &place[..], more].concat())
}

/// A kubeconfig in which a context leads to nobody.
fn with_nobody_at(clusters: &Clusters, folder: &Path, context: &str) -> Clusters {
    let raw = clusters.kubectl(context, &["config", "view", "--raw", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&raw).expect("kubectl prints JSON");
    let of_context = config["contexts"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["name"] == context)
        .map(|one| one["context"]["cluster"].clone());
    for cluster in config["clusters"].as_array_mut().into_iter().flatten() {
        if Some(&cluster["name"]) == of_context.as_ref() {
            cluster["cluster"]["server"] = "https://127.0.0.1:1".into();
        }
    }
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).expect("the folder is there");
    Clusters {
        kubeconfig: file,
        ..clusters.clone()
    }
}

/// Starts an uninstall and kills it once it has deleted something.
fn killed_half_way(clusters: &Clusters) {
    let place = ["--context", &clusters.edge2, "-n", NAMESPACE];
    let arguments = [&["uninstall", "dev", "--yes", "--delete-data"], &place[..]].concat();
    let mut running = clusters
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("telectl can be started");
    let said = BufReader::new(running.stderr.take().expect("it is piped"));
    let mut lines = said.lines().map_while(Result::ok);
    let deleted = lines.find(|line| line.contains("StatefulSet/") && line.ends_with(" deleted"));
    running.kill().expect("it can be killed");
    running.wait().expect("it ends");
    assert!(deleted.is_some(), "it deleted no StatefulSet");
}

fn exists(clusters: &Clusters) -> bool {
    let get = ["get", "namespace", NAMESPACE];
    clusters.try_kubectl(&clusters.edge2, &get).code == 0
}

#[test]
fn d18_a_killed_uninstall_goes_on_and_leaves_what_is_not_its_own() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let kubectl = |arguments: &[&str]| {
        let place = ["-n", NAMESPACE];
        clusters.kubectl(&clusters.edge2, &[&place[..], arguments].concat())
    };
    let deploy = [
        "deploy",
        "dev",
        "--yes",
        "--context",
        &clusters.edge2,
        "-n",
        NAMESPACE,
    ];
    let _made = clusters
        .telectl(&[&deploy[..], &LAB_VALUES].concat())
        .exits(0);
    kubectl(&["create", "configmap", "foreign"]);
    let plan = uninstall(&clusters, &["--dry-run"]).exits(0);
    assert!(
        plan.stderr.contains("Secret/redis-auth is kept"),
        "{}",
        plan.stderr
    );

    killed_half_way(&clusters);
    // The lock of the killed run expires by itself.
    let gone = clusters.eventually("the lock to expire", LONG, || {
        let done = uninstall(&clusters, &["--delete-data"]);
        (done.code != 8).then_some(done)
    });
    let gone = gone.exits(0);
    assert!(
        gone.stderr.contains("is kept: ConfigMap/foreign is in it"),
        "{}",
        gone.stderr
    );
    let everything = "all,pvc,secrets,configmaps,networkpolicies,sa,leases,pdb,quota";
    clusters.eventually("the volumes to go", LONG, || {
        let left = kubectl(&["get", everything, "-o", "name"]);
        let left: Vec<&str> = left.split_whitespace().collect();
        let expected = [
            "configmap/foreign",
            "configmap/kube-root-ca.crt",
            "serviceaccount/default",
        ];
        (left == expected).then_some(())
    });
    kubectl(&["delete", "configmap", "foreign"]);
    let _namespace = uninstall(&clusters, &["--delete-data"]).exits(0);
    assert!(!exists(&clusters), "telectl made it, and it is empty");
    let _nothing = uninstall(&clusters, &[])
        .exits(0)
        .says("Nothing to delete.");
}

#[test]
fn d18_a_cluster_that_does_not_answer_stops_it_unless_it_may_be_left_out() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let broken = with_nobody_at(&clusters, folder.path(), &clusters.shared);
    let run = |more: &[&str]| {
        let contexts = [
            "-e",
            &clusters.edge2,
            "-c",
            &clusters.shared,
            "-n",
            "nowhere",
        ];
        broken.telectl(&[&["uninstall", "--yes"], &contexts[..], more].concat())
    };
    let _refused = run(&[])
        .exits(1)
        .says("central on shared: cluster shared: the API server at https://127.0.0.1:1")
        .says("nothing was deleted");
    let _partial = run(&["--skip-unreachable"]).exits(5).says("is left out");
}

#[test]
fn d13_what_stands_in_the_way_in_all_clusters_is_told_at_once() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let broken = with_nobody_at(&clusters, folder.path(), &clusters.shared);
    let namespace = "in-the-way";
    let edge = &clusters.edge2;
    let make = |arguments: &[&str]| clusters.kubectl(edge, arguments);
    make(&["create", "namespace", namespace]);
    make(&["-n", namespace, "create", "quota", "team", "--hard=pods=0"]);
    let contexts = ["-e", edge, "-c", &clusters.shared, "-n", namespace];
    let deploy = |more: &[&str]| {
        let all = [&["deploy-all", "--yes"], &contexts[..], &LAB_VALUES, more].concat();
        broken.telectl(&all)
    };
    let told = deploy(&[]).exits(1);
    for said in [
        "TEL-PRE-001 error: cluster shared: the API server at https://127.0.0.1:1",
        "TEL-PRE-013 error: cluster edge-2, edge: ResourceQuota team admits 0 pods",
        "nothing was written",
    ] {
        assert!(told.stderr.contains(said), "{said}: {}", told.stderr);
    }
    let left = make(&["-n", namespace, "get", "all,secrets,leases", "-o", "name"]);
    make(&["delete", "namespace", namespace, "--wait=false"]);
    assert_eq!(left, "");
    let one = deploy(&["--skip-preflight", "TEL-PRE-013"]).exits(1);
    assert!(!one.stderr.contains("TEL-PRE-013 error"), "{}", one.stderr);
    assert!(one.stderr.contains("TEL-PRE-001 error"), "{}", one.stderr);
}
