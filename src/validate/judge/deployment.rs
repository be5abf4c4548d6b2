//! Clusters, workloads and Services.

use std::collections::BTreeSet;

use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::profile::Profile;
use crate::probe::Cause;
use crate::validate::check;
use crate::validate::facts::{Listing, Pod, ServiceFacts, Unseen, Workload};
use crate::validate::finding::{Finding, Remedy};
use crate::validate::observe::{ApiServer, Observed, SiteFacts};
use crate::validate::remedy;

pub(super) fn api_server(site: &SiteFacts) -> Finding {
    let finding = Finding::new(&check::API_SERVER, &site.context, &site.server);
    match &site.api {
        ApiServer::Answers {
            version,
            latency_ms,
        } => finding
            .seen(format!("version {version}"))
            .timed(Some(&site.server), *latency_ms),
        ApiServer::Fails { cause, detail } => finding
            .seen(format!("{cause}: {detail}"))
            .failed(Some(*cause), "an answer")
            .remedy(remedy::api_server(site, *cause)),
    }
}

/// What could not be read. It is a failure where a component that has to be there could not be
/// looked for: a run that sees nothing must not pass.
pub(super) fn gaps(site: &SiteFacts) -> Vec<Finding> {
    let unseen = is_something_unseen(site);
    let of_lists = site.objects.unread.iter().map(|unread| {
        let finding = Finding::new(&check::API_READ, &site.context, unread.what());
        let finding = finding.seen(&unread.why);
        let expected = "leave to read them";
        let finding = if unseen && Listing::WORKLOADS.contains(&unread.listing) {
            finding.failed(None, expected)
        } else {
            finding.warning(expected)
        };
        finding.remedy(remedy::give_leave(site, unread))
    });
    let others = site.gaps.iter().map(|gap| {
        Finding::new(&check::API_READ, &site.context, "objects")
            .seen(gap)
            .warning("leave to read them")
            .remedy(Remedy::text(
                "give the user of this context leave to do what the message names",
            ))
    });
    of_lists.chain(others).collect()
}

/// Whether something that has to be there was not seen.
fn is_something_unseen(site: &SiteFacts) -> bool {
    let objects = &site.objects;
    let mut required = required(site);
    required.any(|component| objects.workloads_of(component).next().is_none())
        || objects.unseen_workloads().next().is_some()
        || objects.components().is_empty()
}

/// The components that the cluster's roles ask for.
fn required(site: &SiteFacts) -> impl Iterator<Item = Component> {
    let workers = site.roles.iter().flat_map(|role| role.workers());
    workers.copied()
}

/// The workers that the cluster's roles ask for, what telectl recorded that it deployed, and every
/// other component that is there. A cluster with nothing of all this is a failure, too.
pub(super) fn workloads(observed: &Observed, site: &SiteFacts) -> Vec<Finding> {
    let mut wanted: BTreeSet<Component> = required(site).collect();
    let unseen: Vec<Unseen<'_>> = site.objects.unseen_workloads().collect();
    // The record says more of one than its role does.
    wanted.retain(|component| !unseen.iter().any(|one| one.object.name == component.name()));
    wanted.extend(site.objects.components());
    if wanted.is_empty() && unseen.is_empty() {
        return vec![nothing(observed, site)];
    }
    let of_components = wanted
        .into_iter()
        .flat_map(|component| component_findings(observed, site, component));
    let of_records = unseen.iter().map(|one| recorded(observed, site, one));
    of_components.chain(of_records).collect()
}

/// A workload that a record lists and that was not seen.
fn recorded(observed: &Observed, site: &SiteFacts, unseen: &Unseen<'_>) -> Finding {
    let (profile, object) = (unseen.profile, unseen.object);
    let argument = format!("{}/{}", object.kind.name().to_lowercase(), object.name);
    let subject = format!("{}/{argument}", object.namespace);
    let finding = Finding::new(&check::WORKLOAD_READY, &site.context, subject);
    match unseen.unread {
        Some(unread) => finding.skipped(super::unreadable(unread)),
        None => finding
            .seen(format!(
                "it is gone: profile {profile} was deployed with it"
            ))
            .failed(None, "a workload with ready pods")
            .remedy(remedy::deploy_profile(observed, site, profile)),
    }
}

/// The cluster's roles ask for no worker, and nothing of the pipeline was seen.
fn nothing(observed: &Observed, site: &SiteFacts) -> Finding {
    let roles: Vec<&str> = site.roles.iter().map(|role| role.word()).collect();
    let finding = Finding::new(&check::WORKLOAD_READY, &site.context, roles.join(", "));
    match site.objects.unread(&Listing::WORKLOADS) {
        Some(unread) => finding.skipped(super::unreadable(unread)),
        None => finding
            .seen(format!(
                "nothing of the pipeline in {}",
                site.namespaces.join(", ")
            ))
            .failed(None, "a workload with ready pods")
            .remedy(remedy::deploy_profile(observed, site, Profile::Shared)),
    }
}

fn component_findings(observed: &Observed, site: &SiteFacts, component: Component) -> Vec<Finding> {
    let found: Vec<Finding> = site
        .objects
        .workloads_of(component)
        .map(|workload| readiness(observed, site, component, workload))
        .collect();
    if !found.is_empty() {
        return found;
    }
    if let Some(unread) = site.objects.unread(&Listing::WORKLOADS) {
        return super::skipped_component(component, &site.context, &super::unreadable(unread));
    }
    let missing = Finding::new(&check::WORKLOAD_READY, &site.context, component.name())
        .seen(format!(
            "no workload with the label {COMPONENT}={component} in {}",
            site.namespaces.join(", ")
        ))
        .failed(None, "a workload with ready pods")
        .remedy(remedy::deploy(observed, site, component));
    vec![missing]
}

