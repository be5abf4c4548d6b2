//! Which profile goes to which cluster, in which order. Pure.

use crate::model::profile::Profile;

/// One profile in one namespace of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stage {
    /// The profile.
    pub profile: Profile,
    /// The context of the cluster.
    pub context: String,
    /// The namespace.
    pub namespace: String,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} on {}", self.profile, self.context)
    }
}

/// Where Redis and etcd are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Infrastructure {
    /// The shared profile goes to this context.
    Deployed(String),
    /// Somebody else runs them.
    External,
}

/// Two stages that must not share a cluster, or a stage that is missing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// One cluster (or one namespace of it) in two roles.
    #[error(
        "contexts `{first}` and `{second}` lead to the same cluster ({uid}), namespace {namespace}"
    )]
    SameCluster {
        /// A context.
        first: String,
        /// The other.
        second: String,
        /// UID of the cluster's kube-system namespace.
        uid: String,
        /// The namespace that both would write to.
        namespace: String,
    },
}

/// The stages of a deployment over several clusters: shared, then central, then the edges.
pub fn across(
    infrastructure: &Infrastructure,
    central: &str,
    edges: &[String],
    namespace: Option<&str>,
) -> Vec<Stage> {
    let stage = |profile: Profile, context: &str| Stage {
        profile,
        context: context.to_owned(),
        namespace: match (profile, namespace) {
            (Profile::Shared, _) | (_, None) => profile.default_namespace().to_owned(),
            (_, Some(namespace)) => namespace.to_owned(),
        },
    };
    let mut stages = Vec::new();
    if let Infrastructure::Deployed(context) = infrastructure {
        stages.push(stage(Profile::Shared, context));
    }
    stages.push(stage(Profile::Central, central));
    stages.extend(edges.iter().map(|edge| stage(Profile::Edge, edge)));
    stages
}

/// Refuses stages that would write into each other: the same namespace of the same cluster.
/// `identity` gives the UID of a context's cluster.
///
/// # Errors
/// [`LayoutError::SameCluster`].
pub fn check_identities(
    stages: &[Stage],
    identity: impl Fn(&str) -> String,
) -> Result<(), LayoutError> {
    for (index, second) in stages.iter().enumerate() {
        for first in &stages[..index] {
            let uid = identity(&second.context);
            if first.namespace == second.namespace && identity(&first.context) == uid {
                return Err(LayoutError::SameCluster {
                    first: first.context.clone(),
                    second: second.context.clone(),
                    uid,
                    namespace: second.namespace.clone(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d05_shared_comes_first_then_central_then_the_edges() {
        let edges = ["edge".to_owned(), "edge-2".to_owned()];
        let infrastructure = Infrastructure::Deployed("central".to_owned());
        let stages = across(&infrastructure, "central", &edges, None);
        let shown: Vec<String> = stages
            .iter()
            .map(|stage| format!("{stage}/{}", stage.namespace))
            .collect();
        assert_eq!(
            shown,
            [
                "shared on central/shared-infrastructure",
                "central on central/telemetry-system",
                "edge on edge/telemetry-system",
                "edge on edge-2/telemetry-system",
            ]
        );
        let external = across(
            &Infrastructure::External,
            "central",
            &edges[..1],
            Some("elsewhere"),
        );
        assert_eq!(external.len(), 2);
        assert_eq!(external[0].namespace, "elsewhere");
    }

    #[test]
    fn one_cluster_under_two_contexts_is_refused() {
        let infrastructure = Infrastructure::Deployed("central".to_owned());
        let stages = across(&infrastructure, "central", &["edge".to_owned()], None);
        assert_eq!(check_identities(&stages, str::to_owned), Ok(()));
        let error = check_identities(&stages, |_| "one-uid".to_owned()).unwrap_err();
        assert!(
            error.to_string().contains("`central` and `edge`"),
            "{error}"
        );
    }
}
