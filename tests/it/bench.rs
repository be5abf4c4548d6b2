//! The short form of the data path's bench: that it measures at all, and that it refuses to measure
//! what did not happen.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::servers::postgres::FOLDERS;
use crate::servers::program;

const ROWS: &str = "20000";

/// One round of it with this program as telectl; `None` if a server is missing on this machine.
fn bench(telectl: &Path, out: &Path, limit: &str) -> Option<Output> {
    for tool in ["redis-server", "psql", "python3"] {
        program(tool, &[])?;
    }
    program("initdb", &FOLDERS)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bench-pipeline");
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--", script])
        .envs([("ROWS", ROWS), ("RUNS", "1"), ("LIMIT", limit)])
        .env("TELECTL", telectl)
        .env("OUT", out)
        .output();
    Some(output.unwrap())
}

#[test]
fn w22_a_round_of_the_bench_tells_rates_costs_and_ratios() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("figures.json");
    let telectl = Path::new(env!("CARGO_BIN_EXE_telectl"));
    let Some(output) = bench(telectl, &out, "120") else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    let figures: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let summary = &figures["summary"];
    assert_eq!(summary["rows"], 20_000);
    let measured = [
        &summary["times_as_fast"]["raw \\copy"][0],
        &summary["ingest_max_times_as_fast"]["raw \\copy"][0],
        &summary["rows_per_second"]["telectl"],
        &summary["cpu_seconds_per_million_rows"]["workers"],
        &summary["cpu_seconds_per_million_rows"]["PostgreSQL"],
        &summary["peak_memory_mib"]["collector"],
        &summary["bytes_per_row_into_redis"],
    ];
    for figure in measured {
        assert!(figure.as_f64().unwrap() > 0.0, "{figures:#}");
    }
    assert!(said.contains("times as fast"), "{said}");
}

/// A streamer that leaves out the last row of the file is not measured.
#[test]
fn w22_a_round_that_lost_a_row_is_void() {
    let folder = TempDir::new().unwrap();
    let (out, telectl) = (
        folder.path().join("none.json"),
        folder.path().join("telectl"),
    );
    let short = folder.path().join("rows.csv");
    let wrapper = format!(
        "#!/bin/sh\n\
         if [ \"$2\" = streamer ]; then sed '$d' \"$CSV_FILE\" > {0}; export CSV_FILE={0}; fi\n\
         exec {1} \"$@\"\n",
        short.display(),
        env!("CARGO_BIN_EXE_telectl"),
    );
    std::fs::write(&telectl, wrapper).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&telectl, mode).unwrap();
    let Some(output) = bench(&telectl, &out, "20") else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{errors}");
    assert!(errors.contains("the last row in the store"), "{errors}");
    assert!(!out.exists(), "figures of a void round");
}
