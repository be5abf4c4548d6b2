//! What a cluster has for pods to run on: nodes and storage classes. Only reads.

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
}

/// Reads everything at once. What the user may not read is no error.
pub(super) async fn read(cluster: &Cluster) -> Result<Ground, ClusterError> {
    let list = |resource| async move {
        match cluster.list_other(resource, "", "").await {
            Ok(items) => Ok(Ok(items)),
            Err(ClusterError::Refused { message, .. }) => Ok(Err(message)),
            Err(error) => Err(error),
        }
    };
    let (nodes, classes) = tokio::try_join!(
        list(("", "v1", "Node", "nodes")),
        list(("storage.k8s.io", "v1", "StorageClass", "storageclasses")),
    )?;
    Ok(Ground { nodes, classes })
}
