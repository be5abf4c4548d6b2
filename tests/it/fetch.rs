//! `telectl worker fetch` against a server: the whole right file, or none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};
use telectl::config::worker::FetchSettings;
use telectl::workers::fetch::{self, FetchError, Fetched};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const CONTENT: &str = "timestamp,metric_name,value\n2025-07-18T20:42:34Z,GPU_UTIL,1\n";

/// Serves one answer, again and again; counts the requests.
async fn server(answer: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(answer.as_bytes()).await;
            let _closed = stream.shutdown().await;
        }
    });
    (
        format!("http://user:secret@{address}/gpus.csv?sig=canary"),
        asked,
    )
}

fn ok(body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn settings(url: &str, folder: &Path) -> FetchSettings {
    FetchSettings {
        url: url::Url::parse(url).expect("it is a URL"),
        sha256: hex::encode(Sha256::digest(CONTENT)),
        limit: 1024,
        file: folder.join("source/gpus.csv"),
        ca_cert: None,
    }
}

/// Fetches, expects an error, and that nothing is left of the file.
async fn refused(answer: String) -> String {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let (url, _) = server(answer).await;
    let error = fetch::run(&settings(&url, folder.path()))
        .await
        .expect_err("it is not the file");
    let left = std::fs::read_dir(folder.path().join("source")).expect("there is a folder");
    assert_eq!(left.count(), 0, "something is left after: {error}");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    assert!(
        !text.contains("secret") && !text.contains("canary"),
        "{text}"
    );
    text
}

#[tokio::test]
async fn r31_a_file_is_downloaded_once() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let (url, asked) = server(ok(CONTENT)).await;
    let settings = settings(&url, folder.path());
    let first = fetch::run(&settings).await.expect("it is downloaded");
    assert_eq!(first, Fetched::Downloaded(CONTENT.len() as u64));
    let again = fetch::run(&settings).await.expect("it is there");
    assert_eq!(again, Fetched::Present);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let text = std::fs::read_to_string(&settings.file).expect("it can be read");
    assert_eq!(text, CONTENT);
    // Another file under the name is replaced, the one that lies there stays until then.
    std::fs::write(&settings.file, "other").expect("it can be written");
    let third = fetch::run(&settings).await.expect("it is downloaded");
    assert_eq!(third, Fetched::Downloaded(CONTENT.len() as u64));
}

#[tokio::test]
async fn r31_what_is_not_the_file_leaves_nothing_behind() {
    let other = refused(ok("another content")).await;
    assert!(
        other.contains("has the SHA-256") && other.contains("the file changed"),
        "{other}"
    );
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let missing = refused(missing.to_owned()).await;
    assert!(missing.contains("answers 404"), "{missing}");
    let cut = ok(CONTENT).replace("content-length: ", "content-length: 1");
    let cut = refused(cut).await;
    assert!(cut.contains("cannot download http://127.0.0.1"), "{cut}");
}

#[tokio::test]
async fn r31_a_download_is_bounded_whatever_the_server_says() {
    let long = "x".repeat(4096);
    let honest = refused(ok(&long)).await;
    assert!(honest.contains("more than 1024 bytes"), "{honest}");
    // Without a length, the end of the connection is the end of the body.
    let silent = refused(format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{long}"
    ))
    .await;
    assert!(silent.contains("more than 1024 bytes"), "{silent}");
}

#[tokio::test]
async fn r31_a_wrong_download_leaves_the_file_that_is_there() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let (url, _) = server(ok("another content")).await;
    let settings = settings(&url, folder.path());
    std::fs::create_dir_all(folder.path().join("source")).expect("a folder can be made");
    std::fs::write(&settings.file, "older").expect("it can be written");
    let error = fetch::run(&settings)
        .await
        .expect_err("it is another content");
    assert!(matches!(error, FetchError::OtherContent { .. }), "{error}");
    let text = std::fs::read_to_string(&settings.file).expect("it is still there");
    assert_eq!(text, "older");
}
