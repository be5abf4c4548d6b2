//! `telectl registry`: who may look, and where a worker would say it is.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use etcd_client::Permission;

use crate::program::run;
use crate::registry_support::{Ran, ids, in_cluster, keep, leave};
use crate::servers::etcd::{EtcdOptions, EtcdServer, LOGIN};

/// A user that may read the registrations and nothing else.
async fn add_reader(server: &EtcdServer) {
    let mut client = server.client().await;
    client.role_add("look").await.unwrap();
    let right = Permission::read("/services/").with_prefix();
    client.role_grant_permission("look", right).await.unwrap();
    client
        .user_add("reader", "canary-3f0c", None)
        .await
        .unwrap();
    client.user_grant_role("reader", "look").await.unwrap();
}

#[tokio::test]
async fn n09_the_commands_log_in_and_say_what_a_login_lacks() {
    let options = EtcdOptions {
        authentication: true,
        ..EtcdOptions::default()
    };
    let Some(server) = EtcdServer::start_with(options).await else {
        return;
    };
    let stale = in_cluster("nexus-streamer", "far.s-0", "far");
    let value = serde_json::to_string(&stale).unwrap();
    leave(&server, &stale.key(), &value).await;
    keep(&server, &in_cluster("nexus-streamer", "edge.s-0", "edge")).await;
    add_reader(&server).await;
    let url = server.settings().endpoints.join(",");
    let ran = async |words: &[&str], user: &str, password: &str| -> Ran {
        let variables = [
            ("ETCD_ENDPOINTS", url.as_str()),
            ("ETCD_USERNAME", user),
            ("ETCD_PASSWORD", password),
        ];
        let words: Vec<&str> = ["registry"].iter().chain(words).copied().collect();
        let ran: Ran = run(&words, &variables).await.into();
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains("canary"), "{said}");
        ran
    };
    let nobody = ran(&["list"], "", "").await;
    assert_eq!(nobody.code, Some(1), "{}", nobody.err);
    assert!(
        nobody.err.contains("set ETCD_USERNAME and ETCD_PASSWORD"),
        "{}",
        nobody.err
    );
    let wrong = ran(&["list"], "reader", "canary-wrong").await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    assert!(
        wrong.err.contains("are not a login of this etcd"),
        "{}",
        wrong.err
    );
    // Waiting would not mend it.
    let wrong = ran(&["watch"], "reader", "canary-wrong").await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.err);
    assert!(
        wrong.err.contains("are not a login of this etcd"),
        "{}",
        wrong.err
    );
    let listed = ran(&["list", "-o", "json"], "reader", "canary-3f0c").await;
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    assert_eq!(ids(&listed.json()), ["edge.s-0", "far.s-0"]);
    let refused = ran(&["prune", "-y"], "reader", "canary-3f0c").await;
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    assert!(refused.err.contains("grant-permission"), "{}", refused.err);
    assert!(
        refused.err.contains("0 entries were deleted before"),
        "{}",
        refused.err
    );
    let pruned = ran(&["prune", "-y"], LOGIN.0, LOGIN.1).await;
    assert_eq!(pruned.code, Some(0), "{}", pruned.err);
    assert!(pruned.out.contains("far.s-0 deleted"), "{}", pruned.out);
}

async fn resolved(words: &str, variables: &[(&str, &str)]) -> Ran {
    let words = ["registry", "resolve-address"]
        .into_iter()
        .chain(words.split(' ').filter(|word| !word.is_empty()));
    run(&words.collect::<Vec<&str>>(), variables).await.into()
}

#[tokio::test]
async fn x01_resolve_address_goes_down_the_ladder_as_a_worker_does() {
    let ladder = [
        ("SERVICE_ADDRESS", "streamer.example:30081"),
        ("EXTERNAL_SERVICE_ADDRESS", "203.0.113.7"),
        ("POD_IP", "10.1.2.3"),
    ];
    let expected = [
        ("service-address", "streamer.example:30081"),
        ("external-service-address", "203.0.113.7:8082"),
        ("pod-ip", "10.1.2.3:8082"),
    ];
    for (gone, (source, endpoint)) in expected.into_iter().enumerate() {
        let ran = resolved("--type collector -o json", &ladder[gone..]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let answer = ran.json();
        assert_eq!(
            (&answer["source"], &answer["endpoint"]),
            (&source.into(), &endpoint.into())
        );
        assert_eq!(answer["not_used"].as_array().unwrap().len(), gone);
    }
    let variables = [
        ("POD_IP", "fd00::7"),
        ("HTTP_TLS_DIR", "/tls"),
        ("LISTEN_PORT", "9"),
    ];
    let shown = resolved("", &variables).await;
    assert!(shown.out.contains("https://[fd00::7]:9"), "{}", shown.out);
    let shown = resolved("--listen-port 7", &variables).await;
    assert!(shown.out.contains("https://[fd00::7]:7"), "{}", shown.out);
}

#[tokio::test]
async fn x02_resolve_address_says_why_rungs_were_not_used_and_refuses_loopback_in_a_cluster() {
    let variables = [("SERVICE_ADDRESS", "localhost"), ("POD_IP", "10.1.2.3")];
    let shown = resolved("", &variables).await;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let lines: Vec<&str> = shown.out.lines().collect();
    assert!(lines[1].starts_with("SERVICE_ADDRESS ") && lines[1].ends_with("this machine only"));
    assert!(lines[2].ends_with("not set"), "{}", shown.out);
    assert!(lines[3].contains("http://10.1.2.3:8081"), "{}", shown.out);
    let host = resolved("--reach host -o json", &variables).await.json();
    assert_eq!(host["endpoint"], "localhost:8081");
    let malformed = resolved("", &[("HTTP_PORT", "http")]).await;
    assert_eq!(malformed.code, Some(2), "{}", malformed.err);
    assert!(
        malformed.err.contains("`HTTP_PORT` must be a port number"),
        "{}",
        malformed.err
    );
}
