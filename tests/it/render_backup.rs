//! Dumps of the database: what is rendered, and the script against a real server.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use telectl::config::environment::Environment;
use telectl::config::{self, Layers};
use telectl::model::manifest::{RenderedSet, SecretContent};
use telectl::model::object::ObjectKind;
use telectl::model::profile::Profile;

use crate::render_support::{containers, object, preview};

fn job(set: &RenderedSet) -> &Value {
    &object(set, ObjectKind::CronJob, "backup")["spec"]["jobTemplate"]["spec"]["template"]
}

fn script(set: &RenderedSet) -> String {
    let config = object(set, ObjectKind::ConfigMap, "backup");
    config["data"]["backup.sh"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn variable<'a>(container: &'a Value, name: &str) -> &'a Value {
    let mut all = container["env"].as_array().into_iter().flatten();
    all.find(|variable| variable["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn r35_central_dumps_its_database_each_night_into_a_volume() {
    let set = preview(Profile::Central, &[]);
    let cron = &object(&set, ObjectKind::CronJob, "backup")["spec"];
    assert_eq!(cron["schedule"], "0 2 * * *");
    assert_eq!(cron["timeZone"], "Etc/UTC");
    assert_eq!(cron["concurrencyPolicy"], "Forbid");
    let pod = job(&set);
    let dump = &pod["spec"]["containers"][0];
    assert_eq!(variable(dump, "RETENTION_DAYS")["value"], "30");
    assert_eq!(
        variable(dump, "PGHOST")["value"],
        "postgresql.telemetry-system.svc"
    );
    assert_eq!(variable(dump, "PGSSLMODE")["value"], "verify-full");
    let password = &variable(dump, "PGPASSWORD")["valueFrom"]["secretKeyRef"];
    assert_eq!(password["name"], "database-credentials");
    let claim = object(&set, ObjectKind::PersistentVolumeClaim, "backup");
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "100Gi");
    let volumes = pod["spec"]["volumes"].to_string();
    assert!(volumes.contains(r#""claimName":"backup""#), "{volumes}");
}

#[test]
fn r35_only_who_uses_a_database_dumps_it() {
    let dumps = |profile, sets: &[&str]| {
        let set = preview(profile, sets);
        let mut kinds = set.manifests.iter().map(|manifest| manifest.object.kind);
        kinds.any(|kind| kind == ObjectKind::CronJob)
    };
    assert!(!dumps(Profile::SameCluster, &[]));
    assert!(dumps(Profile::SameCluster, &["backup.enabled=true"]));
    assert!(!dumps(Profile::Edge, &["backup.enabled=true"]));
    let elsewhere = [
        "postgresql.enabled=false",
        "externalDatabase.host=db.example.com",
    ];
    assert!(dumps(Profile::Central, &elsewhere));
}

#[test]
fn r35_a_bucket_gets_the_dump_from_a_command_of_the_values() {
    let sets = [
        "backup.storage.type=s3",
        "backup.storage.endpoint=https://minio.example.com:9000",
        "backup.storage.uploadImage=registry.example.com/mc:1",
        "backup.storage.uploadCommand={mc,cp,--recursive,/backup,s3/dumps}",
    ];
    let set = preview(Profile::Central, &sets);
    let pod = job(&set);
    let names: Vec<&str> = containers(pod)
        .filter_map(|one| one["name"].as_str())
        .collect();
    // The upload sees a finished dump only: containers start once the first ones have succeeded.
    assert_eq!(names, ["dump", "upload"]);
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "dump");
    let upload = &pod["spec"]["containers"][0];
    assert_eq!(upload["image"], "registry.example.com/mc:1");
    assert_eq!(upload["command"][0], "mc");
    assert_eq!(variable(upload, "S3_BUCKET")["value"], "telemetry-backups");
    assert_eq!(variable(upload, "AWS_REGION")["value"], "us-west-2");
    let kinds: Vec<ObjectKind> = set.manifests.iter().map(|one| one.object.kind).collect();
    assert!(!kinds.contains(&ObjectKind::PersistentVolumeClaim));
    let need = set.secrets.iter().find(|need| need.name == "backup-s3");
    let keys: Vec<(&str, SecretContent)> = need
        .into_iter()
        .flat_map(|need| need.keys.iter().map(|key| (key.key.as_str(), key.content)))
        .collect();
    assert_eq!(
        keys,
        [
            ("AWS_ACCESS_KEY_ID", SecretContent::Given),
            ("AWS_SECRET_ACCESS_KEY", SecretContent::Given),
        ]
    );
    let policy = object(&set, ObjectKind::NetworkPolicy, "backup").to_string();
    assert!(policy.contains("9000"), "{policy}");
}

#[test]
fn r35_a_schedule_or_a_retention_that_is_none_is_refused() {
    let refused = |set: &str| {
        let layers = Layers {
            sets: vec![set.to_owned()],
            ..Layers::default()
        };
        let error = config::resolve(Profile::Central, &layers).expect_err("it is wrong");
        error.to_string()
    };
    let schedule = refused("backup.schedule=daily");
    assert!(schedule.contains("five fields of cron"), "{schedule}");
    let retention = refused("backup.retention=30");
    assert!(
        retention.contains("a number of days such as 30d"),
        "{retention}"
    );
    let bucket = refused("backup.storage.type=s3,backup.storage.bucket=");
    assert!(
        bucket.contains("`backup.storage.bucket` must be given"),
        "{bucket}"
    );
}

/// Runs the rendered script on a folder that stands for `/backup`, with programs that stand for
/// PostgreSQL's.
fn run(folder: &Path, pg_dump: &str) -> Output {
    let programs = folder.join("bin");
    let backup = folder.join("backup");
    std::fs::create_dir_all(&programs).expect("a folder can be made");
    std::fs::create_dir_all(&backup).expect("a folder can be made");
    let program = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = programs.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it can be written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("it can be made executable");
    };
    // `--file=PATH` is the last argument.
    program(
        "pg_dump",
        &format!("for last; do :; done; part=${{last#--file=}}; {pg_dump}"),
    );
    program("pg_restore", "grep -q '^PGDMP' \"$2\"");
    let text = script(&preview(Profile::Central, &[]));
    let text = text.replace("/backup", &backup.display().to_string());
    let environment = Environment::of_process();
    let path = environment.get("PATH").unwrap_or_default();
    Command::new("sh")
        .arg("-c")
        .arg(text)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("RETENTION_DAYS", "30")
        .output()
        .expect("there is a shell")
}

/// The files that stand for dumps, by name; everything that lies there.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("backup")).expect("there is a folder");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn age(folder: &Path, name: &str, days: u64) {
    let path = folder.join("backup").join(name);
    let file = std::fs::File::create(path).expect("a file can be made");
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
    file.set_modified(then).expect("it can be made older");
}

