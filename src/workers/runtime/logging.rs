//! Logs of a worker: lines on standard error, as text or JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;

use super::log_level::LogSwitch;

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none.
    #[error("`{level}` is no log level")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Somebody else logs already.
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
}

/// Sets logging up for this process. The answer changes the level later.
///
/// # Errors
/// When the level is none, or when logging was set up before.
pub fn start(level: &str, format: LogFormat) -> Result<LogSwitch, LoggingError> {
    use tracing_subscriber::util::SubscriberInitExt as _;

    let filter = filter(level).map_err(|source| LoggingError::Level {
        level: level.to_owned(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            let started = builder.finish().try_init();
            started.map(|()| LogSwitch::new(level, move |filter| handle.reload(filter)))
        }
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let builder = builder.with_ansi(is_terminal).with_filter_reloading();
            let handle = builder.reload_handle();
            let started = builder.finish().try_init();
            started.map(|()| LogSwitch::new(level, move |filter| handle.reload(filter)))
        }
    }
    .map_err(LoggingError::Twice)
}

/// A plain level is about this program; libraries only say what is wrong. Anything more is taken
/// as `tracing` writes its directives.
pub(super) fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    let level = level.trim();
    if level.contains(['=', ',']) {
        return EnvFilter::builder().parse(level);
    }
    EnvFilter::builder().parse(format!("warn,telectl={}", level.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn a_plain_level_keeps_libraries_quiet() {
        assert_eq!(filter("DEBUG").unwrap().to_string(), "telectl=debug,warn");
        assert_eq!(filter("h2=trace").unwrap().to_string(), "h2=trace");
        filter("loud").unwrap_err();
    }
}
