//! What others own: taken field by field, adopted with a word of its own, made anew where it cannot
//! be changed.

use serde_json::Value;

use super::lab::{Done, LAB_VALUES, Lab};

pub(super) const PLACE: [&str; 2] = ["-n", "telemetry-system"];

pub(super) fn kubectl(lab: &Lab, arguments: &[&str]) -> String {
    lab.kubectl(&lab.central, &[&PLACE[..], arguments].concat())
}

/// A live object.
pub(super) fn object(lab: &Lab, object: &str) -> Value {
    let shown = kubectl(lab, &["get", object, "-o", "json", "--show-managed-fields"]);
    serde_json::from_str(&shown).expect("kubectl prints JSON")
}

/// A command on the central profile with these flags.
pub(super) fn central(lab: &Lab, more: &[&str]) -> Done {
    let deploy = ["deploy", "central", "--context", &lab.central];
    lab.telectl(&[&deploy[..], &LAB_VALUES, more].concat())
}

pub(super) fn plan(lab: &Lab, more: &[&str]) -> Done {
    lab.lab(&[&["plan", "--exit-code"][..], more].concat())
}

/// Changes a field as somebody would.
fn edit(lab: &Lab, manager: &str, object: &str, patch: &str) {
    let manager = format!("--field-manager={manager}");
    let patch = ["patch", object, "--type", "merge", "-p", patch, &manager];
    kubectl(lab, &patch);
}

#[test]
fn d07_fields_of_people_are_taken_one_by_one_and_the_others_stop_a_deploy() {
    let Some(lab) = Lab::take() else { return };
    let port = r#"{"spec":{"ports":[{"port":80,"targetPort":9999}]}}"#;
    edit(&lab, "kubectl-edit", "service/api-gateway", port);
    let types = r#"{"spec":{"policyTypes":["Egress"]}}"#;
    edit(&lab, "k9s", "networkpolicy/collector", types);
    let refused = central(&lab, &["--yes"]);
    let some = central(&lab, &["--yes", "--take", "kubectl-edit"]);
    let misspelt = central(&lab, &["--yes", "--take", "kubectl-edti"]);
    let planned = plan(&lab, &["--take", ".spec.policyTypes"]);
    let both = ["--take", "kubectl-edit", "--take", ".spec.policyTypes"];
    let taken = central(&lab, &[&both[..], &["--yes"]].concat());
    let clean = plan(&lab, &[]);
    let nothing = central(&lab, &["--yes", "--take", "kubectl-edit"]);
    let refused = refused
        .exits(1)
        .says("(set by `kubectl-edit` at 20")
        .says("(set by `k9s` at 20")
        .says("--take k9s --take kubectl-edit");
    assert!(refused.stderr.contains("9999"), "{}", refused.stderr);
    let some = some.exits(1);
    let error = some.stderr.split("error").last().unwrap_or_default();
    assert!(error.contains("k9s"), "{error}");
    assert!(!error.contains("kubectl-edit"), "taken: {error}");
    let _misspelt = misspelt
        .exits(2)
        .says("--take kubectl-edti matches nothing");
    let _planned = planned
        .exits(3)
        .says("(set by `k9s` at 20")
        .says("taken over");
    let _taken = taken.exits(0);
    let _clean = clean.exits(0);
    let _nothing = nothing.exits(2).says("leave it out");
}

