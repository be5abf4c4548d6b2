//! Following a real etcd that is compacted, killed, frozen and wiped.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::time::Duration;

use telectl::config::worker::EtcdSettings;
use telectl::model::service_record::ServiceRecord;
use telectl::registry::etcd::EtcdRegistry;
use telectl::registry::watch::changes::Change;
use telectl::registry::watch::{Follower, News};
use telectl::registry::{LeaseId, Registry as _};
use tokio::time::timeout;

use crate::registry_support::record;
use crate::servers::etcd::{Data, EtcdServer};

/// Longest time for news: the pings of a connection, the longest pause, and a slow machine.
const LIMIT: Duration = Duration::from_secs(40);
/// Longest time for what is found out by an answer.
const PROMPT: Duration = Duration::from_secs(10);
/// Leases that do not run out while a test looks.
const LONG: Duration = Duration::from_secs(300);

async fn registered(registry: &EtcdRegistry, record: &ServiceRecord) -> LeaseId {
    let lease = registry.grant(LONG).await.unwrap();
    registry.put(record, lease).await.unwrap();
    lease
}

async fn news(follower: &mut Follower) -> News {
    let news = timeout(LIMIT, follower.next()).await;
    news.expect("there are news in time")
}

/// What is there at first, by key.
async fn began(follower: &mut Follower) -> Vec<String> {
    match news(follower).await {
        News::Began(entries) => {
            let keys = entries.into_iter().map(|entry| entry.registered.key);
            keys.collect()
        }
        other => panic!("{other:?}"),
    }
}

/// A change in words: `+ID`, `-ID`, or `ID: fields`.
fn word(change: &Change) -> String {
    let id = change.key().rsplit('/').next().unwrap();
    match change {
        Change::Registered { .. } => format!("+{id}"),
        Change::Gone { .. } => format!("-{id}"),
        Change::Changed { fields, .. } => {
            let names: Vec<&str> = fields.iter().map(|one| one.field.as_str()).collect();
            format!("{id}: {}", names.join(" "))
        }
    }
}

/// The next changes, and how often it was told that the registry is away and back.
async fn changes(follower: &mut Follower) -> (Vec<String>, [usize; 2]) {
    let mut told = [0, 0];
    loop {
        match news(follower).await {
            News::Changed(changes) => return (changes.iter().map(word).collect(), told),
            News::Away(_) => told[0] += 1,
            News::Back => told[1] += 1,
            News::Began(entries) => panic!("it began anew: {entries:?}"),
        }
    }
}

fn streamer(id: &str) -> ServiceRecord {
    record("nexus-streamer", id)
}

#[tokio::test]
async fn x07_what_is_there_is_told_first_and_then_every_change_one_by_one() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let registry = server.registry();
    let lease = registered(&registry, &streamer("a")).await;
    let mut follower = Follower::new(registry.clone());
    assert_eq!(began(&mut follower).await, ["/services/nexus-streamer/a"]);
    registered(&registry, &streamer("b")).await;
    assert_eq!(
        changes(&mut follower).await,
        (vec!["+b".to_owned()], [0, 0])
    );
    let ill = ServiceRecord {
        health: "unhealthy".to_owned(),
        ..streamer("a")
    };
    registry.put(&ill, lease).await.unwrap();
    assert_eq!(changes(&mut follower).await.0, ["a: health"]);
    registry.revoke(lease).await.unwrap();
    assert_eq!(changes(&mut follower).await.0, ["-a"]);
}

#[tokio::test]
async fn x07_a_watch_that_a_compaction_cancels_misses_nothing() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let registry = server.registry();
    let gone = registered(&registry, &streamer("a")).await;
    let changed = registered(&registry, &streamer("b")).await;
    let mut follower = Follower::new(registry.clone());
    assert_eq!(began(&mut follower).await.len(), 2);
    // The follower has listed and not begun to watch: what it would watch from is compacted.
    registry.revoke(gone).await.unwrap();
    let moved = ServiceRecord {
        port: 9,
        ..streamer("b")
    };
    registry.put(&moved, changed).await.unwrap();
    registered(&registry, &streamer("c")).await;
    let mut client = server.client().await;
    let now = client.get("x", None).await.unwrap();
    let now = now.header().unwrap().revision();
    client.compact(now, None).await.unwrap();
    let (told, away) = changes(&mut follower).await;
    assert_eq!(told, ["-a", "b: port", "+c"]);
    assert_eq!(away, [0, 0], "a compaction is no outage");
    registered(&registry, &streamer("d")).await;
    assert_eq!(changes(&mut follower).await.0, ["+d"]);
}

