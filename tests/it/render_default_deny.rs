//! A namespace in which nothing is allowed but what the components need.

use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{object, preview};

#[test]
fn n13_a_default_deny_policy_selects_every_pod_and_allows_nothing() {
    for profile in Profile::ALL {
        let set = preview(
            profile,
            &["networkPolicy.enabled=false,networkPolicy.defaultDeny=true"],
        );
        let name = format!("{profile}-default-deny");
        let spec = &object(&set, ObjectKind::NetworkPolicy, &name)["spec"];
        assert_eq!(
            *spec,
            serde_json::json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})
        );
        // What runs is let through by policies of its own.
        let of = |kind: ObjectKind| {
            let manifests = set.manifests.iter();
            let names = manifests.filter(|manifest| manifest.object.kind == kind);
            names
                .map(|manifest| manifest.object.name.as_str())
                .collect::<Vec<&str>>()
        };
        let policies = of(ObjectKind::NetworkPolicy);
        for workload in [of(ObjectKind::Deployment), of(ObjectKind::StatefulSet)].concat() {
            assert!(policies.contains(&workload), "{profile}: {workload}");
        }
    }
    let without = preview(Profile::Dev, &["networkPolicy.enabled=true"]);
    let is_deny = |name: &str| name.ends_with("default-deny");
    assert!(
        !without
            .manifests
            .iter()
            .any(|manifest| is_deny(&manifest.object.name))
    );
}
