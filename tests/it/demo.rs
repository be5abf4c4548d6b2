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
    let answer = crate::servers::get(url).await.unwrap();
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
async fn a_demo_that_is_interrupted_before_the_file_is_stored_says_what_is_and_where() {
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join("large.csv");
    std::fs::write(&file, HEADER.to_owned() + &ROW.repeat(200_000)).unwrap();
    let folder = temporary.path().join("kept");
    let (file, folder) = (file.to_str().unwrap(), folder.to_str().unwrap());
    let environment = [("TMPDIR", temporary.path().to_str().unwrap())];
    for (more, signal, code, place) in [
        (&["--data-dir", folder][..], "INT", 130, folder),
        (&[], "TERM", 143, "--data-dir DIR keeps them"),
    ] {
        let arguments = [&["demo", "--file", file], more].concat();
        let mut demo = Program::start(&arguments, &environment);
        demo.line(|line| line.starts_with("http://")).await;
        demo.signal(signal);
        let (status, errors) = demo.end().await;
        assert_eq!(status.code(), Some(code), "{errors}");
        assert!(errors.contains("warning: interrupted: "), "{errors}");
        assert!(errors.contains(" samples stored, "), "{errors}");
        assert!(errors.contains(place), "{errors}");
    }
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

/// What a demo of a file with this content says, and its exit code.
async fn streamed(name: &str, content: &[u8]) -> (Option<i32>, String, String) {
    let temporary = TempDir::new().unwrap();
    let file = temporary.path().join(name);
    std::fs::write(&file, content).unwrap();
    let arguments = ["demo", "--once", "--file", file.to_str().unwrap()];
    let environment = [("TMPDIR", temporary.path().to_str().unwrap())];
    let output = run(&arguments, &environment).await;
    assert_eq!(files_in(temporary.path()), 1, "files are left");
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

const HEADER: &str = "timestamp,metric_name,gpu_id,uuid,Hostname,value\n";
const ROW: &str = "2025-07-18T20:42:34Z,X,0,GPU-1,host-1,1\n";

#[tokio::test]
async fn a_file_that_is_no_source_is_wrong_input_named_with_its_line_and_what_to_do() {
    let no_column = "timestamp,metric_name\n2025-07-18T20:42:34Z,X\n";
    let long = "x".repeat(10_000_000);
    let cases: [(&[u8], &str); 8] = [
        (b"", "bad.csv:1`: the file is empty"),
        (b"\n\n", "bad.csv:1`: the file is empty"),
        (HEADER.as_bytes(), "bad.csv` has a header and no rows"),
        (
            HEADER.trim_end().as_bytes(),
            "bad.csv` has a header and no rows",
        ),
        (no_column.as_bytes(), "bad.csv:1`: column `gpu_id` is miss"),
        (b"\"timestamp,value\n1,2\n", "bad.csv:1`: the header cannot"),
        (b"\xff\xfe,value\n1,2\n", "bad.csv:1`: the header cannot"),
        (long.as_bytes(), "bad.csv:1`: the header cannot be read: it"),
    ];
    for (content, says) in cases {
        let (code, stdout, stderr) = streamed("bad.csv", content).await;
        assert_eq!(code, Some(2), "{says}: {stderr}");
        assert!(stderr.contains(says), "{says}: {stderr}");
        assert!(stderr.contains("hint: "), "{says}: {stderr}");
        assert_eq!(stderr.matches("bad.csv").count(), 1, "said twice: {stderr}");
        assert_eq!(stdout, "", "nothing was begun");
    }
    for (file, says) in [
        ("/no/such.csv", "cannot read `/no/such.csv`"),
        ("/proc", "`/proc` is no regular file"),
    ] {
        let output = run(&["demo", "--once", "--file", file], &[]).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_is_named_and_the_others_are_stored() {
    let long = "x".repeat(10_000_000);
    let cases: [(&[u8], &str); 4] = [
        (b"\"2025,X,0,GPU-1,host-1,1", "unbalanced quote"),
        (
            b"2025-07-18T20:42:34Z,\xff,0,GPU-2,host-1,1",
            "invalid UTF-8",
        ),
        (long.as_bytes(), "record longer than 1048576 bytes"),
        (b"a,b,c", "3 fields, the header has 6"),
    ];
    for (line, says) in cases {
        let row = ROW.as_bytes();
        let later = ROW.replace(":34Z", ":35Z");
        let content = [HEADER.as_bytes(), row, line, b"\n", later.as_bytes()].concat();
        let (code, stdout, stderr) = streamed("rows.csv", &content).await;
        assert_eq!(code, Some(0), "{says}: {stderr}");
        let place = format!("warning: rows.csv:3: set aside: {says}");
        assert!(stderr.contains(&place), "{place}: {stderr}");
        assert!(stdout.contains("2 samples, 1 GPUs"), "{says}: {stdout}");
    }
}

#[tokio::test]
async fn a_file_of_which_no_row_can_be_stored_is_no_success() {
    let content = [HEADER.as_bytes(), b"a,b,c\nd,e,f\n"].concat();
    let (code, stdout, stderr) = streamed("rows.csv", &content).await;
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(stderr.contains("rows.csv:2: set aside"), "{stderr}");
    assert!(stderr.contains("no row of "), "{stderr}");
}
