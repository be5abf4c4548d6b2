//! What became of the files of a place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::super::{StreamerError, blocking};
use super::Source;
use super::file::Held;
use super::listing::{Listed, Place, Stamp};

/// The files of a place, each to be streamed once.
#[derive(Debug)]
pub(in super::super) struct Files {
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

impl Files {
    pub(in super::super) fn of(place: Place) -> Self {
        Self {
            place,
            done: BTreeMap::new(),
            held: BTreeMap::new(),
            set_aside: BTreeMap::new(),
            before: Listed::default(),
            last: None,
        }
    }

    /// Whether others may come.
    pub(in super::super) const fn may_grow(&self) -> bool {
        !matches!(self.place, Place::File(_))
    }

    /// Adds those that cannot be streamed, and why.
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
        let (place, cluster, stop) = (self.place.clone(), cluster.to_owned(), stop.clone());
        blocking(move || {
            let source = Source::open(&path, &place, &cluster, &stop)?;
            if let (Some(source), Some(held)) = (&source, &held)
                && source.grew_from(held)?
            {
                return Err(StreamerError::Grew(path));
            }
            Ok(source)
        })
        .await
    }

    /// Takes note that the file that was given last was read to its end; answers its path.
    pub(in super::super) fn done(&mut self, source: &Source) -> Option<PathBuf> {
        let (path, stamp) = self.last.take()?;
        self.set_aside.remove(&path);
        self.held.insert(path.clone(), source.held());
        self.done.insert(path.clone(), stamp);
        Some(path)
    }

    /// Takes note that the file that was given last cannot be streamed; answers its path.
    pub(in super::super) fn set_aside(&mut self, why: String) -> Option<PathBuf> {
        let (path, stamp) = self.last.take()?;
        self.set_aside.insert(path.clone(), why);
        self.done.insert(path.clone(), stamp);
        Some(path)
    }

    /// Gives all of them once more.
    pub(in super::super) fn begin_again(&mut self) {
        self.done.clear();
    }
}
