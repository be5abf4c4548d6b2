//! Names and connections.

use std::borrow::Cow;

use crate::model::shell::quoted;
use crate::probe::{Cause, TargetKind};
use crate::validate::facts::{Listing, Pod, text_map};
use crate::validate::finding::Remedy;

use super::{Case, Server, argument, deployment, kubectl, restart};

/// The cluster's own name service does not answer.
pub(super) fn name_service(case: &Case<'_>) -> Remedy {
    if let Some(remedy) = foreign_policy(case, "names are looked up on port 53") {
        return remedy;
    }
    let service = case.site.name_service.clone().unwrap_or_default();
    let kubectl = kubectl(case.site, "kube-system");
    if let (None, Some(why)) = (&service.workload, &service.unread) {
        return Remedy::text(format!(
            "ask whoever runs the cluster {} to look at its name service (Service kube-dns in \
             kube-system): this user may not ({why})",
            case.site.context
        ));
    }
    match service.workload {
        Some((workload, 0)) => Remedy::run(
            "the cluster's name service is scaled to zero: scale it up again",
            vec![format!(
                "{kubectl} scale {} --replicas=2",
                quoted(&workload)
            )],
        ),
        Some((workload, _)) => Remedy::run(
            "start the cluster's name service again",
            vec![
                format!("{kubectl} rollout restart {}", quoted(&workload)),
                format!(
                    "{kubectl} rollout status {} --timeout 60s",
                    quoted(&workload)
                ),
            ],
        ),
        None if service.endpoints.is_empty() => Remedy::run(
            "the Service kube-dns has no endpoints: start the cluster's name service",
            vec![format!("{kubectl} get endpointslices,pods")],
        ),
        None => Remedy::run(
            format!(
                "start the name service behind the Service kube-dns, at {} port 53; it does not \
                 run in the cluster",
                service.endpoints.join(", ")
            ),
            vec![format!("{kubectl} get service kube-dns")],
        ),
    }
}

/// The name servers answer that there is no such name.
pub(super) fn wrong_name(case: &Case<'_>) -> Remedy {
    if case.target.kind == TargetKind::ClusterDns {
        return name_service(case);
    }
    let host = case.host();
    let (address, _, _) = case.variables();
    let right = case.server().and_then(|server| {
        let service = server.service?;
        Some(format!("{}.{}.svc", service.name, service.namespace))
    });
    let hint = right.map_or_else(String::new, |name| {
        format!("; in the server's own cluster its name is {name}")
    });
    undo(
        case,
        format!(
            "`{host}` does not exist: correct {}{hint}. If it came from your values, correct them \
             and deploy again; if somebody edited the workload, take that back",
            case.origin(address)
        ),
    )
}

/// A setting makes no sense, or does not fit the server.
pub(super) fn wrong_settings(case: &Case<'_>) -> Remedy {
    let (address, _, _) = case.variables();
    undo(
        case,
        format!(
            "correct the settings beside {} (TLS or not, authority, port) in your values and \
             deploy again; if somebody edited the workload, take that back",
            case.origin(address)
        ),
    )
}

/// Takes back the last change of the workload's pod template.
fn undo(case: &Case<'_>, text: String) -> Remedy {
    let Some(workload) = case.workload() else {
        return Remedy::text(text);
    };
    let kubectl = kubectl(case.site, &workload.namespace);
    let argument = argument(workload);
    let mut commands = vec![format!("{kubectl} rollout undo {argument}")];
    let restarted = restart(case.site, workload);
    // A StatefulSet waits for ever for a pod that cannot become ready.
    commands.extend(
        restarted
            .into_iter()
            .filter(|command| command.contains(" delete pod ")),
    );
    commands.push(format!(
        "{kubectl} rollout status {argument} --timeout 120s"
    ));
    Remedy::run(text, commands)
}

/// A name was found and no connection was made.
pub(super) fn no_connection(case: &Case<'_>) -> Remedy {
    let Some(server) = case.server() else {
        return elsewhere(case);
    };
    if let Some(remedy) = server_down(case, &server) {
        return remedy;
    }
    let slices = [Listing::EndpointSlices];
    if let Some(service) = server.service
        && service.ready.is_empty()
        && let objects = &server.site.objects
        && objects.unread_in(&slices, &service.namespace).is_none()
    {
        return deployment::no_endpoints(case.observed, server.site, service);
    }
    let address = case.target.address().unwrap_or(&case.target.endpoint);
    if case.cause == Cause::Refused {
        return Remedy::run(
            format!(
                "{} runs, and nothing listens at {address}: compare {} with its Service",
                case.target.kind,
                case.origin(case.variables().0)
            ),
            vec![format!(
                "{} get service,endpointslices",
                kubectl(server.site, &server.workload.namespace)
            )],
        );
    }
    let flow = format!("connections go to {address}");
    foreign_policy(case, &flow).unwrap_or_else(|| firewall(case, &server, address))
}

