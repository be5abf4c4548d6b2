//! The certificate of a server: not trusted, for another name, expired.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use telectl::config::worker::{RedisServers, RedisSettings};
use telectl::model::endpoint::Endpoint;
use telectl::probe::{Cause, Hop, Target};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{assert_passed, failure, probed};
use crate::servers::redis::{RedisOptions, RedisServer};
use crate::servers::{Certificates, install_tls_provider};

async fn redis_with(certificates: Certificates) -> Option<RedisServer> {
    RedisServer::start_with(RedisOptions {
        certificates: Some(certificates),
        ..RedisOptions::default()
    })
    .await
}

#[tokio::test]
async fn v08_redis_over_tls_passes_and_tells_the_days_left() {
    let Some(server) = redis_with(Certificates::for_names(&["127.0.0.1"])).await else {
        return;
    };
    let report = probed(Target::Redis(server.settings())).await;
    assert_passed(&report);
    let certificate = report.certificate.expect("a certificate was shown");
    assert_eq!(certificate.names, ["127.0.0.1"]);
    assert!(certificate.issuer.contains("telectl test authority"));
    assert!(certificate.days_left > 0);
}

#[tokio::test]
async fn v08_an_authority_that_did_not_sign_is_not_trusted() {
    let Some(server) = redis_with(Certificates::for_names(&["127.0.0.1"])).await else {
        return;
    };
    let mut settings = server.settings();
    // Of the same name, so that only the signature tells.
    settings.ca_cert = Some(Certificates::for_names(&["127.0.0.1"]).ca);
    let report = probed(Target::Redis(settings.clone())).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Tls, "certificate not trusted"));
    assert!(detail.contains("REDIS_CA_CERT"), "{detail}");

    settings.ca_cert = None;
    let report = probed(Target::Redis(settings)).await;
    assert_eq!(failure(&report).1, Cause::CertificateNotTrusted);
}

#[tokio::test]
async fn v08_a_certificate_for_another_name_is_a_name_mismatch() {
    let Some(server) = redis_with(Certificates::for_names(&["redis.example"])).await else {
        return;
    };
    let report = probed(Target::Redis(server.settings())).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Tls, "certificate name mismatch"));
    assert!(detail.contains("redis.example"), "{detail}");
    assert!(detail.contains("127.0.0.1"), "{detail}");
}

/// A server that answers every connection with a line of text.
#[tokio::test]
async fn v08_a_server_without_tls_fails_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"-ERR Protocol error\r\n").await.unwrap();
        }
    });
    let report = probed(redis_at(port, &Certificates::for_names(&["127.0.0.1"]))).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause), (Hop::Tls, Cause::TlsFailed));
    assert!(detail.contains("does not speak TLS"), "{detail}");
}

fn redis_at(port: u16, certificates: &Certificates) -> Target {
    Target::Redis(RedisSettings {
        servers: RedisServers::One(Endpoint::new("127.0.0.1", port)),
        tls: true,
        ca_cert: Some(certificates.ca.clone()),
        username: None,
        password: None,
        database: 0,
        client: None,
        pipeline: "lab".to_owned(),
        shards: 1,
        claim_idle: std::time::Duration::from_secs(1),
    })
}

/// A certificate whose last day was in 2001, and its authority.
fn expired() -> Certificates {
    let ca_key = rcgen::KeyPair::generate().expect("it can be made");
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).expect("it can be made").pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("it can be made");
    let mut server =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("it can be made");
    server.not_before = rcgen::date_time_ymd(2000, 1, 1);
    server.not_after = rcgen::date_time_ymd(2001, 1, 1);
    Certificates {
        ca: authority,
        certificate: server
            .signed_by(&key, &issuer)
            .expect("it can be made")
            .pem(),
        key: key.serialize_pem(),
    }
}

/// A server that does handshakes and nothing else.
async fn tls_server(certificates: &Certificates) -> (u16, JoinSet<()>) {
    install_tls_provider();
    let chain = vec![
        CertificateDer::from_pem_slice(certificates.certificate.as_bytes())
            .expect("it can be made"),
    ];
    let key = PrivateKeyDer::from_pem_slice(certificates.key.as_bytes()).expect("it can be made");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("it can be made");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("it can be made");
    let port = listener.local_addr().expect("it can be made").port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(acceptor.accept(stream).await);
        }
    });
    (port, tasks)
}

#[tokio::test]
async fn v08_a_certificate_whose_time_is_over_is_expired() {
    let certificates = expired();
    let (port, _tasks) = tls_server(&certificates).await;
    let report = probed(redis_at(port, &certificates)).await;
    let (hop, cause, detail) = failure(&report);
    assert_eq!((hop, cause.word()), (Hop::Tls, "certificate expired"));
    assert!(detail.contains("2001-01-01"), "{detail}");
    assert!(report.certificate.unwrap().days_left < 0);
}