fn readiness(
    observed: &Observed,
    site: &SiteFacts,
    component: Component,
    workload: &Workload,
) -> Finding {
    let subject = format!("{}/{}", workload.namespace, workload.argument());
    let finding = Finding::new(&check::WORKLOAD_READY, &site.context, subject);
    let pods: Vec<_> = site.objects.pods_of(workload).collect();
    let unread = site
        .objects
        .unread_in(&[Listing::Pods], &workload.namespace);
    let ready = match unread {
        None => pods.iter().filter(|pod| pod.is_ready).count(),
        // Its controller can count them.
        Some(_) => usize::try_from(workload.ready).unwrap_or(0),
    };
    let wanted = usize::try_from(workload.desired).unwrap_or(0);
    let mut counted = format!("{ready} of {wanted} pods ready");
    let expected = format!("{} ready", wanted.max(1));
    let is_troubled = pods.iter().any(|pod| pod.trouble.is_some());
    if wanted > 0 && ready >= wanted {
        match &workload.rollout {
            None => return finding.seen(counted),
            // They work, and the newest revision's pods are still to come.
            Some(why) if !is_troubled => {
                return finding
                    .seen(format!("{counted}; {why}"))
                    .warning("all of the newest revision");
            }
            Some(why) => counted = format!("{counted}; {why}"),
        }
    }
    let finding = finding.seen(counted).failed(None, expected);
    if let (Some(unread), true) = (unread, wanted > 0) {
        let because = super::unreadable(unread);
        return super::and_seen(finding, &because).remedy(remedy::give_leave(site, unread));
    }
    unready(observed, site, (component, workload), &pods, finding)
}

/// Why a workload has too few ready pods; `failed` says how many there are.
fn unready(
    observed: &Observed,
    site: &SiteFacts,
    (component, workload): (Component, &Workload),
    pods: &[&Pod],
    failed: Finding,
) -> Finding {
    if workload.desired <= 0 {
        let seen = format!("{}: it is scaled to zero", failed.observed);
        let remedy = remedy::scale_up(site, workload);
        return failed.seen(seen).remedy(remedy);
    }
    if let Some(pod) = pods.iter().find(|pod| pod.trouble.is_some()) {
        let trouble = pod.trouble.clone().unwrap_or_default();
        return super::and_seen(failed, &format!("{}: {trouble}", pod.name))
            .remedy(remedy::pod_trouble(observed, site, pod, &trouble));
    }
    let runs = pods.iter().any(|pod| pod.phase == "Running");
    let faults = super::faults(site, component);
    if let (true, Some((fault, cause))) = (runs, faults.first()) {
        return failed.skipped(format!(
            "its pods run and wait for what {} found: {cause}",
            fault.id
        ));
    }
    let complaint = pods.iter().find_map(|pod| {
        let complaint = pod.complaint.as_ref()?;
        Some(format!("{}: {complaint}", pod.name))
    });
    let failed = match complaint {
        Some(complaint) => super::and_seen(failed, &complaint),
        None => failed,
    };
    failed.remedy(remedy::not_ready(site, workload, pods))
}

/// Whether a cluster's workers write to and read from the streams that the others use. The first
/// cluster with collectors counts, for it is they that move the data.
pub(super) fn pipeline(observed: &Observed, site: &SiteFacts) -> Option<Finding> {
    let of = |workload: &Workload| workload.literal("PIPELINE").map(str::to_owned);
    let collecting = observed
        .sites
        .iter()
        .flat_map(|site| site.objects.workloads_of(Component::Collector))
        .find_map(of)?;
    let workloads = [Component::Streamer, Component::Collector]
        .into_iter()
        .flat_map(|component| site.objects.workloads_of(component));
    let named: BTreeSet<String> = workloads.filter_map(of).collect();
    if named.is_empty() {
        return None;
    }
    let names: Vec<&str> = named.iter().map(String::as_str).collect();
    let finding = Finding::new(&check::ONE_PIPELINE, &site.context, "PIPELINE");
    let finding = finding.seen(names.join(", "));
    Some(if names == [collecting.as_str()] {
        finding
    } else {
        let text = format!(
            "set global.pipeline={collecting} for every profile of this pipeline and deploy again"
        );
        let finding = finding.failed(None, format!("{collecting}, as the collectors have it"));
        finding.remedy(Remedy::text(text))
    })
}

/// Services of components. One without selector and without endpoints of somebody else's is
/// nobody's fault here; an ExternalName has none by nature.
pub(super) fn services(observed: &Observed, site: &SiteFacts) -> Vec<Finding> {
    site.objects
        .services
        .iter()
        .filter(|service| service.component.is_some() && service.kind != "ExternalName")
        .map(|service| endpoints(observed, site, service))
        .collect()
}

fn endpoints(observed: &Observed, site: &SiteFacts, service: &ServiceFacts) -> Finding {
    let subject = format!("{}/service/{}", service.namespace, service.name);
    let finding = Finding::new(&check::SERVICE_ENDPOINTS, &site.context, subject);
    if !service.ready.is_empty() {
        return finding.seen(format!("ready endpoints: {}", service.ready.len()));
    }
    let slices = [Listing::EndpointSlices];
    if let Some(unread) = site.objects.unread_in(&slices, &service.namespace) {
        return finding.skipped(super::unreadable(unread));
    }
    let seen = match service.unready.len() {
        0 => "no endpoints".to_owned(),
        unready => format!("no endpoints are ready ({unready} are not)"),
    };
    finding
        .seen(format!(
            "{seen}: {}",
            remedy::why_no_endpoints(site, service)
        ))
        .failed(Some(Cause::NoEndpoints), "at least one ready endpoint")
        .remedy(remedy::no_endpoints(observed, site, service))
}
