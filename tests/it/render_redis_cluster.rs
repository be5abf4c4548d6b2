//! Redis Cluster: what is rendered, and the script that forms it, with real servers.

use std::process::{Command, Output};

use serde_json::{Value, json};
use telectl::config::{self, Layers};
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_security::violations;
use crate::render_support::{containers, environment, object, pod_of, preview};
use crate::servers::{Process, free_port, program};

const CLUSTER: &str = "redis.architecture=cluster";

fn refused(profile: Profile, sets: &[&str]) -> String {
    let layers = Layers {
        sets: sets.iter().map(|text| (*text).to_owned()).collect(),
        ..Layers::default()
    };
    let error = config::resolve(profile, &layers).expect_err("it must not be accepted");
    error.to_string()
}

#[test]
fn r30_a_redis_cluster_has_nodes_logs_volumes_and_ports() {
    let set = preview(Profile::Shared, &[CLUSTER]);
    let redis = &object(&set, ObjectKind::StatefulSet, "redis")["spec"];
    assert_eq!(redis["replicas"], 3);
    assert_eq!(redis["serviceName"], "redis-nodes");
    assert_eq!(redis["podManagementPolicy"], "Parallel");
    let claim = &redis["volumeClaimTemplates"][0]["spec"]["resources"]["requests"];
    assert_eq!(claim["storage"], "10Gi");
    let pod = pod_of(&set, "redis");
    let ports: Vec<&Value> = pod["containers"][0]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| &port["containerPort"])
        .collect();
    assert_eq!(ports, [&json!(6379), &json!(16379)]);
    let ready = pod["containers"][0]["readinessProbe"]["exec"]["command"].to_string();
    assert!(ready.contains("cluster_state:ok"), "{ready}");
    assert_eq!(violations(&redis["template"]), Vec::<String>::new());
    let names: Vec<&str> = containers(&redis["template"])
        .filter_map(|container| container["name"].as_str())
        .collect();
    assert_eq!(names, ["redis", "form"]);

    let config = &object(&set, ObjectKind::ConfigMap, "redis-config")["data"]["redis.conf"];
    let config = config.as_str().unwrap_or_default();
    for line in [
        "cluster-enabled yes",
        "cluster-node-timeout 5000",
        "appendonly yes",
        "tls-cluster yes",
    ] {
        assert!(config.contains(&format!("\n{line}\n")), "{line}: {config}");
    }
    let nodes = &object(&set, ObjectKind::Service, "redis-nodes")["spec"];
    assert_eq!(nodes["clusterIP"], "None");
    assert_eq!(nodes["publishNotReadyAddresses"], true);
    let policy = object(&set, ObjectKind::NetworkPolicy, "redis").to_string();
    assert!(policy.contains("16379"), "{policy}");
    // A Redis that is alone has none of it.
    let alone = preview(Profile::Shared, &[]);
    let redis = object(&alone, ObjectKind::StatefulSet, "redis");
    assert_eq!(redis["spec"]["replicas"], 1);
    assert!(!redis.to_string().contains("16379"));
}

#[test]
fn r30_every_node_is_reached_from_outside_under_what_clients_are_told() {
    let sets = [
        CLUSTER,
        "redis.cluster.replicas=1",
        "redis.cluster.nodeService.type=NodePort",
        "redis.cluster.nodeService.nodePorts=[31000,31001,31002,31003,31004,31005]",
        "redis.cluster.announce={n0:31000,n1:31001,n2:31002,n3:31003,n4:31004,n5}",
    ];
    let set = preview(Profile::Shared, &sets);
    for number in 0..6 {
        let name = format!("redis-{number}");
        let service = &object(&set, ObjectKind::Service, &name)["spec"];
        assert_eq!(service["type"], "NodePort");
        assert_eq!(service["ports"][0]["nodePort"], 31000 + number);
        let selector = &service["selector"]["statefulset.kubernetes.io/pod-name"];
        assert_eq!(*selector, json!(name));
    }
    let variables = environment(pod_of(&set, "redis"));
    assert_eq!(
        variables["ANNOUNCE"]["value"],
        "n0:31000 n1:31001 n2:31002 n3:31003 n4:31004 n5:6379"
    );
    assert_eq!(variables["MASTERS"]["value"], "3");
}

