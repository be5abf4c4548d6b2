//! Both queues against the conformance suite, and Redis against its own traps.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::error::Error as _;
use std::time::{Duration, Instant};

use telectl::config::worker::RedisSettings;
use telectl::queue::embedded::SpoolQueue;
use telectl::queue::redis::{Failure, FailureKind, RedisQueue};
use telectl::queue::{Claim, Entry, Queue as _, QueueError};
use tempfile::TempDir;

use crate::conformance::queue as suite;
use crate::servers::eventually;
use crate::servers::redis::{RedisKind, RedisOptions, RedisServer};
use suite::{IDLE, entry, receive, sequences, store_token};

/// The suite on every server and on the spool; then the traps of Redis on every server.
macro_rules! conformance {
    (everywhere $suite:tt $traps:tt) => {
        conformance! { on_redis, RedisKind::Installed, $suite $traps }
        conformance! { on_redis_6_2, RedisKind::Redis62, $suite $traps }
        conformance! { on_valkey_9_1, RedisKind::Valkey91, $suite $traps }
        conformance! { on_spool $suite }
    };
    ($module:ident, $kind:expr, { $($name:ident,)* } { $($trap:ident,)* }) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let Some(server) = server($kind, &[]).await else {
                        return;
                    };
                    suite::$name(queue_on(&server)).await;
                }
            )*
            $(
                #[tokio::test]
                async fn $trap() {
                    let arguments = ["--maxmemory-policy", "noeviction"];
                    let Some(server) = server($kind, &arguments).await else {
                        return;
                    };
                    super::$trap(server).await;
                }
            )*
        }
    };
    (on_spool { $($name:ident,)* }) => {
        mod on_spool {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let folder = TempDir::new().unwrap();
                    suite::$name(SpoolQueue::open(folder.path(), IDLE).unwrap()).await;
                }
            )*
        }
    };
}

conformance! {
    everywhere
    {
        w08_an_entry_stays_until_it_is_acknowledged,
        acknowledgements_are_told_until_they_are_forgotten,
        a_published_entry_can_be_looked_for,
        consumers_share_the_entries,
        w09_entries_of_a_silent_consumer_are_taken_over,
        receiving_waits_for_entries,
        an_entry_between_two_calls_is_not_lost,
        w09_a_dead_entry_is_set_aside,
        w17_a_claim_is_held_by_one,
        w17_work_is_completed_into_one_store,
        v10_canaries_take_the_way_of_data_and_leave_nothing,
    }
    {
        pipelines_share_a_server_and_nothing_else,
        w19_a_queue_reconnects_and_never_keeps_entries_to_itself,
        w09_a_killed_consumer_is_taken_over_within_15_seconds,
        w09_a_restarted_consumer_gets_its_own_pending_entries_first,
        w09_a_foreign_entry_is_set_aside_and_the_flow_goes_on,
        w11_a_full_server_refuses_and_nothing_is_dropped,
        w11_a_full_server_is_emptied,
    }
}

async fn server(kind: RedisKind, arguments: &[&'static str]) -> Option<RedisServer> {
    let options = RedisOptions {
        kind,
        arguments: arguments.to_vec(),
        ..RedisOptions::default()
    };
    RedisServer::start_with(options).await
}

pub(crate) fn settings(server: &RedisServer) -> RedisSettings {
    RedisSettings {
        claim_idle: IDLE,
        ..server.settings()
    }
}

pub(crate) fn queue_on(server: &RedisServer) -> RedisQueue {
    RedisQueue::new(&settings(server)).expect("sound settings")
}

/// The error and its causes, as a person sees them.
pub(crate) fn chain(error: &QueueError) -> String {
    let mut text = error.to_string();
    let mut current = error.source();
    while let Some(cause) = current {
        text += &format!(": {cause}");
        current = cause.source();
    }
    text
}

pub(crate) fn kind(error: &QueueError) -> Option<FailureKind> {
    let source = error.source()?;
    source.downcast_ref::<Failure>().map(|failure| failure.kind)
}

async fn pipelines_share_a_server_and_nothing_else(server: RedisServer) {
    let queue_of = |pipeline: &str| {
        RedisQueue::new(&RedisSettings {
            pipeline: pipeline.to_owned(),
            ..settings(&server)
        })
        .unwrap()
    };
    let (ours, theirs) = (queue_of("ours"), queue_of("theirs"));
    ours.publish(entry(0)).await.unwrap();
    ours.announce_store(&store_token()).await.unwrap();
    let claim = ours.claim("x", "a", IDLE, None).await.unwrap();
    assert_eq!(claim, Claim::Mine);
    assert_eq!(theirs.depth().await.unwrap().entries, 0);
    assert_eq!(theirs.announced_store().await.unwrap(), None);
    let claim = theirs.claim("x", "b", IDLE, None).await.unwrap();
    assert_eq!(claim, Claim::Mine);
    assert!(theirs.receive("b", 10, IDLE).await.unwrap().is_empty());
    assert_eq!(
        sequences(&receive(&ours, "a", 1).await),
        BTreeSet::from([0])
    );
}

#[tokio::test]
async fn w08_an_embedded_queue_delivers_again_what_was_not_acknowledged() {
    let folder = TempDir::new().unwrap();
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(60)).unwrap();
    for sequence in 0..3 {
        queue.publish(entry(sequence)).await.unwrap();
    }
    let received = receive(&queue, "a", 3).await;
    queue
        .acknowledge(&received[..1], &store_token())
        .await
        .unwrap();
    drop(queue);
    let queue = SpoolQueue::open(folder.path(), Duration::from_secs(60)).unwrap();
    let again = receive(&queue, "a", 2).await;
    assert_eq!(sequences(&again), sequences(&received[1..]));
}

