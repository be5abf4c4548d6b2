//! The decisions of a registration; no I/O, no clock, no randomness.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::service_record::ServiceRecord;
use crate::registry::{LeaseId, Registered};

/// The first pause after a failure is at most this, each next one at most twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read what is stored under the key.
    Read,
    /// Get a lease.
    Grant,
    /// Write the record under this lease.
    Put(LeaseId),
    /// Keep this lease alive.
    KeepAlive(LeaseId),
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// What is stored under the key.
    Found(Stored),
    /// A lease was granted.
    Granted(LeaseId),
    /// The record is written.
    Written,
    /// The lease lives on.
    KeptAlive,
    /// The lease is gone.
    LeaseGone,
    /// The registry did not answer, or refused.
    Failed,
    /// The worker's health changed: the record has to say so.
    HealthChanged,
}

/// What is stored under a worker's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The worker's own record, on a lease.
    Ours,
    /// Nothing, or something that does not end with a living worker: to be written.
    Missing,
    /// The record of a younger process with the same name: it stays.
    Successor,
}

/// Whose record is stored.
pub fn judge(stored: Option<&Registered>, ours: &ServiceRecord) -> Stored {
    let Some(Registered {
        record: Ok(record),
        lease_remaining: Some(_),
        ..
    }) = stored
    else {
        return Stored::Missing;
    };
    if record == ours {
        Stored::Ours
    } else if record.instance_uid == ours.instance_uid {
        // Ours, but a write that failed or somebody's hand left it different.
        Stored::Missing
    } else if age_order(record) > age_order(ours) {
        Stored::Successor
    } else {
        Stored::Missing
    }
}

/// Younger processes are greater. Of two that started at one instant, any fixed one.
fn age_order(record: &ServiceRecord) -> (Option<Timestamp>, &str) {
    (record.started_at.parse().ok(), &record.instance_uid)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not known to be registered.
    Unregistered,
    /// A younger process has the name.
    Displaced,
    /// The key is free.
    Wanted,
    /// A lease without the record.
    Granted(LeaseId),
    /// The lease may have been refused by the last write.
    Doubtful(LeaseId),
    /// Registered as far as is known.
    Registered(LeaseId),
    /// The lease lives; the record has to be looked at.
    Checking(LeaseId),
}

/// The decisions of a registration. Time is what has passed since some fixed instant.
#[derive(Debug, Clone)]
pub struct Machine {
    interval: Duration,
    state: State,
    failures: u32,
    due: Duration,
}

impl Machine {
    /// Not registered; the first step is due at once.
    pub fn new(lease_ttl: Duration) -> Self {
        Self {
            interval: lease_ttl / 3,
            state: State::Unregistered,
            failures: 0,
            due: Duration::ZERO,
        }
    }

    /// The next step and when it is due.
    pub const fn next(&self) -> (Step, Duration) {
        let step = match self.state {
            State::Unregistered | State::Displaced | State::Checking(_) => Step::Read,
            State::Wanted => Step::Grant,
            State::Granted(lease) => Step::Put(lease),
            State::Registered(lease) | State::Doubtful(lease) => Step::KeepAlive(lease),
        };
        (step, self.due)
    }

    /// The lease to give back, if there is one.
    pub const fn lease(&self) -> Option<LeaseId> {
        match self.state {
            State::Unregistered | State::Displaced | State::Wanted => None,
            State::Granted(lease)
            | State::Doubtful(lease)
            | State::Registered(lease)
            | State::Checking(lease) => Some(lease),
        }
    }

    /// The state in one word, for people.
    pub const fn word(&self) -> &'static str {
        match self.state {
            State::Registered(_) | State::Checking(_) if self.failures > 0 => "uncertain",
            State::Registered(_) | State::Checking(_) => "registered",
            State::Displaced => "displaced",
            State::Unregistered | State::Wanted | State::Granted(_) | State::Doubtful(_) => {
                "unregistered"
            }
        }
    }

    /// Takes note of what happened at `now`. `jitter` is a random number from 0 to 1.
    pub fn observe(&mut self, event: Event, now: Duration, jitter: f64) {
        if event == Event::Failed {
            self.failures = self.failures.saturating_add(1);
            self.due = now.saturating_add(self.pause(jitter));
            self.state = match self.state {
                State::Granted(lease) => State::Doubtful(lease),
                State::Checking(lease) => State::Registered(lease),
                state => state,
            };
            return;
        }
        let Some(state) = self.after(event) else {
            return;
        };
        self.state = state;
        self.due = now;
        if matches!(state, State::Registered(_) | State::Displaced) {
            self.failures = 0;
            self.due = now.saturating_add(self.interval);
        }
    }

    /// The state after an event, if the event changes anything.
    const fn after(&self, event: Event) -> Option<State> {
        Some(match (event, self.state) {
            (Event::Found(Stored::Ours), State::Checking(lease))
            | (Event::Written, State::Granted(lease)) => State::Registered(lease),
            (Event::Found(Stored::Missing), State::Checking(lease))
            | (Event::HealthChanged, State::Checking(lease) | State::Registered(lease)) => {
                State::Granted(lease)
            }
            (Event::Found(Stored::Successor), _) => State::Displaced,
            (Event::Found(Stored::Missing | Stored::Ours), _) => State::Wanted,
            (Event::Granted(lease), _) => State::Granted(lease),
            (Event::KeptAlive, State::Registered(lease) | State::Doubtful(lease)) => {
                State::Checking(lease)
            }
            (Event::LeaseGone, _) => State::Unregistered,
            (Event::Written | Event::KeptAlive | Event::HealthChanged | Event::Failed, _) => {
                return None;
            }
        })
    }

    /// Full jitter: anything up to a limit that doubles, but never longer than a third of the
    /// lease's life.
    fn pause(&self, jitter: f64) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let limit = FIRST_PAUSE
            .saturating_mul(1 << doublings)
            .min(self.interval);
        limit.mul_f64(jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