#[test]
fn r30_workers_beside_a_cluster_are_told_its_nodes() {
    let set = preview(Profile::SameCluster, &[CLUSTER]);
    for worker in ["streamer", "collector"] {
        let variables = environment(pod_of(&set, worker));
        let namespace = Profile::SameCluster.default_namespace();
        let node = |number| format!("redis-{number}.redis-nodes.{namespace}.svc:6379");
        let nodes: Vec<String> = (0..3).map(node).collect();
        assert_eq!(
            variables["REDIS_CLUSTER_NODES"]["value"],
            json!(nodes.join(","))
        );
        assert!(!variables.contains_key("REDIS_URL"), "{worker}");
        let policy = &object(&set, ObjectKind::NetworkPolicy, worker)["spec"]["egress"];
        assert!(policy.to_string().contains("6379"), "{policy}");
    }
    // They are reached under what clients are told, wherever that is.
    let announced = [
        CLUSTER,
        "redis.cluster.nodeService.type=NodePort",
        "redis.cluster.announce={n0:31000,n1:31001,n2:31002}",
    ];
    let set = preview(Profile::SameCluster, &announced);
    let variables = environment(pod_of(&set, "streamer"));
    assert_eq!(
        variables["REDIS_CLUSTER_NODES"]["value"],
        "n0:31000,n1:31001,n2:31002"
    );
    let policy = object(&set, ObjectKind::NetworkPolicy, "streamer").to_string();
    assert!(policy.contains("31002"), "{policy}");
}

#[test]
fn r30_a_cluster_that_cannot_work_is_refused() {
    let few = refused(Profile::Shared, &[CLUSTER, "redis.cluster.masters=2"]);
    assert!(few.contains("at least 3 masters"), "{few}");
    let short = refused(Profile::Shared, &[CLUSTER, "redis.cluster.announce={a,b}"]);
    assert!(short.contains("has 2 entries for 3 nodes"), "{short}");
}

/// Servers of a cluster that is not one yet, and their addresses as the script reads them.
fn nodes(folder: &std::path::Path, count: usize) -> (Vec<Process>, Vec<u16>) {
    let mut ports = Vec::new();
    let processes = (0..count)
        .map(|number| {
            let (port, bus) = (free_port(), free_port());
            ports.push(port);
            let own = folder.join(number.to_string());
            std::fs::create_dir_all(&own).expect("a folder can be made");
            let mut command = Command::new("redis-server");
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--cluster-enabled",
                "yes",
            ]);
            command.args([
                "--port",
                &port.to_string(),
                "--cluster-port",
                &bus.to_string(),
            ]);
            command.args(["--cluster-announce-ip", "127.0.0.1"]);
            command.args(["--cluster-announce-bus-port", &bus.to_string()]);
            command.args(["--requirepass", "canary-r30", "--masterauth", "canary-r30"]);
            command.arg("--dir").arg(&own);
            Process::start(&command, &[], &own)
        })
        .collect();
    (processes, ports)
}

fn form(ports: &[u16], masters: &str) -> Output {
    let set = preview(Profile::Shared, &[CLUSTER]);
    let script = object(&set, ObjectKind::ConfigMap, "redis-config")["data"]["form.sh"].clone();
    let addresses: Vec<String> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    Command::new("timeout")
        .args(["60", "sh", "-c", script.as_str().unwrap_or_default()])
        .env("NODES", addresses.join(" "))
        .env("MASTERS", masters)
        .env("TLS_ARGUMENTS", "")
        .env("REDISCLI_AUTH", "canary-r30")
        .env("ONCE", "1")
        .output()
        .expect("there is a shell")
}

fn ask(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(arguments)
        .env("REDISCLI_AUTH", "canary-r30")
        .output()
        .expect("redis-cli runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Which master has which slots. Who follows whom is news that still goes round for a while.
fn slots(port: u16) -> Vec<String> {
    let told = ask(port, &["cluster", "nodes"]);
    let mut masters: Vec<String> = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<&str>>())
        .filter(|fields| fields.get(2).is_some_and(|flags| flags.contains("master")))
        .map(|fields| format!("{} {}", fields[0], fields[8..].join(" ")))
        .collect();
    masters.sort();
    masters
}

#[test]
fn r30_the_script_really_forms_a_cluster_whatever_was_done_before() {
    if program("redis-server", &[]).is_none() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let (_servers, ports) = nodes(folder.path(), 6);
    // It waits for the servers itself. Somebody was here before and did a part of it.
    let early = form(&ports[..3], "3");
    assert!(early.status.success(), "{early:?}");
    let formed = form(&ports, "3");
    assert!(formed.status.success(), "{formed:?}");
    let info = ask(ports[5], &["cluster", "info"]);
    for line in [
        "cluster_state:ok",
        "cluster_slots_assigned:16384",
        "cluster_known_nodes:6",
    ] {
        assert!(info.contains(line), "{info}");
    }
    assert!(info.contains("cluster_size:3"), "{info}");
    let before = slots(ports[0]);
    assert_eq!(before.len(), 3, "{before:?}");
    let again = form(&ports, "3");
    assert!(again.status.success(), "{again:?}");
    assert!(
        !String::from_utf8_lossy(&again.stdout).contains("forming"),
        "{again:?}"
    );
    assert_eq!(slots(ports[0]), before);
    // An entry of a stream is taken wherever its slot is.
    let added = ask(ports[1], &["-c", "XADD", "tele:{lab.0}", "*", "a", "b"]);
    assert!(added.contains('-'), "{added}");
    let length = ask(ports[2], &["-c", "XLEN", "tele:{lab.0}"]);
    assert!(length.ends_with('1'), "{length}");
}
