//! What has changed between two pictures, for those who watch without a terminal. Pure.

use std::collections::BTreeMap;

use super::report::{Severity, StatusReport};

/// The state of everything that has one, by name. Ages and counters are left out: they change all
/// the time and say nothing.
pub fn states(report: &StatusReport) -> BTreeMap<String, String> {
    let mut states = BTreeMap::new();
    for cluster in &report.clusters {
        let context = &cluster.context;
        states.insert(context.clone(), cluster.verdict.word().to_owned());
        if cluster.unreachable.is_some() {
            continue;
        }
        for workload in &cluster.workloads {
            let images: Vec<&str> = workload.images.keys().map(String::as_str).collect();
            let state = format!(
                "{} {}/{} {}",
                workload.verdict.word(),
                workload.ready,
                workload.desired,
                images.join(", ")
            );
            states.insert(format!("{context} {}", workload.name), state);
        }
        for address in &cluster.addresses {
            let shown = match address.address.as_str() {
                "" => "pending",
                given => given,
            };
            let name = format!("{context} address of {}", address.service);
            states.insert(name, shown.to_owned());
        }
    }
    for concern in &report.concerns {
        let place = concern.cluster.as_deref().unwrap_or("pipeline");
        let word = match concern.severity {
            Severity::Problem => "problem",
            Severity::Notice => "notice",
        };
        let name = format!("{place} {}", concern.subject);
        // What has a state of its own has told it.
        states.entry(name).or_insert_with(|| word.to_owned());
    }
    states
}

/// One line for each state that is new, another one or gone. What belongs to a cluster that does
/// not answer is not gone: nothing is known about it.
pub fn changes(before: &StatusReport, after: &StatusReport) -> Vec<String> {
    let (old, new) = (states(before), states(after));
    let silent: Vec<String> = after
        .clusters
        .iter()
        .filter(|cluster| cluster.unreachable.is_some())
        .map(|cluster| format!("{} ", cluster.context))
        .collect();
    let is_unknown = |name: &str| silent.iter().any(|cluster| name.starts_with(cluster));
    let mut lines = Vec::new();
    for (name, state) in &new {
        match old.get(name) {
            Some(before) if before == state => {}
            Some(before) => lines.push(format!("{name}: {before} → {state}")),
            None => lines.push(format!("{name}: {state}")),
        }
    }
    let gone = old
        .iter()
        .filter(|(name, _)| !new.contains_key(*name) && !is_unknown(name));
    lines.extend(gone.map(|(name, state)| format!("{name}: no longer {state}")));
    lines
}
