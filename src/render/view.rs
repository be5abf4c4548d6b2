//! What the templates are filled with. Every field is always there, so that every path in a
//! template can be checked; null is left out by Kubernetes' types.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::Resolved;
use crate::config::quantity::Quantity;
use crate::config::values::{
    Advertise, Autoscaling, Budget, Persistence, Resources, Service, Texts, Values, Worker,
};
use crate::model::component::Component;

use super::images;
use super::ingress;
use super::labels::{self, Labels};
use super::policies::Rules;

/// Longest time for a worker to stop in, and what Kubernetes grants it.
const SHUTDOWN_GRACE_SECONDS: u32 = 25;
const TERMINATION_GRACE_SECONDS: u32 = 35;
/// Where a worker finds its certificate and key.
const TLS_FOLDER: &str = "/etc/telectl/tls";

/// An object's metadata.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ObjectView {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) annotations: Option<Texts>,
}

/// A component, as all templates see it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ComponentView {
    pub(super) workload_kind: &'static str,
    pub(super) selector: Labels,
    pub(super) policy_selector: Labels,
    pub(super) pod_labels: Labels,
    pub(super) pod_annotations: Option<Texts>,
    pub(super) image: String,
    pub(super) pull_policy: Value,
    pub(super) pull_secrets: Option<Vec<Value>>,
    pub(super) service_account: String,
    pub(super) service_account_annotations: Option<Texts>,
    pub(super) user: i64,
    pub(super) group: i64,
    pub(super) replicas: u32,
    pub(super) resources: Value,
    pub(super) node_selector: Option<Texts>,
    pub(super) tolerations: Option<Vec<Value>>,
    pub(super) affinity: Option<Map<String, Value>>,
    pub(super) port: u16,
    pub(super) port_name: &'static str,
    pub(super) probe_scheme: Option<&'static str>,
    pub(super) termination_grace: u32,
    pub(super) service: Value,
    pub(super) scaling: Value,
    pub(super) budget: Value,
    pub(super) volume: VolumeView,
    pub(super) files: Texts,
    pub(super) ingress: Vec<Value>,
    pub(super) egress: Vec<Value>,
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeView {
    pub(super) persistent: bool,
    pub(super) size: String,
    pub(super) storage_class: Option<String>,
}

impl VolumeView {
    pub(super) fn new(persistence: &Persistence) -> Self {
        Self {
            persistent: persistence.enabled,
            size: canonical(&persistence.size),
            storage_class: non_empty(&persistence.storage_class),
        }
    }
}

/// What a worker is told about itself.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IdentityView {
    cluster_id: String,
    id_variable: &'static str,
    service_address: String,
    external_service_address: String,
    scheme: String,
    advertised_port: String,
    listen_port: String,
    tls_folder: &'static str,
    tls_secret: String,
    log_level: String,
    shutdown_grace: String,
}

impl IdentityView {
    pub(super) fn new(
        resolved: &Resolved,
        component: Component,
        (advertise, service): (&Advertise, &Service),
        log_level: &str,
    ) -> Self {
        let listen_port = listen_port(&resolved.values, component);
        let ingress = ingress::of(&resolved.values, component);
        let outside = ingress::outside(advertise, ingress, service, listen_port);
        let tls = resolved.values.worker_tls(component);
        Self {
            cluster_id: resolved.cluster_id().to_owned(),
            id_variable: match component {
                Component::Streamer => "STREAMER_ID",
                Component::Collector => "COLLECTOR_ID",
                _ => "GATEWAY_ID",
            },
            service_address: advertise.service_address.clone(),
            external_service_address: outside.address,
            scheme: outside.scheme,
            advertised_port: outside.port.to_string(),
            listen_port: listen_port.to_string(),
            tls_folder: tls.map_or("", |_| TLS_FOLDER),
            tls_secret: tls.map_or_else(String::new, |tls| tls.existing_secret.clone()),
            log_level: log_level.to_owned(),
            shutdown_grace: format!("{SHUTDOWN_GRACE_SECONDS}s"),
        }
    }
}

