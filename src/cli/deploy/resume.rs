//! Finds the deployment that did not come to its end.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::cluster::kubeconfig::Contexts;
use crate::deploy::intent::{Unfinished, unfinished};
use crate::model::profile::Profile;

use super::super::error::CliError;
use super::super::session::Session;
use super::super::targets::Targets;
use super::intent::Intent;

/// The newest run that one of the clusters knows to be unfinished.
pub(super) async fn find(targets: &Targets) -> Result<Option<Unfinished>, CliError> {
    let places: BTreeSet<(&str, &str)> = [&targets.shared, &targets.central]
        .into_iter()
        .flatten()
        .flat_map(|context| {
            let workers = targets.namespace.as_deref();
            let workers = workers.unwrap_or(Profile::Central.default_namespace());
            [Profile::Shared.default_namespace(), workers].map(|namespace| (&**context, namespace))
        })
        .collect();
    if places.is_empty() {
        return Err(CliError::usage("resume needs to know where to look").hint(
            "--central-context (and --shared-context, if Redis has a cluster of its own) name the \
             clusters of the deployment",
        ));
    }
    let contexts = Contexts::read(&targets.kubeconfig)?;
    let mut found: Vec<Unfinished> = Vec::new();
    for (context, namespace) in places {
        let cluster = Cluster::from_context(&contexts, context).await?;
        found.extend(unfinished(&cluster, namespace).await?);
    }
    Ok(found.into_iter().max_by_key(|run| run.generation))
}

/// What the run was made from.
pub(super) fn intent(run: Unfinished, session: &Session) -> Result<Intent, CliError> {
    let Unfinished {
        generation,
        since,
        by,
        version,
        intent,
    } = run;
    session.ui.note(&format!(
        "Going on with generation {generation}, begun by {by} at {since} with telectl {version}."
    ));
    serde_json::from_value(intent).map_err(|error| {
        CliError::failed("the unfinished deployment cannot be understood")
            .because(error)
            .hint(format!(
                "it was begun with telectl {version}: go on with that version"
            ))
            .hint("or run deploy-all again, with the values that are wanted now")
    })
}
