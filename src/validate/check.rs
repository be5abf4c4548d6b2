//! The catalogue of checks: what each is, and what `telectl explain` says about it.

use std::fmt;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Clusters, workloads and Services are what they should be.
    Deployment,
    /// Pods reach what they depend on.
    Connectivity,
    /// Workers say that they are well.
    Health,
    /// Registrations and live pods agree.
    Registry,
}

impl Category {
    /// The category as it stands in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Connectivity => "connectivity",
            Self::Health => "health",
            Self::Registry => "registry",
        }
    }
}

/// One check of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckInfo {
    /// Never changes and is never used again.
    pub id: &'static str,
    /// What it is about.
    pub category: Category,
    /// In a few words.
    pub title: &'static str,
    /// What it does, what a failure means, how far it can be trusted.
    pub explanation: &'static str,
}

impl fmt::Display for CheckInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id)
    }
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $category:ident, $title:literal, $explanation:literal;)*) => {
        $($(#[$doc])* pub static $name: CheckInfo = CheckInfo {
            id: $id,
            category: Category::$category,
            title: $title,
            explanation: $explanation,
        };)*

        /// Every check, in the order in which findings are shown.
        pub static CATALOGUE: &[&CheckInfo] = &[$(&$name),*];
    };
}

catalogue! {
    /// The API server answers.
    API_SERVER = "TEL-API-001", Deployment, "API server answers",
        "Asks the cluster's API server for its version. Everything else about a cluster is read \
         through it, so the other checks of a cluster are skipped while it fails.";
    /// Objects can be read.
    API_READ = "TEL-API-002", Deployment, "objects can be read",
        "Lists workloads, pods, Services, EndpointSlices, NetworkPolicies and autoscalers. What \
         could not be read is unknown and not absent: the checks that need it are skipped. That is \
         a failure where a component that has to be there could not be looked for.";
    /// Pods of a component are ready.
    WORKLOAD_READY = "TEL-WRK-001", Deployment, "component exists and its pods are ready",
        "Compares the replicas that a workload asks for with its ready pods. No workload, or no \
         pod at all, is a failure: nothing there is not the same as nothing wrong. So is a workload \
         that telectl's record of the deployment lists and that is gone.";
    /// All workers belong to one pipeline.
    ONE_PIPELINE = "TEL-WRK-002", Deployment, "workers belong to one pipeline",
        "Compares the variable PIPELINE of the workers in all clusters: it names the streams in \
         Redis, and streamers and collectors of two names never meet, although each of them is well.";
    /// A Service has endpoints.
    SERVICE_ENDPOINTS = "TEL-SVC-001", Deployment, "Service has endpoints",
        "Reads the EndpointSlices of a Service. Without a ready address, connections to it are \
         refused or time out, whatever the pods are doing.";
    /// The probe ran.
    PROBE_RAN = "TEL-PRB-001", Connectivity, "probe runs in the workload's place",
        "Starts a Job made from the workload's pod template: same image, service account, \
         variables, Secrets and network policies. If its pod cannot start, neither can the \
         workload's next one. The Job is deleted afterwards, whatever happens.";
    /// The cluster's name resolution works for the pod.
    CLUSTER_DNS = "TEL-DNS-001", Connectivity, "cluster DNS answers",
        "Asks the name servers in the pod's resolv.conf for kubernetes.default.svc. Targets that \
         are given by name are skipped while it fails.";
    /// Redis works for the pod.
    REDIS = "TEL-RED-001", Connectivity, "Redis answers and takes entries",
        "From the pod's position: name, TCP, TLS, login, PING, a server that is no replica, and \
         the right to see the pipeline's streams. Nothing is written.";
    /// PostgreSQL works for the pod.
    POSTGRESQL = "TEL-PGS-001", Connectivity, "PostgreSQL answers and takes writes",
        "From the pod's position: name, TCP, TLS as DB_SSL_MODE says, login, SELECT 1, and a \
         server that is no standby. Nothing is written.";
    /// etcd works for the pod.
    ETCD = "TEL-ETC-001", Connectivity, "etcd answers",
        "From the pod's position: name, TCP, TLS, login, a leader, and a read of the \
         registrations, which needs a quorum. Workers go on without etcd, unseen by others.";
    /// A certificate has enough days left.
    CERTIFICATE = "TEL-TLS-001", Connectivity, "server certificate stays valid",
        "Days until the certificate that the server showed expires: a warning below 15 days, a \
         failure below 7. Deploying signs telectl's own anew once they have less than 30 days left.";
    /// A worker says that it is well.
    HEALTH = "TEL-HLT-001", Health, "worker is healthy",
        "Asks every worker pod for /health through the API server and looks at the body's status \
         and not only at the code. What a probe has already found is not said again. \
         Without leave to ask pods (pods/proxy) nothing is known, which is a warning.";
    /// The gateway's API answers.
    GATEWAY_API = "TEL-GWY-001", Health, "API endpoints answer",
        "Asks a ready gateway pod for /api/v1/health, /api/v1/gpus and /api/v1/stats through the \
         API server. An answer that asks for a token counts as an answer.";
    /// Every ready worker is registered.
    UNREGISTERED = "TEL-REG-001", Registry, "ready workers are registered",
        "Joins the registrations that a probe read from etcd with the ready pods of all clusters. \
         A worker that is ready and not registered is not found by others.";
    /// Every registration has a worker.
    STALE = "TEL-REG-002", Registry, "registrations have a live worker",
        "A registration whose pod is gone is a zombie until its lease ends (15 s unless \
         configured); one without a lease stays for ever. Only registrations of the namespaces that \
         are looked at count.";
    /// A registration says the truth.
    WRONG_ADDRESS = "TEL-REG-003", Registry, "registrations lead to their worker",
        "Compares cluster and address of a registration with the pod and its Service. An address \
         for other clusters must be one that a pod there can reach.";
    /// Another cluster reaches what is registered.
    REACHABLE = "TEL-REG-004", Registry, "registered address is reachable from the other cluster",
        "Asks for /health at every registered address that lies outside its own cluster's pod \
         network, from a pod of another cluster. An address that does not answer is not judged \
         while its cluster's API server does not answer either: its worker may be gone.";
}

/// The check with this id.
pub fn find(id: &str) -> Option<&'static CheckInfo> {
    CATALOGUE
        .iter()
        .find(|check| check.id.eq_ignore_ascii_case(id))
        .copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn v19_ids_are_unique_well_formed_and_documented() {
        let ids: BTreeSet<&str> = CATALOGUE.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), CATALOGUE.len(), "an id is used twice");
        for check in CATALOGUE {
            let parts: Vec<&str> = check.id.split('-').collect();
            assert!(
                matches!(parts[..], ["TEL", area, number] if area.len() == 3 && number.len() == 3),
                "{check} is no id"
            );
            assert!(check.explanation.len() > 80, "{check} is not documented");
            assert!(check.explanation.ends_with('.'), "{check}");
            assert_eq!(find(&check.id.to_lowercase()), Some(*check));
        }
    }
}
