//! Which test has which lab: each is one test's at a time.

use std::sync::{Condvar, Mutex, PoisonError};

/// The edge and the central cluster of the second lab, where the fixture made them: tests that need
/// a lab then go two at a time.
pub(super) const SECOND: [&str; 2] = ["edge-b", "central-b"];

/// A lab that no test has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Free {
    /// Whether it is the second.
    pub(super) is_second: bool,
    /// What the tests before left.
    pub(super) state: State,
}

/// What the tests before left of a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No test had it.
    Empty,
    /// It is deployed and well.
    Deployed,
    /// A test failed that had it: what that test broke may still be broken.
    Spoiled,
}

/// The labs that no test has; `None` before the first test asks.
static FREE: Mutex<Option<Vec<Free>>> = Mutex::new(None);
/// Tells that a lab was given back.
static GIVEN_BACK: Condvar = Condvar::new();

/// A lab that a test has. It is given back when it is dropped, by a test that fails, too.
pub(super) struct Turn(pub(super) Free);

impl Turn {
    /// Waits for a lab that no test has.
    pub(super) fn take(has_second: bool) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let labs = free.get_or_insert_with(|| {
                let seconds = if has_second {
                    &[true, false][..]
                } else {
                    &[false]
                };
                let lab = |is_second: &bool| Free {
                    is_second: *is_second,
                    state: State::Empty,
                };
                seconds.iter().map(lab).collect()
            });
            if let Some(lab) = labs.pop() {
                return Self(lab);
            }
            free = GIVEN_BACK
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state = State::Spoiled;
        }
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.get_or_insert_default().push(self.0);
        GIVEN_BACK.notify_one();
    }
}
