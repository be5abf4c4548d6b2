//! How what is rendered is reached from outside, and what the workers are told about it.

use serde_json::{Value, json};
use telectl::config::{self, Layers, Warning};
use telectl::model::manifest::SecretContent;
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{environment, object, preview, resolved};

/// What a streamer is told, and its Service and container port.
fn streamer(profile: Profile, sets: &[&str]) -> (std::collections::BTreeMap<String, Value>, Value) {
    let set = preview(profile, sets);
    let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 8081);
    let variables = environment(pod);
    assert_eq!(variables["LISTEN_PORT"]["value"], "8081");
    let service = object(&set, ObjectKind::Service, "streamer")["spec"].clone();
    assert_eq!(service["ports"][0]["targetPort"], "http");
    (variables, service)
}

fn refused(sets: &[&str]) -> String {
    let layers = Layers {
        sets: sets.iter().map(|text| (*text).to_owned()).collect(),
        ..Layers::default()
    };
    let error = config::resolve(Profile::Dev, &layers).expect_err("it must not be accepted");
    error.to_string()
}

fn warnings(profile: Profile, sets: &[&str]) -> Vec<String> {
    let resolved = resolved(profile, sets);
    resolved.warnings.iter().map(Warning::to_string).collect()
}

#[test]
fn r23_the_gateways_service_has_the_kind_and_the_annotations_of_the_values() {
    let service = |profile, sets: &[&str]| {
        object(&preview(profile, sets), ObjectKind::Service, "api-gateway").clone()
    };
    let inside = service(Profile::SameCluster, &[]);
    assert_eq!(inside["spec"]["type"], "ClusterIP");
    assert_eq!(inside["spec"]["ports"][0]["port"], 80);
    assert_eq!(inside["spec"]["ports"][0]["targetPort"], "http");

    let balanced = service(Profile::Central, &[]);
    assert_eq!(balanced["spec"]["type"], "LoadBalancer");
    let aws = "service.beta.kubernetes.io/aws-load-balancer";
    let annotations = &balanced["metadata"]["annotations"];
    assert_eq!(annotations[format!("{aws}-type")], "nlb");
    assert_eq!(
        annotations[format!("{aws}-cross-zone-load-balancing-enabled")],
        "true"
    );
    assert!(balanced["metadata"]["labels"][format!("{aws}-type")].is_null());

    let node = [
        "apiGateway.service.type=NodePort",
        "apiGateway.service.nodePort=30080",
        "apiGateway.service.annotations.team=gpu",
    ];
    let on_nodes = service(Profile::Dev, &node);
    assert_eq!(on_nodes["spec"]["ports"][0]["nodePort"], 30080);
    assert_eq!(on_nodes["metadata"]["annotations"]["team"], "gpu");
}

#[test]
fn r23_a_node_port_without_its_service_type_is_reported() {
    let sets = ["apiGateway.service.nodePort=30080"];
    let set = preview(Profile::Dev, &sets);
    let service = object(&set, ObjectKind::Service, "api-gateway");
    assert!(service["spec"]["ports"][0]["nodePort"].is_null());
    assert_eq!(
        warnings(Profile::Dev, &sets),
        ["apiGateway.service.nodePort has no effect: apiGateway.service.type is ClusterIP"]
    );
}

#[test]
fn r24_the_gateways_ingress_has_class_host_and_certificate() {
    let set = preview(Profile::Central, &["apiGateway.ingress.enabled=true"]);
    let ingress = object(&set, ObjectKind::Ingress, "api-gateway");
    let host = "telemetry-api.company.com";
    assert_eq!(
        ingress["spec"],
        json!({
            "ingressClassName": "nginx",
            "rules": [{
                "host": host,
                "http": { "paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": { "service": { "name": "api-gateway", "port": { "name": "http" } } },
                }] },
            }],
            "tls": [{ "secretName": "api-gateway-tls", "hosts": [host] }],
        })
    );
    let issuer = &ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"];
    assert_eq!(issuer, "letsencrypt-prod");
    // cert-manager makes the Secret; without it somebody has to.
    let needs = |sets: &[&str]| {
        let set = preview(Profile::Central, sets);
        let need = set
            .secrets
            .iter()
            .find(|need| need.name == "api-gateway-tls");
        need.map(|need| need.keys[0].content)
    };
    assert_eq!(needs(&["apiGateway.ingress.enabled=true"]), None);
    let own = [
        "apiGateway.ingress.enabled=true",
        r"apiGateway.ingress.annotations.cert-manager\.io/cluster-issuer=null",
    ];
    assert_eq!(needs(&own), Some(SecretContent::Given));
}

