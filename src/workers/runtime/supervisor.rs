//! Runs the tasks of a worker and stops them in order.
//!
//! # Expected flow
//! Tasks run until the first signal or the first failure. Then the worker is unready, `stop` is
//! cancelled and every task has the grace time to end; when they have ended, `last` is cancelled
//! and the HTTP server, which answers until then, ends as well.
//!
//! # Guarantees
//! A panic of a task is a failure. A second signal, or the end of the grace time, aborts what still
//! runs; the answer names it.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::model::causes::chain;
use crate::workers::vitals::Vitals;

use super::signals::Signal;

/// Why a task failed.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// When a task is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// First: it does the work.
    Work,
    /// When all work has ended: it tells others about it.
    Last,
}

/// How a supervised worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Everything stopped in time after a signal.
    Stopped,
    /// A task failed; the others were stopped.
    Failed {
        /// Which.
        task: &'static str,
        /// Why, causes included.
        reason: String,
    },
    /// These tasks were still running when the grace time ended.
    GracePassed(Vec<&'static str>),
    /// A second signal cut the stop short.
    Aborted(Signal),
}

/// How long a stop may take.
#[derive(Debug, Clone, Copy)]
pub struct StopTimes {
    /// Between becoming unready and refusing work: time for others to notice.
    pub notice: Duration,
    /// For all the rest.
    pub grace: Duration,
}

struct Running {
    name: &'static str,
    phase: Phase,
    abort: AbortHandle,
}

/// The tasks of a worker.
pub struct Supervisor {
    vitals: Vitals,
    times: StopTimes,
    stop: CancellationToken,
    last: CancellationToken,
    tasks: JoinSet<Result<(), TaskError>>,
    running: BTreeMap<Id, Running>,
}

impl Supervisor {
    /// Without any task yet.
    pub fn new(vitals: Vitals, times: StopTimes) -> Self {
        Self {
            vitals,
            times,
            stop: CancellationToken::new(),
            last: CancellationToken::new(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// The token that tells the tasks of a phase to stop.
    pub fn token(&self, phase: Phase) -> CancellationToken {
        match phase {
            Phase::Work => self.stop.clone(),
            Phase::Last => self.last.clone(),
        }
    }

    /// Starts a task. It may end by itself at any time; only an error ends the others.
    pub fn start(
        &mut self,
        name: &'static str,
        phase: Phase,
        task: impl Future<Output = Result<(), TaskError>> + Send + 'static,
    ) {
        let abort = self.tasks.spawn(task);
        self.running
            .insert(abort.id(), Running { name, phase, abort });
    }

    /// Runs until everything has ended; see the module for the order.
    pub async fn run(mut self, mut signals: impl Stream<Item = Signal> + Unpin) -> Ended {
        let failure = self.until_told(&mut signals).await;
        self.vitals.drain();
        let deadline = Instant::now() + self.times.notice + self.times.grace;
        let stopped = tokio::select! {
            stopped = self.wind_down(deadline) => stopped,
            Some(signal) = signals.next() => Some(Ended::Aborted(signal)),
        };
        for running in self.running.values() {
            running.abort.abort();
        }
        match (failure, stopped) {
            (_, Some(Ended::Aborted(signal))) => Ended::Aborted(signal),
            (Some(failure), _) | (None, Some(failure)) => failure,
            (None, None) => Ended::Stopped,
        }
    }

    /// Until a signal (`None`) or a failure.
    async fn until_told(
        &mut self,
        signals: &mut (impl Stream<Item = Signal> + Unpin),
    ) -> Option<Ended> {
        loop {
            tokio::select! {
                signal = signals.next() => {
                    tracing::info!(?signal, "stopping");
                    return None;
                }
                Some(ended) = self.tasks.join_next_with_id() => {
                    if let Some(failure) = self.note(ended) {
                        return Some(failure);
                    }
                }
            }
        }
    }

    /// Stops the phases one after the other; the answer is what went wrong.
    async fn wind_down(&mut self, deadline: Instant) -> Option<Ended> {
        sleep(self.times.notice).await;
        let mut failure = None;
        for phase in [Phase::Work, Phase::Last] {
            self.token(phase).cancel();
            while self.running.values().any(|task| task.phase == phase) {
                tokio::select! {
                    Some(ended) = self.tasks.join_next_with_id() => {
                        failure = failure.or(self.note(ended));
                    }
                    () = sleep_until(deadline) => {
                        let names = self.running.values().map(|task| task.name).collect();
                        tracing::error!(still_running = ?names, "not stopped within the grace time");
                        return failure.or(Some(Ended::GracePassed(names)));
                    }
                }
            }
        }
        failure
    }

    fn note(&mut self, ended: Result<(Id, Result<(), TaskError>), JoinError>) -> Option<Ended> {
        let (id, reason) = match ended {
            Ok((id, Ok(()))) => (id, None),
            Ok((id, Err(error))) => (id, Some(chain(&*error))),
            Err(error) => (error.id(), Some(panic_text(error))),
        };
        let task = self.running.remove(&id).map_or("task", |task| task.name);
        let Some(reason) = reason else {
            tracing::info!(task, "ended");
            return None;
        };
        tracing::error!(task, reason, "failed");
        Some(Ended::Failed { task, reason })
    }
}

fn panic_text(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "cancelled".to_owned();
    };
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
