//! Redis Sentinel: masters that die, and masters that are replaced.

use std::time::{Duration, Instant};

use super::Line;
use crate::program::LIMIT;
use crate::servers::eventually;
use crate::servers::redis::RedisKind;
use crate::servers::sentinels::Sentinels;

/// Longest time from a fault until rows are stored again.
const RECOVERY: Duration = Duration::from_secs(15);
const ROWS: u64 = 100_000;

/// Replication is asynchronous: a part of what was published, and of what was acknowledged, is
/// gone with the master. Only the spool has it.
async fn a_master_dies(kind: RedisKind) {
    let Some(mut sentinels) = Sentinels::start(kind).await else {
        return;
    };
    let Some(line) = Line::start(&sentinels.environment(), ROWS, "10ms").await else {
        return;
    };
    line.until_stored(5_000).await;
    sentinels.cut_replica_off().await;
    let stored = line.stored();
    line.until_stored(stored + 5_000).await;
    line.collector.program.signal("STOP");
    eventually("entries that only the master has", LIMIT, async || {
        let lengths = ["tele:{lab.0}", "tele:{lab.1}"]
            .map(|stream| sentinels.servers[0].cli(&["XLEN", stream]));
        let count: u64 = lengths.iter().map(|text| text.parse().unwrap_or(0)).sum();
        (count > 40).then_some(())
    })
    .await;
    let killed = Instant::now();
    sentinels.servers[0].stop();
    line.collector.program.signal("CONT");
    line.until_flow().await;
    let recovery = killed.elapsed();
    assert!(recovery < RECOVERY, "{recovery:?}");
    assert!(sentinels.is_master(1));
    let (streamer, collector) = line.finish().await;
    assert!(
        streamer.contains("the queue lost messages; publishing again"),
        "{streamer}"
    );
    for log in [&streamer, &collector] {
        assert!(log.contains("another server has the queue"), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }
    let said = collector
        .lines()
        .find(|line| line.contains("says sentinel"));
    assert!(
        said.is_some(),
        "errors tell who named the server: {collector}"
    );
}

#[tokio::test]
async fn w19_rows_that_died_with_a_master_come_again_from_the_spool() {
    a_master_dies(RedisKind::Installed).await;
}

#[tokio::test]
async fn w19_rows_that_died_with_a_master_of_6_2_come_again_from_the_spool() {
    a_master_dies(RedisKind::Redis62).await;
}

#[tokio::test]
async fn w19_a_master_that_is_replaced_and_lives_on_is_left() {
    let Some(sentinels) = Sentinels::start(RedisKind::Installed).await else {
        return;
    };
    let Some(line) = Line::start(&sentinels.environment(), ROWS, "10ms").await else {
        return;
    };
    for old in [0, 1] {
        let stored = line.stored();
        line.until_stored(stored + 5_000).await;
        let begun = Instant::now();
        sentinels.fail_over().await;
        eventually("the old master to be a replica", LIMIT, async || {
            (!sentinels.is_master(old) && sentinels.is_master(1 - old)).then_some(())
        })
        .await;
        line.until_flow().await;
        let recovery = begun.elapsed();
        assert!(recovery < RECOVERY, "{recovery:?}");
    }
    line.finish().await;
}