/// The port that a component's container listens on.
pub(super) const fn listen_port(values: &Values, component: Component) -> u16 {
    match component {
        Component::ApiGateway => values.api_gateway.config.port,
        other => other.default_port(),
    }
}

/// What differs between the components, whatever their kind.
pub(super) struct Parts<'a> {
    pub(super) component: Component,
    pub(super) image: String,
    pub(super) version: String,
    pub(super) pull_policy: Value,
    pub(super) user: (i64, i64),
    pub(super) service: &'a Service,
    pub(super) resources: &'a Resources,
    pub(super) placement: (&'a Texts, &'a [Value], &'a Map<String, Value>),
    pub(super) pod_labels: Texts,
    pub(super) pod_annotations: Texts,
    pub(super) volume: VolumeView,
    pub(super) scaling: Option<(Autoscaling, Budget, u32)>,
}

impl<'a> Parts<'a> {
    /// The parts of a worker.
    pub(super) fn of_worker<C>(
        values: &'a Values,
        component: Component,
        worker: &'a Worker<C>,
        volume: VolumeView,
    ) -> Self {
        let scaling = values.autoscaling.overridden(&worker.autoscaling);
        let budget = values
            .pod_disruption_budget
            .overridden(&worker.pod_disruption_budget);
        let replicas = if scaling.enabled {
            worker.replica_count.max(scaling.min_replicas)
        } else {
            worker.replica_count
        };
        let policy = worker.image.pull_policy.unwrap_or(values.image.pull_policy);
        let security = &values.pod_security_context;
        Self {
            component,
            image: images::worker(values, &worker.image),
            version: images::worker_tag(values, &worker.image).to_owned(),
            pull_policy: json!(policy),
            user: (security.run_as_user, security.fs_group),
            service: &worker.service,
            resources: &worker.resources,
            placement: (&worker.node_selector, &worker.tolerations, &worker.affinity),
            pod_labels: worker.pod_labels.clone(),
            pod_annotations: worker.pod_annotations.clone(),
            volume,
            scaling: Some((scaling, budget, replicas)),
        }
    }

    /// The metadata of the component's objects.
    pub(super) fn object(&self, resolved: &Resolved) -> ObjectView {
        ObjectView {
            name: labels::object_name(resolved, self.component),
            namespace: resolved.namespace().to_owned(),
            labels: labels::object(resolved, self.component),
            annotations: filled(resolved.values.common_annotations.clone()),
        }
    }

    /// The component, as all templates see it.
    pub(super) fn view(self, resolved: &Resolved, rules: Rules, files: Texts) -> ComponentView {
        let values = &resolved.values;
        let component = self.component;
        let mut pod_labels = self.pod_labels;
        pod_labels.extend(labels::object(resolved, component));
        pod_labels.insert(
            labels::VERSION.to_owned(),
            labels::label_text(&self.version),
        );
        pod_labels.insert(labels::SERVING.to_owned(), "true".to_owned());
        let mut pod_annotations = values.common_annotations.clone();
        pod_annotations.extend(self.pod_annotations);
        let (node_selector, tolerations, affinity) = self.placement;
        let is_worker = Component::WORKERS.contains(&component);
        let (scaling, budget, replicas) = match &self.scaling {
            Some((scaling, budget, replicas)) => {
                (autoscaler(scaling), disruption(budget), *replicas)
            }
            None => (Value::Null, Value::Null, 1),
        };
        ComponentView {
            workload_kind: workload_kind(component),
            selector: labels::selector(resolved, component),
            policy_selector: labels::policy_selector(resolved, component),
            pod_labels,
            pod_annotations: filled(pod_annotations),
            image: self.image,
            pull_policy: self.pull_policy,
            pull_secrets: pull_secrets(values),
            service_account: service_account(resolved, component),
            service_account_annotations: annotations(
                values,
                is_worker.then_some(&values.service_account.annotations),
            ),
            user: self.user.0,
            group: self.user.1,
            replicas,
            resources: resources(self.resources),
            node_selector: filled(node_selector.clone()),
            tolerations: (!tolerations.is_empty()).then(|| tolerations.to_vec()),
            affinity: (!affinity.is_empty()).then(|| affinity.clone()),
            port: listen_port(values, component),
            port_name: port_name(component),
            probe_scheme: values.worker_tls(component).map(|_| "HTTPS"),
            termination_grace: TERMINATION_GRACE_SECONDS,
            service: service(values, self.service),
            scaling,
            budget,
            volume: self.volume,
            files,
            ingress: rules.ingress,
            egress: rules.egress,
        }
    }
}

