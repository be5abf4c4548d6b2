//! TLS of the workers' own ports.

use serde_json::{Value, json};
use telectl::model::component::Component;
use telectl::model::manifest::{RenderedSet, SecretContent};
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{environment, object, preview};

const WORKERS: [(ObjectKind, &str, &str, Component); 3] = [
    (
        ObjectKind::StatefulSet,
        "streamer",
        "streamer",
        Component::Streamer,
    ),
    (
        ObjectKind::Deployment,
        "collector",
        "collector",
        Component::Collector,
    ),
    (
        ObjectKind::Deployment,
        "api-gateway",
        "apiGateway",
        Component::ApiGateway,
    ),
];

fn pod(set: &RenderedSet, kind: ObjectKind, name: &str) -> Value {
    object(set, kind, name)["spec"]["template"]["spec"].clone()
}

#[test]
fn n19_a_worker_with_tls_has_its_certificate_from_a_secret_and_is_probed_over_https() {
    for (kind, name, key, component) in WORKERS {
        let on = format!("{key}.tls.enabled=true");
        let set = preview(Profile::SameCluster, &[&on]);
        let pod = pod(&set, kind, name);
        let container = &pod["containers"][0];
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{name}");
        }
        let secret = format!("{name}-tls");
        let variables = environment(&pod);
        let folder = &variables["HTTP_TLS_DIR"]["value"];
        assert_eq!(
            variables["HTTP_CA_CERT"]["valueFrom"]["secretKeyRef"],
            json!({"name": secret, "key": "ca.crt"})
        );
        assert!(
            !variables.contains_key("ADVERTISED_SCHEME"),
            "https follows"
        );
        let mounts = container["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["mountPath"] == *folder);
        assert_eq!(mount.unwrap()["readOnly"], true);
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount.unwrap()["name"]);
        assert_eq!(volume.unwrap()["secret"]["secretName"], *secret);
        let need = set.secrets.iter().find(|need| need.name == secret).unwrap();
        let contents: Vec<SecretContent> = need.keys.iter().map(|key| key.content).collect();
        assert_eq!(
            contents,
            [
                SecretContent::CaCertificate(component),
                SecretContent::WorkerCertificate(component),
                SecretContent::WorkerKey(component),
            ]
        );
        // One worker's setting is not another's.
        for (kind, other, ..) in WORKERS.iter().filter(|(_, other, ..)| *other != name) {
            assert!(!environment(&self::pod(&set, *kind, other)).contains_key("HTTP_TLS_DIR"));
        }
    }
}

#[test]
fn n19_prometheus_asks_over_https_and_knows_whom_to_expect() {
    let sets = ["monitoring.enabled=true", "collector.tls.enabled=true"];
    let set = preview(Profile::SameCluster, &sets);
    let endpoint =
        |name: &str| object(&set, ObjectKind::ServiceMonitor, name)["spec"]["endpoints"][0].clone();
    let secured = endpoint("collector");
    assert_eq!(secured["scheme"], "https");
    assert_eq!(
        secured["tlsConfig"],
        json!({
            "ca": {"secret": {"name": "collector-tls", "key": "ca.crt"}},
            "serverName": "collector.telemetry-system.svc",
        })
    );
    let plain = endpoint("streamer");
    assert!(
        plain["scheme"].is_null() && plain["tlsConfig"].is_null(),
        "{plain}"
    );
}

#[test]
fn n19_what_an_ingress_ends_is_registered_as_the_ingress_speaks() {
    let scheme = |sets: &[&str]| {
        let all = ["streamer.tls.enabled=true", "streamer.ingress.enabled=true"];
        let set = preview(Profile::Edge, &[&all, sets].concat());
        let variables = environment(&pod(&set, ObjectKind::StatefulSet, "streamer"));
        variables["ADVERTISED_SCHEME"]["value"].clone()
    };
    let host = "streamer.ingress.hosts[0].host=streamer.example.com";
    assert_eq!(scheme(&[host]), "http");
    let tls = "streamer.ingress.tls[0].secretName=cert";
    assert_eq!(scheme(&[host, tls]), "https");
}
