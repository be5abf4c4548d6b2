//! A rollout that hangs says which pod it waits for, and why.

use super::lab::{LAB_VALUES, Lab};
use super::status::well;

#[test]
fn d12_a_rollout_that_hangs_quotes_the_pod_and_the_status_does_not_call_it_ready() {
    let Some(lab) = Lab::take() else { return };
    let deploy = ["deploy", "central", "--context", &lab.central];
    // Nobody listens there: the new collector runs and never gets ready, the old ones stay.
    let wrong = ["--set", "externalRedis.port=6390", "--timeout", "40s"];
    let hangs = lab.telectl(&[&deploy[..], &LAB_VALUES, &wrong, &["--yes"]].concat());
    let status = lab.on_both(&["status"]);
    let _mended = lab
        .telectl(&[&deploy[..], &LAB_VALUES, &["--yes"]].concat())
        .exits(0);
    let hangs = hangs
        .exits(7)
        .says("pods updated; pod collector-")
        .says("ContainersNotReady: containers with unready status: [collector]")
        .says("about its readiness:\n    [-] queue (required)")
        .says("last lines of the log of pod collector-");
    let waits = hangs.stderr.lines().any(|line| {
        line.contains("Deployment/collector > waiting") && line.contains("ContainersNotReady")
    });
    assert!(waits, "no progress line names the pod: {}", hangs.stderr);
    let _degraded = status
        .exits(4)
        .says("pods updated; collector-")
        .says("degraded");
    let _ready = well(&lab, &[]);
}
