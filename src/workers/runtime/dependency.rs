//! Keeps looking at a server that a worker depends on.

use std::error::Error;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use crate::model::causes::chain;
use crate::workers::vitals::Vitals;

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_secs(3);

/// Longest time for one look.
const LIMIT: Duration = Duration::from_secs(5);

/// Notes that a worker is of no use before it has reached this for the first time.
pub fn expect(vitals: &Vitals, name: &str) {
    vitals.dependency(name, true, Err("not reached yet".to_owned()));
}

/// Looks at a required dependency again and again until `stop`, and notes how it went.
pub async fn watch<E, F>(
    name: &'static str,
    vitals: &Vitals,
    stop: &CancellationToken,
    ping: impl Fn() -> F + Send,
) where
    E: Error + 'static,
    F: Future<Output = Result<(), E>> + Send,
{
    let mut was_ok = None;
    loop {
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = timeout(LIMIT, ping()) => match outcome {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(chain(&error)),
                Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
            },
        };
        if was_ok != Some(outcome.is_ok()) {
            match &outcome {
                Ok(()) => tracing::info!(dependency = name, "reached"),
                Err(reason) => tracing::warn!(dependency = name, reason, "not reached"),
            }
            was_ok = Some(outcome.is_ok());
        }
        vitals.dependency(name, true, outcome);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(INTERVAL) => {}
        }
    }
}
