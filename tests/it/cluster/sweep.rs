//! telectl killed at every write of a deployment over four clusters, before it, in it and after it:
//! whatever it left, the next one brings it to the end of a run that nobody disturbed, and no lock
//! needs a human. `make sweep` runs it, on clusters without nodes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use telectl::config::environment::Environment;

use super::final_state::FinalState;
use super::lab::{Clusters, skipped};
use super::lane::{Lane, say};
use super::proxy::Moment;

const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Within, Moment::After];
/// With so many failed points, the rest would only tell the same.
const ENOUGH: usize = 10;
/// After how many points it is told how far the sweep is.
const TELL: usize = 25;

/// Where telectl is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    write: usize,
    moment: Moment,
}

impl std::fmt::Display for Point {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}:{}",
            self.write,
            format!("{:?}", self.moment).to_lowercase()
        )
    }
}

impl Point {
    /// All points of a run with so many writes.
    fn all(writes: usize) -> Vec<Self> {
        let of = |write| MOMENTS.map(|moment| Self { write, moment });
        (1..=writes).flat_map(of).collect()
    }

    /// Those that the environment asks for: `all`, a share of them such as `2/5`, or a list such as
    /// `12:before,40:within`.
    fn asked_for(text: &str, writes: usize) -> Vec<Self> {
        let all = Self::all(writes);
        if text == "all" {
            return all;
        }
        if let Some((share, of)) = text.split_once('/') {
            let [share, of] = [share, of].map(|part| part.parse::<usize>().expect("N/M"));
            assert!((1..=of).contains(&share), "{text}: a share from 1/M to M/M");
            return all.into_iter().skip(share - 1).step_by(of).collect();
        }
        // One that is listed is tried even if this run was faster and renewed no lock on its way.
        text.split(',').map(Self::parse).collect()
    }

    fn parse(text: &str) -> Self {
        let (write, moment) = text.split_once(':').expect("a point such as 12:before");
        let write = write.parse().expect("the number of a write");
        let point = |moment| Self { write, moment };
        let mut points = MOMENTS.into_iter().map(point);
        let found = points.find(|point| point.to_string().ends_with(moment));
        found.expect("before, within or after")
    }
}

/// How a run that was killed came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It came to its end before it was to be killed.
    Undisturbed,
    /// Its note was found.
    Resumed,
    /// It had left none.
    DeployedAgain,
}

/// What is counted over all lanes.
#[derive(Debug, Default)]
struct Sweep {
    points: Vec<Point>,
    next: AtomicUsize,
    ways: Mutex<Vec<Way>>,
    leaving: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

fn locked<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One point, on clusters that are as new: what came of it, or what is wrong.
fn round(lane: &Lane, point: Point, expected: &FinalState, sweep: &Sweep) -> Result<Way, String> {
    lane.clear();
    let at = lane.killed(point.write, point.moment)?;
    let told = at
        .clone()
        .unwrap_or_else(|| "nothing: it was done before".to_owned());
    let wrong = |what: &str| format!("killed at {told}: {what}");
    let way = recovered(lane, at.is_some()).map_err(|what| wrong(&what))?;
    let state = lane.state();
    let _before = sweep
        .leaving
        .fetch_add(state.leaving.len(), Ordering::Relaxed);
    let leases = state.of_kind("Lease");
    if !leases.is_empty() {
        return Err(wrong(&format!("locks are held: {leases:?}")));
    }
    let differences = expected.differences(&state);
    if !differences.is_empty() {
        return Err(wrong(&differences.join("\n  ")));
    }
    let plan = lane.plan();
    if plan.code != 0 {
        let said = format!(
            "plan exits with {}\n{}{}",
            plan.code, plan.stdout, plan.stderr
        );
        return Err(wrong(&said));
    }
    Ok(way)
}

/// Goes on with what was left, once: with the note of the run, or anew where there is none.
fn recovered(lane: &Lane, is_killed: bool) -> Result<Way, String> {
    if !is_killed {
        return Ok(Way::Undisturbed);
    }
    let resumed = lane.resume();
    if resumed.code != 0 {
        return Err(format!(
            "resume exits with {}\n{}",
            resumed.code, resumed.stderr
        ));
    }
    if !resumed.stderr.contains("Nothing to go on with") {
        return Ok(Way::Resumed);
    }
    // It was killed before it had noted what it was about to do, or when it was done.
    let (again, _) = lane.deploy();
    if again.code != 0 {
        return Err(format!(
            "deploy-all exits with {}\n{}",
            again.code, again.stderr
        ));
    }
    Ok(Way::DeployedAgain)
}

impl Sweep {
    /// Takes one point after the other, until there are none, or enough have failed.
    fn work(&self, lane: &Lane, expected: &FinalState, started: Instant) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(point) = self.points.get(number) else {
                return;
            };
            match round(lane, *point, expected, self) {
                Ok(way) => locked(&self.ways).push(way),
                Err(why) => {
                    let told = format!("{point} on {}, {why}", lane.name());
                    say(&format!(
                        "FAILED {told}\n  again: POINTS={point} make sweep"
                    ));
                    locked(&self.failed).push(told);
                }
            }
            if locked(&self.failed).len() >= ENOUGH {
                return;
            }
            if (number + 1).is_multiple_of(TELL) {
                let seconds = started.elapsed().as_secs();
                let all = self.points.len();
                say(&format!(
                    "sweep: {} of {all} points, {seconds} s",
                    number + 1
                ));
            }
        }
    }
}

