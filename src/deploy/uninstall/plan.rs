//! What an uninstall deletes and what it keeps. Pure: what was seen comes in as values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::belongings::{
    Kept, Unwanted, claim_prefixes, is_claim_of, is_signed_by_us, text,
};
use super::super::layout::Stage;
use super::super::secrets::AUTHORITY_SECRET;
use crate::cluster::inventory::{self, Membership};
use crate::cluster::managers::is_applied_by_us;
use crate::cluster::snapshot::reference;
use crate::model::labels;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

/// What becomes of volumes, passwords and the private authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// They stay.
    Keep,
    /// They are deleted, too.
    Delete,
}

/// Batches in a streamer's spool that the store has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// The pod.
    pub pod: String,
    /// How many; `None` if the pod does not say.
    pub undrained: Option<u64>,
}

/// How a stage was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The namespace, if it exists.
    pub namespace: Option<Value>,
    /// The inventory's parent, if there is one.
    pub record: Option<Value>,
    /// The records of other profiles in the namespace.
    pub others: Vec<(Profile, Value)>,
    /// What carries the label of the set, and what the record lists.
    pub live: Vec<Value>,
    /// The private authority, if there is one.
    pub authority: Option<Value>,
    /// Every volume claim of the namespace.
    pub claims: Vec<Value>,
    /// What the streamers say.
    pub spools: Vec<Spool>,
}

/// A volume claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// The UID of the one that was looked at.
    pub uid: String,
}

/// What happens to the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceFate {
    /// There is none.
    Absent,
    /// It is deleted, if nothing else turns out to be in it.
    Deleted,
    /// It stays.
    Kept {
        /// Why.
        because: String,
    },
}

/// What happens in one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The stage.
    pub stage: Stage,
    /// URL of the API server.
    pub server: String,
    /// What is deleted, in this order.
    pub objects: Vec<Unwanted>,
    /// The volume claims that are deleted.
    pub claims: Vec<Claim>,
    /// What stays although it belongs to the profile.
    pub kept: Vec<Kept>,
    /// The names of claims among what stays.
    pub kept_claims: BTreeSet<String>,
    /// The values of `app.kubernetes.io/instance` of what is there.
    pub instances: BTreeSet<String>,
    /// What happens to the record: it stays as long as anything does, because it says whose that is
    /// and under which cluster id the data was stored.
    pub record: RecordFate,
    /// What happens to the namespace.
    pub namespace: NamespaceFate,
    /// What somebody should know before saying yes.
    pub warnings: Vec<String>,
}

/// What happens to the inventory's parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFate {
    /// There is none.
    Absent,
    /// It lists what is kept.
    Shortened,
    /// It lists nothing else than what is kept already.
    Unchanged,
    /// It is deleted.
    Deleted,
}

impl Removal {
    /// Whether anything would be written.
    pub fn has_changes(&self) -> bool {
        !self.objects.is_empty()
            || !self.claims.is_empty()
            || matches!(self.record, RecordFate::Deleted | RecordFate::Shortened)
            || self.namespace == NamespaceFate::Deleted
    }

    /// How many objects are deleted: the record counts, the namespace does not.
    pub fn count(&self) -> usize {
        let record = usize::from(self.record == RecordFate::Deleted);
        self.objects.len() + self.claims.len() + record
    }
}

/// Decides about a stage.
pub fn plan(stage: &Stage, server: &str, found: &Found, data: Data) -> Removal {
    let parent = inventory::parent(&stage.namespace, stage.profile.name());
    let listed = found.record.as_ref().map(inventory::listed);
    let listed = listed.unwrap_or_default();
    let ours: Vec<(ObjectRef, &Value)> = found
        .live
        .iter()
        .filter_map(|live| Some((reference(live)?, live)))
        .filter(|(object, live)| is_ours(object, live, &parent, &listed))
        .collect();
    let (mut objects, mut kept) = (Vec::new(), Vec::new());
    for (object, live) in &ours {
        match reason_to_keep(object, live, found, data) {
            Some(because) => kept.push(keep(object, because)),
            None => objects.push(unwanted(object, live)),
        }
    }
    objects.sort_by(|one, other| other.object.cmp(&one.object));
    authority(stage, found, data, &mut objects, &mut kept);
    let instances = instances(&ours);
    let all_claims = claims(found, &ours, &instances);
    let mut kept_claims = BTreeSet::new();
    let claims = match data {
        Data::Delete => all_claims,
        Data::Keep => {
            for claim in all_claims {
                kept.push(Kept {
                    object: format!("PersistentVolumeClaim/{}", claim.name),
                    because: "it holds data".to_owned(),
                    member: None,
                });
                kept_claims.insert(claim.name);
            }
            Vec::new()
        }
    };
    let mut removal = Removal {
        stage: stage.clone(),
        server: server.to_owned(),
        objects,
        claims,
        kept,
        kept_claims,
        instances,
        record: RecordFate::Absent,
        namespace: NamespaceFate::Absent,
        warnings: warnings(found, data),
    };
    removal.record = record(found, &removal);
    removal.namespace = namespace(found, &removal);
    removal
}

