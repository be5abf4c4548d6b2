//! Objects of a release that the real helm made become ours, with a word of its own.

use std::path::{Path, PathBuf};

use serde_json::Value;
use telectl::config::environment::Environment;

use super::lab::{Done, LONG, Lab, done};
use super::ownership::{PLACE, central, kubectl, object, plan};

/// What is telectl's first and helm's then.
const MADE: [&str; 3] = [
    "deployment/collector",
    "service/collector",
    "configmap/postgresql-config",
];

/// What the chart has besides.
const EXTRA: &str = "configmap/old-extra";

/// Objects with names that telectl renders, as an earlier chart had them: with fields that telectl
/// sets otherwise, fields that it does not set, and an object that it does not make.
const CHART: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: old-extra
data: {a: b}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: postgresql-config
  labels: {helm.sh/chart: old-1.0.0}
data:
  postgresql.conf: max_connections = 5
  extra.conf: dropped
---
apiVersion: v1
kind: Service
metadata:
  name: collector
  labels: {helm.sh/chart: old-1.0.0}
  annotations: {old.example/team: data}
spec:
  selector: {app: old}
  ports:
  - {name: http, port: 8082, targetPort: 1}
  - {name: debug, port: 9999, targetPort: 2}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: collector
  labels: {helm.sh/chart: old-1.0.0}
spec:
  replicas: 1
  minReadySeconds: 1
  strategy: {type: Recreate}
  selector:
    matchLabels: SELECTOR
  template:
    metadata:
      labels: SELECTOR
    spec:
      containers:
      - name: collector
        image: localhost/no-such-image:old
        imagePullPolicy: Never
        env:
        - {name: OLD_VARIABLE, value: dropped}
        - {name: REDIS_PASSWORD, value: in-the-clear}
      - name: sidecar
        image: localhost/no-such-image:old
        imagePullPolicy: Never
"#;

/// The selector that telectl gives to the Deployment.
const OUR_SELECTOR: &str = r#"{app.kubernetes.io/component: collector, app.kubernetes.io/instance: telemetry-central, telectl.io/serving: "true"}"#;

/// What must be gone from what was adopted.
const DROPPED: [&str; 9] = [
    "meta.helm.sh",
    "helm.sh/chart",
    "extra.conf",
    "old.example/team",
    "9999",
    "OLD_VARIABLE",
    "in-the-clear",
    "sidecar",
    "minReadySeconds",
];

/// The real helm, or a visible skip.
fn helm() -> Option<PathBuf> {
    let environment = Environment::of_process();
    let found = environment.get("TELECTL_TEST_HELM").map(PathBuf::from);
    assert!(
        found.is_some() || environment.get("CI") != Some("true"),
        "no helm (TELECTL_TEST_HELM is not set), and CI=true forbids to skip"
    );
    if found.is_none() {
        super::lab::skipped("no helm; `make test` builds it");
    }
    found
}

struct Release<'a> {
    lab: &'a Lab,
    helm: PathBuf,
    name: &'static str,
    folder: tempfile::TempDir,
}

