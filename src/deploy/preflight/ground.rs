//! What a cluster has for the pods of a stage: nodes, storage classes, volume claims, quotas. Only
//! reads.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::needs::Makers;
use super::prospect::Prospect;
use crate::cluster::snapshot::Snapshot;
use crate::cluster::{Cluster, ClusterError, inventory};
use crate::deploy::layout::Stage;
use crate::deploy::secrets::LiveSecret;
use crate::model::object::{ObjectKind, ObjectRef};

/// A list, or why it may not be read.
pub(super) type Reading = Result<Vec<Value>, String>;

/// What pods find in a cluster.
#[derive(Debug)]
pub(super) struct Ground {
    /// `v1 Node`.
    pub(super) nodes: Reading,
    /// `storage.k8s.io/v1 StorageClass`.
    pub(super) classes: Reading,
    /// `v1 PersistentVolumeClaim` of the stage's namespace.
    pub(super) claims: Reading,
    /// `v1 ResourceQuota` of the stage's namespace.
    pub(super) quotas: Reading,
    /// `v1 LimitRange` of the stage's namespace.
    pub(super) limit_ranges: Reading,
    /// `v1 Pod` of all namespaces, where nothing was deployed yet; else of the stage's.
    pub(super) pods: Reading,
    /// `v1 Service` of all namespaces, where a load balancer is still to be made.
    pub(super) services: Reading,
    /// The Secrets that the stage names and that exist, by name.
    pub(super) secrets: BTreeMap<String, LiveSecret>,
    /// Those that may not be read; the permissions say so.
    pub(super) unread_secrets: BTreeSet<String>,
}

/// What a stage's place is like, before anything else is read.
#[derive(Debug, Clone, Default)]
pub(in crate::deploy) struct Place {
    /// The namespace, if it exists and may be read.
    pub(super) namespace: Option<Value>,
    /// Whether it is known not to exist.
    pub(super) namespace_missing: bool,
    /// The inventory's parent, if it exists and may be read.
    pub(super) record: Option<Value>,
}

impl Place {
    /// As a look at the whole namespace showed it.
    pub(in crate::deploy) fn seen(stage: &Stage, live: &Snapshot) -> Self {
        let parent = inventory::parent(&stage.namespace, stage.profile.name());
        Self {
            namespace: live.namespace().cloned(),
            namespace_missing: !live.has_namespace(),
            record: live.get(&parent).cloned(),
        }
    }

    /// Whether a deployment came to its end there.
    pub(super) fn was_deployed(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| inventory::recorded(record).is_some())
    }
}

/// What the user may not read is no error: the permissions say so.
fn unless_refused<T>(read: Result<T, ClusterError>) -> Result<Result<T, String>, ClusterError> {
    match read {
        Ok(found) => Ok(Ok(found)),
        Err(ClusterError::Refused { message, .. }) => Ok(Err(message)),
        Err(error) => Err(error),
    }
}

/// Reads the namespace and the record of a stage.
pub(super) async fn place(cluster: &Cluster, prospect: &Prospect) -> Result<Place, ClusterError> {
    let stage = &prospect.stage;
    let namespace = ObjectRef::new(ObjectKind::Namespace, "", &stage.namespace);
    let parent = inventory::parent(&stage.namespace, stage.profile.name());
    let (namespace, record) = futures::join!(cluster.get(&namespace), cluster.get(&parent));
    let namespace = unless_refused(namespace)?;
    Ok(Place {
        namespace_missing: namespace == Ok(None),
        namespace: namespace.ok().flatten(),
        record: unless_refused(record)?.ok().flatten(),
    })
}

/// Reads everything at once.
pub(super) async fn read(
    cluster: &Cluster,
    prospect: &Prospect,
    (place, makers): (&Place, &Makers<'_>),
) -> Result<Ground, ClusterError> {
    let here = prospect.stage.namespace.as_str();
    let list = |resource, namespace| async move {
        unless_refused(cluster.list_other(resource, namespace, "").await)
    };
    let everywhere = if place.was_deployed() { here } else { "" };
    let services = async {
        if prospect.awaits_load_balancer() {
            return list(("", "v1", "Service", "services"), "").await;
        }
        Ok(Ok(Vec::new()))
    };
    let (nodes, classes, claims, quotas, limit_ranges, pods, services, all_secrets) = tokio::try_join!(
        list(("", "v1", "Node", "nodes"), ""),
        list(
            ("storage.k8s.io", "v1", "StorageClass", "storageclasses"),
            ""
        ),
        list(
            ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            here
        ),
        list(("", "v1", "ResourceQuota", "resourcequotas"), here),
        list(("", "v1", "LimitRange", "limitranges"), here),
        list(("", "v1", "Pod", "pods"), everywhere),
        services,
        secrets(cluster, prospect, makers),
    )?;
    let (secrets, unread_secrets) = all_secrets;
    Ok(Ground {
        nodes,
        classes,
        claims,
        quotas,
        limit_ranges,
        pods,
        services,
        secrets,
        unread_secrets,
    })
}

async fn secrets(
    cluster: &Cluster,
    prospect: &Prospect,
    makers: &Makers<'_>,
) -> Result<(BTreeMap<String, LiveSecret>, BTreeSet<String>), ClusterError> {
    let names: BTreeSet<&str> = prospect
        .given_secrets(makers)
        .chain(prospect.pull_secrets())
        .collect();
    let reading = names.into_iter().map(|name| async move {
        let object = ObjectRef::new(ObjectKind::Secret, &prospect.stage.namespace, name);
        let found = unless_refused(cluster.get(&object).await)?;
        Ok::<_, ClusterError>((name.to_owned(), found))
    });
    let read = futures::future::try_join_all(reading).await?;
    let (mut there, mut unread) = (BTreeMap::new(), BTreeSet::new());
    for (name, found) in read {
        match found {
            Ok(Some(found)) => drop(there.insert(name, LiveSecret::from_object(&found))),
            Ok(None) => {}
            Err(_) => drop(unread.insert(name)),
        }
    }
    Ok((there, unread))
}
