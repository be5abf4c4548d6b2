//! `telectl registry` as a person runs it, on a real etcd.

use serde_json::Value;
use telectl::registry::Registry as _;
use telectl::registry::entries::{Deletion, Entry};
use tempfile::TempDir;

use crate::program::{LIMIT, Program, run};
use crate::registry_support::{Ran, ids, in_cluster, keep, leave, populated, registry};
use crate::servers::etcd::{Data, EtcdServer};
use crate::servers::redis::RedisServer;
use crate::servers::{eventually, free_port};

const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/dcgm_metrics_20250718_134233.csv"
);

#[tokio::test]
async fn x07_the_list_has_every_entry_with_what_is_wrong_with_it() {
    let Some(server) = populated().await else {
        return;
    };
    let shown = registry(&server, "list").await;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let keys: Vec<&str> = shown
        .out
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(keys, ["c-0", "broken", "leased", "edge.s-0", "far.s-0"]);
    let line = |id: &str| shown.out.lines().find(|line| line.contains(id)).unwrap();
    assert!(line("edge.s-0").contains("10.1.2.3:8081"), "{}", shown.out);
    assert!(line("far.s-0").contains("stale: no lease"), "{}", shown.out);
    assert!(line("broken").contains("unreadable: EOF"), "{}", shown.out);
    let list = registry(&server, "list -o json").await.json();
    assert_eq!(list["schema_version"], 1);
    let leased = &list["registrations"][2];
    assert_eq!(
        (&leased["id"], &leased["stale"]),
        (&"leased".into(), &false.into())
    );
    assert!(leased["lease_remaining_s"].as_i64().unwrap() > 200);
    let yaml = registry(&server, "list -o yaml").await.out;
    assert!(yaml.contains("  id: edge.s-0\n"), "{yaml}");
}

#[tokio::test]
async fn x12_the_list_is_grouped_by_cluster_and_type() {
    let Some(server) = populated().await else {
        return;
    };
    let list = registry(&server, "list -o json --type nexus-streamer").await;
    assert_eq!(ids(&list.json()), ["edge.s-0", "far.s-0"]);
    let list = registry(&server, "list -o json --type streamer --cluster edge").await;
    assert_eq!(ids(&list.json()), ["edge.s-0"]);
    let list = registry(&server, "list -o json --cluster central").await;
    // What cannot be read may be of any cluster.
    assert_eq!(ids(&list.json()), ["c-0", "broken", "leased"]);
    let none = registry(&server, "list --type collector --cluster edge").await;
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(
        none.err.contains("None of the 5 registrations"),
        "{}",
        none.err
    );
}

#[tokio::test]
async fn x07_an_empty_registry_a_missing_one_and_one_that_is_not_named_are_told_apart() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let empty = registry(&server, "list").await;
    assert_eq!((empty.code, empty.out.as_str()), (Some(0), ""));
    assert!(
        empty.err.contains("Nothing is registered at http://"),
        "{}",
        empty.err
    );
    let url = server.settings().endpoints.join(",");
    server.stop();
    let away: Ran = run(&["registry", "list", "--etcd-endpoints", &url], &[])
        .await
        .into();
    assert_eq!(away.code, Some(1), "{}", away.err);
    assert!(
        away.err.contains(&url) && away.err.contains("refused"),
        "{}",
        away.err
    );
    let unnamed: Ran = run(&["registry", "list"], &[]).await.into();
    assert_eq!(unnamed.code, Some(2), "{}", unnamed.err);
    assert!(unnamed.err.contains("ETCD_ENDPOINTS"), "{}", unnamed.err);
    let context: Ran = run(&["registry", "list", "-c", "central"], &[])
        .await
        .into();
    assert_eq!(context.code, Some(2), "{}", context.err);
    assert!(context.err.contains("telectl status"), "{}", context.err);
}

#[tokio::test]
async fn x07_watch_tells_each_change_in_a_line_and_ends_with_130() {
    let Some(server) = populated().await else {
        return;
    };
    let url = server.settings().endpoints.join(",");
    let words = [
        "registry",
        "watch",
        "--cluster",
        "edge",
        "--type",
        "streamer",
    ];
    let mut program = Program::start(&words, &[("ETCD_ENDPOINTS", &url)]);
    program.line(|line| line.contains("edge.s-0")).await;
    keep(&server, &in_cluster("nexus-streamer", "far.s-1", "far")).await;
    keep(&server, &in_cluster("nexus-streamer", "edge.s-1", "edge")).await;
    let line = program.line(|_| true).await;
    assert!(
        line.ends_with(
            "Z nexus-streamer/edge.s-1 registered: 10.1.2.3:8081, cluster edge, once, 0.1.0, healthy"
        ),
        "{line}"
    );
    let mut ill = in_cluster("nexus-streamer", "edge.s-1", "edge");
    ill.health = "unhealthy".to_owned();
    keep(&server, &ill).await;
    let line = program.line(|_| true).await;
    assert!(
        line.contains("edge.s-1 changed: health healthy -> unhealthy, lease "),
        "{line}"
    );
    let mut client = server.client().await;
    client.delete(ill.key(), None).await.unwrap();
    let line = program.line(|_| true).await;
    assert!(
        line.ends_with("edge.s-1 gone: deregistered, or its lease ran out"),
        "{line}"
    );
    program.signal("INT");
    let (status, errors) = program.end().await;
    assert_eq!(status.code(), Some(130), "{errors}");
}

