//! Reading: one connection and one blocking read per shard.
//!
//! A read outlives the call that began it: if the call's time passes, the next call goes on with
//! the same read, so that no entry is delivered to a read that nobody waits for any more. (The
//! driver's own response timeout would do exactly that, so these connections have none; a deadline
//! around the read replaces the connection of a silent server.) After every connect, what the
//! consumer has been given and not acknowledged comes first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{Value, cmd};
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use tokio::time::{timeout, timeout_at};

use crate::queue::{Delivery, QueueError};

use super::connection::{Connector, Link};
use super::drain::{self, Removal};
use super::entry::{self, Field, Received, of_read, of_takeover};
use super::failure::Failure;
use super::{GROUP, Shard};

/// How long the server holds a read open. Short, because a server whose data was deleted notices
/// only afterwards that the group is gone.
const BLOCK: Duration = Duration::from_secs(2);
/// How much later than [`BLOCK`] an answer may be before the connection counts as dead.
const SLACK: Duration = Duration::from_secs(3);
/// How often, within the idle time, to look for entries of silent consumers. With the default of
/// 8 s they are taken over after 10 s at the latest.
const LOOKS_PER_IDLE: u32 = 4;

/// The consumers of one queue, by name.
pub(super) struct Consumers {
    connector: Connector,
    shards: Vec<Shard>,
    idle: Duration,
    by_name: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Consumer>>>>,
}

impl Consumers {
    pub(super) fn new(connector: Connector, shards: Vec<Shard>, idle: Duration) -> Self {
        Self {
            connector,
            shards,
            idle,
            by_name: Mutex::default(),
        }
    }

    pub(super) fn named(&self, name: &str) -> Arc<tokio::sync::Mutex<Consumer>> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let shards = self.shards.iter().cloned();
            let lanes = shards.map(|shard| Lane::new(&self.connector, name, shard));
            Arc::new(tokio::sync::Mutex::new(Consumer {
                name: name.to_owned(),
                idle: self.idle,
                lanes: lanes.collect(),
            }))
        };
        by_name.entry(name.to_owned()).or_insert_with(make).clone()
    }
}

/// One consumer of the group.
pub(super) struct Consumer {
    name: String,
    idle: Duration,
    lanes: Vec<Lane>,
}

impl Consumer {
    pub(super) async fn receive(
        &mut self,
        link: &Link,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let deadline = Instant::now() + wait;
        loop {
            self.take_over(link, limit).await?;
            let harvested = self.harvest(link).await;
            let deliveries = self.take_ready(limit);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            harvested?;
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            self.read(link, limit, deadline).await?;
        }
    }

    /// Takes what reads under way have brought meanwhile, without waiting.
    async fn harvest(&mut self, link: &Link) -> Result<(), QueueError> {
        for lane in &mut self.lanes {
            if let Some(read) = lane.read.as_mut().and_then(FutureExt::now_or_never) {
                lane.finish(link, read).await?;
            }
        }
        Ok(())
    }

    /// Reads until something comes, it is time to look for silent consumers, or the deadline
    /// passes.
    async fn read(
        &mut self,
        link: &Link,
        limit: usize,
        deadline: Instant,
    ) -> Result<(), QueueError> {
        let looks = self.lanes.iter().map(|lane| lane.next_look);
        let until = looks.fold(deadline, Instant::min);
        let limit = (limit / self.lanes.len()).max(1);
        let reads = self.lanes.iter_mut().map(|lane| lane.reading(limit));
        if let Ok((read, index, _)) = timeout_at(until.into(), select_all(reads)).await
            && let Some(lane) = self.lanes.get_mut(index)
        {
            lane.finish(link, read).await?;
        }
        Ok(())
    }

    fn take_ready(&mut self, limit: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        // In turns, so that no shard waits for another.
        while taken.len() < limit {
            let before = taken.len();
            for lane in &mut self.lanes {
                if taken.len() < limit {
                    taken.extend(lane.ready.pop_front());
                }
            }
            if taken.len() == before {
                break;
            }
        }
        taken
    }

    /// Takes over entries that were delivered too long ago, where it is time to look.
    async fn take_over(&mut self, link: &Link, limit: usize) -> Result<(), QueueError> {
        for lane in &mut self.lanes {
            if Instant::now() < lane.next_look {
                continue;
            }
            let idle = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
            let mut command = cmd("XAUTOCLAIM");
            command
                .arg(lane.shard.stream())
                .arg(GROUP)
                .arg(&self.name)
                .arg(idle)
                .arg(&lane.cursor)
                .arg("COUNT")
                .arg(limit);
            let reply = link
                .run("take entries over", async |mut connection| {
                    match command.query_async(&mut connection).await {
                        // The group is made by the read.
                        Err(error) if error.code() == Some("NOGROUP") => Ok(Value::Nil),
                        answer => answer,
                    }
                })
                .await?;
            let (cursor, received) = of_takeover(reply, lane.shard.number);
            if cursor == "0-0" {
                lane.next_look = Instant::now() + self.idle / LOOKS_PER_IDLE;
            }
            lane.cursor = cursor;
            lane.accept(link, received).await?;
        }
        Ok(())
    }
}