/// Whether a live object is a member of the set. What is going already is nobody's any more.
fn is_ours(
    object: &ObjectRef,
    live: &Value,
    parent: &ObjectRef,
    listed: &BTreeSet<ObjectRef>,
) -> bool {
    let is_out_of_question = object == parent
        || matches!(object.kind, ObjectKind::Namespace | ObjectKind::Lease)
        || object.name == AUTHORITY_SECRET
        || !live["metadata"]["deletionTimestamp"].is_null();
    !is_out_of_question
        && match inventory::membership(live, parent) {
            Membership::Ours => true,
            Membership::Anothers => false,
            // Somebody may have made another object of that name since.
            Membership::Nobodys => listed.contains(object) && is_applied_by_us(live),
        }
}

fn reason_to_keep(object: &ObjectRef, live: &Value, found: &Found, data: Data) -> Option<String> {
    let user = found
        .others
        .iter()
        .find(|(_, record)| inventory::listed(record).contains(object));
    if let Some((profile, _)) = user {
        return Some(format!("profile {profile} uses it"));
    }
    if data == Data::Delete {
        return None;
    }
    let retention = &live["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
    match object.kind {
        ObjectKind::Secret if !is_signed_by_us(live) => {
            Some("its data cannot be made again".to_owned())
        }
        ObjectKind::StatefulSet if *retention == "Delete" => {
            Some("its volumes would be deleted with it".to_owned())
        }
        ObjectKind::PersistentVolumeClaim => Some("it holds data".to_owned()),
        _ => None,
    }
}

fn keep(object: &ObjectRef, because: String) -> Kept {
    Kept {
        object: format!("{}/{}", object.kind, object.name),
        because,
        member: Some(object.clone()),
    }
}

fn unwanted(object: &ObjectRef, live: &Value) -> Unwanted {
    Unwanted {
        object: object.clone(),
        uid: text(&live["metadata"]["uid"]),
    }
}

/// The private authority belongs to the namespace: it goes with the last profile in it.
fn authority(
    stage: &Stage,
    found: &Found,
    data: Data,
    objects: &mut Vec<Unwanted>,
    kept: &mut Vec<Kept>,
) {
    let Some(live) = &found.authority else {
        return;
    };
    let is_ours = live["metadata"]["labels"][labels::MANAGED_BY] == labels::TELECTL
        && is_applied_by_us(live)
        && live["metadata"]["deletionTimestamp"].is_null();
    let was_deployed = found.record.is_some() || !objects.is_empty();
    if !is_ours || !was_deployed {
        return;
    }
    let object = ObjectRef::new(ObjectKind::Secret, &stage.namespace, AUTHORITY_SECRET);
    let because = match (data, found.others.first()) {
        (_, Some((profile, _))) => format!("profile {profile} is in the namespace, too"),
        (Data::Keep, None) => "other clusters may trust it".to_owned(),
        (Data::Delete, None) => return objects.push(unwanted(&object, live)),
    };
    kept.push(Kept {
        member: None,
        ..keep(&object, because)
    });
}

fn instances(ours: &[(ObjectRef, &Value)]) -> BTreeSet<String> {
    let labels = ours
        .iter()
        .filter_map(|(_, live)| live["metadata"]["labels"]["app.kubernetes.io/instance"].as_str());
    labels.map(str::to_owned).collect()
}

/// The claims of the set: those that its StatefulSets made, those that an earlier run kept, and,
/// if an earlier run was broken off after it deleted a StatefulSet, those with its labels.
fn claims(found: &Found, ours: &[(ObjectRef, &Value)], instances: &BTreeSet<String>) -> Vec<Claim> {
    let sets = ours
        .iter()
        .filter(|(object, _)| object.kind == ObjectKind::StatefulSet);
    let prefixes: Vec<String> = sets.flat_map(|(_, live)| claim_prefixes(live)).collect();
    let noted = found.record.as_ref().map(kept_claims).unwrap_or_default();
    let is_ours = |claim: &&Value| {
        let name = text(&claim["metadata"]["name"]);
        let of_claim = &claim["metadata"]["labels"];
        let instance = of_claim["app.kubernetes.io/instance"].as_str();
        let is_labelled = of_claim[labels::SERVING] == "true"
            && of_claim[labels::COMPONENT].is_string()
            && instance.is_some_and(|instance| instances.contains(instance));
        is_claim_of(&name, &prefixes) || noted.contains(&name) || is_labelled
    };
    let claims = found.claims.iter().filter(is_ours);
    let mut claims: Vec<Claim> = claims
        .filter(|claim| claim["metadata"]["deletionTimestamp"].is_null())
        .map(|claim| Claim {
            name: text(&claim["metadata"]["name"]),
            uid: text(&claim["metadata"]["uid"]),
        })
        .collect();
    claims.sort();
    claims
}

/// Annotation of a record: the volume claims that an uninstall kept, as a JSON list of names.
pub(super) const KEPT_CLAIMS: &str = "telectl.io/kept-claims";

/// The claims that a record says were kept.
fn kept_claims(record: &Value) -> BTreeSet<String> {
    let noted = record["metadata"]["annotations"][KEPT_CLAIMS].as_str();
    noted
        .and_then(|noted| serde_json::from_str(noted).ok())
        .unwrap_or_default()
}

fn record(found: &Found, removal: &Removal) -> RecordFate {
    let Some(record) = &found.record else {
        return RecordFate::Absent;
    };
    if removal.kept.is_empty() {
        return RecordFate::Deleted;
    }
    let is_short = removal.objects.is_empty()
        && inventory::listed(record) == kept_members(removal)
        && kept_claims(record) == removal.kept_claims
        && inventory::recorded(record).is_none();
    if is_short {
        RecordFate::Unchanged
    } else {
        RecordFate::Shortened
    }
}

/// What the record lists afterwards.
pub(super) fn kept_members(removal: &Removal) -> BTreeSet<ObjectRef> {
    let kept = removal.kept.iter();
    kept.filter_map(|kept| kept.member.clone()).collect()
}

fn namespace(found: &Found, removal: &Removal) -> NamespaceFate {
    let Some(namespace) = &found.namespace else {
        return NamespaceFate::Absent;
    };
    let kept = |because: String| NamespaceFate::Kept { because };
    let of_namespace = &namespace["metadata"]["labels"];
    let is_ours = of_namespace[labels::MANAGED_BY] == labels::TELECTL
        && of_namespace[labels::PART_OF] == labels::PIPELINE;
    if !is_ours {
        return kept("telectl did not make it".to_owned());
    }
    if let Some((profile, _)) = found.others.first() {
        return kept(format!("profile {profile} is in it"));
    }
    match removal.kept.first() {
        Some(first) => kept(format!("{} is in it", first.object)),
        None => NamespaceFate::Deleted,
    }
}

fn warnings(found: &Found, data: Data) -> Vec<String> {
    let fate = match data {
        Data::Keep => "they stay in its volume until it is deployed again",
        Data::Delete => "they are lost",
    };
    let told = found.spools.iter().filter_map(|spool| match spool {
        Spool {
            undrained: Some(0), ..
        } => None,
        Spool {
            pod,
            undrained: Some(undrained),
        } => Some(format!(
            "{pod} holds {undrained} batches that the store has not acknowledged: {fate}"
        )),
        Spool {
            pod,
            undrained: None,
        } => Some(format!(
            "{pod} does not say how many batches the store has not acknowledged: {fate}"
        )),
    });
    told.collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
