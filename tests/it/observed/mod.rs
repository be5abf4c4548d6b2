//! What the workers tell of themselves during a real run: plain servers, real processes.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;

use serde_json::Value;
use telectl::config::worker::{DatabaseSettings, RedisSettings};
use telectl::queue::redis::RedisQueue;

use crate::pipeline::{Worker, get, start};
use crate::program::LIMIT;
use crate::servers::etcd::EtcdServer;
use crate::servers::eventually;
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;

mod batch_life;
mod metrics;
mod streamers;

/// The sample file.
pub(crate) const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);
/// Its rows, and the batches that they make at 100 rows each.
const ROWS: u64 = 2470;
const BATCHES: u64 = 25;

struct Lab {
    redis: RedisServer,
    etcd: EtcdServer,
    database: DatabaseSettings,
    _postgres: Arc<PostgresServer>,
}

impl Lab {
    async fn start() -> Option<Self> {
        let postgres = PostgresServer::shared().await?;
        Some(Self {
            redis: RedisServer::start().await?,
            etcd: EtcdServer::start().await?,
            database: postgres.database(),
            _postgres: postgres,
        })
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let database = self.database.clone();
        vec![
            ("POD_IP", "10.1.2.3".to_owned()),
            ("REDIS_URL", format!("redis://{}", self.redis.endpoint())),
            ("PIPELINE", "lab".to_owned()),
            ("DB_HOST", database.endpoint.host),
            ("DB_PORT", database.endpoint.port.to_string()),
            ("DB_NAME", database.name),
            ("DB_USER", database.user),
            ("DB_PASSWORD", database.password.unwrap().expose().clone()),
            ("DB_SSL_MODE", "disable".to_owned()),
            ("ETCD_ENDPOINTS", self.etcd.settings().endpoints.join(",")),
            ("LEASE_TTL", "3s".to_owned()),
            ("CSV_FILE", SAMPLE.to_owned()),
            ("LOG_LEVEL", "debug".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
        ]
    }

    /// A worker of this lab. The name of a streamer has no number, so that it takes every chunk.
    fn worker(&self, worker: &str) -> Worker {
        let cluster = if worker == "streamer" {
            "edge"
        } else {
            "central"
        };
        start(worker, &format!("{worker}-x"), cluster, &self.environment())
    }

    /// The queue that the workers use.
    fn queue(&self) -> RedisQueue {
        let settings = RedisSettings {
            pipeline: "lab".to_owned(),
            ..self.redis.settings()
        };
        RedisQueue::new(&settings).unwrap()
    }
}

async fn status(worker: &Worker) -> Option<Value> {
    get(&format!("{}/api/v1/status", worker.url)).await
}

/// Until a streamer has read its file and everything is acknowledged.
async fn until_drained(streamer: &Worker) {
    eventually("every batch to be acknowledged", LIMIT, async || {
        let details = status(streamer).await?["details"].clone();
        let is_drained = details["source_state"] == "finished"
            && details["batches_acknowledged"] == BATCHES + 1
            && details["spool_undrained"] == 0;
        is_drained.then_some(())
    })
    .await;
}
