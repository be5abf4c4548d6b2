//! What in a picture is not well, in words. Pure.

use std::collections::BTreeMap;

use super::collect::{ClusterFacts, Collected};
use super::report::{
    ClusterStatus, Concern, DataStatus, Severity, StatusReport, Verdict, VersionStatus,
};
use crate::deploy::certificates::WARNING_DAYS;
use crate::validate::FAILURE_DAYS;

/// Seconds from which on an autoscaler that cannot scale is a problem.
const UNABLE_SECONDS: i64 = 60;
/// Seconds that a message may wait in the queue.
const LONGEST_WAIT_SECONDS: f64 = 300.0;

/// Everything that is to be said about a picture, problems first.
pub(super) fn concerns(report: &StatusReport, collected: &Collected) -> Vec<Concern> {
    let mut found = Vec::new();
    for (status, facts) in report.clusters.iter().zip(&collected.clusters) {
        cluster(status, facts, &mut found);
    }
    queue(report, &mut found);
    registrations(report, &mut found);
    report
        .versions
        .iter()
        .for_each(|one| found.extend(skew(one)));
    report.data.iter().for_each(|one| data(one, &mut found));
    certificates(report, &mut found);
    found.sort();
    found.dedup();
    found
}

fn problem(cluster: Option<&str>, subject: impl Into<String>, says: impl Into<String>) -> Concern {
    Concern {
        severity: Severity::Problem,
        cluster: cluster.map(str::to_owned),
        subject: subject.into(),
        says: says.into(),
    }
}

fn notice(cluster: Option<&str>, subject: impl Into<String>, says: impl Into<String>) -> Concern {
    Concern {
        severity: Severity::Notice,
        ..problem(cluster, subject, says)
    }
}

fn cluster(status: &ClusterStatus, facts: &ClusterFacts, found: &mut Vec<Concern>) {
    let place = Some(status.context.as_str());
    if let Some(why) = &status.unreachable {
        found.push(problem(place, "API server", why));
        return;
    }
    for workload in &status.workloads {
        let name = &workload.name;
        if workload.verdict != Verdict::Ready {
            let why = workload.trouble.as_deref().unwrap_or("it is not ready yet");
            let (ready, desired) = (workload.ready, workload.desired);
            let says = match workload.verdict {
                Verdict::Missing | Verdict::Unknown => why.to_owned(),
                _ => format!("{ready} of {desired} ready: {}", first_line(why)),
            };
            // What could not be seen need not be unwell; the verdict says that it is not known.
            found.push(match workload.verdict {
                Verdict::Unknown => notice(place, name, says),
                _ => problem(place, name, says),
            });
        }
        let Some(autoscaler) = &workload.autoscaler else {
            continue;
        };
        if let Some(why) = &autoscaler.unable {
            // It looks every 15 s and takes a while to see that an outage is over.
            let is_passing = autoscaler.unable_seconds < Some(UNABLE_SECONDS);
            let says = format!("it cannot scale: {why}");
            let subject = format!("autoscaler of {name}");
            found.push(if autoscaler.unable_seconds.is_some() && is_passing {
                notice(place, subject, says)
            } else {
                problem(place, subject, says)
            });
        }
        if autoscaler.blind.is_some() {
            found.push(notice(
                place,
                format!("autoscaler of {name}"),
                "it does not see the load: does a metrics server run?",
            ));
        }
    }
    for address in &status.addresses {
        let subject = format!("service {}", address.service);
        if address.address.is_empty() {
            found.push(problem(place, subject, "the load balancer gave no address"));
        } else if address.endpoints == Some(0) {
            found.push(problem(place, subject, "no ready pod stands behind it"));
        }
    }
    workers(facts, found);
    let gaps = status.gaps.iter();
    found.extend(gaps.map(|gap| notice(place, "not read", gap)));
}

