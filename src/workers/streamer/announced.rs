//! Which store the collectors fill, as far as the streamer has heard.

use tokio::sync::watch;

use crate::model::source::StoreToken;
use crate::queue::{Queue, QueueError};

use super::health::Health;

/// What was heard last. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Announced(watch::Sender<Option<StoreToken>>);

/// What was heard when it was asked for, and whether something else was heard since.
#[derive(Debug)]
pub(super) struct Heard(watch::Receiver<Option<StoreToken>>);

impl Announced {
    /// Nothing was heard yet.
    pub(super) fn nothing() -> Self {
        Self(watch::Sender::new(None))
    }

    /// What was heard last.
    pub(super) fn current(&self) -> Option<StoreToken> {
        self.0.borrow().clone()
    }

    /// Asks the queue.
    pub(super) async fn ask<Q: Queue>(&self, queue: &Q, health: &Health) -> Result<(), QueueError> {
        let told = health.note(queue.announced_store().await)?;
        self.note(told);
        Ok(())
    }

    /// Notes an answer of the queue. A queue that was emptied knows of no store, which is no news:
    /// the collectors announce it again.
    fn note(&self, told: Option<StoreToken>) {
        if told.is_some() {
            self.0.send_if_modified(|known| {
                let is_news = *known != told;
                *known = told;
                is_news
            });
        }
    }

    /// Whatever is heard from now on.
    pub(super) fn listen(&self) -> Heard {
        Heard(self.0.subscribe())
    }
}

impl Heard {
    /// Returns once something else was heard, also if it was taken back meanwhile: what was
    /// acknowledged in between may be in the other store.
    pub(super) async fn news(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody can announce anything any more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn store(name: &str) -> Option<StoreToken> {
        Some(StoreToken(name.to_owned()))
    }

    #[test]
    fn what_was_known_at_the_beginning_is_no_news_and_a_change_that_was_taken_back_is() {
        let announced = Announced::nothing();
        announced.note(store("a"));
        let mut heard = announced.listen();
        assert_eq!(announced.current(), store("a"));
        announced.note(store("a"));
        announced.note(None);
        assert!(heard.news().now_or_never().is_none());
        announced.note(store("b"));
        announced.note(store("a"));
        assert!(heard.news().now_or_never().is_some());
        assert!(heard.news().now_or_never().is_none());
    }
}
