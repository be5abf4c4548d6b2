//! Takes possession of an object before it is applied: what an earlier tool owned becomes ours, and
//! one that has to be made anew goes.

use std::time::Duration;

use serde_json::Value;

use super::error::DeployError;
use super::plan::ObjectPlan;
use super::stage_run::StageRun;
use super::takeover::{Takeover, takeover as takeover_of};
use crate::cluster::ClusterError;
use crate::cluster::apply::{Ownership, Writer};
use crate::cluster::wait::until;
use crate::model::manifest::Manifest;

/// How long an object may take to be gone. With pods that stop first nothing has to wait for them.
const GONE_DEADLINE: Duration = Duration::from_secs(60);

/// How often an object is read again that changes while it is taken over.
const ATTEMPTS: u32 = 10;

impl StageRun<'_> {
    /// Makes way for an object as planned.
    pub(super) async fn take_possession(
        &self,
        plan: &ObjectPlan,
        manifest: &Manifest,
    ) -> Result<(), DeployError> {
        let (cluster, object) = (self.cluster(), &plan.object);
        let writer = Writer::new(cluster, self.writing.consent);
        if let Some(recreation) = &plan.recreation {
            self.require_leave()?;
            writer
                .make_way(object, &recreation.uid, recreation.cascade)
                .await?;
            let is_gone = |live: Option<&Value>| {
                live.is_none_or(|live| live["metadata"]["uid"] != recreation.uid.as_str())
            };
            until(cluster, object, "is gone", GONE_DEADLINE, is_gone).await?;
            return Ok(());
        }
        let mut takeover = plan.takeover.clone();
        for attempt in 1.. {
            let Some(Takeover { patch, .. }) = &takeover else {
                break;
            };
            self.require_leave()?;
            match writer.hand_over(object, patch).await {
                Ok(()) => break,
                // Its status changed, most likely: the same for the object as it is now.
                Err(ClusterError::Refused { code: 409, .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
            let uid = patch["metadata"]["uid"].clone();
            let live = cluster.get(object).await?;
            let same = live.filter(|live| live["metadata"]["uid"] == uid);
            takeover = same.and_then(|live| takeover_of(manifest, &live, plan.owner.as_ref()));
        }
        Ok(())
    }
}

impl ObjectPlan {
    /// Whether applying it takes fields of others, as the plan says.
    pub(super) const fn ownership(&self) -> Ownership {
        if self.taken.is_empty() {
            Ownership::Respect
        } else {
            Ownership::Take
        }
    }
}
