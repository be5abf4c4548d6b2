//! What becomes of one object: whose it is, what the server says to the change, and what the policy
//! allows.

use serde_json::Value;

use super::answers::Answers;
use super::claim::{Claim, claim};
use super::plan::{Action, FieldConflict, ObjectPlan};
use super::policy::{Adoption, Policy, without_brackets};
use super::recreate::recreation;
use super::refusal::{is_admissions, is_fixed, refused, rejected};
use super::run::Run;
use super::scaling::Scaling;
use super::takeover::{given_up, is_earlier, patch_between, sorted, takeover};
use crate::cluster::applied::is_applied;
use crate::cluster::apply::{DryRun, dry_run, dry_run_conflicts, dry_run_merge};
use crate::cluster::diff::{changes, masked};
use crate::cluster::managers::managers;
use crate::cluster::{Cluster, ClusterError};
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};

/// What the plan of an object depends on besides the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judging<'a> {
    /// Who decides how many pods there are.
    pub(super) scaling: &'a Scaling,
    /// What somebody allowed.
    pub(super) policy: &'a Policy,
    /// What the servers said before.
    pub(super) answers: &'a Answers,
}

impl Run<'_> {
    /// What the plans of this run's objects depend on.
    pub(super) const fn judging<'a>(&'a self, scaling: &'a Scaling) -> Judging<'a> {
        Judging {
            scaling,
            policy: &self.options.policy,
            answers: &self.answers,
        }
    }
}

/// Plans one object, given as it is: keeps an autoscaler's count, and asks the server what would
/// change unless it is proven that nothing does.
pub(super) async fn plan_object(
    cluster: &Cluster,
    judging: Judging<'_>,
    manifest: Manifest,
    live: Option<&Value>,
) -> Result<ObjectPlan, ClusterError> {
    let manifest = judging.scaling.with_live_count(manifest, live);
    let owner = live.and_then(|live| claim(&manifest, live));
    if let Some(owner) = &owner
        && judging.policy.adoption == Adoption::Refused
    {
        return Ok(somebody_elses(&manifest.object, owner));
    }
    if let Some(live) = live
        && owner.is_none()
        && is_applied(&manifest.value, live)
        && takeover(&manifest, live, None).is_none()
    {
        return Ok(ObjectPlan::new(manifest.object, Action::Keep));
    }
    let known = live.and_then(|live| judging.answers.known(cluster.name(), &manifest, live));
    let answered = match known {
        Some(plan) => Ok(plan),
        None => {
            judging.answers.want();
            answer(cluster, &manifest, live, owner.as_ref()).await
        }
    };
    if let (Ok(plan), Some(live)) = (&answered, live) {
        judging.answers.keep(cluster.name(), &manifest, live, plan);
    }
    let plan = match (answered, live) {
        (Err(ClusterError::Refused { message, .. }), _) if is_admissions(&message) => {
            rejected(&manifest, &message)
        }
        // What is there cannot become this: the rest of the plan is worth seeing all the same.
        (Err(ClusterError::Refused { code, message, .. }), Some(live))
            if is_fixed(&manifest.object, code, &message) =>
        {
            unchangeable(cluster, judging.policy, &manifest, live, &message).await?
        }
        (answered, _) => answered?,
    };
    let plan = judging.scaling.released(plan);
    Ok(ObjectPlan {
        owner,
        ..allowed(plan, judging.policy)
    })
}

/// What the server says to the change of an object.
async fn answer(
    cluster: &Cluster,
    manifest: &Manifest,
    live: Option<&Value>,
    owner: Option<&Claim>,
) -> Result<ObjectPlan, ClusterError> {
    let earlier = live.and_then(|live| Some((live, takeover(manifest, live, owner)?)));
    let Some((live, mut takeover)) = earlier else {
        let answer = dry_run(cluster, manifest).await?;
        return Ok(object_plan(&manifest.object, live, &answer));
    };
    let conflicts = dry_run_conflicts(cluster, manifest).await?;
    let conflicts = without_earlier(conflicts, live, owner);
    // Taken by force, what goes would still be there, and may not go together with what comes. And
    // what takes the place of a field that goes is the server's to say.
    let (left, next) = given_up(manifest, live, owner);
    let patch = patch_between(live, &next);
    let next = dry_run_merge(cluster, &manifest.object, &patch).await?;
    let answer = match conflicts.as_slice() {
        [] => DryRun::Accepted(next),
        _ => DryRun::Conflict {
            fields: conflicts,
            taken: next,
        },
    };
    let plan = object_plan(&manifest.object, Some(live), &answer);
    let (asked, dropped) = sorted(plan.changes, &changes(live, &left));
    takeover.dropped = dropped;
    Ok(ObjectPlan {
        action: match plan.action {
            Action::Keep => Action::Update,
            other => other,
        },
        changes: asked,
        takeover: Some(takeover),
        ..plan
    })
}

