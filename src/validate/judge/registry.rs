//! Registrations and live pods.

use std::collections::BTreeMap;

use crate::model::component::Component;
use crate::probe::{Registration, TargetKind};
use crate::validate::check;
use crate::validate::facts::Listing;
use crate::validate::finding::{Finding, Remedy};
use crate::validate::observe::{Observed, ProbeEnd, SiteFacts};
use crate::validate::registrations::{
    Reach, component, foreign_addresses, is_of, names, pods, reach, seen,
};
use crate::validate::remedy;

use super::{silent, unreadable, vantage};

pub(super) fn registrations(observed: &Observed, site: &SiteFacts) -> Vec<Finding> {
    let Some((reader, reading, all)) = seen(observed) else {
        return vec![
            Finding::new(&check::UNREGISTERED, &site.context, "registrations")
                .skipped(why_unseen(observed)),
        ];
    };
    let position = vantage(&reader.context, reading);
    let mine: Vec<&Registration> = all
        .iter()
        .filter(|registration| is_of(site, registration))
        .collect();
    let mut findings = match site.objects.unread(&Listing::COMPONENT_PODS) {
        None => compared(site, &mine, &position),
        // Without the pods, every registration looks like one of a pod that is gone.
        Some(unread) => [&check::UNREGISTERED, &check::STALE, &check::WRONG_ADDRESS]
            .map(|check| {
                Finding::new(check, &site.context, "registrations")
                    .from(&position)
                    .skipped(unreadable(unread))
            })
            .into(),
    };
    if std::ptr::eq(reader, site) {
        findings.extend(malformed(site, all, &position));
    }
    findings.extend(reachable(observed, site));
    findings
}

/// What comes of the registrations beside the pods.
fn compared(site: &SiteFacts, mine: &[&Registration], position: &str) -> Vec<Finding> {
    let mut findings = unregistered(site, mine, position);
    findings.push(stale(site, mine, position));
    findings.push(wrong(site, mine, position));
    findings
}

fn why_unseen(observed: &Observed) -> String {
    let asked = observed
        .sites
        .iter()
        .flat_map(SiteFacts::reports)
        .flat_map(|(_, report)| &report.targets)
        .any(|target| target.kind == TargetKind::Etcd);
    if asked {
        format!("no probe could read etcd ({})", check::ETCD.id)
    } else {
        "no worker that was probed has ETCD_ENDPOINTS".to_owned()
    }
}

fn unregistered(site: &SiteFacts, mine: &[&Registration], position: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for worker in Component::WORKERS {
        let ready: Vec<_> = pods(site, worker).filter(|pod| pod.is_ready).collect();
        if ready.is_empty() {
            continue;
        }
        let missing: Vec<&str> = ready
            .iter()
            .filter(|pod| !mine.iter().any(|one| names(site, one, worker, pod)))
            .map(|pod| pod.name.as_str())
            .collect();
        let registered = ready.len() - missing.len();
        let finding = Finding::new(&check::UNREGISTERED, &site.context, worker.name())
            .from(position)
            .seen(format!("{registered} of {} ready pods", ready.len()));
        findings.push(if missing.is_empty() {
            finding
        } else {
            finding
                .seen(format!("not registered: {}", missing.join(", ")))
                .failed(None, "every ready pod is registered")
                .remedy(remedy::unregistered(site, missing[0], &ready[0].namespace))
        });
    }
    findings
}

fn stale(site: &SiteFacts, mine: &[&Registration], position: &str) -> Finding {
    let finding = Finding::new(&check::STALE, &site.context, "registrations").from(position);
    let is_live = |one: &Registration| {
        component(one)
            .is_some_and(|worker| pods(site, worker).any(|pod| names(site, one, worker, pod)))
    };
    let gone: Vec<&&Registration> = mine.iter().filter(|one| !is_live(one)).collect();
    if gone.is_empty() {
        return finding.seen(format!("{} registrations, all live", mine.len()));
    }
    let for_ever: Vec<&str> = gone
        .iter()
        .filter(|one| one.lease_remaining_s.is_none())
        .map(|one| one.key.as_str())
        .collect();
    if !for_ever.is_empty() {
        return finding
            .seen(format!(
                "without worker and without lease: {}",
                for_ever.join(", ")
            ))
            .failed(None, "every registration has a live pod")
            .remedy(remedy::forget(site, &for_ever));
    }
    let listed: Vec<String> = gone
        .iter()
        .map(|one| {
            let left = one.lease_remaining_s.unwrap_or_default();
            format!("{} ({left} s left)", one.key)
        })
        .collect();
    finding
        .seen(format!("without worker: {}", listed.join(", ")))
        .warning("every registration has a live pod")
        .remedy(Remedy::text(
            "wait until the lease ends; if the registration stays, somebody else renews it",
        ))
}

