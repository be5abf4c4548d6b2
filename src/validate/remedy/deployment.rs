//! Clusters, workloads, Services, probes and registrations.

use crate::deploy::certificates::RENEWAL_DAYS;
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::object::ObjectKind;
use crate::model::profile::Profile;
use crate::model::shell::quoted;
use crate::probe::job::PROBE_LABEL;
use crate::probe::{Cause, TargetKind};
use crate::validate::facts::{
    Listing, Pod, Role, ServiceFacts, Unread, Workload, labels::Labels, text_map,
};
use crate::validate::finding::Remedy;
use crate::validate::observe::{Asked, Observed, ProbeFacts, SiteFacts};

use super::{argument, kubectl, listed, restart};

/// Replicas that a workload gets back that was scaled to zero and has no autoscaler.
const REPLICAS: i64 = 1;

pub(crate) fn api_server(site: &SiteFacts, cause: Cause) -> Remedy {
    let text = match cause {
        Cause::AuthenticationFailed | Cause::PermissionDenied => {
            "renew the credentials of this context in the kubeconfig"
        }
        Cause::CertificateNotTrusted => {
            "the kubeconfig's certificate-authority is not that of this API server: fetch it again"
        }
        _ => "start the API server, or correct its address in the kubeconfig",
    };
    Remedy::run(
        text,
        vec![format!(
            "kubectl --context {} get --raw /readyz",
            quoted(&site.context)
        )],
    )
}

/// The user of a context may not read a list: what to grant, and the command that tells whether it
/// is granted now.
pub(crate) fn give_leave(site: &SiteFacts, unread: &Unread) -> Remedy {
    let (verb, resource) = (unread.listing.verb(), unread.listing.resource());
    Remedy::run(
        format!(
            "give the user of this context leave to {verb} {resource} in namespace {}; until then \
             what depends on it is not known",
            unread.namespace
        ),
        vec![format!(
            "{} auth can-i {verb} {resource}",
            kubectl(site, &unread.namespace)
        )],
    )
}

/// The user of a context may not ask pods through the API server.
pub(crate) fn give_leave_to_ask(site: &SiteFacts) -> Remedy {
    let commands = site.namespaces.iter().map(|namespace| {
        format!(
            "{} auth can-i get pods --subresource=proxy",
            kubectl(site, namespace)
        )
    });
    Remedy::run(
        "give the user of this context leave to get pods/proxy; until then the workers cannot be \
         asked how they are",
        commands.collect(),
    )
}

/// The command that deploys a component to its cluster again, with the contexts that were given.
pub(crate) fn deploy(observed: &Observed, site: &SiteFacts, component: Component) -> Remedy {
    let has = |role| site.roles.contains(&role);
    let profile = match component {
        _ if has(Role::Edge) && has(Role::Central) => Profile::SameCluster,
        Component::Streamer => Profile::Edge,
        Component::Redis | Component::Etcd => Profile::Shared,
        Component::Collector | Component::ApiGateway | Component::Postgresql => Profile::Central,
    };
    deploy_profile(observed, site, profile)
}

/// The command that deploys a profile to a cluster again, with the contexts that were given.
pub(crate) fn deploy_profile(observed: &Observed, site: &SiteFacts, profile: Profile) -> Remedy {
    let mut command = format!(
        "telectl deploy {profile} --context {}",
        quoted(&site.context)
    );
    let given = |role: Role| {
        let mut sites = observed.sites.iter();
        sites.find(|other| other.context != site.context && other.roles.contains(&role))
    };
    let (central, shared) = (given(Role::Central), given(Role::Shared));
    match profile {
        Profile::Edge => match (central, shared) {
            (None, None) => command.push_str(" --central-context CENTRAL"),
            (Some(central), None) => flag(&mut command, "central", central),
            (None, Some(shared)) => flag(&mut command, "shared", shared),
            (Some(central), Some(shared)) => {
                flag(&mut command, "central", central);
                if shared.context != central.context {
                    flag(&mut command, "shared", shared);
                }
            }
        },
        Profile::Central => {
            if let Some(shared) = shared {
                flag(&mut command, "shared", shared);
            }
        }
        Profile::Dev | Profile::SameCluster | Profile::Shared => {}
    }
    let usual = [Profile::Central, Profile::Shared].map(Profile::default_namespace);
    let namespace = site
        .namespaces
        .iter()
        .find(|name| !usual.contains(&name.as_str()));
    if let Some(namespace) = namespace {
        command.push_str(&format!(" --namespace {}", quoted(namespace)));
    }
    Remedy::run(
        "deploy it (with the values files of your deployment)",
        vec![command],
    )
}

fn flag(command: &mut String, role: &str, site: &SiteFacts) {
    command.push_str(&format!(" --{role}-context {}", quoted(&site.context)));
}