/// The conflicts that are not about what an earlier self owns.
fn without_earlier(
    conflicts: Vec<(String, String)>,
    live: &Value,
    owner: Option<&Claim>,
) -> Vec<(String, String)> {
    let is_anothers = |(field, name): &(String, String)| {
        let named = managers(live).filter(|manager| manager.name() == name);
        // Two managers may have one name: then it counts who of them owns the field.
        let (earlier, others): (Vec<_>, Vec<_>) =
            named.partition(|manager| is_earlier(*manager, live, owner));
        let path = without_brackets(field);
        earlier.is_empty() || others.iter().any(|manager| manager.fields().has(&path))
    };
    conflicts.into_iter().filter(is_anothers).collect()
}

/// The plan of an object that is left alone because it is somebody else's.
fn somebody_elses(object: &ObjectRef, owner: &Claim) -> ObjectPlan {
    ObjectPlan {
        owner: Some(owner.clone()),
        ..ObjectPlan::new(object.clone(), Action::Refuse)
    }
}

/// The plan of an object whose change the server refuses: it is made anew if the policy says so
/// and the server would have the new one.
async fn unchangeable(
    cluster: &Cluster,
    policy: &Policy,
    manifest: &Manifest,
    live: &Value,
    message: &str,
) -> Result<ObjectPlan, ClusterError> {
    let plan = refused(manifest, live, message);
    if !policy.recreates(&manifest.object) {
        return Ok(plan);
    }
    let refuse = |message: &str| {
        let mut plan = plan.clone();
        if let Some(refusal) = plan.refusal.as_mut() {
            refusal.not_recreated = Some(message.to_owned());
        }
        plan
    };
    let recreation = match recreation(manifest, live) {
        Ok(recreation) => recreation,
        Err(because) => return Ok(refuse(because)),
    };
    if manifest.object.kind == ObjectKind::Service {
        // Its ports and addresses may be given only once, so it cannot be tried.
        if plan.changes.is_empty() {
            return Ok(plan);
        }
    } else {
        match dry_run(cluster, &under_another_name(manifest)).await {
            Err(ClusterError::Refused {
                code: 422, message, ..
            }) => return Ok(refuse(&message)),
            answer => drop(answer?),
        }
    }
    Ok(ObjectPlan {
        action: Action::Recreate,
        recreation: Some(recreation),
        refusal: None,
        ..plan
    })
}

/// The same object as one that does not exist yet, to ask whether the server would make it.
fn under_another_name(manifest: &Manifest) -> Manifest {
    let mut other = manifest.clone();
    other.object.name = format!("{}-anew", manifest.object.name);
    other.value["metadata"]["name"] = other.object.name.clone().into();
    other
}

/// What applying a manifest does, given the object as it is and the server's answer.
pub(super) fn object_plan(object: &ObjectRef, live: Option<&Value>, answer: &DryRun) -> ObjectPlan {
    let differences = |live: &Value, next: &Value| match object.kind {
        ObjectKind::Secret => masked(changes(live, next)),
        _ => changes(live, next),
    };
    match (live, answer) {
        (None, _) | (_, DryRun::NamespaceMissing) => {
            ObjectPlan::new(object.clone(), Action::Create)
        }
        (Some(live), DryRun::Accepted(next)) => {
            let changes = differences(live, next);
            let action = if changes.is_empty() {
                Action::Keep
            } else {
                Action::Update
            };
            ObjectPlan {
                changes,
                ..ObjectPlan::new(object.clone(), action)
            }
        }
        (Some(live), DryRun::Conflict { fields, taken }) => {
            let mut plan = ObjectPlan::new(object.clone(), Action::Conflict);
            for change in differences(live, taken) {
                match owner(&change.field, fields) {
                    Some(manager) => plan.conflicts.push(FieldConflict {
                        since: since(live, &manager, &change.field),
                        change,
                        manager,
                    }),
                    None => plan.changes.push(change),
                }
            }
            plan
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

/// When a manager wrote a field last, RFC 3339; its latest write if that does not tell.
fn since(live: &Value, name: &str, field: &str) -> Option<String> {
    let path = without_brackets(field);
    let named = || managers(live).filter(|manager| manager.name() == name);
    let writers = named().filter(|manager| manager.fields().has(&path));
    let latest = writers.map(|manager| manager.time()).max();
    latest
        .or_else(|| named().map(|manager| manager.time()).max())
        .filter(|time| !time.is_empty())
        .map(str::to_owned)
}

/// The plan once the fields that may be taken are ours.
fn allowed(mut plan: ObjectPlan, policy: &Policy) -> ObjectPlan {
    let (taken, others): (Vec<_>, Vec<_>) = plan
        .conflicts
        .into_iter()
        .partition(|conflict| policy.takes(conflict));
    plan.taken = taken;
    plan.conflicts = others;
    if plan.action == Action::Conflict && plan.conflicts.is_empty() {
        plan.action = Action::Update;
    }
    plan
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
