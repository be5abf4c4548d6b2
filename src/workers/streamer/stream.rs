//! Streams one source after another.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::config::worker::{IdentitySettings, SourceSettings, StreamerSettings};
use crate::model::source::PassId;
use crate::model::time::EventTime;
use crate::queue::Queue;

use super::StreamerError;
use super::announced::Heard;
use super::left_over::{LeftOver, Looked};
use super::piece::Affinity;
use super::read::{Flow, Reading};
use super::source::Source;
use super::supply::Supply;
use super::upload::Uploads;

/// Pause between two looks whether there are other files.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What has to happen after a round.
enum After {
    /// Nothing: the streamer stops.
    Stop,
    /// The collectors fill another store.
    AnotherStore,
    /// The next round of loop mode.
    NextRound,
}

/// Streams what the settings name until the streamer stops; in once mode it stays idle after the
/// end, unless there are other files, or the collectors get another store, which may lack what was
/// acknowledged.
pub(super) async fn stream<Q: Queue>(
    reading: &Reading<'_, Q>,
    settings: &StreamerSettings,
    identity: &IdentitySettings,
    uploads: Option<Uploads>,
) -> Result<(), StreamerError> {
    let (vitals, announced) = (reading.vitals, reading.announced);
    // A failure is noted by then, and that is all.
    drop(announced.ask(reading.queue, reading.health).await);
    let named = match &settings.source {
        SourceSettings::Files(path) => path.display().to_string(),
        SourceSettings::Followed(follow) => follow.path.display().to_string(),
        SourceSettings::Scraped(_) => "scraped".to_owned(),
        SourceSettings::Generated(_) => "generated".to_owned(),
        SourceSettings::Nothing => "uploads only".to_owned(),
    };
    vitals.detail("csv_file", named);
    let names = (identity.cluster_id.as_str(), identity.id.as_str());
    let mut supply = Supply::of(settings, uploads, names, reading.stop).await?;
    let mut patience = Patience::default();
    let mut heard = announced.listen();
    loop {
        let mut round = Round {
            reading,
            supply: &mut supply,
            left: LeftOver::default(),
            is_loop: settings.loop_mode,
        };
        match round.run(&mut heard).await? {
            After::Stop => return Ok(()),
            After::NextRound => {
                let due = supply.next_round();
                let waiting = sleep(due.map_or(Duration::ZERO, until));
                if reading.unless_stopped(waiting).await.is_none() {
                    return Ok(());
                }
            }
            After::AnotherStore => {
                heard = announced.listen();
                if reading
                    .unless_stopped(sleep(patience.pause()))
                    .await
                    .is_none()
                {
                    return Ok(());
                }
                tracing::info!("the collectors fill another store: reading again what it may lack");
                supply.another_store();
            }
        }
    }
}

/// How long until some time.
fn until(time: EventTime) -> Duration {
    let now = EventTime::from(Timestamp::now());
    Duration::from_micros(u64::try_from(time.0.saturating_sub(now.0)).unwrap_or(0))
}

/// All sources once.
struct Round<'a, Q> {
    reading: &'a Reading<'a, Q>,
    supply: &'a mut Supply,
    left: LeftOver,
    is_loop: bool,
}

