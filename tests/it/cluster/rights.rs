//! What a user may not read is unknown: neither absent nor well.

use std::path::Path;

use serde_json::Value;

use super::lab::{Clusters, Lab};

const NAMESPACE: &str = "telemetry-system";

/// The clusters as a user of the central one sees them who may do only this there, in the two
/// namespaces; `folder` takes the kubeconfig.
fn restricted(lab: &Lab, name: &str, rules: &[(&str, &str)], folder: &Path) -> Clusters {
    let central = &lab.central;
    lab.kubectl(
        central,
        &["-n", NAMESPACE, "create", "serviceaccount", name],
    );
    for namespace in [NAMESPACE, "shared-infrastructure"] {
        for (index, (verbs, resources)) in rules.iter().enumerate() {
            let role = format!("{name}-{index}");
            let verbs = format!("--verb={verbs}");
            let resources = format!("--resource={resources}");
            let create = ["-n", namespace, "create", "role", &role, &verbs, &resources];
            lab.kubectl(central, &create);
            let of = format!("--role={role}");
            let to = format!("--serviceaccount={NAMESPACE}:{name}");
            let bind = ["-n", namespace, "create", "rolebinding", &role, &of, &to];
            lab.kubectl(central, &bind);
        }
    }
    let token = lab.kubectl(central, &["-n", NAMESPACE, "create", "token", name]);
    let view = ["config", "view", "--raw", "--minify", "-o", "json"];
    let view: Value = serde_json::from_str(&lab.kubectl(central, &view)).expect("JSON");
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": view["clusters"],
        "users": [{"name": name, "user": {"token": token.trim()}}],
        "contexts": [{"name": central, "context": {
            "cluster": view["clusters"][0]["name"], "user": name,
        }}],
    });
    let file = folder.join("config");
    std::fs::write(&file, kubeconfig.to_string()).expect("it can be written");
    Clusters {
        kubeconfig: file,
        ..lab.clusters.clone()
    }
}

/// Takes the user and the rights away again.
fn forget(lab: &Lab, name: &str, rules: usize) {
    let central = &lab.central;
    lab.kubectl(
        central,
        &["-n", NAMESPACE, "delete", "serviceaccount", name],
    );
    for namespace in [NAMESPACE, "shared-infrastructure"] {
        for index in 0..rules {
            let role = format!("{name}-{index}");
            for kind in ["rolebinding", "role"] {
                lab.kubectl(central, &["-n", namespace, "delete", kind, &role]);
            }
        }
    }
}

#[test]
fn v06_what_a_user_may_not_read_is_neither_missing_nor_deployed_again() {
    let Some(lab) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let rules = [
        (
            "list",
            "statefulsets.apps,services,networkpolicies.networking.k8s.io",
        ),
        ("get", "configmaps"),
    ];
    let seen = restricted(&lab, "half-blind", &rules, folder.path());
    let central = ["--central-context", seen.central.as_str()];
    let status = ["status", "--read-only", "-o", "json"];
    let status = seen.telectl(&[&status[..], &central].concat());
    let validate = ["validate", "deployment", "-o", "json"];
    let report = seen.telectl(&[&validate[..], &central].concat());
    forget(&lab, "half-blind", rules.len());

    let status = status.exits(4).json();
    assert_eq!(status["verdict"], "unknown", "{status:#}");
    let rows = status["clusters"][0]["workloads"].as_array();
    let row = |name: &str| rows.into_iter().flatten().find(|row| row["name"] == name);
    assert_eq!(row("collector").expect("a row")["verdict"], "unknown");
    assert_eq!(row("redis").expect("a row")["verdict"], "ready");

    let report = report.exits(4).json();
    let findings = report["findings"].as_array().expect("findings");
    let failed: Vec<&Value> = findings
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .collect();
    assert!(
        !failed.is_empty(),
        "it sees no collectors and must not pass"
    );
    for finding in &failed {
        assert_eq!(finding["id"], "TEL-API-002", "{finding:#}");
    }
    let text = report.to_string();
    assert!(!text.contains("telectl deploy"), "{report:#}");
    // What it says to do is what is missing.
    let command = failed[0]["remedy"]["commands"][0].as_str().expect("one");
    assert!(command.ends_with("auth can-i list deployments.apps"));
}
