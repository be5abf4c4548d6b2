//! Whether the level of Pod Security that a namespace enforces admits the pods of a set. Pure.
//!
//! The rules are those of Kubernetes' Pod Security Standards, for the fields that are rendered.

use std::collections::BTreeSet;

use serde_json::Value;

use super::amounts::workloads;
use super::catalogue::POD_SECURITY;
use super::finding::{Finding, Severity};
use super::wanting::items;
use crate::model::manifest::RenderedSet;

/// The label by which a namespace enforces a level.
pub(super) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// What the baseline lets containers add; the restricted level only the last one.
const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "NET_RAW",
    "NET_BIND_SERVICE",
];
/// The kinds of volumes that the restricted level admits.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Baseline,
    Restricted,
}

/// The workloads whose pods the namespace would refuse.
pub(super) fn judge(set: &RenderedSet, namespace: Option<&Value>) -> Vec<Finding> {
    let Some(namespace) = namespace else {
        return Vec::new();
    };
    let label = namespace["metadata"]["labels"][ENFORCE].as_str();
    let level = match label {
        Some("restricted") => Level::Restricted,
        Some("baseline") => Level::Baseline,
        _ => return Vec::new(),
    };
    let refused = workloads(set).filter_map(|(manifest, pod, _)| {
        let violations = violations(pod, level);
        if violations.is_empty() {
            return None;
        }
        let violations: Vec<String> = violations.into_iter().collect();
        let finding = Finding::warning(
            &POD_SECURITY,
            format!(
                "the pods of {}/{} are refused: {}",
                manifest.object.kind,
                manifest.object.name,
                violations.join("; ")
            ),
            format!("what {ENFORCE}={} admits", label.unwrap_or_default()),
            "change the values, or the label of the namespace",
        );
        Some(finding.being(Severity::Error))
    });
    refused.collect()
}

fn violations(pod: &Value, level: Level) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod[field] == true {
            found.insert(format!("{field} is true"));
        }
    }
    for volume in items(&pod["volumes"]) {
        let kinds = volume.as_object().into_iter().flatten();
        for (kind, _) in kinds.filter(|(field, _)| *field != "name") {
            let is_admitted = VOLUMES.contains(&kind.as_str());
            if kind == "hostPath" || (level == Level::Restricted && !is_admitted) {
                found.insert(format!("a volume is of kind {kind}"));
            }
        }
    }
    let containers = items(&pod["containers"]).chain(items(&pod["initContainers"]));
    for container in containers {
        let name = container["name"].as_str().unwrap_or_default();
        let of_container = of_container(container, &pod["securityContext"], level);
        found.extend(
            of_container
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    found
}

fn of_container(container: &Value, of_pod: &Value, level: Level) -> Vec<String> {
    let context = &container["securityContext"];
    let mut found = Vec::new();
    if context["privileged"] == true {
        found.push("privileged is true".to_owned());
    }
    if items(&container["ports"]).any(|port| port["hostPort"].as_u64().unwrap_or(0) != 0) {
        found.push("it has a hostPort".to_owned());
    }
    let admitted = match level {
        Level::Baseline => &CAPABILITIES[..],
        Level::Restricted => &CAPABILITIES[13..],
    };
    let mut added = items(&context["capabilities"]["add"]).filter_map(Value::as_str);
    if let Some(capability) = added.find(|capability| !admitted.contains(capability)) {
        found.push(format!("it adds the capability {capability}"));
    }
    let inherited = |field: &str| match &context[field] {
        Value::Null => &of_pod[field],
        own => own,
    };
    let seccomp = inherited("seccompProfile")["type"].as_str();
    if seccomp == Some("Unconfined") {
        found.push("seccompProfile is Unconfined".to_owned());
    }
    if level == Level::Restricted {
        restricted(context, inherited, seccomp, &mut found);
    }
    found
}

fn restricted<'a>(
    context: &'a Value,
    inherited: impl Fn(&str) -> &'a Value,
    seccomp: Option<&str>,
    found: &mut Vec<String>,
) {
    if context["allowPrivilegeEscalation"] != false {
        found.push("allowPrivilegeEscalation is not false".to_owned());
    }
    if !items(&context["capabilities"]["drop"]).any(|dropped| dropped == "ALL") {
        found.push("it does not drop ALL capabilities".to_owned());
    }
    if *inherited("runAsNonRoot") != true {
        found.push("runAsNonRoot is not true".to_owned());
    }
    if *inherited("runAsUser") == 0 {
        found.push("runAsUser is 0".to_owned());
    }
    if !matches!(seccomp, Some("RuntimeDefault" | "Localhost")) {
        found.push("seccompProfile is not RuntimeDefault".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strict() -> Value {
        json!({
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
            }}],
            "volumes": [{"name": "data", "emptyDir": {}}],
        })
    }

    fn found(pod: &Value, level: Level) -> Vec<String> {
        violations(pod, level).into_iter().collect()
    }

    #[test]
    fn n11_what_is_strict_is_admitted_and_each_slip_is_named() {
        assert_eq!(found(&strict(), Level::Restricted), [""; 0]);
        let slips = [
            (
                "/containers/0/securityContext/allowPrivilegeEscalation",
                json!(true),
                "a: allowPriv",
            ),
            (
                "/containers/0/securityContext/capabilities",
                json!({}),
                "a: it does not drop",
            ),
            (
                "/securityContext/runAsNonRoot",
                json!(false),
                "a: runAsNonRoot",
            ),
            (
                "/securityContext/seccompProfile",
                json!(null),
                "a: seccompProfile is not",
            ),
            (
                "/volumes/0",
                json!({"name": "x", "nfs": {}}),
                "a volume is of kind nfs",
            ),
        ];
        for (pointer, value, said) in slips {
            let mut pod = strict();
            *pod.pointer_mut(pointer).unwrap() = value;
            let found_now = found(&pod, Level::Restricted);
            assert_eq!(found_now.len(), 1, "{pointer}: {found_now:?}");
            assert!(found_now[0].starts_with(said), "{found_now:?}");
            assert_eq!(found(&pod, Level::Baseline), [""; 0], "{pointer}");
        }
    }

    #[test]
    fn n11_the_baseline_refuses_what_reaches_the_host() {
        let mut pod = strict();
        pod["hostNetwork"] = json!(true);
        pod["volumes"] = json!([{"name": "x", "hostPath": {}}]);
        pod["containers"][0]["ports"] = json!([{"hostPort": 80}]);
        pod["containers"][0]["securityContext"]["privileged"] = json!(true);
        pod["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["SYS_ADMIN"]);
        assert_eq!(found(&pod, Level::Baseline).len(), 5);
    }
}
