//! Follows files that grow: what is new in them becomes batches within a linger.
//!
//! # Expected flow
//! At every look, the files of the place are held against those that are followed. A file is followed
//! by the streamer that claims it, from the place that it remembers or from its beginning; whole
//! records become batches. A file that is not where it was any more is read to its end, and signed off
//! after it was quiet for the grace. One that was cut off or written anew is signed off where it was
//! read to, and what is there now is another source.
//!
//! # Guarantees
//! A position is written after what is before it is in the spool. Everything else may be lost or
//! happen twice: the same file is the same source ([`crate::model::growing`]), and the store's ledger
//! takes of it what it has not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::time::sleep;

use crate::config::worker::FollowSettings;
use crate::model::causes::chain;
use crate::model::source::StoreToken;
use crate::queue::Queue;

use super::announced::Heard;
use super::read::{Flow, Reading};
use super::source::Place;
use super::{StreamerError, blocking};

mod adopt;
mod end;
mod followed;
mod look;
mod position;
mod show;

use followed::{Followed, Found};
use look::{FileKey, Looked, Stamp};
use position::{Position, Positions};

/// Pieces of one file that are read before it is the next one's turn.
const PIECES: usize = 8;

/// What is followed, and what is remembered of it.
pub(super) struct Follower<'a, Q> {
    reading: Reading<'a, Q>,
    settings: &'a FollowSettings,
    cluster: &'a str,
    spool: &'a Path,
    place: Place,
    followed: Vec<Followed>,
    /// How far files were followed that are not at the moment, and since when.
    resting: Vec<(Position, Instant)>,
    /// Files that were signed off, the latest last.
    ended: Vec<Position>,
    /// How files were found that are not followed, and when they are to be tried again if they stay so.
    skipped: BTreeMap<FileKey, (Stamp, Option<Instant>)>,
    /// What cannot be followed, and why.
    set_aside: BTreeMap<PathBuf, String>,
    packed: BTreeSet<PathBuf>,
    renewed: Instant,
    /// The store that has what is not in the spool any more.
    store: Option<StoreToken>,
    /// Whether this process has heard of any.
    has_heard: bool,
    /// What was written last.
    written: Positions,
}

