//! Quotas and limits of an existing namespace.

use super::*;

fn quota(hard: &Value, used: &Value) -> Value {
    json!({
        "metadata": {"name": "team"},
        "spec": {"hard": hard},
        "status": {"used": used},
    })
}

#[test]
fn r34_a_quota_that_is_smaller_than_what_is_asked_for_is_an_error() {
    let prospect = prospect(rendered(Profile::Shared, &["lab"], &[]));
    let of = |quotas: Vec<Value>, pods: Vec<Value>| {
        let mut ground = fitting();
        (ground.quotas, ground.pods) = (Ok(quotas), Ok(pods));
        found_by(
            super::super::limits::judge(&prospect, &ground),
            &catalogue::LIMITS,
        )
    };
    let small = quota(&json!({"pods": "1"}), &json!({"pods": "0"}));
    let found = of(vec![small.clone()], Vec::new());
    assert_eq!(
        found,
        [(
            Severity::Error,
            "ResourceQuota team admits 1 pods; others use 0, all pods together ask for 2"
                .to_owned()
        )]
    );
    let full = quota(&json!({"pods": "3"}), &json!({"pods": "2"}));
    assert_eq!(of(vec![full.clone()], Vec::new())[0].0, Severity::Warning);
    // The two that use it are the stage's own.
    let own = json!({"metadata": {
        "namespace": prospect.stage.namespace,
        "labels": {
            "app.kubernetes.io/part-of": "telemetry-pipeline",
            "app.kubernetes.io/instance": "telemetry-shared",
        },
    }});
    assert_eq!(of(vec![full], vec![own.clone(), own]), []);
    let mut ours = small.clone();
    ours["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "telectl"});
    let mut scoped = small;
    scoped["spec"]["scopes"] = json!(["BestEffort"]);
    assert_eq!(of(vec![ours, scoped], Vec::new()), []);
    let amount = quota(
        &json!({"limits.memory": "1Mi", "services": "100"}),
        &json!({}),
    );
    let found = of(vec![amount], Vec::new());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("1Mi limits.memory"), "{found:?}");
}

#[test]
fn r34_a_limit_range_that_a_container_leaves_is_an_error() {
    let prospect = prospect(rendered(Profile::Shared, &["lab"], &[]));
    let of = |rule: Value| {
        let mut ground = fitting();
        let range = json!({"metadata": {"name": "small"}, "spec": {"limits": [rule]}});
        ground.limit_ranges = Ok(vec![range]);
        found_by(
            super::super::limits::judge(&prospect, &ground),
            &catalogue::LIMITS,
        )
    };
    let wide = json!({"type": "Container", "max": {"cpu": "64"}, "min": {"cpu": "1m"}});
    assert_eq!(of(wide), []);
    let found = of(json!({"type": "Container", "max": {"memory": "1Mi"}}));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0]
            .1
            .starts_with("a container of StatefulSet/etcd has"),
        "{found:?}"
    );
    assert!(
        found[0].1.ends_with("LimitRange small admits at most 1Mi"),
        "{found:?}"
    );
    assert_eq!(of(json!({"type": "Pod", "min": {"cpu": "60"}})).len(), 2);
    let volume = json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Mi"}});
    assert_eq!(of(volume).len(), 2);
}
