//! Sources without an end: streamers and a collector as processes on real servers, and what is stored
//! held against what was written.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod followed;
mod scraped;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use telectl::config::worker::DatabaseSettings;

use crate::pipeline::get;
use crate::program::{LIMIT, Program, run};
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::servers::{eventually, free_port, install_tls_provider};

/// A streamer that runs, or ran.
struct Streamer {
    name: &'static str,
    program: Option<Program>,
    spool: TempDir,
    port: u16,
}

/// Streamers with the same source, and a collector.
struct Live {
    server: Arc<PostgresServer>,
    database: DatabaseSettings,
    _redis: RedisServer,
    collector: Program,
    streamers: Vec<Streamer>,
    variables: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Live {
    /// Starts servers and a collector; `variables` are those of the streamers, made from a folder.
    async fn start(more: impl Fn(&Path) -> Vec<(&'static str, String)>) -> Option<Self> {
        install_tls_provider();
        let server = PostgresServer::shared().await?;
        let redis = RedisServer::start().await?;
        let folder = TempDir::new().unwrap();
        let database = server.database();
        let password = database.password.as_ref().unwrap().expose().clone();
        let mut variables = vec![
            ("CLUSTER_ID", "edge".to_owned()),
            ("REDIS_URL", format!("redis://{}", redis.endpoint())),
            ("DB_HOST", database.endpoint.host.clone()),
            ("DB_PORT", database.endpoint.port.to_string()),
            ("DB_NAME", database.name.clone()),
            ("DB_USER", database.user.clone()),
            ("DB_PASSWORD", password),
            ("DB_SSL_MODE", "disable".to_owned()),
        ];
        let collector = start("collector", "collector-0", &variables, free_port());
        variables.extend(more(folder.path()));
        eventually("the schema", LIMIT, async || {
            let is_there = server.sql(
                &database.name,
                "SELECT to_regclass('signed_off') IS NOT NULL",
            );
            (is_there == "t").then_some(())
        })
        .await;
        Some(Self {
            server,
            database,
            _redis: redis,
            collector,
            streamers: Vec::new(),
            variables,
            folder,
        })
    }

    /// Starts a streamer with a spool of its own.
    async fn streamer(&mut self, name: &'static str) {
        self.streamers.push(Streamer {
            name,
            program: None,
            spool: TempDir::new().unwrap(),
            port: free_port(),
        });
        self.start_again(self.streamers.len() - 1, &[]).await;
    }

    /// Starts a streamer that was killed, with other variables.
    async fn start_again(&mut self, number: usize, more: &[(&'static str, &str)]) {
        let streamer = &mut self.streamers[number];
        let spool = streamer.spool.path().to_str().unwrap().to_owned();
        let mut variables = self.variables.clone();
        variables.push(("SPOOL_DIR", spool));
        for (name, value) in more {
            variables.retain(|(known, _)| known != name);
            variables.push((name, (*value).to_owned()));
        }
        streamer.program = Some(start("streamer", streamer.name, &variables, streamer.port));
        self.status(number).await;
    }

    async fn kill(&mut self, number: usize) {
        let program = self.streamers[number].program.take().unwrap();
        program.signal("KILL");
        drop(program.end_unread().await);
    }

    /// The details of a streamer's status page.
    async fn status(&self, number: usize) -> Value {
        let url = format!(
            "http://127.0.0.1:{}/api/v1/status",
            self.streamers[number].port
        );
        eventually("the streamer's port", LIMIT, async || get(&url).await).await
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database.name, statement)
    }

    /// How often each value is stored.
    fn stored(&self) -> BTreeMap<u64, usize> {
        let values = self.sql("SELECT value::bigint FROM sample");
        let mut stored = BTreeMap::new();
        for value in values.lines().filter(|line| !line.is_empty()) {
            *stored.entry(value.parse().unwrap()).or_insert(0) += 1;
        }
        stored
    }

    /// Waits until every value below a number is stored, and asserts that each is there once, and no
    /// other.
    async fn assert_stored(&self, end: u64) {
        let expected: BTreeMap<u64, usize> = (0..end).map(|value| (value, 1)).collect();
        eventually(&format!("{end} rows"), LIMIT, async || {
            (self.stored().len() as u64 >= end).then_some(())
        })
        .await;
        assert_eq!(self.stored(), expected);
    }

    async fn verify(&self, more: &[&str]) -> (Option<i32>, Value) {
        let port = self.database.endpoint.port.to_string();
        let password = self.database.password.as_ref().unwrap().expose();
        let environment = [
            ("DB_HOST", self.database.endpoint.host.as_str()),
            ("DB_PORT", &port),
            ("DB_NAME", &self.database.name),
            ("DB_USER", &self.database.user),
            ("DB_PASSWORD", password),
            ("DB_SSL_MODE", "disable"),
        ];
        let output = run(
            &[&["verify", "data", "-o", "json"], more].concat(),
            &environment,
        )
        .await;
        let said = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&said);
        let report = report.unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code(), report)
    }

    /// Waits until sources are signed off, then asserts that everything is proven.
    async fn assert_proven(&self, signed_off: usize, more: &[&str]) -> Value {
        eventually("sign-offs", LIMIT, async || {
            let count = self.sql("SELECT count(*) FROM signed_off");
            (count == signed_off.to_string()).then_some(())
        })
        .await;
        let (code, report) = self.verify(more).await;
        assert_eq!(code, Some(0), "{report:#}");
        report
    }
}

fn start(worker: &str, name: &str, variables: &[(&'static str, String)], port: u16) -> Program {
    let port = port.to_string();
    let pairs = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let mut all: Vec<(&str, &str)> = pairs.collect();
    all.extend([("LISTEN_PORT", port.as_str()), ("POD_NAME", name)]);
    Program::start(&["worker", worker], &all)
}
