//! The network policies against the ways that the workload needs: a pure evaluation.

use serde_json::{Value, json};
use telectl::model::manifest::RenderedSet;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{all_pods, fullest_sets, preview, selects};

/// One end of a way.
#[derive(Clone, Copy)]
enum End<'a> {
    /// Pods of the set, by their labels.
    Pod(&'a Value),
    /// Pods of another namespace, by theirs: of a Prometheus, of an Ingress controller; and every
    /// address outside the cluster.
    Outside,
}

/// Whether the policies of the set let a connection through. As Kubernetes has it: a pod that no
/// policy selects is open; otherwise one rule of one policy has to allow it.
fn allows(set: &RenderedSet, from: End<'_>, to: End<'_>, port: (&str, u16)) -> bool {
    side(set, "egress", from, to, port) && side(set, "ingress", to, from, port)
}

fn side(
    set: &RenderedSet,
    direction: &str,
    own: End<'_>,
    peer: End<'_>,
    port: (&str, u16),
) -> bool {
    let End::Pod(labels) = own else { return true };
    let policies: Vec<&Value> = set
        .manifests
        .iter()
        .filter(|manifest| manifest.object.kind == ObjectKind::NetworkPolicy)
        .map(|manifest| &manifest.value["spec"])
        .filter(|spec| selects(&spec["podSelector"]["matchLabels"], labels))
        .collect();
    let peers = if direction == "egress" { "to" } else { "from" };
    policies.is_empty()
        || policies
            .iter()
            .flat_map(|spec| spec[direction].as_array().into_iter().flatten())
            .any(|rule| port_matches(&rule["ports"], port) && peer_matches(&rule[peers], peer))
}

fn port_matches(ports: &Value, (protocol, number): (&str, u16)) -> bool {
    match ports.as_array() {
        None => true,
        Some(ports) => ports.iter().any(|port| {
            port["protocol"] == protocol && port["port"].as_u64() == Some(u64::from(number))
        }),
    }
}

fn peer_matches(peers: &Value, peer: End<'_>) -> bool {
    match (peers.as_array(), peer) {
        (None, _) => true,
        (Some(peers), _) if peers.is_empty() => true,
        (Some(_), End::Outside) => false,
        (Some(peers), End::Pod(labels)) => peers
            .iter()
            .any(|peer| selects(&peer["podSelector"]["matchLabels"], labels)),
    }
}

fn labels<'a>(set: &'a RenderedSet, component: &str) -> End<'a> {
    let pods = all_pods(set);
    let found = pods.iter().find(|(name, _)| name == component);
    End::Pod(&found.unwrap_or_else(|| panic!("no {component}")).1["metadata"]["labels"])
}

const DNS: [(&str, u16); 2] = [("UDP", 53), ("TCP", 53)];

#[test]
fn n01_streamers_reach_names_redis_and_etcd_outside_and_nothing_else() {
    let set = preview(Profile::Edge, &[]);
    let streamer = labels(&set, "streamer");
    for port in DNS.into_iter().chain([("TCP", 6379), ("TCP", 2379)]) {
        assert!(allows(&set, streamer, End::Outside, port), "{port:?}");
    }
    for port in [("TCP", 5432), ("TCP", 443), ("TCP", 22), ("UDP", 123)] {
        assert!(!allows(&set, streamer, End::Outside, port), "{port:?}");
    }
    assert!(allows(&set, End::Outside, streamer, ("TCP", 8081)));
}

#[test]
fn n01_the_ports_of_servers_elsewhere_are_those_of_the_values() {
    let sets = [
        "externalRedis.port=16379",
        "etcd.endpoints={https://a.example:12379,b.example}",
    ];
    let set = preview(Profile::Edge, &sets);
    let streamer = labels(&set, "streamer");
    for port in [16379, 12379, 2379] {
        assert!(
            allows(&set, streamer, End::Outside, ("TCP", port)),
            "{port}"
        );
    }
    assert!(!allows(&set, streamer, End::Outside, ("TCP", 6379)));
}

#[test]
fn n02_collectors_reach_redis_outside_the_database_inside_and_names() {
    let set = preview(Profile::Central, &[]);
    let (collector, database) = (labels(&set, "collector"), labels(&set, "postgresql"));
    assert!(allows(&set, collector, End::Outside, ("TCP", 6379)));
    assert!(allows(&set, collector, End::Outside, ("TCP", 2379)));
    assert!(allows(&set, collector, database, ("TCP", 5432)));
    for port in DNS {
        assert!(allows(&set, collector, End::Outside, port));
    }
    assert!(!allows(&set, collector, End::Outside, ("TCP", 5432)));
    assert!(!allows(&set, End::Outside, database, ("TCP", 5432)));
}

#[test]
fn n03_the_gateway_is_open_by_its_port_and_reaches_the_database() {
    let set = preview(Profile::Central, &[]);
    let gateway = labels(&set, "api-gateway");
    assert!(allows(&set, End::Outside, gateway, ("TCP", 8080)));
    assert!(!allows(&set, End::Outside, gateway, ("TCP", 9999)));
    assert!(allows(
        &set,
        gateway,
        labels(&set, "postgresql"),
        ("TCP", 5432)
    ));
    assert!(!allows(&set, gateway, End::Outside, ("TCP", 6379)));
}

