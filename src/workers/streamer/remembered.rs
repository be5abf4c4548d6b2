//! Since when telemetry is made up: kept beside the spool, so that a streamer that starts again goes
//! on with the same content instead of with other times.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::worker::GenerateSettings;
use crate::model::time::EventTime;

use super::StreamerError;
use super::source::Generated;

const NAME: &str = "generated.json";

/// What is kept.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    streamer: String,
    hosts: u64,
    gpus: u64,
    rows: u64,
    /// Microseconds.
    interval: u64,
    /// Time of the first row, microseconds since the epoch.
    start: i64,
}

/// What the streamer began to make up with these settings; from now on, if it did not yet. Blocks.
pub(super) fn generated(
    settings: &GenerateSettings,
    folder: &Path,
    streamer: &str,
) -> Result<Generated, StreamerError> {
    let kept = read(folder).map_err(failed(folder))?;
    let kept = kept.filter(|kept| *kept == Kept::of(settings, streamer, EventTime(kept.start)));
    if let Some(kept) = kept {
        let start = EventTime(kept.start);
        return Ok(Generated::starting(settings, start, streamer));
    }
    let now = EventTime::from(Timestamp::now());
    let generated = Generated::ending(settings, now, streamer);
    remember(&generated, settings, folder, streamer)?;
    Ok(generated)
}

/// Keeps since when it is made up. Blocks.
pub(super) fn remember(
    generated: &Generated,
    settings: &GenerateSettings,
    folder: &Path,
    streamer: &str,
) -> Result<(), StreamerError> {
    let kept = Kept::of(settings, streamer, generated.start());
    write(folder, &kept).map_err(failed(folder))
}

impl Kept {
    fn of(settings: &GenerateSettings, streamer: &str, start: EventTime) -> Self {
        let micros = |interval: Duration| u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Self {
            streamer: streamer.to_owned(),
            hosts: settings.hosts,
            gpus: settings.gpus,
            rows: settings.rows,
            interval: micros(settings.interval),
            start: start.0,
        }
    }
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> StreamerError {
    let path = folder.join(NAME);
    move |source| StreamerError::Remember {
        path: path.clone(),
        source,
    }
}

fn read(folder: &Path) -> io::Result<Option<Kept>> {
    match std::fs::read(folder.join(NAME)) {
        // Somebody else's text is nothing that was remembered.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole or not at all, whatever ends the process.
fn write(folder: &Path, kept: &Kept) -> io::Result<()> {
    let new: PathBuf = folder.join(format!("{NAME}.new"));
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(NAME))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w21_a_streamer_that_starts_again_goes_on_with_the_same_and_with_other_settings_anew() {
        let folder = tempfile::tempdir().unwrap();
        let settings = GenerateSettings::default();
        let first = generated(&settings, folder.path(), "streamer-0").unwrap();
        let again = generated(&settings, folder.path(), "streamer-0").unwrap();
        assert_eq!(first.start(), again.start());
        let other = GenerateSettings {
            rows: 7,
            ..settings.clone()
        };
        let anew = generated(&other, folder.path(), "streamer-0").unwrap();
        assert_ne!(anew.start(), first.start());
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        generated(&settings, folder.path(), "streamer-0").unwrap();
        std::fs::remove_dir_all(folder.path()).unwrap();
        let failed = generated(&settings, folder.path(), "streamer-0").unwrap_err();
        let told = failed.to_string();
        assert!(told.contains("generated.json"), "{told}");
    }
}
