//! The workers as processes on other servers than one Redis of Debian: older and newer ones, Sentinel, Cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use telectl::config::worker::DatabaseSettings;

use crate::pipeline::{Worker, get, start};
use crate::program::LIMIT;
use crate::servers::eventually;
use crate::servers::postgres::PostgresServer;

mod cluster;
mod sentinel;
mod versions;

/// A streamer of made-up telemetry, a collector, and a database of their own.
pub(crate) struct Line {
    database: DatabaseSettings,
    postgres: Arc<PostgresServer>,
    rows: u64,
    pub(crate) streamer: Worker,
    pub(crate) collector: Worker,
}

impl Line {
    /// Starts both towards the queue that these variables name. `pause` is that between batches of
    /// a hundred rows.
    pub(crate) async fn start(
        queue: &[(&'static str, String)],
        rows: u64,
        pause: &str,
    ) -> Option<Self> {
        let postgres = PostgresServer::shared().await?;
        let database = postgres.database();
        let mut environment = vec![
            ("POD_IP", "10.1.2.3".to_owned()),
            ("PIPELINE", "lab".to_owned()),
            ("DB_HOST", database.endpoint.host.clone()),
            ("DB_PORT", database.endpoint.port.to_string()),
            ("DB_NAME", database.name.clone()),
            ("DB_USER", database.user.clone()),
            ("DB_SSL_MODE", "disable".to_owned()),
            ("CLAIM_IDLE", "2s".to_owned()),
            ("LOG_LEVEL", "info".to_owned()),
            (
                "GENERATE",
                format!("hosts=2,gpus=5,rows={rows},interval=1s"),
            ),
        ];
        let password = database.password.as_ref();
        environment.extend(password.map(|word| ("DB_PASSWORD", word.expose().clone())));
        if !pause.is_empty() {
            environment.push(("STREAM_INTERVAL", pause.to_owned()));
        }
        environment.extend_from_slice(queue);
        // A collector has no use for the size of a streamer's batches.
        let collector = start("collector", "collector-x", "central", &environment);
        Some(Self {
            streamer: start("streamer", "streamer-x", "edge", &environment),
            collector,
            database,
            postgres,
            rows,
        })
    }

    /// Rows in the database.
    pub(crate) fn stored(&self) -> u64 {
        let ask = |question| self.postgres.sql(&self.database.name, question);
        // The collector makes it.
        if ask("SELECT to_regclass('sample') IS NULL") == "t" {
            return 0;
        }
        let count = ask("SELECT count(*) FROM sample");
        count.parse().expect("a number")
    }

    /// Waits until so many rows are in the database.
    pub(crate) async fn until_stored(&self, rows: u64) {
        let what = format!("{rows} rows in the database");
        eventually(&what, LIMIT, async || (self.stored() >= rows).then_some(())).await;
    }

    /// How long it takes from now until more rows come.
    pub(crate) async fn until_flow(&self) -> Duration {
        let (begun, before) = (Instant::now(), self.stored());
        // What was on its way to the database already does not count.
        self.until_stored(before + 2000).await;
        begun.elapsed()
    }

    /// Waits until everything is stored and acknowledged; every row is there once. Answers what
    /// streamer and collector logged.
    pub(crate) async fn finish(self) -> (String, String) {
        let status = format!("{}/api/v1/status", self.streamer.url);
        eventually("every batch to be acknowledged", LIMIT * 2, async || {
            let details = get(&status).await?["details"].clone();
            let is_drained =
                details["source_state"] == "finished" && details["spool_undrained"] == 0;
            is_drained.then_some(())
        })
        .await;
        let question = "SELECT count(*) || ' ' || count(DISTINCT (series_id, ts)) FROM sample";
        let counted = self.postgres.sql(&self.database.name, question);
        assert_eq!(counted, format!("{0} {0}", self.rows), "every row once");
        let mut logs = Vec::new();
        for worker in [self.streamer, self.collector] {
            worker.program.signal("TERM");
            let (status, log) = worker.program.end().await;
            assert_eq!(status.code(), Some(0), "{log}");
            logs.push(log);
        }
        let collector = logs.pop().unwrap_or_default();
        (logs.pop().unwrap_or_default(), collector)
    }
}
