//! What a set refers to, and what its place is like.

use super::*;

#[test]
fn d13_all_pods_together_need_room() {
    let set = rendered(Profile::Shared, &[], &[]);
    let mut ground = fitting();
    assert_eq!(capacity::judge(&set, &ground), []);
    let taken = json!({
        "spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "7900m"}}}]},
        "status": {"phase": "Running"},
    });
    let mut node = node(json!({}));
    node["metadata"]["name"] = "n".into();
    ground.nodes = Ok(vec![node]);
    ground.pods = Ok(vec![taken]);
    let found = capacity::judge(&set, &ground);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .observed
            .ends_with("cpu, and 100m is free on the usable nodes"),
        "{}",
        found[0]
    );
}

#[test]
fn d13_a_secret_that_only_a_person_can_make_has_to_exist_with_its_keys() {
    let sets = ["externalRedis.host=r.example,etcd.endpoints={https://e:2379}"];
    let mut prospect = prospect(rendered(Profile::Edge, &["lab"], &sets));
    let need = crate::model::manifest::SecretNeed {
        name: "mine".to_owned(),
        keys: vec![crate::model::manifest::SecretKey {
            key: "token".to_owned(),
            content: SecretContent::Given,
        }],
    };
    prospect.set.secrets.push(need);
    let mut ground = fitting();
    let vault = Vault::default();
    let shared = super::prospect(rendered(Profile::Shared, &["lab"], &[]));
    let makers = Makers {
        vault: &vault,
        has_looked: true,
        stages: &[shared],
    };
    let of = |ground: &Ground| {
        let found = needs::absent_secrets(&prospect, &Place::default(), ground, &makers);
        found_by(found, &catalogue::SECRETS)
    };
    let namespace = &prospect.stage.namespace;
    let absent = format!("there is no Secret {namespace}/mine");
    assert_eq!(of(&ground), [(Severity::Error, absent)]);
    let secret = |data: Value| LiveSecret::from_object(&json!({"data": data}));
    let other = secret(json!({"other": "eA=="}));
    ground.secrets.insert("mine".to_owned(), other);
    assert!(of(&ground)[0].1.ends_with("/mine lacks token"));
    let whole = secret(json!({"token": "eA=="}));
    ground.secrets.insert("mine".to_owned(), whole);
    assert_eq!(of(&ground), []);
}

/// A run with an edge and what else belongs to it.
struct Trip {
    vault: Vault,
    has_looked: bool,
    stages: Vec<Prospect>,
    ground: Ground,
    place: Place,
}

/// The servers are somebody else's.
const THEIRS: [&str; 2] = [
    "externalRedis.host=r.example,etcd.endpoints={https://e:2379}",
    "streamer.tls.enabled=true",
];

impl Trip {
    /// Of an edge with these values, and of these other stages.
    fn new(sets: &[&str], others: Vec<Prospect>) -> Self {
        let edge = prospect(rendered(Profile::Edge, &["lab"], sets));
        Self {
            vault: Vault::default(),
            has_looked: true,
            stages: std::iter::once(edge).chain(others).collect(),
            ground: fitting(),
            place: Place::default(),
        }
    }

    fn found(&self) -> Vec<Finding> {
        let makers = Makers {
            vault: &self.vault,
            has_looked: self.has_looked,
            stages: &self.stages,
        };
        needs::absent_secrets(&self.stages[0], &self.place, &self.ground, &makers)
    }

    /// The Secrets that nobody makes.
    fn unmade(&self) -> Vec<String> {
        let found = self.found().into_iter();
        let named = found.map(|one| one.observed.rsplit('/').next().unwrap().to_owned());
        named.collect()
    }

    fn with_authority(mut self) -> Self {
        let authority = new_authority("old", jiff::Timestamp::now()).unwrap();
        self.vault.authority = Some(authority);
        self
    }
}

