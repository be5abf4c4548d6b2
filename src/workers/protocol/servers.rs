//! The servers of a case, and what is done to them.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::model::batch::Message;
use crate::model::canary::{Canary, CanaryId};
use crate::model::source::{BatchId, IncarnationId, StoreToken};
use crate::model::time::EventTime;
use crate::queue::embedded::SpoolQueue;
use crate::queue::spool::simulated::Mounted;
use crate::queue::{Entry, Queue as _, QueueError, codec};
use crate::store::Store as _;
use crate::store::sqlite::SqliteStore;

use super::action::Fate;
use super::line::{Failure as _, Request, Servers, Work};
use super::source::CLUSTER;

/// An entry that somebody has had for so long is given to others.
const IDLE: Duration = Duration::from_secs(15);

/// A store with its tables and without content.
pub(super) async fn empty_store() -> &'static [u8] {
    static EMPTY: OnceCell<Vec<u8>> = OnceCell::const_new();
    let made = EMPTY.get_or_init(|| async {
        let folder = folder();
        let path = folder.path().join("store");
        let store = SqliteStore::open(&path).unwrap();
        store.migrate().await.unwrap();
        drop(store);
        std::fs::read(path).unwrap()
    });
    made.await
}

/// In memory, where the machine has that: nothing here is about what a real disk does.
pub(super) fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

pub(super) fn open_queue(mounted: &Mounted) -> SpoolQueue {
    SpoolQueue::open(mounted.root(), IDLE).unwrap()
}

/// Makes a copy of a store another life of it.
pub(super) fn enliven(path: &Path, number: usize) -> (StoreToken, SqliteStore) {
    let token = StoreToken(format!("life-{number:03}"));
    let connection = Connection::open(path).unwrap();
    connection
        .execute("UPDATE store_token SET token = ?1", [&token.0])
        .unwrap();
    drop(connection);
    (token, SqliteStore::open(path).unwrap())
}

/// Lets the store fail in the midst of storing rows, until it is mended.
pub(super) fn break_store(path: &Path) {
    let trigger = "CREATE TRIGGER broken BEFORE INSERT ON sample
                   WHEN CAST(NEW.value AS INTEGER) % 2 = 1
                   BEGIN SELECT RAISE(ABORT, 'it fails in the midst'); END";
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(trigger).unwrap();
}

pub(super) fn mend_store(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch("DROP TRIGGER broken").unwrap();
}

/// Lets a question have its effect and its answer; gives it back if there is none yet.
pub(super) async fn hand_over(
    servers: &Servers,
    request: Request,
    fate: Fate,
    reversed: bool,
) -> Option<Request> {
    let Request { what, work } = request;
    let (limit, answer) = match work {
        Work::Call(call) => {
            call(servers.clone(), fate).await;
            return None;
        }
        Work::Receive(limit, answer) => (limit, answer),
    };
    let failed = || Err(QueueError::away("deliver entries"));
    let told = match fate {
        Fate::Refused | Fate::Midway => failed(),
        Fate::Answered | Fate::AnswerLost => {
            let mut received = servers
                .queue
                .receive("", limit, Duration::ZERO)
                .await
                .unwrap();
            if received.is_empty() {
                let work = Work::Receive(limit, answer);
                return Some(Request { what, work });
            }
            if reversed {
                received.reverse();
            }
            if fate == Fate::Answered {
                Ok(received)
            } else {
                failed()
            }
        }
    };
    // Who asked may be gone.
    drop(answer.send(told));
    None
}

/// A canary of this number.
pub(super) fn canary(number: u64) -> Entry {
    let canary = Message::Canary(Canary {
        route: Canary::route(number),
        id: CanaryId::of(number.into()),
        cluster: CLUSTER.to_owned(),
        sent_at: EventTime(0),
    });
    Entry {
        id: canary.id().clone(),
        payload: codec::encode(&canary).unwrap(),
    }
}

/// What is no message.
pub(super) fn poison(number: u64) -> Entry {
    Entry {
        id: BatchId {
            incarnation: IncarnationId("poison".to_owned()),
            sequence: number,
        },
        payload: Bytes::from_static(b"no message"),
    }
}
