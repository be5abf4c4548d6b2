//! Keys of the original chart that have no effect here, and why. A values file that has them is
//! accepted; each is reported.

use super::key_path::KeyPath;

const NOT_YET: &str = "telectl does not render this yet";
const RESTRICTED: &str = "the restricted security context is always applied";
const NEXUS: &str = "the chart's second generation; use streamer, collector and apiGateway";

/// Paths (with everything below them) and why they have no effect.
const KEYS: &[(&str, &str)] = &[
    ("rbac", "the workers never call the Kubernetes API"),
    ("fullnameOverride", "use nameOverride"),
    ("securityContext", RESTRICTED),
    ("podSecurityContext.runAsNonRoot", RESTRICTED),
    (
        "streamer.config.csvSource.url",
        "download into a claimed volume and use type pvc",
    ),
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
    ("apiGateway.ingress", NOT_YET),
    (
        "postgresql.auth.postgresPassword",
        "the one user is postgresql.auth.username",
    ),
    (
        "postgresql.primary.initdb",
        "the collectors make and migrate the schema",
    ),
    (
        "redis.architecture",
        "the deployed Redis is standalone; use externalRedis for another",
    ),
    (
        "externalRedis.tls.skipVerify",
        "certificates are always verified: give caCert or caSecret",
    ),
    ("monitoring", NOT_YET),
    ("extraManifests", "apply them yourself"),
    ("csvData", "use streamer.config.csvSource"),
    ("backup", NOT_YET),
    (
        "etcd.replicaCount",
        "the deployed etcd has one member; use etcd.endpoints for another",
    ),
    (
        "etcd.auth",
        "clients log in with the certificate of etcd.tls.clientSecret",
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

/// The key that has no effect and covers `path`, and why it has none.
pub(super) fn reason(path: &KeyPath) -> Option<(&'static str, &'static str)> {
    KEYS.iter()
        .find(|(key, _)| path.is_within(&KeyPath::from(*key)))
        .copied()
}