#[tokio::test]
async fn x07_a_watch_survives_a_restart_and_says_once_that_the_registry_is_away() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let registry = server.registry();
    registered(&registry, &streamer("a")).await;
    let mut follower = Follower::new(registry.clone());
    began(&mut follower).await;
    registered(&registry, &streamer("b")).await;
    assert_eq!(changes(&mut follower).await.0, ["+b"]);
    server.stop();
    let away = news(&mut follower).await;
    assert!(
        matches!(&away, News::Away(reason) if reason.contains("refused")),
        "{away:?}"
    );
    // It asks on, and says no more.
    let silent = timeout(Duration::from_secs(2), follower.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    server.start_again(Data::Kept).await;
    registered(&server.registry(), &streamer("c")).await;
    assert_eq!(
        changes(&mut follower).await,
        (vec!["+c".to_owned()], [0, 1])
    );
}

#[tokio::test]
async fn x07_a_registry_that_lost_its_data_is_listed_again() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    let registry = server.registry();
    for _ in 0..10 {
        registered(&registry, &streamer("a")).await;
    }
    registered(&registry, &streamer("b")).await;
    let mut follower = Follower::new(registry.clone());
    assert_eq!(began(&mut follower).await.len(), 2);
    // Before the watch begins: a watch from the known revision on would wait in silence.
    server.stop();
    server.start_again(Data::Lost).await;
    registered(&server.registry(), &streamer("c")).await;
    let (told, _) = changes(&mut follower).await;
    assert_eq!(told, ["-a", "-b", "+c"]);
}

/// The watch is opened without an error, on a server that knows less: it would wait in silence.
#[tokio::test]
async fn x07_a_watch_on_a_server_that_lost_the_data_is_given_up() {
    let (Some(mut full), Some(empty)) = (EtcdServer::start().await, EtcdServer::start().await)
    else {
        return;
    };
    for _ in 0..10 {
        registered(&full.registry(), &streamer("a")).await;
    }
    let settings = EtcdSettings {
        endpoints: [full.settings().endpoints, empty.settings().endpoints].concat(),
        ..full.settings()
    };
    let mut follower = Follower::new(EtcdRegistry::new(settings));
    assert_eq!(began(&mut follower).await, ["/services/nexus-streamer/a"]);
    registered(&empty.registry(), &streamer("c")).await;
    full.stop();
    // The connection itself ends by and by; its answer tells at once.
    let told = timeout(PROMPT, changes(&mut follower)).await;
    let (told, _) = told.expect("it is noticed by the revision");
    assert_eq!(told, ["-a", "+c"]);
}

#[tokio::test]
async fn x07_a_server_that_falls_silent_is_noticed() {
    let Some(server) = EtcdServer::start().await else {
        return;
    };
    let registry = server.registry();
    let mut follower = Follower::new(registry.clone());
    began(&mut follower).await;
    registered(&registry, &streamer("a")).await;
    assert_eq!(changes(&mut follower).await.0, ["+a"]);
    server.process().signal("STOP");
    let away = news(&mut follower).await;
    assert!(matches!(away, News::Away(_)), "{away:?}");
    server.process().signal("CONT");
    assert_eq!(news(&mut follower).await, News::Back);
}

#[tokio::test]
async fn x07_a_registry_that_is_away_at_first_is_waited_for() {
    let Some(mut server) = EtcdServer::start().await else {
        return;
    };
    registered(&server.registry(), &streamer("a")).await;
    server.stop();
    let mut follower = Follower::new(server.registry());
    let away = news(&mut follower).await;
    assert!(
        matches!(&away, News::Away(reason) if reason.contains("list the registrations")),
        "{away:?}"
    );
    server.start_again(Data::Kept).await;
    assert_eq!(news(&mut follower).await, News::Back);
    assert_eq!(began(&mut follower).await, ["/services/nexus-streamer/a"]);
    registered(&server.registry(), &streamer("b")).await;
    assert_eq!(changes(&mut follower).await.0, ["+b"]);
}
