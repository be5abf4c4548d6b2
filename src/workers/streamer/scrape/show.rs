//! What the status page and the metrics tell of what is scraped.

use serde_json::json;

use crate::queue::Queue;

use super::Scraper;

/// Targets that the status page names at most.
const SHOWN: usize = 100;

impl<Q: Queue> Scraper<'_, Q> {
    pub(super) fn show(&self) {
        let (vitals, meter) = (self.reading.vitals, self.reading.meter);
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let mine = || self.targets.values().filter(|target| target.is_mine);
        let failing = mine().filter(|target| target.failure.is_some());
        meter.scrape_targets.set(gauge(mine().count()));
        meter.scrape_targets_down.set(gauge(failing.count()));
        let told = mine().take(SHOWN).map(|target| {
            json!({
                "source": target.source.to_string(),
                "pass": target.pass.0,
                "rows": target.rows,
                "failure": target.failure,
            })
        });
        vitals.detail("scraped", told.collect::<Vec<_>>());
        vitals.detail("scraped_by_others", self.targets.len() - mine().count());
        vitals.detail("scrape_unresolved", json!(self.unresolved));
        let state = if self.has_room {
            "scraping"
        } else {
            "waiting for room in the spool"
        };
        vitals.detail("source_state", state);
    }
}