/// What the workers say themselves. A pod that is not ready is spoken of as part of its workload.
fn workers(facts: &ClusterFacts, found: &mut Vec<Concern>) {
    let place = Some(facts.context.as_str());
    for worker in &facts.workers {
        let pods = &mut facts.objects.pods.iter();
        let is_ready = pods.any(|pod| pod.name == worker.pod && pod.is_ready);
        let Some(body) = &worker.body else {
            if is_ready {
                found.push(problem(
                    place,
                    &worker.pod,
                    "its status page does not answer",
                ));
            }
            continue;
        };
        let dependencies = body["dependencies"].as_object();
        for (name, state) in dependencies.into_iter().flatten() {
            if state["ok"] == false {
                let why = state["detail"].as_str().unwrap_or_default();
                found.push(problem(place, &worker.pod, format!("{name}: {why}")));
            }
        }
    }
}

fn queue(report: &StatusReport, found: &mut Vec<Concern>) {
    let Some(queue) = &report.queue else { return };
    if queue.entries > 0 && queue.oldest_seconds > LONGEST_WAIT_SECONDS {
        let minutes = queue.oldest_seconds / 60.0;
        let says = format!(
            "the oldest of {} messages waits for {minutes:.0} min",
            queue.entries
        );
        found.push(problem(None, "queue", says));
    }
    if queue.dead > 0 {
        let says = format!(
            "{} messages that cannot be stored were set aside",
            queue.dead
        );
        found.push(notice(None, "dead letters", says));
    }
}

fn registrations(report: &StatusReport, found: &mut Vec<Concern>) {
    for one in &report.registrations {
        let subject = one.key.trim_start_matches("/services/");
        if one.health != "healthy" {
            let says = format!("it is registered as {}", one.health);
            found.push(problem(None, subject, says));
        } else if one.lease_remaining_seconds.is_none() {
            let says = "it is registered without a lease and stays when the worker is gone";
            found.push(notice(None, subject, says));
        }
    }
}

/// `workers: 1.2 (edge), 1.3 (central)`
fn skew(versions: &VersionStatus) -> Option<Concern> {
    if !versions.is_skewed {
        return None;
    }
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in &versions.seen {
        let shown = match &one.reported {
            Some(reported) if *reported != one.version => format!("{} ({reported})", one.version),
            _ => one.version.clone(),
        };
        let clusters = places.entry(shown).or_default();
        if !clusters.contains(&one.cluster.as_str()) {
            clusters.push(&one.cluster);
        }
    }
    let listed: Vec<String> = places
        .iter()
        .map(|(version, clusters)| format!("{version} in {}", clusters.join(", ")))
        .collect();
    let says = format!("versions differ: {}", listed.join("; "));
    Some(match versions.of {
        "telectl" => notice(None, "deployed with telectl", says),
        of => problem(None, of, says),
    })
}

fn data(data: &DataStatus, found: &mut Vec<Concern>) {
    let known = &data.freshness;
    let subject = format!("data of {}", known.cluster);
    if data.is_stalled {
        let minutes = data.ingest_age_seconds.unwrap_or_default() / 60;
        let says = format!(
            "nothing came in for {minutes} min, and {} of {} sources are not stored whole",
            known.incomplete_sources, known.sources
        );
        found.push(problem(None, &subject, says));
    }
    if known.gpus_behind > 0 {
        let says = format!(
            "{} of {} GPUs on {} hosts are behind the newest event by more than 5 min",
            known.gpus_behind, known.gpus, known.hosts_behind
        );
        found.push(notice(None, format!("GPUs of {}", known.cluster), says));
    }
}

fn certificates(report: &StatusReport, found: &mut Vec<Concern>) {
    for one in &report.certificates {
        let subject = format!("certificate of {}", one.server);
        let days = one.days_left;
        if days < FAILURE_DAYS {
            let says = match days {
                ..0 => format!("it expired on {}", one.not_after),
                _ => format!("it expires in {days} days: deploy again"),
            };
            found.push(problem(None, subject, says));
        } else if days < WARNING_DAYS {
            let says = format!("it expires in {days} days: deploying again renews it");
            found.push(notice(None, subject, says));
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
