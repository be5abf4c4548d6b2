//! Which objects are ours: the ApplySet contract of Kubernetes (KEP-3659), one parent ConfigMap
//! per namespace and profile.
//!
//! Readers that know the contract can list our objects; `kubectl apply --prune --applyset`
//! refuses to touch them, because the parent names telectl as its tool. That is by design.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::model::labels;
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};

/// The label that members carry.
const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// Annotation of a parent: when its set was deployed and ready, RFC 3339.
pub const DEPLOYED_AT: &str = "telectl.io/deployed-at";
/// Annotation of a parent: who deployed its set.
pub const DEPLOYED_BY: &str = "telectl.io/deployed-by";
/// Annotation of a parent: the version of telectl that deployed its set.
pub const VERSION: &str = "telectl.io/version";
/// Annotation of a parent: `CLUSTER_ID` of the workers, which is a part of every source's identity
/// and so has to outlive the name of a context.
pub const CLUSTER_ID: &str = "telectl.io/cluster-id";

/// Annotation of a parent: the values files and overlays that its set was deployed with, as a JSON
/// list of their names as given with `-f`.
pub const FILES: &str = "telectl.io/values-files";
/// Annotation of a parent: the generation of the history that is deployed.
pub const GENERATION: &str = "telectl.io/deployed-generation";
/// Annotation of a parent: the kinds of its set.
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// The key of a parent's data under which the objects of its set stand, one `KIND/NAME` per line.
const OBJECTS: &str = "objects";

/// What is noted about the run that wrote the set.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When, RFC 3339.
    pub at: &'a str,
    /// Who: user and host.
    pub by: &'a str,
    /// Version of telectl.
    pub version: &'a str,
    /// Values files and overlays, as a JSON list of the names given; `None` if that is not known.
    pub files: Option<&'a str>,
    /// The number of the run in the history; `None` for a set of before there was one.
    pub generation: Option<u32>,
}

/// The parent object of a profile in a namespace.
pub fn parent(namespace: &str, profile: &str) -> ObjectRef {
    ObjectRef::new(
        ObjectKind::ConfigMap,
        namespace,
        format!("telectl-{profile}"),
    )
}

/// The id of the set that hangs on a parent, by the contract's algorithm.
pub fn set_id(parent: &ObjectRef) -> String {
    let (group, _, _) = parent.kind.resource();
    let name = format!(
        "{}.{}.{}.{group}",
        parent.name, parent.namespace, parent.kind
    );
    format!(
        "applyset-{}-v1",
        URL_SAFE_NO_PAD.encode(Sha256::digest(name))
    )
}

/// Puts the member label on a manifest.
pub fn adopt(manifest: &mut Manifest, parent: &ObjectRef) {
    manifest.value["metadata"]["labels"][PART_OF] = set_id(parent).into();
}

/// The label selector that finds the members of a parent's set.
pub fn selector(parent: &ObjectRef) -> String {
    format!("{PART_OF}={}", set_id(parent))
}

/// The id of the set that an object says it is a member of.
pub fn set_of(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][PART_OF].as_str()
}

/// Whose an object is, by its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// A member of this parent's set.
    Ours,
    /// A member of another set.
    Anothers,
    /// A member of no set.
    Nobodys,
}

/// Whether a live object is a member of a parent's set.
pub fn membership(object: &Value, parent: &ObjectRef) -> Membership {
    match set_of(object) {
        None => Membership::Nobodys,
        Some(id) if id == set_id(parent) => Membership::Ours,
        Some(_) => Membership::Anothers,
    }
}

/// The objects that a live parent lists, all in its own namespace. Kinds that this version does
/// not know are left out.
pub fn listed(parent: &Value) -> BTreeSet<ObjectRef> {
    let namespace = parent["metadata"]["namespace"].as_str().unwrap_or_default();
    let lines = parent["data"][OBJECTS].as_str().unwrap_or_default().lines();
    lines
        .filter_map(|line| {
            let (kind, name) = line.split_once('/')?;
            Some(ObjectRef::new(
                ObjectKind::from_name(kind)?,
                namespace,
                name,
            ))
        })
        .collect()
}

/// The kinds that a live parent says its set has; `None` if it does not say.
pub fn listed_kinds(parent: &Value) -> Option<BTreeSet<ObjectKind>> {
    let kinds = parent["metadata"]["annotations"][KINDS].as_str()?;
    let kind = |text: &str| ObjectKind::from_name(text.split('.').next()?);
    Some(kinds.split(',').filter_map(kind).collect())
}

/// What a live parent says about the run that wrote its set; `None` if none came to its end.
pub fn recorded(parent: &Value) -> Option<Record<'_>> {
    let annotation = |name: &str| parent["metadata"]["annotations"][name].as_str();
    Some(Record {
        at: annotation(DEPLOYED_AT)?,
        by: annotation(DEPLOYED_BY)?,
        version: annotation(VERSION)?,
        files: annotation(FILES),
        generation: annotation(GENERATION).and_then(|text| text.parse().ok()),
    })
}

/// Whether a parent says when its set was deployed, and with this `CLUSTER_ID`.
pub fn is_recorded(parent: &Value, cluster_id: &str) -> bool {
    parent["metadata"]["annotations"][DEPLOYED_AT].is_string()
        && recorded_cluster_id(parent) == Some(cluster_id)
}

/// The `CLUSTER_ID` that a set was deployed with.
pub fn recorded_cluster_id(parent: &Value) -> Option<&str> {
    parent["metadata"]["annotations"][CLUSTER_ID].as_str()
}

