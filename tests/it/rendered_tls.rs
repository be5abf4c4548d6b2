//! Workers with the environment that is rendered for them, on real servers that insist on TLS.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::collections::BTreeMap;

use serde_json::Value;
use telectl::model::manifest::RenderedSet;
use telectl::model::profile::Profile;
use telectl::store::Store as _;
use telectl::store::postgres::PostgresStore;
use tempfile::TempDir;

use crate::observed::SAMPLE;
use crate::pipeline::get;
use crate::program::{LIMIT, Program};
use crate::render_support::{environment, pod_of, preview};
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::{RedisOptions, RedisServer};
use crate::servers::{Certificates, eventually, free_port};

const REDIS_PASSWORD: &str = "canary-44b1-redis";

/// Keys of Secrets, as `secret/key`.
type Secrets = BTreeMap<&'static str, String>;

/// A worker that runs as it is rendered.
struct Rendered {
    program: Program,
    url: String,
    _spool: TempDir,
}

impl Rendered {
    /// Starts the worker of a set: Secrets and the downward API are played, the file, the folder and
    /// the port are this machine's, and there is no registry.
    fn start(set: &RenderedSet, worker: &str, secrets: &Secrets) -> Self {
        let spool = TempDir::new().unwrap();
        let port = free_port().to_string();
        let mut variables: BTreeMap<String, String> = environment(pod_of(set, worker))
            .into_iter()
            .filter(|(name, _)| !name.starts_with("ETCD_") && name != "HTTP_TLS_DIR")
            .map(|(name, variable)| (name, played(&variable, secrets)))
            .collect();
        for (name, value) in [
            ("LISTEN_PORT", port.as_str()),
            ("SPOOL_DIR", spool.path().to_str().unwrap()),
            ("CSV_FILE", SAMPLE),
            ("STREAMER_REPLICAS", "1"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        let pairs: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Self {
            program: Program::start(&["worker", worker], &pairs),
            url: format!("http://127.0.0.1:{port}"),
            _spool: spool,
        }
    }

    /// What the worker says of a dependency, once it is what is expected: nothing, or these words.
    async fn says(&self, dependency: &str, words: Option<&str>) {
        let what = format!("{dependency}: {words:?}");
        eventually(&what, LIMIT, async || {
            let page = crate::servers::get(format!("{}/health", self.url))
                .await
                .ok()?;
            let page: Value = page.json().await.ok()?;
            let told = &page["dependencies"][dependency];
            let detail = told["detail"].as_str()?;
            assert!(!detail.contains("canary"), "a secret in {detail}");
            let is_so = match words {
                None => told["ok"] == true,
                Some(words) => told["ok"] == false && detail.contains(words),
            };
            is_so.then_some(())
        })
        .await;
    }
}

/// The value that a kubelet would give a variable.
fn played(variable: &Value, secrets: &Secrets) -> String {
    let reference = &variable["valueFrom"]["secretKeyRef"];
    if let (Some(name), Some(key)) = (reference["name"].as_str(), reference["key"].as_str()) {
        let found = secrets.get(format!("{name}/{key}").as_str());
        return found
            .unwrap_or_else(|| panic!("no Secret {name}/{key}"))
            .clone();
    }
    if let Some(path) = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        let value = match path {
            "metadata.name" => "worker-0",
            "metadata.namespace" => "telemetry-system",
            "status.podIP" => "10.1.2.3",
            _ => "node-a",
        };
        return value.to_owned();
    }
    let text = variable["value"].as_str().expect("a value");
    text.replace("$(CLUSTER_ID)", "edge")
        .replace("$(NAMESPACE)", "telemetry-system")
        .replace("$(POD_NAME)", "worker-0")
}

/// A Redis that asks for a password and a client certificate, and what is needed to reach it.
async fn guarded_redis() -> Option<(RedisServer, Secrets)> {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let secrets = Secrets::from([
        ("redis-auth/password", REDIS_PASSWORD.to_owned()),
        ("redis-ca/ca.crt", certificates.ca.clone()),
        ("redis-client/tls.crt", certificates.certificate.clone()),
        ("redis-client/tls.key", certificates.key.clone()),
    ]);
    let options = RedisOptions {
        password: Some(REDIS_PASSWORD),
        certificates: Some(certificates),
        arguments: vec!["--tls-auth-clients", "yes"],
        ..RedisOptions::default()
    };
    Some((RedisServer::start_with(options).await?, secrets))
}

fn redis_values(server: &RedisServer) -> Vec<String> {
    let endpoint = server.endpoint();
    vec![
        "redis.enabled=false".to_owned(),
        "externalRedis.enabled=true".to_owned(),
        format!("externalRedis.host={}", endpoint.host),
        format!("externalRedis.port={}", endpoint.port),
        "externalRedis.tls.enabled=true".to_owned(),
        "externalRedis.tls.caSecret=redis-ca".to_owned(),
        "externalRedis.tls.clientSecret=redis-client".to_owned(),
    ]
}

fn rendered(profile: Profile, values: &[String], more: &[&str]) -> RenderedSet {
    let mut sets: Vec<&str> = values.iter().map(String::as_str).collect();
    sets.extend(more);
    preview(profile, &sets)
}

#[tokio::test]
async fn n07_the_certificates_of_redis_reach_the_workers_and_are_looked_at() {
    let Some((server, secrets)) = guarded_redis().await else {
        return;
    };
    let values = redis_values(&server);
    let set = rendered(Profile::Edge, &values, &[]);
    let known = Rendered::start(&set, "streamer", &secrets);
    known.says("queue", None).await;

    let other = Certificates::for_names(&["127.0.0.1"]);
    let mut foreign_client = secrets.clone();
    foreign_client.insert("redis-client/tls.crt", other.certificate.clone());
    foreign_client.insert("redis-client/tls.key", other.key.clone());
    let mut foreign_authority = secrets.clone();
    foreign_authority.insert("redis-ca/ca.crt", other.ca);
    for (secrets, words) in [
        (foreign_client, "received fatal alert"),
        (foreign_authority, "certificate not trusted"),
    ] {
        let refused = Rendered::start(&set, "streamer", &secrets);
        refused.says("queue", Some(words)).await;
    }
    let without = rendered(Profile::Edge, &values, &["externalRedis.tls.clientSecret="]);
    let refused = Rendered::start(&without, "streamer", &secrets);
    refused.says("queue", Some("CertificateRequired")).await;
    known.says("queue", None).await;
}

fn database_values(host: &str, port: u16, name: &str) -> Vec<String> {
    vec![
        "postgresql.enabled=false".to_owned(),
        format!("externalDatabase.host={host}"),
        format!("externalDatabase.port={port}"),
        format!("externalDatabase.database={name}"),
    ]
}

/// A database that lets nobody in without TLS, its name and port, and what is needed to reach it.
async fn guarded_database() -> Option<(PostgresServer, String, u16, Secrets)> {
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let ca = certificates.ca.clone();
    let server = PostgresServer::start(Some(certificates)).await?;
    server.refuse_plaintext();
    let database = server.database();
    // A gateway only reads.
    let store = PostgresStore::new(&database).unwrap();
    store.migrate().await.unwrap();
    let password = database.password.unwrap().expose().clone();
    let secrets = Secrets::from([
        ("database-credentials/password", password),
        ("database-ca/ca.crt", ca),
        ("api-gateway-auth/token", "canary-77f0-token".to_owned()),
    ]);
    Some((server, database.name, database.endpoint.port, secrets))
}

#[tokio::test]
async fn n08_each_ssl_mode_of_the_values_checks_what_it_promises() {
    let Some((server, name, port, secrets)) = guarded_database().await else {
        return;
    };
    let mut foreign = secrets.clone();
    foreign.insert(
        "database-ca/ca.crt",
        Certificates::for_names(&["127.0.0.1"]).ca,
    );
    let with_ca = "externalDatabase.caSecret=database-ca";
    let ours = "127.0.0.1";
    // By another name, the certificate is not the server's.
    let misnamed = "localhost";
    for (mode, host, secrets, refused) in [
        ("disable", ours, &secrets, Some("no encryption")),
        ("prefer", ours, &secrets, None),
        ("require", ours, &foreign, None),
        ("verify-ca", misnamed, &secrets, None),
        (
            "verify-ca",
            ours,
            &foreign,
            Some("invalid peer certificate"),
        ),
        ("verify-full", ours, &secrets, None),
        (
            "verify-full",
            ours,
            &foreign,
            Some("invalid peer certificate"),
        ),
        (
            "verify-full",
            misnamed,
            &secrets,
            Some("not valid for name"),
        ),
    ] {
        let values = database_values(host, port, &name);
        let mode = format!("externalDatabase.sslMode={mode}");
        let set = rendered(Profile::Central, &values, &[&mode, with_ca]);
        let gateway = Rendered::start(&set, "api-gateway", secrets);
        gateway.says("store", refused).await;
        let sessions = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl
            JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'telectl%'";
        if refused.is_none() {
            let told = server.sql("postgres", sessions);
            assert!(told.ends_with("|t"), "{mode}: {told}");
        }
    }
}

#[tokio::test]
async fn n08_a_server_without_tls_is_refused_as_rendered_by_itself() {
    let Some(server) = PostgresServer::shared().await else {
        return;
    };
    let database = server.database();
    let secrets = Secrets::from([
        ("database-credentials/password", "canary-none".to_owned()),
        ("api-gateway-auth/token", "canary-77f0-token".to_owned()),
    ]);
    let values = database_values("127.0.0.1", database.endpoint.port, &database.name);
    let set = rendered(Profile::Central, &values, &[]);
    let gateway = Rendered::start(&set, "api-gateway", &secrets);
    let words = "server does not support TLS";
    gateway.says("store", Some(words)).await;
}

/// What is rendered for both workers, from the file to the table, with nothing in plain text.
#[tokio::test]
async fn n08_rows_arrive_where_every_server_insists_on_tls() {
    let (Some((redis, queue)), Some((server, name, port, database))) =
        (guarded_redis().await, guarded_database().await)
    else {
        return;
    };
    let secrets: Secrets = queue.into_iter().chain(database).collect();
    let mut values = redis_values(&redis);
    values.extend(database_values("127.0.0.1", port, &name));
    let more = [
        "global.pipeline=lab",
        "externalDatabase.sslMode=verify-full",
        "externalDatabase.caSecret=database-ca",
    ];
    let central = rendered(Profile::Central, &values, &more);
    let edge = rendered(
        Profile::Edge,
        &redis_values(&redis),
        &["global.pipeline=lab"],
    );
    let collector = Rendered::start(&central, "collector", &secrets);
    let _streamer = Rendered::start(&edge, "streamer", &secrets);
    eventually("every row", LIMIT, async || {
        let page = get(&format!("{}/api/v1/status", collector.url)).await?;
        (page["details"]["collected"]["rows"] == 2470).then_some(())
    })
    .await;
    assert_eq!(server.sql(&name, "SELECT count(*) FROM sample"), "2470");
    collector.program.signal("TERM");
    let (_, log) = collector.program.end().await;
    assert!(!log.contains("canary"), "{log}");
}
