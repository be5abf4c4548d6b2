//! What helm keeps in a cluster about its releases. Only names are read: the records hold values,
//! and so secrets.

use kube::api::ListParams;

use super::client::Cluster;
use super::error::ClusterError;
use crate::model::object::ObjectKind;

/// The label selector that finds the records of a release.
pub fn record_selector(release: &str) -> String {
    format!("owner=helm,name={release}")
}

/// The names of the Secrets that hold the records of a release, oldest revision first.
///
/// # Errors
/// When the API server cannot be asked or refuses.
pub async fn records(
    cluster: &Cluster,
    namespace: &str,
    release: &str,
) -> Result<Vec<String>, ClusterError> {
    let api = cluster.api(ObjectKind::Secret, namespace);
    let parameters = ListParams::default()
        .labels(&record_selector(release))
        .fields("type=helm.sh/release.v1");
    let action = format!("listing the records of helm release {release}");
    let found = cluster
        .request(&action, api.list_metadata(&parameters))
        .await?;
    let mut names: Vec<(u64, String)> = found
        .items
        .into_iter()
        .filter_map(|record| record.metadata.name)
        .map(|name| (revision(&name), name))
        .collect();
    names.sort();
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// The revision at the end of a record's name: `sh.helm.release.v1.NAME.v12`.
fn revision(name: &str) -> u64 {
    let number = name.rsplit_once(".v").map(|(_, number)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_numbers_not_texts() {
        assert!(revision("sh.helm.release.v1.a.v9") < revision("sh.helm.release.v1.a.v10"));
        assert_eq!(revision("something"), 0);
    }
}
