//! What the status page and the metrics tell of the files that are followed.

use serde_json::json;

use crate::queue::Queue;

use super::Follower;

/// Files that the status page names at most.
const SHOWN: usize = 100;

impl<Q: Queue> Follower<'_, Q> {
    pub(super) fn show(&self) {
        let (vitals, meter) = (self.reading.vitals, self.reading.meter);
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        meter.followed_files.set(gauge(self.followed.len() as u64));
        let behind = self.followed.iter().map(|one| one.behind()).sum();
        meter.followed_behind_bytes.set(gauge(behind));
        meter
            .followed_set_aside
            .set(gauge(self.set_aside.len() as u64));
        let files = self.followed.iter().take(SHOWN).map(|one| {
            let position = &one.position;
            json!({
                "source": position.source.to_string(),
                "path": position.path,
                "bytes": position.content.offset,
                "behind": one.behind(),
                "rows": position.rows,
                "quarantined": position.quarantined,
                "gone": one.gone.is_some(),
            })
        });
        vitals.detail("followed", files.collect::<Vec<_>>());
        vitals.detail("followed_set_aside", json!(self.set_aside));
        vitals.detail("followed_signed_off", self.ended.len());
        let state = if self.reading.outbox.has_room() {
            "following"
        } else {
            "waiting for room in the spool"
        };
        vitals.detail("source_state", state);
    }
}