impl<'a> Release<'a> {
    fn new(lab: &'a Lab, helm: PathBuf, name: &'static str) -> Self {
        Self {
            lab,
            helm,
            name,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn helm(&self, arguments: &[&str]) -> Done {
        let home = |name: &str| self.folder.path().join(name);
        let output = std::process::Command::new(&self.helm)
            .args(["--kube-context", &self.lab.central])
            .args(PLACE)
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", &self.lab.kubeconfig)
            .env("HELM_CACHE_HOME", home("cache"))
            .env("HELM_CONFIG_HOME", home("config"))
            .env("HELM_DATA_HOME", home("data"))
            .output();
        done(output.expect("helm can be started"))
    }

    /// Puts a release in the place of what telectl made.
    fn install(&self, selector: &str, apply: &str) {
        let delete = ["delete", "--wait", "--ignore-not-found"];
        kubectl(self.lab, &[&delete[..], &MADE, &[EXTRA]].concat());
        let chart = self.folder.path().join("chart");
        write(
            &chart.join("Chart.yaml"),
            "apiVersion: v2\nname: old\nversion: 1.0.0\n",
        );
        let objects = CHART.replace("SELECTOR", selector);
        write(&chart.join("templates/all.yaml"), &objects);
        let chart = chart.display().to_string();
        let _installed = self.helm(&["install", self.name, &chart, apply]).exits(0);
    }

    /// Lets helm forget the release with the command that the plan names, and deletes what is left
    /// of it.
    fn forget(&self) -> String {
        let selector = format!("owner=helm,name={}", self.name);
        kubectl(self.lab, &["delete", "secret", "-l", &selector]);
        kubectl(self.lab, &["delete", EXTRA]);
        format!(
            "kubectl --context {} -n telemetry-system delete secret -l {selector}",
            self.lab.central
        )
    }
}

fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("it is in a folder");
    std::fs::create_dir_all(folder).expect("the folder is made");
    std::fs::write(path, text).expect("the file is written");
}

/// The names of those who own fields of an object.
fn managers(live: &Value) -> Vec<&str> {
    let entries = live["metadata"]["managedFields"].as_array();
    let names = entries.into_iter().flatten();
    names
        .filter_map(|entry| entry["manager"].as_str())
        .collect()
}

/// What has to hold of an object that is ours now.
fn assert_ours(live: &Value) {
    let metadata = &live["metadata"];
    assert_eq!(
        metadata["labels"]["app.kubernetes.io/managed-by"],
        "telectl"
    );
    let set = metadata["labels"]["applyset.kubernetes.io/part-of"].as_str();
    assert!(set.is_some(), "{live}");
    assert!(!managers(live).contains(&"helm"), "{live}");
    let text = live.to_string();
    for dropped in DROPPED {
        assert!(!text.contains(dropped), "{dropped} is still in {text}");
    }
}

#[test]
fn d07_a_release_of_the_real_helm_is_adopted_and_its_other_fields_go() {
    let Some(helm) = helm() else { return };
    let Some(lab) = Lab::take() else { return };
    let release = Release::new(&lab, helm, "telemetry");
    release.install(OUR_SELECTOR, "--server-side=true");
    let refused = central(&lab, &["--yes"]);
    let shown = plan(&lab, &[]);
    let planned = plan(&lab, &["--adopt"]);
    let untouched = MADE.map(|name| object(&lab, name));
    let done = central(&lab, &["--adopt", "--yes"]);
    let adopted = MADE.map(|name| object(&lab, name));
    let clean = plan(&lab, &[]);
    // The plan's own command lets helm forget: nothing of ours can be uninstalled any more.
    let forget = release.forget();
    let gone = release.helm(&["uninstall", release.name]);
    let left = object(&lab, MADE[0]);
    for live in untouched {
        assert!(!managers(&live).contains(&"telectl"), "written: {live}");
    }
    let belongs = "Deployment/collector belongs to helm release telemetry";
    let _shown = shown.exits(1).says(belongs);
    let _refused = refused.exits(1).says(belongs).says("--adopt");
    let planned = planned
        .exits(3)
        .says("adopted from helm release telemetry (namespace telemetry-system)")
        .says("taken over from helm; nothing asks for these any more:")
        .says(".metadata.labels.\"helm.sh/chart\": \"old-1.0.0\" → (none)")
        .says(".data.\"extra.conf\": \"dropped\" → (none)")
        .says("Secret/sh.helm.release.v1.telemetry.v1")
        .says("`helm uninstall` would delete")
        .says("it, too: ConfigMap/old-extra");
    let _done = done.exits(0);
    adopted.iter().for_each(assert_ours);
    let _clean = clean.exits(0);
    assert!(planned.stdout.contains(&forget), "{}", planned.stdout);
    let _gone = gone.exits(1).says("not found");
    assert_ours(&left);
}

#[test]
fn d07_a_release_with_another_selector_is_made_anew_and_a_persons_change_stops_it() {
    let Some(helm) = helm() else { return };
    let Some(lab) = Lab::take() else { return };
    let release = Release::new(&lab, helm, "older");
    // As helm 3 does it: its fields are updated, not applied.
    release.install("{app: old}", "--server-side=false");
    let patch = r#"{"data":{"postgresql.conf":"max_connections = 7"}}"#;
    let edit = ["patch", "configmap/postgresql-config", "--type", "merge"];
    let edit = [&edit[..], &["-p", patch, "--field-manager=kubectl-edit"]].concat();
    kubectl(&lab, &edit);
    let fixed = plan(&lab, &["--adopt"]);
    let flags = ["--adopt", "--recreate", "deployment/collector"];
    let stopped = central(&lab, &[&flags[..], &["--yes"]].concat());
    let flags = [&flags[..], &["--take", "kubectl-edit", "--yes"]].concat();
    let done = central(&lab, &flags);
    let adopted = MADE.map(|name| object(&lab, name));
    let clean = plan(&lab, &[]);
    release.forget();
    let _fixed = fixed
        .exits(1)
        .says("x Deployment/collector cannot be changed in place")
        .says("--recreate Deployment/collector");
    let _stopped = stopped
        .exits(1)
        .says("max_connections = 7")
        .says("--take kubectl-edit");
    let _done = done
        .exits(0)
        .says("its pods stop first")
        .says("Deployment/collector deleted and made anew");
    adopted.iter().for_each(assert_ours);
    let _clean = clean.exits(0);
    // Nothing of the old Deployment runs on.
    let old = ["get", "replicasets,pods", "-l", "app=old", "-o", "name"];
    lab.eventually("the old pods to be gone", LONG, || {
        kubectl(&lab, &old).is_empty().then_some(())
    });
}