#[test]
fn d07_a_strangers_object_is_named_adopted_on_request_and_made_anew_where_it_must_be() {
    let Some(lab) = Lab::take() else { return };
    let made = [
        "service/collector",
        "service/api-gateway",
        "configmap/postgresql-config",
    ];
    kubectl(
        &lab,
        &[&["delete", "--ignore-not-found"][..], &made].concat(),
    );
    // An object that somebody applied on the client's side, one that somebody created, and one that
    // cannot become ours.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("object.yaml").display().to_string();
    std::fs::write(&file, STRANGERS_CONFIG).expect("it is written");
    kubectl(&lab, &["apply", "-f", &file]);
    let service = ["create", "service", "clusterip", "collector", "--tcp=1:1"];
    kubectl(&lab, &service);
    std::fs::write(&file, STRANGERS_SERVICE).expect("it is written");
    kubectl(&lab, &["create", "-f", &file]);
    let before = lab.snapshot(&lab.central);
    let refused = central(&lab, &["--yes"]);
    let fixed = plan(&lab, &["--adopt"]);
    let flags = ["--adopt", "--recreate", "service/api-gateway"];
    let planned = plan(&lab, &flags);
    assert_eq!(lab.snapshot(&lab.central), before, "nothing was written");
    let done = central(&lab, &[&flags[..], &["--yes"]].concat());
    let config = object(&lab, "configmap/postgresql-config");
    let collector = object(&lab, "service/collector");
    let gateway = object(&lab, "service/api-gateway");
    let clean = plan(&lab, &[]);
    let _refused = refused
        .exits(1)
        .says("ConfigMap/postgresql-config belongs to somebody else (kubectl-client-side-apply)")
        .says("Service/collector belongs to somebody else (kubectl-create)")
        .says("--adopt")
        .says("nothing was written");
    let _fixed = fixed
        .exits(1)
        .says("x Service/api-gateway cannot be changed in place")
        .says(".spec.loadBalancerClass: \"theirs.example/class\" → (none)")
        .says("--recreate Service/api-gateway");
    let _planned = planned
        .exits(3)
        .says("-/+ Service/api-gateway is deleted and made anew")
        .says("its addresses may change")
        .says("adopted from somebody else (kubectl-client-side-apply)")
        .says(".data.\"extra.conf\": \"x\" → (none)");
    let _done = done
        .exits(0)
        .says("Service/api-gateway deleted and made anew");
    for live in [&config, &collector] {
        let text = live.to_string();
        for gone in ["extra.conf", "theirs", "kubectl"] {
            assert!(!text.contains(gone), "{gone} is still in {text}");
        }
    }
    let class = &gateway["spec"]["loadBalancerClass"];
    assert!(class.is_null(), "{gateway}");
    let _clean = clean.exits(0);
}

const STRANGERS_CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata:
  name: postgresql-config
  labels: {theirs: 'yes'}
data:
  postgresql.conf: old
  extra.conf: x
";

const STRANGERS_SERVICE: &str = "
apiVersion: v1
kind: Service
metadata:
  name: api-gateway
spec:
  type: LoadBalancer
  loadBalancerClass: theirs.example/class
  selector: {app: theirs}
  ports:
  - {name: http, port: 80}
";

/// The UID of etcd's pod, and those of its volume.
fn uids(lab: &Lab) -> (String, String) {
    let uid = |object: &str| {
        let path = "jsonpath={.metadata.uid}";
        let get = ["-n", "shared-infrastructure", "get", object, "-o", path];
        lab.kubectl(&lab.central, &get)
    };
    (uid("pod/etcd-0"), uid("persistentvolumeclaim/data-etcd-0"))
}

#[test]
fn d07_a_statefulset_is_made_anew_while_its_pod_runs_on_and_its_volume_stays() {
    let Some(lab) = Lab::take() else { return };
    let before = uids(&lab);
    let size = ["--set", "etcd.persistence.size=300Mi"];
    let anew = ["--recreate", "StatefulSet/etcd"];
    let refused = lab.lab(&[&["deploy-all", "--yes"][..], &size].concat());
    let planned = plan(&lab, &[&size[..], &anew].concat());
    let unknown = plan(&lab, &["--recreate", "StatefulSet/ectd"]);
    let done = lab.lab(&[&["deploy-all", "--yes"][..], &size, &anew].concat());
    let after = uids(&lab);
    let clean = plan(&lab, &size);
    let back = lab.lab(&[&["deploy-all", "--yes"][..], &anew].concat());
    let at_last = uids(&lab);
    let _refused = refused.exits(1).says("--recreate StatefulSet/etcd");
    let _planned = planned
        .exits(3)
        .says("-/+ StatefulSet/etcd is deleted and made anew")
        .says("its pods run on")
        .says("\"256Mi\" → \"300Mi\"")
        .says("1 to recreate");
    let _unknown = unknown.exits(2).says("no stage has such an object");
    let _done = done.exits(0).says("StatefulSet/etcd deleted and made anew");
    let _clean = clean.exits(0);
    let _back = back.exits(0);
    assert_eq!(before, after, "the pod and its volume are the same");
    assert_eq!(before, at_last);
}
