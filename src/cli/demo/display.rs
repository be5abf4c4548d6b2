//! Shows on the terminal what arrives in the store.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::report::{Live, Ui};
use crate::store::sqlite::SqliteStore;
use crate::store::{SourceProgress, Store as _, StoreError};
use crate::workers::demo;
use crate::workers::runtime::signals::Signal;
use crate::workers::streamer::QUARANTINED;
use crate::workers::vitals::Vitals;

use super::super::number::grouped;
use super::view;

/// How often the store is asked what it holds.
const REFRESH: Duration = Duration::from_millis(200);

/// Follows the file into the store.
pub(super) struct Display {
    pub(super) ui: Ui,
    pub(super) store: SqliteStore,
    pub(super) vitals: Vitals,
    pub(super) url: String,
    pub(super) file: String,
    /// The folder that the user wants to keep, if any.
    pub(super) kept: Option<PathBuf>,
    pub(super) started: Instant,
    pub(super) until: Until,
    pub(super) done: Option<oneshot::Sender<()>>,
    pub(super) course: Arc<Course>,
}

/// What decides about the exit code.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// The signal that came first.
    pub(super) interrupted: OnceLock<Signal>,
    /// How many of the file's rows are stored, once that is all there will be.
    pub(super) stored: OnceLock<u64>,
}

/// How long the demo goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until the file is stored.
    Stored,
    /// Until somebody stops it.
    Stopped,
}

/// Why the display ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum DisplayError {
    #[error("cannot read what was stored")]
    Store(#[from] StoreError),
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

impl Display {
    /// Follows the file into the store, then shows the whole of it and waits for the end.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), DisplayError> {
        let mut live = self.ui.live();
        let mut last = String::new();
        let complete = loop {
            let progress = self.progress().await?;
            if let Some(complete) = progress.clone().filter(view::is_complete) {
                break complete;
            }
            let statistics = self.store.statistics().await?;
            let line = if statistics.total_records == 0 {
                format!("Reading {}.", self.file)
            } else {
                view::progress_line(progress.as_ref(), &statistics)
            };
            if live.is_drawn() && statistics.unique_gpus == 0 {
                live.show("", &line);
            } else if live.is_drawn() {
                let table = self.table(&live).await?;
                live.show(&table, &line);
            } else if line != last {
                self.ui.note(&line);
                last = line;
            }
            tokio::select! {
                () = stop.cancelled() => {
                    live.clear();
                    return self.break_off().await;
                }
                () = sleep(REFRESH) => {}
            }
        };
        live.clear();
        self.course.stored.get_or_init(|| complete.stored_rows);
        self.conclude(&complete, &live).await?;
        stop.cancelled().await;
        Ok(())
    }

    /// Says what is stored of a file that is not stored whole, and where.
    async fn break_off(&self) -> Result<(), DisplayError> {
        let statistics = self.store.statistics().await?;
        let stored = view::progress_line(self.progress().await?.as_ref(), &statistics);
        let place = match &self.kept {
            Some(folder) => format!(
                "they are kept in {}, and the same command goes on from there",
                folder.display()
            ),
            None => "their temporary folder is removed; --data-dir DIR keeps them".to_owned(),
        };
        match self.course.interrupted.get() {
            Some(_) => self.ui.warn(&format!("interrupted: {stored}; {place}")),
            None => self
                .ui
                .note(&format!("The time is over: {stored}; {place}.")),
        }
        Ok(())
    }

    async fn conclude(
        &mut self,
        complete: &SourceProgress,
        live: &Live,
    ) -> Result<(), DisplayError> {
        let statistics = self.store.statistics().await?;
        self.ui.data(&self.table(live).await?)?;
        let more = statistics.unique_gpus.saturating_sub(view::SHOWN as u64);
        if more > 0 {
            self.ui.note(&format!("… and {} more GPUs.", grouped(more)));
        }
        let time = self.started.elapsed();
        self.ui
            .data(&view::summary(&statistics, complete.quarantined_rows, time))?;
        self.tell_set_aside(complete.quarantined_rows);
        match self.until {
            Until::Stored => self.end(),
            Until::Stopped => self.ui.note(&format!(
                "Ask for more: curl {0}/api/v1/gpus, or look at {0}/docs. Ctrl-C stops the demo.",
                self.url
            )),
        }
        Ok(())
    }

    /// Ends the demo; nobody waits for that any more if it is being stopped.
    pub(super) fn end(&mut self) {
        if let Some(done) = self.done.take() {
            done.send(()).ok();
        }
    }

    /// Where the first rows are that could not be stored, and why.
    fn tell_set_aside(&self, rows: u64) {
        let details = self.vitals.details();
        let examples = details.get(QUARANTINED).and_then(Value::as_array);
        let shown = examples.map_or(0, Vec::len);
        for bad in examples.into_iter().flatten() {
            let reason = bad["reason"].as_str().unwrap_or_default();
            self.ui.warn(&format!(
                "{}:{}: set aside: {reason}",
                self.file, bad["line"]
            ));
        }
        let more = rows.saturating_sub(shown as u64);
        if more > 0 {
            self.ui
                .warn(&format!("{}: {more} more rows were set aside", self.file));
        }
        if rows > 0 {
            self.ui.hint(
                "stream the corrected lines as a file of their own: a changed file is a new source",
            );
        }
    }

    async fn progress(&self) -> Result<Option<SourceProgress>, StoreError> {
        let sources = self.store.sources().await?;
        Ok(sources
            .into_iter()
            .find(|source| source.cluster == demo::CLUSTER && source.name == self.file))
    }

    async fn table(&self, live: &Live) -> Result<String, StoreError> {
        let gpus = self.store.gpus().await?;
        let latest = self.store.latest(None).await?;
        let width = live.width().unwrap_or(usize::MAX);
        Ok(view::gpu_table(&gpus, &latest, width).render(self.ui.data_coloring()))
    }
}