async fn w19_a_queue_reconnects_and_never_keeps_entries_to_itself(mut server: RedisServer) {
    let queue = queue_on(&server);
    let before = queue.publish(entry(0)).await.unwrap();
    let pending = receive(&queue, "a", 1).await;
    server.stop();
    let error = queue.publish(entry(1)).await.expect_err("nobody is there");
    assert!(matches!(
        kind(&error),
        Some(FailureKind::Refused | FailureKind::ConnectionLost)
    ));
    server.start_again().await;
    // Empty: what was there is gone, what could not be published is nowhere.
    let limit = Duration::from_secs(5);
    eventually("a reconnection", limit, async || queue.ping().await.ok()).await;
    assert_eq!(queue.depth().await.unwrap().entries, 0);
    let acknowledgements = queue
        .acknowledgements(&entry(0).id.incarnation)
        .await
        .unwrap();
    assert!(acknowledgements.tokens.is_empty());
    let after = queue.publish(entry(0)).await.unwrap();
    assert_ne!(before.token, after.token);
    assert!(
        !queue
            .is_present(&entry(0).id, &before.position)
            .await
            .unwrap()
    );
    // The group is made again, from the beginning.
    let again = eventually("the entry", limit, async || {
        let received = queue.receive("a", 10, IDLE).await.ok()?;
        (!received.is_empty()).then_some(received)
    });
    assert_eq!(again.await[0].entry, entry(0));
    // A late acknowledgement of something from before the loss does no harm.
    queue.acknowledge(&pending, &store_token()).await.unwrap();
}

async fn w09_a_killed_consumer_is_taken_over_within_15_seconds(server: RedisServer) {
    let as_deployed = RedisSettings {
        claim_idle: Duration::from_secs(8),
        ..server.settings()
    };
    let killed = RedisQueue::new(&as_deployed).unwrap();
    let survivor = RedisQueue::new(&as_deployed).unwrap();
    for sequence in 0..10 {
        killed.publish(entry(sequence)).await.unwrap();
    }
    assert_eq!(receive(&killed, "killed", 10).await.len(), 10);
    drop(killed);
    let begun = Instant::now();
    let mut taken = BTreeSet::new();
    while taken.len() < 10 {
        let received = survivor
            .receive("survivor", 100, Duration::from_secs(1))
            .await;
        taken.extend(sequences(&received.unwrap()));
        assert!(begun.elapsed() < Duration::from_secs(15), "{taken:?}");
    }
}

async fn w09_a_restarted_consumer_gets_its_own_pending_entries_first(server: RedisServer) {
    let patient = RedisSettings {
        claim_idle: Duration::from_secs(3600),
        ..server.settings()
    };
    let before = RedisQueue::new(&patient).unwrap();
    for sequence in 0..5 {
        before.publish(entry(sequence)).await.unwrap();
    }
    assert_eq!(receive(&before, "a", 5).await.len(), 5);
    before.publish(entry(5)).await.unwrap();
    drop(before);
    let after = RedisQueue::new(&patient).unwrap();
    assert_eq!(sequences(&receive(&after, "a", 6).await), (0..6).collect());
}

async fn w09_a_foreign_entry_is_set_aside_and_the_flow_goes_on(server: RedisServer) {
    let queue = queue_on(&server);
    server.cli(&["XADD", "tele:{lab.0}", "*", "hello", "world"]);
    server.cli(&[
        "XADD",
        "tele:{lab.1}",
        "*",
        "v",
        "9",
        "i",
        "x",
        "q",
        "0",
        "d",
        "",
    ]);
    queue.publish(entry(0)).await.unwrap();
    let received = receive(&queue, "a", 1).await;
    assert_eq!(sequences(&received), BTreeSet::from([0]));
    eventually("the foreign entries", Duration::from_secs(5), async || {
        queue.receive("a", 10, IDLE / 10).await.unwrap();
        (queue.depth().await.unwrap().dead == 2).then_some(())
    })
    .await;
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.entries, depth.pending), (1, 1));
    assert!(
        server
            .cli(&["LRANGE", "tele:{lab.0}:dead", "0", "-1"])
            .contains("hello=world")
    );
}

