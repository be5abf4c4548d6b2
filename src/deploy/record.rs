//! Keeps the inventory's parent: before a stage is written it lists whatever may be there at the
//! end, so that the next run can make up for one that is interrupted; afterwards, what is there.

use std::collections::BTreeSet;

use super::belongings::{Belongings, find};
use super::error::DeployError;
use super::execute::Writing;
use super::observe::Observed;
use super::plan::Action;
use super::run::Run;
use crate::cluster::apply::Ownership;
use crate::cluster::inventory::{self, Record};
use crate::model::object::ObjectRef;

impl Run<'_> {
    /// Lists what was there and what will be. What earlier runs noted stays: this one is not done.
    pub(super) async fn open_record(
        &mut self,
        writing: &mut Writing<'_>,
        observed: &Observed,
        belongings: &Belongings,
    ) -> Result<(), DeployError> {
        let members = belongings.union(&observed.set);
        let live = observed.record.as_ref();
        if live.is_some_and(|live| inventory::listed(live) == members) {
            return Ok(());
        }
        let recorded = live.and_then(inventory::recorded);
        let parent = inventory::parent(&observed.set.namespace, observed.set.profile.name());
        let manifest = inventory::parent_manifest(&parent, &members, recorded.as_ref());
        let action = if live.is_some() {
            Action::Update
        } else {
            Action::Create
        };
        self.write(writing, &manifest, action, Ownership::Take)
            .await
    }

    /// Notes what is there now, when it was deployed and by whom, unless nothing changed.
    pub(super) async fn close_record(
        &mut self,
        writing: &mut Writing<'_>,
        observed: &Observed,
    ) -> Result<(), DeployError> {
        let cluster = self.cluster(writing.stage);
        let set = &observed.set;
        let parent = inventory::parent(&set.namespace, set.profile.name());
        let found = find(cluster, writing.stage, observed).await?;
        // What came to be unwanted after the plan was agreed to is still there.
        let left = found.unwanted.iter().map(|one| one.object.clone());
        let members: BTreeSet<ObjectRef> = found.members(set).into_iter().chain(left).collect();
        let touched = writing.progressed.of(writing.stage);
        let live = cluster.get(&parent).await?;
        let is_noted = live.as_ref().is_some_and(|live| {
            inventory::is_recorded(live, &set.cluster_id) && inventory::listed(live) == members
        });
        if is_noted && touched.written.is_empty() && touched.deleted.is_empty() {
            return Ok(());
        }
        let at = format!("{:.0}", jiff::Timestamp::now());
        let who = self.options.who.clone();
        let files = serde_json::json!(self.options.files).to_string();
        let record = Record {
            at: &at,
            by: &who,
            version: env!("CARGO_PKG_VERSION"),
            cluster_id: &set.cluster_id,
            files: Some(&files),
        };
        let manifest = inventory::parent_manifest(&parent, &members, Some(&record));
        let action = if live.is_some() {
            Action::Update
        } else {
            Action::Create
        };
        self.write(writing, &manifest, action, Ownership::Take)
            .await
    }
}
