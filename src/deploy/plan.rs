//! What a run would do. Pure: everything that was observed comes in as values.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::belongings::Kept;
use super::certificates::{Lack, Purpose};
use super::handover::NOT_YET_KNOWN;
use super::layout::Stage;
use super::preflight::Finding;
use super::refusal::Refusal;
use super::role::Held;
use super::secrets::{AUTHORITY_SECRET, Origin, SecretPlan};
use crate::cluster::apply::DryRun;
use crate::cluster::diff::{FieldChange, changes, masked};
use crate::cluster::inventory;
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It would be changed, but somebody else owns what differs.
    Conflict,
    /// Nothing.
    Keep,
    /// It would be changed, but what differs is fixed for its life.
    Refuse,
    /// It is deleted: nothing asks for it any more.
    Delete,
}

/// A field that somebody else changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldConflict {
    /// The change that would take it back.
    #[serde(flatten)]
    pub change: FieldChange,
    /// Who owns it.
    pub manager: String,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectPlan {
    /// Which.
    pub object: ObjectRef,
    /// What.
    pub action: Action,
    /// The fields that change.
    pub changes: Vec<FieldChange>,
    /// The fields that others own.
    pub conflicts: Vec<FieldConflict>,
    /// Why it cannot be changed, if it cannot; `changes` are then the fixed fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// What happens to one Secret; never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretChange {
    /// Which.
    pub object: ObjectRef,
    /// What.
    pub action: Action,
    /// The keys that get a value, and where it comes from.
    pub keys: Vec<(String, String)>,
    /// The certificates in it that are signed anew.
    pub renewals: Vec<Renewal>,
    /// The workloads, as `StatefulSet/redis`, whose pods restart because they read it.
    pub restarts: Vec<String>,
}

/// A certificate that is signed anew although there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renewal {
    /// Which: `server certificate of redis`.
    pub certificate: String,
    /// Why.
    pub because: String,
    /// Whole days that the old one has left, if that is why.
    pub days_left: Option<i64>,
}

/// What happens in one stage.
#[derive(Debug, Clone, Serialize)]
pub struct StagePlan {
    /// The stage.
    #[serde(skip)]
    pub stage: Stage,
    /// URL of the API server.
    pub server: String,
    /// Whether the namespace has to be made.
    pub namespace_missing: bool,
    /// The objects, in the order in which they are applied.
    pub objects: Vec<ObjectPlan>,
    /// The Secrets.
    pub secrets: Vec<SecretChange>,
    /// What is deleted because nothing asks for it any more, in this order.
    pub unwanted: Vec<ObjectRef>,
    /// What stays although nothing asks for it any more.
    pub kept: Vec<Kept>,
    /// Whether addresses of other stages are still to come, so that values will differ.
    pub awaits_addresses: bool,
    /// Other profiles that the namespace holds.
    pub held: Vec<Held>,
    /// What somebody should know before saying yes.
    pub warnings: Vec<String>,
    /// What the look at the cluster beforehand found; warnings among it are in `warnings`, too.
    pub preflight: Vec<Finding>,
}

impl StagePlan {
    /// Whether anything would be written.
    pub fn has_changes(&self) -> bool {
        self.namespace_missing
            || !self.unwanted.is_empty()
            || self.objects.iter().any(|plan| plan.action != Action::Keep)
            || self.secrets.iter().any(|plan| plan.action != Action::Keep)
    }

    /// The objects with fields of others.
    pub fn conflicts(&self) -> impl Iterator<Item = &ObjectPlan> {
        self.objects
            .iter()
            .filter(|plan| plan.action == Action::Conflict)
    }

    /// How many objects an action concerns: the namespace, Secrets and the record included.
    pub fn count(&self, action: Action) -> usize {
        let objects = self
            .objects
            .iter()
            .filter(|plan| plan.action == action)
            .count();
        let secrets = self
            .secrets
            .iter()
            .filter(|plan| plan.action == action)
            .count();
        let namespace = match (action, self.namespace_missing) {
            (Action::Create, true) | (Action::Keep, false) => 1,
            _ => 0,
        };
        let unwanted = match action {
            Action::Delete => self.unwanted.len(),
            _ => 0,
        };
        objects + secrets + namespace + unwanted
    }
}

/// What applying a manifest does, given the object as it is and the server's answer.
pub fn object_plan(object: &ObjectRef, live: Option<&Value>, answer: &DryRun) -> ObjectPlan {
    let plan = |action, changes, conflicts| ObjectPlan {
        object: object.clone(),
        action,
        changes,
        conflicts,
        refusal: None,
    };
    let differences = |live: &Value, next: &Value| match object.kind {
        ObjectKind::Secret => masked(changes(live, next)),
        _ => changes(live, next),
    };
    match (live, answer) {
        (None, _) | (_, DryRun::NamespaceMissing) => plan(Action::Create, Vec::new(), Vec::new()),
        (Some(live), DryRun::Accepted(next)) => {
            let changes = differences(live, next);
            let action = if changes.is_empty() {
                Action::Keep
            } else {
                Action::Update
            };
            plan(action, changes, Vec::new())
        }
        (Some(live), DryRun::Conflict { fields, taken }) => {
            let mut own = Vec::new();
            let mut others = Vec::new();
            for change in differences(live, taken) {
                match owner(&change.field, fields) {
                    Some(manager) => others.push(FieldConflict { change, manager }),
                    None => own.push(change),
                }
            }
            plan(Action::Conflict, own, others)
        }
    }
}

