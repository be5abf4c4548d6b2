//! Signals that end a command.

use std::cell::Cell;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::model::exit::ExitCode;

use super::session::Session;

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

/// First signal: no new write is begun, and the run says how far it got. Second: it ends here.
pub(super) async fn stop_on_signal(
    session: &Session,
    stop: CancellationToken,
    code: &Cell<ExitCode>,
) {
    code.set(received().await);
    session
        .ui
        .note("Stopping after the request in flight; once more stops at once.");
    stop.cancel();
    received().await;
}