/// Follows what the settings name until the streamer stops.
pub(super) async fn follow<Q: Queue>(
    reading: &Reading<'_, Q>,
    settings: &FollowSettings,
    (cluster, spool): (&str, &Path),
) -> Result<(), StreamerError> {
    // A failure is noted by then, and that is all.
    drop(reading.announced.ask(reading.queue, reading.health).await);
    let mut heard = reading.announced.listen();
    let mut follower = Follower::open(reading, settings, (cluster, spool)).await?;
    tracing::info!(path = %settings.path.display(), "following");
    loop {
        follower.listen(&mut heard).await?;
        let has_more = follower.look().await?;
        follower.remember().await?;
        follower.show();
        let pause = if has_more {
            Duration::ZERO
        } else {
            settings.linger
        };
        if reading.unless_stopped(sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

impl<'a, Q: Queue> Follower<'a, Q> {
    async fn open(
        reading: &Reading<'a, Q>,
        settings: &'a FollowSettings,
        (cluster, spool): (&'a str, &'a Path),
    ) -> Result<Self, StreamerError> {
        let place = Place::named(&settings.path).await?;
        let folder = spool.to_owned();
        let kept = blocking(move || Positions::read(&folder).map_err(forgot(&folder))).await?;
        let incarnation = &reading.outbox.incarnation().0;
        // A spool that was wiped does not have what the positions say it has.
        let is_ours = kept.cluster == cluster && kept.incarnation == *incarnation;
        let files = if is_ours { kept.files } else { Vec::new() };
        let (ended, mut going): (Vec<Position>, Vec<Position>) =
            files.into_iter().partition(|position| position.ended);
        let before = kept.store.filter(|_| is_ours).map(StoreToken);
        let now = reading.announced.current();
        if before.is_some() && now.is_some() && before != now {
            going = going.iter().map(Position::restarted).collect();
        }
        let since = Instant::now();
        Ok(Self {
            reading: Reading {
                pace: None,
                ..reading.clone()
            },
            settings,
            cluster,
            spool,
            place,
            followed: Vec::new(),
            resting: going.into_iter().map(|one| (one, since)).collect(),
            ended,
            skipped: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            packed: BTreeSet::new(),
            renewed: since,
            has_heard: now.is_some(),
            store: now.or(before),
            written: Positions::default(),
        })
    }

    /// Begins every file again if the collectors fill another store than the one that has what was
    /// read, or did meanwhile.
    async fn listen(&mut self, heard: &mut Heard) -> Result<(), StreamerError> {
        if heard.news().now_or_never().is_none() {
            return Ok(());
        }
        let is_first = !std::mem::replace(&mut self.has_heard, true);
        let now = self.reading.announced.current();
        let before = std::mem::replace(&mut self.store, now);
        if before.is_none() || (is_first && before == self.store) {
            return Ok(());
        }
        tracing::info!(
            "the collectors fill another store: following every file from its beginning"
        );
        for (position, _) in &mut self.resting {
            *position = position.restarted();
        }
        for followed in std::mem::take(&mut self.followed) {
            let limits = self.reading.limits;
            let position = followed.position.restarted();
            match blocking(move || followed.again(limits)).await {
                Ok(again) => self.followed.push(again),
                Err(error) => {
                    self.tell(&position.path, &error);
                    self.resting.push((position, Instant::now()));
                }
            }
        }
        Ok(())
    }

    /// Looks once; answers whether there is more to do at once.
    async fn look(&mut self) -> Result<bool, StreamerError> {
        self.renew_claims().await;
        let place = self.place.clone();
        let folder = self.place.path().to_owned();
        let looked = blocking(move || {
            let path = place.path().to_owned();
            Looked::at(&place).map_err(|source| StreamerError::Source { path, source })
        });
        let looked = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                self.tell(&folder, &error);
                return Ok(false);
            }
        };
        self.take_note(&looked);
        self.adopt(&looked).await?;
        self.look_after_resting(&looked).await?;
        let mut has_more = false;
        for followed in std::mem::take(&mut self.followed) {
            has_more |= self.read(followed).await?;
        }
        Ok(has_more && self.reading.outbox.has_room())
    }

    /// Reads what is new in one file; answers whether there is more.
    async fn read(&mut self, mut followed: Followed) -> Result<bool, StreamerError> {
        for _ in 0..PIECES {
            if !self.reading.outbox.has_room() {
                self.followed.push(followed);
                return Ok(false);
            }
            let path = followed.position.path.clone();
            let read = blocking(move || {
                let found = followed.next();
                Ok((followed, found))
            });
            let (back, found) = read.await?;
            followed = back;
            if found.is_ok() {
                self.set_aside.remove(&path);
            }
            match found {
                Ok(Found::Chunk(chunk)) => {
                    if self.keep(&mut followed, *chunk).await? == Flow::Stopped {
                        self.followed.push(followed);
                        return Ok(false);
                    }
                }
                Ok(Found::Nothing) => {
                    self.end_if_due(followed).await?;
                    return Ok(false);
                }
                Ok(Found::Another) => {
                    tracing::info!(
                        source = %followed.position.source,
                        offset = followed.position.content.offset,
                        "it was cut off or written anew: what was read of it is signed off"
                    );
                    self.sign_off(followed.position).await?;
                    return Ok(true);
                }
                Err(error) => {
                    self.tell(&path, &error);
                    self.followed.push(followed);
                    return Ok(false);
                }
            }
        }
        self.followed.push(followed);
        Ok(true)
    }

    /// Takes note of an error of one file, which must not keep the others.
    fn tell(&mut self, path: &Path, error: &StreamerError) {
        let why = chain(error);
        if self.set_aside.get(path) != Some(&why) {
            tracing::error!(path = %path.display(), why, "this file cannot be followed for now");
        }
        self.set_aside.insert(path.to_owned(), why);
    }

    /// Writes down how far everything was followed, if that is another place than before.
    async fn remember(&mut self) -> Result<(), StreamerError> {
        let followed = self.followed.iter().map(|one| &one.position);
        let resting = self.resting.iter().map(|(position, _)| position);
        let positions = Positions {
            cluster: self.cluster.to_owned(),
            incarnation: self.reading.outbox.incarnation().0.clone(),
            store: self.store.as_ref().map(|store| store.0.clone()),
            files: followed
                .chain(resting)
                .chain(&self.ended)
                .cloned()
                .collect(),
        };
        if positions == self.written {
            return Ok(());
        }
        let (folder, copy) = (self.spool.to_owned(), positions.clone());
        let written = blocking(move || copy.write(&folder).map_err(forgot(&folder)));
        match written.await {
            Ok(()) => self.written = positions,
            // The next look tries again; until then, more would be read twice.
            Err(error) => tracing::warn!(why = chain(&error), "cannot remember how far it went"),
        }
        Ok(())
    }
}

fn forgot(folder: &Path) -> impl Fn(std::io::Error) -> StreamerError {
    let path = position::path(folder);
    move |source| StreamerError::Remember {
        path: path.clone(),
        source,
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> StreamerError + use<> {
    let path = path.to_owned();
    move |source| StreamerError::Source {
        path: path.clone(),
        source,
    }
}