#[tokio::test]
async fn x07_watch_has_a_form_for_programs() {
    let Some(server) = populated().await else {
        return;
    };
    let url = server.settings().endpoints.join(",");
    let words = ["registry", "watch", "-o", "json"];
    let mut program = Program::start(&words, &[("ETCD_ENDPOINTS", &url)]);
    let first: Value = serde_json::from_str(&program.line(|_| true).await).unwrap();
    assert_eq!(first["event"], "listed");
    assert_eq!(ids(&first).len(), 5);
    leave(&server, "/services/nexus-gateway/broken", "null").await;
    let next: Value = serde_json::from_str(&program.line(|_| true).await).unwrap();
    assert_eq!(
        (&next["event"], &next["schema_version"]),
        (&"changed".into(), &1.into())
    );
    assert_eq!(next["fields"][0]["field"], "value");
    program.signal("TERM");
    assert_eq!(program.end().await.0.code(), Some(143));
}

#[tokio::test]
async fn x07_watch_waits_for_a_registry_that_is_away_at_first() {
    let Some(mut server) = populated().await else {
        return;
    };
    let url = server.settings().endpoints.join(",");
    server.stop();
    let words = ["registry", "watch", "-o", "json"];
    let mut program = Program::start(&words, &[("ETCD_ENDPOINTS", &url)]);
    let mut next = async || -> Value {
        let line = program.line(|_| true).await;
        serde_json::from_str(&line).unwrap()
    };
    let away = next().await;
    assert_eq!(away["event"], "away");
    let reason = away["reason"].as_str().unwrap();
    assert!(reason.contains("refused"), "{reason}");
    server.start_again(Data::Kept).await;
    assert_eq!(next().await["event"], "back");
    let listed = next().await;
    assert_eq!(listed["event"], "listed");
    assert_eq!(ids(&listed).len(), 5);
}

#[tokio::test]
async fn x07_watch_waits_no_longer_than_it_was_told() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let url = server.settings().endpoints.join(",");
    server.stop();
    let words = ["registry", "watch", "--timeout", "1s"];
    let ran: Ran = run(&words, &[("ETCD_ENDPOINTS", &url)]).await.into();
    assert_eq!(ran.code, Some(7), "{}", ran.err);
    for said in [
        "still trying",
        "was waited for 1 s",
        "refused",
        "nobody listens there",
    ] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    assert_eq!(ran.out, "");
}

#[tokio::test]
async fn x08_show_asks_the_advertised_address_of_a_real_worker() {
    let (Some(redis), Some(server)) = (RedisServer::start().await, EtcdServer::start().await)
    else {
        return;
    };
    let spool = TempDir::new().unwrap();
    let port = free_port().to_string();
    let redis_url = format!("redis://127.0.0.1:{}", redis.endpoint().port);
    let url = server.settings().endpoints.join(",");
    let worker = Program::start(
        &["worker", "streamer"],
        &[
            ("CLUSTER_ID", "edge"),
            ("STREAMER_ID", "edge.s-0"),
            ("SERVICE_ADDRESS", "127.0.0.1"),
            ("LISTEN_PORT", &port),
            ("REDIS_URL", &redis_url),
            ("ETCD_ENDPOINTS", &url),
            ("CSV_FILE", SAMPLE),
            ("SPOOL_DIR", spool.path().to_str().unwrap()),
        ],
    );
    let key = "/services/nexus-streamer/edge.s-0";
    eventually("a healthy registration", LIMIT, async || {
        let found = server.registry().get(key).await.unwrap()?;
        (found.record.ok()?.health == "healthy").then_some(())
    })
    .await;
    let shown = registry(&server, "show edge.s-0").await;
    assert_eq!(shown.code, Some(0), "{}{}", shown.out, shown.err);
    let answered = format!("yes, http://127.0.0.1:{port}/health answered in ");
    assert!(shown.out.contains(&answered), "{}", shown.out);
    assert!(shown.out.contains(" s of 15 s left"), "{}", shown.out);
    for name in [key, "nexus-streamer/edge.s-0"] {
        let shown = registry(&server, &format!("show {name} -o json"))
            .await
            .json();
        assert_eq!(shown["reachability"]["reachable"], true, "{shown}");
        assert_eq!(shown["registration"]["key"], key);
    }
    worker.signal("TERM");
    assert_eq!(worker.end().await.0.code(), Some(0));
}