/// The server has no pod that could answer.
fn server_down(case: &Case<'_>, server: &Server<'_>) -> Option<Remedy> {
    let pods: Vec<&Pod> = server.site.objects.pods_of(server.workload).collect();
    if server.workload.desired == 0 {
        return Some(deployment::scale_up(server.site, server.workload));
    }
    if let Some(pod) = pods.iter().find(|pod| pod.trouble.is_some()) {
        let trouble = pod.trouble.clone().unwrap_or_default();
        return Some(deployment::pod_trouble(
            case.observed,
            server.site,
            pod,
            &trouble,
        ));
    }
    let unread = server
        .site
        .objects
        .unread_in(&[Listing::Pods], &server.workload.namespace);
    let is_ready = match unread {
        None => pods.iter().any(|pod| pod.is_ready),
        Some(_) => server.workload.ready > 0,
    };
    (!is_ready).then(|| deployment::not_ready(server.site, server.workload, &pods))
}

fn elsewhere(case: &Case<'_>) -> Remedy {
    let address = case.target.address().unwrap_or(&case.target.endpoint);
    if let Some(remedy) = foreign_policy(case, &format!("connections go to {address}")) {
        return remedy;
    }
    let mut sites = case.observed.sites.iter();
    let unread = sites.find_map(|site| site.objects.unread(&Listing::WORKLOADS));
    let where_not = match unread {
        None => "is not in the clusters that were given".to_owned(),
        Some(unread) => format!(
            "was not seen in the clusters that were given ({} could not be read)",
            unread.what()
        ),
    };
    Remedy::text(format!(
        "{} {where_not}: make sure that it runs at {address} and that \
         the firewalls between let {} connect; its address comes from {}",
        case.target.kind,
        case.site.context,
        case.origin(case.variables().0)
    ))
}

/// Policies that telectl did not make and that restrict what leaves the pods.
fn foreign_policy(case: &Case<'_>, flow: &str) -> Option<Remedy> {
    let workload = case.workload()?;
    let labels = text_map(&workload.template["metadata"]["labels"]);
    let policies: Vec<Cow<'_, str>> = case
        .site
        .objects
        .policies
        .iter()
        .filter(|policy| policy.namespace == workload.namespace)
        .filter(|policy| !policy.is_ours && policy.restricts_egress)
        .filter(|policy| policy.selector.selects(&labels))
        .map(|policy| quoted(&policy.name))
        .collect();
    if policies.is_empty() {
        return None;
    }
    let names = policies.join(" ");
    Some(Remedy::run(
        format!(
            "{flow}, and NetworkPolicy {names} restricts what leaves the pods of {}: allow this in \
             it, or delete it",
            workload.argument()
        ),
        vec![format!(
            "{} delete networkpolicy {names}",
            kubectl(case.site, &workload.namespace)
        )],
    ))
}

/// The server is well and nothing in the cluster stands in the way.
fn firewall(case: &Case<'_>, server: &Server<'_>, address: &str) -> Remedy {
    let from = &case.site.context;
    let to = &server.site.context;
    let policies = |context: &str| {
        let context = quoted(context);
        format!("kubectl --context {context} get networkpolicies -A")
    };
    Remedy::run(
        format!(
            "{} is ready in {to}, and packets from {from} to {address} get no answer: something \
             between drops them. Allow TCP to {address} from the nodes and pods of {from} in the \
             firewalls (nodes, security groups, routers) and network policies between the clusters; \
             `nft list ruleset` shows those of a node",
            case.target.kind
        ),
        vec![policies(from), policies(to)],
    )
}

/// An address that a worker registered for everybody and that a cluster does not reach.
pub(crate) fn unreachable_registration(url: &str, cause: Cause) -> Remedy {
    let is_about_certificate = matches!(
        cause,
        Cause::CertificateNotTrusted | Cause::CertificateNameMismatch | Cause::CertificateExpired
    );
    Remedy::text(if is_about_certificate {
        format!(
            "renew the certificate behind {url} for the address in it, signed by the authority that \
             this cluster knows (telectl deploy does so where the Secret of the worker's \
             tls.existingSecret is left to it)"
        )
    } else {
        format!(
            "make {url} reachable from this cluster (its Service's type, its load balancer, the \
             firewalls between), or advertise another address with EXTERNAL_SERVICE_ADDRESS"
        )
    })
}
