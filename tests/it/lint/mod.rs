//! The rules of lint: each fires where it should, and nowhere else.

mod cases;
mod command;
mod tampered;
mod zero_trust;

use std::collections::BTreeSet;

use telectl::config::environment::Environment;
use telectl::config::{Layers, ValuesFile, overlay};
use telectl::lint::{Finding, RULES, Severity, lint};
use telectl::model::profile::Profile;

use crate::config::{with_file, with_sets};

use cases::{CASES, ELSEWHERE};

pub(crate) fn found(profile: Profile, layers: &Layers) -> Vec<Finding> {
    lint(profile, layers).unwrap_or_else(|error| panic!("{profile}: {error}"))
}

pub(crate) fn ids(found: &[Finding]) -> BTreeSet<&'static str> {
    found.iter().map(|finding| finding.rule.id).collect()
}

/// The findings of one rule under `--set` texts: subject and what is said.
fn said(id: &str, profile: Profile, sets: &[&str]) -> Vec<(String, String)> {
    found(profile, &with_sets(sets))
        .into_iter()
        .filter(|finding| finding.rule.id == id)
        .map(|finding| (finding.subject, finding.says))
        .collect()
}

#[test]
fn r39_a_finding_stands_with_the_value_that_causes_it() {
    let common = said("TEL-LNT-008", Profile::Dev, &["image.tag=latest"]);
    let keys: Vec<&str> = common.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["image.tag"]);
    let own = ["image.tag=latest", "collector.image.tag=latest"];
    let own = said("TEL-LNT-008", Profile::Dev, &own);
    let keys: Vec<&str> = own.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["collector.image", "image.tag"]);
    let switched_off = said("TEL-LNT-002", Profile::Dev, &["redis.enabled=false"]);
    let (key, says) = &switched_off[0];
    assert_eq!(key, "redis.enabled");
    assert!(says.contains("externalRedis.host"), "{says}");
}

#[test]
fn r39_profiles_and_overlays_are_clean() {
    for profile in Profile::ALL {
        assert_eq!(found(profile, &Layers::default()), [], "{profile}");
        for (name, _) in overlay::list() {
            let layers = Layers {
                files: vec![ValuesFile::open(name).expect("it is an overlay")],
                ..Layers::default()
            };
            assert_eq!(found(profile, &layers), [], "{profile} with {name}");
        }
    }
}

#[test]
fn r39_every_rule_fires_where_it_is_broken() {
    for (id, profile, set) in CASES {
        let layers = Layers {
            environment: Environment::from([("SECRET", "canary-55")]),
            ..with_sets(&[set])
        };
        let found = found(*profile, &layers);
        assert!(ids(&found).contains(id), "{id}: {set}: {found:#?}");
        let text = format!("{found:?}");
        assert!(!text.contains("canary-55"), "a secret is repeated: {text}");
    }
    let tested: BTreeSet<&str> = CASES
        .iter()
        .map(|(id, ..)| *id)
        .chain(ELSEWHERE.iter().copied())
        .collect();
    let all: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(tested, all);
}

#[test]
fn n19_a_controller_that_knows_that_its_worker_speaks_tls_is_no_finding() {
    let both = "apiGateway.tls.enabled=true,apiGateway.ingress.enabled=true";
    let annotation = |text: &str| format!("apiGateway.{text}");
    for told in [
        r"ingress.annotations.nginx\.ingress\.kubernetes\.io/backend-protocol=HTTPS",
        r"service.annotations.traefik\.ingress\.kubernetes\.io/service\.serversscheme=https",
    ] {
        assert_eq!(
            said("TEL-LNT-048", Profile::Dev, &[both, &annotation(told)]),
            []
        );
    }
    let of_another =
        r"ingress.annotations.nginx\.ingress\.kubernetes\.io/auth-url=https://a.example";
    for untold in [
        vec![both.to_owned()],
        vec![both.to_owned(), annotation(of_another)],
    ] {
        let sets: Vec<&str> = untold.iter().map(String::as_str).collect();
        assert_eq!(
            said("TEL-LNT-048", Profile::Dev, &sets).len(),
            1,
            "{sets:?}"
        );
    }
}

#[test]
fn r39_a_finding_names_key_place_and_rule() {
    let file = "streamer:\n  image: {tag: v1}\ncollector:\n  image:\n    tag: v2\n";
    let found = found(Profile::Dev, &with_file(file));
    let one = found
        .iter()
        .find(|one| one.subject == "collector.image.tag");
    let one = one.unwrap_or_else(|| panic!("{found:#?}"));
    let place = one.place.as_ref().map(ToString::to_string);
    assert_eq!(place.as_deref(), Some("values.yaml:5"));
    assert_eq!(one.says, "is `v2`, and image.tag is ``");
}

#[test]
fn r39_what_a_file_or_a_variable_gets_wrong_is_found_too() {
    let twice = found(
        Profile::Dev,
        &with_file("image: {tag: a}\nimage: {tag: b}\n"),
    );
    assert_eq!(ids(&twice), BTreeSet::from(["TEL-LNT-047"]));
    let layers = Layers {
        environment: Environment::from([("TELECTL_IMAGE_TAGS", "v1")]),
        ..Layers::default()
    };
    assert_eq!(
        ids(&found(Profile::Dev, &layers)),
        BTreeSet::from(["TEL-LNT-045"])
    );
    let long = "x".repeat(1 << 20);
    let large = with_file(&format!(
        "postgresql:\n  primary:\n    extendedConfiguration: '# {long}'\n"
    ));
    assert_eq!(
        ids(&found(Profile::Dev, &large)),
        BTreeSet::from(["TEL-LNT-037"])
    );
}

