//! Where the sources come from, one after another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use crate::config::worker::{GenerateSettings, SourceSettings};
use crate::model::causes::chain;
use crate::model::source::PassId;
use crate::model::time::EventTime;

use super::remembered;
use super::source::{Generated, Held, Listed, Place, Source, Stamp};
use super::{StreamerError, blocking};

/// Gives every source once, until it is told to begin again.
#[derive(Debug)]
pub(super) struct Supply {
    cluster: String,
    streamer: String,
    stop: CancellationToken,
    kind: Kind,
    /// Sources that were read to their end since it began.
    read: u64,
}

#[derive(Debug)]
enum Kind {
    Files(Files),
    Generated {
        settings: GenerateSettings,
        spool: PathBuf,
        /// The last one that was given.
        last: Option<Generated>,
        given: bool,
    },
}

/// What became of the files of a place.
#[derive(Debug)]
struct Files {
    place: Place,
    /// How those were found that need not be looked at as long as they stay so.
    done: BTreeMap<PathBuf, Stamp>,
    /// What they held when they were streamed, those of earlier rounds included.
    held: BTreeMap<PathBuf, Held>,
    /// Those that cannot be streamed, and why.
    set_aside: BTreeMap<PathBuf, String>,
    /// The look before.
    before: Listed,
    /// The file that was given last.
    last: Option<(PathBuf, Stamp)>,
}

impl Supply {
    /// Of what the settings name.
    pub(super) async fn of(
        settings: &SourceSettings,
        spool: &Path,
        (cluster, streamer): (&str, &str),
        stop: &CancellationToken,
    ) -> Result<Self, StreamerError> {
        let kind = match settings {
            SourceSettings::Files(path) => Kind::Files(Files {
                place: place(path).await?,
                done: BTreeMap::new(),
                held: BTreeMap::new(),
                set_aside: BTreeMap::new(),
                before: Listed::default(),
                last: None,
            }),
            SourceSettings::Generated(settings) => Kind::Generated {
                settings: settings.clone(),
                spool: spool.to_owned(),
                last: None,
                given: false,
            },
        };
        Ok(Self {
            cluster: cluster.to_owned(),
            streamer: streamer.to_owned(),
            stop: stop.clone(),
            kind,
            read: 0,
        })
    }

    /// Whether sources may come later that are not there yet.
    pub(super) const fn may_grow(&self) -> bool {
        match &self.kind {
            Kind::Files(files) => matches!(files.place, Place::Files { .. }),
            Kind::Generated { .. } => false,
        }
    }

    /// How many sources were read to their end since it began.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Files that cannot be streamed, and why.
    pub(super) fn set_aside(&self) -> BTreeMap<String, String> {
        let Kind::Files(files) = &self.kind else {
            return BTreeMap::new();
        };
        let told = files.set_aside.iter();
        told.map(|(path, why)| (path.display().to_string(), why.clone()))
            .collect()
    }

    /// The next source; `None` if there is none at the moment, or `stop` was cancelled.
    pub(super) async fn next(&mut self) -> Result<Option<Source>, StreamerError> {
        match &mut self.kind {
            Kind::Files(files) => files.next(&self.cluster, &self.stop).await,
            Kind::Generated { given: true, .. } => Ok(None),
            Kind::Generated {
                settings,
                spool,
                last,
                given,
            } => {
                let generated = match last {
                    Some(last) => last.clone(),
                    None => {
                        let (settings, spool) = (settings.clone(), spool.clone());
                        let streamer = self.streamer.clone();
                        let begun = move || remembered::generated(&settings, &spool, &streamer);
                        blocking(begun).await?
                    }
                };
                *last = Some(generated.clone());
                *given = true;
                let (cluster, streamer) = (&self.cluster, &self.streamer);
                Ok(Some(Source::generated(generated, cluster, streamer)))
            }
        }
    }

    /// Takes note that the source that was given last was read to its end.
    pub(super) fn done(&mut self, source: &Source) {
        self.read += 1;
        if let Kind::Files(files) = &mut self.kind
            && let Some((path, stamp)) = files.last.take()
        {
            files.set_aside.remove(&path);
            files.held.insert(path.clone(), source.held());
            files.done.insert(path, stamp);
        }
    }

    /// Takes note of an error; answers it if that ends the streamer. Of many files one that cannot
    /// be streamed must not keep the others: it is tried again when it is another one.
    pub(super) fn failed(&mut self, error: StreamerError) -> Result<(), StreamerError> {
        let may_grow = self.may_grow();
        let Kind::Files(files) = &mut self.kind else {
            return Err(error);
        };
        match files.last.take() {
            Some((path, stamp)) if may_grow && error.is_of_source() => {
                let why = chain(&error);
                tracing::error!(path = %path.display(), why, "this file is left out until it changes");
                files.set_aside.insert(path.clone(), why);
                files.done.insert(path, stamp);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Gives everything once more: another store lacks it.
    pub(super) fn begin_again(&mut self) {
        self.read = 0;
        match &mut self.kind {
            Kind::Files(files) => files.done.clear(),
            Kind::Generated { given, .. } => *given = false,
        }
    }

    /// Begins the next round of loop mode: files are given once more, telemetry that is made up goes
    /// on where it ended. Answers the time before which there is none.
    pub(super) async fn next_round(&mut self) -> Result<Option<EventTime>, StreamerError> {
        self.begin_again();
        let Kind::Generated {
            settings,
            spool,
            last: Some(last),
            ..
        } = &mut self.kind
        else {
            return Ok(None);
        };
        *last = last.following();
        let (next, settings, spool) = (last.clone(), settings.clone(), spool.clone());
        let streamer = self.streamer.clone();
        blocking(move || {
            remembered::remember(&next, &settings, &spool, &streamer)?;
            Ok(Some(next.end()))
        })
        .await
    }

    /// The pass in which a source is read in loop mode. What is made up is another source each time.
    pub(super) fn pass_of_round(&self) -> PassId {
        match self.kind {
            Kind::Files(_) => PassId(hex::encode(rand::random::<[u8; 16]>())),
            Kind::Generated { .. } => PassId::once(),
        }
    }
}

async fn place(path: &Path) -> Result<Place, StreamerError> {
    let path = path.to_owned();
    blocking(move || Ok(Place::of(&path))).await
}

impl Files {
    async fn next(
        &mut self,
        cluster: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Source>, StreamerError> {
        let place = self.place.clone();
        let listed = blocking(move || {
            place.list(SystemTime::now()).map_err(|source| {
                let path = place.path().to_owned();
                StreamerError::Source { path, source }
            })
        })
        .await?;
        self.done.retain(|path, _| listed.files.contains_key(path));
        self.held.retain(|path, _| listed.files.contains_key(path));
        self.set_aside
            .retain(|path, _| listed.files.contains_key(path));
        let next = listed.next(&self.done, &self.before);
        let next = next.map(|(path, stamp)| (path.clone(), stamp));
        self.before = listed;
        self.last.clone_from(&next);
        let Some((path, _)) = next else {
            return Ok(None);
        };
        let held = self.held.get(&path).cloned();
        let (cluster, stop) = (cluster.to_owned(), stop.clone());
        blocking(move || {
            let source = Source::open(&path, &cluster, &stop)?;
            if let (Some(source), Some(held)) = (&source, &held)
                && source.grew_from(held)?
            {
                return Err(StreamerError::Grew(path));
            }
            Ok(source)
        })
        .await
    }
}
