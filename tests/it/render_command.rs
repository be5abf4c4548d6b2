//! `telectl render` and `telectl config` as they are called.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Calls telectl in an empty folder with an environment of nothing but the given variables.
pub(crate) fn telectl(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_telectl"))
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .args(arguments)
        .output()
        .expect("telectl can be started")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the output is text")
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

#[test]
fn r38_standard_output_holds_manifests_only_and_the_same_bytes_twice() {
    let folder = folder();
    let arguments = ["render", "dev", "shared", "-f", "lab", "-o", "json"];
    let first = telectl(folder.path(), &[], &arguments);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let list: Value = serde_json::from_slice(&first.stdout).expect("it is JSON");
    assert_eq!(list["kind"], "List");
    assert!(
        list["items"]
            .as_array()
            .is_some_and(|items| items.len() > 20)
    );
    let said = text(&first.stderr);
    assert!(said.contains("redis-auth (password)"), "{said}");
    let second = telectl(folder.path(), &[], &arguments);
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn r38_output_goes_to_a_folder_one_file_per_object() {
    let folder = folder();
    let arguments = ["render", "dev", "--output-dir", "out"];
    let output = telectl(folder.path(), &[], &arguments);
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{}",
        text(&output.stderr)
    );
    let file = folder.path().join("out/dev/deployment-collector.yaml");
    let read = std::fs::read_to_string(file).expect("the file is there");
    let object: Value = serde_yaml::from_str(&read).expect("it is YAML");
    assert_eq!(object["metadata"]["name"], "collector");
}

#[test]
fn r03_an_edge_without_addresses_ends_with_the_code_for_usage_and_no_manifest() {
    let folder = folder();
    let refused = telectl(folder.path(), &[], &["render", "edge"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty());
    let said = text(&refused.stderr);
    assert!(
        said.contains("--redis-host") && said.contains("hint:"),
        "{said}"
    );
    let shown = telectl(folder.path(), &[], &["render", "edge", "--placeholders"]);
    assert!(shown.status.success());
    assert!(text(&shown.stdout).contains("redis-address-known-after-deploying-shared"));
}

#[test]
fn r07_user_file_variable_and_flag_are_layers() {
    let folder = folder();
    let user = folder.path().join("config/telectl/values.yaml");
    std::fs::create_dir_all(user.parent().expect("it is in a folder")).expect("can be made");
    std::fs::write(&user, "image:\n  tag: from-user\n").expect("can be written");
    let home = folder.path().join("config");
    let home = ("XDG_CONFIG_HOME", home.to_str().expect("a path of letters"));
    let holds = |variables: &[(&str, &str)], more: &[&str]| {
        let arguments = [&["config", "explain", "image.tag"], more].concat();
        let output = telectl(folder.path(), variables, &arguments);
        let table = text(&output.stdout);
        let line = table.lines().nth(1).unwrap_or_default().to_owned();
        assert!(line.contains("holds"), "{table}");
        line.split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(holds(&[home], &[]), "from-user");
    let variable = ("TELECTL_IMAGE_TAG", "from-variable");
    assert_eq!(holds(&[home, variable], &[]), "from-variable");
    assert_eq!(
        holds(&[home, variable], &["--set", "image.tag=from-set"]),
        "from-set"
    );
}

#[test]
fn d11_a_secret_given_in_the_wrong_place_is_not_repeated() {
    let folder = folder();
    let values = folder.path().join("values.yaml");
    std::fs::write(&values, "redis:\n  auth:\n    password: canary-91\n").expect("can be written");
    for arguments in [
        &[
            "render",
            "dev",
            "-v",
            "--set",
            "externalRedis.password=canary-91",
        ][..],
        &["render", "dev", "-v", "-f", "values.yaml"],
        &["config", "view", "-v", "-f", "values.yaml"],
        &["config", "explain", "redis.auth", "-v", "-f", "values.yaml"],
    ] {
        let output = telectl(folder.path(), &[], arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("canary-91"), "{all}");
        assert!(all.contains("env:REDIS_PASSWORD"), "{all}");
    }
    let variables = [("SECRET", "canary-92")];
    std::fs::write(&values, "redis:\n  auth:\n    password: ${SECRET}\n").expect("can be written");
    for arguments in [
        &["render", "dev", "-v", "-f", "values.yaml"][..],
        &["config", "view", "-v", "-f", "values.yaml"],
        &["config", "explain", "redis.auth", "-v", "-f", "values.yaml"],
    ] {
        let output = telectl(folder.path(), &variables, arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.contains("canary-92"), "{all}");
    }
}

#[test]
fn explaining_an_image_says_which_one_runs_in_the_end() {
    let folder = folder();
    let values = "global:\n  imageRegistry: common.example\n";
    std::fs::write(folder.path().join("values.yaml"), values).expect("can be written");
    let explain = |key: &str| {
        let own = "image.registry=own.example,image.tag=v9";
        let arguments = [
            "config",
            "explain",
            key,
            "central",
            "-f",
            "values.yaml",
            "--set",
            own,
        ];
        text(&telectl(folder.path(), &[], &arguments).stderr).to_owned()
    };
    let workers = "image of collector, apiGateway: own.example/telectl:v9";
    let database = "image of postgresql: common.example/postgres:15";
    for key in ["image", "image.registry"] {
        let said = explain(key);
        assert!(said.contains(workers) && !said.contains(database), "{said}");
    }
    let said = explain("global.imageRegistry");
    assert!(said.contains(workers) && said.contains(database), "{said}");
    let said = explain("postgresql.image");
    assert!(said.contains(database) && !said.contains(workers), "{said}");
    assert!(!explain("streamer.replicaCount").contains("image of"));
}
