//! A Redis Cluster of three masters and three replicas, with a password.

use std::process::Command;
use std::time::Duration;

use telectl::config::worker::{RedisServers, RedisSettings};

use super::redis::{RedisOptions, RedisServer};
use super::{START_LIMIT, eventually, free_port};

const PASSWORD: &str = "canary-c1a5-redis";
const NODES: usize = 6;

pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// A master counts as lost after 1.5 s; `None` if there is no server on this machine.
    pub(crate) async fn start() -> Option<Self> {
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let options = RedisOptions {
                password: Some(PASSWORD),
                arguments: vec![
                    "--cluster-enabled",
                    "yes",
                    "--cluster-node-timeout",
                    "1500",
                    "--cluster-announce-ip",
                    "127.0.0.1",
                    "--masterauth",
                    PASSWORD,
                    "--repl-diskless-sync-delay",
                    "0",
                ],
                // Usually the port and 10,000, where somebody may listen.
                bus_port: Some(free_port()),
                ..RedisOptions::default()
            };
            nodes.push(RedisServer::start_with(options).await?);
        }
        let cluster = Self { nodes };
        let addresses: Vec<String> = cluster
            .nodes
            .iter()
            .map(|node| node.endpoint().to_string())
            .collect();
        let made = Command::new("redis-cli")
            .args(["--no-auth-warning", "-a", PASSWORD, "--cluster", "create"])
            .args(&addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(made.status.success(), "{made:?}");
        eventually("a whole cluster", START_LIMIT, async || {
            let mut infos = cluster.nodes.iter().map(|node| {
                let replicas = node.cli(&["CLUSTER", "NODES"]).matches("slave").count();
                let link = node.cli(&["INFO", "replication"]);
                let is_synced = link.contains("role:master") || link.contains("link_status:up");
                replicas == 3
                    && is_synced
                    && node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
            infos.all(|is_whole| is_whole).then_some(())
        })
        .await;
        Some(cluster)
    }

    /// The variables of a worker that uses it: it is told two nodes, and learns the others.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let told = [0, NODES - 1].map(|number| self.nodes[number].endpoint().to_string());
        vec![
            ("REDIS_CLUSTER_NODES", told.join(",")),
            ("REDIS_PASSWORD", PASSWORD.to_owned()),
        ]
    }

    /// What a worker needs to reach it.
    pub(crate) fn settings(&self, pipeline: &str) -> RedisSettings {
        let nodes = self.nodes.iter().map(RedisServer::endpoint);
        RedisSettings {
            servers: RedisServers::Cluster(nodes.collect()),
            pipeline: pipeline.to_owned(),
            ..self.nodes[0].settings()
        }
    }

    /// The number of the node that has a key.
    pub(crate) async fn owner(&self, key: &str) -> usize {
        eventually("the owner of a key", Duration::from_secs(10), async || {
            let mut nodes = self.nodes.iter();
            nodes.position(|node| matches!(&*node.cli(&["EXISTS", key]), "0" | "1"))
        })
        .await
    }

    fn id(&self, node: usize) -> String {
        self.nodes[node].cli(&["CLUSTER", "MYID"])
    }

    /// The slot of a key.
    pub(crate) fn slot(&self, key: &str) -> String {
        self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key])
    }

    /// Begins to move a slot as `redis-cli --cluster reshard` does: from now on its keys are on
    /// either of two nodes.
    pub(crate) fn begin_move(&self, slot: &str, from: usize, to: usize) {
        for (node, word, other) in [(to, "IMPORTING", from), (from, "MIGRATING", to)] {
            let answer = self.nodes[node].cli(&["CLUSTER", "SETSLOT", slot, word, &self.id(other)]);
            assert_eq!(answer, "OK");
        }
    }

    /// Moves a key that is in the slot.
    pub(crate) fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].endpoint().port.to_string();
        let answer = self.nodes[from].cli(&[
            "MIGRATE",
            "127.0.0.1",
            &port,
            "",
            "0",
            "5000",
            "AUTH",
            PASSWORD,
            "KEYS",
            key,
        ]);
        assert!(matches!(&*answer, "OK" | "NOKEY"), "{key}: {answer}");
    }

    /// Moves what is left, and gives the slot to the other node.
    pub(crate) fn end_move(&self, slot: &str, from: usize, to: usize) {
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", slot, "100"]);
            if keys.is_empty() {
                break;
            }
            for key in keys.lines() {
                self.move_key(key, from, to);
            }
        }
        let id = self.id(to);
        for node in [to, from] {
            let answer = self.nodes[node].cli(&["CLUSTER", "SETSLOT", slot, "NODE", &id]);
            assert_eq!(answer, "OK");
        }
    }

    /// Moves a hundred slots with the tool that people use.
    pub(crate) fn reshard(&self, from: usize, to: usize) {
        let output = Command::new("redis-cli")
            .args(["--no-auth-warning", "-a", PASSWORD, "--cluster", "reshard"])
            .arg(self.nodes[from].endpoint().to_string())
            .args([
                "--cluster-from",
                &self.id(from),
                "--cluster-to",
                &self.id(to),
            ])
            .args(["--cluster-slots", "100", "--cluster-yes"])
            .output()
            .expect("redis-cli runs");
        assert!(output.status.success(), "{output:?}");
    }
}
