//! What can happen.

use proptest::prelude::*;

use crate::queue::spool::simulated::Loses;

/// Streamers are 0 and 1, collectors 2 and 3.
pub(super) type Who = usize;

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    /// It has its effect, and the answer is an error.
    AnswerLost,
    /// It has no effect, and the answer is an error.
    Refused,
    /// A transaction of rows fails in the midst; anything else is refused.
    Midway,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// Everybody's questions are answered, one of each in turn, so many times.
    Run(u8),
    /// One of the questions that somebody has asked; entries are delivered in reverse if told so.
    Serve {
        who: Who,
        which: u8,
        fate: Fate,
        reversed: bool,
    },
    /// So many times six seconds pass: longer than any pause of a worker.
    Wait(u8),
    Freeze(Who),
    Thaw(Who),
    /// As by SIGKILL; what was asked may still have its effect.
    Kill {
        who: Who,
        has_effect: bool,
    },
    /// A streamer's machine loses its power.
    PowerCut(Who, Loses),
    /// The same in the midst of one of its next operations on the disk.
    PowerCutWithin(Who, u8, Loses),
    /// Somebody who is gone comes back; a streamer perhaps with an empty spool.
    Start {
        who: Who,
        size: usize,
        is_fresh: bool,
    },
    /// A streamer's disk is full, or has room again.
    Full(Who, bool),
    /// The queue is emptied.
    WipeQueue,
    /// Its process is killed.
    RestartQueue,
    /// It is remembered how the queue is, or it becomes what it was.
    KeepQueue,
    RollBackQueue,
    /// A copy is made of the store, or it is replaced by the copy: another life. Without a copy by
    /// an empty one.
    KeepStore,
    ReplaceStore,
    /// Somebody sends a canary, or what is no message.
    Canary,
    Poison,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Answered),
        2 => Just(Fate::AnswerLost),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Midway),
    ]
}

fn loses() -> impl Strategy<Value = Loses> {
    prop_oneof![
        1 => Just(Loses::Everything),
        2 => proptest::num::u64::ANY.prop_map(Loses::Some),
    ]
}

pub(super) fn any() -> impl Strategy<Value = Action> {
    let who = 0_usize..4;
    let streamer = 0_usize..2;
    prop_oneof![
        8 => (1_u8..16).prop_map(Action::Run),
        8 => (who.clone(), 0_u8..4, fate(), proptest::bool::ANY).prop_map(
            |(who, which, fate, reversed)| Action::Serve { who, which, fate, reversed }
        ),
        4 => (1_u8..4).prop_map(Action::Wait),
        2 => who.clone().prop_map(Action::Freeze),
        2 => who.clone().prop_map(Action::Thaw),
        2 => (who.clone(), proptest::bool::ANY)
            .prop_map(|(who, has_effect)| Action::Kill { who, has_effect }),
        2 => (streamer.clone(), loses()).prop_map(|(who, loses)| Action::PowerCut(who, loses)),
        2 => (streamer.clone(), 0_u8..24, loses())
            .prop_map(|(who, within, loses)| Action::PowerCutWithin(who, within, loses)),
        5 => (who, 1_usize..5, proptest::bool::weighted(0.3))
            .prop_map(|(who, size, is_fresh)| Action::Start { who, size, is_fresh }),
        1 => (streamer, proptest::bool::ANY).prop_map(|(who, is_full)| Action::Full(who, is_full)),
        1 => Just(Action::WipeQueue),
        1 => Just(Action::RestartQueue),
        1 => Just(Action::KeepQueue),
        1 => Just(Action::RollBackQueue),
        1 => Just(Action::KeepStore),
        1 => Just(Action::ReplaceStore),
        1 => Just(Action::Canary),
        1 => Just(Action::Poison),
    ]
}
