//! Files that are uploaded to a streamer, on real servers.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::sync::Arc;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use telectl::config::worker::DatabaseSettings;

use crate::log_level::own_address;
use crate::pipeline::get;
use crate::program::{LIMIT, Program};
use crate::servers::postgres::PostgresServer;
use crate::servers::redis::RedisServer;
use crate::servers::{eventually, free_port, install_tls_provider};

const TOKEN: &str = "canary-77aa-upload";
const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";

/// A streamer that takes uploads and has nothing else to read, and a collector.
struct Uploading {
    server: Arc<PostgresServer>,
    database: DatabaseSettings,
    redis: RedisServer,
    spool: TempDir,
    streamer: Program,
    collector: Option<Program>,
    url: String,
    variables: Vec<(&'static str, String)>,
}

impl Uploading {
    async fn start(more: &[(&'static str, &str)]) -> Option<Self> {
        install_tls_provider();
        let server = PostgresServer::shared().await?;
        let redis = RedisServer::start().await?;
        let spool = TempDir::new().unwrap();
        let (database, port) = (server.database(), free_port());
        let mut variables = vec![
            ("CLUSTER_ID", "edge".to_owned()),
            ("POD_NAME", "worker-0".to_owned()),
            ("REDIS_URL", format!("redis://{}", redis.endpoint())),
            ("DB_HOST", database.endpoint.host.clone()),
            ("DB_PORT", database.endpoint.port.to_string()),
            ("DB_NAME", database.name.clone()),
            ("DB_USER", database.user.clone()),
            ("DB_SSL_MODE", "disable".to_owned()),
            ("SPOOL_DIR", spool.path().to_str().unwrap().to_owned()),
        ];
        let password = database.password.as_ref().unwrap().expose();
        variables.push(("DB_PASSWORD", password.clone()));
        variables.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let collector = start("collector", &variables, free_port());
        let streamer = start("streamer", &variables, port);
        let uploading = Self {
            server,
            database,
            redis,
            spool,
            streamer,
            collector: Some(collector),
            url: format!("http://127.0.0.1:{port}"),
            variables,
        };
        uploading.is_up().await;
        Some(uploading)
    }

    async fn is_up(&self) {
        eventually("the streamer's port", LIMIT, async || {
            get(&format!("{}/api/v1/status", self.url)).await
        })
        .await;
    }

    /// Kills the streamer and starts it anew.
    async fn start_again(&mut self) {
        self.streamer.signal("KILL");
        let port = self.url.rsplit_once(':').unwrap().1.parse().unwrap();
        let killed =
            std::mem::replace(&mut self.streamer, start("streamer", &self.variables, port));
        drop(killed.end().await);
        self.is_up().await;
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database.name, statement)
    }

    fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let url = format!("{}/api/v1/csv/upload{query}", self.url);
        reqwest::Client::new().post(url).body(body)
    }

    /// What became of an upload.
    async fn wait_for(&self, id: &str, status: &str) {
        let url = format!("{}/api/v1/csv/uploads/{id}", self.url);
        eventually(status, LIMIT, async || {
            let request = reqwest::Client::new().get(&url).bearer_auth(TOKEN);
            let told: Value = request.send().await.ok()?.json().await.ok()?;
            (told["status"] == status).then_some(())
        })
        .await;
    }