impl<Q: Queue> Round<'_, Q> {
    async fn run(&mut self, heard: &mut Heard) -> Result<After, StreamerError> {
        let reading = self.reading;
        loop {
            if reading.stop.is_cancelled() {
                return Ok(After::Stop);
            }
            self.show();
            let source = if self.left.has_room() {
                self.next_source().await?
            } else {
                None
            };
            if let Some(source) = source {
                if self.stream(source).await? == Flow::Stopped {
                    return Ok(After::Stop);
                }
                continue;
            }
            if self.left.is_empty() && self.is_loop && self.supply.read() > 0 {
                return Ok(match heard.news().now_or_never() {
                    Some(()) => After::AnotherStore,
                    None => After::NextRound,
                });
            }
            if let Some(after) = self.wait(heard).await? {
                return Ok(after);
            }
        }
    }

    /// Waits until there may be something to do, and looks at what was left to siblings when it is
    /// time for that.
    async fn wait(&mut self, heard: &mut Heard) -> Result<Option<After>, StreamerError> {
        let due = self.left.due();
        let is_idle = due.is_none();
        if is_idle && !self.supply.may_grow() {
            self.reading.vitals.detail("source_state", "finished");
        }
        let pause = match due {
            Some(due) => due.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        };
        let pause = if self.supply.may_grow() {
            pause.min(LOOK_INTERVAL)
        } else {
            pause
        };
        tokio::select! {
            () = self.reading.stop.cancelled() => return Ok(Some(After::Stop)),
            // What was left to siblings is judged by the store that is filled now.
            () = heard.news(), if is_idle => return Ok(Some(After::AnotherStore)),
            () = sleep(pause) => {}
        }
        if due.is_none_or(|due| due > Instant::now()) {
            return Ok(None);
        }
        match self.reading.look_at(&mut self.left).await? {
            Looked::At(Flow::Finished) => Ok(None),
            Looked::At(Flow::Stopped) => Ok(Some(After::Stop)),
            Looked::Failed(source, error) => {
                self.supply.failed_later(&source, error)?;
                self.left.forget(&source);
                Ok(None)
            }
        }
    }

    async fn next_source(&mut self) -> Result<Option<Source>, StreamerError> {
        loop {
            match self.supply.next().await {
                Ok(source) => return Ok(source),
                // The next one may be sound.
                Err(error) => self.supply.failed(error)?,
            }
        }
    }

    async fn stream(&mut self, source: Source) -> Result<Flow, StreamerError> {
        let source = Arc::new(source);
        let pass = if self.is_loop {
            self.supply.pass_of_round()
        } else {
            PassId::once()
        };
        let vitals = self.reading.vitals;
        vitals.detail("source", source.id.to_string());
        vitals.detail("source_bytes", source.size);
        vitals.detail("pass", pass.0.clone());
        tracing::info!(source = %source.id, pass = pass.0, "reading");
        let own;
        let reading = if source.is_own {
            own = Reading {
                affinity: Affinity::everything(),
                ..self.reading.clone()
            };
            &own
        } else {
            self.reading
        };
        let left_before = self.left.len();
        match reading.scan(&source, &pass, &mut self.left).await {
            Ok(Flow::Finished) => {
                tracing::info!(source = %source.id, "read to its end");
                self.supply.done(&source);
                Ok(Flow::Finished)
            }
            Ok(Flow::Stopped) => Ok(Flow::Stopped),
            Err(error) => {
                self.left.truncate(left_before);
                self.supply.failed(error).map(|()| Flow::Finished)
            }
        }
    }

    fn show(&self) {
        let vitals = self.reading.vitals;
        if let Some(uploads) = self.supply.uploads() {
            uploads.settle(|source| {
                self.left.has_any_of(source) || self.reading.outbox.holds_any_of(source)
            });
        }
        vitals.detail("sources_read", self.supply.read());
        let set_aside = self.supply.set_aside();
        let count = i64::try_from(set_aside.len()).unwrap_or(i64::MAX);
        self.reading.meter.sources_set_aside.set(count);
        vitals.detail("sources_set_aside", serde_json::json!(set_aside));
        vitals.detail("chunks_left_to_siblings", self.left.len());
        if self.supply.may_grow() && self.left.is_empty() {
            vitals.detail("source_state", "waiting for files");
        }
    }
}

/// Pauses before a source is read again. They grow as long as the announcements do not settle, as
/// when the collectors of two pipelines take each other's queue for theirs.
#[derive(Debug, Default)]
struct Patience {
    last: Option<Instant>,
    soon: usize,
}

impl Patience {
    const PAUSES: [Duration; 4] = [
        Duration::ZERO,
        Duration::from_secs(10),
        Duration::from_secs(60),
        Duration::from_secs(300),
    ];
    /// After this time without news, the next is the first again.
    const SETTLED: Duration = Duration::from_secs(600);

    fn pause(&mut self) -> Duration {
        let is_soon = self.last.is_some_and(|last| last.elapsed() < Self::SETTLED);
        self.soon = if is_soon { self.soon + 1 } else { 0 };
        self.last = Some(Instant::now());
        Self::PAUSES[self.soon.min(Self::PAUSES.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_followed_at_once_and_a_series_of_them_ever_later() {
        let mut patience = Patience::default();
        let pauses: Vec<Duration> = (0..6).map(|_| patience.pause()).collect();
        assert_eq!(pauses[..4], Patience::PAUSES);
        assert_eq!(pauses[5], pauses[3]);
        patience.last = Instant::now().checked_sub(Patience::SETTLED);
        assert_eq!(patience.pause(), Duration::ZERO);
    }
}