#[tokio::test]
async fn x08_show_says_why_an_address_does_not_answer_and_names_near_ids() {
    let Some(server) = populated().await else {
        return;
    };
    let port = free_port();
    let mut dead = in_cluster("nexus-streamer", "edge.s-7", "edge");
    dead.address = "127.0.0.1".to_owned();
    dead.port = port;
    keep(&server, &dead).await;
    let shown = registry(&server, "show edge.s-7").await;
    assert_eq!(shown.code, Some(4), "{}{}", shown.out, shown.err);
    let refused = format!("TCP of 127.0.0.1:{port} failed: connection refused");
    assert!(shown.out.contains(&refused), "{}", shown.out);
    let json = registry(&server, "show edge.s-7 -o json").await;
    assert_eq!(json.code, Some(4));
    let seen = &json.json()["reachability"];
    assert_eq!(
        (&seen["hop"], &seen["cause"]),
        (&"tcp".into(), &"refused".into())
    );
    let broken = registry(&server, "show broken").await;
    assert_eq!(broken.code, Some(4), "{}{}", broken.out, broken.err);
    assert!(broken.out.contains("unreadable: EOF"), "{}", broken.out);
    let missing = registry(&server, "show edge.s-8").await;
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(
        missing.err.contains("nexus-streamer/edge.s-7"),
        "{}",
        missing.err
    );
}

#[tokio::test]
async fn x14_prune_shows_what_is_stale_and_deletes_it_only_with_consent() {
    let Some(server) = populated().await else {
        return;
    };
    let dry = registry(&server, "prune --dry-run").await;
    assert_eq!(dry.code, Some(0), "{}", dry.err);
    assert!(
        dry.err.contains("2 entries would be deleted"),
        "{}",
        dry.err
    );
    let unasked = registry(&server, "prune").await;
    assert_eq!(unasked.code, Some(2), "{}", unasked.err);
    assert_eq!(server.registry().list().await.unwrap().len(), 5);
    let pruned = registry(&server, "prune --yes").await;
    assert_eq!(pruned.code, Some(0), "{}", pruned.err);
    let told: Vec<&str> = pruned.out.lines().rev().take(2).collect();
    assert_eq!(
        told,
        [
            "/services/nexus-streamer/far.s-0 deleted",
            "/services/nexus-gateway/broken deleted",
        ]
    );
    let kept = "/services/nexus-gateway/leased is unreadable";
    assert!(pruned.err.contains(kept), "{}", pruned.err);
    let left = registry(&server, "list -o json").await.json();
    assert_eq!(ids(&left), ["c-0", "leased", "edge.s-0"]);
    let again = registry(&server, "prune --yes").await;
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""));
    assert!(again.err.contains("Nothing to delete"), "{}", again.err);
}

#[tokio::test]
async fn x14_an_entry_is_deleted_only_as_it_was_when_it_was_shown() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let (etcd, mut client) = (server.registry(), server.client().await);
    let record = in_cluster("nexus-streamer", "s-0", "edge");
    let key = record.key();
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody is asked: the entries are the test's own"
    )]
    let agreed = telectl::model::consent::Confirmed::given();
    let shown = async || -> Entry { etcd.entries().await.unwrap().entries.remove(0) };
    leave(&server, &key, "{").await;
    let stale = shown().await;
    leave(&server, &key, "{").await;
    let changed = etcd.delete_stale(&stale, &agreed).await.unwrap();
    assert_eq!(changed, Deletion::Changed, "written again, and the same");
    keep(&server, &record).await;
    let changed = etcd.delete_stale(&stale, &agreed).await.unwrap();
    assert_eq!(changed, Deletion::Changed, "its worker came back");
    let living = shown().await;
    let changed = etcd.delete_stale(&living, &agreed).await.unwrap();
    assert_eq!(changed, Deletion::Changed, "a living lease");
    assert!(etcd.get(&key).await.unwrap().is_some());
    leave(&server, &key, "{").await;
    let stale = shown().await;
    client.delete(key.as_str(), None).await.unwrap();
    let gone = etcd.delete_stale(&stale, &agreed).await.unwrap();
    assert_eq!(gone, Deletion::Gone);
}
