//! How far a run got, kept up to date while it goes on: it counts however the run ends.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::layout::Stage;
use super::plan::Action;
use super::run::Skipped;
use crate::model::object::ObjectRef;

/// How far a run got.
#[derive(Debug, Default)]
pub struct Progressed {
    /// Stages that are deployed and ready.
    pub done: Vec<Stage>,
    /// The stages that failed, and why.
    pub failed: Vec<(Stage, String)>,
    /// Stages that were begun and did not come to their end.
    pub under_way: BTreeSet<Stage>,
    /// Stages that were not begun.
    pub not_begun: Vec<Stage>,
    /// Stages whose clusters did not answer, so that the run went on without them.
    pub skipped: Vec<Skipped>,
    /// Stages that are again as they were before.
    pub rolled_back: Vec<(Stage, Restored)>,
    /// Stages that could not be taken back, and why.
    pub not_rolled_back: Vec<(Stage, String)>,
    /// What was written and deleted, by stage.
    pub touched: BTreeMap<Stage, Touched>,
}

/// What a stage was taken back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// A generation of its history.
    Generation(u32),
    /// Nothing: it had not been deployed before.
    Nothing,
}

/// What a run did to the objects of a stage.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    /// What was written, each object once however often it was.
    pub written: BTreeSet<ObjectRef>,
    /// Those of the written objects that had not been there.
    pub created: BTreeSet<ObjectRef>,
    /// What was deleted.
    pub deleted: BTreeSet<ObjectRef>,
    /// Requests that were sent and not answered: whoever breaks a run off cannot know.
    pub in_flight: BTreeSet<ObjectRef>,
}

impl Touched {
    /// Whether anything was, or may have been, changed.
    pub fn is_touched(&self) -> bool {
        !(self.written.is_empty() && self.deleted.is_empty() && self.in_flight.is_empty())
    }
}

impl Progressed {
    /// How many objects were written altogether.
    pub fn written(&self) -> usize {
        self.touched.values().map(|stage| stage.written.len()).sum()
    }

    /// How many objects were deleted altogether.
    pub fn deleted(&self) -> usize {
        self.touched.values().map(|stage| stage.deleted.len()).sum()
    }

    /// Whether anything was, or may have been, changed.
    pub fn is_touched(&self) -> bool {
        self.touched.values().any(Touched::is_touched)
    }

    /// What was done to a stage.
    pub fn of(&self, stage: &Stage) -> Touched {
        self.touched.get(stage).cloned().unwrap_or_default()
    }

    fn touch(&mut self, stage: &Stage) -> &mut Touched {
        self.touched.entry(stage.clone()).or_default()
    }
}

/// The progress of a run, shared by the stages that are deployed at the same time.
#[derive(Debug, Default)]
pub struct Ledger(RefCell<Progressed>);

impl Ledger {
    /// How far the run got.
    pub fn into_inner(self) -> Progressed {
        self.0.into_inner()
    }

    /// Notes something; the ledger is not to be used meanwhile.
    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Progressed) -> T) -> T {
        change(&mut self.0.borrow_mut())
    }

    /// What was done to a stage.
    pub(super) fn of(&self, stage: &Stage) -> Touched {
        self.0.borrow().of(stage)
    }

    /// Whether the run has, or may have, changed anything in the namespace of a stage.
    pub(super) fn is_touched(&self, stage: &Stage) -> bool {
        let is_there = |other: &Stage| {
            (&other.context, &other.namespace) == (&stage.context, &stage.namespace)
        };
        let all = self.0.borrow();
        let mut here = all.touched.iter().filter(|(other, _)| is_there(other));
        here.any(|(_, touched)| touched.is_touched())
    }

    pub(super) fn begin_write(&self, stage: &Stage, object: &ObjectRef) {
        self.note(|all| all.touch(stage).in_flight.insert(object.clone()));
    }

    /// The request was answered with an error: nothing was written.
    pub(super) fn refused(&self, stage: &Stage, object: &ObjectRef) {
        self.note(|all| all.touch(stage).in_flight.remove(object));
    }

    /// Notes what was done; whether it is the first time for this object in the run.
    pub(super) fn finish_write(&self, stage: &Stage, object: &ObjectRef, action: Action) -> bool {
        self.note(|all| {
            let touched = all.touch(stage);
            touched.in_flight.remove(object);
            match action {
                Action::Delete => touched.deleted.insert(object.clone()),
                Action::Create => {
                    touched.created.insert(object.clone());
                    touched.written.insert(object.clone())
                }
                _ => touched.written.insert(object.clone()),
            }
        })
    }
}
