//! What keeps a deployment from its end inside a cluster is named as soon as the cluster knows it: the
//! run does not wait for its deadline.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lab::{Done, LAB_VALUES, Lab};

const PLACE: [&str; 2] = ["-n", "telemetry-system"];
/// From the beginning of a run to its end: a kubelet tries again after 10, 20 and 40 s before it is
/// given up; the deadline is a quarter of an hour.
const SOON: Duration = Duration::from_secs(120);

/// One worker's image is not that of the others, and that is meant.
const OTHER_VERSION: [&str; 2] = ["--skip-preflight", "TEL-PRE-014"];

/// Deploys central with these flags; it has minutes.
fn central(lab: &Lab, flags: &[&str]) -> Done {
    let deploy = ["deploy", "central", "--context", &lab.central, "--yes"];
    lab.telectl(&[&deploy[..], &LAB_VALUES, flags].concat())
}

/// Deploys what cannot come to its end, and then what can; gives what the first said.
fn broken_and_mended(lab: &Lab, flags: &[&str]) -> Done {
    let started = Instant::now();
    let broken = central(lab, flags);
    let took = started.elapsed();
    let _mended = central(lab, &[]).exits(0);
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
    assert!(took < SOON, "{took:?}: {}", broken.stderr);
    broken
}

#[test]
fn d12_an_image_that_does_not_exist_is_named() {
    let Some(lab) = Lab::take() else { return };
    let wrong = ["--set", "collector.image.tag=no-such-tag"];
    let wrong = [&wrong[..], &OTHER_VERSION].concat();
    let said = broken_and_mended(&lab, &wrong);
    let _said = said.exits(1).says("no-such-tag").says("pod collector-");
}

#[test]
fn d12_a_worker_that_crashes_again_and_again_is_quoted() {
    let Some(lab) = Lab::take() else { return };
    // This image does not know what a worker is.
    let wrong = [
        "--set",
        "collector.image.repository=redis",
        "--set",
        "collector.image.tag=7",
    ];
    let wrong = [&wrong[..], &OTHER_VERSION].concat();
    let said = broken_and_mended(&lab, &wrong);
    let _said = said
        .exits(1)
        .says("last lines of the log of pod collector-")
        .says("worker: not found")
        .says("CrashLoopBackOff");
}

#[test]
fn d12_a_full_quota_is_named() {
    let Some(lab) = Lab::take() else { return };
    let quota = ["create", "quota", "full", "--hard=pods=1"];
    lab.kubectl(&lab.central, &[&PLACE[..], &quota].concat());
    let put_back = PutBack(&lab, ["quota/full"]);
    let change = ["--set", "collector.config.pollInterval=1300ms"];
    let refused = central(&lab, &change);
    // Somebody may make room at any time: it is waited for, and told.
    let let_through = ["--skip-preflight", "TEL-PRE-013", "--timeout", "25s"];
    let failed = central(&lab, &[&change[..], &let_through].concat());
    drop(put_back);
    let _mended = central(&lab, &[]).exits(0);
    let _refused = refused
        .exits(1)
        .says("TEL-PRE-013")
        .says("ResourceQuota full");
    let failed = failed.exits(7);
    let told = failed.stderr.lines().find(|line| {
        line.contains("Deployment/collector > waiting") && line.contains("exceeded quota: full")
    });
    assert!(told.is_some(), "{}", failed.stderr);
}

