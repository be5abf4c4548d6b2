//! Scrapes exporters of Prometheus metrics, such as dcgm-exporter, at an interval.
//!
//! # Expected flow
//! At every tick, all targets that this streamer has claimed are asked at once. What one answers
//! becomes one batch, or several, and the next answer follows it in the same pass: the ledger sees
//! consecutive ranges, as of a file without an end. A pass is one start of one streamer, so that a range
//! never has other content after a crash.
//!
//! # Guarantees
//! What is in the spool is stored once. What could not be asked for, or had no room in the spool, is
//! gone: values of now cannot be had later. That is counted and told.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::worker::ScrapeSettings;
use crate::model::causes::chain;
use crate::model::time::EventTime;
use crate::queue::{Claim, Queue};

use super::StreamerError;
use super::piece::Piece;
use super::read::{Flow, Reading};
use super::reconcile::CLAIM_TIME;

mod client;
mod page;
mod show;
mod target;
mod text;

use client::{Clients, ScrapeError, get};
use target::Target;

/// Targets that are asked at once: each may answer with as much as the limit allows.
const AT_ONCE: usize = 32;

/// Scrapes that are missed before a target is another streamer's.
const MISSED_SCRAPES: u32 = 3;

/// What is scraped, and how that goes.
struct Scraper<'a, Q> {
    reading: Reading<'a, Q>,
    settings: &'a ScrapeSettings,
    cluster: &'a str,
    clients: Clients,
    /// By URL.
    targets: BTreeMap<String, Target>,
    /// Names that cannot be resolved, and why.
    unresolved: BTreeMap<String, String>,
    has_room: bool,
    has_siblings: bool,
}

/// Scrapes what the settings name until the streamer stops.
pub(super) async fn scrape<Q: Queue>(
    reading: &Reading<'_, Q>,
    settings: &ScrapeSettings,
    (cluster, replicas): (&str, u32),
) -> Result<(), StreamerError> {
    let mut scraper = Scraper {
        reading: Reading {
            pace: None,
            ..reading.clone()
        },
        settings,
        cluster,
        clients: Clients::of(settings).map_err(|error| StreamerError::Scrape(chain(&error)))?,
        targets: BTreeMap::new(),
        unresolved: BTreeMap::new(),
        has_room: true,
        has_siblings: replicas > 1,
    };
    // A failure is noted by then, and that is all.
    drop(reading.announced.ask(reading.queue, reading.health).await);
    let mut ticks = interval(settings.interval);
    // Later ones stay where they were: a round that took too long moves nothing.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last: Option<tokio::time::Instant> = None;
    loop {
        let Some(tick) = reading.unless_stopped(ticks.tick()).await else {
            return Ok(());
        };
        if let Some(last) = last.replace(tick) {
            scraper.count_missed(tick.duration_since(last));
        }
        if scraper.round().await? == Flow::Stopped {
            return Ok(());
        }
        scraper.show();
    }
}

