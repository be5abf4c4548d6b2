//! What the values no longer ask for is deleted, and nothing else.

use super::lab::{Done, LAB_VALUES, LONG, Lab};

const PLACE: [&str; 2] = ["-n", "telemetry-system"];

fn kubectl(lab: &Lab, arguments: &[&str]) -> String {
    lab.kubectl(&lab.central, &[&PLACE[..], arguments].concat())
}

/// A command on the central profile with these values.
fn central(lab: &Lab, more: &[&str]) -> Done {
    let deploy = ["deploy", "central", "--context", &lab.central];
    lab.telectl(&[&deploy[..], &LAB_VALUES, more].concat())
}

/// The number before a word of a line that counts.
fn counted(said: &str, line: &str, word: &str) -> usize {
    let line = said.lines().find(|found| found.starts_with(line));
    let words: Vec<&str> = line
        .unwrap_or_else(|| panic!("no `{line:?}` in {said}"))
        .split([' ', ',', '.'])
        .collect();
    let at = words.iter().position(|found| *found == word);
    let before = |at: usize| words[..at].iter().rev().find_map(|word| word.parse().ok());
    at.and_then(before)
        .unwrap_or_else(|| panic!("no number before `{word}` in {words:?}"))
}

#[test]
fn d16_a_component_that_is_switched_off_is_deleted_and_its_password_is_kept() {
    let Some(lab) = Lab::take() else { return };
    // Ours by its label, although no record lists it; and somebody else's.
    let id = kubectl(
        &lab,
        &[
            "get",
            "configmap",
            "telectl-central",
            "-o",
            r"jsonpath={.metadata.labels.applyset\.kubernetes\.io/id}",
        ],
    );
    for (name, part_of) in [("ours", id.as_str()), ("anothers", "applyset-x-v1")] {
        kubectl(&lab, &["create", "configmap", name]);
        let label = format!("applyset.kubernetes.io/part-of={part_of}");
        kubectl(&lab, &["label", "configmap", name, &label]);
    }
    let off = ["--set", "collector.enabled=false"];
    let plan = lab.lab(&[&["plan", "--exit-code"][..], &off].concat());
    let refused = central(&lab, &off);
    let done = central(&lab, &[&off[..], &["--yes"]].concat());
    let left = kubectl(
        &lab,
        &[
            "get",
            "deployments,services,hpa,pdb,networkpolicies,configmaps,sa",
        ],
    );
    let clean = lab.lab(&[&["plan", "--exit-code"][..], &off].concat());
    kubectl(&lab, &["get", "secret", "redis-auth"]);
    kubectl(&lab, &["delete", "configmap", "anothers"]);
    let back = central(&lab, &["--yes"]).exits(0);
    let plan = plan
        .exits(3)
        .says("  no longer wanted:\n  - HorizontalPodAutoscaler/collector")
        .says("  - Deployment/collector")
        .says("  - ConfigMap/ours")
        .says("Secret/redis-auth is kept: its data cannot be made again");
    assert!(!plan.stdout.contains("anothers"), "{}", plan.stdout);
    let _refused = refused.exits(2).says("nothing was changed");
    let done = done.exits(0).says("Deployment/collector deleted");
    assert!(!left.contains("/collector"), "{left}");
    assert!(!left.contains("configmap/ours"), "{left}");
    assert!(left.contains("configmap/anothers"), "{left}");
    let clean = clean.exits(0);
    let deleted = counted(&plan.stdout, "Plan:", "delete");
    assert_eq!(counted(&done.stderr, "Done:", "deleted"), deleted);
    let updated = counted(&plan.stdout, "Plan:", "update");
    assert_eq!(counted(&done.stderr, "Done:", "objects"), updated);
    let unchanged = |said: &str| counted(said, "Plan:", "unchanged");
    let before = unchanged(&plan.stdout) + updated;
    assert_eq!(unchanged(&clean.stdout), before);
    let said = &back.stderr;
    let written = counted(said, "Plan:", "create") + counted(said, "Plan:", "update");
    assert_eq!(counted(said, "Done:", "objects"), written);
}

fn replicas(lab: &Lab) -> String {
    let path = "jsonpath={.spec.replicas}";
    kubectl(lab, &["get", "deployment/collector", "-o", path])
}

/// Lets the autoscaler itself write the number of collectors.
fn let_it_scale(lab: &Lab) {
    for (minimum, wait) in [("3", true), ("2", false)] {
        let patch = format!(r#"{{"spec":{{"minReplicas":{minimum}}}}}"#);
        let object = "horizontalpodautoscaler/collector";
        kubectl(lab, &["patch", object, "--type", "merge", "-p", &patch]);
        if wait {
            lab.eventually("the autoscaler to scale", LONG, || {
                (replicas(lab) == minimum).then_some(())
            });
        }
    }
}

#[test]
fn d16_an_autoscaler_that_is_switched_off_leaves_no_conflict() {
    let Some(lab) = Lab::take() else { return };
    let off = ["--set", "collector.autoscaling.enabled=false"];
    let plan = || lab.lab(&[&["plan", "--exit-code"][..], &off].concat());
    let_it_scale(&lab);
    let _planned = plan()
        .exits(3)
        .says("  - HorizontalPodAutoscaler/collector")
        .says(".spec.replicas: 3 → 2")
        .says("0 in conflict");
    let _off = central(&lab, &[&off[..], &["--yes"]].concat()).exits(0);
    assert_eq!(replicas(&lab), "2");
    let _clean = plan().exits(0);

    // A run that was interrupted after the deletion leaves the autoscaler's number behind.
    let _on = central(&lab, &["--yes"]).exits(0);
    let_it_scale(&lab);
    kubectl(&lab, &["delete", "horizontalpodautoscaler/collector"]);
    let _left = plan().exits(3).says(".spec.replicas: 3 → 2");
    let _mended = central(&lab, &[&off[..], &["--yes"]].concat()).exits(0);
    let _clean = plan().exits(0);
    let _on = central(&lab, &["--yes"]).exits(0);
}
