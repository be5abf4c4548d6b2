//! An account with exactly the rights that `telectl rbac` prints, in namespaces that enforce Pod
//! Security "restricted".

use std::path::Path;

use serde_json::{Value, json};

use super::lab::{Clusters, Done, LAB_VALUES, LONG};

const NAMESPACE: &str = "least-privilege";
const SHARED: &str = "shared-infrastructure";
const ACCOUNT: &str = "telectl-operator";

/// Puts the printed Roles into a cluster; gives the account's token.
fn granted(clusters: &Clusters, context: &str, profiles: &str) -> String {
    let line =
        format!("telectl rbac {profiles} -n {NAMESPACE} | kubectl --context {context} apply -f -");
    let applied = clusters.shell(&line).output().expect("bash can be started");
    let said = String::from_utf8_lossy(&applied.stderr);
    assert!(applied.status.success(), "{line}: {said}");
    let token = ["-n", NAMESPACE, "create", "token", ACCOUNT, "--duration=1h"];
    clusters.kubectl(context, &token).trim().to_owned()
}

/// A kubeconfig in which these contexts are used with these tokens.
pub(super) fn with_tokens(
    clusters: &Clusters,
    folder: &Path,
    tokens: &[(&str, String)],
) -> Clusters {
    let raw = clusters.kubectl(tokens[0].0, &["config", "view", "--raw", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&raw).expect("kubectl prints JSON");
    let users = tokens
        .iter()
        .map(|(context, token)| json!({"name": context, "user": {"token": token}}));
    config["users"] = users.collect();
    for context in config["contexts"].as_array_mut().into_iter().flatten() {
        context["context"]["user"] = context["name"].clone();
    }
    let file = folder.join("kubeconfig");
    std::fs::write(&file, config.to_string()).expect("the folder is there");
    Clusters {
        kubeconfig: file,
        ..clusters.clone()
    }
}

/// How many requests an API server has refused for want of a right, by verb and resource. Of what
/// is sent by POST only what telectl sends: controllers are refused to fill a namespace that goes.
fn refused(clusters: &Clusters, context: &str) -> Vec<String> {
    let metrics = clusters.kubectl(context, &["get", "--raw", "/metrics"]);
    let is_ours = |line: &str| {
        let is_posted = line.contains("verb=\"POST\"");
        !is_posted
            || ["leases", "jobs"]
                .iter()
                .any(|resource| line.contains(resource))
    };
    let is_refusal =
        |line: &&str| line.starts_with("apiserver_request_total{") && line.contains("code=\"403\"");
    metrics
        .lines()
        .filter(is_refusal)
        .filter(|line| is_ours(line))
        .map(str::to_owned)
        .collect()
}

fn on(clusters: &Clusters, arguments: &[&str]) -> Done {
    let places = [
        "-e",
        &clusters.edge2,
        "-c",
        &clusters.shared,
        "-n",
        NAMESPACE,
    ];
    clusters.telectl(&[arguments, &places[..]].concat())
}

fn with_values(clusters: &Clusters, arguments: &[&str]) -> Done {
    on(clusters, &[arguments, &LAB_VALUES[..]].concat())
}

/// Takes a resource out of a Role, runs the plan as the account, puts the Role back.
fn without(
    clusters: &Clusters,
    account: &Clusters,
    folder: &Path,
    (kind, namespace, resource): (&str, &str, &str),
) -> Done {
    let context = &clusters.shared;
    let whole = ["-n", namespace, "get", kind, ACCOUNT, "-o", "json"];
    let whole = clusters.kubectl(context, &whole);
    let mut role: Value = serde_json::from_str(&whole).expect("kubectl prints JSON");
    role["metadata"]["resourceVersion"] = Value::Null;
    let write = |role: &Value| {
        let file = folder.join("role.json");
        std::fs::write(&file, role.to_string()).expect("the folder is there");
        let file = file.display().to_string();
        clusters.kubectl(context, &["replace", "-f", &file]);
    };
    let mut less = role.clone();
    let mut taken = 0;
    for rule in less["rules"].as_array_mut().into_iter().flatten() {
        let resources = rule["resources"].as_array_mut().expect("a list");
        let before = resources.len();
        resources.retain(|one| one != resource);
        taken += before - resources.len();
        if resources.is_empty() {
            resources.push(json!("nothing"));
        }
    }
    assert!(taken > 0, "no rule names {resource}");
    write(&less);
    // Rights are looked at where there is something to write.
    let change = ["plan", "--set", "collector.config.pollInterval=1500ms"];
    let done = with_values(account, &change);
    write(&role);
    done
}

#[test]
fn n12_an_account_with_the_printed_roles_does_everything_and_asks_for_nothing_else() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let edge = granted(&clusters, &clusters.edge2, "edge");
    let central = granted(&clusters, &clusters.shared, "central shared");
    let tokens = [(&*clusters.edge2, edge), (&*clusters.shared, central)];
    let account = with_tokens(&clusters, folder.path(), &tokens);
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    for (context, namespace) in [
        (&clusters.edge2, NAMESPACE),
        (&clusters.shared, NAMESPACE),
        (&clusters.shared, SHARED),
    ] {
        clusters.kubectl(context, &["label", "namespace", namespace, enforce]);
    }
    let before = [
        refused(&clusters, &clusters.edge2),
        refused(&clusters, &clusters.shared),
    ];
    let _deployed = with_values(&account, &["deploy-all", "--yes"]).exits(0);
    clusters.eventually("the pipeline to be well", LONG, || {
        (on(&account, &["validate", "connectivity"]).code == 0).then_some(())
    });
    let _status = on(&account, &["status"]).exits(0);
    let _clean = with_values(&account, &["plan", "--exit-code"]).exits(0);
    let after = [
        refused(&clusters, &clusters.edge2),
        refused(&clusters, &clusters.shared),
    ];
    assert_eq!(before, after, "it asked for what it has no right to");

    missing_rights_are_named(&clusters, &account, folder.path());
    let before = [
        refused(&clusters, &clusters.edge2),
        refused(&clusters, &clusters.shared),
    ];
    uninstalls(&clusters, &account);
    let after = [
        refused(&clusters, &clusters.edge2),
        refused(&clusters, &clusters.shared),
    ];
    assert_eq!(before, after, "it asked for what it has no right to");
}