pub(crate) fn scale_up(site: &SiteFacts, workload: &Workload) -> Remedy {
    let target = format!("{}/{}", workload.kind, workload.name);
    let autoscaler = site.objects.autoscalers.iter().find(|autoscaler| {
        autoscaler.namespace == workload.namespace && autoscaler.target == target
    });
    let replicas = autoscaler.map_or(REPLICAS, |autoscaler| autoscaler.min.max(1));
    Remedy::run(
        "scale it up again",
        vec![format!(
            "{} scale {} --replicas={replicas}",
            kubectl(site, &workload.namespace),
            argument(workload)
        )],
    )
}

pub(crate) fn pod_trouble(
    observed: &Observed,
    site: &SiteFacts,
    pod: &Pod,
    trouble: &str,
) -> Remedy {
    let kubectl = kubectl(site, &pod.namespace);
    let describe = format!("{kubectl} describe pod {}", quoted(&pod.name));
    if let (true, Some(component)) = (
        trouble.contains("secret") && trouble.contains("not found"),
        pod.component,
    ) {
        let mut remedy = deploy(observed, site, component);
        remedy.text = "a Secret is missing: deploying again makes those that telectl makes".into();
        return remedy;
    }
    if trouble.contains("Image") {
        return Remedy::run(
            "make the image available to the node, or correct its name and deploy again",
            vec![describe],
        );
    }
    if pod.is_unplaced() {
        return Remedy::run(
            "no node takes it: add one that does, or deploy again with values that ask for less \
             (`-f lab` for small machines)",
            vec![describe],
        );
    }
    let mut commands = Vec::new();
    if pod.restarts > 0 {
        commands.push(format!(
            "{kubectl} logs {} --previous --tail 50",
            quoted(&pod.name)
        ));
    }
    commands.push(describe);
    Remedy::run("see why it does not run", commands)
}

pub(crate) fn not_ready(site: &SiteFacts, workload: &Workload, pods: &[&Pod]) -> Remedy {
    let unread = site
        .objects
        .unread_in(&[Listing::Pods], &workload.namespace);
    if let Some(unread) = unread {
        return give_leave(site, unread);
    }
    let kubectl = kubectl(site, &workload.namespace);
    let unready: Vec<&Pod> = pods.iter().copied().filter(|pod| !pod.is_ready).collect();
    if unready.is_empty() {
        return Remedy::run(
            "its controller has made no pods: see its events",
            vec![format!("{kubectl} describe {}", argument(workload))],
        );
    }
    // Nothing has run in a pod that is pending: there is no log, and to start it again is no help.
    if unready.iter().all(|pod| pod.phase == "Pending") {
        return Remedy::run(
            format!("see why {} does not start", listed(&unready)),
            vec![format!(
                "{kubectl} describe pod {}",
                quoted(&unready[0].name)
            )],
        );
    }
    let mut commands = vec![format!(
        "{kubectl} logs {} --tail 50",
        quoted(&unready[0].name)
    )];
    commands.extend(restart(site, workload));
    Remedy::run(
        format!(
            "see why {} is not ready, then start it again",
            listed(&unready)
        ),
        commands,
    )
}

/// The workload behind a Service: of its component, in its namespace.
fn behind<'a>(site: &'a SiteFacts, service: &ServiceFacts) -> Option<&'a Workload> {
    let component = service.component?;
    site.objects
        .workloads_of(component)
        .find(|workload| workload.namespace == service.namespace)
}

/// The labels that the pods of the workload behind a Service carry, if its selector misses them.
fn missed<'a>(site: &'a SiteFacts, service: &ServiceFacts) -> Option<(&'a Workload, Labels)> {
    let workload = behind(site, service)?;
    let labels = text_map(&workload.template["metadata"]["labels"]);
    let selects = !service.selector.labels.is_empty() && service.selector.selects(&labels);
    (!selects).then_some((workload, labels))
}

/// The list in which the workload behind a Service would stand, if it could not be read.
fn unread_behind<'a>(site: &'a SiteFacts, service: &ServiceFacts) -> Option<&'a Unread> {
    let objects = &site.objects;
    objects.unread_in(&Listing::WORKLOADS, &service.namespace)
}

/// Why a Service has no endpoints, in words.
pub(crate) fn why_no_endpoints(site: &SiteFacts, service: &ServiceFacts) -> String {
    match (missed(site, service), behind(site, service)) {
        (Some((workload, _)), _) => {
            format!(
                "its selector does not select the pods of {}",
                workload.argument()
            )
        }
        (None, Some(workload)) if workload.desired == 0 => {
            format!("{} is scaled to zero", workload.argument())
        }
        (None, Some(workload)) => format!("no pod of {} is ready", workload.argument()),
        (None, None) => match unread_behind(site, service) {
            Some(unread) => format!("{} could not be read", unread.what()),
            None => "there is no workload behind it".to_owned(),
        },
    }
}

