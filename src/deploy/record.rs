//! Keeps the inventory's parent and the history beside it: before a stage is written the parent
//! lists whatever may be there at the end, so that the next run can make up for one that is
//! interrupted; afterwards, what is there.

use std::collections::BTreeSet;

use futures::future::{join, join_all};

use super::belongings::{Belongings, find};
use super::error::DeployError;
use super::history::{self, Generation};
use super::knowledge::Knowledge;
use super::observe::Observed;
use super::plan::Action;
use super::stage_run::StageRun;
use crate::cluster::apply::Ownership;
use crate::cluster::inventory::{self, Record};
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::ObjectRef;

impl StageRun<'_> {
    /// Lists what was there and what will be. What earlier runs noted stays: this one is not done.
    pub(super) async fn open_record(&self, observed: &Observed) -> Result<(), DeployError> {
        let members = find(observed).union(&observed.set);
        let live = observed.record();
        if live.is_some_and(|live| inventory::listed(live) == members) {
            return Ok(());
        }
        let recorded = live.and_then(inventory::recorded);
        let known = live.and_then(inventory::recorded_cluster_id);
        let cluster_id = known.unwrap_or(&observed.set.cluster_id);
        let parent = parent(&observed.set);
        let manifest = inventory::parent_manifest(&parent, &members, cluster_id, recorded.as_ref());
        let action = action(live.is_some());
        self.write(&manifest, action, Ownership::Take).await
    }

    /// Notes what is there now, when it was deployed and by whom, unless nothing changed; and keeps
    /// the objects in the history. `seen` is how the stage was seen last.
    pub(super) async fn close_record(
        &self,
        seen: Observed,
        knowledge: &Knowledge,
    ) -> Result<(), DeployError> {
        let touched = self.writing.ledger.of(self.stage);
        // Which objects there are is what counts here.
        let observed = if touched.created.is_empty() && touched.deleted.is_empty() {
            seen
        } else {
            self.look(&mut knowledge.clone()).await?
        };
        let members = members(&observed, &find(&observed));
        let cluster_id = &observed.set.cluster_id;
        let is_noted = observed.record().is_some_and(|live| {
            inventory::is_recorded(live, cluster_id) && inventory::listed(live) == members
        });
        if is_noted && !touched.is_touched() {
            return Ok(());
        }
        let options = &self.run.options;
        let generation = Generation {
            number: self.run.generation,
            at: format!("{:.0}", jiff::Timestamp::now()),
            by: options.who.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            files: options.files.clone(),
            note: options.note.clone(),
        };
        let entry: Manifest = history::entry(&observed.set, &generation)?;
        drop(self.write_quietly(&entry).await?);
        // Whatever fails, what was begun comes to its end.
        let (noted, forgotten) = join(
            self.note(&observed, &members, &generation),
            self.forget_outdated(&observed),
        )
        .await;
        noted.and(forgotten)
    }

    /// Writes the record of a generation that is deployed and ready.
    pub(super) async fn note(
        &self,
        observed: &Observed,
        members: &BTreeSet<ObjectRef>,
        generation: &Generation,
    ) -> Result<(), DeployError> {
        let files = serde_json::json!(generation.files).to_string();
        let record = Record {
            at: &generation.at,
            by: &generation.by,
            version: &generation.version,
            files: Some(&files),
            generation: Some(generation.number),
        };
        let set = &observed.set;
        let manifest =
            inventory::parent_manifest(&parent(set), members, &set.cluster_id, Some(&record));
        let action = action(observed.record().is_some());
        self.write(&manifest, action, Ownership::Take).await
    }

    /// Takes out of the history what is too old.
    async fn forget_outdated(&self, observed: &Observed) -> Result<(), DeployError> {
        let outdated = history::outdated(&observed.live, self.stage.profile);
        let gone = outdated
            .iter()
            .map(|(object, uid)| self.delete_quietly(object, uid));
        join_all(gone).await.into_iter().collect()
    }
}

/// What is a member once a stage is deployed. What is unwanted is still there until it is pruned.
pub(super) fn members(observed: &Observed, found: &Belongings) -> BTreeSet<ObjectRef> {
    let left = found.unwanted.iter().map(|one| one.object.clone());
    found
        .members(&observed.set)
        .into_iter()
        .chain(left)
        .collect()
}

fn parent(set: &RenderedSet) -> ObjectRef {
    inventory::parent(&set.namespace, set.profile.name())
}

const fn action(is_there: bool) -> Action {
    if is_there {
        Action::Update
    } else {
        Action::Create
    }
}