#[test]
fn r35_a_dump_is_whole_or_not_there() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let folder = folder.path();
    for broken in ["echo PGDMP > \"$part\"; exit 1", "echo half > \"$part\""] {
        let output = run(folder, broken);
        assert!(!output.status.success(), "{broken}: {output:?}");
        let dumps = files(folder)
            .into_iter()
            .filter(|name| name.ends_with(".dump"));
        assert_eq!(dumps.count(), 0, "{broken}");
    }
    // What a killed one left behind goes with the next.
    let output = run(folder, "echo PGDMP > \"$part\"");
    assert!(output.status.success(), "{output:?}");
    let left = files(folder);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].starts_with("telemetry-") && left[0].ends_with("Z.dump"),
        "{left:?}"
    );
}

#[test]
fn r35_old_dumps_go_only_once_there_is_a_newer_one() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("backup")).expect("a folder can be made");
    let old = "telemetry-20260101T020000Z.dump";
    age(folder, old, 40);
    age(folder, "telemetry-20260120T020000Z.dump", 20);
    age(folder, "notes.txt", 400);
    let failed = run(folder, "exit 1");
    assert!(!failed.status.success());
    assert!(files(folder).contains(&old.to_owned()));
    let output = run(folder, "echo PGDMP > \"$part\"");
    assert!(output.status.success(), "{output:?}");
    let left = files(folder);
    assert!(!left.contains(&old.to_owned()), "{left:?}");
    assert!(
        left.contains(&"notes.txt".to_owned()) && left.len() == 3,
        "{left:?}"
    );
}