impl<Q: Queue> Scraper<'_, Q> {
    /// Counts the scrapes for which there was no time since the last round began.
    fn count_missed(&self, passed: Duration) {
        let rounds = passed.as_secs_f64() / self.settings.interval.as_secs_f64();
        let missed = (rounds.round() as u64).saturating_sub(1);
        let mine = self.targets.values().filter(|one| one.is_mine).count() as u64;
        self.reading.meter.scrapes_dropped.inc_by(missed * mine);
    }

    /// Asks every target once.
    async fn round(&mut self) -> Result<Flow, StreamerError> {
        self.resolve().await;
        self.claim().await;
        if !self.note_room() {
            return Ok(Flow::Finished);
        }
        let mine = self.targets.iter().filter(|(_, target)| target.is_mine);
        let asked: Vec<_> = mine
            .map(|(name, target)| {
                let (client, url) = (target.client.clone(), target.url.clone());
                let (name, settings) = (name.clone(), self.settings);
                async move {
                    let time = EventTime::from(Timestamp::now());
                    (name, time, get(&client, &url, settings).await)
                }
            })
            .collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let stop = self.reading.stop.clone();
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Flow::Stopped),
                next = asked.next() => next,
            };
            let Some((name, time, answer)) = next else {
                return Ok(Flow::Finished);
            };
            if self.take(&name, time, answer).await? == Flow::Stopped {
                return Ok(Flow::Stopped);
            }
        }
    }

    /// Puts an answer into the spool.
    async fn take(
        &mut self,
        name: &str,
        time: EventTime,
        answer: Result<Vec<u8>, ScrapeError>,
    ) -> Result<Flow, StreamerError> {
        let meter = self.reading.meter;
        let Some(target) = self.targets.get_mut(name) else {
            return Ok(Flow::Finished);
        };
        target.note(&answer);
        let Ok(page) = answer else {
            meter.scrapes_failed.inc();
            return Ok(Flow::Finished);
        };
        meter.scrapes.inc();
        for piece in target.pages.pieces(&page, target.offset, time) {
            let (end, rows) = (piece.range.end, piece.rows.len() as u64);
            let note = self
                .reading
                .note(&target.source, &target.pass, Piece::Stretch(piece.range));
            if self.reading.make_batch(note, piece).await? == Flow::Stopped {
                return Ok(Flow::Stopped);
            }
            target.offset = end;
            target.rows += rows;
        }
        Ok(Flow::Finished)
    }

    /// Whether there is room for what is scraped; if not, this round is counted as lost.
    fn note_room(&mut self) -> bool {
        let has_room = self.reading.outbox.has_room() && self.reading.health.has_disk();
        let mine = self.targets.values().filter(|one| one.is_mine).count() as u64;
        match (self.has_room, has_room) {
            (true, false) => tracing::error!(
                targets = mine,
                "the spool is full: what would be scraped now is lost, until there is room again"
            ),
            (false, true) => tracing::info!("the spool has room: scraping again"),
            _ => {}
        }
        self.has_room = has_room;
        if !has_room {
            self.reading.meter.scrapes_dropped.inc_by(mine);
        }
        has_room
    }

    /// Claims every target, or renews the claim.
    async fn claim(&mut self) {
        let reading = &self.reading;
        let store = reading.announced.current();
        let time = CLAIM_TIME.max(self.settings.interval * MISSED_SCRAPES);
        for target in self.targets.values_mut() {
            let key = format!("scrape/{}", target.source);
            let claim = reading
                .queue
                .claim(&key, reading.streamer, time, store.as_ref());
            let is_mine = match reading.health.note(claim.await) {
                Ok(Claim::Theirs) => false,
                Ok(Claim::Mine | Claim::Completed) => true,
                // Nobody can tell who has it: whoever had it goes on.
                Err(_unavailable) => target.is_mine || !self.has_siblings,
            };
            if is_mine != target.is_mine {
                tracing::info!(target = %target.url, is_mine, "scraped by this streamer or by another");
            }
            target.is_mine = is_mine;
        }
    }

    /// Finds the targets that the settings name now.
    async fn resolve(&mut self) {
        let mut found = BTreeMap::new();
        for named in &self.settings.targets {
            match target::addresses(named).await {
                Ok(addresses) => {
                    self.unresolved.remove(named.url.as_str());
                    found.extend(addresses);
                }
                Err(error) => {
                    let why = chain(&error);
                    let name = named.url.to_string();
                    if self.unresolved.get(&name) != Some(&why) {
                        tracing::warn!(target = name, why, "not scraped");
                    }
                    self.unresolved.insert(name, why);
                    // Those that were found before may still be there.
                    let before = self.targets.iter();
                    let before = before.filter(|(_, target)| target.named == named.url);
                    found.extend(
                        before.map(|(name, one)| (name.clone(), (named.url.clone(), one.address))),
                    );
                }
            }
        }
        self.targets.retain(|name, _| found.contains_key(name));
        for (name, (url, address)) in found {
            if self.targets.contains_key(&name) {
                continue;
            }
            match Target::of(
                (&name, &url, address),
                &self.clients,
                self.cluster,
                &self.reading.limits,
            ) {
                Ok(target) => {
                    self.targets.insert(name, target);
                }
                Err(error) => tracing::error!(target = name, why = chain(&error), "not scraped"),
            }
        }
    }
}
