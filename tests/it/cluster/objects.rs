//! What no profile has by itself, on real API servers; and what the backup does in a real pod.

use std::io::Write as _;

use serde_json::{Value, json};

use super::lab::{Clusters, LAB_VALUES, LONG, Lab, ROWS};

const NAMESPACE: &str = "telemetry-system";

/// Everything optional.
const ALL: [&str; 14] = [
    "--set",
    "monitoring.enabled=true",
    "--set",
    "apiGateway.ingress.enabled=true",
    "--set",
    "streamer.ingress.enabled=true,streamer.ingress.hosts[0].host=streamer.example.com",
    "--set",
    "streamer.config.csvSource.type=url,streamer.config.csvSource.url=https://example.com/a.csv,\
     streamer.config.csvSource.maxSize=16Mi",
    "--set",
    "streamer.config.csvSource.sha256=\
     0000000000000000000000000000000000000000000000000000000000000000",
    "--set",
    "backup.enabled=true",
    "--set",
    "externalRedis.serviceName=redis-elsewhere,namespace=every-object",
];

/// Enough of the Prometheus operator for its API: the kind, any shape.
fn definition() -> Value {
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": "servicemonitors.monitoring.coreos.com" },
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": { "plural": "servicemonitors", "kind": "ServiceMonitor" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": anything },
            }],
        },
    })
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(text.as_bytes()).expect("it can be written");
    file
}

/// Strictly validated and admitted in a namespace that enforces the restricted standard; first on a
/// cluster without the Prometheus operator, which has to be said.
#[test]
fn r24_r32_r35_every_object_is_taken_by_a_real_api_server() {
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let context = &clusters.edge;
    let on_missing = ["deploy", "same-cluster", "--context", context, "--dry-run"];
    let namespace = ["create", "namespace", "every-object"];
    clusters.kubectl(context, &namespace);
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    clusters.kubectl(context, &["label", "namespace", "every-object", enforce]);
    let values = [&LAB_VALUES[..], &ALL[..]].concat();
    let missing = clusters.telectl(&[&on_missing[..], &values].concat());
    let _missing = missing
        .exits(1)
        .says("ServiceMonitor needs it")
        .says("monitoring.enabled=false");

    let definition = file(&definition().to_string());
    let path = definition.path().display().to_string();
    clusters.kubectl(context, &["apply", "-f", &path]);
    let established = "condition=established";
    let name = "crd/servicemonitors.monitoring.coreos.com";
    clusters.kubectl(context, &["wait", "--for", established, name]);
    for profile in ["same-cluster", "edge", "central", "shared"] {
        let render = ["render", profile, "--placeholders"];
        let rendered = clusters.telectl(&[&render[..], &values].concat()).exits(0);
        let manifests = file(&rendered.stdout);
        let path = manifests.path().display().to_string();
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
            &path,
        ];
        let taken = clusters.try_kubectl(context, &apply).exits(0);
        assert!(!taken.stderr.contains("would violate"), "{}", taken.stderr);
    }
    clusters.kubectl(context, &["delete", "-f", &path]);
    clusters.kubectl(context, &["delete", "namespace", "every-object"]);
}

/// A Job of the CronJob's own pod, with another command if one is given.
fn job(lab: &Lab, name: &str, command: Option<&str>) -> String {
    let context = &lab.central;
    let cron = lab.kubectl(
        context,
        &["-n", NAMESPACE, "get", "cronjob", "backup", "-o", "json"],
    );
    let cron: Value = serde_json::from_str(&cron).expect("kubectl prints JSON");
    let mut spec = cron["spec"]["jobTemplate"]["spec"].clone();
    if let Some(command) = command {
        let container = &mut spec["template"]["spec"]["containers"][0];
        container["command"] = json!(["sh", "-euc", command]);
    }
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec,
    });
    let job = file(&job.to_string());
    let path = job.path().display().to_string();
    lab.kubectl(context, &["create", "-f", &path]);
    let reference = format!("job/{name}");
    let state = "jsonpath={.status.conditions[*].type}";
    lab.eventually(name, LONG, || {
        let shown = lab.kubectl(context, &["-n", NAMESPACE, "get", &reference, "-o", state]);
        assert!(!shown.contains("Failed"), "{name} failed");
        shown.contains("Complete").then_some(())
    });
    let log = lab.kubectl(context, &["-n", NAMESPACE, "logs", &reference]);
    lab.kubectl(context, &["-n", NAMESPACE, "delete", &reference]);
    log
}

#[test]
fn r35_a_dump_of_the_real_database_can_be_restored() {
    let Some(lab) = Lab::take() else {
        return;
    };
    let log = job(&lab, "backup-now", None);
    assert!(log.contains("bytes into /backup/telemetry-"), "{log}");
    // The CronJob itself may have made another one at its time of the night.
    let restore = "ls -A /backup; newest=$(ls /backup/telemetry-*.dump | tail -n 1); \
                   createdb restored; pg_restore --no-password --dbname=restored \"$newest\"; \
                   psql -d restored -Atc 'select count(*) from sample'; dropdb restored";
    let log = job(&lab, "restore", Some(restore));
    let lines: Vec<&str> = log.lines().collect();
    let hidden = lines.iter().any(|line| line.starts_with(".part"));
    assert!(!hidden, "a dump was left half-way: {log}");
    let rows: Option<u64> = lines.last().and_then(|line| line.parse().ok());
    assert!(rows.is_some_and(|rows| rows >= ROWS), "{log}");
}
