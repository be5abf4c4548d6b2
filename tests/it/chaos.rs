//! The short form of `scripts/chaos-pipeline`: the data path while its processes are killed, frozen
//! and lied to. That it can fail is shown by a streamer that changes one cell, and by the patches in
//! `tests/sabotage`, which `make sabotage` builds.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::servers::postgres::FOLDERS;
use crate::servers::program;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TELECTL: &str = env!("CARGO_BIN_EXE_telectl");

fn script(arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]);
    command.arg(format!("{ROOT}/scripts/chaos-pipeline"));
    command.args(arguments);
    command
}

/// These scenarios with this program as telectl; `None` if a server is missing on this machine.
fn chaos(telectl: &Path, scenarios: &str, limit: &str) -> Option<Output> {
    for tool in ["redis-server", "psql", "python3"] {
        program(tool, &[])?;
    }
    program("initdb", &FOLDERS)?;
    let folder = TempDir::new().unwrap();
    let output = script(&["--only", scenarios])
        .envs([("SHORT", "1"), ("ROUNDS", "10"), ("LIMIT", limit)])
        // Servers start slowly where many tests run: how long it takes is measured by the long form.
        .env("RECOVERY", "30")
        .env("TELECTL", telectl)
        .env("OUT", folder.path().join("figures.json"))
        .output();
    Some(output.unwrap())
}

#[track_caller]
fn assert_held(scenarios: &str) {
    let Some(output) = chaos(Path::new(TELECTL), scenarios, "60") else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    for name in scenarios.split(',') {
        let held = |line: &str| line.starts_with(name) && line.contains("held");
        assert!(said.lines().any(held), "{name}: {said}");
    }
}

#[test]
fn w10_every_row_is_stored_once_whatever_is_killed_whenever() {
    assert_held("kill-rounds,killed-before-commit,killed-after-commit,killed-before-publish");
}

#[test]
fn w19_what_redis_forgets_comes_again_from_the_spool() {
    assert_held("flushall-idle,flushall-held,group-deleted,duplicates");
}

#[test]
fn w17_two_streamers_that_cut_a_file_differently_store_every_row_once() {
    assert_held("two-batch-sizes,zombie-in-transaction");
}

#[test]
fn w02_a_file_full_of_damage_costs_its_bad_records_only() {
    assert_held("hostile-file");
}

#[test]
fn w19_what_a_network_loses_on_the_way_is_stored_once() {
    assert_held("network-to-redis,network-to-postgres");
}

#[test]
fn w10_neither_clocks_nor_a_damaged_spool_change_what_is_stored() {
    assert_held("clocks,spool-damaged");
}

#[test]
fn w13_slow_clients_and_absent_servers_leave_the_gateway_alive() {
    assert_held("gateway");
}

/// A streamer that changes one cell of the file: as many rows as in the file, and not the same.
#[test]
fn w10_a_row_that_is_not_that_of_the_file_is_found() {
    let folder = TempDir::new().unwrap();
    let (telectl, other) = (
        folder.path().join("telectl"),
        folder.path().join("other.csv"),
    );
    let wrapper = format!(
        "#!/bin/sh\n\
         if [ \"$2\" = streamer ]; then sed '3s/H100/H200/' \"$CSV_FILE\" > {0}; export CSV_FILE={0}; fi\n\
         exec {TELECTL} \"$@\"\n",
        other.display(),
    );
    std::fs::write(&telectl, wrapper).unwrap();
    std::fs::set_permissions(&telectl, Permissions::from_mode(0o755)).unwrap();
    let Some(output) = chaos(&telectl, "killed-before-publish", "30") else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    let found = errors.contains("1 of ") && errors.contains("rows lost, 1 doubled or strange");
    assert!(found, "{errors}");
    assert!(errors.contains("repeat it with SEED="), "{errors}");
}

/// What breaks a promise on purpose still fits the source, and is caught by something that exists.
#[test]
fn every_sabotage_applies_and_names_the_scenario_that_catches_it() {
    if program("python3", &[]).is_none() || program("git", &[]).is_none() {
        return;
    }
    let listed = script(&["--list"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let scenarios: BTreeSet<&str> = listed.lines().collect();
    let mut patches = 0;
    for entry in std::fs::read_dir(format!("{ROOT}/tests/sabotage")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let by = text
            .lines()
            .find_map(|line| line.strip_prefix("Caught-by: "));
        let by = by.unwrap_or_default();
        assert!(scenarios.contains(by), "{}: `{by}`", path.display());
        let apply = Command::new("git")
            .current_dir(ROOT)
            .args(["apply", "--check"])
            .arg(&path)
            .output()
            .unwrap();
        let why = String::from_utf8_lossy(&apply.stderr);
        assert!(apply.status.success(), "{}: {why}", path.display());
        patches += 1;
    }
    assert!(patches >= 10, "{patches} patches");
}
