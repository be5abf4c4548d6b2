//! The zero-trust checklist: each principle can be kept, and each can be broken.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use telectl::config::{self, Layers};
use telectl::lint::zero_trust::{checklist, principles};
use telectl::lint::{Standing, Subject};
use telectl::model::manifest::RenderedSet;
use telectl::model::profile::Profile;
use telectl::render;

use crate::config::{with_file, with_sets};
use crate::render_command::{folder, telectl, text};

/// How a profile stands to each principle; its manifests may be changed before.
fn standings(
    profile: Profile,
    layers: &Layers,
    tamper: impl Fn(&mut RenderedSet),
) -> BTreeMap<&'static str, Standing> {
    let resolved = config::resolve(profile, layers).unwrap_or_else(|error| panic!("{error}"));
    let mut set = render::preview(&resolved).unwrap_or_else(|error| panic!("{error}"));
    tamper(&mut set);
    let subject = Subject {
        resolved: &resolved,
        set: &set,
    };
    let answers = checklist(&subject).into_iter();
    answers
        .map(|answer| (answer.principle.id, answer.standing))
        .collect()
}

fn hardened() -> Vec<String> {
    let digest = format!("sha256:{}", "ab".repeat(32));
    [
        "apiGateway.config.auth.enabled=true".to_owned(),
        format!("image.tag=1@{digest}"),
        format!("redis.image=redis:7@{digest}"),
        format!("postgresql.image=postgres:15@{digest}"),
        format!("etcd.image=quay.io/coreos/etcd:v3.5.21@{digest}"),
    ]
    .to_vec()
}

#[test]
fn n16_a_hardened_pipeline_keeps_every_principle_and_each_can_be_broken() {
    let hardened = hardened();
    let with = |more: &[&'static str]| {
        let sets: Vec<&str> = hardened
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        with_sets(&sets)
    };
    let kept = standings(Profile::SameCluster, &with(&[]), |_| {});
    assert_eq!(kept.len(), principles().count());
    for (id, standing) in &kept {
        assert_eq!(*standing, Standing::Kept, "{id}");
    }
    let mut broken: Vec<&str> = Vec::new();
    for (id, set) in [
        ("TEL-ZT-001", "networkPolicy.enabled=false"),
        ("TEL-ZT-002", "networkPolicy.enabled=false"),
        ("TEL-ZT-003", "redis.tls.enabled=false"),
        ("TEL-ZT-003", "etcd.tls.enabled=false"),
        ("TEL-ZT-003", "postgresql.tls.enabled=false"),
        ("TEL-ZT-004", "postgresql.tls.enabled=false"),
        ("TEL-ZT-005", "redis.auth.enabled=false"),
        ("TEL-ZT-005", "etcd.tls.enabled=false"),
        ("TEL-ZT-006", "apiGateway.config.auth.enabled=false"),
        ("TEL-ZT-007", "apiGateway.service.type=LoadBalancer"),
        ("TEL-ZT-011", "redis.image=redis:7"),
        ("TEL-ZT-012", "postgresql.service.type=NodePort"),
    ] {
        let found = standings(Profile::SameCluster, &with(&[set]), |_| {});
        assert!(
            matches!(&found[id], Standing::Broken(places) if !places.is_empty()),
            "{id} under {set}: {:?}",
            found[id]
        );
        broken.push(id);
    }
    for (id, list) in [("TEL-ZT-001", "ingress"), ("TEL-ZT-002", "egress")] {
        let mut open = with(&[]);
        open.files = with_file(&format!("networkPolicy:\n  {list}:\n  - {{}}\n")).files;
        let found = standings(Profile::SameCluster, &open, |_| {});
        assert!(matches!(found[id], Standing::Broken(_)), "{id}: {found:?}");
    }
    broken.extend(broken_by_tampering(&with(&[])));
    for principle in principles() {
        let id = principle.id;
        assert!(broken.contains(&id), "nothing breaks {id}");
    }
}

/// A change of a pod.
type Change = fn(&mut Value);