#[test]
fn r24_no_profile_has_an_ingress_unless_asked() {
    for set in crate::render_support::every_set() {
        let mut kinds = set.manifests.iter().map(|manifest| manifest.object.kind);
        assert!(
            !kinds.any(|kind| kind == ObjectKind::Ingress),
            "{}",
            set.profile
        );
    }
}

#[test]
fn r24_what_the_original_annotated_is_put_right_and_said() {
    let nginx = r"apiGateway.ingress.annotations.nginx\.ingress\.kubernetes\.io";
    let sets = [
        "apiGateway.ingress.enabled=true".to_owned(),
        format!("{nginx}/rewrite-target=/"),
        format!("{nginx}/rate-limit=100"),
        format!("{nginx}/rate-limit-window=1m"),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    let set = preview(Profile::SameCluster, &sets);
    let ingress = object(&set, ObjectKind::Ingress, "api-gateway");
    assert_eq!(
        ingress["metadata"]["annotations"],
        json!({ "nginx.ingress.kubernetes.io/limit-rpm": "100" })
    );
    let told = warnings(Profile::SameCluster, &sets).join("\n");
    assert!(
        told.contains("rewrite-target` is left out: it would send every path to the same one"),
        "{told}"
    );
    assert!(told.contains("limit-rpm takes its place"), "{told}");
}

#[test]
fn r24_an_ingress_that_cannot_work_is_refused() {
    let none = refused(&[
        "apiGateway.ingress.enabled=true",
        "apiGateway.ingress.hosts=[]",
    ]);
    assert!(
        none.contains("`apiGateway.ingress.hosts` needs at least one"),
        "{none}"
    );
    let on = "apiGateway.ingress.enabled=true";
    let address = refused(&[on, "apiGateway.ingress.hosts[0].host=192.0.2.1"]);
    assert!(address.contains("is no DNS name"), "{address}");
    let path = refused(&[on, "apiGateway.ingress.hosts[0].paths[0].path=v1"]);
    assert!(path.contains("paths begin with `/`"), "{path}");
    let typo = refused(&[on, "apiGateway.ingress.hosts[0].pathes=[]"]);
    assert!(typo.contains("pathes"), "{typo}");
}

#[test]
fn r24_a_gateway_behind_an_ingress_asks_for_a_token() {
    let set = preview(Profile::SameCluster, &["apiGateway.ingress.enabled=true"]);
    let gateway = object(&set, ObjectKind::Deployment, "api-gateway").to_string();
    assert!(gateway.contains("API_TOKEN"));
}

#[test]
fn r25_a_streamer_behind_a_load_balancer_registers_its_address_and_port() {
    let sets = [
        "streamer.service.type=LoadBalancer",
        "streamer.advertise.externalServiceAddress=203.0.113.50",
    ];
    let (variables, service) = streamer(Profile::Edge, &sets);
    assert_eq!(service["type"], "LoadBalancer");
    assert_eq!(service["ports"][0]["port"], 8081);
    assert_eq!(
        variables["EXTERNAL_SERVICE_ADDRESS"]["value"],
        "203.0.113.50"
    );
    assert_eq!(variables["HTTP_PORT"]["value"], "8081");
}

#[test]
fn r26_a_streamer_behind_a_node_port_registers_it_and_listens_elsewhere() {
    let node = [
        "streamer.service.type=NodePort",
        "streamer.service.nodePort=30081",
    ];
    let address = "streamer.advertise.externalServiceAddress=worker-node-external-ip";
    let (variables, service) = streamer(Profile::Edge, &[node[0], node[1], address]);
    assert_eq!(service["type"], "NodePort");
    assert_eq!(service["ports"][0]["nodePort"], 30081);
    assert_eq!(service["ports"][0]["port"], 8081);
    assert_eq!(variables["HTTP_PORT"]["value"], "30081");
    // Without an address of a node the pod's own is registered, and its own port with it.
    let (variables, _) = streamer(Profile::Edge, &node);
    assert_eq!(variables["HTTP_PORT"]["value"], "8081");
}

#[test]
fn r27_a_streamer_behind_an_ingress_registers_the_host_443_and_https() {
    let host = "streamer.cluster-a.example.com";
    let sets = [
        "streamer.ingress.enabled=true",
        "streamer.ingress.hosts[0].host=streamer.cluster-a.example.com",
        "streamer.ingress.tls[0].secretName=streamer-tls",
    ];
    let (variables, _) = streamer(Profile::Edge, &sets);
    assert_eq!(variables["EXTERNAL_SERVICE_ADDRESS"]["value"], host);
    assert_eq!(variables["HTTP_PORT"]["value"], "443");
    assert_eq!(variables["ADVERTISED_SCHEME"]["value"], "https");
    let set = preview(Profile::Edge, &sets);
    let ingress = &object(&set, ObjectKind::Ingress, "streamer")["spec"];
    assert_eq!(ingress["rules"][0]["host"], host);
    let path = &ingress["rules"][0]["http"]["paths"][0];
    assert_eq!(path["path"], "/");
    assert_eq!(path["backend"]["service"]["name"], "streamer");
    assert_eq!(ingress["tls"], json!([{ "secretName": "streamer-tls" }]));

    // As in the original's manifest: the certificate is the controller's own.
    let chosen = [
        sets[0],
        sets[1],
        "streamer.advertise.port=443",
        "streamer.advertise.scheme=https",
    ];
    let (variables, _) = streamer(Profile::Edge, &chosen);
    assert_eq!(variables["HTTP_PORT"]["value"], "443");
    assert_eq!(variables["ADVERTISED_SCHEME"]["value"], "https");
}

#[test]
fn r28_workers_get_all_that_the_original_manifests_name() {
    let sets = [
        "global.clusterId=cluster-a",
        "streamer.advertise.serviceAddress=streamer.internal",
        "streamer.advertise.externalServiceAddress=203.0.113.50",
        "etcd.enabled=false",
        "etcd.endpoints={https://etcd.example.com:2379}",
    ];
    let set = preview(Profile::Dev, &sets);
    let of = |kind, name: &str| environment(&object(&set, kind, name)["spec"]["template"]["spec"]);
    let streamer = of(ObjectKind::StatefulSet, "streamer");
    let value = |name: &str| {
        streamer[name]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let field = |name: &str| streamer[name]["valueFrom"]["fieldRef"]["fieldPath"].clone();
    assert_eq!(value("CLUSTER_ID"), "cluster-a");
    assert_eq!(value("SERVICE_NAME"), "streamer");
    assert_eq!(value("SERVICE_ADDRESS"), "streamer.internal");
    assert_eq!(value("EXTERNAL_SERVICE_ADDRESS"), "203.0.113.50");
    assert_eq!(value("ETCD_ENDPOINTS"), "https://etcd.example.com:2379");
    assert_eq!(value("HTTP_PORT"), "8081");
    assert_eq!(value("LISTEN_PORT"), "8081");
    assert_eq!(
        value("STREAMER_ID"),
        "$(CLUSTER_ID).$(NAMESPACE).$(POD_NAME)"
    );
    assert_eq!(field("POD_IP"), "status.podIP");
    assert_eq!(field("NAMESPACE"), "metadata.namespace");
    assert_eq!(field("POD_NAME"), "metadata.name");
    let collector = of(ObjectKind::Deployment, "collector");
    assert!(collector.contains_key("COLLECTOR_ID") && !collector.contains_key("STREAMER_ID"));
    assert!(of(ObjectKind::Deployment, "api-gateway").contains_key("GATEWAY_ID"));
    // `$(NAME)` stands for what was defined before it only.
    let order: Vec<&str> =
        object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"]["containers"]
            [0]["env"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|variable| variable["name"].as_str())
            .collect();
    let place = |name: &str| order.iter().position(|known| *known == name);
    for part in ["CLUSTER_ID", "NAMESPACE", "POD_NAME"] {
        assert!(place(part) < place("STREAMER_ID"), "{order:?}");
    }
}

#[test]
fn r29_a_service_can_stand_for_a_redis_elsewhere() {
    let sets = [
        "externalRedis.serviceName=redis",
        "externalRedis.host=redis.shared-infra.company.com",
        "externalRedis.port=6380",
    ];
    let set = preview(Profile::Edge, &sets);
    let service = &object(&set, ObjectKind::Service, "redis")["spec"];
    assert_eq!(service["type"], "ExternalName");
    assert_eq!(service["externalName"], "redis.shared-infra.company.com");
    assert_eq!(service["ports"][0]["port"], 6380);
    assert!(service["selector"].is_null());
    let url = |sets: &[&str]| {
        let set = preview(Profile::Edge, sets);
        let pod = &object(&set, ObjectKind::StatefulSet, "streamer")["spec"]["template"]["spec"];
        environment(pod)["REDIS_URL"]["value"].clone()
    };
    // The certificate is for the host.
    assert_eq!(url(&sets), "rediss://redis.shared-infra.company.com:6380/0");
    let plain = [sets[0], sets[1], sets[2], "externalRedis.tls.enabled=false"];
    assert_eq!(url(&plain), "redis://redis.telemetry-system.svc:6380/0");
    let address = refused(&[
        "externalRedis.enabled=true",
        "externalRedis.host=192.0.2.1",
        "externalRedis.serviceName=redis",
    ]);
    assert!(address.contains("needs a DNS name"), "{address}");
}

#[test]
fn r32_workers_are_scraped_where_asked_and_nothing_else_is() {
    let monitors = |profile, sets: &[&str]| -> Vec<(String, Value)> {
        let set = preview(profile, sets);
        let kind = ObjectKind::ServiceMonitor;
        let found = set.manifests.iter().filter(|one| one.object.kind == kind);
        found
            .map(|one| (one.object.name.clone(), one.value.clone()))
            .collect()
    };
    let on = "monitoring.enabled=true";
    let profiles = [
        (
            Profile::SameCluster,
            &["api-gateway", "collector", "streamer"][..],
            "30s",
        ),
        (Profile::Edge, &["streamer"][..], "30s"),
        (Profile::Central, &["api-gateway", "collector"][..], "15s"),
        (Profile::Shared, &[][..], "30s"),
    ];
    for (profile, names, interval) in profiles {
        assert!(
            monitors(profile, &[]).is_empty(),
            "{profile} without being asked"
        );
        let found = monitors(profile, &[on]);
        let found_names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found_names, names, "{profile}");
        let set = preview(profile, &[on]);
        for (name, monitor) in &found {
            assert_eq!(
                monitor["metadata"]["labels"]["cluster-type"],
                profile.name()
            );
            let endpoint = &monitor["spec"]["endpoints"][0];
            assert_eq!(endpoint["interval"], interval);
            assert_eq!(endpoint["scrapeTimeout"], "10s");
            assert_eq!(endpoint["path"], "/metrics");
            // The Service that it selects has the port that it names.
            let service = object(&set, ObjectKind::Service, name);
            assert_eq!(service["spec"]["ports"][0]["name"], endpoint["port"]);
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let labels = &service["metadata"]["labels"];
            assert!(crate::render_support::selects(selector, labels), "{name}");
        }
    }
    assert!(
        monitors(
            Profile::Central,
            &[on, "monitoring.serviceMonitor.enabled=false"]
        )
        .is_empty()
    );
    let labelled = monitors(
        Profile::Edge,
        &[on, "monitoring.serviceMonitor.labels.release=prom"],
    );
    assert_eq!(labelled[0].1["metadata"]["labels"]["release"], "prom");
}

#[test]
fn r32_times_that_prometheus_refuses_are_refused() {
    let longer = refused(&["monitoring.serviceMonitor.scrapeTimeout=1m"]);
    assert!(
        longer.contains("longer than the interval of 30s"),
        "{longer}"
    );
    let none = refused(&["monitoring.serviceMonitor.interval=often"]);
    assert!(none.contains("must be a time"), "{none}");
}