/// When a set was deployed.
pub fn recorded_time(parent: &Value) -> Option<jiff::Timestamp> {
    let noted = parent["metadata"]["annotations"][DEPLOYED_AT].as_str()?;
    noted.parse().ok()
}

/// The values files and overlays that a set was deployed with; `None` if that was not noted.
pub fn recorded_files(parent: &Value) -> Option<Vec<String>> {
    let noted = parent["metadata"]["annotations"][FILES].as_str()?;
    serde_json::from_str(noted).ok()
}

/// The parent as it has to be while (and after) these objects are applied. The `CLUSTER_ID` is there
/// from the beginning: workers of a run that did not come to its end have it, too.
pub fn parent_manifest(
    parent: &ObjectRef,
    members: &BTreeSet<ObjectRef>,
    cluster_id: &str,
    record: Option<&Record<'_>>,
) -> Manifest {
    let kinds: BTreeSet<String> = members
        .iter()
        .map(|member| match member.kind.resource().0 {
            "" => member.kind.to_string(),
            group => format!("{}.{group}", member.kind),
        })
        .collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    let objects: String = members
        .iter()
        .map(|member| format!("{}/{}\n", member.kind, member.name))
        .collect();
    let mut annotations = json!({
        "applyset.kubernetes.io/tooling": concat!("telectl/", env!("CARGO_PKG_VERSION")),
        KINDS: kinds.join(","),
        CLUSTER_ID: cluster_id,
    });
    if let Some(record) = record {
        annotations[DEPLOYED_AT] = record.at.into();
        annotations[DEPLOYED_BY] = record.by.into();
        annotations[VERSION] = record.version.into();
        if let Some(files) = record.files {
            annotations[FILES] = files.into();
        }
        if let Some(generation) = record.generation {
            annotations[GENERATION] = generation.to_string().into();
        }
    }
    let value: Value = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": parent.name,
            "namespace": parent.namespace,
            "labels": {
                "applyset.kubernetes.io/id": set_id(parent),
                (labels::MANAGED_BY): labels::TELECTL,
                (labels::PART_OF): labels::PIPELINE,
            },
            "annotations": annotations,
        },
        "data": {OBJECTS: objects},
    });
    Manifest {
        object: parent.clone(),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_one_that_kubectl_computes() {
        // The test vector of kubectl's own test, for a Secret.
        let parent = ObjectRef::new(ObjectKind::Secret, "test", "my-set");
        assert_eq!(
            set_id(&parent),
            "applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1"
        );
    }

    #[test]
    fn the_parent_lists_kinds_sorted_and_once() {
        let member = |kind, name: &str| ObjectRef::new(kind, "ns", name);
        let members = BTreeSet::from([
            member(ObjectKind::Service, "b"),
            member(ObjectKind::Deployment, "a"),
            member(ObjectKind::Service, "a"),
        ]);
        let mut written = parent_manifest(&parent("ns", "edge"), &members, "edge", None).value;
        assert_eq!(
            written["metadata"]["annotations"][KINDS],
            "Deployment.apps,Service"
        );
        assert_eq!(listed(&written), members, "what is listed is read back");
        let kinds = BTreeSet::from([ObjectKind::Deployment, ObjectKind::Service]);
        assert_eq!(listed_kinds(&written), Some(kinds));
        assert_eq!(listed_kinds(&json!({})), None);
        written["data"][OBJECTS] = "KindOfTomorrow/a\nnonsense\nService/b\n".into();
        let known = BTreeSet::from([member(ObjectKind::Service, "b")]);
        assert_eq!(listed(&written), known);
    }

    #[test]
    fn the_label_tells_ours_from_anothers_and_nobodys() {
        let (edge, central) = (parent("ns", "edge"), parent("ns", "central"));
        let mut manifest = Manifest {
            object: ObjectRef::new(ObjectKind::Service, "ns", "a"),
            value: json!({"metadata": {"labels": {}}}),
        };
        assert_eq!(membership(&manifest.value, &edge), Membership::Nobodys);
        adopt(&mut manifest, &edge);
        assert_eq!(membership(&manifest.value, &edge), Membership::Ours);
        assert_eq!(membership(&manifest.value, &central), Membership::Anothers);
    }

    #[test]
    fn what_is_recorded_is_read_back_and_another_cluster_id_is_another_record() {
        let record = Record {
            at: "2026-06-01T00:00:00Z",
            by: "somebody",
            version: "1",
            files: Some(r#"["lab","a, b.yaml"]"#),
            generation: Some(7),
        };
        let parent = parent("ns", "edge");
        let written = parent_manifest(&parent, &BTreeSet::new(), "edge", Some(&record)).value;
        assert_eq!(recorded_cluster_id(&written), Some("edge"));
        assert_eq!(recorded_files(&written).unwrap(), ["lab", "a, b.yaml"]);
        let read = recorded(&written).unwrap();
        assert_eq!((read.at, read.by), (record.at, record.by));
        assert_eq!((read.version, read.files), (record.version, record.files));
        assert_eq!(read.generation, Some(7));
        assert!(is_recorded(&written, "edge"));
        assert!(!is_recorded(&written, "renamed"));
        let unfinished = parent_manifest(&parent, &BTreeSet::new(), "edge", None).value;
        assert!(recorded(&unfinished).is_none());
        let known = recorded_cluster_id(&unfinished);
        assert_eq!(known, Some("edge"), "its workers may run already");
        assert_eq!(recorded_files(&unfinished), None);
        assert!(!is_recorded(&unfinished, "edge"));
    }
}
