//! Whether the user may do what a stage needs. What is asked follows from `cluster::rights`.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _};

use super::catalogue::PERMISSION;
use super::finding::{Finding, Severity};
use super::ground::Place;
use super::prospect::Prospect;
use crate::cluster::rights::{self, Activity, MAKE_NAMESPACE, Question, Right, Weight};
use crate::cluster::{Cluster, ClusterError, inventory};
use crate::deploy::run::Part;
use crate::model::object::ObjectKind;

/// How many questions are asked at once; the cluster limits requests further.
const AT_ONCE: usize = 16;

/// Exactly what a stage needs, with what is known of its place. Pure.
pub(super) fn questions(prospect: &Prospect, place: &Place) -> BTreeSet<Question> {
    let namespace = prospect.stage.namespace.as_str();
    let rights = match prospect.part {
        Part::Observed => rights::looking_on(),
        Part::Applied => rights::rights(Activity::Deploy),
    };
    let needed = rights
        .into_iter()
        .filter(|right| right.weight == Weight::Needed)
        .filter_map(|right| narrowed(right, prospect, place));
    let mut questions: BTreeSet<Question> = needed
        .flat_map(|right| right.questions(namespace))
        .collect();
    if place.namespace_missing && prospect.part == Part::Applied {
        questions.extend(MAKE_NAMESPACE.iter().map(|verb| Question {
            group: "",
            resource: "namespaces",
            verb,
            namespace: namespace.to_owned(),
            name: namespace.to_owned(),
        }));
    }
    questions
}

/// What of a right to a rendered kind this stage uses: nothing is deleted where nothing was
/// deployed, and kinds that nobody rendered are only listed, if at all.
fn narrowed(mut right: Right, prospect: &Prospect, place: &Place) -> Option<Right> {
    let is_of =
        |kind: &ObjectKind| kind.resource().0 == right.group && kind.resource().2 == right.resource;
    let Some(kind) = rights::rendered_kinds().find(is_of) else {
        return Some(right);
    };
    let mut rendered = prospect.set.manifests.iter();
    let is_rendered = rendered.any(|manifest| manifest.object.kind == kind)
        // The record.
        || kind == ObjectKind::ConfigMap;
    let recorded = place.record.as_ref().and_then(inventory::listed_kinds);
    let is_recorded = recorded.as_ref().is_some_and(|kinds| kinds.contains(&kind));
    if place.record.is_none() {
        right.verbs.remove("delete");
    }
    if !is_rendered && !is_recorded && prospect.part == Part::Applied {
        let is_listed = recorded.is_none() || kind == ObjectKind::HorizontalPodAutoscaler;
        right.verbs.retain(|verb| is_listed && *verb == "list");
    }
    (!right.verbs.is_empty()).then_some(right)
}

/// Which of the questions are answered with no. One request gives the rules of a namespace; only
/// what these do not allow, or where they are not all, is asked for by itself.
pub(super) async fn denied(
    cluster: &Cluster,
    questions: &BTreeSet<Question>,
) -> Result<Vec<Question>, ClusterError> {
    let namespaces: BTreeSet<&str> = questions
        .iter()
        .map(|question| question.namespace.as_str())
        .filter(|namespace| !namespace.is_empty())
        .collect();
    let reading = namespaces.into_iter().map(|namespace| async move {
        Ok::<_, ClusterError>((namespace, cluster.rules(namespace).await?))
    });
    let rules: BTreeMap<&str, rights::Rules> = futures::future::try_join_all(reading)
        .await?
        .into_iter()
        .collect();
    let is_open = |question: &&Question| {
        let rules = rules.get(question.namespace.as_str());
        !rules.is_some_and(|rules| rules.complete && rules.allow(question))
    };
    let open: Vec<&Question> = questions.iter().filter(is_open).collect();
    futures::stream::iter(open)
        .map(|question| async move { Ok((question, cluster.may(question).await?)) })
        .buffered(AT_ONCE)
        .try_filter_map(|(question, may)| async move { Ok((!may).then(|| question.clone())) })
        .try_collect()
        .await
}

/// What is missing, a finding for each namespace. Pure.
pub(super) fn judge(denied: &BTreeSet<Question>, profiles: &[&str]) -> Vec<Finding> {
    let mut missing: BTreeMap<&str, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    for question in denied {
        let resource = match question.group {
            "" => question.resource.to_owned(),
            group => format!("{}.{group}", question.resource),
        };
        let of_namespace = missing.entry(&question.namespace).or_default();
        of_namespace
            .entry(resource)
            .or_default()
            .push(question.verb);
    }
    let remedy = format!(
        "an administrator grants it: telectl rbac {} prints the Roles",
        profiles.join(" ")
    );
    let finding = |(namespace, resources): (&str, BTreeMap<String, Vec<&str>>)| {
        let parts: Vec<String> = resources
            .iter()
            .map(|(resource, verbs)| format!("{} {resource}", verbs.join(", ")))
            .collect();
        let place = match namespace {
            "" => "in the cluster".to_owned(),
            namespace => format!("in namespace {namespace}"),
        };
        let observed = format!("{place} the user may not {}", parts.join("; "));
        Finding::warning(
            &PERMISSION,
            observed,
            "all of it is allowed",
            remedy.as_str(),
        )
        .being(Severity::Error)
    };
    missing.into_iter().map(finding).collect()
}
