//! Sends canaries, from the place of a streamer.

use std::time::Instant;

use jiff::Timestamp;

use crate::model::batch::Message;
use crate::model::canary::{Canary, CanaryId};
use crate::model::causes::chain;
use crate::model::time::EventTime;
use crate::probe::dns::Resolver;
use crate::probe::redis::{Refusal, refusal};
use crate::probe::result::{Cause, TargetReport};
use crate::probe::target::{Target, probe};
use crate::queue::redis::RedisQueue;
use crate::queue::{Entry, Published, Queue, codec};

use super::report::{Sending, SentCanary};

/// Looks at Redis hop by hop and, if that is well, publishes the canaries one after the other:
/// number `n` (from 0) into shard `n` modulo the number of shards. Nothing is tried twice: what is
/// lost shall be seen.
pub async fn send(
    target: &Target,
    resolver: &Resolver,
    cluster: &str,
    ids: &[CanaryId],
) -> (TargetReport, Vec<SentCanary>) {
    let (report, _) = probe(target, resolver).await;
    let seen = report.failed_hop().and_then(|hop| hop.outcome.failure());
    let queue = match (seen, target) {
        (Some(refusal), _) => Err(refusal),
        (None, Target::Redis(settings)) => match RedisQueue::new(settings) {
            // What a connection costs is no part of what publishing costs.
            Ok(queue) => queue.ping().await.map(|()| queue).map_err(refusal),
            Err(error) => Err(refusal(error)),
        },
        (None, _) => Err((Cause::Misconfigured, "Redis is not configured".to_owned())),
    };
    let mut sent = Vec::with_capacity(ids.len());
    for (number, id) in (0..).zip(ids) {
        let canary = Canary {
            route: Canary::route(number),
            id: id.clone(),
            cluster: cluster.to_owned(),
            sent_at: EventTime::from(Timestamp::now()),
        };
        let outcome = match &queue {
            Ok(queue) => publish(queue, &canary).await,
            Err(refusal) => Err(refusal.clone()),
        };
        sent.push(SentCanary {
            id: id.to_string(),
            sent_at: canary.sent_at.timestamp().unwrap_or_default(),
            outcome: outcome.unwrap_or_else(|(cause, detail)| Sending::Failed { cause, detail }),
        });
    }
    (report, sent)
}

async fn publish(queue: &impl Queue, canary: &Canary) -> Result<Sending, Refusal> {
    let payload = codec::encode(&Message::Canary(canary.clone()))
        .map_err(|error| (Cause::Unknown, chain(&error)))?;
    let id = canary.route.clone();
    let started = Instant::now();
    let published = queue.publish(Entry { id, payload }).await;
    let took_ms = started.elapsed().as_secs_f64() * 1000.0;
    let Published {
        shard, position, ..
    } = published.map_err(refusal)?;
    let published_at = time_of(&position).ok_or_else(|| {
        let detail = format!("the queue calls the entry `{position}`, which tells no time");
        (Cause::ProtocolError, detail)
    })?;
    Ok(Sending::Published {
        shard,
        published_at,
        took_ms,
    })
}

/// The time in a position within a stream, such as `1753000000000-0`.
fn time_of(position: &str) -> Option<Timestamp> {
    let milliseconds = position.split('-').next()?.parse().ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::time_of;

    #[test]
    fn a_position_tells_when_the_queue_took_the_entry() {
        let time = time_of("1753000000123-4").unwrap();
        assert_eq!(time.as_millisecond(), 1_753_000_000_123);
        assert_eq!(time_of("first"), None);
    }
}
