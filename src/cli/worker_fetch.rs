//! `telectl worker fetch`: what runs before a streamer whose source is a URL.

use crate::config::worker::{FetchSettings, SettingError};
use crate::model::exit::ExitCode;
use crate::workers::fetch::{self, FetchError, Fetched};

use super::error::CliError;
use super::session::Session;

/// Downloads the file, and says what became of it.
pub(super) fn run(session: &Session) -> Result<ExitCode, CliError> {
    let settings = FetchSettings::from_environment(&session.environment)?;
    let file = settings.file.display().to_string();
    let fetched = super::block_on(async { Ok(fetch::run(&settings).await?) })?;
    session.ui.note(&match fetched {
        Fetched::Present => format!("{file} is there already."),
        Fetched::Downloaded(length) => format!("{file} was downloaded: {length} bytes."),
    });
    Ok(ExitCode::Ok)
}

impl From<SettingError> for CliError {
    fn from(error: SettingError) -> Self {
        Self::from_error(ExitCode::Usage, &error)
    }
}

impl From<FetchError> for CliError {
    fn from(error: FetchError) -> Self {
        Self::from_error(ExitCode::Error, &error)
    }
}