#[test]
fn n06_plaintext_across_clusters_is_an_error_that_is_allowed_by_name_only() {
    let plain = "externalRedis.tls.enabled=false,externalRedis.host=192.0.2.7";
    let found_plain = found(Profile::Edge, &with_sets(&[plain]));
    assert_eq!(ids(&found_plain), BTreeSet::from(["TEL-LNT-030"]));
    assert!(found_plain[0].counts_as(Severity::Error));
    let allowed = found(
        Profile::Edge,
        &with_sets(&[plain, "lint.allow={tel-lnt-030}"]),
    );
    assert!(allowed[0].allowed && !allowed[0].counts_as(Severity::Error));
    let other = found(
        Profile::Edge,
        &with_sets(&[plain, "lint.allow={TEL-LNT-031}"]),
    );
    assert!(other[0].counts_as(Severity::Error));
    let inside = "externalRedis.enabled=true,externalRedis.host=redis.other.svc";
    assert_eq!(said("TEL-LNT-030", Profile::Dev, &[inside]), []);
    for mode in ["disable", "prefer"] {
        let database = format!(
            "postgresql.enabled=false,externalDatabase.host=db.example.com,externalDatabase.sslMode={mode}"
        );
        let found = said("TEL-LNT-030", Profile::Central, &[&database]);
        assert_eq!(found[0].0, "externalDatabase.sslMode");
    }
    let verified = "postgresql.enabled=false,externalDatabase.host=db.example.com";
    assert_eq!(said("TEL-LNT-030", Profile::Central, &[verified]), []);
}

#[test]
fn x13_a_name_of_one_cluster_is_refused_for_another() {
    let cases = [
        (
            "externalRedis.host=redis.shared-infrastructure.svc.cluster.local",
            "externalRedis.host",
        ),
        (
            "etcd.endpoints={https://etcd.shared-infrastructure.svc:2379}",
            "etcd.endpoints",
        ),
        ("externalRedis.host=localhost", "externalRedis.host"),
        (
            "streamer.advertise.externalServiceAddress=streamer.telemetry-system.svc",
            "streamer.advertise.externalServiceAddress",
        ),
    ];
    for (set, key) in cases {
        let found = said("TEL-LNT-031", Profile::Edge, &[set]);
        assert_eq!(found.len(), 1, "{set}");
        assert_eq!(found[0].0, key);
    }
    // The shared profile may be in the central cluster itself.
    let near = "externalRedis.host=redis.shared-infrastructure.svc";
    assert_eq!(said("TEL-LNT-031", Profile::Central, &[near]), []);
    assert_eq!(
        said(
            "TEL-LNT-031",
            Profile::Central,
            &["externalRedis.host=redis"]
        )
        .len(),
        1
    );
    assert_eq!(
        said(
            "TEL-LNT-031",
            Profile::Edge,
            &["externalRedis.host=redis.example.com"]
        ),
        []
    );
}

#[test]
fn n17_namespaces_are_selected_by_the_label_that_all_have() {
    let rule = |label: &str| {
        format!("networkPolicy.ingress[0].from[0].namespaceSelector.matchLabels.{label}=monitoring")
    };
    let found = said("TEL-LNT-032", Profile::Dev, &[&rule("name")]);
    assert_eq!(found[0].1, "selects namespaces by the label `name`");
    let right = rule(r"kubernetes\.io/metadata\.name");
    assert_eq!(said("TEL-LNT-032", Profile::Dev, &[&right]), []);
}

#[test]
fn n18_a_database_that_is_offered_outside_is_found_unless_it_is_internal() {
    for kind in ["LoadBalancer", "NodePort"] {
        let set = format!("postgresql.service.type={kind}");
        assert_eq!(
            said("TEL-LNT-033", Profile::Central, &[&set]).len(),
            1,
            "{kind}"
        );
    }
    let internal = r"postgresql.service.type=LoadBalancer,postgresql.service.annotations.service\.beta\.kubernetes\.io/aws-load-balancer-scheme=internal";
    assert_eq!(said("TEL-LNT-033", Profile::Central, &[internal]), []);
    assert_eq!(
        said(
            "TEL-LNT-033",
            Profile::Edge,
            &["postgresql.service.type=LoadBalancer"]
        ),
        []
    );
}

#[test]
fn v16_secrets_in_values_are_named_by_their_place_and_not_repeated() {
    let file = "externalRedis:\n  tls:\n    caCert: |\n      -----BEGIN PRIVATE KEY-----\n      canary-56\n\
                commonAnnotations:\n  example.com/token: canary-56\n\
                postgresql:\n  primary:\n    extendedConfiguration: |\n      primary_conninfo = 'user=r password=canary-56'\n";
    let found = found(Profile::Dev, &with_file(file));
    let keys: BTreeSet<&str> = found
        .iter()
        .filter(|one| one.rule.id == "TEL-LNT-016")
        .map(|one| one.subject.as_str())
        .collect();
    let expected = [
        r"commonAnnotations.example\.com/token",
        "externalRedis.tls.caCert",
        "postgresql.primary.extendedConfiguration",
        "ConfigMap/postgresql-config",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert!(!format!("{found:?}").contains("canary-56"));
}
