//! Where the sources come from, one after another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::config::worker::{GenerateSettings, SourceSettings, StreamerSettings};
use crate::model::causes::chain;
use crate::model::source::PassId;
use crate::model::time::EventTime;

use super::remembered;
use super::source::{Files, Generated, Place, Source};
use super::upload::Uploads;
use super::{StreamerError, blocking};

/// Gives every source once, until it is told to begin again.
#[derive(Debug)]
pub(super) struct Supply {
    cluster: String,
    streamer: String,
    stop: CancellationToken,
    main: Main,
    uploads: Option<(Uploads, Files)>,
    /// Where the source that was given last came from.
    last: Origin,
    /// Sources that were read to their end since it began.
    read: u64,
}

/// What the settings name.
#[derive(Debug)]
enum Main {
    Nothing,
    Files(Box<Files>),
    MadeUp(MadeUp),
}

#[derive(Debug)]
struct MadeUp {
    settings: GenerateSettings,
    spool: PathBuf,
    /// The last one that was given.
    last: Option<Generated>,
    given: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Main,
    Upload,
}

impl Supply {
    /// Of what the settings name, and what was uploaded.
    pub(super) async fn of(
        settings: &StreamerSettings,
        uploads: Option<Uploads>,
        (cluster, streamer): (&str, &str),
        stop: &CancellationToken,
    ) -> Result<Self, StreamerError> {
        let main = match &settings.source {
            // What is followed or scraped is read beside this.
            SourceSettings::Nothing | SourceSettings::Followed(_) | SourceSettings::Scraped(_) => {
                Main::Nothing
            }
            SourceSettings::Files(path) => {
                let place = Place::named(path).await?;
                Main::Files(Box::new(Files::of(place)))
            }
            SourceSettings::Generated(made_up) => Main::MadeUp(MadeUp {
                settings: made_up.clone(),
                spool: settings.spool_dir.clone(),
                last: None,
                given: false,
            }),
        };
        Ok(Self {
            cluster: cluster.to_owned(),
            streamer: streamer.to_owned(),
            stop: stop.clone(),
            main,
            uploads: uploads.map(|uploads| {
                let files = Files::of(Place::uploads(uploads.folder()));
                (uploads, files)
            }),
            last: Origin::Main,
            read: 0,
        })
    }

    /// Whether sources may come later that are not there yet.
    pub(super) const fn may_grow(&self) -> bool {
        let grows = matches!(&self.main, Main::Files(files) if files.may_grow());
        grows || self.uploads.is_some()
    }

    /// How many sources were read to their end since it began.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Files that cannot be streamed, and why.
    pub(super) fn set_aside(&self) -> BTreeMap<String, String> {
        let mut told = BTreeMap::new();
        if let Main::Files(files) = &self.main {
            files.tell_set_aside(&mut told);
        }
        if let Some((_, files)) = &self.uploads {
            files.tell_set_aside(&mut told);
        }
        told
    }

    /// The next source; `None` if there is none at the moment, or `stop` was cancelled.
    pub(super) async fn next(&mut self) -> Result<Option<Source>, StreamerError> {
        let (cluster, stop) = (&self.cluster, &self.stop);
        self.last = Origin::Main;
        let next = match &mut self.main {
            Main::Nothing => None,
            Main::Files(files) => files.next(cluster, stop).await?,
            Main::MadeUp(made_up) => made_up.next(cluster, &self.streamer).await?,
        };
        match &mut self.uploads {
            Some((_, files)) if next.is_none() => {
                self.last = Origin::Upload;
                files.next(cluster, stop).await
            }
            _ => Ok(next),
        }
    }

    /// Takes note that the source that was given last was read to its end.
    pub(super) fn done(&mut self, source: &Source) {
        match (self.last, &mut self.main, &mut self.uploads) {
            (Origin::Upload, _, Some((uploads, files))) => {
                if let Some(path) = files.done(source) {
                    uploads.read(&path, &source.id);
                }
            }
            (Origin::Main, Main::Files(files), _) => {
                self.read += 1;
                files.done(source);
            }
            _ => self.read += 1,
        }
    }

