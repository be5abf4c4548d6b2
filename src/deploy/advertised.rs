//! Under which address the workers of a stage are reached from outside their cluster: that which
//! their own Service or Ingress has, once it has one. Pure.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::keys;
use crate::cluster::readiness::external_addresses;
use crate::cluster::snapshot::Snapshot;
use crate::model::component::Component;
use crate::model::endpoint::host_of;
use crate::model::labels::COMPONENT;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::ObjectKind;

/// The volume with the certificate of a worker's port.
const HTTP_TLS_VOLUME: &str = "http-tls";

/// Stands in a rendered value for an address that a load balancer is still to give. It is no valid
/// host name, so that it can never be mistaken for one.
pub const OWN_NOT_YET_KNOWN: &str = "address-of-the-own-service.invalid";

/// The values (dotted key, value) that make workers register under the address of their Service or
/// Ingress. Workers whose Service is reached from within only have none.
pub(super) fn values(set: &RenderedSet, live: &Snapshot, nodes: &[Value]) -> Vec<(String, Value)> {
    let workers = [
        Component::Streamer,
        Component::Collector,
        Component::ApiGateway,
    ];
    let mut found = Vec::new();
    for component in workers {
        let Some(service) = service(set, component) else {
            continue;
        };
        let live = live.get(&service.object);
        let Some((address, port)) = by_service(&service.value, live, nodes)
            .or_else(|| by_ingress(set, &service.object.name))
        else {
            continue;
        };
        let key = keys::placement(component);
        found.push((
            format!("{key}.advertise.externalServiceAddress"),
            json!(address),
        ));
        found.push((format!("{key}.advertise.port"), json!(port)));
    }
    found
}

/// The hosts, known so far, under which the workers of a component register for everybody, or the
/// nodes of a Redis Cluster are reached.
pub(super) fn hosts(set: &RenderedSet, component: Component) -> Vec<String> {
    let variables = pods(set, component)
        .flat_map(|pod| pod["containers"][0]["env"].as_array().into_iter().flatten());
    variables
        .filter(|variable| {
            let name = variable["name"].as_str().unwrap_or_default();
            matches!(
                name,
                "SERVICE_ADDRESS" | "EXTERNAL_SERVICE_ADDRESS" | "ANNOUNCE" | "NODES"
            )
        })
        .filter_map(|variable| variable["value"].as_str())
        .flat_map(str::split_whitespace)
        .filter(|address| *address != OWN_NOT_YET_KNOWN)
        .map(|address| {
            // As a certificate says it.
            let host = host_of(address);
            let ip = host.parse::<IpAddr>();
            ip.map_or_else(|_| host.to_owned(), |ip| ip.to_string())
        })
        .collect()
}

/// The components that show one certificate: workers may have one Secret for several of them.
pub(super) fn sharing(set: &RenderedSet, component: Component) -> Vec<Component> {
    let secret = |component| {
        let volumes =
            pods(set, component).flat_map(|pod| pod["volumes"].as_array().into_iter().flatten());
        let mut own = volumes.filter(|volume| volume["name"] == HTTP_TLS_VOLUME);
        own.find_map(|volume| volume["secret"]["secretName"].as_str())
    };
    let Some(shared) = secret(component) else {
        return vec![component];
    };
    let workers = Component::WORKERS.into_iter();
    workers
        .filter(|worker| secret(*worker) == Some(shared))
        .collect()
}

/// What the pods of a component are made of.
fn pods(set: &RenderedSet, component: Component) -> impl Iterator<Item = &Value> {
    let templates = set.manifests.iter();
    let templates = templates.map(|manifest| &manifest.value["spec"]["template"]);
    templates
        .filter(move |pod| pod["metadata"]["labels"][COMPONENT] == component.name())
        .map(|pod| &pod["spec"])
}

/// Whether a rendered set still waits for an address of one of its own Services.
pub(super) fn is_awaited(set: &RenderedSet) -> bool {
    let mut manifests = set.manifests.iter();
    manifests.any(|manifest| manifest.value.to_string().contains(OWN_NOT_YET_KNOWN))
}

fn service(set: &RenderedSet, component: Component) -> Option<&Manifest> {
    set.manifests.iter().find(|manifest| {
        manifest.object.kind == ObjectKind::Service
            && manifest.value["spec"]["clusterIP"] != "None"
            && manifest.value["spec"]["selector"][COMPONENT] == component.name()
    })
}