    /// Files in the folder of uploads.
    fn kept(&self) -> usize {
        let folder = self.spool.path().join("uploads");
        std::fs::read_dir(folder).unwrap().count()
    }
}

fn start(worker: &str, variables: &[(&'static str, String)], port: u16) -> Program {
    let port = port.to_string();
    let pairs = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()));
    let mut all: Vec<(&str, &str)> = pairs.collect();
    all.push(("LISTEN_PORT", &port));
    Program::start(&["worker", worker], &all)
}

fn rows(name: &str, count: usize) -> String {
    let rows = (0..count)
        .map(|row| format!("2025-07-18T20:42:34Z,UTIL,{row},GPU-{name}-{row},host,{row}\n"));
    std::iter::once(HEADER.to_owned()).chain(rows).collect()
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

/// As a form with a file sends it, which is what `curl -F file=@…` does.
fn form(name: &str, text: &str) -> String {
    format!(
        "--limit\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\nmine\r\n\
         --limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: text/csv\r\n\r\n{text}\r\n--limit--\r\n"
    )
}

#[tokio::test]
async fn w16_an_upload_is_stored_once_and_outlives_a_kill_and_a_lost_database() {
    let limits = [("UPLOAD_LIMIT", "1000000"), ("UPLOAD_TOKEN", TOKEN)];
    let Some(mut uploading) = Uploading::start(&limits).await else {
        return;
    };
    let text = rows("a", 3000);
    let kind = "multipart/form-data; boundary=limit";
    let send = async |uploading: &Uploading| {
        let request = uploading.post("", form("node-1.csv", &text));
        answer(request.header("content-type", kind).bearer_auth(TOKEN)).await
    };
    let (status, told) = send(&uploading).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{told}");
    assert_eq!(told["filename"], "node-1.csv", "{told}");
    assert_eq!(told["size"], text.len(), "{told}");
    let id = told["file_id"].as_str().unwrap().to_owned();
    let digest = told["sha256"].as_str().unwrap().to_owned();
    // What was answered is kept, whatever comes next.
    uploading.start_again().await;
    uploading.wait_for(&id, "stored").await;
    let counts = "SELECT count(*), sum(value) FROM sample";
    assert_eq!(uploading.sql(counts), "3000|4498500");
    // Again, under the same name and as a plain body.
    assert_eq!(send(&uploading).await.0, StatusCode::ACCEPTED);
    let again = uploading.post("?filename=node-1.csv", text.clone());
    assert_eq!(
        answer(again.bearer_auth(TOKEN)).await.0,
        StatusCode::ACCEPTED
    );
    assert_eq!(uploading.kept(), 1);
    let source = uploading.sql("SELECT name, digest FROM source");
    assert_eq!(source, format!("node-1.csv|{digest}"));
    let other = uploading.post("?filename=node-2.csv", rows("b", 10));
    let (_, other) = answer(other.bearer_auth(TOKEN)).await;
    uploading
        .wait_for(other["file_id"].as_str().unwrap(), "stored")
        .await;
    assert_eq!(uploading.sql(counts), "3010|4498545");
    // Another database gets both again.
    drop(uploading.collector.take());
    let name = uploading.database.name.clone();
    let server = Arc::clone(&uploading.server);
    server.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    server.sql("postgres", &format!("CREATE DATABASE {name}"));
    let collector = start("collector", &uploading.variables, free_port());
    uploading.collector = Some(collector);
    eventually("both files again", LIMIT, async || {
        let tables = uploading.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'sample'");
        (tables == "1" && uploading.sql(counts) == "3010|4498545").then_some(())
    })
    .await;
    uploading.streamer.signal("TERM");
    let (status, log) = uploading.streamer.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains(TOKEN), "{log}");
    drop(uploading.redis);
}

#[tokio::test]
async fn w16_what_cannot_be_taken_is_refused_and_leaves_nothing() {
    let limits = [("UPLOAD_LIMIT", "20000"), ("UPLOAD_TOKEN", TOKEN)];
    let Some(uploading) = Uploading::start(&limits).await else {
        return;
    };
    let refused = async |request: RequestBuilder, status: u16, part: &str| {
        let (code, told) = answer(request).await;
        assert_eq!(code.as_u16(), status, "{told}");
        let detail = told["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(part), "{told}");
        assert!(!told.to_string().contains("canary"), "{told}");
    };
    let good = rows("a", 3);
    let named = |name: &str, text: &str| {
        let query = format!("?filename={name}");
        uploading.post(&query, text.to_owned()).bearer_auth(TOKEN)
    };
    let bare = uploading.post("?filename=a.csv", good.clone());
    refused(bare, 401, "token is needed").await;
    let wrong = uploading.post("?filename=a.csv", good.clone());
    refused(wrong.bearer_auth("canary-other"), 401, "another one").await;
    refused(named("a.txt", &good), 400, "must end in .csv").await;
    refused(named("", &good), 400, "curl -F").await;
    refused(named("a.csv", ""), 422, "empty").await;
    refused(named("a.csv", "one,two\n1,2\n"), 422, "a.csv:1").await;
    refused(named("a.csv", &rows("a", 1000)), 413, "20000").await;
    let kind = "multipart/form-data; boundary=limit";
    let cut = &form("a.csv", &good)[..200];
    let cut = uploading
        .post("", cut.to_owned())
        .header("content-type", kind);
    refused(cut.bearer_auth(TOKEN), 400, "").await;
    assert_eq!(uploading.kept(), 0);
    assert_eq!(answer(named("a.csv", &good)).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn w16_room_is_made_by_removing_what_is_stored_and_by_nothing_else() {
    let text = rows("a", 100);
    let total = (text.len() * 2).to_string();
    let limits = [
        ("UPLOAD_LIMIT", "1000000"),
        ("UPLOAD_TOTAL", total.as_str()),
        ("UPLOAD_TOKEN", TOKEN),
    ];
    let Some(mut uploading) = Uploading::start(&limits).await else {
        return;
    };
    // Nothing is stored without a collector.
    drop(uploading.collector.take());
    let send = async |uploading: &Uploading, name: &str| {
        let request = uploading.post(&format!("?filename={name}.csv"), rows(name, 100));
        answer(request.bearer_auth(TOKEN)).await
    };
    for name in ["a", "b"] {
        assert_eq!(send(&uploading, name).await.0, StatusCode::ACCEPTED);
    }
    let (status, told) = send(&uploading, "c").await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE, "{told}");
    assert!(
        told["detail"].as_str().unwrap().contains("UPLOAD_TOTAL"),
        "{told}"
    );
    assert_eq!(uploading.kept(), 2);
    let collector = start("collector", &uploading.variables, free_port());
    uploading.collector = Some(collector);
    eventually("room", LIMIT, async || {
        let (status, _) = send(&uploading, "c").await;
        (status == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    eventually("all rows", LIMIT, async || {
        (uploading.sql("SELECT count(*) FROM sample") == "300").then_some(())
    })
    .await;
    assert!(uploading.kept() <= 2);
}

#[tokio::test]
async fn w16_without_a_token_uploads_come_from_the_pod_itself_only() {
    let Some(uploading) = Uploading::start(&[("UPLOAD_LIMIT", "1000000")]).await else {
        return;
    };
    let path = "/api/v1/csv/upload?filename=a.csv";
    let client = reqwest::Client::new();
    let port = uploading.url.rsplit_once(':').unwrap().1;
    let from_outside = format!("http://{}:{port}{path}", own_address());
    let (status, told) = answer(client.post(from_outside).body(rows("a", 3))).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{told}");
    assert!(
        told["detail"].as_str().unwrap().contains("port-forward"),
        "{told}"
    );
    // A page in a browser that has the port forwarded.
    let from_page = uploading.post("?filename=a.csv", rows("a", 3));
    let from_page = from_page.header("origin", "https://example.com");
    assert_eq!(answer(from_page).await.0, StatusCode::FORBIDDEN);
    let renamed = uploading.post("?filename=a.csv", rows("a", 3));
    let renamed = renamed.header("host", "example.com");
    assert_eq!(answer(renamed).await.0, StatusCode::FORBIDDEN);
    let from_here = uploading.post("?filename=a.csv", rows("a", 3));
    assert_eq!(answer(from_here).await.0, StatusCode::ACCEPTED);
}
