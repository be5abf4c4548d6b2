//! What a namespace holds of the kinds that telectl writes, as seen at one look: one request per
//! kind, all at the same time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::Cluster;
use super::error::ClusterError;
use super::inventory;
use crate::model::object::{ObjectKind, ObjectRef};

/// What a namespace holds. Has no `Debug`: Secrets are in it.
#[derive(Clone, Default)]
pub struct Snapshot {
    namespace: Option<Value>,
    objects: BTreeMap<ObjectRef, Value>,
    claims: Vec<Value>,
}

/// The kinds that are looked for. A Lease is only ever taken, never applied.
fn kinds() -> impl Iterator<Item = ObjectKind> {
    let is_looked_for =
        |kind: &ObjectKind| !matches!(kind, ObjectKind::Namespace | ObjectKind::Lease);
    ObjectKind::ALL.into_iter().filter(is_looked_for)
}

impl Snapshot {
    /// Looks at a namespace. A namespace that does not exist holds nothing.
    ///
    /// # Errors
    /// When the API server cannot be asked, or a kind may not be listed: what cannot be read is
    /// never taken for absent.
    pub async fn take(cluster: &Cluster, namespace: &str) -> Result<Self, ClusterError> {
        let object = ObjectRef::new(ObjectKind::Namespace, "", namespace);
        let lists = kinds().map(|kind| listed(cluster, kind, namespace));
        let (found, lists) =
            futures::future::try_join(cluster.get(&object), futures::future::try_join_all(lists))
                .await?;
        Ok(Self::of(found, lists.concat()))
    }

    /// A snapshot of these objects; what is of no kind that telectl writes is left out.
    pub fn of(namespace: Option<Value>, objects: Vec<Value>) -> Self {
        let named = |value: Value| Some((reference(&value)?, value));
        let is_claim = |value: &&Value| value["kind"] == ObjectKind::PersistentVolumeClaim.name();
        Self {
            namespace,
            claims: objects.iter().filter(is_claim).cloned().collect(),
            objects: objects.into_iter().filter_map(named).collect(),
        }
    }

    /// The namespace, if it exists.
    pub const fn namespace(&self) -> Option<&Value> {
        self.namespace.as_ref()
    }

    /// Whether the namespace exists.
    pub const fn has_namespace(&self) -> bool {
        self.namespace.is_some()
    }

    /// An object; `None` if there is none.
    pub fn get(&self, object: &ObjectRef) -> Option<&Value> {
        self.objects.get(object)
    }

    /// Every object, by reference.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectRef, &Value)> {
        self.objects.iter()
    }

    /// The objects of one kind.
    pub fn of_kind(&self, kind: ObjectKind) -> impl Iterator<Item = &Value> {
        let is_it = move |(object, _): &(&ObjectRef, &Value)| object.kind == kind;
        self.objects.iter().filter(is_it).map(|(_, value)| value)
    }

    /// The members of a parent's set, by their label.
    pub fn members(&self, parent: &ObjectRef) -> impl Iterator<Item = (&ObjectRef, &Value)> {
        let parent = parent.clone();
        let is_member = move |(_, value): &(&ObjectRef, &Value)| {
            inventory::membership(value, &parent) == inventory::Membership::Ours
        };
        self.objects.iter().filter(is_member)
    }

    /// The volume claims.
    pub fn claims(&self) -> &[Value] {
        &self.claims
    }
}

/// The objects of a kind; none of a kind that the cluster does not know.
async fn listed(
    cluster: &Cluster,
    kind: ObjectKind,
    namespace: &str,
) -> Result<Vec<Value>, ClusterError> {
    match cluster.list(kind, namespace, "").await {
        Err(ClusterError::Refused { code: 404, .. }) => Ok(Vec::new()),
        listed => listed,
    }
}

/// Which object a live one is; `None` for a kind that telectl does not write.
pub fn reference(live: &Value) -> Option<ObjectRef> {
    let metadata = &live["metadata"];
    Some(ObjectRef::new(
        ObjectKind::from_name(live["kind"].as_str()?)?,
        metadata["namespace"].as_str().unwrap_or_default(),
        metadata["name"].as_str()?,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_by_reference_kind_and_set() {
        let parent = inventory::parent("ns", "edge");
        let labels = json!({"applyset.kubernetes.io/part-of": inventory::set_id(&parent)});
        let object = |kind: &str, name: &str, labels: &Value| {
            let metadata = json!({"name": name, "namespace": "ns", "labels": labels});
            json!({"kind": kind, "metadata": metadata})
        };
        let snapshot = Snapshot::of(
            None,
            vec![
                object("Service", "ours", &labels),
                object("Service", "theirs", &json!({})),
                object("KindOfTomorrow", "ours", &labels),
            ],
        );
        assert!(!snapshot.has_namespace());
        assert_eq!(snapshot.of_kind(ObjectKind::Service).count(), 2);
        let ours = ObjectRef::new(ObjectKind::Service, "ns", "ours");
        let members: Vec<&ObjectRef> = snapshot.members(&parent).map(|(one, _)| one).collect();
        assert_eq!(members, [&ours]);
        assert!(snapshot.get(&ours).is_some());
    }
}
