//! The streamer as a whole.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::try_join;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::worker::{IdentitySettings, SourceSettings, StreamerSettings};
use crate::queue::Queue;
use crate::workers::vitals::Vitals;

use super::announced::Announced;
use super::csv::Limits;
use super::follow::follow;
use super::health::Health;
use super::meter::Meter;
use super::outbox::Outbox;
use super::piece::Affinity;
use super::publish::publish;
use super::read::Reading;
use super::reconcile::Reconciler;
use super::scrape::scrape;
use super::stream::stream;
use super::upload::Uploads;
use super::{StreamerError, blocking};

/// Bytes of a source in one batch at most, apart from its last record. Far above 5,000 rows of the
/// DCGM export (2.2 MB), so that it only bounds memory.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;
/// How long a stopping streamer goes on publishing. What is left stays in the spool.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How often a stopping streamer looks whether everything was published.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// How often the status page is brought up to date.
const SHOW_INTERVAL: Duration = Duration::from_millis(500);

/// Streams the source until `stop` is cancelled; in once mode it stays idle after the end, unless
/// the collectors get another store, which may lack what was acknowledged. Returns after what it had
/// begun is in the spool and, if the queue answers, published.
///
/// # Errors
/// When the source cannot be read or the spool cannot be used; never because of the queue.
pub async fn run<Q: Queue>(
    settings: &StreamerSettings,
    identity: &IdentitySettings,
    queue: Q,
    uploads: Option<Uploads>,
    (vitals, stop): (Vitals, CancellationToken),
) -> Result<(), StreamerError> {
    let meter = Meter::register(&vitals, &identity.cluster_id);
    let health = Health::new(&vitals, &meter);
    let outbox = {
        let (folder, limit) = (settings.spool_dir.clone(), settings.spool_limit);
        let meter = meter.clone();
        blocking(move || Outbox::open(&folder, limit, meter)).await?
    };
    let undrained = outbox.undrained();
    if undrained > 0 {
        tracing::info!(messages = undrained, "publishing what is left in the spool");
    }
    let announced = Announced::nothing();
    let reading = Reading {
        queue: &queue,
        announced: &announced,
        outbox: &outbox,
        health: &health,
        meter: &meter,
        vitals: &vitals,
        stop: &stop,
        streamer: &identity.id,
        affinity: Affinity::of(&identity.id, settings.replicas),
        limits: Limits {
            records: settings.batch_size,
            bytes: CHUNK_BYTES,
        },
        pace: settings.stream_interval,
    };
    let reconciler = Reconciler {
        queue: &queue,
        announced: &announced,
        outbox: &outbox,
        health: &health,
        meter: &meter,
        owner: &identity.id,
    };
    let work = async {
        let finite = stream(&reading, settings, identity, uploads);
        try_join(
            Box::pin(finite),
            Box::pin(live(&reading, settings, identity)),
        )
        .await?;
        stop.cancelled().await;
        drain(&outbox, &reconciler).await
    };
    let ended = tokio::select! {
        ended = Box::pin(work) => ended,
        never = Box::pin(publish(&queue, &outbox, &health, &meter)) => never.map(|never| match never {}),
        never = Box::pin(reconciler.run()) => never.map(|never| match never {}),
        never = show(&vitals, &outbox, &meter) => match never {},
    };
    show_now(&vitals, &outbox, &meter);
    ended
}

/// Reads what goes on without an end, beside everything else.
async fn live<Q: Queue>(
    reading: &Reading<'_, Q>,
    settings: &StreamerSettings,
    identity: &IdentitySettings,
) -> Result<(), StreamerError> {
    match &settings.source {
        SourceSettings::Followed(followed) => {
            let place = (identity.cluster_id.as_str(), settings.spool_dir.as_path());
            follow(reading, followed, place).await
        }
        SourceSettings::Scraped(scraped) => {
            let cluster = identity.cluster_id.as_str();
            scrape(reading, scraped, (cluster, settings.replicas)).await
        }
        SourceSettings::Nothing | SourceSettings::Files(_) | SourceSettings::Generated(_) => Ok(()),
    }
}

/// Publishes what is in the spool and takes note of what was acknowledged, if the queue answers in
/// time. The publisher runs beside this.
async fn drain<Q: Queue>(
    outbox: &Outbox,
    reconciler: &Reconciler<'_, Q>,
) -> Result<(), StreamerError> {
    let draining = async {
        let mut looks = interval(DRAIN_LOOK);
        while !outbox.is_published() {
            looks.tick().await;
        }
        reconciler.compare(&mut 0).await
    };
    match timeout(DRAIN_LIMIT, draining).await {
        Ok(drained) => drained,
        Err(_) => {
            let messages = outbox.undrained();
            tracing::warn!(messages, "the rest stays in the spool until the next start");
            Ok(())
        }
    }
}

async fn show(vitals: &Vitals, outbox: &Outbox, meter: &Meter) -> Infallible {
    let mut ticks = interval(SHOW_INTERVAL);
    loop {
        ticks.tick().await;
        show_now(vitals, outbox, meter);
    }
}

fn show_now(vitals: &Vitals, outbox: &Outbox, meter: &Meter) {
    // Before the numbers: an empty spool must not stand beside fewer acknowledgements than that took.
    let undrained = outbox.undrained();
    vitals.detail("rows_spooled", meter.rows.get());
    vitals.detail("chunks_claimed", meter.chunks_claimed.get());
    vitals.detail("chunks_completed", meter.chunks_completed.get());
    vitals.detail("batches_published", meter.published.get());
    vitals.detail("batches_lost", meter.lost.get());
    vitals.detail("batches_acknowledged", meter.acknowledged.get());
    vitals.detail("spool_bytes", meter.spool_bytes.get());
    vitals.detail("spool_undrained", undrained);
    vitals.detail("spool_incarnation", outbox.incarnation().0.clone());
}
