//! PostgreSQL, reachable and not.

use telectl::config::worker::SslMode;
use telectl::model::endpoint::Endpoint;
use telectl::model::secret::Secret;
use telectl::probe::{Cause, Hop, Target};

use super::{assert_passed, failure, probed};
use crate::servers::Certificates;
use crate::servers::postgres::PostgresServer;

#[tokio::test]
async fn v09_every_hop_to_postgresql_passes_with_a_real_login_and_query() {
    let Some(server) = PostgresServer::shared().await else {
        return;
    };
    let report = probed(Target::Postgresql(server.database())).await;
    assert_passed(&report);
    let hops: Vec<Hop> = report.hops.iter().map(|hop| hop.hop).collect();
    assert!(hops.ends_with(&[Hop::Authentication, Hop::Command, Hop::Role]));
    assert!(report.facts["version"].starts_with("15"));
}

#[tokio::test]
async fn v09_a_wrong_password_fails_authentication_and_stays_hidden() {
    let Some(server) = PostgresServer::shared().await else {
        return;
    };
    let mut settings = server.database();
    settings.password = Some(Secret::from("canary-wrong-password"));
    let report = probed(Target::Postgresql(settings.clone())).await;
    assert_eq!(failure(&report).1.word(), "authentication failed");
    let text = serde_json::to_string(&report).unwrap();
    assert!(!text.contains("canary"), "{text}");

    settings.password = None;
    let report = probed(Target::Postgresql(settings)).await;
    assert_eq!(failure(&report).1, Cause::AuthenticationFailed);
}

#[tokio::test]
async fn v09_a_database_that_does_not_exist_is_not_found() {
    let Some(server) = PostgresServer::shared().await else {
        return;
    };
    let mut settings = server.database();
    settings.name = "nowhere".to_owned();
    let report = probed(Target::Postgresql(settings)).await;
    assert_eq!(failure(&report).1, Cause::DatabaseNotFound);
}

#[tokio::test]
async fn v09_tls_is_as_strict_as_the_mode_says() {
    let certificates = Certificates::for_names(&["db.example"]);
    let Some(server) = PostgresServer::start(Some(certificates)).await else {
        return;
    };
    let mut settings = server.database();
    // 127.0.0.1 is not in the certificate.
    settings.endpoint = Endpoint::new("127.0.0.1", settings.endpoint.port);
    for (mode, expected) in [
        (SslMode::VerifyFull, Some(Cause::CertificateNameMismatch)),
        (SslMode::VerifyCa, None),
        (SslMode::Require, None),
    ] {
        settings.ssl_mode = mode;
        let report = probed(Target::Postgresql(settings.clone())).await;
        match expected {
            Some(cause) => assert_eq!(failure(&report).1, cause, "{mode:?}"),
            None => assert_passed(&report),
        }
    }
    settings.ssl_mode = SslMode::VerifyCa;
    settings.ca_cert = Some(Certificates::for_names(&["db.example"]).ca);
    let report = probed(Target::Postgresql(settings)).await;
    let (hop, cause, _) = failure(&report);
    assert_eq!((hop, cause), (Hop::Tls, Cause::CertificateNotTrusted));
}

#[tokio::test]
async fn v09_a_server_without_tls_is_said_when_the_mode_asks_for_it() {
    let Some(server) = PostgresServer::shared().await else {
        return;
    };
    let mut settings = server.database();
    settings.ssl_mode = SslMode::Require;
    let report = probed(Target::Postgresql(settings.clone())).await;
    assert_eq!(failure(&report).1, Cause::TlsFailed);
    settings.ssl_mode = SslMode::Prefer;
    let report = probed(Target::Postgresql(settings)).await;
    assert_passed(&report);
    assert_eq!(report.facts["encrypted"], "no");
}
