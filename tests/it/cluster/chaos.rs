//! telectl killed at its writes: whatever it left, another one brings it to the same end, and no lock
//! needs a human.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use telectl::config::environment::Environment;

use super::lab::{Clusters, LAB_VALUES, LONG, Lab, ROWS};
use super::proxy::{Kill, Moment, Proxies};

/// How often telectl is killed, unless `TELECTL_TEST_CHAOS` says otherwise.
const TIMES: u32 = 4;
/// Which points: the same ones again, unless `TELECTL_TEST_SEED` says otherwise.
const SEED: u64 = 4;

/// Something that every stage takes part in; two values, so that each run has something to do.
fn change(is_odd: bool) -> [&'static str; 6] {
    if is_odd {
        [
            "--set",
            "redis.master.resources.limits.memory=129Mi",
            "--set",
            "collector.config.pollInterval=1500ms",
            "--set",
            "streamer.config.batchSize=99",
        ]
    } else {
        [
            "--set",
            "redis.master.resources.limits.memory=130Mi",
            "--set",
            "collector.config.pollInterval=1600ms",
            "--set",
            "streamer.config.batchSize=98",
        ]
    }
}

fn number(name: &str) -> Option<u64> {
    Environment::of_process().get(name)?.parse().ok()
}

fn say(text: &str) {
    // Not eprintln!: a sweep is long, and the test harness hides that for a test that passes.
    writeln!(std::io::stderr(), "{text}").expect("standard error is open");
}

/// The command line of a deployment with this change.
fn arguments<'a>(lab: &'a Lab, command: &[&'a str], change: &[&'a str]) -> Vec<&'a str> {
    let contexts = [
        "--edge-context",
        &*lab.edge,
        "--central-context",
        &*lab.central,
    ];
    [command, &LAB_VALUES, change, &contexts].concat()
}

/// Runs telectl and kills it; says where, or `None` if it came to its end first.
fn killed(
    lab: &Lab,
    proxies: &Proxies,
    change: &[&str],
    write: usize,
    moment: Moment,
) -> Option<String> {
    proxies.reset(Duration::ZERO);
    let through: Clusters = proxies.clusters(lab);
    let mut run = through
        .command(&arguments(lab, &["deploy-all", "--yes"], change))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("telectl can be started");
    proxies.kill(Kill {
        process: run.id(),
        write,
        moment,
    });
    run.wait().expect("it has ended");
    proxies.killed_at()
}

/// What a killed run left is brought to the end that an undisturbed run has.
#[track_caller]
fn recovers(lab: &Lab, change: &[&str], told: &str) {
    let resumed = lab.telectl(&["resume", "--yes", "-c", &lab.central]);
    assert_eq!(resumed.code, 0, "{told}: resume\n{}", resumed.stderr);
    if resumed.stderr.contains("Nothing to go on with") {
        // It was killed before it had noted what it was about to do, or when it was done.
        let again = lab.telectl(&arguments(lab, &["deploy-all", "--yes"], change));
        assert_eq!(again.code, 0, "{told}: deploy-all\n{}", again.stderr);
    }
    let plan = lab.telectl(&arguments(lab, &["plan", "--exit-code"], change));
    assert_eq!(plan.code, 0, "{told}: plan\n{}{}", plan.stdout, plan.stderr);
    let nothing = lab.telectl(&["resume", "--yes", "-c", &lab.central]);
    let _nothing = nothing.exits(0).says("Nothing to go on with");
}

#[test]
fn d16_a_run_that_is_killed_at_any_write_comes_to_the_same_end() {
    let Some(lab) = Lab::take() else { return };
    let proxies = Proxies::before(&lab, &[&*lab.edge, &*lab.central]);
    let undisturbed =
        proxies
            .clusters(&lab)
            .telectl(&arguments(&lab, &["deploy-all", "--yes"], &change(false)));
    let _undisturbed = undisturbed.exits(0);
    let writes = proxies.writes().len();
    let seed = number("TELECTL_TEST_SEED").unwrap_or(SEED);
    let times = number("TELECTL_TEST_CHAOS").map_or(TIMES, |times| {
        u32::try_from(times).expect("a number of times")
    });
    say(&format!("{writes} writes; {times} kills of seed {seed}"));
    let mut random = SmallRng::seed_from_u64(seed);
    let moments = [Moment::Before, Moment::Within, Moment::After];
    let mut hits = 0;
    for round in 0..times {
        let write = random.random_range(1..=writes);
        let moment = moments[random.random_range(0..moments.len())];
        let change = change(round % 2 == 0);
        let at = killed(&lab, &proxies, &change, write, moment);
        hits += u32::from(at.is_some());
        let at = at.unwrap_or_else(|| "nothing: it was done before".to_owned());
        let told = format!("{round}: {moment:?} write {write}, at {at}");
        say(&told);
        recovers(&lab, &change, &told);
    }
    assert!(hits > times / 2, "only {hits} of {times} were killed");
    let _back = lab.lab(&["deploy-all", "--yes"]).exits(0);
    let _same = lab.lab(&["plan", "--exit-code"]).exits(0);
    let edge = lab.edge.clone();
    lab.eventually("all rows in the store", LONG, || {
        (lab.stored_of(&edge) == ROWS).then_some(())
    });
}
