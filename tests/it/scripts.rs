//! What the scripts of the Makefile have in common.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::process::{Command, Output};

/// `scripts/quietly` around a command of the shell, with a heartbeat ten times a second.
fn quietly(command: &str) -> Output {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/quietly"))
        .args(["building it", "sh", "-c", command])
        .env("QUIETLY_HEARTBEAT", "0.1")
        .output()
        .unwrap()
}

#[test]
fn a_long_build_says_that_it_goes_on_and_keeps_its_noise_to_itself() {
    let output = quietly("echo first noise; echo Compiling kube; sleep 1");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("building it: 0 s"), "{said}");
    assert!(said.contains("Compiling kube"), "how far it is: {said}");
    assert!(!said.contains("first noise"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_build_that_fails_shows_its_log_and_how_it_ended() {
    let output = quietly("echo why; exit 3");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("why\nbuilding it: failed after"), "{said}");
}
