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
    // bash counts whole seconds of the clock: the first may be over at once.
    assert!(said.contains("… building it: "), "{said}");
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

/// The last command that a target would run.
fn command_of(target: &str, variables: &[&str]) -> String {
    let output = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["--no-print-directory", "-n", target])
        .args(variables)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{target}: {said}");
    said.lines().last().unwrap_or_default().trim().to_owned()
}

#[test]
fn d27_the_targets_of_the_guide_call_telectl() {
    let program = "target/release/telectl";
    for (target, expected) in [
        ("helm-install-cross-cluster-all", "deploy-all"),
        ("helm-install-cross-cluster-edge", "deploy edge"),
        ("helm-install-cross-cluster-central", "deploy central"),
        ("validate-cross-cluster", "validate all"),
        ("validate-connectivity", "validate connectivity"),
        ("validate-health", "validate health"),
        ("deploy-status", "status"),
    ] {
        assert_eq!(command_of(target, &[]), format!("{program} {expected}"));
        let more = command_of(target, &["ARGS=-f lab"]);
        assert_eq!(more, format!("{program} {expected} -f lab"));
    }
    let one = ["CONTEXT=kind-one"];
    let install = command_of("helm-install-same-cluster", &one);
    assert_eq!(
        install,
        format!(r#"{program} deploy same-cluster --context "kind-one""#)
    );
    let validate = command_of("validate-same-cluster", &one);
    let flags = r#"--edge-context "kind-one" --central-context "kind-one""#;
    assert_eq!(validate, format!("{program} validate all {flags}"));
}

/// What the targets call is what telectl takes.
#[test]
fn d27_telectl_takes_what_the_targets_call() {
    for arguments in [
        &["deploy", "same-cluster", "--context", "no-such-context"][..],
        &[
            "deploy-all",
            "-e",
            "no-such-context",
            "-c",
            "no-such-context",
        ],
        &["validate", "health", "-e", "no-such-context"],
        &["status", "-e", "no-such-context"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_telectl"))
            .env_clear()
            .env("KUBECONFIG", "/nonexistent/kubeconfig")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("kubeconfig"), "{arguments:?}: {said}");
    }
}
