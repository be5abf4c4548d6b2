//! What a cluster has for pods to run on: nodes, storage classes, volume claims. Only reads.

use serde_json::Value;

use crate::cluster::{Cluster, ClusterError};

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
}

/// Reads everything at once. What the user may not read is no error.
pub(super) async fn read(cluster: &Cluster, namespace: &str) -> Result<Ground, ClusterError> {
    let list = |resource, namespace| async move {
        match cluster.list_other(resource, namespace, "").await {
            Ok(items) => Ok(Ok(items)),
            Err(ClusterError::Refused { message, .. }) => Ok(Err(message)),
            Err(error) => Err(error),
        }
    };
    let (nodes, classes, claims) = tokio::try_join!(
        list(("", "v1", "Node", "nodes"), ""),
        list(
            ("storage.k8s.io", "v1", "StorageClass", "storageclasses"),
            ""
        ),
        list(
            ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            namespace
        ),
    )?;
    Ok(Ground {
        nodes,
        classes,
        claims,
    })
}