const ALL: [&str; 4] = [
    "etcd-client-tls",
    "redis-auth",
    "redis-ca-cert",
    "streamer-tls",
];

#[test]
fn d13_what_no_stage_of_the_run_makes_has_to_be_there() {
    let mut alone = Trip::new(&THEIRS, Vec::new());
    alone.place.namespace_missing = true;
    assert_eq!(alone.unmade(), ALL);
    let remedy = alone.found()[0].remedy.clone();
    assert!(
        remedy.starts_with("kubectl --context west create namespace telemetry-system; kubectl"),
        "{remedy}"
    );
    assert!(
        remedy.ends_with(
            "create secret generic etcd-client-tls --from-file=ca.crt=FILE \
             --from-file=tls.crt=FILE --from-file=tls.key=FILE"
        ),
        "{remedy}"
    );
    // One that is there is left out, and what the command line gave, and what may not be read.
    let secret = LiveSecret::from_object(&json!({"data": {"ca.crt": "eA=="}}));
    let there = &mut alone.ground.secrets;
    there.insert("redis-ca-cert".to_owned(), secret);
    let password = Secret::from("given");
    let given = &mut alone.vault.known;
    given.insert(SecretContent::RedisPassword, password);
    alone.place.namespace_missing = false;
    assert_eq!(alone.unmade(), ["etcd-client-tls", "streamer-tls"]);
    assert!(!alone.found()[0].remedy.contains("namespace "));
    let unread = &mut alone.ground.unread_secrets;
    unread.insert("etcd-client-tls".to_owned());
    assert_eq!(alone.unmade(), ["streamer-tls"]);
}

#[test]
fn d13_an_authority_of_ours_signs_for_no_server_of_somebody_else() {
    let earlier = Trip::new(&THEIRS, Vec::new()).with_authority();
    assert_eq!(earlier.unmade(), ALL[..3]);
    // PostgreSQL is ours, and Redis and etcd are not.
    let central = prospect(rendered(Profile::Central, &["lab"], &THEIRS[..1]));
    assert_eq!(Trip::new(&THEIRS, vec![central]).unmade(), ALL[..3]);
}

#[test]
fn d13_servers_of_the_run_have_what_the_edge_needs_if_they_make_or_hold_it() {
    let shared = |part, sets: &[&str]| Prospect {
        part,
        ..prospect(rendered(Profile::Shared, &["lab"], sets))
    };
    let nothing: [&str; 0] = [];
    let with = |shared| Trip::new(&THEIRS[1..], vec![shared]);
    assert_eq!(with(shared(Part::Applied, &[])).unmade(), nothing);
    // A server that asks for no password makes none.
    let open = shared(Part::Applied, &["redis.auth.enabled=false"]);
    assert_eq!(with(open).unmade(), ["redis-auth"]);
    // What is only looked at makes nothing: it has it.
    let mut seen = with(shared(Part::Observed, &[]));
    assert_eq!(seen.unmade(), ALL);
    seen.has_looked = false;
    assert_eq!(seen.unmade(), nothing, "nobody knows");
    seen.has_looked = true;
    let mut seen = seen.with_authority();
    assert_eq!(seen.unmade(), ["redis-auth"]);
    let held = Secret::from("held");
    seen.vault.known.insert(SecretContent::RedisPassword, held);
    assert_eq!(seen.unmade(), nothing);
}

