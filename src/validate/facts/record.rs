//! What telectl noted in a namespace about what it deployed there, and what of it is gone.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::inventory;
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::profile::Profile;

use super::{Listing, Objects, Unread};

/// The record of a profile in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The profile.
    pub profile: Profile,
    /// The Deployments and StatefulSets that it lists.
    pub workloads: BTreeSet<ObjectRef>,
    /// The last run that came to its end, if one did.
    pub last: Option<LastRun>,
}

/// The last run that deployed a profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LastRun {
    /// RFC 3339.
    pub at: String,
    /// By whom.
    pub by: String,
    /// With which version of telectl.
    pub version: String,
    /// Which generation of the history it was, where that was noted.
    pub generation: Option<u64>,
}

impl Record {
    /// From the record's object.
    pub fn from_object(profile: Profile, object: &Value) -> Self {
        let mut workloads = inventory::listed(object);
        workloads.retain(|listed| listing(listed.kind).is_some());
        Self {
            profile,
            workloads,
            last: inventory::recorded(object).map(|recorded| LastRun {
                at: recorded.at.to_owned(),
                by: recorded.by.to_owned(),
                version: recorded.version.to_owned(),
                generation: recorded.generation.map(u64::from),
            }),
        }
    }
}

/// The list that a workload of this kind stands in; `None` for what is no workload.
const fn listing(kind: ObjectKind) -> Option<Listing> {
    match kind {
        ObjectKind::Deployment => Some(Listing::Deployments),
        ObjectKind::StatefulSet => Some(Listing::StatefulSets),
        _ => None,
    }
}

/// A workload that a record lists and that was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen<'a> {
    /// The record's profile.
    pub profile: Profile,
    /// The workload.
    pub object: &'a ObjectRef,
    /// The list in which it would stand, if that could not be read: it may be there.
    pub unread: Option<&'a Unread>,
}

impl Objects {
    /// The workloads that records list and that were not seen.
    pub fn unseen_workloads(&self) -> impl Iterator<Item = Unseen<'_>> {
        let recorded = self.records.iter().flat_map(|record| {
            let workloads = record.workloads.iter();
            workloads.map(move |object| (record.profile, object))
        });
        recorded
            .filter(|(_, object)| {
                !self.workloads.iter().any(|workload| {
                    workload.kind == object.kind
                        && workload.namespace == object.namespace
                        && workload.name == object.name
                })
            })
            .map(|(profile, object)| Unseen {
                profile,
                object,
                unread: listing(object.kind)
                    .and_then(|listing| self.unread_in(&[listing], &object.namespace)),
            })
    }
}
