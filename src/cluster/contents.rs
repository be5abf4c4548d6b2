//! What a namespace holds, of every kind that the API server knows.

use std::fmt;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList, ObjectMeta};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};

use super::client::Cluster;
use super::error::ClusterError;

/// How many kinds are listed at once; the cluster limits requests further.
const AT_ONCE: usize = 16;
/// Groups of what is measured and not stored.
const MEASURED: [&str; 3] = [
    "metrics.k8s.io",
    "custom.metrics.k8s.io",
    "external.metrics.k8s.io",
];
/// Kinds that follow from others.
const DERIVED: [&str; 4] = ["events", "endpoints", "endpointslices", "leases"];

/// Something in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.name)
    }
}

/// Everything in a namespace, but what other objects in it own and what Kubernetes puts into every
/// namespace by itself.
///
/// # Errors
/// When anything could not be listed: then something may be there that was not seen.
pub async fn of_namespace(cluster: &Cluster, namespace: &str) -> Result<Vec<Item>, ClusterError> {
    let kinds = kinds(cluster).await?;
    let listing = futures::stream::iter(kinds).map(|kind| list(cluster, namespace, kind));
    let found: Vec<Vec<Item>> = listing.buffered(AT_ONCE).try_collect().await?;
    Ok(found.concat())
}

/// Every kind that lives in namespaces and can be listed, in one version each.
async fn kinds(cluster: &Cluster) -> Result<Vec<ApiResource>, ClusterError> {
    let action = "asking which kinds there are";
    let raw = cluster.raw();
    let groups = cluster.request(action, raw.list_api_groups()).await?;
    let versions = groups
        .groups
        .into_iter()
        .filter(|group| !MEASURED.contains(&group.name.as_str()))
        .filter_map(|group| {
            group
                .preferred_version
                .or(group.versions.into_iter().next())
        })
        .map(|version| version.group_version);
    let reading = futures::stream::iter(versions).map(|version| async move {
        let resources = raw.list_api_group_resources(&version);
        cluster.request(action, resources).await
    });
    let mut lists: Vec<APIResourceList> = reading.buffered(AT_ONCE).try_collect().await?;
    lists.push(
        cluster
            .request(action, raw.list_core_api_resources("v1"))
            .await?,
    );
    Ok(lists.iter().flat_map(listable).collect())
}

fn listable(list: &APIResourceList) -> impl Iterator<Item = ApiResource> {
    let (group, version) = list
        .group_version
        .split_once('/')
        .unwrap_or(("", &list.group_version));
    let is_listable = |resource: &&APIResource| {
        resource.namespaced
            && resource.verbs.iter().any(|verb| verb == "list")
            && !DERIVED.contains(&resource.name.as_str())
    };
    let resources = list.resources.iter().filter(is_listable);
    resources.map(move |resource| ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: list.group_version.clone(),
        kind: resource.kind.clone(),
        plural: resource.name.clone(),
    })
}

async fn list(
    cluster: &Cluster,
    namespace: &str,
    kind: ApiResource,
) -> Result<Vec<Item>, ClusterError> {
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.raw().clone(), namespace, &kind);
    let action = format!("listing {} in {namespace}", kind.plural);
    let parameters = ListParams::default();
    let found = cluster
        .request(&action, api.list_metadata(&parameters))
        .await?;
    let items = found.items.into_iter();
    Ok(items
        .filter(|item| !is_given(&kind.kind, &item.metadata))
        .map(|item| Item {
            kind: kind.kind.clone(),
            name: item.metadata.name.unwrap_or_default(),
        })
        .collect())
}

/// Whether something is there whatever anybody does, or goes with what owns it.
fn is_given(kind: &str, metadata: &ObjectMeta) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let is_owned = metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true));
    is_owned
        || matches!(
            (kind, name),
            ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt")
        )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    fn named(name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn d18_what_every_namespace_has_and_what_is_owned_is_nobodys() {
        assert!(is_given("ServiceAccount", &named("default")));
        assert!(is_given("ConfigMap", &named("kube-root-ca.crt")));
        assert!(!is_given("ServiceAccount", &named("other")));
        assert!(!is_given("Secret", &named("default")));
        let mut owned = named("pod");
        let owner = OwnerReference {
            controller: Some(true),
            ..OwnerReference::default()
        };
        owned.owner_references = Some(vec![owner]);
        assert!(is_given("Pod", &owned));
        owned.owner_references = Some(vec![OwnerReference::default()]);
        assert!(!is_given("Pod", &owned));
    }

    #[test]
    fn d18_only_kinds_of_namespaces_that_can_be_listed_are() {
        let resource = |name: &str, namespaced: bool, verbs: &[&str]| APIResource {
            name: name.to_owned(),
            namespaced,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..APIResource::default()
        };
        let list = APIResourceList {
            group_version: "example.org/v1".to_owned(),
            resources: vec![
                resource("things", true, &["get", "list"]),
                resource("things/status", true, &["get"]),
                resource("worlds", false, &["list"]),
                resource("events", true, &["list"]),
            ],
        };
        let found: Vec<ApiResource> = listable(&list).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].plural, "things");
        assert_eq!(
            (&*found[0].group, &*found[0].version),
            ("example.org", "v1")
        );
    }
}
