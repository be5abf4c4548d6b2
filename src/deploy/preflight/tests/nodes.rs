//! Volumes and nodes.

use super::super::amounts::requests;
use super::*;
use crate::config::quantity::Quantity;

#[test]
fn a_cluster_that_has_everything_is_not_warned_of() {
    assert_eq!(of(Profile::Central, &fitting()), [""; 0]);
    let default = ground(&[node(json!({}))], &[class("standard", "true")]);
    assert_eq!(of(Profile::Shared, &default), [""; 0]);
}

#[test]
fn a_cluster_without_class_and_labels_is_told_all_at_once_with_the_keys() {
    let plain = ground(
        &[node(json!({}))],
        &[class("standard", "true"), class("slow", "false")],
    );
    insta::assert_snapshot!(of(Profile::Central, &plain).join("\n"), @r"
    no StorageClass is called `fast-ssd`; asked for by StatefulSet/postgresql (there are `standard` (default), `slow`): --set postgresql.primary.persistence.storageClass= takes `standard`; or -f lab (for small machines) [TEL-PRE-007]
    no Ready, schedulable node has the labels node-type=cpu; asked for by Deployment/api-gateway, Deployment/collector: label a node, or --set apiGateway.nodeSelector=null,collector.nodeSelector=null, or -f lab (for small machines) [TEL-PRE-008]
    ");
    let overlaid = rendered(Profile::Central, &["lab"], &[]);
    assert_eq!(warnings(&overlaid, &plain), [""; 0]);
}

#[test]
fn the_advice_is_taken() {
    let plain = ground(&[node(json!({}))], &[class("standard", "true")]);
    let sets = [
        "collector.nodeSelector=null,apiGateway.nodeSelector=null",
        "postgresql.primary.persistence.storageClass=",
    ];
    assert_eq!(
        warnings(&rendered(Profile::Central, &[], &sets), &plain),
        [""; 0]
    );
}

#[test]
fn volumes_without_a_class_need_a_default_unless_they_are_there() {
    let mut none = ground(&[node(json!({}))], &[class("slow", "false")]);
    let found = of(Profile::Shared, &none);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("no StorageClass is the default"),
        "{found:?}"
    );
    assert!(
        found[0].contains(
            "--set etcd.persistence.storageClass=slow,redis.master.persistence.storageClass=slow"
        ),
        "{found:?}"
    );
    let claim = |name: &str| json!({"metadata": {"name": name}});
    none.claims = Ok(vec![claim("data-etcd-0")]);
    let found = of(Profile::Shared, &none);
    assert!(
        found[0].contains("needed by StatefulSet/redis (there"),
        "{found:?}"
    );
    none.claims = Ok(vec![claim("data-etcd-0"), claim("data-redis-0")]);
    assert_eq!(of(Profile::Shared, &none), [""; 0]);
}

#[test]
fn every_pod_of_a_set_needs_its_claim() {
    let mut none = ground(&[node(json!({"node-type": "edge"}))], &[]);
    let claim = |ordinal: u32| json!({"metadata": {"name": format!("spool-streamer-{ordinal}")}});
    none.claims = Ok((0..3).map(claim).collect());
    assert_eq!(of(Profile::Edge, &none), [""; 0]);
    none.claims = Ok((0..2).map(claim).collect());
    let found = of(Profile::Edge, &none);
    assert!(found[0].contains("there is none at all"), "{found:?}");
}

#[test]
fn nodes_that_take_no_pods_do_not_count() {
    let mut cordoned = node(json!({"node-type": "cpu"}));
    cordoned["spec"]["unschedulable"] = true.into();
    let mut failed = node(json!({"node-type": "cpu"}));
    failed["status"]["conditions"][0]["status"] = "Unknown".into();
    let mut ground = fitting();
    ground.nodes = Ok(vec![cordoned.clone(), failed, node(json!({}))]);
    let found = of(Profile::Central, &ground);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("labels node-type=cpu"), "{found:?}");
    ground.nodes = Ok(vec![cordoned]);
    let found = of(Profile::Central, &ground);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("no node is Ready and schedulable"),
        "{found:?}"
    );
}

#[test]
fn a_taint_counts_unless_it_is_tolerated() {
    let mut tainted = node(json!({"node-type": "edge"}));
    tainted["spec"]["taints"] = json!([{"key": "edge-node", "value": "x", "effect": "NoSchedule"}]);
    let classes = [class("standard", "true")];
    assert_eq!(
        of(Profile::Edge, &ground(&[tainted.clone()], &classes)),
        [""; 0]
    );
    tainted["spec"]["taints"][0]["key"] = "gpu".into();
    let found = of(Profile::Edge, &ground(&[tainted.clone()], &classes));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("none of streamer.tolerations tolerates the taint gpu=x:NoSchedule"),
        "{found:?}"
    );
    tainted["spec"]["taints"][0]["effect"] = "PreferNoSchedule".into();
    assert_eq!(of(Profile::Edge, &ground(&[tainted], &classes)), [""; 0]);
}

#[test]
fn a_pod_that_no_node_can_hold_names_the_amounts_and_the_key() {
    let mut ground = fitting();
    let mut small = node(json!({"node-type": "cpu"}));
    small["status"]["allocatable"] = json!({"cpu": "940m", "memory": "64Gi"});
    ground.nodes = Ok(vec![small.clone()]);
    let found = of(Profile::Central, &ground);
    assert_eq!(
        found,
        [
            "one pod of StatefulSet/postgresql asks for 1 cpu (the largest node has 940m): lower \
          postgresql.primary.resources.requests, or -f lab (for small machines) [TEL-PRE-008]"
        ]
    );
    let mut narrow = node(json!({"node-type": "cpu"}));
    narrow["status"]["allocatable"] = json!({"cpu": "4", "memory": "1Gi"});
    ground.nodes = Ok(vec![small, narrow]);
    let found = of(Profile::Central, &ground);
    assert!(
        found[0].contains("1 cpu and 2Gi memory, which no node has together"),
        "{found:?}"
    );
}

#[test]
fn a_container_without_requests_asks_for_its_limits_and_an_early_one_counts_alone() {
    let resources = |part: &str, cpu: &str| json!({"resources": {part: {"cpu": cpu}}});
    let pod = json!({
        "containers": [resources("limits", "2"), resources("requests", "500m")],
        "initContainers": [resources("requests", "3")],
    });
    assert_eq!(requests(&pod)["cpu"], Quantity::parse("3").unwrap());
    let pod = json!({"containers": pod["containers"]});
    assert_eq!(requests(&pod)["cpu"], Quantity::parse("2500m").unwrap());
}

#[test]
fn what_may_not_be_read_is_not_checked_and_no_error() {
    let denied = || Err("nodes is forbidden".to_owned());
    let nothing = Ground {
        nodes: denied(),
        classes: denied(),
        claims: denied(),
        ..ground(&[], &[])
    };
    let found = of(Profile::Central, &nothing);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .all(|text| text.contains("not checked: nodes is forbidden")),
        "{found:?}"
    );
}
