//! The streamer as a whole.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::worker::{IdentitySettings, StreamerSettings};
use crate::model::source::PassId;
use crate::queue::Queue;
use crate::workers::vitals::Vitals;

use super::announced::Announced;
use super::csv::Limits;
use super::health::Health;
use super::meter::Meter;
use super::outbox::Outbox;
use super::piece::Affinity;
use super::publish::publish;
use super::read::{Flow, Reading};
use super::reconcile::Reconciler;
use super::source::Source;
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
    vitals: Vitals,
    stop: CancellationToken,
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
        stream(&reading, settings, &identity.cluster_id).await?;
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

async fn stream<Q: Queue>(
    reading: &Reading<'_, Q>,
    settings: &StreamerSettings,
    cluster: &str,
) -> Result<(), StreamerError> {
    let (vitals, announced) = (reading.vitals, reading.announced);
    // A failure is noted by then, and that is all.
    drop(announced.ask(reading.queue, reading.health).await);
    vitals.detail("csv_file", settings.csv_file.display().to_string());
    let mut patience = Patience::default();
    loop {
        let (path, cluster) = (settings.csv_file.clone(), cluster.to_owned());
        let stop = reading.stop.clone();
        let opened = blocking(move || Source::open(&path, &cluster, &stop)).await?;
        let Some(source) = opened.map(Arc::new) else {
            return Ok(());
        };
        let pass = if settings.loop_mode {
            PassId(hex::encode(rand::random::<[u8; 16]>()))
        } else {
            PassId::once()
        };
        vitals.detail("source", source.id.to_string());
        vitals.detail("source_bytes", source.size);
        vitals.detail("pass", pass.0.clone());
        tracing::info!(source = %source.id, pass = pass.0, "reading");
        let mut heard = announced.listen();
        if reading.pass(&source, &pass).await? == Flow::Stopped {
            return Ok(());
        }
        if settings.loop_mode {
            continue;
        }
        vitals.detail("source_state", "finished");
        tracing::info!(source = %source.id, "read to its end");
        let again = async {
            heard.news().await;
            sleep(patience.pause()).await;
        };
        tokio::select! {
            () = reading.stop.cancelled() => return Ok(()),
            () = again => {}
        }
        tracing::info!("the collectors fill another store: reading again what it may lack");
    }
}

/// Pauses before a source is read again. They grow as long as the announcements do not settle, as
/// when the collectors of two pipelines take each other's queue for theirs.
#[derive(Debug, Default)]
struct Patience {
    last: Option<Instant>,
    soon: usize,
}

impl Patience {
    const PAUSES: [Duration; 4] = [
        Duration::ZERO,
        Duration::from_secs(10),
        Duration::from_secs(60),
        Duration::from_secs(300),
    ];
    /// After this time without news, the next is the first again.
    const SETTLED: Duration = Duration::from_secs(600);

    fn pause(&mut self) -> Duration {
        let is_soon = self.last.is_some_and(|last| last.elapsed() < Self::SETTLED);
        self.soon = if is_soon { self.soon + 1 } else { 0 };
        self.last = Some(Instant::now());
        Self::PAUSES[self.soon.min(Self::PAUSES.len() - 1)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_followed_at_once_and_a_series_of_them_ever_later() {
        let mut patience = Patience::default();
        let pauses: Vec<Duration> = (0..6).map(|_| patience.pause()).collect();
        assert_eq!(pauses[..4], Patience::PAUSES);
        assert_eq!(pauses[5], pauses[3]);
        patience.last = Instant::now().checked_sub(Patience::SETTLED);
        assert_eq!(patience.pause(), Duration::ZERO);
    }
}
