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

use ::redis::{Cmd, RedisResult, Value, cmd};
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use tokio::time::{timeout, timeout_at};

use crate::queue::{Delivery, QueueError};

use super::connection::Connection;
use super::drain::{self, Removal};
use super::entry::{self, Field, Received, of_read, of_takeover};
use super::failure::{Failure, Trouble};
use super::link::{Link, MOST_WAYS};
use super::route::Connector;
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
            // A shard that does not answer does not hold up the others.
            let taken_over = self.take_over(link, limit).await;
            let harvested = self.harvest(link).await;
            let deliveries = self.take_ready(limit);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            taken_over.and(harvested)?;
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
            self.read(link, limit, deadline).await?;
        }
    }

    /// Takes what reads under way have brought meanwhile, without waiting.
    async fn harvest(&mut self, link: &Link) -> Result<(), QueueError> {
        let mut outcome = Ok(());
        for lane in &mut self.lanes {
            if let Some(read) = lane.read.as_mut().and_then(FutureExt::now_or_never) {
                outcome = outcome.and(lane.finish(link, read).await);
            }
        }
        outcome
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
        let mut outcome = Ok(());
        for lane in &mut self.lanes {
            if Instant::now() >= lane.next_look {
                let taken = lane.take_over(link, &self.name, self.idle, limit);
                outcome = outcome.and(taken.await);
            }
        }
        outcome
    }
}

/// What a read ends with: the connection to go on with, if it is one, and the server's answer.
type Read = Result<(Option<Connection>, Value), Trouble>;

/// The way to one shard.
struct Lane {
    shard: Shard,
    reader: Reader,
    /// The read under way.
    read: Option<BoxFuture<'static, Read>>,
    /// The connection between two reads.
    connection: Option<Connection>,
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

    /// Takes over entries that were delivered too long ago.
    async fn take_over(
        &mut self,
        link: &Link,
        consumer: &str,
        idle: Duration,
        limit: usize,
    ) -> Result<(), QueueError> {
        let milliseconds = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        let mut command = cmd("XAUTOCLAIM");
        command
            .arg(self.shard.stream())
            .arg(GROUP)
            .arg(consumer)
            .arg(milliseconds)
            .arg(&self.cursor)
            .arg("COUNT")
            .arg(limit);
        let reply = match link.attempt(self.shard.stream(), &command).await {
            Ok(reply) => reply,
            // The group is made by the read.
            Err(trouble) if trouble.failure.code() == Some("NOGROUP") => Value::Nil,
            Err(trouble) => return Err(trouble.unavailable("take entries over")),
        };
        let (cursor, received) = of_takeover(reply, self.shard.number);
        if cursor == "0-0" {
            self.next_look = Instant::now() + idle / LOOKS_PER_IDLE;
        }
        self.cursor = cursor;
        self.accept(link, received).await
    }

    /// Takes what a read brought.
    async fn finish(&mut self, link: &Link, read: Read) -> Result<(), QueueError> {
        self.read = None;
        match read {
            Ok((connection, reply)) => {
                self.connection = connection;
                let received = of_read(reply, self.shard.number);
                if self.own.is_some() {
                    self.own = received.last().map(position);
                }
                self.accept(link, received).await
            }
            Err(trouble) => {
                self.own = Some("0-0".to_owned());
                Err(trouble.unavailable("deliver entries"))
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
    let removal = drain::remove(shard, &[removal], None);
    link.run(shard.stream(), "set an entry aside", &removal)
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
    async fn read(self, connection: Option<Connection>, own: Option<String>, limit: usize) -> Read {
        let mut connection = match connection {
            Some(connection) => connection,
            None => self.connector.connect(&self.stream, None).await?,
        };
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&self.consumer);
        command.arg("COUNT").arg(limit);
        if own.is_none() {
            command.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        }
        command.arg("STREAMS").arg(&self.stream);
        command.arg(own.as_deref().unwrap_or(">"));
        let mut ways = 0;
        loop {
            let reading = self.ask(&mut connection, &command);
            let failure = match timeout(BLOCK + SLACK, reading).await {
                Ok(Ok(reply)) => {
                    // Where a slot is still moving to, the next read may have no business.
                    let kept = (!connection.is_asking()).then_some(connection);
                    return Ok((kept, reply));
                }
                Ok(Err(error)) => Failure::from(error),
                Err(_) => Failure::timed_out(),
            };
            ways += 1;
            let follows = self.connector.is_cluster() && ways < MOST_WAYS;
            let Some(redirection) = failure.redirection().filter(|_| follows) else {
                return Err(connection.server().trouble(failure));
            };
            let from = connection.server();
            connection = self.connector.follow(&redirection, from, None).await?;
        }
    }

    /// The answer to a read; the group is made if it is not there.
    async fn ask(&self, connection: &mut Connection, command: &Cmd) -> RedisResult<Value> {
        match command.query_async(&mut connection.ready().await?).await {
            Err(error) if error.code() == Some("NOGROUP") => {
                let make = drain::make_group(&self.stream);
                make.invoke_async::<()>(&mut connection.ready().await?)
                    .await?;
                command.query_async(&mut connection.ready().await?).await
            }
            answer => answer,
        }
    }
}
