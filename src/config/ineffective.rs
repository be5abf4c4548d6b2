//! Keys that have no effect, and why: those of the original chart that nothing here reads, and
//! those that others overrule. They are accepted; each is reported.

use super::error::Warning;
use super::key_path::KeyPath;
use super::layer::Merged;
use super::source::Source;
use super::values::{AutoscalingOverride, Values};

const RESTRICTED: &str = "the restricted security context is always applied";
const NEXUS: &str = "the chart's second generation; use streamer, collector and apiGateway";

/// Paths (with everything below them) and why they have no effect.
const KEYS: &[(&str, &str)] = &[
    ("rbac", "the workers never call the Kubernetes API"),
    ("fullnameOverride", "use nameOverride"),
    ("securityContext", RESTRICTED),
    ("podSecurityContext.runAsNonRoot", RESTRICTED),
    (
        "streamer.config.csvSource.refreshInterval",
        "sources have fixed content",
    ),
    (
        "collector.config.bufferSize",
        "memory is bounded by collector.config.batchSize",
    ),
    (
        "apiGateway.service.targetPort",
        "the Service always finds the container's port",
    ),
    (
        "postgresql.auth.postgresPassword",
        "the one user is postgresql.auth.username",
    ),
    (
        "postgresql.primary.initdb",
        "the collectors make and migrate the schema",
    ),
    (
        "monitoring.serviceMonitor.namespace",
        "it is in the workload's namespace: let serviceMonitorNamespaceSelector of Prometheus \
         select that",
    ),
    ("extraManifests", "apply them yourself"),
    ("csvData", "use streamer.config.csvSource"),
    (
        "etcd.replicaCount",
        "the deployed etcd has one member; use etcd.endpoints for another",
    ),
    (
        "etcd.auth.rbac",
        "use etcd.auth.enabled for endpoints elsewhere; the deployed etcd takes the certificate of \
         etcd.tls.clientSecret",
    ),
    ("nexusStreamer", NEXUS),
    ("nexusCollector", NEXUS),
    ("nexusGateway", NEXUS),
    ("config", NEXUS),
    ("secrets", NEXUS),
    ("dev", NEXUS),
    (
        "networkPolicy.policyTypes",
        "every policy has the types that its rules need",
    ),
];

/// Every key that has no effect, and why it has none.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().copied()
}

/// The key that has no effect and covers `path`, and why it has none.
pub(super) fn reason(path: &KeyPath) -> Option<(&'static str, &'static str)> {
    KEYS.iter()
        .find(|(key, _)| path.is_within(&KeyPath::from(*key)))
        .copied()
}

/// Counts of replicas that somebody chose although an autoscaler decides about them.
pub(super) fn overruled(values: &Values, merged: &Merged) -> Vec<Warning> {
    let worker = |key: &str, enabled: bool, count: u32, own: &AutoscalingOverride| {
        let scaling = values.autoscaling.overridden(own);
        // A count that is the autoscaler's own lower bound is what there will be.
        if !enabled || !scaling.enabled || count == scaling.min_replicas {
            return None;
        }
        let chosen = format!("{key}.replicaCount");
        let place = merged.place_of(&KeyPath::from(chosen.as_str()))?;
        // What telectl brings with it is not news to anybody.
        if matches!(place.source, Source::BuiltIn | Source::Profile(_)) {
            return None;
        }
        let (fewest, most) = (scaling.min_replicas, scaling.max_replicas);
        Some(Warning::Ineffective {
            why: format!(
                "while the autoscaler is on, it keeps between {fewest} and {most} pods; set \
                 `{key}.autoscaling.minReplicas`, or `{key}.autoscaling.enabled=false`"
            ),
            key: chosen,
            place: place.clone(),
        })
    };
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    let found = [
        worker(
            "streamer",
            streamer.enabled,
            streamer.replica_count,
            &streamer.autoscaling,
        ),
        worker(
            "collector",
            collector.enabled,
            collector.replica_count,
            &collector.autoscaling,
        ),
        worker(
            "apiGateway",
            gateway.enabled,
            gateway.replica_count,
            &gateway.autoscaling,
        ),
    ];
    found.into_iter().flatten().collect()
}
