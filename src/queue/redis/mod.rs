//! The queue on Redis Streams.
//!
//! The keys of shard `k` of pipeline `p`:
//!
//! | key | holds |
//! |---|---|
//! | `tele:{p.k}` | the stream; consumer group `collectors` |
//! | `tele:{p.k}:token` | random name of this data set, made by whoever publishes first |
//! | `tele:{p.k}:acked:<incarnation>` | sequences that were acknowledged and not yet forgotten, each with the store that has it |
//! | `tele:{p.k}:claim:<hash>` | who works on a piece of a source, or into which store it was completed |
//! | `tele:{p.k}:dead` | entries that were set aside |
//! | `tele:{p}:store` | which store the collectors fill |
//!
//! Nothing is ever trimmed by length: an entry leaves with its acknowledgement. There is no
//! substitute for a server that does not answer: calls fail until it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::redis::{Script, cmd, pipe};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::config::worker::RedisSettings;
use crate::model::endpoint::Endpoint;
use crate::model::source::{BatchId, IncarnationId, StoreToken};

use super::{
    Acknowledgements, Claim, DataSetToken, Delivery, Depth, Entry, Published, Queue, QueueError,
};
use consumer::Consumers;
use drain::Removal;
use link::Link;
use route::Connector;

mod advice;
mod connection;
mod consumer;
mod drain;
mod entry;
mod failure;
mod keys;
mod link;
mod route;

pub use failure::{Failure, FailureKind};
pub use keys::Shard;

/// The one consumer group.
const GROUP: &str = "collectors";
/// How long acknowledgements wait for their streamer, and marks of completed claims live.
const MEMORY: Duration = Duration::from_secs(7 * 24 * 3600);

static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
         if held and held == ARGV[3] then return 2 end
         if held and held ~= ARGV[1] and string.sub(held, 1, 6) == 'owner ' then return 1 end
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
         return 0",
    )
});

/// Counts an entry without sending its payload.
static COUNT_AT: LazyLock<Script> =
    LazyLock::new(|| Script::new("return #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])"));

/// Entries, pending ones, dead ones, and the age of the oldest in milliseconds (-1: none).
static DEPTH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
         local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
         local age = -1
         if first then
           local time = redis.call('TIME')
           age = time[1] * 1000 + math.floor(time[2] / 1000)
               - tonumber(string.match(first[1], '^%d+'))
         end
         return {redis.call('XLEN', KEYS[1]), pending[1] or 0, redis.call('LLEN', KEYS[2]), age}",
    )
});

/// A queue on a Redis server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct RedisQueue(Arc<Shared>);

/// A server, and the shards that it has.
#[derive(Debug, Clone)]
pub struct Located {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The same, with who says so.
    pub address: String,
    /// What it has.
    pub shards: Vec<Shard>,
}

struct Shared {
    link: Link,
    shards: Vec<Shard>,
    /// Key of the announcement.
    store: String,
    consumers: Consumers,
}

impl RedisQueue {
    /// A queue; connects with the first call. Fails if the settings cannot work: TLS without an
    /// authority, or an authority that is no certificate.
    pub fn new(settings: &RedisSettings) -> Result<Self, QueueError> {
        let connector = Connector::new(settings)?;
        let numbers = 0..settings.shards.max(1);
        let shards: Vec<Shard> = numbers
            .map(|number| Shard::of(&settings.pipeline, number))
            .collect();
        let store = keys::store(&settings.pipeline);
        let places = shards.iter().map(|shard| shard.stream().to_owned());
        let places = places.chain([store.clone()]);
        Ok(Self(Arc::new(Shared {
            consumers: Consumers::new(connector.clone(), shards.clone(), settings.claim_idle),
            link: Link::new(connector, places),
            store,
            shards,
        })))
    }

