//! Runs that are disturbed: an API server that is slow and refuses at random, another operator, and
//! somebody who says stop.

use std::process::{Child, Stdio};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::lab::{Done, LAB_VALUES, LONG, Lab};
use super::proxy::{Proxies, signal};
use super::traffic::{Refusal, Seen};

/// A slow API server.
const SLOW: Duration = Duration::from_millis(500);
/// Slow enough that there is a middle to strike in.
const UNHURRIED: Duration = Duration::from_millis(200);

/// Both clusters take part in it.
const CHANGE: [&str; 4] = [
    "--set",
    "collector.config.pollInterval=1700ms",
    "--set",
    "streamer.config.batchSize=97",
];

fn proxies(lab: &Lab) -> Proxies {
    Proxies::before(lab, &[&*lab.edge, &*lab.central])
}

/// The change's deployment on its way through the proxies, begun by Ann.
fn begun(lab: &Lab, proxies: &Proxies) -> Child {
    let contexts = [
        "--edge-context",
        &*lab.edge,
        "--central-context",
        &*lab.central,
    ];
    let arguments = [
        &["deploy-all", "--yes"][..],
        &LAB_VALUES,
        &CHANGE,
        &contexts,
    ]
    .concat();
    proxies
        .clusters(lab)
        .command(&arguments)
        .env("USER", "ann")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("telectl can be started")
}

fn ended(run: Child) -> Done {
    run.wait_with_output().expect("it has ended").into()
}

/// Waits until a write that the function means was seen.
#[track_caller]
fn await_write(lab: &Lab, proxies: &Proxies, what: &str, is_meant: impl Fn(&Seen) -> bool) {
    lab.eventually(what, LONG, || {
        proxies.writes().iter().any(&is_meant).then_some(())
    });
}

/// Whatever the run left, going on with it deploys the change; then the lab is as it was.
#[track_caller]
fn recovers(lab: &Lab) {
    let resumed = lab
        .telectl(&["resume", "--yes", "-c", &lab.central])
        .exits(0);
    if !resumed.stderr.contains("Nothing to go on with") {
        let plan = [&["plan", "--exit-code"][..], &CHANGE].concat();
        let _plan = lab.lab(&plan).exits(0);
    }
    let _back = lab.lab(&["deploy-all", "--yes"]).exits(0);
    let _same = lab.lab(&["plan", "--exit-code"]).exits(0);
}

#[test]
fn d16_an_api_server_that_is_slow_and_sheds_load_is_waited_for() {
    let Some(lab) = Lab::take() else { return };
    let proxies = proxies(&lab);
    proxies.reset(SLOW);
    let mut random = SmallRng::seed_from_u64(1);
    let edge = lab.edge.clone();
    proxies.refuse(move |seen| {
        let is_shed = seen.cluster == edge && random.random_ratio(1, 6);
        is_shed.then_some(Refusal::TooMany(1))
    });
    let _deployed = ended(begun(&lab, &proxies)).exits(0);
    let shed = proxies
        .seen()
        .iter()
        .filter(|seen| seen.code == Some(429))
        .count();
    assert!(shed > 3, "only {shed} requests were refused");
    let plan = [&["plan", "--exit-code"][..], &CHANGE].concat();
    let _plan = lab.lab(&plan).exits(0);
    recovers(&lab);
}

#[test]
fn d16_an_api_server_that_breaks_in_the_middle_is_named_and_resume_goes_on() {
    let Some(lab) = Lab::take() else { return };
    let proxies = proxies(&lab);
    let edge = lab.edge.clone();
    proxies.refuse(move |seen| {
        let breaks = seen.cluster == edge && seen.is_write() && !seen.is_bookkeeping();
        breaks.then_some(Refusal::Broken)
    });
    let failed = ended(begun(&lab, &proxies)).exits(5);
    let _failed = failed
        .says("the test's proxy refuses this")
        .says(&format!("cluster {}", lab.edge))
        .says("telectl resume");
    recovers(&lab);
}

#[test]
fn d16_of_two_operators_the_second_is_told_the_first_ones_name_and_writes_nothing() {
    let Some(lab) = Lab::take() else { return };
    let (first, second) = (proxies(&lab), proxies(&lab));
    first.reset(UNHURRIED);
    let run = begun(&lab, &first);
    await_write(&lab, &first, "the first one's lock", |seen| {
        seen.object() == "leases" && seen.code == Some(201)
    });
    // With nothing to do it would need no lock.
    let other = ["--set", "collector.config.pollInterval=1800ms"];
    let refused = second
        .clusters(&lab)
        .lab(&[&["deploy-all", "--yes"][..], &other].concat())
        .exits(8);
    let _refused = refused.says("ann@");
    let writes = second.writes();
    let refused_only = writes.iter().all(|seen| seen.code == Some(409));
    assert!(refused_only, "the second wrote {writes:?}");
    let _first = ended(run).exits(0);
    recovers(&lab);
}

#[test]
fn d16_a_run_that_is_told_to_stop_says_how_far_it_is_and_what_goes_on() {
    let Some(lab) = Lab::take() else { return };
    let proxies = proxies(&lab);
    proxies.reset(UNHURRIED);
    let run = begun(&lab, &proxies);
    await_write(&lab, &proxies, "something deployed", |seen| {
        !seen.is_bookkeeping()
    });
    signal("-INT", run.id());
    let stopped = ended(run).exits(5);
    let _stopped = stopped
        .says("telectl resume")
        .says(&format!("cluster {}", lab.central))
        .says(&format!("cluster {}", lab.edge));
    // The locks are given back: nothing is taken over.
    let lease = ["get", "leases", "-A", "-o", "name"];
    for context in [&lab.edge, &lab.central] {
        let leases = lab.kubectl(context, &lease);
        assert!(!leases.contains("telectl-"), "{context}: {leases}");
    }
    recovers(&lab);
}
