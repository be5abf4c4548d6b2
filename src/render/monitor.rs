//! `ServiceMonitor`s: what the Prometheus operator reads. It is no kind of Kubernetes itself, so
//! its shape stands here, as far as it is used.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::SecretKeySelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::Resolved;
use crate::config::values::Values;
use crate::model::component::Component;

use super::labels::{self, Labels};

/// `monitoring.coreos.com/v1 ServiceMonitor`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceMonitor {
    api_version: ApiVersion,
    kind: Kind,
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Debug, Serialize, Deserialize)]
enum ApiVersion {
    #[serde(rename = "monitoring.coreos.com/v1")]
    V1,
}

#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    ServiceMonitor,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    selector: LabelSelector,
    target_labels: Vec<String>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    port: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<TlsConfig>,
    interval: String,
    scrape_timeout: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsConfig {
    ca: SecretOrConfigMap,
    /// The name that the certificate has to be for: a pod is asked at its address, which it does
    /// not name.
    server_name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct SecretOrConfigMap {
    secret: SecretKeySelector,
}

/// Whether a component is scraped: only the workers have metrics.
pub(super) fn is_scraped(values: &Values, component: Component) -> bool {
    let monitoring = &values.monitoring;
    monitoring.enabled
        && monitoring.service_monitor.enabled
        && Component::WORKERS.contains(&component)
}

/// What the template is filled with.
pub(super) fn view(resolved: &Resolved, component: Component, own: &Labels) -> Value {
    let monitor = &resolved.values.monitoring.service_monitor;
    let mut all: BTreeMap<String, String> = monitor.labels.clone();
    all.extend(own.clone());
    let tls = resolved.values.worker_tls(component);
    let service = labels::object_name(resolved, component);
    json!({
        "labels": all,
        "selector": labels::policy_selector(resolved, component),
        "scheme": tls.map(|_| "https"),
        "tlsConfig": tls.map(|tls| json!({
            "ca": { "secret": { "name": tls.existing_secret, "key": "ca.crt" } },
            "serverName": format!("{service}.{}.svc", resolved.namespace()),
        })),
        "interval": monitor.interval,
        "scrapeTimeout": monitor.scrape_timeout,
    })
}
