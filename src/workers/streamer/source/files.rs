//! What became of the files of a place.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use crate::model::causes::chain;

use super::super::{StreamerError, blocking};
use super::Source;
use super::file::Held;
use super::listing::{Listed, Place, SETTLE, Stamp};

/// Shortest pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The files of a place, each to be streamed once.
#[derive(Debug)]
pub(in super::super) struct Files {
    place: Place,
    /// Those of the last look that were not given yet.
    waiting: VecDeque<(PathBuf, Stamp)>,
    /// The last look since all of them were to be given.
    looked: Option<Instant>,
    /// An earlier look, which tells what rests since then.
    before: Option<(Listed, Instant)>,
    /// How those were found that need not be looked at as long as they stay so.
    done: BTreeMap<PathBuf, Stamp>,
    /// What they held when they were streamed, those of earlier rounds included.
    held: BTreeMap<PathBuf, Held>,
    /// What cannot be streamed, and why.
    set_aside: BTreeMap<PathBuf, String>,
    /// The file that was given last.
    last: Option<(PathBuf, Stamp)>,
}

impl Files {
    pub(in super::super) fn of(place: Place) -> Self {
        Self {
            place,
            waiting: VecDeque::new(),
            looked: None,
            before: None,
            done: BTreeMap::new(),
            held: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            last: None,
        }
    }

    /// Whether others may come.
    pub(in super::super) const fn may_grow(&self) -> bool {
        !matches!(self.place, Place::File(_))
    }

    /// Adds what cannot be streamed, and why.
    pub(in super::super) fn tell_set_aside(&self, told: &mut BTreeMap<String, String>) {
        let paths = self.set_aside.iter();
        told.extend(paths.map(|(path, why)| (path.display().to_string(), why.clone())));
    }

    /// The next file that is complete.
    pub(in super::super) async fn next(
        &mut self,
        cluster: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Source>, StreamerError> {
        self.last = None;
        let is_time = match self.looked {
            None => true,
            Some(looked) => self.may_grow() && looked.elapsed() >= PAUSE,
        };
        if self.waiting.is_empty() && is_time {
            self.look().await?;
        }
        while let Some((path, stamp)) = self.waiting.pop_front() {
            self.last = Some((path.clone(), stamp));
            let held = self.held.get(&path).cloned();
            let (place, cluster) = (self.place.clone(), cluster.to_owned());
            let token = stop.clone();
            let opened = blocking(move || {
                if !place.is_still(&path, stamp) {
                    // The next look tells how it is now.
                    return Ok(None);
                }
                let source = Source::open(&path, &place, &cluster, &token)?;
                if let (Some(source), Some(held)) = (&source, &held)
                    && source.grew_from(held)?
                {
                    return Err(StreamerError::Grew(path));
                }
                Ok(source)
            });
            let opened = opened.await;
            match opened {
                // Gone since the look.
                Err(StreamerError::Source { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && self.may_grow() => {}
                Ok(None) if !stop.is_cancelled() => {}
                opened => return opened,
            }
        }
        Ok(None)
    }

    /// Looks which files are there. A folder that cannot be read for a while, as one on another
    /// machine may be, is told and looked at again later.
    async fn look(&mut self) -> Result<(), StreamerError> {
        let place = self.place.clone();
        let listed = blocking(move || {
            place.list(SystemTime::now()).map_err(|source| {
                let path = place.path().to_owned();
                StreamerError::Source { path, source }
            })
        });
        let folder = self.place.path().to_owned();
        let listed = match listed.await {
            Ok(listed) => listed,
            Err(error) if self.before.is_some() && self.may_grow() => {
                let why = chain(&error);
                tracing::warn!(folder = %folder.display(), why, "the folder is looked at again later");
                self.set_aside.insert(folder, why);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.looked = Some(Instant::now());
        let is_there = |path: &PathBuf| {
            listed.files.contains_key(path) || listed.unreadable.contains_key(path)
        };
        self.done.retain(|path, _| is_there(path));
        self.held.retain(|path, _| is_there(path));
        self.set_aside.retain(|path, _| is_there(path));
        for (path, why) in &listed.unreadable {
            self.tell(path, why.clone());
        }
        let rested = match &self.before {
            Some((before, since)) if since.elapsed() >= SETTLE => Some(before),
            _ => None,
        };
        self.waiting = listed.complete(rested);
        let done = &self.done;
        self.waiting
            .retain(|(path, stamp)| done.get(path) != Some(stamp));
        if rested.is_some() || self.before.is_none() {
            self.before = Some((listed, Instant::now()));
        }
        Ok(())
    }

    /// Takes note that the file that was given last was read to its end; answers its path.
    pub(in super::super) fn done(&mut self, source: &Source) -> Option<PathBuf> {
        let (path, stamp) = self.last.take()?;
        self.set_aside.remove(&path);
        self.held.insert(path.clone(), source.held());
        self.done.insert(path.clone(), stamp);
        Some(path)
    }

    /// Takes note that the file that was given last cannot be streamed; answers its path. It is tried
    /// again when it is another one, or at once if only the disk did not give it.
    pub(in super::super) fn set_aside(
        &mut self,
        error: &StreamerError,
        why: String,
    ) -> Option<PathBuf> {
        let (path, stamp) = self.last.take()?;
        self.tell(&path, why);
        if !error.may_pass() {
            self.done.insert(path.clone(), stamp);
        }
        Some(path)
    }

    /// Tells why a file cannot be streamed.
    pub(in super::super) fn tell(&mut self, path: &Path, why: String) {
        if self.set_aside.get(path) != Some(&why) {
            tracing::error!(path = %path.display(), why, "this file is left out");
        }
        self.set_aside.insert(path.to_owned(), why);
    }

    /// Gives all of them in the next round.
    pub(in super::super) fn next_round(&mut self) {
        self.done.clear();
        self.waiting.clear();
        self.looked = None;
    }

    /// Gives all of them to a store that has none.
    pub(in super::super) fn another_store(&mut self) {
        self.next_round();
        self.held.clear();
    }
}
