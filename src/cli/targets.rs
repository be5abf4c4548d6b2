//! Which clusters a command is about.

use clap::Args;

use crate::config::ConfigError;
use crate::config::environment::Environment;
use crate::config::fleet::{Fleet, FleetRole};

use super::error::CliError;

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
    /// File that names the clusters, with their contexts, roles and values; `telectl.yaml` in the
    /// working directory if there is one. Flags beat it
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub fleet: Option<std::path::PathBuf>,
    /// File with the contexts; the current context is never used or changed
    /// [env: KUBECONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = HEADING)]
    pub kubeconfig: Option<String>,
}

impl TargetArgs {
    /// Refuses these flags for a command that goes through no cluster. One that a variable gives for
    /// all commands is not meant for this one.
    pub(super) fn refuse_typed(
        &self,
        command: &str,
        environment: &Environment,
    ) -> Result<(), CliError> {
        let typed = [
            (
                !self.edge_context.is_empty(),
                "-e/--edge-context",
                "TELECTL_EDGE_CONTEXT",
            ),
            (
                self.central_context.is_some(),
                "-c/--central-context",
                "TELECTL_CENTRAL_CONTEXT",
            ),
            (
                self.shared_context.is_some(),
                "-s/--shared-context",
                "TELECTL_SHARED_CONTEXT",
            ),
            (
                self.namespace.is_some(),
                "-n/--namespace",
                "TELECTL_NAMESPACE",
            ),
        ];
        let typed: Vec<&str> = typed
            .iter()
            .filter(|(given, _, variable)| *given && environment.get(variable).is_none())
            .map(|(_, flag, _)| *flag)
            .collect();
        if typed.is_empty() {
            return Ok(());
        }
        Err(CliError::usage(format!(
            "`telectl {command}` goes through no cluster, so it cannot heed {}",
            typed.join(", ")
        )))
    }
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
    /// The fleet file, if there is one.
    pub fleet: Option<Fleet>,
}

impl Targets {
    /// Whether no cluster is named.
    pub const fn is_empty(&self) -> bool {
        self.edges.is_empty() && self.central.is_none() && self.shared.is_none()
    }

    /// Flags beat the environment, which beats the fleet file.
    ///
    /// # Errors
    /// When there is a fleet file that cannot be used.
    pub fn resolve(flags: &TargetArgs, environment: &Environment) -> Result<Self, ConfigError> {
        let fleet = match &flags.fleet {
            Some(path) => Some(Fleet::open(path)?),
            None => Fleet::find(environment)?,
        };
        Ok(Self::with_fleet(flags, environment, fleet))
    }

    /// What the flags and the environment say, for commands that are about no cluster.
    pub fn without_fleet(flags: &TargetArgs, environment: &Environment) -> Self {
        Self::with_fleet(flags, environment, None)
    }

    fn with_fleet(flags: &TargetArgs, environment: &Environment, fleet: Option<Fleet>) -> Self {
        let of_role = |role| {
            let clusters = fleet.iter().flat_map(move |fleet| fleet.of_role(role));
            clusters.map(|cluster| cluster.context.clone())
        };
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
        if edges.is_empty() {
            edges.extend(of_role(FleetRole::Edge));
        }
        let mut seen = std::collections::BTreeSet::new();
        edges.retain(|context| !context.is_empty() && seen.insert(context.clone()));
        Self {
            edges,
            central: or_environment(&flags.central_context, "CENTRAL_CONTEXT")
                .or_else(|| of_role(FleetRole::Central).next())
                .or_else(|| of_role(FleetRole::SameCluster).next()),
            shared: or_environment(&flags.shared_context, "SHARED_CONTEXT")
                .or_else(|| of_role(FleetRole::Shared).next()),
            namespace: or_environment(&flags.namespace, "NAMESPACE"),
            kubeconfig: kubeconfig_files(flags.kubeconfig.as_deref(), environment),
            fleet,
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
        let from_environment = Targets::without_fleet(&TargetArgs::default(), &environment);
        assert_eq!(from_environment.edges, ["edge-a", "edge-b"]);
        assert_eq!(from_environment.central.as_deref(), Some("central-a"));
        assert_eq!(from_environment.namespace.as_deref(), Some("elsewhere"));
        assert_eq!(from_environment.kubeconfig.len(), 2);

        let flags = TargetArgs {
            edge_context: vec!["edge-c".to_owned()],
            central_context: Some("central-b".to_owned()),
            ..TargetArgs::default()
        };
        let resolved = Targets::without_fleet(&flags, &environment);
        assert_eq!(resolved.edges, ["edge-c"]);
        assert_eq!(resolved.central.as_deref(), Some("central-b"));
    }

    #[test]
    fn d19_the_fleet_file_names_clusters_where_neither_flags_nor_the_environment_do() {
        let text = "clusters:\n- {name: n, context: north, role: edge}\n- {name: s, context: south, \
                    role: edge}\n- {name: c, context: hub, role: central}\n";
        let fleet = Fleet::parse("telectl.yaml", text).unwrap();
        let resolved = |flags: &TargetArgs, environment: &Environment| {
            Targets::with_fleet(flags, environment, Some(fleet.clone()))
        };
        let nothing = resolved(&TargetArgs::default(), &Environment::default());
        assert_eq!(nothing.edges, ["north", "south"]);
        assert_eq!(nothing.central.as_deref(), Some("hub"));
        assert_eq!(nothing.shared, None);
        let environment = Environment::from([("CENTRAL_CONTEXT", "other")]);
        let flags = TargetArgs {
            edge_context: vec!["west".to_owned()],
            ..TargetArgs::default()
        };
        let both = resolved(&flags, &environment);
        assert_eq!(both.edges, ["west"]);
        assert_eq!(both.central.as_deref(), Some("other"));
    }
}