fn wrong(site: &SiteFacts, mine: &[&Registration], position: &str) -> Finding {
    let finding = Finding::new(&check::WRONG_ADDRESS, &site.context, "addresses").from(position);
    let complaints: Vec<String> = mine.iter().filter_map(|one| complaint(site, one)).collect();
    if complaints.is_empty() {
        return finding.seen(format!("{} addresses lead to their worker", mine.len()));
    }
    finding
        .seen(complaints.join("; "))
        .failed(None, "addresses that lead to the worker")
        .remedy(Remedy::text(
            "set EXTERNAL_SERVICE_ADDRESS (value `advertise.externalServiceAddress`) or leave it \
             to POD_IP, and deploy again; a worker registers again when it starts",
        ))
}

fn complaint(site: &SiteFacts, registration: &Registration) -> Option<String> {
    let record = registration.record.as_ref()?;
    let worker = component(registration)?;
    let pod = pods(site, worker).find(|pod| names(site, registration, worker, pod))?;
    let key = &registration.key;
    let address = &record.address;
    match reach(site, registration) {
        Reach::Nowhere => Some(format!("{key} says {address}, which leads nowhere")),
        Reach::Pod if *address != pod.ip => {
            Some(format!("{key} says {address}, and the pod has {}", pod.ip))
        }
        Reach::Pod | Reach::Cluster | Reach::Outside => None,
    }
}

fn malformed(site: &SiteFacts, all: &[Registration], position: &str) -> Vec<Finding> {
    all.iter()
        .filter_map(|one| {
            let reason = one.malformed.as_ref()?;
            Some(
                Finding::new(&check::WRONG_ADDRESS, &site.context, &one.key)
                    .from(position)
                    .seen(format!("its value is no registration: {reason}"))
                    .failed(None, "a registration")
                    .remedy(remedy::forget(site, &[one.key.as_str()])),
            )
        })
        .collect()
}

/// Addresses of other clusters, as a pod of this one reaches them.
fn reachable(observed: &Observed, site: &SiteFacts) -> Vec<Finding> {
    let Some(probe) = &site.reached else {
        return Vec::new();
    };
    let ProbeEnd::Reported(report) = &probe.end else {
        return vec![
            Finding::new(&check::REACHABLE, &site.context, "registered addresses")
                .from(vantage(&site.context, probe.component))
                .skipped("the probe that was to ask for them did not run"),
        ];
    };
    let unknown = unknown_homes(observed, site);
    let asked = report.targets.iter();
    asked
        .filter(|target| target.kind == TargetKind::Http)
        .map(|target| {
            let finding = Finding::new(&check::REACHABLE, &site.context, &target.endpoint)
                .from(vantage(&site.context, probe.component))
                .timed(target.address(), target.latency_ms());
            match target.failed_hop().and_then(|hop| hop.outcome.failure()) {
                None => finding.seen("it answers, healthy"),
                Some((cause, detail)) => match unknown.get(&target.endpoint) {
                    Some(because) => finding.skipped(because),
                    None => finding
                        .seen(format!("{cause}: {detail}"))
                        .failed(Some(cause), "an answer that says healthy")
                        .remedy(remedy::unreachable_registration(&target.endpoint, cause)),
                },
            }
        })
        .collect()
}

/// Addresses whose worker may be gone by now, because its cluster's API server does not answer; and
/// why they are not judged.
fn unknown_homes(observed: &Observed, from: &SiteFacts) -> BTreeMap<String, String> {
    foreign_addresses(observed, from)
        .into_iter()
        .filter_map(|address| {
            let home = observed
                .sites
                .iter()
                .find(|site| site.context == address.home && !site.answers())?;
            Some((address.url, silent(home)))
        })
        .collect()
}
