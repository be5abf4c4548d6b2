//! Follows the registry in etcd: what is there, then every change.
//!
//! # Expected flow
//! List → watch from the next revision on → each event is compared with what is known ([`changes`])
//! and told. Whenever the watch ends, for whatever reason, everything is listed again and the two
//! pictures are compared, so no change is lost, only steps in between.
//!
//! # What ends a watch
//! A server that goes (the stream breaks; a server that is only silent is found out by the pings of
//! the connection), a compaction beyond the revision that is asked for, and data that was lost: the
//! server's revision then is below the one that is known, and a watch from there on would wait in
//! silence until the new data has caught up.

pub mod changes;

use std::collections::VecDeque;
use std::time::Duration;

use etcd_client::{EventType, WatchResponse, WatchStream};
use tokio::time::{Instant, sleep_until};

use crate::model::backoff::Backoff;
use crate::model::causes::chain;

use super::entries::{Entry, Listing, lease_of};
use super::etcd::{EtcdRegistry, describe};
use changes::{Change, Seen, Snapshot, differences, note};

/// A watch that stood for so long was no failure: the next pause is a short one again.
const STEADY: Duration = Duration::from_secs(10);

/// What the follower tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What is there at first. Only [`News::Away`] and [`News::Back`] may come before it.
    Began(Vec<Entry>),
    /// What has changed, in the order in which it did or, after an interruption, ordered by key.
    Changed(Vec<Change>),
    /// The registry does not answer, and why; told once until it answers again.
    Away(String),
    /// The registry answers again. What changed meanwhile comes next.
    Back,
}

/// What to do next.
enum Next {
    Begin,
    List,
    Watch,
    Read(Box<WatchStream>),
}

/// Follows a registry until it is dropped. See the module.
pub struct Follower {
    registry: EtcdRegistry,
    known: Snapshot,
    /// The registry's revision that `known` stands for.
    revision: i64,
    next: Next,
    due: Instant,
    steady_from: Instant,
    backoff: Backoff,
    is_away: bool,
    untold: VecDeque<News>,
}

impl Follower {
    /// Reaches nothing yet.
    pub fn new(registry: EtcdRegistry) -> Self {
        let now = Instant::now();
        Self {
            registry,
            known: Snapshot::new(),
            revision: 0,
            next: Next::Begin,
            due: now,
            steady_from: now,
            backoff: Backoff::default(),
            is_away: false,
            untold: VecDeque::new(),
        }
    }

    /// Waits for the next news, for ever: a registry that is away is told as such and asked again.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.untold.pop_front() {
                return news;
            }
            sleep_until(self.due).await;
            match &mut self.next {
                Next::Begin => self.begin().await,
                Next::List => self.list().await,
                Next::Watch => self.watch().await,
                Next::Read(stream) => {
                    let message = stream.message().await;
                    self.read(message);
                }
            }
        }
    }

    /// Lists for the first time.
    async fn begin(&mut self) {
        if let Some(listing) = self.listing().await {
            self.take(&listing);
            self.untold.push_back(News::Began(listing.entries));
        }
    }

    /// Lists again and compares.
    async fn list(&mut self) {
        if let Some(listing) = self.listing().await {
            let before = self.take(&listing);
            self.tell(differences(&before, &self.known));
        }
    }

    /// What is there, if the registry answers; else it is asked again later.
    async fn listing(&mut self) -> Option<Listing> {
        match self.registry.entries().await {
            Ok(listing) => {
                if std::mem::take(&mut self.is_away) {
                    self.untold.push_back(News::Back);
                }
                Some(listing)
            }
            Err(error) => {
                self.failed(chain(&error));
                None
            }
        }
    }

    /// Makes a listing what is known; answers what was.
    fn take(&mut self, listing: &Listing) -> Snapshot {
        let entries = listing.entries.iter();
        let now = entries.map(|entry| (entry.registered.key.clone(), seen(entry)));
        self.revision = listing.revision;
        self.next = Next::Watch;
        std::mem::replace(&mut self.known, now.collect())
    }

    async fn watch(&mut self) {
        match self.registry.watch_from(self.revision + 1).await {
            Ok(stream) => {
                self.next = Next::Read(Box::new(stream));
                self.steady_from = Instant::now();
            }
            Err(error) => self.failed(chain(&error)),
        }
    }

    fn read(&mut self, message: Result<Option<WatchResponse>, etcd_client::Error>) {
        let message = match message {
            Ok(Some(message)) => message,
            Ok(None) => return self.broken("the stream ended"),
            Err(error) => return self.broken(&describe(&error)),
        };
        let revision = message.header().map_or(0, |header| header.revision());
        if message.canceled() {
            let reason = format!("{} {}", message.cancel_reason(), message.compact_revision());
            return self.broken(&reason);
        }
        if revision < self.revision {
            return self.broken("the registry's revision went back");
        }
        self.revision = revision;
        let mut changes = Vec::new();
        for event in message.events() {
            let Some(pair) = event.kv() else { continue };
            let key = String::from_utf8_lossy(pair.key()).into_owned();
            let now = (event.event_type() == EventType::Put).then(|| Seen {
                record: serde_json::from_slice(pair.value()).map_err(|error| error.to_string()),
                lease: lease_of(pair),
            });
            changes.extend(note(&mut self.known, key, now));
        }
        self.tell(changes);
    }

    fn tell(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.untold.push_back(News::Changed(changes));
        }
    }

    /// The watch ended: it is listed again, soon. That is not told: it may well be all there is.
    fn broken(&mut self, reason: &str) {
        tracing::debug!(
            reason,
            revision = self.revision,
            "the watch ended, listing again"
        );
        if self.steady_from.elapsed() >= STEADY {
            self.backoff.succeeded();
        }
        self.later();
    }

    /// The registry did not answer.
    fn failed(&mut self, reason: String) {
        if !std::mem::replace(&mut self.is_away, true) {
            self.untold.push_back(News::Away(reason));
        }
        self.later();
    }

    fn later(&mut self) {
        // What has not begun has nothing to compare with.
        if !matches!(self.next, Next::Begin) {
            self.next = Next::List;
        }
        self.due = Instant::now() + self.backoff.failed(rand::random());
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Follower")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

fn seen(entry: &Entry) -> Seen {
    Seen {
        record: entry.registered.record.clone(),
        lease: entry.lease,
    }
}