fn by_service(service: &Value, live: Option<&Value>, nodes: &[Value]) -> Option<(String, u64)> {
    let port = &service["spec"]["ports"][0];
    match service["spec"]["type"].as_str()? {
        "LoadBalancer" => {
            let address = live.and_then(|live| external_addresses(live).into_iter().next());
            let address = address.unwrap_or_else(|| OWN_NOT_YET_KNOWN.to_owned());
            Some((address, port["port"].as_u64()?))
        }
        "NodePort" => {
            let given = live.and_then(|live| live["spec"]["ports"][0]["nodePort"].as_u64());
            let node_port = given.or_else(|| port["nodePort"].as_u64())?;
            Some((node_address(nodes)?, node_port))
        }
        _ => None,
    }
}

/// The external address of a node that is ready; its internal one where none has an external one.
fn node_address(nodes: &[Value]) -> Option<String> {
    let is_ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let of_type = |wanted: &str| {
        let mut ready = nodes.iter().filter(is_ready);
        ready.find_map(|node| {
            let mut addresses = node["status"]["addresses"].as_array()?.iter();
            let found = addresses.find(|address| address["type"] == wanted)?;
            found["address"].as_str().map(str::to_owned)
        })
    };
    of_type("ExternalIP").or_else(|| of_type("InternalIP"))
}

