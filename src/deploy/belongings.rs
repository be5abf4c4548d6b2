//! What a stage made and its values no longer ask for. What was found is sorted purely.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::observe::Observed;
use super::plan::hosts;
use super::secrets::AUTHORITY_SECRET;
use crate::cluster::inventory::{self, Membership};
use crate::cluster::managers::is_applied_by_us;
use crate::cluster::snapshot::reference;
use crate::model::component::Component;
use crate::model::labels;
use crate::model::manifest::RenderedSet;
use crate::model::object::{ObjectKind, ObjectRef};

/// Something of ours that stays although nothing asks for it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// What, as `KIND/NAME`.
    pub object: String,
    /// Why it is not deleted.
    pub because: String,
    /// The member of the set that it is; `None` for a claim, which its StatefulSet made.
    #[serde(skip)]
    pub member: Option<ObjectRef>,
}

/// An object of ours that nothing asks for any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwanted {
    /// Which.
    pub object: ObjectRef,
    /// The UID of the one that was looked at.
    pub uid: String,
}

/// What a stage has besides what it wants.
#[derive(Debug, Clone, Default)]
pub struct Belongings {
    /// What is deleted, in this order: what was applied last goes first.
    pub unwanted: Vec<Unwanted>,
    /// What stays.
    pub kept: Vec<Kept>,
    /// Every autoscaler of the namespace, whoever made it.
    pub autoscalers: Vec<Value>,
    /// The objects that are ours: those that are listed, and those that carry our label.
    pub ours: BTreeSet<ObjectRef>,
}

impl Belongings {
    /// What the inventory has to list once everything is applied and these deletions are made:
    /// what is wanted and what stays.
    pub fn members(&self, set: &RenderedSet) -> BTreeSet<ObjectRef> {
        let kept = self.kept.iter().filter_map(|kept| kept.member.clone());
        wanted(set).into_iter().chain(kept).collect()
    }

    /// What the inventory has to list while a run goes on, so that the next one can make up for it
    /// if it is interrupted: what is wanted and what was.
    pub fn union(&self, set: &RenderedSet) -> BTreeSet<ObjectRef> {
        wanted(set).into_iter().chain(self.ours.clone()).collect()
    }
}

/// The objects of a set and the Secrets that it needs.
fn wanted(set: &RenderedSet) -> BTreeSet<ObjectRef> {
    let secrets = set
        .secrets
        .iter()
        .map(|need| ObjectRef::new(ObjectKind::Secret, &set.namespace, &need.name));
    let objects = set.manifests.iter().map(|manifest| manifest.object.clone());
    objects.chain(secrets).collect()
}

/// What a stage has besides what it wants, among all that its namespace holds.
pub fn find(observed: &Observed) -> Belongings {
    let set = &observed.set;
    let parent = inventory::parent(&set.namespace, set.profile.name());
    let listed = observed.record().map(inventory::listed).unwrap_or_default();
    let live = &observed.live;
    let carrying: BTreeSet<ObjectRef> = live
        .members(&parent)
        .map(|(object, _)| object.clone())
        .collect();
    let ours: BTreeSet<ObjectRef> = listed.union(&carrying).cloned().collect();
    let found: Vec<&Value> = ours.iter().filter_map(|object| live.get(object)).collect();
    let (unwanted, mut kept) = sort(set, &parent, &listed, &found);
    kept.extend(claims(live.claims(), &unwanted, &found));
    kept.extend(kept_authority(observed));
    Belongings {
        unwanted,
        kept,
        autoscalers: live
            .of_kind(ObjectKind::HorizontalPodAutoscaler)
            .cloned()
            .collect(),
        ours,
    }
}