/// A policy of the cluster that refuses changes of the collector.
fn policy(condition: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [
          {{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
           "metadata": {{"name": "telectl-test"}},
           "spec": {{"failurePolicy": "Fail",
             "matchConstraints": {{"resourceRules": [{{"apiGroups": ["apps"], "apiVersions": ["v1"],
               "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}}]}},
             "validations": [{{"expression": "{condition}", "message": "no change on a Friday"}}]}}}},
          {{"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
           "metadata": {{"name": "telectl-test"}},
           "spec": {{"policyName": "telectl-test", "validationActions": ["Deny"],
             "matchResources": {{"namespaceSelector": {{"matchLabels":
               {{"kubernetes.io/metadata.name": "telemetry-system"}}}}}}}}}}]}}"#
    )
}

/// Deletes what a test put into the central cluster, also where the test fails: whatever comes next
/// would be refused, too.
struct PutBack<'a, const N: usize>(&'a Lab, [&'a str; N]);

impl<const N: usize> Drop for PutBack<'_, N> {
    fn drop(&mut self) {
        let Self(lab, objects) = self;
        for object in objects {
            let delete = ["delete", "--ignore-not-found", object];
            let _gone = lab.try_kubectl(&lab.central, &[&PLACE[..], &delete].concat());
        }
    }
}

/// Runs something under such a policy, once the API server enforces it.
fn under_policy<T>(lab: &Lab, condition: &str, run: impl FnOnce() -> T) -> T {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), policy(condition)).expect("it can be written");
    let path = file.path().display().to_string();
    let both = [
        "validatingadmissionpolicybinding/telectl-test",
        "validatingadmissionpolicy/telectl-test",
    ];
    let put_back = PutBack(lab, both);
    lab.kubectl(&lab.central, &["apply", "-f", &path]);
    let touch = ["annotate", "deployment/collector", "telectl.test/touched=1"];
    let untouch = ["annotate", "deployment/collector", "telectl.test/touched-"];
    lab.eventually("the policy to be enforced", Duration::from_secs(60), || {
        let touched = lab.try_kubectl(&lab.central, &[&PLACE[..], &touch].concat());
        if touched.code == 0 {
            let _untouched = lab.try_kubectl(&lab.central, &[&PLACE[..], &untouch].concat());
        }
        (touched.code != 0).then_some(())
    });
    let outcome = run();
    drop(put_back);
    lab.eventually("the policy to be gone", Duration::from_secs(60), || {
        let touched = lab.try_kubectl(&lab.central, &[&PLACE[..], &touch].concat());
        (touched.code == 0).then_some(())
    });
    lab.kubectl(&lab.central, &[&PLACE[..], &untouch].concat());
    outcome
}

#[test]
fn d16_an_admission_that_rejects_is_quoted_and_the_run_goes_on_without_it() {
    let Some(lab) = Lab::take() else { return };
    let change = ["--set", "collector.config.pollInterval=1400ms"];
    let record = |lab: &Lab| {
        let record = ["get", "configmap", "telectl-central", "-o", "yaml"];
        lab.kubectl(&lab.central, &[&PLACE[..], &record].concat())
    };
    let before = record(&lab);
    let (at_once, untouched) =
        under_policy(&lab, "false", || (central(&lab, &change), record(&lab)));
    // One that lets a dry run pass strikes in the middle.
    let only_real = "request.dryRun == true";
    let late = under_policy(&lab, only_real, || central(&lab, &change));
    let continued = central(&lab, &change);
    let _back = central(&lab, &[]).exits(0);
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
    let rejected = "no change on a Friday";
    let named = "Deployment/collector is refused by a policy of the cluster";
    let _at_once = at_once.exits(1).says(rejected).says(named);
    assert_eq!(before, untouched, "nothing is written that cannot be whole");
    let _late = late
        .exits(1)
        .says(rejected)
        .says("this continues from here");
    let _continued = continued.exits(0);
}

/// Enough for what is not going to happen.
const BRIEFLY: [&str; 2] = ["--timeout", "10s"];

/// A namespace of the edge cluster, which holds none of the shared servers.
struct Elsewhere<'a>(&'a Lab);

