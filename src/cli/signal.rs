//! Signals that end a command.

use tokio::signal::unix::{SignalKind, signal};

use crate::model::exit::ExitCode;

/// Waits for a signal that ends the process, and tells which exit code belongs to it.
pub(super) async fn received() -> ExitCode {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => match interrupt {
            Ok(()) => ExitCode::Interrupted,
            // Without a handler the interrupt ends the process by itself.
            Err(_) => std::future::pending().await,
        },
        _ = terminate.recv() => ExitCode::Terminated,
    }
}
