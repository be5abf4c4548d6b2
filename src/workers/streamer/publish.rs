//! Publishes what is in the spool, in order, for ever.

use std::convert::Infallible;

use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use tokio::time::sleep;

use crate::model::backoff::Backoff;
use crate::model::source::BatchId;
use crate::queue::{Entry, Published, Queue};

use super::StreamerError;
use super::health::Health;
use super::meter::Meter;
use super::outbox::Outbox;

/// Publications under way at once: enough to hide a slow line, few enough to stay nearly in order.
const IN_FLIGHT: usize = 4;

/// What became of a publication.
enum Outcome {
    Done,
    Failed,
}

/// Runs until the spool fails.
pub(super) async fn publish<Q: Queue>(
    queue: &Q,
    outbox: &Outbox,
    health: &Health,
    meter: &Meter,
) -> Result<Infallible, StreamerError> {
    let mut in_flight = FuturesOrdered::new();
    let mut backoff = Backoff::default();
    loop {
        while in_flight.len() < IN_FLIGHT
            && let Some(id) = outbox.take_waiting()
        {
            in_flight.push_back(publish_one(queue, outbox, health, meter, id));
        }
        let room = in_flight.len() < IN_FLIGHT;
        let outcome = tokio::select! {
            Some(outcome) = in_flight.next() => outcome?,
            () = outbox.waiting(), if room => continue,
        };
        match outcome {
            Outcome::Done => backoff.succeeded(),
            Outcome::Failed => {
                // The others that are under way fail alike: one pause for all of them.
                while let Some(outcome) = in_flight.next().await {
                    outcome?;
                }
                sleep(backoff.failed(rand::random())).await;
            }
        }
    }
}

async fn publish_one<Q: Queue>(
    queue: &Q,
    outbox: &Outbox,
    health: &Health,
    meter: &Meter,
    id: BatchId,
) -> Result<Outcome, StreamerError> {
    let sequence = id.sequence;
    let Some(payload) = outbox.load(sequence).await? else {
        return Ok(Outcome::Done);
    };
    let (batch, bytes) = (id.clone(), payload.len() as u64);
    // If it fails it may still have had its effect; the ledger does not mind the second one.
    let published = health.note(queue.publish(Entry { id, payload }).await).ok();
    let outcome = match &published {
        Some(Published {
            shard, position, ..
        }) => {
            tracing::debug!(%batch, shard, position, bytes, "published");
            meter.published.inc();
            meter.published_bytes.inc_by(bytes);
            Outcome::Done
        }
        None => {
            tracing::debug!(%batch, "not published, will try again");
            Outcome::Failed
        }
    };
    outbox.published(sequence, published);
    Ok(outcome)
}
