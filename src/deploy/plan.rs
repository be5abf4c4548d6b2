//! What a run would do. Pure: everything that was observed comes in as values.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::advertised::OWN_NOT_YET_KNOWN;
use super::belongings::Kept;
use super::certificates::{Lack, Purpose};
use super::claim::Claim;
use super::handover::NOT_YET_KNOWN;
use super::layout::Stage;
use super::preflight::Finding;
use super::recreate::Recreation;
use super::refusal::Refusal;
use super::role::Held;
use super::secrets::{AUTHORITY_SECRET, Origin, SecretPlan};
use super::takeover::Takeover;
use crate::cluster::diff::FieldChange;
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
    /// It is deleted and made anew, because what differs is fixed for its life.
    Recreate,
}

/// A field that somebody else changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldConflict {
    /// The change that would take it back.
    #[serde(flatten)]
    pub change: FieldChange,
    /// Who owns it.
    pub manager: String,
    /// When it was written last (RFC 3339), if that is known.
    pub since: Option<String>,
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
    /// The fields of others that become ours, because somebody said so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<FieldConflict>,
    /// To whom it belongs, if not to us.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Claim>,
    /// What becomes ours because an earlier tool owned it.
    #[serde(rename = "taken_over", skip_serializing_if = "Option::is_none")]
    pub takeover: Option<Takeover>,
    /// How it is made anew, if it is; `changes` are then the fixed fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recreation: Option<Recreation>,
    /// Why it cannot be changed, if it cannot; `changes` are then the fixed fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

impl ObjectPlan {
    /// A plan of which nothing is known but what happens.
    pub const fn new(object: ObjectRef, action: Action) -> Self {
        Self {
            object,
            action,
            changes: Vec::new(),
            conflicts: Vec::new(),
            taken: Vec::new(),
            owner: None,
            takeover: None,
            recreation: None,
            refusal: None,
        }
    }

    /// Whether it is left alone because it is somebody else's.
    pub fn is_anothers(&self) -> bool {
        self.action == Action::Refuse && self.owner.is_some() && self.refusal.is_none()
    }
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

/// The plan of an object whose conflicts are only about addresses that are not known yet: whether
/// these differ is judged once they are.
pub fn later_addresses(mut plan: ObjectPlan) -> ObjectPlan {
    let awaited = |conflict: &FieldConflict| {
        let after = conflict.change.after.as_ref().map(Value::to_string);
        let to_come = [NOT_YET_KNOWN, OWN_NOT_YET_KNOWN];
        after.is_some_and(|after| to_come.iter().any(|word| after.contains(word)))
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
    let action = match record {
        None => Action::Create,
        Some(record) if is_as_it_should_be(record) && !plan.has_changes() => Action::Keep,
        Some(_) => Action::Update,
    };
    let parent = inventory::parent(&plan.stage.namespace, plan.stage.profile.name());
    ObjectPlan {
        changes: change.into_iter().collect(),
        ..ObjectPlan::new(parent, action)
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
            was_deployed: true,
            is_there,
            ..
        } => (
            if *is_there {
                Action::Update
            } else {
                Action::Create
            },
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
