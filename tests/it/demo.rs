//! `telectl demo` on the real binary.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{LIMIT, Program, run};
use crate::servers::eventually;

const SUMMARY: &str = "2,470 samples, 247 GPUs, 31 hosts";

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

async fn get(url: &str) -> Value {
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{url}");
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test]
async fn the_demo_stores_the_sample_prints_what_it_has_and_leaves_nothing_behind() {
    let temporary = TempDir::new().unwrap();
    let environment = [("TMPDIR", temporary.path().to_str().unwrap())];
    let output = run(&["demo", "--once"], &environment).await;
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert!(stdout.starts_with("http://127.0.0.1:"), "{stdout}");
    assert!(stdout.contains("HOST"), "{stdout}");
    let last = stdout.lines().last().unwrap();
    assert!(last.starts_with(SUMMARY), "{stdout}");
    assert_eq!(files_in(temporary.path()), 0, "files are left");
}

#[tokio::test]
async fn the_demo_answers_over_http_until_ctrl_c_and_ends_cleanly() {
    let temporary = TempDir::new().unwrap();
    let environment = [("TMPDIR", temporary.path().to_str().unwrap())];
    let mut demo = Program::start(&["demo"], &environment);
    let url = demo.line(|line| line.starts_with("http://")).await;
    demo.line(|line| line.starts_with(SUMMARY)).await;
    let statistics = get(&format!("{url}/api/v1/stats")).await;
    assert_eq!(statistics["unique_gpus"], 247, "{statistics}");
    let health = get(&format!("{url}/health")).await;
    assert_eq!(health["service"], "nexus-gateway");
    eventually("the registration", LIMIT, async || {
        let status = get(&format!("{url}/api/v1/status")).await;
        (status["registration"]["state"] == "registered").then_some(())
    })
    .await;
    assert_eq!(files_in(temporary.path()), 1);
    demo.signal("INT");
    let (status, errors) = demo.end().await;
    assert_eq!(status.code(), Some(0), "{errors}");
    assert_eq!(files_in(temporary.path()), 0, "files are left");
}

#[tokio::test]
async fn w10_a_demo_in_the_same_folder_adds_no_rows() {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "demo",
        "--once",
        "--data-dir",
        folder.path().to_str().unwrap(),
    ];
    for _ in 0..2 {
        let output = run(&arguments, &[]).await;
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        let last = stdout.lines().last().unwrap();
        assert!(last.starts_with(SUMMARY), "{stdout}");
    }
    assert!(files_in(folder.path()) > 0);
}

#[tokio::test]
async fn the_demo_ends_by_itself_after_a_time() {
    let temporary = TempDir::new().unwrap();
    let environment = [("TMPDIR", temporary.path().to_str().unwrap())];
    let output = run(&["demo", "--for", "100ms"], &environment).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(files_in(temporary.path()), 0, "files are left");
}

#[tokio::test]
async fn a_demo_whose_reader_has_seen_enough_ends_quietly() {
    let temporary = TempDir::new().unwrap();
    let environment = [("TMPDIR", temporary.path().to_str().unwrap())];
    for arguments in [&["demo"][..], &["demo", "--once"], &["demo", "--for", "1h"]] {
        let mut demo = Program::start(arguments, &environment);
        demo.line(|line| line.starts_with("http://")).await;
        let (status, errors) = demo.end_unread().await;
        assert_eq!(status.code(), Some(0), "{arguments:?}: {errors}");
        assert!(!errors.contains("rror"), "{arguments:?}: {errors}");
        assert_eq!(files_in(temporary.path()), 0, "files are left");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_streamed_is_named() {
    let output = run(&["demo", "--once", "--file", "/no/such.csv"], &[]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cannot read `/no/such.csv`"), "{stderr}");
    assert!(stderr.contains("No such file"), "{stderr}");
}

#[tokio::test]
async fn a_file_with_a_missing_column_ends_the_demo_with_the_reason() {
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("bad.csv");
    std::fs::write(&file, "timestamp,metric_name\n2025-07-18T20:42:34Z,X\n").unwrap();
    let arguments = ["demo", "--once", "--file", file.to_str().unwrap()];
    let output = run(
        &arguments,
        &[("TMPDIR", temporary.path().to_str().unwrap())],
    )
    .await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the demo's streamer failed"), "{stderr}");
    assert!(stderr.contains("bad.csv"), "{stderr}");
    assert_eq!(files_in(temporary.path()), 1, "files are left");
}
