//! The clusters that `validate` and `status` look at, by role.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::cluster::kubeconfig::Contexts;
use crate::model::profile::Profile;
use crate::validate::Site;
use crate::validate::facts::Role;

use super::error::CliError;
use super::targets::Targets;

/// A context, its roles and the namespaces to look at there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    context: String,
    roles: BTreeSet<Role>,
    namespaces: Vec<String>,
}

/// The clusters, and the roles for which none was given. Nothing is sent yet.
pub(super) async fn sites(targets: &Targets) -> Result<(Vec<Site>, Vec<Role>), CliError> {
    let wanted = wanted(targets);
    if wanted.is_empty() {
        return Err(CliError::usage("no cluster is given").hint(
            "--edge-context and --central-context name contexts of the kubeconfig; one is enough",
        ));
    }
    let contexts = Contexts::read(&targets.kubeconfig)?;
    let mut sites = Vec::new();
    for one in wanted {
        sites.push(Site {
            cluster: Cluster::from_context(&contexts, &one.context).await?,
            roles: one.roles,
            namespaces: one.namespaces,
        });
    }
    Ok((sites, absent(targets)))
}

fn absent(targets: &Targets) -> Vec<Role> {
    let mut absent = Vec::new();
    if targets.edges.is_empty() {
        absent.push(Role::Edge);
    }
    if targets.central.is_none() {
        absent.push(Role::Central);
    }
    absent
}

/// One entry per context, however many roles it has. The shared profile is in the central cluster
/// unless it has one of its own.
fn wanted(targets: &Targets) -> Vec<Wanted> {
    let workers = targets
        .namespace
        .as_deref()
        .unwrap_or(Profile::Central.default_namespace());
    let shared = Profile::Shared.default_namespace();
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut add = |context: &str, role: Role, namespace: &str| {
        let index = wanted.iter().position(|one| one.context == context);
        let index = index.unwrap_or_else(|| {
            wanted.push(Wanted {
                context: context.to_owned(),
                roles: BTreeSet::new(),
                namespaces: Vec::new(),
            });
            wanted.len() - 1
        });
        let one = &mut wanted[index];
        one.roles.insert(role);
        if !one.namespaces.iter().any(|known| known == namespace) {
            one.namespaces.push(namespace.to_owned());
        }
    };
    for edge in &targets.edges {
        add(edge, Role::Edge, workers);
    }
    if let Some(central) = &targets.central {
        add(central, Role::Central, workers);
    }
    if let Some(context) = targets.shared.as_ref().or(targets.central.as_ref()) {
        add(context, Role::Shared, shared);
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s09_any_subset_of_contexts_will_do() {
        let only_edge = Targets {
            edges: vec!["edge".to_owned()],
            ..Targets::default()
        };
        assert_eq!(wanted(&only_edge).len(), 1);
        assert_eq!(absent(&only_edge), [Role::Central]);

        let one_for_all = Targets {
            edges: vec!["one".to_owned()],
            central: Some("one".to_owned()),
            namespace: Some("elsewhere".to_owned()),
            ..Targets::default()
        };
        let wanted = wanted(&one_for_all);
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].roles.len(), 3);
        assert_eq!(wanted[0].namespaces, ["elsewhere", "shared-infrastructure"]);
        assert!(absent(&one_for_all).is_empty());
    }

    #[test]
    fn a_shared_cluster_of_its_own_takes_the_role_from_the_central_one() {
        let targets = Targets {
            central: Some("central".to_owned()),
            shared: Some("shared".to_owned()),
            ..Targets::default()
        };
        let wanted = wanted(&targets);
        assert_eq!(wanted[0].namespaces, ["telemetry-system"]);
        assert_eq!(wanted[1].namespaces, ["shared-infrastructure"]);
    }
}
