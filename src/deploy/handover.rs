//! What one cluster needs to know about another. Pure.

use serde_json::{Value, json};

use super::layout::Stage;
use crate::cluster::readiness::external_addresses;
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;
use crate::model::labels::COMPONENT;
use crate::model::manifest::RenderedSet;
use crate::model::profile::Profile;

/// Stands in a rendered value for an address that is known only once another stage is deployed.
/// It is no valid host name, so that it can never be mistaken for one.
pub const NOT_YET_KNOWN: &str = "address.not.yet.known.invalid";

/// Where the infrastructure is, as its own cluster and as others reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handover {
    /// Redis.
    pub redis: Reach,
    /// etcd.
    pub etcd: Reach,
}

/// Where a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The context of the cluster that it runs in; `None` if it runs elsewhere.
    pub context: Option<String>,
    /// Its name within that cluster.
    pub internal: Option<Endpoint>,
    /// Its address for everybody else.
    pub external: Option<Endpoint>,
}

impl Reach {
    fn seen_from(&self, context: &str) -> Option<&Endpoint> {
        if self.context.as_deref() == Some(context) {
            self.internal.as_ref()
        } else {
            self.external.as_ref()
        }
    }
}

/// Values (dotted key, value) that a stage gets from the stages before it, and from its record:
/// `recorded` is the cluster id that it was deployed with before. A context may be renamed, and the
/// sources of its cluster must stay what they are.
pub fn values_for(
    stage: &Stage,
    handover: &Handover,
    recorded: Option<&str>,
) -> Vec<(String, Value)> {
    let cluster_id = recorded.unwrap_or(&stage.context);
    let mut values = vec![("global.clusterId".to_owned(), json!(cluster_id))];
    if !matches!(stage.profile, Profile::Edge | Profile::Central) {
        return values;
    }
    let endpoint = |reach: &Reach, component: Component| {
        reach
            .seen_from(&stage.context)
            .cloned()
            .unwrap_or_else(|| Endpoint::new(NOT_YET_KNOWN, component.default_port()))
    };
    let redis = endpoint(&handover.redis, Component::Redis);
    let etcd = endpoint(&handover.etcd, Component::Etcd);
    values.push(("externalRedis.host".to_owned(), json!(redis.host)));
    values.push(("externalRedis.port".to_owned(), json!(redis.port)));
    values.push((
        "etcd.endpoints".to_owned(),
        json!([format!("https://{etcd}")]),
    ));
    values
}

/// The server whose address a rendered set still waits for; `None` if it knows all of them.
pub fn unknown_address(set: &RenderedSet) -> Option<Component> {
    let mut unknown = None;
    for manifest in &set.manifests {
        let text = manifest.value.to_string();
        if text.contains(&format!("\"{NOT_YET_KNOWN}\"")) {
            return Some(Component::Redis);
        }
        if text.contains(NOT_YET_KNOWN) {
            unknown = Some(Component::Etcd);
        }
    }
    unknown
}

/// The Service in front of a component, among the rendered objects: name and port.
pub fn service_of(set: &RenderedSet, component: Component) -> Option<(String, u16)> {
    let service = set.manifests.iter().find(|manifest| {
        let value = &manifest.value;
        value["kind"] == "Service"
            && value["spec"]["clusterIP"] != "None"
            && value["spec"]["selector"][COMPONENT] == component.name()
    })?;
    let port = service.value["spec"]["ports"][0]["port"].as_u64()?;
    Some((service.object.name.clone(), u16::try_from(port).ok()?))
}

/// Where a component of a stage is, given its live Service.
pub fn reach(stage: &Stage, name: &str, port: u16, live: Option<&Value>) -> Reach {
    let internal = Endpoint::new(format!("{name}.{}.svc", stage.namespace), port);
    let external = live.and_then(|live| external_addresses(live).into_iter().next());
    Reach {
        context: Some(stage.context.clone()),
        internal: Some(internal),
        external: external.map(|address| Endpoint::new(address, port)),
    }
}

/// The names under which a Service's server certificate must be valid.
pub fn certificate_names(namespace: &str, service: &str, live: Option<&Value>) -> Vec<String> {
    let mut names = vec![
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    names.extend(live.map(external_addresses).unwrap_or_default());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(profile: Profile, context: &str) -> Stage {
        Stage {
            profile,
            context: context.to_owned(),
            namespace: profile.default_namespace().to_owned(),
        }
    }

    #[test]
    fn the_own_cluster_gets_the_internal_name_and_others_the_external_address() {
        let shared = stage(Profile::Shared, "central");
        let live = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}});
        let handover = Handover {
            redis: reach(&shared, "redis", 6379, Some(&live)),
            etcd: reach(&shared, "etcd", 2379, Some(&live)),
        };
        let of = |stage: &Stage, key: &str| {
            let values = values_for(stage, &handover, None);
            values.into_iter().find(|(name, _)| name == key).unwrap().1
        };
        let central = stage(Profile::Central, "central");
        let edge = stage(Profile::Edge, "edge");
        assert_eq!(
            of(&central, "externalRedis.host"),
            "redis.shared-infrastructure.svc"
        );
        assert_eq!(of(&edge, "externalRedis.host"), "192.0.2.9");
        assert_eq!(
            of(&edge, "etcd.endpoints"),
            json!(["https://192.0.2.9:2379"])
        );
        assert_eq!(of(&edge, "global.clusterId"), "edge");
    }

    #[test]
    fn the_server_whose_address_is_missing_is_named() {
        let set = |environment: Value| RenderedSet {
            profile: Profile::Edge,
            namespace: "ns".to_owned(),
            cluster_id: "edge".to_owned(),
            manifests: vec![crate::model::manifest::Manifest {
                object: crate::model::object::ObjectRef::new(
                    crate::model::object::ObjectKind::StatefulSet,
                    "ns",
                    "streamer",
                ),
                value: environment,
            }],
            secrets: Vec::new(),
        };
        let etcd = format!("https://{NOT_YET_KNOWN}:2379");
        let both = set(json!({"etcd": etcd, "redis": NOT_YET_KNOWN}));
        assert_eq!(unknown_address(&both), Some(Component::Redis));
        let one = set(json!({"etcd": etcd, "redis": "192.0.2.9"}));
        assert_eq!(unknown_address(&one), Some(Component::Etcd));
        assert_eq!(unknown_address(&set(json!({"redis": "192.0.2.9"}))), None);
    }

    #[test]
    fn a_renamed_context_keeps_the_cluster_id_that_was_recorded() {
        let renamed = stage(Profile::Edge, "prod-edge");
        let id = |recorded| values_for(&renamed, &Handover::default(), recorded)[0].clone();
        let of = |id: &str| ("global.clusterId".to_owned(), json!(id));
        assert_eq!(id(Some("edge")), of("edge"));
        assert_eq!(id(None), of("prod-edge"));
    }
}