fn missing_rights_are_named(clusters: &Clusters, account: &Clusters, folder: &Path) {
    for (resource, said) in [
        ("services", "services"),
        ("pods/log", "get pods/log"),
        (
            "leases",
            "create, delete, get, update leases.coordination.k8s.io",
        ),
        ("statefulsets", "statefulsets.apps"),
        ("events", "list, watch events"),
    ] {
        let role = ("role", NAMESPACE, resource);
        let plan = without(clusters, account, folder, role).exits(1);
        let line = plan
            .stderr
            .lines()
            .find(|line| line.contains("TEL-PRE-004 error"))
            .unwrap_or_default();
        let cluster = format!("cluster {}", clusters.shared);
        assert!(line.contains(&cluster), "{}", plan.stderr);
        assert!(
            line.contains("in namespace least-privilege the user may not"),
            "{line}"
        );
        assert!(line.contains(said), "{said}: {line}");
    }
    let system = ("role", "kube-system", "namespaces");
    let _system = without(clusters, account, folder, system)
        .exits(1)
        .says("in namespace kube-system the user may not get namespaces");
    // What only helps is no error: it is said that it was not looked at.
    let nodes = ("clusterrole", "", "nodes");
    let _nodes = without(clusters, account, folder, nodes)
        .exits(0)
        .says("nodes were not checked: nodes is forbidden");
}

fn uninstalls(clusters: &Clusters, account: &Clusters) {
    let _refused = on(account, &["uninstall"])
        .exits(2)
        .says("nothing was changed");
    let _gone = on(account, &["uninstall", "--yes"])
        .exits(0)
        .says("PersistentVolumeClaim/data-postgresql-0 is kept: it holds data")
        .says("Namespace/least-privilege is kept: telectl did not make it");
    let left = |context: &str, namespace: &str| {
        let kinds = "deployments,statefulsets,services,pods,jobs,networkpolicies,leases,hpa,pdb";
        clusters.kubectl(context, &["-n", namespace, "get", kinds, "-o", "name"])
    };
    assert_eq!(left(&clusters.edge2, NAMESPACE), "");
    assert_eq!(left(&clusters.shared, NAMESPACE), "");
    assert_eq!(left(&clusters.shared, SHARED), "");
    let _nothing = on(account, &["uninstall", "--yes"])
        .exits(0)
        .says("Nothing to delete.");
    let _all = on(account, &["uninstall", "--yes", "--delete-data"]).exits(0);
    for (context, namespace) in [
        (&clusters.edge2, NAMESPACE),
        (&clusters.shared, NAMESPACE),
        (&clusters.shared, SHARED),
    ] {
        clusters.eventually("the volumes to go", LONG, || {
            let kinds = "pvc,secrets,configmaps";
            let left = clusters.kubectl(context, &["-n", namespace, "get", kinds, "-o", "name"]);
            (left.trim() == "configmap/kube-root-ca.crt").then_some(())
        });
    }
}
