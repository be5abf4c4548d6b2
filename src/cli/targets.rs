//! Which clusters a command is about.

use clap::Args;

use crate::config::environment::Environment;

/// What the help puts above these flags.
pub(super) const HEADING: &str = "Clusters";

/// Flags that name clusters, as the script had them; accepted before and after the command.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetArgs {
    /// Context of an edge cluster; may be given several times [env: EDGE_CONTEXT]
    #[arg(short, long, global = true, value_name = "CONTEXT", help_heading = HEADING)]
    pub edge_context: Vec<String>,
    /// Context of the central cluster [env: CENTRAL_CONTEXT]
    #[arg(short, long, global = true, value_name = "CONTEXT", help_heading = HEADING)]
    pub central_context: Option<String>,
    /// Context of the cluster with Redis and etcd; the central one if not given
    /// [env: SHARED_CONTEXT]
    #[arg(short, long, global = true, value_name = "CONTEXT", help_heading = HEADING)]
    pub shared_context: Option<String>,
    /// Namespace of the workers [env: NAMESPACE]
    #[arg(short, long, global = true, value_name = "NAME", help_heading = HEADING)]
    pub namespace: Option<String>,
    /// File with the contexts; the current context is never used or changed
    /// [env: KUBECONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub kubeconfig: Option<String>,
}

/// The clusters of a command, after the environment was asked for what the flags leave open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Contexts of the edge clusters, without repetition.
    pub edges: Vec<String>,
    /// Context of the central cluster.
    pub central: Option<String>,
    /// Context of the shared cluster, if it is one of its own.
    pub shared: Option<String>,
    /// Namespace of the workers, if it is not the profile's.
    pub namespace: Option<String>,
    /// Files with the contexts, in order.
    pub kubeconfig: Vec<std::path::PathBuf>,
}

impl Targets {
    /// Whether no cluster is named.
    pub const fn is_empty(&self) -> bool {
        self.edges.is_empty() && self.central.is_none() && self.shared.is_none()
    }

    /// Flags beat the environment.
    pub fn resolve(flags: &TargetArgs, environment: &Environment) -> Self {
        let or_environment = |flag: &Option<String>, name| {
            flag.clone()
                .or_else(|| environment.get(name).map(str::to_owned))
        };
        let mut edges = flags.edge_context.clone();
        if edges.is_empty() {
            edges.extend(
                environment
                    .get("EDGE_CONTEXT")
                    .into_iter()
                    .flat_map(|list| list.split(','))
                    .map(|context| context.trim().to_owned()),
            );
        }
        let mut seen = std::collections::BTreeSet::new();
        edges.retain(|context| !context.is_empty() && seen.insert(context.clone()));
        Self {
            edges,
            central: or_environment(&flags.central_context, "CENTRAL_CONTEXT"),
            shared: or_environment(&flags.shared_context, "SHARED_CONTEXT"),
            namespace: or_environment(&flags.namespace, "NAMESPACE"),
            kubeconfig: kubeconfig_files(flags.kubeconfig.as_deref(), environment),
        }
    }
}

fn kubeconfig_files(flag: Option<&str>, environment: &Environment) -> Vec<std::path::PathBuf> {
    if let Some(file) = flag {
        return vec![file.into()];
    }
    if let Some(list) = environment.get("KUBECONFIG") {
        return list
            .split(':')
            .filter(|file| !file.is_empty())
            .map(Into::into)
            .collect();
    }
    environment
        .get("HOME")
        .map(|home| std::path::Path::new(home).join(".kube/config"))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d08_flags_beat_the_environment() {
        let environment = Environment::from([
            ("EDGE_CONTEXT", "edge-a, edge-b,edge-a"),
            ("CENTRAL_CONTEXT", "central-a"),
            ("NAMESPACE", "elsewhere"),
            ("KUBECONFIG", "/a:/b"),
        ]);
        let from_environment = Targets::resolve(&TargetArgs::default(), &environment);
        assert_eq!(from_environment.edges, ["edge-a", "edge-b"]);
        assert_eq!(from_environment.central.as_deref(), Some("central-a"));
        assert_eq!(from_environment.namespace.as_deref(), Some("elsewhere"));
        assert_eq!(from_environment.kubeconfig.len(), 2);

        let flags = TargetArgs {
            edge_context: vec!["edge-c".to_owned()],
            central_context: Some("central-b".to_owned()),
            ..TargetArgs::default()
        };
        let resolved = Targets::resolve(&flags, &environment);
        assert_eq!(resolved.edges, ["edge-c"]);
        assert_eq!(resolved.central.as_deref(), Some("central-b"));
    }
}