/// What a run leaves that nobody disturbs, and its writes.
fn undisturbed(lane: &Lane) -> (FinalState, usize) {
    lane.clear();
    let (done, writes) = lane.deploy();
    let _done = done.exits(0);
    let state = lane.state();
    assert_eq!(state.of_kind("Lease"), Vec::<&String>::new(), "locks");
    let _nothing = lane.resume().exits(0).says("Nothing to go on with");
    let _plan = lane.plan().exits(0);
    (state, writes)
}

#[test]
fn d16_killed_at_every_write_of_four_clusters_it_comes_to_the_end_of_an_undisturbed_run() {
    let environment = Environment::of_process();
    let Some(asked) = environment.get("TELECTL_TEST_SWEEP") else {
        return skipped("it takes minutes and clusters of its own; `make sweep` runs it");
    };
    let Some(clusters) = Clusters::find() else {
        return;
    };
    let started = Instant::now();
    let lanes = Lane::all(&clusters);
    let expected: Vec<(FinalState, usize)> = lanes.iter().map(undisturbed).collect();
    let writes = expected
        .iter()
        .map(|(_, writes)| *writes)
        .max()
        .unwrap_or(0);
    let sweep = Sweep {
        points: Point::asked_for(asked, writes),
        ..Sweep::default()
    };
    say(&format!(
        "sweep: {writes} writes make {} objects; {} points on {} lanes",
        expected[0].0.len(),
        sweep.points.len(),
        lanes.len()
    ));
    std::thread::scope(|scope| {
        for (lane, (state, _)) in lanes.into_iter().zip(&expected) {
            let sweep = &sweep;
            let _worker = scope.spawn(move || sweep.work(&lane, state, started));
        }
    });
    let ways = locked(&sweep.ways);
    let count = |way| ways.iter().filter(|found| **found == way).count();
    let killed = count(Way::Resumed) + count(Way::DeployedAgain);
    let failed = locked(&sweep.failed);
    say(&format!(
        "sweep: {} points in {} s: {} resumed, {} deployed again, {} not killed, {} failed; {} Jobs \
         and locks of the dead were left behind",
        sweep.points.len(),
        started.elapsed().as_secs(),
        count(Way::Resumed),
        count(Way::DeployedAgain),
        count(Way::Undisturbed),
        failed.len(),
        sweep.leaving.load(Ordering::Relaxed),
    ));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(
        killed > count(Way::Undisturbed) * 10,
        "hardly any was killed"
    );
}