#[test]
fn d13_a_version_that_is_not_served_names_the_kinds() {
    let set = rendered(Profile::Central, &["lab"], &[]);
    let all = [
        "apps/v1",
        "networking.k8s.io/v1",
        "policy/v1",
        "autoscaling/v2",
        "batch/v1",
    ];
    let served: BTreeSet<String> = all.map(str::to_owned).into();
    assert_eq!(needs::unserved(&set, &served), []);
    let old: BTreeSet<String> = all[..3].iter().map(|one| (*one).to_owned()).collect();
    let found = needs::unserved(&set, &old);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[0].observed,
        "autoscaling/v2 is not served, and HorizontalPodAutoscaler needs it"
    );
    let mut custom = set;
    for (version, remedy) in [
        (
            "monitoring.coreos.com/v1",
            "install the Prometheus operator",
        ),
        ("example.com/v1", "install the CustomResourceDefinitions"),
    ] {
        custom.manifests[0].value["apiVersion"] = version.into();
        let found = needs::unserved(&custom, &served);
        assert!(found[0].remedy.starts_with(remedy), "{found:?}");
    }
}

#[test]
fn d13_a_load_balancer_needs_somebody_who_gives_addresses() {
    let prospect = prospect(rendered(Profile::Shared, &["lab"], &[]));
    let mut ground = fitting();
    let found = balancer::judge(&prospect, &ground).unwrap();
    assert!(found.observed.contains("redis"), "{found}");
    let service = |name: &str, address: Value| {
        json!({
            "metadata": {"name": name, "namespace": "elsewhere"},
            "spec": {"type": "LoadBalancer"},
            "status": {"loadBalancer": {"ingress": address}},
        })
    };
    ground.services = Ok(vec![service("pending", json!(null))]);
    assert!(balancer::judge(&prospect, &ground).is_some());
    ground.services = Ok(vec![service("other", json!([{"ip": "192.0.2.1"}]))]);
    assert_eq!(balancer::judge(&prospect, &ground), None);
    ground.services = Ok(Vec::new());
    let pod = json!({"metadata": {"name": "speaker-x", "namespace": "metallb-system"}});
    ground.pods = Ok(vec![pod]);
    assert_eq!(balancer::judge(&prospect, &ground), None);
}

#[test]
fn d13_what_is_never_pulled_has_to_be_on_a_node() {
    let sets = ["image.pullPolicy=Never,global.imagePullSecrets={pull}"];
    let of_images = |ground: &Ground| {
        let prospect = prospect(rendered(Profile::Central, &["lab"], &sets));
        found_by(images::judge(&prospect, ground), &catalogue::IMAGES)
    };
    let mut ground = fitting();
    let found = of_images(&ground);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].1.contains("no pull secret pull"), "{found:?}");
    assert_eq!(found[1].0, Severity::Error);
    assert!(found[1].1.contains("imagePullPolicy is Never"), "{found:?}");
    assert_eq!(found[2].0, Severity::Note, "the server's image is pulled");
    let prospect = prospect(rendered(Profile::Central, &["lab"], &sets));
    let names: Vec<Value> = amounts::workloads(&prospect.set)
        .map(|(_, pod, _)| json!({"names": [pod["containers"][0]["image"]]}))
        .collect();
    let mut node = node(json!({}));
    node["status"]["images"] = names.into();
    ground.nodes = Ok(vec![node]);
    let pull = LiveSecret::from_object(&json!({}));
    ground.secrets.insert("pull".to_owned(), pull);
    assert_eq!(of_images(&ground), []);
}

#[test]
fn n11_what_is_rendered_is_admitted_by_a_restricted_namespace() {
    let namespace = json!({"metadata": {"labels": {(security::ENFORCE): "restricted"}}});
    for profile in Profile::ALL {
        let mut set = rendered(profile, &[], &[]);
        assert_eq!(security::judge(&set, Some(&namespace)), [], "{profile}");
        let workload = set.manifests.iter_mut();
        let mut workload = workload.filter(|one| one.value["spec"]["template"].is_object());
        let pod = &mut workload.next().unwrap().value["spec"]["template"]["spec"];
        pod["hostNetwork"] = true.into();
        let found = security::judge(&set, Some(&namespace));
        assert_eq!(found.len(), 1, "{profile}: {found:?}");
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(security::judge(&set, None), []);
        assert_eq!(security::judge(&set, Some(&json!({}))), []);
    }
}
