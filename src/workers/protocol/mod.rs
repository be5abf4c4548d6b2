//! The whole data path as a state machine that anything may happen to, judged by what is stored.
//!
//! The real streamers and collectors run in one thread, whose clock moves only when nobody has
//! anything to do. Between them stand the embedded queue and the SQLite store, both real, too. Every
//! question of a worker to one of these waits until it is served, refused, or served without an
//! answer: that is what an [`Action`] decides, and when. Spools and queue are on a disk in memory
//! that forgets what was not synced. At the end everything runs on undisturbed.
//!
//! Half of `PROPTEST_CASES` cases are run: each does as much as hundreds of other properties.

mod action;
mod judge;
mod line;
mod process;
mod servers;
mod source;
mod world;

use proptest::prelude::*;

use crate::queue::spool::simulated::Loses;

use action::Action;
use world::World;

/// How a case begins.
#[derive(Debug, Clone)]
struct Beginning {
    rows: u64,
    /// Of each streamer: rows of a batch.
    batches: [usize; 2],
    /// Of each collector: rows of a transaction.
    transactions: [usize; 2],
}

fn beginning() -> impl Strategy<Value = Beginning> {
    let batches = [1_usize..5, 1..5];
    let transactions = [1_usize..9, 1..9];
    (2_u64..10, batches, transactions).prop_map(|(rows, batches, transactions)| Beginning {
        rows,
        batches,
        transactions,
    })
}

/// Runs a case; `Err` says which promise was broken.
fn play(beginning: &Beginning, actions: &[Action]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut world = World::begin(beginning).await;
        world.settle().await?;
        for (number, action) in actions.iter().enumerate() {
            let done = world.act(action).await;
            done.map_err(|broken| format!("after action {number}: {broken}"))?;
        }
        world.calm().await
    })
}

fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases / 2,
        max_shrink_iters: 4000,
        ..config
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_row_is_stored_once_whatever_happens(
        beginning in beginning(),
        actions in proptest::collection::vec(action::any(), 0..40),
    ) {
        play(&beginning, &actions).map_err(TestCaseError::fail)?;
    }
}

/// Found by the property: what was acknowledged was judged by the store that was known before a
/// question, and freed after it, when those who read had heard of another one and left it out.
#[test]
fn a_spool_is_not_freed_by_what_another_store_has() {
    use action::Action::{Freeze, Poison, PowerCut, ReplaceStore, Run, Serve, Start, Wait};
    use action::Fate::AnswerLost;
    let beginning = Beginning {
        rows: 2,
        batches: [3, 1],
        transactions: [4, 1],
    };
    let actions = [
        PowerCut(1, Loses::Everything),
        Run(8),
        Wait(1),
        Poison,
        Serve {
            who: 2,
            which: 2,
            fate: AnswerLost,
            reversed: false,
        },
        Freeze(3),
        ReplaceStore,
        PowerCut(0, Loses::Everything),
        Start {
            who: 0,
            size: 2,
            is_fresh: false,
        },
        Run(5),
        Wait(1),
        Wait(2),
        Run(1),
    ];
    play(&beginning, &actions).unwrap();
}