/// The host of the first rule that leads to a Service; 443 where the Ingress has TLS, else 80.
fn by_ingress(set: &RenderedSet, service: &str) -> Option<(String, u64)> {
    let ingresses = set
        .manifests
        .iter()
        .filter(|manifest| manifest.object.kind == ObjectKind::Ingress);
    let leads_there = |rule: &&Value| {
        let paths = rule["http"]["paths"].as_array().into_iter().flatten();
        let mut services = paths.map(|path| &path["backend"]["service"]["name"]);
        services.any(|name| name == service)
    };
    ingresses
        .filter_map(|ingress| {
            let spec = &ingress.value["spec"];
            let rule = spec["rules"].as_array()?.iter().find(leads_there)?;
            let has_tls = spec["tls"].as_array().is_some_and(|tls| !tls.is_empty());
            let port = if has_tls { 443 } else { 80 };
            Some((rule["host"].as_str()?.to_owned(), port))
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::ObjectRef;
    use crate::model::profile::Profile;

    fn set(service: Value, ingress: Option<Value>) -> RenderedSet {
        let manifest = |kind, value| Manifest {
            object: ObjectRef::new(kind, "ns", "streamer"),
            value,
        };
        let ingress = ingress.map(|spec| manifest(ObjectKind::Ingress, json!({"spec": spec})));
        let service = json!({"kind": "Service", "spec": service});
        RenderedSet {
            profile: Profile::Edge,
            namespace: "ns".to_owned(),
            cluster_id: "edge".to_owned(),
            manifests: ingress
                .into_iter()
                .chain([manifest(ObjectKind::Service, service)])
                .collect(),
            secrets: Vec::new(),
        }
    }

    fn service_of_type(kind: &str) -> Value {
        json!({
            "type": kind,
            "selector": {(COMPONENT): "streamer"},
            "ports": [{"port": 8081, "nodePort": 30081}],
        })
    }

    fn live(ingress: Value) -> Snapshot {
        let mut service = json!({"kind": "Service", "spec": service_of_type("LoadBalancer")});
        service["metadata"] = json!({"name": "streamer", "namespace": "ns"});
        service["status"] = json!({"loadBalancer": {"ingress": ingress}});
        Snapshot::of(None, vec![service])
    }

    fn shown(values: Vec<(String, Value)>) -> Vec<String> {
        let text = |(key, value)| format!("{key}={value}");
        values.into_iter().map(text).collect()
    }

    #[test]
    fn n19_the_certificate_of_a_worker_names_what_it_registers_once_that_is_known() {
        let of = |address: &str| {
            let variables = json!([
                {"name": "POD_IP", "valueFrom": {}},
                {"name": "EXTERNAL_SERVICE_ADDRESS", "value": address},
            ]);
            let pod = json!({"containers": [{"env": variables}]});
            let labels = json!({(COMPONENT): "streamer"});
            let mut set = set(service_of_type("ClusterIP"), None);
            set.manifests.push(Manifest {
                object: ObjectRef::new(ObjectKind::StatefulSet, "ns", "streamer"),
                value: json!({"spec": {"template": {"metadata": {"labels": labels}, "spec": pod}}}),
            });
            assert_eq!(hosts(&set, Component::Collector), [""; 0]);
            hosts(&set, Component::Streamer)
        };
        assert_eq!(of("192.0.2.7"), ["192.0.2.7"]);
        assert_eq!(of("streamer.example:8443"), ["streamer.example"]);
        assert_eq!(of("[2001:DB8:0::7]:8443"), ["2001:db8::7"]);
        assert_eq!(of(OWN_NOT_YET_KNOWN), [""; 0]);
    }

    #[test]
    fn r30_the_certificate_of_a_redis_cluster_names_its_nodes() {
        let variables = json!([
            {"name": "ANNOUNCE", "value": "n0.example:31000 n1.example:31001"},
            {"name": "NODES", "value": "redis-0.redis-nodes.ns.svc:6379"},
        ]);
        let pod = json!({"containers": [{"env": variables}]});
        let labels = json!({(COMPONENT): "redis"});
        let mut set = set(service_of_type("ClusterIP"), None);
        set.manifests.push(Manifest {
            object: ObjectRef::new(ObjectKind::StatefulSet, "ns", "redis"),
            value: json!({"spec": {"template": {"metadata": {"labels": labels}, "spec": pod}}}),
        });
        let names = ["n0.example", "n1.example", "redis-0.redis-nodes.ns.svc"];
        assert_eq!(hosts(&set, Component::Redis), names);
    }

    #[test]
    fn n19_workers_with_one_secret_share_a_certificate() {
        let mut set = set(service_of_type("ClusterIP"), None);
        for (name, secret) in [
            ("streamer", "one"),
            ("collector", "one"),
            ("api-gateway", "two"),
        ] {
            let volumes = json!([{"name": HTTP_TLS_VOLUME, "secret": {"secretName": secret}}]);
            let pod = json!({
                "metadata": {"labels": {(COMPONENT): name}}, "spec": {"volumes": volumes},
            });
            set.manifests.push(Manifest {
                object: ObjectRef::new(ObjectKind::Deployment, "ns", name),
                value: json!({"spec": {"template": pod}}),
            });
        }
        let both = [Component::Streamer, Component::Collector];
        assert_eq!(sharing(&set, Component::Collector), both);
        assert_eq!(
            sharing(&set, Component::ApiGateway),
            [Component::ApiGateway]
        );
        assert_eq!(sharing(&set, Component::Redis), [Component::Redis]);
    }

    #[test]
    fn d21_a_worker_registers_under_the_address_of_its_load_balancer_once_there_is_one() {
        let set = set(service_of_type("LoadBalancer"), None);
        let before = shown(values(&set, &live(json!([])), &[]));
        assert_eq!(
            before[0],
            format!("streamer.advertise.externalServiceAddress=\"{OWN_NOT_YET_KNOWN}\"")
        );
        let after = shown(values(
            &set,
            &live(json!([{"hostname": "lb.example"}])),
            &[],
        ));
        assert_eq!(
            after,
            [
                "streamer.advertise.externalServiceAddress=\"lb.example\"",
                "streamer.advertise.port=8081"
            ]
        );
    }

    #[test]
    fn d21_a_node_port_is_reached_at_a_node_that_is_ready_and_preferably_from_outside() {
        let node = |ready: &str, addresses: Value| {
            let conditions = json!([{"type": "Ready", "status": ready}]);
            json!({"status": {"conditions": conditions, "addresses": addresses}})
        };
        let address = |kind: &str, ip: &str| json!({"type": kind, "address": ip});
        let nodes = [
            node("False", json!([address("ExternalIP", "192.0.2.1")])),
            node("True", json!([address("InternalIP", "10.0.0.2")])),
            node("True", json!([address("ExternalIP", "192.0.2.3")])),
        ];
        let set = set(service_of_type("NodePort"), None);
        let found = |nodes: &[Value]| shown(values(&set, &Snapshot::default(), nodes));
        assert_eq!(
            found(&nodes),
            [
                "streamer.advertise.externalServiceAddress=\"192.0.2.3\"",
                "streamer.advertise.port=30081"
            ]
        );
        assert!(found(&nodes[..2])[0].contains("10.0.0.2"));
        assert!(found(&nodes[..1]).is_empty(), "no node is ready");
    }

    #[test]
    fn d21_an_ingress_is_reached_at_its_host_and_the_port_of_its_scheme() {
        let rule = json!({"host": "streamer.example", "http": {"paths": [
            {"backend": {"service": {"name": "streamer"}}},
        ]}});
        let found = |tls: Value| {
            let ingress = json!({"rules": [rule], "tls": tls});
            let set = set(service_of_type("ClusterIP"), Some(ingress));
            shown(values(&set, &Snapshot::default(), &[]))
        };
        assert_eq!(
            found(json!([{"secretName": "tls"}])),
            [
                "streamer.advertise.externalServiceAddress=\"streamer.example\"",
                "streamer.advertise.port=443"
            ]
        );
        assert_eq!(found(json!([]))[1], "streamer.advertise.port=80");
        let inside = set(service_of_type("ClusterIP"), None);
        assert!(values(&inside, &Snapshot::default(), &[]).is_empty());
    }
}
