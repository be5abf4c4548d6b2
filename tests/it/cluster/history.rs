//! Going on after a run that did not come to its end, and going back to what was there before.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use super::lab::{LONG, Lab};

/// A change that every cluster of the lab takes part in, and that restarts nothing but collectors.
const CHANGE: [&str; 2] = ["--set", "collector.config.pollInterval=1500ms"];

fn poll_interval(lab: &Lab) -> String {
    let path =
        "jsonpath={.spec.template.spec.containers[0].env[?(@.name==\"POLL_INTERVAL\")].value}";
    let namespace = [
        "-n",
        "telemetry-system",
        "get",
        "deployment",
        "collector",
        "-o",
        path,
    ];
    lab.kubectl(&lab.central, &namespace)
}

/// The lab is as its own values say.
#[track_caller]
fn is_the_lab(lab: &Lab) {
    let _plan = lab.lab(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn d16_history_names_the_runs_and_rollback_goes_back_to_the_one_before() {
    let Some(lab) = Lab::take() else { return };
    let before = poll_interval(&lab);
    let mut change = vec!["deploy-all", "--yes"];
    change.extend(CHANGE);
    let _changed = lab.lab(&change).exits(0);
    assert_eq!(poll_interval(&lab), "1500ms");

    let history = lab.on_both(&["history", "-o", "json"]).exits(0).json();
    let stages = history["stages"].as_array().expect("a list").clone();
    let of = |profile: &str| {
        let found = stages.iter().find(|stage| stage["profile"] == profile);
        found
            .unwrap_or_else(|| panic!("{profile} in {history}"))
            .clone()
    };
    let numbers = |profile: &str| -> Vec<u64> {
        let generations = of(profile)["generations"]
            .as_array()
            .expect("a list")
            .clone();
        generations
            .iter()
            .filter_map(|generation| generation["number"].as_u64())
            .collect()
    };
    let newest = *numbers("central").last().expect("central was deployed");
    assert_eq!(of("central")["deployed"], newest);
    assert!(
        !numbers("edge").contains(&newest),
        "nothing changed on the edge: {history}"
    );
    let table = lab.on_both(&["history"]).exits(0);
    let _now = table.says(&format!("central on {} (now)", lab.central));

    let wrong = lab.on_both(&["rollback", "--to", "4711", "--yes"]).exits(2);
    let _wrong = wrong.says("there is no generation 4711");
    let planned = lab.on_both(&["rollback", "--dry-run"]).exits(0);
    let _planned = planned.says("POLL_INTERVAL").says("Dry run");
    assert_eq!(poll_interval(&lab), "1500ms");
    let _back = lab.on_both(&["rollback", "--yes"]).exits(0);
    assert_eq!(poll_interval(&lab), before);
    is_the_lab(&lab);
    let history = lab.on_both(&["history", "-o", "json"]).exits(0).json();
    let shown = history.to_string();
    let last = *numbers("central").first().expect("central was deployed");
    assert!(shown.contains("rollback to"), "{shown} (first {last})");
    no_config_map_has_a_password(&lab);
}

#[track_caller]
fn no_config_map_has_a_password(lab: &Lab) {
    for (namespace, secret) in [
        ("shared-infrastructure", "redis-auth"),
        ("telemetry-system", "database-credentials"),
    ] {
        let password = lab.secret(&lab.central, namespace, secret, "password");
        let everything = lab.kubectl(&lab.central, &["get", "configmaps", "-A", "-o", "yaml"]);
        assert!(
            !everything.contains(&password),
            "{secret} is in a ConfigMap"
        );
    }
}

#[test]
fn d16_a_run_that_was_killed_is_gone_on_with_by_anybody() {
    let Some(lab) = Lab::take() else { return };
    let nothing = lab.on_both(&["resume", "--yes"]).exits(0);
    let _nothing = nothing.says("Nothing to go on with");
    lab.own_gateway_scale();
    lab.scale_gateway("2");
    let mut arguments = vec!["deploy-all", "--yes", "--take", ".spec.replicas"];
    arguments.extend(CHANGE);
    arguments.extend(super::lab::LAB_VALUES);
    let contexts = [
        "--edge-context",
        &lab.edge,
        "--central-context",
        &lab.central,
    ];
    arguments.extend(contexts);
    let mut run = lab
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("telectl can be started");
    let note = [
        "-n",
        "shared-infrastructure",
        "get",
        "configmap",
        "telectl-unfinished-run",
    ];
    lab.eventually("the note of the run", LONG, || {
        (lab.try_kubectl(&lab.central, &note).code == 0).then_some(())
    });
    run.kill().expect("it can be killed");
    run.wait().expect("it has ended");
    // What was to be taken is as it should be by now.
    lab.scale_gateway("1");

    // Neither values nor edges are given: the note has them. The lock is a dead process's.
    let resumed = lab
        .telectl(&["resume", "--yes", "-c", &lab.central])
        .exits(0);
    let _resumed = resumed.says("was left over: taken over");
    assert_eq!(poll_interval(&lab), "1500ms");
    assert_ne!(
        lab.try_kubectl(&lab.central, &note).code,
        0,
        "the note is gone"
    );
    let _back = lab.lab(&["deploy-all", "--yes"]).exits(0);
    is_the_lab(&lab);
}

#[test]
fn d16_a_run_whose_time_is_over_is_taken_back_and_leaves_no_note() {
    let Some(lab) = Lab::take() else { return };
    let wrong = [
        "deploy-all",
        "--yes",
        "--run-timeout",
        "6s",
        "--on-failure",
        "rollback",
        "--set",
        "collector.image.tag=no-such-tag",
        "--skip-preflight",
        "TEL-PRE-014",
    ];
    let over = lab.lab(&wrong);
    let resumed = lab.on_both(&["resume", "--yes"]);
    let plan = lab.lab(&["plan", "--exit-code"]);
    let _over = over
        .exits(6)
        .says("not everything was deployed within 6 s")
        .says("central back at generation");
    let _resumed = resumed.exits(0).says("Nothing to go on with");
    let _same = plan.exits(0);
}

#[test]
fn d16_a_run_that_fails_takes_back_what_it_wrote_when_asked_to() {
    let Some(lab) = Lab::take() else { return };
    let before = poll_interval(&lab);
    let mut arguments = vec!["deploy-all", "--yes", "--on-failure", "rollback"];
    arguments.extend(CHANGE);
    arguments.extend(["--set", "streamer.image.tag=does-not-exist"]);
    // Another version than everywhere else is refused beforehand.
    let _refused = lab.lab(&arguments).exits(1).says("TEL-PRE-014");
    assert_eq!(poll_interval(&lab), before);
    arguments.extend(["--skip-preflight", "TEL-PRE-014"]);
    let failed = lab.lab(&arguments).exits(6);
    let _failed = failed
        .says("does-not-exist")
        .says("central back at generation")
        .says("edge back at generation");
    assert_eq!(poll_interval(&lab), before);
    is_the_lab(&lab);
    let nothing = lab.on_both(&["resume", "--yes"]).exits(0);
    let _nothing = nothing.says("Nothing to go on with");
    let edge = lab.edge.clone();
    let _whole = lab.on_both(&["validate", "health"]).exits(0);
    assert_eq!(lab.stored_of(&edge), super::lab::ROWS);
}

#[test]
fn d10_a_saved_plan_is_applied_as_it_was_seen_or_not_at_all() {
    let Some(lab) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("plan.json");
    let file = file.to_str().expect("a name");
    let mut save = vec!["plan", "--save", file];
    save.extend(CHANGE);
    let _saved = lab.lab(&save).exits(0);
    let scale = |count: &str| {
        let count = format!("--replicas={count}");
        let target = [
            "-n",
            "telemetry-system",
            "scale",
            "deployment/api-gateway",
            &count,
        ];
        lab.kubectl(&lab.central, &target);
    };
    scale("2");
    let refused = lab
        .telectl(&["deploy-all", "--yes", "--plan", file])
        .exits(1);
    let _refused = refused
        .says("Deployment/telemetry-system/api-gateway")
        .says("nothing was written");
    assert_ne!(poll_interval(&lab), "1500ms");
    scale("1");
    lab.eventually("one gateway", Duration::from_secs(60), || {
        let ready = [
            "-n",
            "telemetry-system",
            "get",
            "deployment",
            "api-gateway",
            "-o",
            "jsonpath={.status.replicas}",
        ];
        (lab.kubectl(&lab.central, &ready) == "1").then_some(())
    });
    let _applied = lab
        .telectl(&["deploy-all", "--yes", "--plan", file])
        .exits(0);
    assert_eq!(poll_interval(&lab), "1500ms");
    let again = lab
        .telectl(&["deploy-all", "--yes", "--plan", file])
        .exits(1);
    let _again = again.says("was planned as update, is now keep");
    let mut text = std::fs::OpenOptions::new()
        .append(true)
        .open(file)
        .expect("it is there");
    text.write_all(b"}").expect("it can be written");
    let broken = lab
        .telectl(&["deploy-all", "--yes", "--plan", file])
        .exits(2);
    let _broken = broken.says("is no saved plan");
    let _same = lab.lab(&["deploy-all", "--yes", "--take"]).exits(0);
    is_the_lab(&lab);
}

#[test]
fn d19_a_fleet_file_stands_for_the_flags() {
    let Some(lab) = Lab::take() else { return };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("telectl.yaml");
    let text = format!(
        "clusters:\n- {{name: {edge}, context: {edge}, role: edge}}\n\
         - {{name: {central}, context: {central}, role: central}}\n",
        edge = lab.edge,
        central = lab.central
    );
    std::fs::write(&file, text).expect("it can be written");
    let name = file.to_str().expect("a name");
    let mut arguments = vec!["plan", "--exit-code", "--fleet", name];
    arguments.extend(super::lab::LAB_VALUES);
    let _plan = lab.telectl(&arguments).exits(0);
    let status = lab
        .telectl(&["status", "--read-only", "--fleet", name])
        .exits(0);
    let _status = status.says("streamer").says("collector");
    std::fs::write(&file, "clusters:\n- {name: a, context: b, role: boss}\n").expect("written");
    let _wrong = lab
        .telectl(&["status", "--fleet", name])
        .exits(2)
        .says("boss");
}