/// What values cannot bring about is brought about in the manifests.
fn broken_by_tampering(layers: &Layers) -> Vec<&'static str> {
    let of_container = |set: &mut RenderedSet, change: Change| {
        let workload = set.manifests.iter_mut();
        let mut workload = workload.filter(|manifest| manifest.value["kind"] == "Deployment");
        let workload = workload.next().expect("a Deployment");
        change(&mut workload.value["spec"]["template"]["spec"]);
    };
    let changes: [(&str, Change); 3] = [
        ("TEL-ZT-008", |pod| {
            pod["automountServiceAccountToken"] = json!(true);
        }),
        ("TEL-ZT-009", |pod| {
            pod["containers"][0]["securityContext"]["capabilities"] = json!({});
        }),
        ("TEL-ZT-010", |pod| {
            let literal = json!({"name": "DB_PASSWORD", "value": "hunter2"});
            pod["containers"][0]["env"] = json!([literal]);
        }),
    ];
    changes
        .into_iter()
        .map(|(id, change)| {
            let tamper = |set: &mut RenderedSet| of_container(set, change);
            let found = standings(Profile::SameCluster, layers, tamper);
            assert!(matches!(found[id], Standing::Broken(_)), "{id}: {found:?}");
            id
        })
        .collect()
}

#[test]
fn n16_what_a_profile_has_not_is_no_concern_of_it() {
    let shared = standings(Profile::Shared, &Layers::default(), |_| {});
    for id in ["TEL-ZT-004", "TEL-ZT-006", "TEL-ZT-007"] {
        assert_eq!(shared[id], Standing::NotConcerned, "{id}");
    }
    // It has servers, whoever connects to them.
    let is_broken = |profile, set: &str, id: &str| {
        let found = standings(profile, &with_sets(&[set]), |_| {});
        assert!(matches!(found[id], Standing::Broken(_)), "{id} under {set}");
    };
    is_broken(Profile::Shared, "redis.tls.enabled=false", "TEL-ZT-003");
    is_broken(Profile::Shared, "redis.auth.enabled=false", "TEL-ZT-005");
    // Addresses that a deployment finds out are not taken for encrypted ones.
    is_broken(Profile::Edge, "etcd.tls.enabled=false", "TEL-ZT-003");
}

#[test]
fn n16_a_gateway_that_speaks_tls_itself_may_be_reached_from_outside() {
    let standing = |sets: &[&str]| {
        let mut found = standings(Profile::Central, &with_sets(sets), |_| {});
        found.remove("TEL-ZT-007")
    };
    assert!(matches!(standing(&[]), Some(Standing::Broken(_))));
    let on = ["apiGateway.tls.enabled=true"];
    assert_eq!(standing(&on), Some(Standing::Kept));
}

#[test]
fn n16_the_checklist_tells_each_profile_apart_and_fails_only_when_asked_to() {
    let folder = folder();
    let run = |arguments: &[&str]| {
        let output = telectl(folder.path(), &[], arguments);
        (output.status.code(), text(&output.stdout))
    };
    let (code, said) = run(&["lint", "--zero-trust"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("TEL-ZT-007: otherwise"), "{said}");
    assert!(
        said.contains("central: Service/api-gateway is a LoadBalancer"),
        "{said}"
    );
    let strict = ["lint", "central", "--zero-trust", "--fail-on", "warning"];
    assert_eq!(run(&strict).0, Some(4));
    let (_, said) = run(&["lint", "central", "edge", "--zero-trust", "-o", "json"]);
    let report: Value = serde_json::from_str(&said).expect("JSON");
    let answers = report["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), 2 * principles().count());
    let of_edge = answers
        .iter()
        .find(|answer| answer["id"] == "TEL-ZT-006" && answer["profile"] == "edge");
    assert_eq!(of_edge.expect("it is there")["standing"], "not_concerned");
    let (_, said) = run(&["explain", "tel-zt-007"]);
    assert!(said.contains("Remedy: apiGateway"), "{said}");
}