    /// The servers that have the shards now, as sentinels or nodes of a cluster say.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] if nobody says it.
    pub async fn locate(&self) -> Result<Vec<Located>, QueueError> {
        let mut located: Vec<Located> = Vec::new();
        for shard in &self.0.shards {
            let server = self.0.link.locate(shard.stream()).await?;
            let mut known = located.iter_mut();
            match known.find(|known| known.endpoint == server.endpoint) {
                Some(known) => known.shards.push(shard.clone()),
                None => located.push(Located {
                    address: server.address(),
                    endpoint: server.endpoint,
                    shards: vec![shard.clone()],
                }),
            }
        }
        Ok(located)
    }

    /// The shard of a number that is spread evenly.
    fn shard(&self, number: u64) -> &Shard {
        let shards = &self.0.shards;
        // There is at least one.
        &shards[(number % shards.len() as u64) as usize]
    }

    /// Where the claim on `key` is kept: the shard and its key there.
    fn claim_key(&self, key: &str) -> (&Shard, String) {
        let hash = Sha256::digest(key.as_bytes());
        let number = hash
            .iter()
            .take(8)
            .fold(0, |number, byte| (number << 8) | u64::from(*byte));
        let shard = self.shard(number);
        (shard, shard.claim(&hash[..16]))
    }
}

/// Value of a claim that was completed into a store; an owner's value begins with another word.
fn completed(store: &StoreToken) -> String {
    format!("completed {}", store.0)
}

/// The removal of an entry that the store has.
const fn acknowledged(delivery: &Delivery) -> Removal<'_> {
    Removal {
        position: delivery.position.as_str(),
        told: Some(&delivery.entry.id),
        dead: Vec::new(),
    }
}

impl Queue for RedisQueue {
    async fn publish(&self, entry: Entry) -> Result<Published, QueueError> {
        let shard = self.shard(entry.id.sequence);
        let token = shard.token();
        let mut pipeline = pipe();
        pipeline
            .atomic()
            .cmd("SET")
            .arg(&token)
            .arg(hex::encode(rand::random::<[u8; 16]>()))
            .arg("NX")
            .ignore();
        pipeline.cmd("XADD").arg(shard.stream()).arg("*");
        entry::add_fields(&mut pipeline, &entry, Timestamp::now());
        pipeline.cmd("GET").arg(&token);
        let (position, token): (String, String) = self
            .0
            .link
            .run(shard.stream(), "publish", &pipeline)
            .await?;
        Ok(Published {
            shard: shard.number,
            position,
            token: DataSetToken(token),
        })
    }

    async fn acknowledgements(
        &self,
        incarnation: &IncarnationId,
    ) -> Result<Acknowledgements, QueueError> {
        let mut answer = Acknowledgements {
            tokens: BTreeMap::new(),
            sequences: BTreeMap::new(),
        };
        for shard in &self.0.shards {
            let told = drain::told(shard, incarnation);
            let (token, sequences): (Option<String>, BTreeMap<u64, String>) = self
                .0
                .link
                .run(shard.stream(), "read acknowledgements", &told)
                .await?;
            let stores = sequences
                .into_iter()
                .map(|(sequence, store)| (sequence, StoreToken(store)));
            answer.sequences.extend(stores);
            if let Some(token) = token {
                answer.tokens.insert(shard.number, DataSetToken(token));
            }
        }
        Ok(answer)
    }

    async fn forget_acknowledgements(
        &self,
        incarnation: &IncarnationId,
        sequences: &BTreeSet<u64>,
    ) -> Result<(), QueueError> {
        for shard in &self.0.shards {
            let of_shard: Vec<u64> = sequences
                .iter()
                .copied()
                .filter(|sequence| self.shard(*sequence).number == shard.number)
                .collect();
            if of_shard.is_empty() {
                continue;
            }
            let mut pipeline = pipe();
            pipeline
                .hdel(shard.acknowledged(incarnation), of_shard)
                .ignore();
            self.0
                .link
                .run::<()>(shard.stream(), "forget acknowledgements", &pipeline)
                .await?;
        }
        Ok(())
    }

    async fn is_present(&self, id: &BatchId, position: &str) -> Result<bool, QueueError> {
        let stream = self.shard(id.sequence).stream();
        let mut call = COUNT_AT.key(stream);
        call.arg(position);
        let link = &self.0.link;
        let count: u64 = link.run(stream, "look for an entry", &call).await?;
        Ok(count > 0)
    }

