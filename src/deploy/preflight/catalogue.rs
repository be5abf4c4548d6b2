//! The catalogue of what is looked at before anything is written.

use std::fmt;

/// One thing that is looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Never changes and is never used again.
    pub id: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What it does, what an error means, how far it can be trusted.
    pub explanation: &'static str,
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id)
    }
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $title:literal, $explanation:literal;)*) => {
        $($(#[$doc])* pub static $name: Check = Check {
            id: $id,
            title: $title,
            explanation: $explanation,
        };)*

        /// Every check, in the order of their ids.
        pub static CATALOGUE: &[&Check] = &[$(&$name),*];
    };
}

catalogue! {
    /// The API server answers.
    REACHABLE = "TEL-PRE-001", "cluster can be reached",
        "Asks each API server for its version, at the same time. A server that does not answer, or \
         does not accept the user, is an error.";
    /// The version is one that telectl knows.
    VERSION = "TEL-PRE-002", "Kubernetes version is known",
        "Warns of API servers outside of Kubernetes 1.29 to 1.36, and of clusters that are more \
         than two minor versions apart.";
    /// The clocks agree.
    CLOCK = "TEL-PRE-003", "clocks agree",
        "Compares the time of the API server's answer (whole seconds) with the middle between \
         question and answer here. A warning above 5 s, an error above 10 s: a lock of 30 s that is \
         renewed every 10 s looks expired to machines whose clocks are 20 s apart, and a fresh \
         certificate is not valid yet where the clock is behind.";
    /// The user may do what the run does.
    PERMISSION = "TEL-PRE-004", "user may do what the run does",
        "Asks the API server for exactly the verbs on exactly the kinds and namespaces that the run \
         uses; `telectl rbac` prints Roles from the same table. What is only looked at (nodes, \
         storage classes) is a warning.";
    /// The kinds are served.
    KINDS = "TEL-PRE-005", "kinds are served",
        "Every API group and version that is rendered has to be served. A missing one of \
         Kubernetes' own means that the cluster is too old or has it switched off, another one that \
         its CustomResourceDefinition is not installed.";
    /// Secrets that no stage of the run makes exist.
    SECRETS = "TEL-PRE-006", "Secrets that must exist do",
        "What telectl does not make has to exist with all its keys: a Secret that the values name, \
         and the passwords and certificates towards servers that no stage of the run deploys. Its \
         contents are not looked at.";
    /// Volumes find a storage class.
    STORAGE = "TEL-PRE-007", "volumes have a StorageClass",
        "Volumes that are still to be made need a StorageClass of that name, or a default one.";
    /// Pods find a node.
    PLACEMENT = "TEL-PRE-008", "pods have a node",
        "Warns where no Ready, schedulable node has the labels that a pod selects, tolerated taints \
         only, or enough processor and memory for one pod. Nodes may still come: autoscalers.";
    /// All pods together find room.
    CAPACITY = "TEL-PRE-009", "requests fit what is free",
        "Adds up what all pods of a first deployment ask for and compares it with what the usable \
         nodes have left. Whether each pod finds a node of its own is not simulated.";
    /// Load balancers get addresses.
    LOAD_BALANCER = "TEL-PRE-010", "load balancers get an address",
        "Warns if a Service of type LoadBalancer is to be made where no such Service has an address \
         and nothing hints at a controller that gives one: a cloud's nodes, or a pod of a known one.";
    /// Images can be pulled.
    IMAGES = "TEL-PRE-011", "images can be pulled",
        "A pull secret that is named has to exist. With imagePullPolicy Never the image has to be on \
         a usable node. What is on a usable node counts as pullable; other registries are not asked, \
         which the JSON form says.";
    /// Pod Security admits the pods.
    POD_SECURITY = "TEL-PRE-012", "Pod Security admits the pods",
        "Compares the pods with the level that the existing namespace enforces by its label. A dry \
         run does not: it admits a workload whose pods are refused later.";
    /// Quota and limits admit the pods.
    LIMITS = "TEL-PRE-013", "quota and limits admit the pods",
        "Compares what all pods together ask for with the ResourceQuotas of the existing namespace \
         that are not telectl's, and each container with its LimitRanges. Quotas with scopes are not \
         judged. A dry run does not see this.";
    /// One version runs everywhere.
    ONE_VERSION = "TEL-PRE-014", "one version runs in all clusters",
        "The workers of all clusters have to run one tag or digest. A run that would give them \
         different ones is refused; one that leaves another cluster behind is warned of.";
}

/// The check with this id.
pub fn find(id: &str) -> Option<&'static Check> {
    CATALOGUE
        .iter()
        .find(|check| check.id.eq_ignore_ascii_case(id))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d13_ids_count_up_and_are_documented() {
        for (index, check) in CATALOGUE.iter().enumerate() {
            assert_eq!(check.id, format!("TEL-PRE-{:03}", index + 1));
            assert!(check.explanation.len() > 80, "{check} is not documented");
            assert!(check.explanation.ends_with('.'), "{check}");
            assert_eq!(find(&check.id.to_lowercase()), Some(*check));
        }
    }
}
