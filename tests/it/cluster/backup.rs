//! Dumps of a database that nobody reaches but its own cluster, through the API server.

use std::path::Path;
use std::process::Stdio;

use super::account::with_tokens;
use super::lab::{Clusters, LONG, Lab, ROWS, done};

const NAMESPACE: &str = "telemetry-system";
const COLLECTORS: &str = "app.kubernetes.io/component=collector";

/// The clusters as an account sees them that may do what `rbac --for backup` prints, and nothing else.
fn keeper(lab: &Lab, folder: &Path) -> Clusters {
    let central = &lab.central;
    let line = format!(
        "telectl rbac central --for backup | kubectl --context {central} apply -f - >/dev/null && \
         kubectl --context {central} -n {NAMESPACE} create token telectl-operator"
    );
    let made = done(lab.shell(&line).output().expect("bash can be started")).exits(0);
    with_tokens(lab, folder, &[(central, made.stdout.trim().to_owned())])
}

/// Nothing of the account stays.
fn forget(lab: &Lab) {
    for kind in ["rolebinding", "role", "serviceaccount"] {
        let delete = ["-n", NAMESPACE, "delete", kind, "telectl-operator"];
        lab.kubectl(&lab.central, &delete);
    }
}

fn scale_collectors(lab: &Lab, replicas: &str) {
    let replicas = format!("--replicas={replicas}");
    let scale = [
        "-n",
        NAMESPACE,
        "scale",
        "deployment",
        "-l",
        COLLECTORS,
        &replicas,
    ];
    lab.kubectl(&lab.central, &scale);
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn w23_a_dump_comes_through_the_api_server_and_goes_back_and_rows_after_it_come_again() {
    let Some(lab) = Lab::take() else { return };
    let (folder, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keeper = keeper(&lab, home.path());
    let file = folder.path().join("lab.dump");
    let file = file.to_str().unwrap();
    let central = ["-c", keeper.central.as_str()];
    let backup = [&["backup", "-o", file][..], &central].concat();
    let _taken = keeper
        .telectl(&backup)
        .exits(0)
        .says(&format!("{ROWS} samples"));
    assert_eq!(files(folder.path()), ["lab.dump", "lab.dump.proof.json"]);
    // The server has not taken a program of ours for a process of its own that crashed.
    let log = lab.kubectl(&lab.central, &["-n", NAMESPACE, "logs", "postgresql-0"]);
    assert!(!log.contains("was terminated by signal"), "{log}");

    let restore = [&["restore", file, "--replace", "--yes"][..], &central].concat();
    let refused = keeper
        .telectl(&restore)
        .exits(1)
        .says("collectors run in namespace");
    let command = format!("scale deployment -l {COLLECTORS} --replicas=0");
    let _refused = refused.says(&command);
    // What is acknowledged after the dump: as if all of it had come later.
    scale_collectors(&lab, "0");
    lab.eventually("the end of the collectors", LONG, || {
        let pods = [
            "-n", NAMESPACE, "get", "pods", "-l", COLLECTORS, "-o", "name",
        ];
        lab.kubectl(&lab.central, &pods).is_empty().then_some(())
    });
    let early = lab.sql(
        "DELETE FROM ledger; DELETE FROM signed_off; DELETE FROM sample;
         SELECT token FROM store_token",
    );
    let emptied = folder.path().join("emptied.dump");
    let emptied = emptied.to_str().unwrap();
    let again = [&["backup", "-o", emptied][..], &central].concat();
    let _taken = keeper.telectl(&again).exits(0).says("0 samples");
    let restored = keeper.telectl(&restore).exits(0);
    let _restored = restored.says("every table is what was dumped");
    assert_eq!(lab.stored_of(&lab.edge), ROWS);
    let restore = [&["restore", emptied, "--replace", "--yes"][..], &central].concat();
    let _restored = keeper.telectl(&restore).exits(0).says("0 samples");
    assert_eq!(lab.stored_of(&lab.edge), 0);
    assert_ne!(lab.sql("SELECT token FROM store_token"), early);

    scale_collectors(&lab, "1");
    forget(&lab);
    let verify = [
        "-n",
        NAMESPACE,
        "exec",
        "deploy/collector",
        "--",
        "telectl",
        "verify",
        "data",
        "--complete",
    ];
    lab.eventually("every row again, once", LONG, || {
        (lab.try_kubectl(&lab.central, &verify).code == 0).then_some(())
    });
    assert_eq!(lab.stored_of(&lab.edge), ROWS);
}

/// The way is cut while the dump is under way: `pg_dump` waits for a table that somebody has locked.
#[test]
fn w23_a_dump_whose_way_is_cut_leaves_no_file() {
    let Some(lab) = Lab::take() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.dump");
    let lock = "BEGIN; LOCK TABLE quarantine; SELECT pg_sleep(600)";
    let exec = [
        "exec",
        "postgresql-0",
        "--",
        "psql",
        "-U",
        "telemetry",
        "-d",
        "telemetry",
        "-c",
    ];
    let mut holder = lab.shell(&format!(
        "kubectl --context {} -n {NAMESPACE} {} '{lock}'",
        lab.central,
        exec.join(" ")
    ));
    let mut holder = holder.stdout(Stdio::null()).spawn().expect("it starts");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                   AND query LIKE '%LOCK TABLE%' AND application_name = 'telectl backup'";
    let held = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock'
                AND relation = 'quarantine'::regclass";
    lab.eventually("the lock", LONG, || {
        (lab.sql(held).trim() == "1").then_some(())
    });
    let output = [
        "backup",
        "-o",
        file.to_str().unwrap(),
        "-c",
        lab.central.as_str(),
    ];
    let mut backup = lab.command(&output);
    backup.stdout(Stdio::piped()).stderr(Stdio::piped());
    let backup = backup.spawn().expect("telectl starts");
    lab.eventually("a dump that waits", LONG, || {
        (lab.sql(waiting).trim() != "0").then_some(())
    });
    lab.fixture(&["apiserver", "stop", &lab.central]);
    let ended = backup.wait_with_output().map(done);
    lab.fixture(&["apiserver", "start", &lab.central]);
    let _cut = ended.expect("it ends").exits(1).says("was cut");
    assert_eq!(files(folder.path()), Vec::<String>::new());
    lab.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%'
             AND pid <> pg_backend_pid()",
    );
    drop(holder.wait());
    lab.eventually("the end of what waited in the pod", LONG, || {
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'telectl backup'";
        (lab.sql(sessions).trim() == "0").then_some(())
    });
}
