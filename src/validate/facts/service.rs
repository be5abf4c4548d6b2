//! A Service and what stands behind it.

use serde_json::Value;

use crate::cluster::readiness::external_addresses;
use crate::model::component::Component;

use super::labels::Selector;
use super::{component_of, items, text, text_map};

/// A Service with its EndpointSlices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The component, by its label.
    pub component: Option<Component>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    pub kind: String,
    /// Whether it has no address of its own.
    pub is_headless: bool,
    /// Which pods; empty for a Service whose endpoints somebody else writes.
    pub selector: Selector,
    /// Address within the cluster.
    pub cluster_ip: String,
    /// Ports.
    pub ports: Vec<u16>,
    /// Addresses for everybody else.
    pub external: Vec<String>,
    /// Addresses that are ready.
    pub ready: Vec<String>,
    /// Addresses that are not ready.
    pub unready: Vec<String>,
}

impl ServiceFacts {
    /// From the object and the EndpointSlices of its namespace.
    pub fn from_objects(object: &Value, slices: &[Value]) -> Self {
        let metadata = &object["metadata"];
        let spec = &object["spec"];
        let name = text(&metadata["name"]);
        let namespace = text(&metadata["namespace"]);
        let mut service = Self {
            component: component_of(&text_map(&metadata["labels"])),
            kind: text(&spec["type"]),
            is_headless: spec["clusterIP"] == "None",
            cluster_ip: text(&spec["clusterIP"]),
            selector: Selector::from_labels(text_map(&spec["selector"])),
            ports: items(&spec["ports"])
                .filter_map(|port| u16::try_from(port["port"].as_u64()?).ok())
                .collect(),
            external: external_addresses(object),
            name,
            namespace,
            ready: Vec::new(),
            unready: Vec::new(),
        };
        for slice in slices {
            service.add(slice);
        }
        service
    }

    fn add(&mut self, slice: &Value) {
        let metadata = &slice["metadata"];
        let belongs = metadata["namespace"] == self.namespace.as_str()
            && metadata["labels"]["kubernetes.io/service-name"] == self.name.as_str();
        if !belongs {
            return;
        }
        for endpoint in items(&slice["endpoints"]) {
            // A condition that is not set means ready.
            let is_ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
            let list = if is_ready {
                &mut self.ready
            } else {
                &mut self.unready
            };
            list.extend(items(&endpoint["addresses"]).map(text));
        }
    }

    /// Whether a worker that was told `host` means this Service.
    pub fn is_meant_by(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        let qualified = format!("{}.{}", self.name, self.namespace);
        host == self.name
            || host == qualified
            || host.starts_with(&format!("{qualified}."))
            || host == self.cluster_ip
            || self.external.iter().any(|address| address == host)
    }
}