async fn w11_a_full_server_refuses_and_nothing_is_dropped(server: RedisServer) {
    let queue = queue_on(&server);
    queue.publish(entry(0)).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let big = Entry {
        payload: vec![7; 300_000].into(),
        ..entry(2)
    };
    let error = eventually("a full server", Duration::from_secs(10), async || {
        queue.publish(big.clone()).await.err()
    })
    .await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::OutOfMemory),
        "{}",
        chain(&error)
    );
    server.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    queue.publish(entry(1)).await.unwrap();
    let received = receive(&queue, "a", 2).await;
    assert!(sequences(&received).is_superset(&BTreeSet::from([0, 1])));
}

/// What makes room has to work where there is none, also for collectors that were never there.
async fn w11_a_full_server_is_emptied(server: RedisServer) {
    let queue = queue_on(&server);
    for sequence in 0..4 {
        queue.publish(entry(sequence)).await.unwrap();
    }
    server.cli(&["XADD", "tele:{lab.0}", "*", "hello", "world"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = queue.publish(entry(4)).await.unwrap_err();
    assert_eq!(kind(&refused), Some(FailureKind::OutOfMemory));

    let token = store_token();
    queue.announce_store(&token).await.unwrap();
    assert_eq!(queue.announced_store().await.unwrap(), Some(token.clone()));
    let received = receive(&queue, "a", 4).await;
    let (dead, sound) = received.split_first().unwrap();
    queue.acknowledge(sound, &token).await.unwrap();
    queue.dead_letter(dead, "as a test", &token).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.entries, depth.pending, depth.dead), (0, 0, 2));

    let incarnation = &entry(0).id.incarnation;
    let told = queue.acknowledgements(incarnation).await.unwrap();
    let told: BTreeSet<u64> = told.sequences.into_keys().collect();
    assert_eq!(told, (0..4).collect());
    queue
        .forget_acknowledgements(incarnation, &told)
        .await
        .unwrap();
    let told = queue.acknowledgements(incarnation).await.unwrap();
    assert!(told.sequences.is_empty());
}

#[tokio::test]
async fn w11_entries_leave_only_when_they_are_acknowledged() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let queue = queue_on(&server);
    for sequence in 0..2000 {
        queue.publish(entry(sequence)).await.unwrap();
    }
    assert_eq!(queue.depth().await.unwrap().entries, 2000);
    let mut stored = BTreeSet::new();
    eventually("all entries", Duration::from_secs(20), async || {
        let received = queue.receive("a", 300, IDLE).await.unwrap();
        assert!(received.len() <= 300);
        stored.extend(sequences(&received));
        queue.acknowledge(&received, &store_token()).await.unwrap();
        (stored.len() == 2000).then_some(())
    })
    .await;
    assert_eq!(queue.depth().await.unwrap().entries, 0);
}

#[tokio::test]
async fn w19_a_deleted_data_set_is_noticed_while_reading() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let queue = queue_on(&server);
    assert!(queue.receive("a", 1, IDLE).await.unwrap().is_empty());
    server.cli(&["FLUSHALL"]);
    queue.publish(entry(0)).await.unwrap();
    let received = eventually("the entry", Duration::from_secs(10), async || {
        let received = queue.receive("a", 1, IDLE).await.ok()?;
        (!received.is_empty()).then_some(received)
    });
    assert_eq!(sequences(&received.await), BTreeSet::from([0]));
}

#[tokio::test]
async fn w19_a_server_that_froze_is_noticed_and_no_entry_is_lost() {
    let Some(server) = RedisServer::start().await else {
        return;
    };
    let patient = RedisSettings {
        claim_idle: Duration::from_secs(3600),
        ..server.settings()
    };
    let queue = RedisQueue::new(&patient).unwrap();
    assert!(queue.receive("a", 10, IDLE).await.unwrap().is_empty());
    // A read is open now: what comes goes to it, and it dies with the connection.
    server.process().signal("STOP");
    let error = eventually("a noticed freeze", Duration::from_secs(10), async || {
        queue.receive("a", 10, IDLE).await.err()
    });
    assert_eq!(kind(&error.await), Some(FailureKind::TimedOut));
    server.process().signal("CONT");
    let other = RedisQueue::new(&patient).unwrap();
    for sequence in 0..4 {
        other.publish(entry(sequence)).await.unwrap();
    }
    let mut received = BTreeSet::new();
    eventually("the entries", Duration::from_secs(10), async || {
        received.extend(sequences(&queue.receive("a", 10, IDLE).await.ok()?));
        (received.len() == 4).then_some(())
    })
    .await;
}
