//! etcd, reachable and not, and what is registered there.

use etcd_client::PutOptions;
use telectl::config::worker::EtcdSettings;
use telectl::model::secret::Secret;
use telectl::probe::{Cause, Hop, Target, probe};

use super::{assert_passed, failure, no_resolver, probed};
use crate::servers::Certificates;
use crate::servers::etcd::{EtcdOptions, EtcdServer};

fn target(settings: &EtcdSettings) -> Target {
    Target::Etcd {
        endpoint: settings.endpoints[0].clone(),
        settings: settings.clone(),
    }
}

#[tokio::test]
async fn v13_the_registrations_are_read_with_their_leases() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let mut client = server.client().await;
    let lease = client.lease_grant(60, None).await.unwrap();
    let record = r#"{"id":"s-0","type":"nexus-streamer","address":"10.0.0.1","port":8081,
        "metadata":{},"health":"healthy","version":"1","registered_at":"","instance_uid":"",
        "started_at":"","lease_ttl":60}"#;
    let options = PutOptions::new().with_lease(lease.id());
    client
        .put("/services/nexus-streamer/s-0", record, Some(options))
        .await
        .unwrap();
    client
        .put("/services/nexus-streamer/s-1", "nonsense", None)
        .await
        .unwrap();

    let (report, registrations) = probe(&target(&server.settings()), &no_resolver()).await;
    assert_passed(&report);
    let registrations = registrations.expect("etcd answered");
    assert_eq!(registrations[0].record.as_ref().unwrap().id, "s-0");
    let left = registrations[0].lease_remaining_s.unwrap();
    assert!((1..=60).contains(&left), "{left}");
    assert!(registrations[1].malformed.is_some());
    assert_eq!(registrations[1].lease_remaining_s, None);
}

#[tokio::test]
async fn v13_an_etcd_that_is_gone_is_refused() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    server.stop();
    let report = probed(target(&server.settings())).await;
    let (hop, cause, _) = failure(&report);
    assert_eq!((hop, cause), (Hop::Tcp, Cause::Refused));
}

#[tokio::test]
async fn v13_another_authority_and_a_foreign_client_certificate_are_told_apart() {
    let certificates = Certificates::for_names(&["127.0.0.1", "localhost"]);
    let Some(server) = EtcdServer::start_with(EtcdOptions {
        certificates: Some(certificates),
        ..EtcdOptions::default()
    })
    .await
    else {
        return;
    };
    let settings = server.settings();
    let report = probed(target(&settings)).await;
    assert_passed(&report);

    let other = Certificates::for_names(&["127.0.0.1"]);
    let mut untrusting = settings.clone();
    untrusting.ca_cert = Some(other.ca.clone());
    let report = probed(target(&untrusting)).await;
    assert_eq!(failure(&report).1, Cause::CertificateNotTrusted);

    let mut stranger = settings;
    stranger.client = Some((other.certificate.clone(), Secret::new(other.key.clone())));
    let report = probed(target(&stranger)).await;
    assert_eq!(failure(&report).1, Cause::AuthenticationFailed);
}

#[tokio::test]
async fn v13_a_wrong_login_fails_authentication() {
    let Some(server) = EtcdServer::start_with(EtcdOptions {
        authentication: true,
        ..EtcdOptions::default()
    })
    .await
    else {
        return;
    };
    let mut settings = server.settings();
    let report = probed(target(&settings)).await;
    assert_passed(&report);
    let user = settings.login.clone().expect("a login").0;
    settings.login = Some((user, Secret::from("canary-wrong")));
    let report = probed(target(&settings)).await;
    assert_eq!(failure(&report).1, Cause::AuthenticationFailed);
}