pub(crate) fn no_endpoints(
    observed: &Observed,
    site: &SiteFacts,
    service: &ServiceFacts,
) -> Remedy {
    if let Some((workload, _)) = missed(site, service) {
        return select_again(site, service, workload);
    }
    match behind(site, service) {
        Some(workload) if workload.desired == 0 => scale_up(site, workload),
        Some(workload) => {
            let pods: Vec<&Pod> = site.objects.pods_of(workload).collect();
            not_ready(site, workload, &pods)
        }
        None => match (unread_behind(site, service), service.component) {
            (Some(unread), _) => give_leave(site, unread),
            (None, Some(component)) => deploy(observed, site, component),
            (None, None) => Remedy::text("deploy the workload that it stands for"),
        },
    }
}

/// A patch that gives the Service the selector of the workload: keys that are too many become
/// null, which removes them.
fn select_again(site: &SiteFacts, service: &ServiceFacts, workload: &Workload) -> Remedy {
    let right = &workload.selector.labels;
    let mut selector = serde_json::Map::new();
    for name in service.selector.labels.keys() {
        selector.insert(name.clone(), serde_json::Value::Null);
    }
    for (name, value) in right {
        selector.insert(name.clone(), value.clone().into());
    }
    let patch = serde_json::json!({"spec": {"selector": selector}});
    Remedy::run(
        format!(
            "let the Service select the pods of {} again",
            workload.argument()
        ),
        vec![format!(
            "{} patch service {} --type merge -p {}",
            kubectl(site, &service.namespace),
            quoted(&service.name),
            quoted(&patch.to_string())
        )],
    )
}

pub(crate) fn cannot_start(
    observed: &Observed,
    site: &SiteFacts,
    probe: &ProbeFacts,
    reason: &str,
) -> Remedy {
    let pod = Pod {
        namespace: probe.namespace.clone(),
        name: format!("--selector={COMPONENT}={}", probe.component),
        component: Some(probe.component),
        ..Pod::default()
    };
    if reason.contains("not found") || reason.contains("Image") {
        return pod_trouble(observed, site, &pod, reason);
    }
    Remedy::run(
        "the next pod of the workload will not start either: see its events",
        vec![format!(
            "{} get events --sort-by .lastTimestamp",
            kubectl(site, &probe.namespace)
        )],
    )
}

pub(crate) fn probe_out_of_time(site: &SiteFacts, probe: &ProbeFacts) -> Remedy {
    Remedy::run(
        "its pod was not created or not started in time (quota, admission, a busy node): see the \
         events, then repeat with a longer --timeout",
        vec![format!(
            "{} get events --sort-by .lastTimestamp",
            kubectl(site, &probe.namespace)
        )],
    )
}

/// Something of a probe may be left.
pub(crate) fn clear_away(site: &SiteFacts, namespace: &str) -> Remedy {
    Remedy::run(
        "it ends by itself within minutes, and the next run deletes what is left; or see what keeps \
         it",
        vec![format!(
            "{} get jobs,pods --selector={PROBE_LABEL}",
            kubectl(site, namespace)
        )],
    )
}

pub(crate) fn renew(kind: TargetKind) -> Remedy {
    Remedy::text(format!(
        "deploy again: `telectl deploy-all` signs a new server certificate for {kind} when the old \
         one has less than {RENEWAL_DAYS} days left or lacks an address; give a certificate of your \
         own if somebody else signs"
    ))
}

/// The probe reaches everything and the worker does not: it holds what it started with.
pub(crate) fn unhealthy(site: &SiteFacts, asked: &Asked) -> Remedy {
    let mut workloads = site.objects.workloads_of(asked.component);
    match workloads.next() {
        Some(workload) => Remedy::run(
            "the worker holds the settings that it started with, and a fresh probe finds nothing \
             wrong: start it again",
            match workload.kind {
                ObjectKind::StatefulSet => vec![format!(
                    "{} delete pod {} --ignore-not-found",
                    kubectl(site, &workload.namespace),
                    quoted(&asked.pod)
                )],
                _ => restart(site, workload),
            },
        ),
        None => Remedy::text("start the worker again"),
    }
}

pub(crate) fn unregistered(site: &SiteFacts, pod: &str, namespace: &str) -> Remedy {
    let kubectl = kubectl(site, namespace);
    Remedy::run(
        "a worker registers again by itself within its lease time; if it does not, see what it \
         says about its registration",
        vec![format!("{kubectl} logs {} --tail 50", quoted(pod))],
    )
}

pub(crate) fn forget(site: &SiteFacts, keys: &[&str]) -> Remedy {
    let etcd = site.objects.workloads_of(Component::Etcd).next();
    let text = "delete the registration: nobody renews it";
    match etcd {
        Some(etcd) => Remedy::run(
            text,
            keys.iter()
                .map(|key| {
                    format!(
                        "{} exec {} -- etcdctl del {}",
                        kubectl(site, &etcd.namespace),
                        quoted(&format!("{}-0", etcd.name)),
                        quoted(key)
                    )
                })
                .collect(),
        ),
        None => {
            let keys: Vec<_> = keys.iter().map(|key| quoted(key)).collect();
            Remedy::text(format!("{text}: etcdctl del {}", keys.join(" ")))
        }
    }
}
