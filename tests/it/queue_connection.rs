//! Connecting to Redis: TLS, passwords, and telling causes of failures apart.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use telectl::config::worker::{RedisServers, RedisSettings};
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use telectl::queue::redis::{FailureKind, RedisQueue};
use telectl::queue::{Queue as _, QueueError};

use crate::conformance::queue::{IDLE, entry, receive};
use crate::queue::{chain, kind, settings};
use crate::servers::redis::{RedisOptions, RedisServer};
use crate::servers::{Certificates, free_port};

fn one(host: &str, port: u16) -> RedisServers {
    RedisServers::One(Endpoint::new(host, port))
}

async fn refusal(settings: &RedisSettings) -> QueueError {
    let queue = RedisQueue::new(settings).expect("sound settings");
    let error = queue.ping().await.expect_err("it cannot answer");
    let reading = queue.receive("a", 1, IDLE).await;
    assert_eq!(
        kind(&reading.expect_err("it cannot deliver")),
        kind(&error),
        "reading tells the same cause"
    );
    error
}

#[tokio::test]
async fn w06_w07_redis_with_tls_a_private_authority_a_password_and_a_database() {
    let options = RedisOptions {
        password: Some("canary-71c0"),
        certificates: Some(Certificates::for_names(&["127.0.0.1", "localhost"])),
        ..RedisOptions::default()
    };
    let Some(server) = RedisServer::start_with(options).await else {
        return;
    };
    let sound = RedisSettings {
        database: 3,
        ..settings(&server)
    };
    let queue = RedisQueue::new(&sound).unwrap();
    queue.publish(entry(0)).await.unwrap();
    assert_eq!(receive(&queue, "a", 1).await.len(), 1);
    assert_eq!(server.cli(&["-n", "3", "EXISTS", "tele:{lab.0}"]), "1");

    let wrong_password = RedisSettings {
        password: Some(Secret::from("canary-wrong")),
        ..sound.clone()
    };
    let error = refusal(&wrong_password).await;
    assert_eq!(kind(&error), Some(FailureKind::AuthenticationFailed));
    let text = chain(&error);
    assert!(text.contains("authentication failed"), "{text}");
    assert!(!text.contains("canary"), "{text}");

    let no_password = RedisSettings {
        password: None,
        ..sound.clone()
    };
    let error = refusal(&no_password).await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::AuthenticationFailed),
        "{}",
        chain(&error)
    );

    let other_authority = RedisSettings {
        ca_cert: Some(Certificates::for_names(&["127.0.0.1"]).ca),
        ..sound.clone()
    };
    let error = refusal(&other_authority).await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::CertificateNotTrusted),
        "{}",
        chain(&error)
    );
    let text = chain(&error);
    assert!(text.contains("certificate not trusted"), "{text}");
}

#[test]
fn w06_tls_is_never_unverified() {
    let sound = RedisSettings {
        pipeline: "lab".to_owned(),
        servers: one("127.0.0.1", 6379),
        tls: true,
        ca_cert: Some(Certificates::for_names(&["127.0.0.1"]).ca),
        username: None,
        password: None,
        database: 0,
        client: None,
        shards: 2,
        claim_idle: IDLE,
    };
    assert!(RedisQueue::new(&sound).is_ok());
    let no_authority = RedisSettings {
        ca_cert: None,
        ..sound.clone()
    };
    let error = RedisQueue::new(&no_authority)
        .err()
        .expect("never unverified");
    assert!(error.to_string().contains("REDIS_CA_CERT"), "{error}");
    let not_pem = RedisSettings {
        ca_cert: Some("not a certificate".to_owned()),
        ..sound
    };
    let error = RedisQueue::new(&not_pem).err().expect("not a certificate");
    assert!(error.to_string().contains("REDIS_CA_CERT"), "{error}");
}

#[tokio::test]
async fn w07_a_certificate_for_another_name_is_not_trusted() {
    let options = RedisOptions {
        certificates: Some(Certificates::for_names(&["redis.example"])),
        ..RedisOptions::default()
    };
    let Some(server) = RedisServer::start_with(options).await else {
        return;
    };
    let error = refusal(&settings(&server)).await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::CertificateNotTrusted),
        "{}",
        chain(&error)
    );
    let text = chain(&error);
    assert!(text.contains("not valid for name"), "{text}");
}

#[tokio::test]
async fn w19_causes_of_an_unreachable_server_are_told_apart() {
    let Some(mut server) = RedisServer::start().await else {
        return;
    };
    let reachable = settings(&server);
    server.stop();
    let error = refusal(&reachable).await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::Refused),
        "{}",
        chain(&error)
    );

    let mut nowhere = reachable.clone();
    nowhere.servers = one("no-such-host.invalid", 6379);
    let error = refusal(&nowhere).await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::NameNotFound),
        "{}",
        chain(&error)
    );

    let mut silent = reachable;
    let port = free_port();
    silent.servers = one("127.0.0.1", port);
    // Accepts connections (the kernel does) and never says a word.
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let begun = Instant::now();
    let error = refusal(&silent).await;
    assert_eq!(
        kind(&error),
        Some(FailureKind::TimedOut),
        "{}",
        chain(&error)
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// The server asks each client for a certificate that its authority signed.
#[tokio::test]
async fn r17_redis_with_a_client_certificate() {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let pair = (
        certificates.certificate.clone(),
        Secret::from(certificates.key.as_str()),
    );
    let options = RedisOptions {
        certificates: Some(certificates),
        arguments: vec!["--tls-auth-clients", "yes"],
        ..RedisOptions::default()
    };
    let Some(server) = RedisServer::start_with(options).await else {
        return;
    };
    let known = RedisSettings {
        client: Some(pair),
        ..settings(&server)
    };
    let queue = RedisQueue::new(&known).expect("sound settings");
    queue.ping().await.expect("it is let in");
    let unknown = RedisQueue::new(&settings(&server)).expect("sound settings");
    unknown.ping().await.expect_err("it shows no certificate");
    let broken = RedisSettings {
        client: Some(("no certificate".to_owned(), Secret::from("no key"))),
        ..settings(&server)
    };
    let error = RedisQueue::new(&broken)
        .err()
        .expect("it is no certificate");
    assert!(error.to_string().contains("REDIS_CLIENT_CERT"), "{error}");
}