/// What a read ends with: the connection to go on with, and the server's answer.
type Read = Result<(MultiplexedConnection, Value), Failure>;

/// The way to one shard.
struct Lane {
    shard: Shard,
    reader: Reader,
    /// The read under way.
    read: Option<BoxFuture<'static, Read>>,
    /// The connection between two reads.
    connection: Option<MultiplexedConnection>,
    /// Received and not handed out yet.
    ready: VecDeque<Delivery>,
    /// From where on own pending entries are read; `None` once there are no more.
    own: Option<String>,
    /// Where the look for silent consumers goes on.
    cursor: String,
    next_look: Instant,
}

impl Lane {
    fn new(connector: &Connector, consumer: &str, shard: Shard) -> Self {
        let reader = Reader {
            connector: connector.clone(),
            stream: shard.stream().to_owned(),
            consumer: consumer.to_owned(),
        };
        Self {
            shard,
            reader,
            read: None,
            connection: None,
            ready: VecDeque::new(),
            own: Some("0-0".to_owned()),
            cursor: "0-0".to_owned(),
            next_look: Instant::now(),
        }
    }

    /// The read under way, or else a new one for at most `limit` entries.
    fn reading(&mut self, limit: usize) -> &mut BoxFuture<'static, Read> {
        self.read.get_or_insert_with(|| {
            let reader = self.reader.clone();
            let connection = self.connection.take();
            reader.read(connection, self.own.clone(), limit).boxed()
        })
    }

    /// Takes what a read brought.
    async fn finish(&mut self, link: &Link, read: Read) -> Result<(), QueueError> {
        self.read = None;
        match read {
            Ok((connection, reply)) => {
                self.connection = Some(connection);
                let received = of_read(reply, self.shard.number);
                if self.own.is_some() {
                    self.own = received.last().map(position);
                }
                self.accept(link, received).await
            }
            Err(failure) => {
                self.own = Some("0-0".to_owned());
                Err(link.connector().unavailable("deliver entries", failure))
            }
        }
    }

    /// Queues sound entries; puts the others where they do no harm.
    async fn accept(&mut self, link: &Link, received: Vec<Received>) -> Result<(), QueueError> {
        for one in received {
            match one {
                Received::Delivery(delivery) => {
                    let known = |ready: &Delivery| ready.position == delivery.position;
                    if !self.ready.iter().any(known) {
                        self.ready.push_back(delivery);
                    }
                }
                Received::Foreign { position, fields } => {
                    tracing::warn!(shard = self.shard.number, %position, "set a foreign entry aside");
                    set_aside(link, &self.shard, &position, Some(&fields)).await?;
                }
                Received::Gone { position } => {
                    set_aside(link, &self.shard, &position, None).await?;
                }
            }
        }
        Ok(())
    }
}

/// Removes an entry that has no streamer to tell; its fields go to the dead list.
async fn set_aside(
    link: &Link,
    shard: &Shard,
    position: &str,
    fields: Option<&[Field]>,
) -> Result<(), QueueError> {
    let dead = fields.map(|fields| entry::foreign(position, fields));
    let removal = Removal {
        position,
        told: None,
        dead: dead.unwrap_or_default(),
    };
    link.run("set an entry aside", async |mut connection| {
        drain::remove(&mut connection, shard, &[removal], None).await
    })
    .await
}

fn position(received: &Received) -> String {
    match received {
        Received::Delivery(Delivery { position, .. })
        | Received::Foreign { position, .. }
        | Received::Gone { position } => position.clone(),
    }
}

/// What a read needs to know.
#[derive(Clone)]
struct Reader {
    connector: Connector,
    stream: String,
    consumer: String,
}

impl Reader {
    /// Reads entries that the consumer already has, after the position `own`, or waits for new
    /// ones.
    async fn read(
        self,
        connection: Option<MultiplexedConnection>,
        own: Option<String>,
        limit: usize,
    ) -> Read {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.connector.connect(None).await?,
        };
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.consumer);
        command.arg("COUNT").arg(limit);
        if own.is_none() {
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        }
        command.arg("STREAMS").arg(&self.stream);
        command.arg(own.as_deref().unwrap_or(">"));
        let reading = async {
            match command.query_async(&mut connection).await {
                Err(error) if error.code() == Some("NOGROUP") => {
                    drain::make_group(&mut connection, &self.stream).await?;
                    command.query_async(&mut connection).await
                }
                answer => answer,
            }
        };
        match timeout(BLOCK + SLACK, reading).await {
            Ok(reply) => Ok((connection, reply?)),
            Err(_) => Err(Failure::timed_out()),
        }
    }
}
