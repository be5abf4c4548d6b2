//! Redis, reachable and not.

use telectl::config::worker::{RedisServers, RedisSettings};
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use telectl::probe::{Cause, Hop, Outcome, Target};
use telectl::queue::Queue as _;
use telectl::queue::redis::RedisQueue;
use tokio::net::{TcpListener, TcpSocket};

use super::{assert_passed, failure, probed};
use crate::conformance::queue::entry;
use crate::servers::redis::{RedisKind, RedisOptions, RedisServer};
use crate::servers::redis_cluster::RedisCluster;
use crate::servers::sentinels::Sentinels;

pub(super) const PASSWORD: &str = "canary-redis-password";

pub(super) async fn protected() -> Option<RedisServer> {
    RedisServer::start_with(RedisOptions {
        password: Some(PASSWORD),
        ..RedisOptions::default()
    })
    .await
}

#[tokio::test]
async fn v08_every_hop_to_redis_passes_and_is_timed() {
    let Some(server) = protected().await else {
        return;
    };
    let report = probed(Target::Redis(server.settings())).await;
    assert_passed(&report);
    let hops: Vec<Hop> = report.hops.iter().map(|hop| hop.hop).collect();
    assert_eq!(
        hops,
        [Hop::Tcp, Hop::Authentication, Hop::Command, Hop::Role]
    );
    assert_eq!(
        report.address(),
        Some(format!("127.0.0.1:{}", server.endpoint().port).as_str())
    );
    assert!(report.latency_ms() > 0.0);
    assert_eq!(report.facts["role"], "master");
}

#[tokio::test]
async fn v08_the_master_that_sentinels_name_is_probed() {
    let Some(sentinels) = Sentinels::start(RedisKind::Installed).await else {
        return;
    };
    let report = probed(Target::Redis(sentinels.settings())).await;
    assert_passed(&report);
    let hops: Vec<Hop> = report.hops.iter().map(|hop| hop.hop).collect();
    assert_eq!(
        hops,
        [
            Hop::Lookup,
            Hop::Tcp,
            Hop::Authentication,
            Hop::Command,
            Hop::Role
        ]
    );
    let master = sentinels.servers[0].endpoint().to_string();
    let named = &report.facts["servers"];
    assert!(named.starts_with(&master), "{named}");
    assert!(named.contains("`lab`, says sentinel 127.0.0.1:"), "{named}");

    let mut settings = sentinels.settings();
    if let RedisServers::Sentinel(sentinel) = &mut settings.servers {
        sentinel.master = "another".to_owned();
    }
    let report = probed(Target::Redis(settings)).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause), (Hop::Lookup, Cause::NotReady), "{detail}");
    assert!(detail.contains("it knows no master `another`"), "{detail}");

    let mut settings = sentinels.settings();
    if let RedisServers::Sentinel(sentinel) = &mut settings.servers {
        sentinel.password = Some(Secret::from("canary-wrong-password"));
    }
    let report = probed(Target::Redis(settings)).await;
    let (hop, _, detail) = failure(&report);
    assert_eq!(hop, Hop::Lookup);
    assert!(detail.contains("authentication failed"), "{detail}");
    assert!(!detail.contains("canary"), "{detail}");
}

#[tokio::test]
async fn v08_every_node_of_a_cluster_with_a_shard_is_probed() {
    let Some(cluster) = RedisCluster::start().await else {
        return;
    };
    let mut settings = cluster.settings("lab");
    settings.shards = 8;
    let queue = RedisQueue::new(&settings).expect("sound settings");
    for sequence in 0..8 {
        queue.publish(entry(sequence)).await.expect("published");
    }
    let report = probed(Target::Redis(settings)).await;
    assert_passed(&report);
    assert_eq!(report.facts["queue_entries"], "8");
    let hops = report.hops.iter();
    let roles = hops.filter(|hop| hop.hop == Hop::Role).count();
    assert_eq!(roles, report.facts["servers"].split("; ").count());
    assert!(roles > 1, "{:?}", report.facts);
}

#[tokio::test]
async fn v08_a_server_that_is_gone_is_refused() {
    let Some(mut server) = protected().await else {
        return;
    };
    server.stop();
    let report = probed(Target::Redis(server.settings())).await;
    let (hop, cause, _) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Tcp, "connection refused"));
    assert!(matches!(report.hops[1].outcome, Outcome::Skipped { .. }));
}

#[tokio::test]
async fn v08_a_wrong_and_a_missing_password_fail_authentication_and_stay_hidden() {
    let Some(server) = protected().await else {
        return;
    };
    let mut settings = server.settings();
    settings.password = Some(Secret::from("canary-wrong-password"));
    let report = probed(Target::Redis(settings.clone())).await;
    assert_eq!(failure(&report).1.word(), "authentication failed");
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("canary"), "{text}");

    settings.password = None;
    let report = probed(Target::Redis(settings)).await;
    assert_eq!(failure(&report).1, Cause::AuthenticationFailed);
}

#[tokio::test]
async fn v08_a_user_without_rights_on_the_streams_is_denied() {
    let Some(server) = protected().await else {
        return;
    };
    server.cli(&[
        "ACL", "SETUSER", "reader", "on", ">pass", "+@all", "~other:*",
    ]);
    let mut settings = server.settings();
    settings.username = Some("reader".to_owned());
    settings.password = Some(Secret::from("pass"));
    let report = probed(Target::Redis(settings)).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause), (Hop::Role, Cause::PermissionDenied));
    assert!(detail.contains("tele:{lab.0}"), "{detail}");
}

#[tokio::test]
async fn v08_a_replica_is_read_only() {
    let Some(server) = protected().await else {
        return;
    };
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let report = probed(Target::Redis(server.settings())).await;
    assert_eq!(failure(&report).1, Cause::ReadOnly);
}

fn settings_at(port: u16) -> RedisSettings {
    RedisSettings {
        servers: RedisServers::One(Endpoint::new("127.0.0.1", port)),
        tls: false,
        ca_cert: None,
        username: None,
        password: Some(Secret::from(PASSWORD)),
        database: 0,
        client: None,
        pipeline: "lab".to_owned(),
        shards: 1,
        claim_idle: std::time::Duration::from_secs(1),
    }
}

#[tokio::test]
async fn v08_a_server_that_accepts_and_is_silent_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let report = probed(Target::Redis(settings_at(port))).await;
    let hop = report.failed_hop().unwrap();
    assert_eq!(hop.hop, Hop::Authentication);
    assert!(matches!(hop.outcome, Outcome::TimedOut { .. }), "{hop:?}");
    assert!(hop.latency_ms < 6000.0);
}

/// A full backlog drops the packets of further connections, as a dropped route does.
#[tokio::test]
async fn v08_packets_that_are_dropped_time_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    let patience = std::time::Duration::from_millis(300);
    while let Ok(connected) =
        tokio::time::timeout(patience, tokio::net::TcpStream::connect(address)).await
    {
        filling.push(connected.unwrap());
        assert!(filling.len() < 64, "the backlog never fills");
    }
    let report = probed(Target::Redis(settings_at(address.port()))).await;
    let (hop, cause, _) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Tcp, "timed out"));
}
