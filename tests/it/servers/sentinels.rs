//! A master, a replica and three sentinels, all with passwords.

use std::process::Command;
use std::time::Duration;

use telectl::config::worker::{RedisServers, RedisSettings, SentinelSettings};
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use tempfile::TempDir;

use super::redis::{RedisKind, RedisOptions, RedisServer};
use super::{Process, START_LIMIT, eventually, free_port};

/// The name by which the sentinels know the master.
pub(crate) const MASTER: &str = "lab";
const PASSWORD: &str = "canary-5e1f-redis";
const SENTINEL_PASSWORD: &str = "canary-5e1f-sentinel";

pub(crate) struct Sentinels {
    /// The master at first, and its replica.
    pub(crate) servers: [RedisServer; 2],
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Sentinels {
    /// A master that counts as lost after a second; `None` if there is none on this machine.
    pub(crate) async fn start(kind: RedisKind) -> Option<Self> {
        let options = || RedisOptions {
            kind,
            password: Some(PASSWORD),
            arguments: vec!["--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"],
            ..RedisOptions::default()
        };
        let servers = [
            RedisServer::start_with(options()).await?,
            RedisServer::start_with(options()).await?,
        ];
        let port = servers[0].endpoint().port.to_string();
        servers[1].cli(&["REPLICAOF", "127.0.0.1", &port]);
        eventually("the replica", START_LIMIT, async || {
            says(&servers[1], "master_link_status:up").then_some(())
        })
        .await;
        let program = kind.program()?;
        let sentinels = (0..3).map(|_| Sentinel::start(&program, &port)).collect();
        let started = Self { servers, sentinels };
        let known = [("num-other-sentinels", "2"), ("num-slaves", "1")];
        eventually("sentinels that know each other", START_LIMIT, async || {
            let mut answers = started.sentinels.iter().map(|sentinel| {
                let answer = sentinel.cli(&["SENTINEL", "MASTER", MASTER]);
                let lines: Vec<String> = answer.lines().map(str::to_owned).collect();
                known
                    .iter()
                    .all(|(name, value)| lines.windows(2).any(|two| two == [*name, *value]))
            });
            answers.all(|is_ready| is_ready).then_some(())
        })
        .await;
        Some(started)
    }

    /// The variables of a worker that uses them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let sentinels = self.sentinels.iter();
        let addresses = sentinels.map(|sentinel| format!("127.0.0.1:{}", sentinel.port));
        vec![
            ("REDIS_SENTINELS", addresses.collect::<Vec<_>>().join(",")),
            ("REDIS_MASTER_NAME", MASTER.to_owned()),
            ("REDIS_SENTINEL_PASSWORD", SENTINEL_PASSWORD.to_owned()),
            ("REDIS_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    /// What a worker needs to reach the master.
    pub(crate) fn settings(&self) -> RedisSettings {
        let sentinels = self.sentinels.iter();
        let sentinel = SentinelSettings {
            sentinels: sentinels
                .map(|sentinel| Endpoint::new("127.0.0.1", sentinel.port))
                .collect(),
            master: MASTER.to_owned(),
            username: None,
            password: Some(Secret::from(SENTINEL_PASSWORD)),
        };
        RedisSettings {
            servers: RedisServers::Sentinel(sentinel),
            ..self.servers[0].settings()
        }
    }

    /// Has a sentinel promote the replica although the master is well.
    pub(crate) async fn fail_over(&self) {
        // It refuses until it has heard of the replica's state.
        eventually(
            "a sentinel that fails over",
            Duration::from_secs(15),
            async || {
                let answer = self.sentinels[0].cli(&["SENTINEL", "FAILOVER", MASTER]);
                (answer == "OK").then_some(())
            },
        )
        .await;
    }

    /// Whether a server is the master.
    pub(crate) fn is_master(&self, server: usize) -> bool {
        says(&self.servers[server], "role:master")
    }

    /// Lets the replica lose its master, and not find it again: what comes is the master's alone.
    pub(crate) async fn cut_replica_off(&self) {
        let replica = &self.servers[1];
        replica.cli(&["CONFIG", "SET", "masterauth", "another"]);
        replica.cli(&["CLIENT", "KILL", "TYPE", "master"]);
        eventually("a replica on its own", Duration::from_secs(5), async || {
            says(replica, "master_link_status:down").then_some(())
        })
        .await;
    }
}

fn says(server: &RedisServer, line: &str) -> bool {
    let information = server.cli(&["INFO", "replication"]);
    information.lines().any(|found| found.trim() == line)
}

impl Sentinel {
    fn start(program: &std::path::Path, master: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {folder}\n\
             requirepass {SENTINEL_PASSWORD}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel auth-pass {MASTER} {PASSWORD}\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 6000\n\
             sentinel sentinel-pass {SENTINEL_PASSWORD}\n",
            folder = folder.path().display(),
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, settings).expect("the settings can be written");
        let mut command = Command::new(program);
        command.arg(&file).arg("--sentinel");
        Self {
            port,
            _process: Process::start(&command, &[], folder.path()),
            _folder: folder,
        }
    }

    fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(["--no-auth-warning", "-a", SENTINEL_PASSWORD])
            .args(arguments)
            .output()
            .expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}