impl Elsewhere<'_> {
    const PLACE: [&'static str; 2] = ["-n", "shared-infrastructure"];

    /// kubectl in it.
    fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&Self::PLACE[..], arguments].concat();
        self.0.kubectl(&self.0.edge, &arguments)
    }

    /// Applies an object.
    fn apply(&self, object: &Value) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), object.to_string()).expect("it can be written");
        self.kubectl(&["apply", "-f", &file.path().display().to_string()]);
    }

    /// Takes the class away again.
    fn unclass(&self) {
        let both = [
            "mutatingadmissionpolicybinding/telectl-test-class",
            "mutatingadmissionpolicy/telectl-test-class",
        ];
        let gone = [&["delete", "--ignore-not-found"][..], &both].concat();
        let _gone = self.0.try_kubectl(&self.0.edge, &gone);
    }

    /// A warning about the Service, as a cloud makes it.
    fn complain(&self, message: &str) {
        let uid = ["get", "service", "redis", "-o", "jsonpath={.metadata.uid}"];
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "redis.1"},
            "type": "Warning", "reason": "SyncLoadBalancerFailed", "message": message,
            "lastTimestamp": format!("{:.0}", jiff::Timestamp::now()),
            "involvedObject": {
                "apiVersion": "v1", "kind": "Service", "name": "redis",
                "namespace": Self::PLACE[1], "uid": self.kubectl(&uid),
            },
        }));
    }

    /// Deploys the shared servers there.
    fn deploy(&self, flags: &[&str]) -> Done {
        let shared = ["deploy", "shared", "--context", &self.0.edge, "--yes"];
        self.0.telectl(&[&shared[..], &LAB_VALUES, flags].concat())
    }
}

impl Drop for Elsewhere<'_> {
    fn drop(&mut self) {
        self.unclass();
        let gone = ["delete", "namespace", Self::PLACE[1], "--ignore-not-found"];
        let _gone = self.0.try_kubectl(&self.0.edge, &gone);
    }
}

/// A load balancer that nobody serves, as a cloud's admission might put it in.
fn foreign_class() -> Value {
    let api = "admissionregistration.k8s.io/v1beta1";
    let meta = json!({"name": "telectl-test-class"});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": meta,
            "spec": {
                "failurePolicy": "Fail", "reinvocationPolicy": "Never",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["services"], "resourceNames": ["redis", "tried"],
                }]},
                "mutations": [{
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {"expression":
                        "Object{spec: Object.spec{loadBalancerClass: 'example.com/nobody'}}"},
                }],
            },
        },
        {
            "apiVersion": api, "kind": "MutatingAdmissionPolicyBinding", "metadata": meta,
            "spec": {
                "policyName": "telectl-test-class",
                "matchResources": {"namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": Elsewhere::PLACE[1],
                }}},
            },
        },
    ]})
}

#[test]
fn d12_a_service_that_never_gets_an_address_is_named_with_what_the_cloud_says() {
    let Some(lab) = Lab::take() else { return };
    // Of a test that was killed.
    drop(Elsewhere(&lab));
    let elsewhere = Elsewhere(&lab);
    lab.kubectl(&lab.edge, &["create", "namespace", Elsewhere::PLACE[1]]);
    elsewhere.apply(&foreign_class());
    let tried = ["create", "service", "loadbalancer", "tried", "--tcp=6379"];
    let class = "jsonpath={.spec.loadBalancerClass}";
    let tried = [&tried[..], &["--dry-run=server", "-o", class]].concat();
    let has_class = |is_there| {
        lab.eventually("the policy to come or go", Duration::from_secs(60), || {
            (elsewhere.kubectl(&tried).is_empty() != is_there).then_some(())
        });
    };
    has_class(true);
    let yet = "Service/redis > waiting: no load-balancer address yet (of class example.com/nobody)";
    let _failed = elsewhere.deploy(&BRIEFLY).exits(7).says(yet);
    // No server is started that nobody could reach.
    let sets = ["get", "statefulsets", "-o", "name"];
    assert_eq!(elsewhere.kubectl(&sets), "");
    elsewhere.complain("no quota for another address");
    let said = elsewhere.deploy(&BRIEFLY).exits(7).says(yet);
    let _said = said.says("; no quota for another address");

    elsewhere.unclass();
    has_class(false);
    // A class stays what it was when the Service was made.
    elsewhere.kubectl(&["delete", "service", "redis"]);
    let deployed = elsewhere.deploy(&[]).exits(0);
    // Where the time went.
    let _deployed = deployed.says(" s (API ").says(", readiness ");
    let _same = elsewhere.deploy(&[]).exits(0).says("No changes");
}