/// Who owns a field, by the server's list of conflicts. The server writes paths in its own way
/// (`.spec.ports[port=80,protocol="TCP"].targetPort`), so what stands in brackets does not count.
fn owner(field: &str, conflicts: &[(String, String)]) -> Option<String> {
    let wanted = without_brackets(field);
    let related = |conflict: &str| {
        let conflict = without_brackets(conflict);
        conflict == wanted
            || conflict.starts_with(&format!("{wanted}."))
            || wanted.starts_with(&format!("{conflict}."))
    };
    conflicts
        .iter()
        .find(|(field, _)| related(field))
        .map(|(_, manager)| manager.clone())
}

fn without_brackets(field: &str) -> String {
    let mut depth = 0_u32;
    field
        .chars()
        .filter(|symbol| match symbol {
            '[' => {
                depth += 1;
                false
            }
            ']' => {
                depth = depth.saturating_sub(1);
                false
            }
            '"' => false,
            _ => depth == 0,
        })
        .collect()
}

/// The plan of an object whose conflicts are only about addresses that are not known yet: whether
/// these differ is judged once they are.
pub fn later_addresses(mut plan: ObjectPlan) -> ObjectPlan {
    let awaited = |conflict: &FieldConflict| {
        let after = conflict.change.after.as_ref().map(Value::to_string);
        after.is_some_and(|after| after.contains(NOT_YET_KNOWN))
    };
    let (later, now): (Vec<_>, Vec<_>) = plan.conflicts.into_iter().partition(awaited);
    plan.changes
        .extend(later.into_iter().map(|conflict| conflict.change));
    plan.conflicts = now;
    if plan.action == Action::Conflict && plan.conflicts.is_empty() {
        plan.action = Action::Update;
    }
    plan
}

/// Whether a component runs in a rendered set.
pub fn hosts(set: &RenderedSet, component: Component) -> bool {
    set.manifests.iter().any(|manifest| {
        matches!(
            manifest.object.kind,
            ObjectKind::Deployment | ObjectKind::StatefulSet
        ) && manifest.value["metadata"]["labels"][COMPONENT] == component.name()
    })
}

/// The inventory's parent. It is written whenever anything else is; if no run has noted on it yet
/// that the stage was deployed (one that was interrupted after its last write leaves it so), or
/// that it was with this cluster id; and if it does not list exactly the members of the set.
pub fn record_plan(
    plan: &StagePlan,
    set: &RenderedSet,
    record: Option<&Value>,
    members: &BTreeSet<ObjectRef>,
) -> ObjectPlan {
    let recorded = record.and_then(inventory::recorded_cluster_id);
    let renamed = recorded.filter(|recorded| *recorded != set.cluster_id);
    let change = renamed.map(|recorded| FieldChange {
        field: format!(".metadata.annotations.\"{}\"", inventory::CLUSTER_ID),
        before: Some(recorded.into()),
        after: Some(set.cluster_id.clone().into()),
    });
    let is_as_it_should_be = |record: &Value| {
        inventory::is_recorded(record, &set.cluster_id) && inventory::listed(record) == *members
    };
    ObjectPlan {
        object: inventory::parent(&plan.stage.namespace, plan.stage.profile.name()),
        action: match record {
            None => Action::Create,
            Some(record) if is_as_it_should_be(record) && !plan.has_changes() => Action::Keep,
            Some(_) => Action::Update,
        },
        changes: change.into_iter().collect(),
        conflicts: Vec::new(),
        refusal: None,
    }
}

/// What it means that a stage gets another cluster id than it was deployed with.
pub fn identity_warning(set: &RenderedSet, record: Option<&Value>) -> Option<String> {
    let recorded = record.and_then(inventory::recorded_cluster_id)?;
    let new = &set.cluster_id;
    if recorded == new {
        return None;
    }
    let means = if hosts(set, Component::Streamer) {
        "it is part of every source's identity, so the rows of files that are stored already are \
         stored again, under the new name"
    } else {
        "its workers register under the new name"
    };
    Some(format!(
        "the cluster id changes from `{recorded}` to `{new}`: {means}; without global.clusterId it \
         stays `{recorded}`"
    ))
}

/// The private authority, as a change; `None` if it neither is there nor is made.
pub fn authority_change(namespace: &str, authority: &AuthorityChange<'_>) -> Option<SecretChange> {
    let (action, made) = match authority {
        AuthorityChange {
            is_made: false,
            is_there,
            ..
        } => is_there.then_some((Action::Keep, "kept"))?,
        AuthorityChange {
            was_deployed: true, ..
        } => (
            Action::Create,
            "made anew; every certificate is signed again",
        ),
        _ => (Action::Create, "made"),
    };
    let keys = match action {
        Action::Keep => Vec::new(),
        _ => ["tls.crt", "tls.key"]
            .map(|key| (key.to_owned(), made.to_owned()))
            .into(),
    };
    Some(SecretChange {
        object: ObjectRef::new(ObjectKind::Secret, namespace, AUTHORITY_SECRET),
        action,
        keys,
        renewals: Vec::new(),
        restarts: Vec::new(),
    })
}

