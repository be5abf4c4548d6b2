//! Which store the collectors fill, as far as the streamer has heard.

use tokio::sync::watch;

use crate::model::source::StoreToken;

/// What was heard last. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Announced(watch::Sender<Option<StoreToken>>);

impl Announced {
    /// Nothing was heard yet.
    pub(super) fn nothing() -> Self {
        Self(watch::Sender::new(None))
    }

    /// What was heard last.
    pub(super) fn current(&self) -> Option<StoreToken> {
        self.0.borrow().clone()
    }

    /// Notes an answer of the queue. A queue that was emptied knows of no store, which is no news:
    /// the collectors announce it again.
    pub(super) fn note(&self, told: Option<StoreToken>) {
        if told.is_some() {
            self.0.send_if_modified(|known| {
                let is_news = *known != told;
                *known = told;
                is_news
            });
        }
    }

    /// Returns once a store is announced that is another one than `known`.
    pub(super) async fn another_than(&self, known: Option<&StoreToken>) {
        let is_another = |told: &Option<StoreToken>| told.is_some() && told.as_ref() != known;
        // The sender is `self`, so that it cannot be gone.
        drop(self.0.subscribe().wait_for(is_another).await);
    }
}
