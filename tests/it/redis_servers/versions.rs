//! Redis 6.2, that of Debian, and Valkey.

use super::Line;
use crate::servers::redis::{RedisKind, RedisOptions, RedisServer};

/// A small run; the server evicts, and both workers say so.
async fn a_run(kind: RedisKind) {
    let options = RedisOptions {
        kind,
        arguments: vec!["--maxmemory-policy", "allkeys-lru"],
        ..RedisOptions::default()
    };
    let Some(server) = RedisServer::start_with(options).await else {
        return;
    };
    let address = server.endpoint().to_string();
    let queue = [("REDIS_URL", format!("redis://{address}"))];
    let Some(line) = Line::start(&queue, 20_000, "").await else {
        return;
    };
    let (streamer, collector) = line.finish().await;
    for log in [streamer, collector] {
        for says in [
            "maxmemory-policy is allkeys-lru",
            "maxmemory is not set",
            "nothing is written to disk",
        ] {
            let said = log
                .lines()
                .filter(|line| line.contains(says) && line.contains(&address));
            assert_eq!(said.count(), 1, "{says}: {log}");
        }
    }
}

#[tokio::test]
async fn w08_rows_are_stored_once_over_redis_6_2() {
    a_run(RedisKind::Redis62).await;
}

#[tokio::test]
async fn w08_rows_are_stored_once_over_redis_7_0() {
    a_run(RedisKind::Installed).await;
}

#[tokio::test]
async fn w08_rows_are_stored_once_over_valkey_9_1() {
    a_run(RedisKind::Valkey91).await;
}
