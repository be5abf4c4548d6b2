//! The shared connections, for everything but blocking reads: one, or in a cluster one per shard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, FromRedisValue, Pipeline, RedisResult, ScriptInvocation};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::queue::QueueError;

use super::advice;
use super::connection::{Connection, Server};
use super::failure::{Failure, FailureKind, Trouble};
use super::route::Connector;

/// Longest time from a command to its answer. A batch of some 200 KiB needs time on a slow line.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);
/// How often a command goes where it is sent before it is given up. A slot that moves sends it twice.
pub(super) const MOST_WAYS: u32 = 5;
/// Pause while the keys of a shard are on two nodes, which is as long as they move.
pub(super) const MOVING_PAUSE: Duration = Duration::from_millis(50);

/// What is done on a connection, with one answer: a command, a pipeline, a script.
pub(super) trait Commands: Sync {
    fn execute<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> impl Future<Output = RedisResult<T>> + Send;
}

impl Commands for Cmd {
    async fn execute<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        self.query_async(connection).await
    }
}

impl Commands for Pipeline {
    async fn execute<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        self.query_async(connection).await
    }
}

impl Commands for ScriptInvocation<'_> {
    async fn execute<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        self.invoke_async(connection).await
    }
}

/// The connections that all callers share. They are made when they are needed and replaced when
/// they broke.
pub(super) struct Link {
    connector: Connector,
    /// By key; in a cluster a shard's keys are known by its stream, elsewhere all are alike.
    places: BTreeMap<String, Mutex<Place>>,
    /// Elsewhere than in a cluster, the only one.
    everywhere: Mutex<Place>,
    /// Servers whose settings were looked at.
    known: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Place {
    /// Counts connections.
    number: u64,
    connection: Option<Connection>,
    /// Where the last one led.
    last: Option<Server>,
}

impl Link {
    /// For these keys.
    pub(super) fn new(connector: Connector, keys: impl Iterator<Item = String>) -> Self {
        let is_cluster = connector.is_cluster();
        let keys = keys.filter(|_| is_cluster);
        Self {
            connector,
            places: keys.map(|key| (key, Mutex::default())).collect(),
            everywhere: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Runs commands where `key` is, within a deadline. They may be run again if the server did
    /// nothing but name another one.
    pub(super) async fn run<T: FromRedisValue + Send>(
        &self,
        key: &str,
        action: &str,
        commands: &impl Commands,
    ) -> Result<T, QueueError> {
        self.attempt(key, commands)
            .await
            .map_err(|trouble| trouble.unavailable(action))
    }

    /// Who has `key` now.
    pub(super) async fn locate(&self, key: &str) -> Result<Server, QueueError> {
        let located = self.connector.locate(key).await;
        located.map_err(|trouble| trouble.unavailable("be found"))
    }

    /// How many servers there may be.
    pub(super) fn servers_at_most(&self) -> usize {
        self.places.len().max(1)
    }

    fn place(&self, key: &str) -> &Mutex<Place> {
        self.places.get(key).unwrap_or(&self.everywhere)
    }

    /// The same with the failure as it was.
    pub(super) async fn attempt<T: FromRedisValue + Send>(
        &self,
        key: &str,
        commands: &impl Commands,
    ) -> Result<T, Trouble> {
        let begun = Instant::now();
        // Where an ASK leads: for one attempt only.
        let mut aside: Option<Connection> = None;
        let mut ways = 0;
        loop {
            let (number, mut connection) = match aside.take() {
                Some(connection) => (None, connection),
                None => {
                    let (number, connection) = self.current(key).await?;
                    (Some(number), connection)
                }
            };
            let trouble = match execute(&mut connection, commands).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            if let Some(number) = number
                && trouble.failure.breaks_connection()
            {
                self.replace(key, number, None).await;
            }
            if !self.connector.is_cluster() || begun.elapsed() >= ANSWER_LIMIT {
                return Err(trouble);
            }
            if trouble.failure.kind == FailureKind::TryAgain {
                sleep(MOVING_PAUSE).await;
                continue;
            }
            ways += 1;
            let Some(redirection) = trouble.failure.redirection().filter(|_| ways < MOST_WAYS)
            else {
                return Err(trouble);
            };
            let from = connection.server();
            let next = self
                .connector
                .follow(&redirection, from, Some(ANSWER_LIMIT));
            let next = next.await?;
            if next.is_asking() {
                aside = Some(next);
            } else {
                let number = number.unwrap_or(u64::MAX);
                self.replace(key, number, Some(next)).await;
            }
        }
    }

    /// The connection to where `key` is, and its number.
    async fn current(&self, key: &str) -> Result<(u64, Connection), Trouble> {
        let mut place = self.place(key).lock().await;
        if let Some(connection) = &place.connection {
            return Ok((place.number, connection.clone()));
        }
        let connection = self.connector.connect(key, Some(ANSWER_LIMIT)).await?;
        place.put(Some(connection.clone()));
        self.advise(connection.clone()).await;
        Ok((place.number, connection))
    }

    /// Puts another connection, or none, in the place of the one with this number. Somebody else
    /// may have done it already.
    async fn replace(&self, key: &str, number: u64, next: Option<Connection>) {
        let mut place = self.place(key).lock().await;
        if place.number == number {
            place.put(next);
        }
    }

    /// Tells, once per server, what should be set otherwise there. A server that does not answer
    /// is asked again with the next connection.
    async fn advise(&self, mut connection: Connection) {
        let server = connection.server().endpoint.to_string();
        if self.known.lock().await.contains(&server) {
            return;
        }
        let Ok(mut redis) = connection.ready().await else {
            return;
        };
        let Ok(information) = timeout(ANSWER_LIMIT, advice::ask(&mut redis)).await else {
            return;
        };
        for says in advice::advice(&information) {
            tracing::warn!(server, "Redis: {says}");
        }
        self.known.lock().await.insert(server);
    }
}

impl Place {
    fn put(&mut self, next: Option<Connection>) {
        if let Some(next) = &next {
            let server = next.server();
            if let Some(last) = &self.last
                && last.endpoint != server.endpoint
            {
                tracing::info!(
                    before = %last.endpoint,
                    now = server.address(),
                    "another server has the queue"
                );
            }
            self.last = Some(server.clone());
        }
        self.number += 1;
        self.connection = next;
    }
}

async fn execute<T: FromRedisValue + Send>(
    connection: &mut Connection,
    commands: &impl Commands,
) -> Result<T, Trouble> {
    let executing = async {
        let mut redis = connection.ready().await?;
        commands.execute(&mut redis).await
    };
    let outcome = match timeout(ANSWER_LIMIT, executing).await {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(_) => Err(Failure::timed_out()),
    };
    outcome.map_err(|failure| connection.server().trouble(failure))
}