/// The kind of object that runs a component's pods.
pub(super) const fn workload_kind(component: Component) -> &'static str {
    match component {
        Component::Collector | Component::ApiGateway => "Deployment",
        Component::Streamer | Component::Redis | Component::Postgresql | Component::Etcd => {
            "StatefulSet"
        }
    }
}

pub(super) const fn port_name(component: Component) -> &'static str {
    match component {
        Component::Streamer | Component::Collector | Component::ApiGateway => "http",
        server => server.name(),
    }
}

/// The account of a component's pods.
pub(super) fn service_account(resolved: &Resolved, component: Component) -> String {
    let chosen = &resolved.values.service_account.name;
    if Component::WORKERS.contains(&component) && !chosen.is_empty() {
        return chosen.clone();
    }
    labels::object_name(resolved, component)
}

pub(super) fn pull_secrets(values: &Values) -> Option<Vec<Value>> {
    let names = &values.global.image_pull_secrets;
    (!names.is_empty()).then(|| names.iter().map(|name| json!({ "name": name })).collect())
}

fn service(values: &Values, service: &Service) -> Value {
    json!({
        "type": service.kind,
        "port": service.port,
        "nodePort": service.node_port.filter(|_| service.kind.is_external()),
        "annotations": annotations(values, Some(&service.annotations)),
    })
}

/// The annotations of every object and an object's own.
pub(super) fn annotations(values: &Values, own: Option<&Texts>) -> Option<Texts> {
    let mut all = values.common_annotations.clone();
    all.extend(own.cloned().unwrap_or_default());
    filled(all)
}

fn autoscaler(scaling: &Autoscaling) -> Value {
    let metric = |resource: &str, target: Option<u32>| {
        target.map(|percent| {
            json!({
                "type": "Resource",
                "resource": {
                    "name": resource,
                    "target": { "type": "Utilization", "averageUtilization": percent },
                },
            })
        })
    };
    let metrics: Vec<Value> = metric("cpu", scaling.target_cpu)
        .into_iter()
        .chain(metric("memory", scaling.target_memory))
        .collect();
    json!({
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": metrics,
        "behavior": (!scaling.behavior.is_empty()).then_some(&scaling.behavior),
    })
}

fn disruption(budget: &Budget) -> Value {
    let number = |count: &Option<IntOrString>| match count {
        Some(IntOrString::Int(number)) => json!(number),
        Some(IntOrString::String(percent)) => json!(percent),
        None => Value::Null,
    };
    json!({
        "minAvailable": number(&budget.min_available),
        "maxUnavailable": number(&budget.max_unavailable),
    })
}

pub(super) fn resources(resources: &Resources) -> Value {
    let quantities = |texts: &Texts| -> Option<Texts> {
        filled(
            texts
                .iter()
                .map(|(name, text)| (name.clone(), canonical(text)))
                .collect(),
        )
    };
    json!({
        "limits": quantities(&resources.limits),
        "requests": quantities(&resources.requests),
    })
}

/// A quantity as Kubernetes writes it back, so that reading it back shows no difference.
pub(super) fn canonical(text: &str) -> String {
    Quantity::parse(text).map_or_else(|| text.to_owned(), Quantity::canonical)
}

/// `None` instead of an empty map.
pub(super) fn filled(texts: Texts) -> Option<Texts> {
    (!texts.is_empty()).then_some(texts)
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