    /// Takes note of an error; answers it if that ends the streamer. Of many files one that cannot
    /// be streamed must not keep the others: it is tried again when it is another one.
    pub(super) fn failed(&mut self, error: StreamerError) -> Result<(), StreamerError> {
        let files = match (self.last, &mut self.main, &mut self.uploads) {
            (Origin::Upload, _, Some((_, files))) => files,
            (Origin::Main, Main::Files(files), _) if files.may_grow() => files,
            _ => return Err(error),
        };
        if !error.is_of_source() {
            return Err(error);
        }
        let why = chain(&error);
        let Some(path) = files.set_aside(&error, why.clone()) else {
            return Err(error);
        };
        if let (Origin::Upload, Some((uploads, _))) = (self.last, &self.uploads) {
            uploads.refused(&path, &why);
        }
        Ok(())
    }

    /// Takes note that a source that was read to its end is not what it was; answers the error if that
    /// ends the streamer.
    pub(super) fn failed_later(
        &mut self,
        source: &Source,
        error: StreamerError,
    ) -> Result<(), StreamerError> {
        let files = match (source.is_own, &mut self.main, &mut self.uploads) {
            (true, _, Some((_, files))) => files,
            (false, Main::Files(files), _) if files.may_grow() => files,
            _ => return Err(error),
        };
        files.tell(&source.file, chain(&error));
        Ok(())
    }

    /// Gives everything once more: another store lacks it.
    pub(super) fn another_store(&mut self) {
        self.read = 0;
        match &mut self.main {
            Main::Nothing => {}
            Main::Files(files) => files.another_store(),
            Main::MadeUp(made_up) => made_up.given = false,
        }
        if let Some((uploads, files)) = &mut self.uploads {
            files.another_store();
            uploads.wait_again();
        }
    }

    /// Begins the next round of loop mode: files are given once more, telemetry that is made up goes
    /// on where it ended, uploads are not repeated. Answers the time before which there is none.
    pub(super) fn next_round(&mut self) -> Option<EventTime> {
        self.read = 0;
        match &mut self.main {
            Main::Nothing => None,
            Main::Files(files) => {
                files.next_round();
                None
            }
            Main::MadeUp(made_up) => made_up.next_round(),
        }
    }

    /// The pass in which the source that was given last is read in loop mode: only files are read
    /// again and again.
    pub(super) fn pass_of_round(&self) -> PassId {
        match (self.last, &self.main) {
            (Origin::Main, Main::Files(_)) => PassId(hex::encode(rand::random::<[u8; 16]>())),
            _ => PassId::once(),
        }
    }

    /// What was uploaded.
    pub(super) fn uploads(&self) -> Option<&Uploads> {
        self.uploads.as_ref().map(|(uploads, _)| uploads)
    }
}

impl MadeUp {
    async fn next(
        &mut self,
        cluster: &str,
        streamer: &str,
    ) -> Result<Option<Source>, StreamerError> {
        if self.given {
            return Ok(None);
        }
        let (last, settings) = (self.last.clone(), self.settings.clone());
        let (spool, name) = (self.spool.clone(), streamer.to_owned());
        let generated = blocking(move || match last {
            None => remembered::generated(&settings, &spool, &name),
            Some(last) => {
                remembered::remember(&last, &settings, &spool, &name)?;
                Ok(last)
            }
        })
        .await?;
        self.last = Some(generated.clone());
        self.given = true;
        Ok(Some(Source::generated(generated, cluster, streamer)))
    }

    /// Goes on where it ended; answers the time of the last row. It is remembered when it is given:
    /// before that time, somebody who starts again has to wait as well.
    fn next_round(&mut self) -> Option<EventTime> {
        self.given = false;
        let last = self.last.as_mut()?;
        *last = last.following();
        Some(last.end())
    }
}