#[test]
fn n05_every_flow_of_one_namespace_is_open_and_no_other() {
    let set = preview(Profile::SameCluster, &[]);
    let flows = [
        ("streamer", "redis", 6379),
        ("collector", "redis", 6379),
        ("collector", "postgresql", 5432),
        ("api-gateway", "postgresql", 5432),
        ("streamer", "etcd", 2379),
        ("collector", "etcd", 2379),
        ("api-gateway", "etcd", 2379),
    ];
    let components = [
        "streamer",
        "collector",
        "api-gateway",
        "redis",
        "postgresql",
        "etcd",
    ];
    for from in components {
        for (to, port) in [("redis", 6379), ("postgresql", 5432), ("etcd", 2379)] {
            let wanted = flows.contains(&(from, to, port));
            let open = allows(&set, labels(&set, from), labels(&set, to), ("TCP", port));
            assert_eq!(open, wanted, "{from} to {to}");
        }
    }
}

#[test]
fn n05_shared_servers_are_open_to_other_clusters_by_their_port_only() {
    let set = preview(Profile::Shared, &[]);
    for (server, port) in [("redis", 6379), ("etcd", 2379)] {
        assert!(allows(
            &set,
            End::Outside,
            labels(&set, server),
            ("TCP", port)
        ));
        assert!(!allows(
            &set,
            End::Outside,
            labels(&set, server),
            ("TCP", port + 1)
        ));
        assert!(!allows(
            &set,
            labels(&set, server),
            End::Outside,
            ("TCP", 443)
        ));
    }
}

#[test]
fn n13_a_probe_pod_is_under_the_policy_of_what_it_stands_for() {
    let set = preview(Profile::Edge, &[]);
    let End::Pod(serving) = labels(&set, "streamer") else {
        panic!("pods have labels")
    };
    let mut probe = serving.clone();
    probe["telectl.io/serving"] = Value::Null;
    let probe = End::Pod(&probe);
    assert!(allows(&set, probe, End::Outside, ("TCP", 6379)));
    assert!(!allows(&set, probe, End::Outside, ("TCP", 443)));
}

#[test]
fn n04_rules_of_the_values_are_added_for_every_worker() {
    let text = r#"networkPolicy.egress=[{"to":[],"ports":[{"protocol":"TCP","port":443}]}]"#;
    let set = preview(Profile::SameCluster, &[text]);
    assert!(allows(
        &set,
        labels(&set, "collector"),
        End::Outside,
        ("TCP", 443)
    ));
    assert!(!allows(
        &set,
        labels(&set, "redis"),
        End::Outside,
        ("TCP", 443)
    ));
    let port = json!([{ "protocol": "TCP", "port": 443 }]);
    assert!(port_matches(&port, ("TCP", 443)) && !port_matches(&port, ("UDP", 443)));
}

/// Every profile that has policies has one for each workload, both ways, and what has to be reached
/// from other namespaces is: the workers, by scrapers and Ingress controllers.
#[test]
fn r33_every_workload_of_a_profile_has_a_policy_and_is_scraped_through_it() {
    for set in fullest_sets() {
        let policies: Vec<_> = set
            .manifests
            .iter()
            .filter(|manifest| manifest.object.kind == ObjectKind::NetworkPolicy)
            .collect();
        if set.profile == Profile::Dev {
            assert!(policies.is_empty());
            continue;
        }
        let mut names: Vec<&str> = policies.iter().map(|one| &*one.object.name).collect();
        let pods = all_pods(&set);
        let mut workloads: Vec<&str> = pods.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        workloads.sort_unstable();
        assert_eq!(names, workloads, "{}", set.profile);
        for policy in policies {
            let types = &policy.value["spec"]["policyTypes"];
            assert_eq!(*types, json!(["Ingress", "Egress"]), "{}", policy.object);
        }
        for (worker, port) in [
            ("streamer", 8081),
            ("collector", 8082),
            ("api-gateway", 8080),
        ] {
            if workloads.contains(&worker) {
                let reached = allows(&set, End::Outside, labels(&set, worker), ("TCP", port));
                assert!(reached, "{}: {worker}", set.profile);
                let other = allows(&set, End::Outside, labels(&set, worker), ("TCP", port + 10));
                assert!(!other, "{}: {worker}", set.profile);
            }
        }
    }
}

#[test]
fn r33_the_backup_reaches_the_database_and_nobody_reaches_it() {
    let set = preview(Profile::Central, &[]);
    let (backup, database) = (labels(&set, "backup"), labels(&set, "postgresql"));
    assert!(allows(&set, backup, database, ("TCP", 5432)));
    for port in DNS {
        assert!(allows(&set, backup, End::Outside, port));
    }
    assert!(!allows(&set, backup, End::Outside, ("TCP", 443)));
    assert!(!allows(&set, End::Outside, backup, ("TCP", 8080)));
    let without = preview(Profile::Central, &["backup.enabled=false"]);
    let stranger = json!({ "app.kubernetes.io/component": "backup" });
    let database = labels(&without, "postgresql");
    assert!(!allows(
        &without,
        End::Pod(&stranger),
        database,
        ("TCP", 5432)
    ));
    let bucket = preview(Profile::Central, &["backup.storage.type=s3"]);
    assert!(allows(
        &bucket,
        labels(&bucket, "backup"),
        End::Outside,
        ("TCP", 443)
    ));
}

#[test]
fn r33_a_streamer_that_downloads_may_and_another_may_not() {
    let digest = "streamer.config.csvSource.sha256=\
                  0000000000000000000000000000000000000000000000000000000000000000";
    let sets = [
        "streamer.config.csvSource.type=url",
        "streamer.config.csvSource.url=https://data.example.com:8443/a.csv",
        digest,
    ];
    let set = preview(Profile::Edge, &sets);
    assert!(allows(
        &set,
        labels(&set, "streamer"),
        End::Outside,
        ("TCP", 8443)
    ));
    assert!(!allows(
        &set,
        labels(&set, "streamer"),
        End::Outside,
        ("TCP", 443)
    ));
}
