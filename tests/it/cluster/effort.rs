//! What a run costs the API servers, counted at proxies before them.

use std::io::Write as _;
use std::time::Duration;

use super::lab::Lab;
use super::proxy::Proxies;
use super::traffic::{Seen, longest_chain};

/// Between the machine that telectl runs on and the clusters.
const AWAY: Duration = Duration::from_millis(100);
/// Round trips that a run may wait for one after the other in each cluster when it has nothing to
/// do, TCP's and TLS's included.
const MOST: u32 = 10;

/// Round trips that a run may wait for one after the other, over all clusters, when it changes one
/// object.
const MOST_FOR_ONE: u32 = 30;

/// Says a number that is worth seeing even if the test passes.
fn say(report: &str) {
    // Not eprintln!: the harness hides that.
    std::io::stderr()
        .write_all(report.as_bytes())
        .expect("standard error is open");
}

fn listed(seen: &[Seen]) -> String {
    seen.iter().map(|seen| format!("  {seen}\n")).collect()
}

#[test]
fn d07_a_second_run_writes_nothing_and_takes_few_round_trips() {
    let Some(lab) = Lab::take() else { return };
    let contexts = [&*lab.edge, &*lab.central];
    let proxies = Proxies::before(&lab, &contexts);
    proxies.reset(AWAY);
    let _same = proxies
        .clusters(&lab)
        .lab(&["deploy-all", "--yes"])
        .exits(0);
    let seen = proxies.seen();
    let writes = proxies.writes();
    assert!(writes.is_empty(), "writes:\n{}", listed(&writes));
    let asked: Vec<Seen> = seen
        .iter()
        .filter(|seen| seen.path.contains("dryRun"))
        .cloned()
        .collect();
    assert!(asked.is_empty(), "in doubt:\n{}", listed(&asked));
    let watches = seen.iter().any(|seen| seen.path.contains("watch="));
    assert!(!watches, "a run with nothing to do waits for nothing");
    for context in contexts {
        let here = || seen.iter().filter(|seen| seen.cluster == context);
        let chain = longest_chain(here());
        let report = format!(
            "{context}: {} requests, {chain} round trips one after the other\n",
            here().count()
        );
        say(&report);
        assert!(chain > 0, "nothing was seen in {context}");
        assert!(chain <= MOST, "{report}{}", listed(&seen));
    }
}

#[test]
fn d07_a_change_of_one_deployment_writes_that_one_and_takes_few_round_trips() {
    let Some(lab) = Lab::take() else { return };
    let contexts = [&*lab.edge, &*lab.central];
    let proxies = Proxies::before(&lab, &contexts);
    proxies.reset(AWAY);
    let change = ["--set", "collector.config.pollInterval=1500ms"];
    let _changed = proxies
        .clusters(&lab)
        .lab(&[&["deploy-all", "--yes"][..], &change].concat())
        .exits(0);
    let seen = proxies.seen();
    let chain = longest_chain(seen.iter());
    let (count, by_time) = (seen.len(), listed(&seen));
    say(&format!(
        "one changed: {count} requests, {chain} round trips one after the other\n"
    ));
    let (books, written): (Vec<Seen>, Vec<Seen>) =
        proxies.writes().into_iter().partition(Seen::is_bookkeeping);
    let _back = lab.lab(&["deploy-all", "--yes"]).exits(0);
    let objects: Vec<String> = written.iter().map(Seen::object).collect();
    assert_eq!(objects, ["deployments/collector"], "{}", listed(&written));
    assert!(chain > 0 && chain <= MOST_FOR_ONE, "{chain}:\n{by_time}");
    let of_history = books
        .iter()
        .filter(|seen| seen.object().starts_with("configmaps/telectl-central"));
    assert!(
        of_history.count() >= 2,
        "record and entry:\n{}",
        listed(&books)
    );
}
