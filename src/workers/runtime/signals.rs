//! SIGINT and SIGTERM as a stream.

use std::io;

use futures::Stream;
use futures::stream::unfold;
use tokio::signal::unix::{SignalKind, signal};

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGTERM, as a kubelet sends it.
    Terminate,
}

/// Every SIGINT and SIGTERM from now on; none of them ends the process by itself any more.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn signals() -> io::Result<impl Stream<Item = Signal> + Send + Unpin> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    Ok(Box::pin(unfold(
        (interrupt, terminate),
        |(mut interrupt, mut terminate)| async move {
            let received = tokio::select! {
                Some(()) = interrupt.recv() => Signal::Interrupt,
                Some(()) = terminate.recv() => Signal::Terminate,
                else => return None,
            };
            Some((received, (interrupt, terminate)))
        },
    )))
}
