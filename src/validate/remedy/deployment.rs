//! Clusters, workloads, Services, probes and registrations.

use crate::deploy::certificates::RENEWAL_DAYS;
use crate::model::object::ObjectKind;
use crate::probe::{Cause, TargetKind};
use crate::validate::facts::{Pod, Role, ServiceFacts, Workload, labels::Labels, text_map};
use crate::validate::finding::Remedy;
use crate::validate::observe::{Asked, ProbeFacts, SiteFacts};

use super::{kubectl, listed, restart};

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
            site.context
        )],
    )
}

/// The command that deploys what a cluster's roles ask for.
pub(crate) fn deploy(site: &SiteFacts) -> Remedy {
    let context = &site.context;
    let both = site.roles.contains(&Role::Edge) && site.roles.contains(&Role::Central);
    let command = if both {
        format!("telectl deploy same-cluster --context {context}")
    } else if site.roles.contains(&Role::Edge) {
        format!("telectl deploy edge --context {context}")
    } else {
        format!("telectl deploy central --context {context}")
    };
    Remedy::run(
        "deploy it (with the values files and further contexts of your deployment)",
        vec![command],
    )
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
            workload.argument()
        )],
    )
}

pub(crate) fn pod_trouble(site: &SiteFacts, pod: &Pod, trouble: &str) -> Remedy {
    let kubectl = kubectl(site, &pod.namespace);
    if trouble.contains("secret") && trouble.contains("not found") {
        let mut remedy = deploy(site);
        remedy.text = "a Secret is missing: deploying again makes those that telectl makes".into();
        return remedy;
    }
    if trouble.contains("Image") {
        return Remedy::run(
            "make the image available to the node, or correct its name and deploy again",
            vec![format!("{kubectl} describe pod {}", pod.name)],
        );
    }
    Remedy::run(
        "see why it does not run",
        vec![
            format!("{kubectl} logs {} --previous --tail 50", pod.name),
            format!("{kubectl} describe pod {}", pod.name),
        ],
    )
}

pub(crate) fn not_ready(site: &SiteFacts, workload: &Workload, pods: &[&Pod]) -> Remedy {
    let kubectl = kubectl(site, &workload.namespace);
    let unready: Vec<&Pod> = pods.iter().copied().filter(|pod| !pod.is_ready).collect();
    if unready.is_empty() {
        return Remedy::run(
            "its controller has made no pods: see its events",
            vec![format!("{kubectl} describe {}", workload.argument())],
        );
    }
    let mut commands = vec![format!("{kubectl} logs {} --tail 50", unready[0].name)];
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
        (None, None) => "there is no workload behind it".to_owned(),
    }
}

pub(crate) fn no_endpoints(site: &SiteFacts, service: &ServiceFacts) -> Remedy {
    if let Some((workload, _)) = missed(site, service) {
        return select_again(site, service, workload);
    }
    match behind(site, service) {
        Some(workload) if workload.desired == 0 => scale_up(site, workload),
        Some(workload) => {
            let pods: Vec<&Pod> = site.objects.pods_of(workload).collect();
            not_ready(site, workload, &pods)
        }
        None => deploy(site),
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
            "{} patch service {} --type merge -p '{patch}'",
            kubectl(site, &service.namespace),
            service.name
        )],
    )
}

pub(crate) fn cannot_start(site: &SiteFacts, probe: &ProbeFacts, reason: &str) -> Remedy {
    let pod = Pod {
        namespace: probe.namespace.clone(),
        name: format!("-l app.kubernetes.io/component={}", probe.component),
        ..Pod::default()
    };
    if reason.contains("not found") || reason.contains("Image") {
        return pod_trouble(site, &pod, reason);
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
                    asked.pod
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
        vec![format!("{kubectl} logs {pod} --tail 50")],
    )
}

pub(crate) fn forget(site: &SiteFacts, keys: &[&str]) -> Remedy {
    let etcd = site
        .objects
        .workloads_of(crate::model::component::Component::Etcd)
        .next();
    let text = "delete the registration: nobody renews it";
    match etcd {
        Some(etcd) => Remedy::run(
            text,
            keys.iter()
                .map(|key| {
                    format!(
                        "{} exec {}-0 -- etcdctl del {key}",
                        kubectl(site, &etcd.namespace),
                        etcd.name
                    )
                })
                .collect(),
        ),
        None => Remedy::text(format!("{text}: etcdctl del {}", keys.join(" "))),
    }
}

pub(crate) fn unreachable_registration(url: &str) -> Remedy {
    Remedy::text(format!(
        "make {url} reachable from this cluster (its Service's type, its load balancer, the \
         firewalls between), or advertise another address with EXTERNAL_SERVICE_ADDRESS"
    ))
}
