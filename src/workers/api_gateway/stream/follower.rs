//! One stream: follows what is added, at the pace of whoever reads it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::model::causes::chain;
use crate::model::source::StoreToken;
use crate::store::{Additions, AdditionsQuery, Progress, StoreError};
use crate::workers::api_gateway::problem::Problem;
use crate::workers::api_gateway::reader::Reader;

use super::event::{self, EventId};
use super::{Place, Streams};

/// Samples that are read at once, and sent as one piece, of about 2 MB: each page of a transaction
/// looks through what is left of it, and each stream may hold one for as long as it is not taken.
pub(super) const PAGE: u32 = 5_000;
/// How often the store is asked when it had nothing new.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest silence.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What a stream knows between two pieces of its body.
pub(super) struct Follower {
    store: Reader,
    asked: AdditionsQuery,
    /// Which life of the data it follows.
    token: StoreToken,
    progress: Progress,
    /// What goes before everything else.
    first: Option<String>,
    sent: Instant,
    reads: Arc<Semaphore>,
    stop: CancellationToken,
    /// Kept for as long as the stream is open.
    _place: Place,
}

impl Follower {
    /// Begins after an event, or with what is added from now on. Nothing is sent yet.
    ///
    /// # Errors
    /// When the store does not say where its end is.
    pub(super) async fn start(
        store: Reader,
        asked: AdditionsQuery,
        from: Option<EventId>,
        place: Place,
        streams: &Streams,
    ) -> Result<Self, Problem> {
        let end = (store.additions)(asked.clone()).await?;
        let now = EventId::new(&end.token, end.next);
        let (progress, first) = begin(from, &end, now);
        Ok(Self {
            store,
            asked,
            token: end.token,
            progress,
            first: Some(first),
            sent: Instant::now(),
            reads: Arc::clone(&streams.reads),
            stop: streams.stop.clone(),
            _place: place,
        })
    }

    /// The pieces of the body, without end until the gateway stops.
    pub(super) fn events(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures::stream::unfold(self, async |mut follower| {
            let piece = follower.piece().await?;
            follower.sent = Instant::now();
            Some((Ok(Bytes::from(piece)), follower))
        })
    }

    /// The next piece; `None` once the gateway stops.
    async fn piece(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => None,
            piece = self.wait() => Some(piece),
        }
    }

    async fn wait(&mut self) -> String {
        loop {
            let has_more = match self.read().await {
                Ok(additions) => {
                    let has_more = additions.has_more;
                    let text = self.take(additions);
                    if !text.is_empty() {
                        return text;
                    }
                    has_more
                }
                // Whoever reads is not told: it may be over before he could come again.
                Err(error) => {
                    tracing::warn!(error = chain(&error), "a stream waits for the store");
                    false
                }
            };
            if self.sent.elapsed() >= HEARTBEAT {
                return event::heartbeat(EventId::new(&self.token, self.progress));
            }
            if !has_more {
                sleep(INTERVAL).await;
            }
        }
    }

    async fn read(&self) -> Result<Additions, StoreError> {
        // Never closed.
        let _turn = self.reads.acquire().await;
        let asked = AdditionsQuery {
            from: Some(self.progress),
            ..self.asked.clone()
        };
        (self.store.additions)(asked).await
    }

    /// The events of a page; empty if it has none.
    fn take(&mut self, additions: Additions) -> String {
        if additions.token != self.token {
            self.token = additions.token;
            // What was read lies behind a place of the former life; the end is one of this life.
            self.progress = additions.end;
            return event::reset(EventId::new(&self.token, self.progress));
        }
        self.progress = additions.next;
        additions
            .samples
            .iter()
            .map(|(progress, sample)| event::sample(EventId::new(&self.token, *progress), sample))
            .collect()
    }
}

/// Where a stream begins, and what it sends first. An id that the store cannot have given is of
/// another life of the data, even if nothing else tells the two apart.
fn begin(from: Option<EventId>, end: &Additions, now: EventId) -> (Progress, String) {
    match from {
        None => (end.next, event::greeting(now)),
        Some(id) if id.is_of(&end.token) && id.progress <= end.next => {
            (id.progress, event::greeting(id))
        }
        Some(_) => (end.next, event::greeting(now) + &event::reset(now)),
    }
}