/// Sorts live objects into those that are deleted and those that stay. What is wanted, what is
/// another set's and what is going anyway is neither; from an empty set nothing follows at all.
fn sort(
    set: &RenderedSet,
    parent: &ObjectRef,
    listed: &BTreeSet<ObjectRef>,
    live: &[&Value],
) -> (Vec<Unwanted>, Vec<Kept>) {
    let (mut unwanted, mut kept) = (Vec::new(), Vec::new());
    if set.manifests.is_empty() {
        return (unwanted, kept);
    }
    let wanted = wanted(set);
    for found in live {
        let Some(object) = reference(found) else {
            continue;
        };
        let is_out_of_question = object == *parent
            || matches!(object.kind, ObjectKind::Namespace | ObjectKind::Lease)
            || !found["metadata"]["deletionTimestamp"].is_null();
        let is_ours = match inventory::membership(found, parent) {
            Membership::Ours => true,
            Membership::Anothers => false,
            // Somebody may have made another object of that name since.
            Membership::Nobodys => listed.contains(&object) && is_applied_by_us(found),
        };
        if is_out_of_question || !is_ours || wanted.contains(&object) {
            continue;
        }
        match reason_to_keep(&object, found) {
            Some(because) => kept.push(Kept {
                object: format!("{}/{}", object.kind, object.name),
                because: because.to_owned(),
                member: Some(object),
            }),
            None => unwanted.push(Unwanted {
                object,
                uid: text(&found["metadata"]["uid"]),
            }),
        }
    }
    unwanted.sort_by(|one, other| other.object.cmp(&one.object));
    (unwanted, kept)
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Why an object that nothing asks for stays: nothing that holds data is ever deleted.
pub(super) fn reason_to_keep(object: &ObjectRef, live: &Value) -> Option<&'static str> {
    match object.kind {
        ObjectKind::Secret if !is_signed_by_us(live) => Some("its data cannot be made again"),
        ObjectKind::StatefulSet
            if live["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete" =>
        {
            Some("its volumes would be deleted with it")
        }
        ObjectKind::PersistentVolumeClaim => Some("it holds data"),
        _ => None,
    }
}

/// Whether a Secret of ours holds nothing but certificates, which are signed again when needed.
pub(super) fn is_signed_by_us(secret: &Value) -> bool {
    let is_ours = secret["metadata"]["labels"][labels::MANAGED_BY] == labels::TELECTL;
    let is_authority = secret["metadata"]["name"] == AUTHORITY_SECRET;
    let mut keys = secret["data"].as_object().into_iter().flatten();
    is_ours
        && !is_authority
        && keys.all(|(key, _)| matches!(key.as_str(), "tls.crt" | "tls.key" | "ca.crt"))
}

/// The claims that stay when StatefulSets are deleted.
fn claims(claims: &[Value], unwanted: &[Unwanted], live: &[&Value]) -> Vec<Kept> {
    let sets = unwanted
        .iter()
        .filter(|unwanted| unwanted.object.kind == ObjectKind::StatefulSet);
    let templates: Vec<String> = sets
        .filter_map(|set| {
            let is_it = |found: &&&Value| found["metadata"]["uid"] == set.uid.as_str();
            live.iter().find(is_it)
        })
        .flat_map(|set| claim_prefixes(set))
        .collect();
    let names = claims.iter().map(|claim| text(&claim["metadata"]["name"]));
    names
        .filter(|name| is_claim_of(name, &templates))
        .map(|name| Kept {
            object: format!("PersistentVolumeClaim/{name}"),
            because: "it holds data".to_owned(),
            member: None,
        })
        .collect()
}

/// What the names of a StatefulSet's claims begin with: `TEMPLATE-SET-`.
pub(super) fn claim_prefixes(set: &Value) -> Vec<String> {
    let templates = set["spec"]["volumeClaimTemplates"].as_array();
    let templates = templates.into_iter().flatten();
    templates
        .map(|template| {
            let (template, set) = (&template["metadata"]["name"], &set["metadata"]["name"]);
            format!("{}-{}-", text(template), text(set))
        })
        .collect()
}

pub(super) fn is_claim_of(name: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| {
        let ordinal = name.strip_prefix(prefix.as_str());
        ordinal.is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
    })
}

/// The private authority, where nothing runs any more that it signed for.
fn kept_authority(observed: &Observed) -> Option<Kept> {
    let is_there = observed
        .secrets
        .get(AUTHORITY_SECRET)
        .is_some_and(|secret| secret.ours);
    let servers = [Component::Redis, Component::Etcd, Component::Postgresql];
    let signs = servers.iter().any(|server| hosts(&observed.set, *server));
    (is_there && !signs && !observed.set.manifests.is_empty()).then(|| Kept {
        object: format!("{}/{AUTHORITY_SECRET}", ObjectKind::Secret),
        because: "other clusters may trust it".to_owned(),
        member: None,
    })
}

#[cfg(test)]
#[path = "belongings_tests.rs"]
mod tests;
