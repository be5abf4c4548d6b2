//! What somebody changed by hand is found, named and not overwritten without being told to.

use super::lab::Lab;

/// Edits as a person makes them: the object, the patch, and what the plan has to say.
const EDITS: [(&str, &str, &str, &str, &[&str]); 4] = [
    (
        "central",
        "service/api-gateway",
        r#"{"spec":{"ports":[{"port":80,"targetPort":9999}]}}"#,
        "kubectl-patch",
        &["Service/", "api-gateway", "targetPort", "9999"],
    ),
    (
        "edge",
        "horizontalpodautoscaler/streamer",
        r#"{"spec":{"maxReplicas":9}}"#,
        "kubectl-patch",
        &[
            "HorizontalPodAutoscaler/",
            "streamer",
            ".spec.maxReplicas",
            "9",
        ],
    ),
    (
        "edge",
        "networkpolicy/streamer",
        r#"{"spec":{"policyTypes":["Egress"]}}"#,
        "kubectl-patch",
        &["NetworkPolicy/", "streamer", ".spec.policyTypes"],
    ),
    (
        "central",
        "configmap/postgresql-config",
        r#"{"data":{"postgresql.conf":"max_connections = 7"}}"#,
        "kubectl-patch",
        &["ConfigMap/", "postgresql.conf", "max_connections = 7"],
    ),
];

#[test]
fn d10_an_edited_field_of_each_kind_is_named_with_both_values_and_manager() {
    let Some(lab) = Lab::take() else { return };
    for (cluster, object, patch, manager, words) in EDITS {
        let context = if cluster == "edge" {
            &lab.edge
        } else {
            &lab.central
        };
        let namespace = ["-n", "telemetry-system"];
        lab.kubectl(
            context,
            &[
                &namespace[..],
                &["patch", object, "--type", "merge", "-p", patch],
            ]
            .concat(),
        );
        let mut plan = lab.lab(&["plan", "--exit-code"]).exits(3).says(manager);
        for word in words {
            plan = plan.says(word);
        }
        let _refused = lab
            .lab(&["deploy-all", "--yes"])
            .exits(1)
            .says("--take")
            .says(manager);
        let _taken = lab.lab(&["deploy-all", "--yes", "--take"]).exits(0);
        let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
    }
}

#[test]
fn d10_a_scaled_deployment_without_autoscaler_is_drift() {
    let Some(lab) = Lab::take() else { return };
    lab.own_gateway_scale();
    lab.scale_gateway("2");
    let _plan = lab
        .lab(&["plan", "--exit-code"])
        .exits(3)
        // For what is written through the subresource `scale` the server keeps no time.
        .says(".spec.replicas: is 2 (set by `kubectl`), telectl has 1");
    let _taken = lab.lab(&["deploy-all", "--yes", "--take"]).exits(0);
    let _clean = lab.lab(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn d07_what_an_autoscaler_scaled_is_no_change() {
    let Some(lab) = Lab::take() else { return };
    let namespace = ["-n", "telemetry-system"];
    let minimum = |count: u32| {
        let patch = format!(r#"{{"spec":{{"minReplicas":{count}}}}}"#);
        let object = "horizontalpodautoscaler/collector";
        lab.kubectl(
            &lab.central,
            &[
                &namespace[..],
                &["patch", object, "--type", "merge", "-p", &patch],
            ]
            .concat(),
        );
    };
    let replicas = || {
        let path = "jsonpath={.spec.replicas}";
        lab.kubectl(
            &lab.central,
            &[&namespace[..], &["get", "deployment/collector", "-o", path]].concat(),
        )
    };
    // The autoscaler itself scales up to a higher minimum, and without metrics never down again.
    minimum(3);
    lab.eventually("the autoscaler to scale", super::lab::LONG, || {
        (replicas() == "3").then_some(())
    });
    minimum(2);
    let rollout = [
        "rollout",
        "status",
        "deployment/collector",
        "--timeout",
        "120s",
    ];
    lab.kubectl(&lab.central, &[&namespace[..], &rollout].concat());
    let _plan = lab.lab(&["plan", "--exit-code"]).exits(0);
    let _none = lab
        .lab(&["deploy-all", "--yes"])
        .exits(0)
        .says("No changes");
    assert_eq!(replicas(), "3");
    lab.kubectl(
        &lab.central,
        &[
            &namespace[..],
            &["scale", "deployment/collector", "--replicas", "2"],
        ]
        .concat(),
    );
    lab.kubectl(&lab.central, &[&namespace[..], &rollout].concat());
}
