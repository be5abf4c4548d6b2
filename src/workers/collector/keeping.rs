//! Keeps the store's partitions beside the data path.

use std::time::Duration;

use tokio::time::sleep;

use crate::model::causes::chain;
use crate::queue::Queue;
use crate::store::Store;

use super::Collector;

/// Longest pause between two looks at what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Shortest pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

impl<Q: Queue, S: Store> Collector<'_, Q, S> {
    /// Until `stop`. An index under way is left to the server, which goes on with it or drops it.
    pub(super) async fn keep(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.keep_on() => {}
        }
    }

    /// What fails is tried again: nothing that is stored depends on it.
    async fn keep_on(&self) {
        let quiet = self.settings.upkeep.quiet;
        let pause = (quiet / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.store.upkeep().await {
                Ok(done) => {
                    for day in &done.expired {
                        tracing::info!(day, "dropped: it is not kept any more");
                    }
                    for day in &done.indexed {
                        tracing::info!(day, "indexed by series");
                    }
                }
                Err(error) => {
                    let reason = chain(&error);
                    tracing::warn!(reason, "the store's partitions are kept later");
                }
            }
            sleep(pause).await;
        }
    }
}
