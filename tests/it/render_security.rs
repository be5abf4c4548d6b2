//! Pods against the rules of the Pod Security standard "restricted", and secrets in them.

use serde_json::Value;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{all_pods, containers, fullest_sets, object, preview};

/// What a pod breaks of the "restricted" standard (which includes "baseline").
pub(crate) fn violations(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let shared = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|key| spec[*key] == true);
    let mut found: Vec<String> = shared.map(str::to_owned).collect();
    found.extend(forbidden_volumes(spec));
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    for container in lists
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten())
    {
        let name = container["name"].as_str().unwrap_or("?");
        let rules = rules(&spec["securityContext"], container);
        let broken = rules.into_iter().filter(|(_, kept)| !kept);
        found.extend(broken.map(|(rule, _)| format!("{name}: {rule}")));
    }
    found
}

fn forbidden_volumes(spec: &Value) -> Vec<String> {
    const ALLOWED: [&str; 9] = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    volumes
        .flat_map(|volume| volume.as_object().into_iter().flatten())
        .filter(|(key, _)| !ALLOWED.contains(&key.as_str()))
        .map(|(key, _)| format!("volume {key}"))
        .collect()
}

/// The rules about a container, and whether it keeps them; the pod's settings hold where it has
/// none.
fn rules(pod: &Value, container: &Value) -> Vec<(&'static str, bool)> {
    let context = &container["securityContext"];
    let either = |key: &str| {
        if context[key].is_null() {
            &pod[key]
        } else {
            &context[key]
        }
    };
    let dropped = context["capabilities"]["drop"].as_array();
    let added = context["capabilities"]["add"].as_array();
    let ports = container["ports"].as_array();
    let seccomp = either("seccompProfile")["type"].as_str();
    vec![
        (
            "allowPrivilegeEscalation",
            context["allowPrivilegeEscalation"] == false,
        ),
        ("privileged", context["privileged"] != true),
        ("runAsNonRoot", either("runAsNonRoot") == true),
        (
            "runAsUser",
            either("runAsUser").as_i64().is_some_and(|user| user > 0),
        ),
        (
            "capabilities.drop",
            dropped.is_some_and(|list| list.contains(&Value::from("ALL"))),
        ),
        (
            "capabilities.add",
            added
                .into_iter()
                .flatten()
                .all(|capability| capability == "NET_BIND_SERVICE"),
        ),
        (
            "seccompProfile",
            matches!(seccomp, Some("RuntimeDefault" | "Localhost")),
        ),
        (
            "hostPort",
            ports
                .into_iter()
                .flatten()
                .all(|port| port["hostPort"].is_null()),
        ),
    ]
}

#[test]
fn n11_every_pod_is_restricted_and_cannot_write_its_image() {
    for set in fullest_sets() {
        for (name, pod) in all_pods(&set) {
            assert_eq!(
                violations(pod),
                Vec::<String>::new(),
                "{}: {name}",
                set.profile
            );
            assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
            assert_eq!(pod["spec"]["enableServiceLinks"], false);
            for container in containers(pod) {
                assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
                for part in ["limits", "requests"] {
                    assert!(
                        container["resources"][part]["cpu"].is_string(),
                        "{name}: {part}"
                    );
                    assert!(
                        container["resources"][part]["memory"].is_string(),
                        "{name}: {part}"
                    );
                }
            }
        }
    }
}

#[test]
fn n11_the_checker_of_restricted_pods_finds_what_is_wrong() {
    let set = preview(Profile::Dev, &[]);
    let mut pod = object(&set, ObjectKind::Deployment, "collector")["spec"]["template"].clone();
    pod["spec"]["hostNetwork"] = Value::from(true);
    pod["spec"]["securityContext"]["runAsUser"] = Value::from(0);
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = Value::Null;
    pod["spec"]["volumes"][0] = serde_json::json!({ "name": "x", "hostPath": { "path": "/" } });
    let found = violations(&pod);
    let wanted = [
        "hostNetwork",
        "volume hostPath",
        "collector: runAsUser",
        "collector: capabilities.drop",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn n10_secrets_come_by_reference_never_as_text_or_argument() {
    const SECRET: [&str; 11] = [
        "REDIS_PASSWORD",
        "REDIS_CLIENT_KEY",
        "REDISCLI_AUTH",
        "DB_PASSWORD",
        "POSTGRES_PASSWORD",
        "PGPASSWORD",
        "API_TOKEN",
        "ETCD_CLIENT_KEY",
        "ETCD_PASSWORD",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ];
    let mut seen = std::collections::BTreeSet::new();
    for set in fullest_sets() {
        for (name, pod) in all_pods(&set) {
            for container in containers(pod) {
                seen.extend(secrets_of(&name, container, &SECRET));
            }
        }
    }
    assert_eq!(seen.len(), SECRET.len(), "{seen:?}");
}

/// The secret variables of a container, once they are known to be references.
fn secrets_of(name: &str, container: &Value, secret: &[&str]) -> Vec<String> {
    let variables = container["env"].as_array().into_iter().flatten();
    let named = variables.filter_map(|variable| Some((variable["name"].as_str()?, variable)));
    let secret = named.filter(|(variable_name, _)| secret.contains(variable_name));
    secret
        .map(|(variable_name, variable)| {
            assert!(variable["value"].is_null(), "{name}: {variable}");
            assert!(
                variable["valueFrom"]["secretKeyRef"].is_object(),
                "{name}: {variable}"
            );
            // Kubernetes would put the secret into the arguments.
            let expansion = format!("$({variable_name})");
            assert!(!container["args"].to_string().contains(&expansion));
            assert!(!container["command"].to_string().contains(&expansion));
            variable_name.to_owned()
        })
        .collect()
}

#[test]
fn n06_servers_that_other_clusters_reach_speak_tls_only() {
    let set = preview(Profile::Shared, &[]);
    let command =
        object(&set, ObjectKind::StatefulSet, "etcd")["spec"]["template"]["spec"]["containers"][0]
            ["command"]
            .to_string();
    for flag in [
        "--client-cert-auth=true",
        "--listen-client-urls=https://",
        "--trusted-ca-file=",
    ] {
        assert!(command.contains(flag), "{command}");
    }
    let central = preview(Profile::Central, &[]);
    let config = object(&central, ObjectKind::ConfigMap, "postgresql-config");
    let hba = config["data"]["pg_hba.conf"]
        .as_str()
        .expect("there is a file");
    assert!(
        hba.contains("hostssl all all all scram-sha-256") && !hba.contains("\nhost "),
        "{hba}"
    );
}

#[test]
fn a_gateway_that_is_reached_from_outside_asks_for_a_token() {
    let has_token = |profile, sets: &[&str]| {
        let set = preview(profile, sets);
        let gateway = object(&set, ObjectKind::Deployment, "api-gateway").to_string();
        gateway.contains("API_TOKEN")
    };
    assert!(has_token(Profile::Central, &[]));
    assert!(!has_token(Profile::Dev, &[]));
    assert!(has_token(
        Profile::Dev,
        &["apiGateway.service.type=NodePort"]
    ));
    assert!(!has_token(
        Profile::Central,
        &["apiGateway.config.auth.enabled=false"]
    ));
}