    async fn claim(
        &self,
        key: &str,
        owner: &str,
        time: Duration,
        store: Option<&StoreToken>,
    ) -> Result<Claim, QueueError> {
        let (shard, key) = self.claim_key(key);
        let done = store.map(completed).unwrap_or_default();
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut call = CLAIM.key(key);
        call.arg(format!("owner {owner}")).arg(time).arg(done);
        let link = &self.0.link;
        let answer: u8 = link.run(shard.stream(), "claim work", &call).await?;
        Ok(match answer {
            0 => Claim::Mine,
            1 => Claim::Theirs,
            _ => Claim::Completed,
        })
    }

    async fn complete_claim(&self, key: &str, store: &StoreToken) -> Result<(), QueueError> {
        let (shard, key) = self.claim_key(key);
        let mut pipeline = pipe();
        pipeline
            .set_ex(key, completed(store), MEMORY.as_secs())
            .ignore();
        self.0
            .link
            .run(shard.stream(), "complete a claim", &pipeline)
            .await
    }

    async fn announce_store(&self, store: &StoreToken) -> Result<(), QueueError> {
        let call = drain::replace(&self.0.store, &store.0);
        self.0
            .link
            .run(&self.0.store, "note which store is filled", &call)
            .await
    }

    async fn announced_store(&self) -> Result<Option<StoreToken>, QueueError> {
        let mut command = cmd("GET");
        command.arg(&self.0.store);
        let link = &self.0.link;
        let store: Option<String> = link
            .run(&self.0.store, "tell which store is filled", &command)
            .await?;
        Ok(store.map(StoreToken))
    }

    async fn receive(
        &self,
        consumer: &str,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let consumer = self.0.consumers.named(consumer);
        let mut consumer = consumer.lock().await;
        consumer.receive(&self.0.link, limit.max(1), wait).await
    }

    async fn acknowledge(
        &self,
        deliveries: &[Delivery],
        store: &StoreToken,
    ) -> Result<(), QueueError> {
        let mut by_shard: BTreeMap<u32, Vec<Removal<'_>>> = BTreeMap::new();
        for delivery in deliveries {
            let removals = by_shard.entry(delivery.shard).or_default();
            removals.push(acknowledged(delivery));
        }
        for (shard, removals) in by_shard {
            let shard = self.shard(shard.into());
            let removal = drain::remove(shard, &removals, Some(store));
            self.0
                .link
                .run::<()>(shard.stream(), "acknowledge", &removal)
                .await?;
        }
        Ok(())
    }

    async fn dead_letter(
        &self,
        delivery: &Delivery,
        reason: &str,
        store: &StoreToken,
    ) -> Result<(), QueueError> {
        let shard = self.shard(delivery.shard.into());
        let removal = Removal {
            dead: entry::dead(delivery, reason),
            ..acknowledged(delivery)
        };
        let removal = drain::remove(shard, &[removal], Some(store));
        self.0
            .link
            .run(shard.stream(), "set an entry aside", &removal)
            .await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        let mut depth = Depth::default();
        for shard in &self.0.shards {
            let mut call = DEPTH.key(shard.stream());
            call.key(shard.dead()).arg(GROUP);
            let (entries, pending, dead, age): (u64, u64, u64, i64) = self
                .0
                .link
                .run(shard.stream(), "tell its depth", &call)
                .await?;
            depth.entries += entries;
            depth.pending += pending;
            depth.dead += dead;
            if entries > 0 {
                // Negative where the server's clock was set back.
                let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
                depth.oldest = depth.oldest.max(Some(age));
            }
        }
        Ok(depth)
    }

    async fn ping(&self) -> Result<(), QueueError> {
        // Elsewhere than in a cluster, one server has all of them.
        let all = self.0.link.servers_at_most();
        for shard in self.0.shards.iter().take(all) {
            self.0
                .link
                .run::<()>(shard.stream(), "answer", &cmd("PING"))
                .await?;
        }
        Ok(())
    }
}