/// What is known about the private authority of a stage.
pub struct AuthorityChange<'a> {
    /// Whether this stage makes it.
    pub is_made: bool,
    /// Whether this stage has it.
    pub is_there: bool,
    /// Whether the stage was deployed before, so that others may trust an earlier one.
    pub was_deployed: bool,
    /// The Secrets of the stage.
    pub secrets: &'a [SecretPlan],
}

/// What it means that servers for several clusters get certificates of another authority: whoever
/// is not deployed by the same run goes on trusting the old one. Which clusters these are is known
/// to nobody here: their records are on the clusters themselves, and reading the registrations
/// takes a pod, which a plan does not make.
pub fn authority_warning(
    stage: &Stage,
    applied: &[&Stage],
    authority: &AuthorityChange<'_>,
) -> Option<String> {
    let mut renewals = authority.secrets.iter().flat_map(|plan| &plan.renewals);
    let is_replaced = renewals.any(|(_, _, lack)| *lack == Lack::AnotherAuthority);
    let is_new = is_replaced || (authority.is_made && authority.was_deployed);
    if stage.profile != Profile::Shared || !is_new {
        return None;
    }
    let has_central = applied
        .iter()
        .any(|stage| stage.profile == Profile::Central);
    let from = format!("--context … --shared-context {}", stage.context);
    let (who, first) = if has_central {
        ("every edge that is not part of this command", String::new())
    } else {
        (
            "the central cluster and every edge",
            format!("`telectl deploy central {from}`, then "),
        )
    };
    Some(format!(
        "the private authority is another one: {who} trusts the old one and cannot reach Redis and \
         etcd until it is deployed again, too ({first}`telectl deploy edge {from}` for each); \
         `telectl status` shows the clusters that are registered now"
    ))
}

/// What a planned Secret means for the plan that is shown.
pub fn secret_change(namespace: &str, planned: &SecretPlan) -> SecretChange {
    let action = match (planned.changes(), planned.exists) {
        (false, _) => Action::Keep,
        (true, true) => Action::Update,
        (true, false) => Action::Create,
    };
    let word = |origin: Origin| match origin {
        Origin::Kept => "kept",
        Origin::HandedOver => "handed over",
        Origin::Generated => "generated",
        Origin::Issued => "signed by telectl's authority",
    };
    let keys = planned
        .keys
        .iter()
        .filter(|(_, origin)| *origin != Origin::Kept)
        .map(|(key, origin)| (key.clone(), word(*origin).to_owned()));
    SecretChange {
        object: ObjectRef::new(ObjectKind::Secret, namespace, &planned.name),
        action,
        keys: keys.collect(),
        renewals: planned.renewals.iter().map(renewal).collect(),
        restarts: Vec::new(),
    }
}

fn renewal((component, purpose, lack): &(Component, Purpose, Lack)) -> Renewal {
    Renewal {
        certificate: match purpose {
            Purpose::Server => format!("server certificate of {component}"),
            Purpose::Client => format!("client certificate for {component}"),
        },
        because: lack.to_string(),
        days_left: match lack {
            Lack::DaysLeft(days) => Some(*days),
            _ => None,
        },
    }
}

/// Says with every Secret that changes which workloads restart because of it: those that read it
/// and are there already.
pub fn name_restarts(secrets: &mut [SecretChange], manifests: &[Manifest], objects: &[ObjectPlan]) {
    let is_there = |object: &ObjectRef| {
        let planned = objects.iter().find(|plan| plan.object == *object);
        planned.is_some_and(|plan| plan.action != Action::Create)
    };
    let changed = secrets.iter_mut();
    for secret in changed.filter(|secret| secret.action != Action::Keep) {
        let readers = manifests.iter().filter(|manifest| {
            secrets_of(manifest).contains(&secret.object.name) && is_there(&manifest.object)
        });
        secret.restarts = readers
            .map(|manifest| format!("{}/{}", manifest.object.kind, manifest.object.name))
            .collect();
    }
}

/// The names of the Secrets that a workload's pods read, in order.
pub fn secrets_of(manifest: &Manifest) -> Vec<String> {
    let mut names = BTreeSet::new();
    collect_secrets(&manifest.value["spec"]["template"], &mut names);
    names.into_iter().collect()
}

fn collect_secrets(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let referred = fields
                .get("secretKeyRef")
                .map(|reference| &reference["name"])
                .or_else(|| fields.get("secret").map(|volume| &volume["secretName"]));
            names.extend(referred.and_then(Value::as_str).map(str::to_owned));
            fields
                .values()
                .for_each(|value| collect_secrets(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_secrets(value, names)),
        _ => {}
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
