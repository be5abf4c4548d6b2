//! What becomes of the helm releases whose objects are adopted.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claim::{Claim, of_helm};
use super::layout::Stage;
use super::plan::{Action, ObjectPlan};
use crate::cluster::helm::{record_selector, records};
use crate::cluster::{Cluster, ClusterError};
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::shell::quoted;

/// What somebody should know about each release that objects are taken from.
///
/// # Errors
/// When the cluster cannot be asked. That the records may not be listed is no error.
pub(super) async fn warnings(
    cluster: &Cluster,
    stage: &Stage,
    plans: &[ObjectPlan],
) -> Result<Vec<String>, ClusterError> {
    let claims: BTreeSet<&Claim> = plans
        .iter()
        .filter(|plan| plan.action != Action::Refuse)
        .filter_map(|plan| plan.owner.as_ref())
        .filter(|claim| matches!(claim, Claim::Helm { .. }))
        .collect();
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let adopted: BTreeSet<&ObjectRef> = plans.iter().map(|plan| &plan.object).collect();
    let lists = ObjectKind::ALL
        .into_iter()
        .filter(|kind| {
            !matches!(
                kind,
                ObjectKind::Namespace | ObjectKind::Lease | ObjectKind::Secret
            )
        })
        .map(|kind| cluster.list(kind, &stage.namespace, "app.kubernetes.io/managed-by=Helm"));
    let of_helm: Vec<Value> = futures::future::try_join_all(lists).await?.concat();
    let mut said = Vec::new();
    for claim in claims {
        let Claim::Helm { release, namespace } = claim else {
            continue;
        };
        let records = match records(cluster, namespace, release).await {
            Ok(records) => records,
            Err(ClusterError::Refused { code: 403, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let left = left_with(claim, &of_helm, &adopted);
        said.push(warning(stage, (release, namespace), &records, &left));
    }
    Ok(said)
}

/// The objects of a release that are not adopted, as `KIND/NAME`.
fn left_with(claim: &Claim, live: &[Value], adopted: &BTreeSet<&ObjectRef>) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_adopted = |live: &Value| {
        adopted.iter().any(|object| {
            live["kind"] == object.kind.name() && live["metadata"]["name"] == object.name.as_str()
        })
    };
    live.iter()
        .filter(|live| of_helm(live).as_ref() == Some(claim) && !is_adopted(live))
        .map(|live| {
            format!(
                "{}/{}",
                text(&live["kind"]),
                text(&live["metadata"]["name"])
            )
        })
        .collect()
}

fn warning(
    stage: &Stage,
    (release, namespace): (&str, &str),
    records: &[String],
    left: &[String],
) -> String {
    let selector = record_selector(release);
    let kept = match records {
        [] => format!("its record (a Secret with the labels {selector})"),
        [record] => format!("its record, Secret/{record},"),
        [.., last] => format!("its record, Secret/{last} and {} older,", records.len() - 1),
    };
    let left = if left.is_empty() {
        String::new()
    } else {
        format!(
            "; what telectl does not make stays as it is, and helm forgets it, too: {}",
            left.join(", ")
        )
    };
    format!(
        "helm release {release}: {kept} stays, so `helm uninstall` would delete what is adopted \
         here and `helm upgrade` would change it; once this is applied, let helm forget the \
         release: `kubectl --context {} -n {} delete secret -l {}`{left}",
        quoted(&stage.context),
        quoted(namespace),
        quoted(&selector)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::labels::MANAGED_BY;
    use crate::model::profile::Profile;

    fn stage() -> Stage {
        Stage {
            profile: Profile::Central,
            context: "west".to_owned(),
            namespace: "ns".to_owned(),
        }
    }

    #[test]
    fn the_record_is_named_with_what_it_would_do_and_what_ends_it() {
        let records = ["sh.helm.release.v1.old.v1", "sh.helm.release.v1.old.v2"];
        let records = records.map(str::to_owned);
        let left = ["ConfigMap/extra".to_owned()];
        insta::assert_snapshot!(warning(&stage(), ("old", "ns"), &records, &left), @"helm release old: its record, Secret/sh.helm.release.v1.old.v2 and 1 older, stays, so `helm uninstall` would delete what is adopted here and `helm upgrade` would change it; once this is applied, let helm forget the release: `kubectl --context west -n ns delete secret -l owner=helm,name=old`; what telectl does not make stays as it is, and helm forgets it, too: ConfigMap/extra");
        let unknown = warning(&stage(), ("old", "ns"), &[], &[]);
        assert!(
            unknown.contains("a Secret with the labels owner=helm,name=old"),
            "{unknown}"
        );
    }

    #[test]
    fn only_what_the_release_has_and_we_do_not_make_is_left_with_it() {
        let object = |kind: &str, name: &str, release: &str| {
            json!({"kind": kind, "metadata": {
                "name": name, "namespace": "ns",
                "labels": {(MANAGED_BY): "Helm"},
                "annotations": {
                    "meta.helm.sh/release-name": release,
                    "meta.helm.sh/release-namespace": "ns",
                },
            }})
        };
        let live = [
            object("Service", "collector", "old"),
            object("ConfigMap", "extra", "old"),
            object("ConfigMap", "other", "another"),
        ];
        let claim = of_helm(&live[0]).unwrap();
        let collector = ObjectRef::new(ObjectKind::Service, "ns", "collector");
        let adopted = BTreeSet::from([&collector]);
        assert_eq!(left_with(&claim, &live, &adopted), ["ConfigMap/extra"]);
    }
}
