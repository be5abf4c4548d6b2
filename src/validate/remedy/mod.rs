//! What to do about a finding: in words, and as commands that can be pasted into a shell. Pure.
//!
//! The commands are made from what was observed: contexts, namespaces and names are real. Every such
//! word is quoted, for anybody may have written it.

mod credentials;
mod data;
mod deployment;
mod network;

use std::borrow::Cow;

use crate::config::worker::REDIS_ADDRESSES;
use crate::model::component::Component;
use crate::model::shell::quoted;
use crate::probe::{Cause, TargetKind, TargetReport};

use super::facts::{EnvSource, Pod, ServiceFacts, Workload};
use super::finding::Remedy;
use super::observe::{Observed, ProbeFacts, SiteFacts};

pub(super) use data::lost;
pub(super) use deployment::{
    api_server, cannot_start, clear_away, deploy, deploy_profile, forget, give_leave,
    give_leave_to_ask, no_endpoints, not_ready, pod_trouble, probe_out_of_time, renew, scale_up,
    unhealthy, unregistered, why_no_endpoints,
};
pub(super) use network::unreachable_registration;

/// `kubectl` for one namespace of one cluster.
fn kubectl(site: &SiteFacts, namespace: &str) -> String {
    format!(
        "kubectl --context {} -n {}",
        quoted(&site.context),
        quoted(namespace)
    )
}

/// A workload as kubectl takes it in a command.
fn argument(workload: &Workload) -> String {
    quoted(&workload.argument()).into_owned()
}

/// Makes the pods of a workload read their variables again. A StatefulSet does not replace a pod
/// while another one is not ready, so there the pods that are not ready are deleted instead.
fn restart(site: &SiteFacts, workload: &Workload) -> Vec<String> {
    let kubectl = kubectl(site, &workload.namespace);
    let unready: Vec<Cow<'_, str>> = site
        .objects
        .pods_of(workload)
        .filter(|pod| !pod.is_ready)
        .map(|pod| quoted(&pod.name))
        .collect();
    if workload.kind == crate::model::object::ObjectKind::StatefulSet && !unready.is_empty() {
        return vec![format!(
            "{kubectl} delete pod {} --ignore-not-found",
            unready.join(" ")
        )];
    }
    vec![format!("{kubectl} rollout restart {}", argument(workload))]
}

/// A probe's target that failed, and everything that is known around it.
pub(super) struct Case<'a> {
    pub(super) observed: &'a Observed,
    pub(super) site: &'a SiteFacts,
    pub(super) probe: &'a ProbeFacts,
    pub(super) target: &'a TargetReport,
    pub(super) cause: Cause,
}

/// The server that a target is, where it is one of the clusters'.
struct Server<'a> {
    site: &'a SiteFacts,
    workload: &'a Workload,
    service: Option<&'a ServiceFacts>,
}

impl<'a> Case<'a> {
    /// What to do.
    pub(super) fn remedy(&self) -> Remedy {
        match self.cause {
            Cause::DnsUnreachable | Cause::DnsTimedOut | Cause::DnsFailed => {
                network::name_service(self)
            }
            Cause::NameNotFound => network::wrong_name(self),
            Cause::Refused | Cause::TimedOut | Cause::Unreachable | Cause::ConnectionClosed => {
                network::no_connection(self)
            }
            Cause::AuthenticationFailed => credentials::login(self),
            Cause::CertificateNotTrusted => credentials::authority(self),
            Cause::CertificateNameMismatch | Cause::CertificateExpired => renew(self.target.kind),
            Cause::TlsFailed | Cause::Misconfigured => network::wrong_settings(self),
            Cause::PermissionDenied => Remedy::text(format!(
                "give the user of the worker the rights that the message names on {}",
                self.target.kind
            )),
            Cause::DatabaseNotFound => Remedy::text(
                "create the database that DB_NAME names, or correct DB_NAME and deploy again",
            ),
            Cause::ReadOnly => Remedy::text(format!(
                "point the workers at the primary server of {}, or promote this one",
                self.target.kind
            )),
            Cause::NotReady => self.look_at_server("wait until the server is ready"),
            Cause::NoEndpoints | Cause::Unhealthy | Cause::ProtocolError | Cause::Unknown => {
                self.look_at_server("see what the server says")
            }
        }
    }

    /// The workload that was probed for.
    fn workload(&self) -> Option<&'a Workload> {
        let workloads = self.site.objects.workloads.iter();
        workloads
            .filter(|workload| workload.namespace == self.probe.namespace)
            .find(|workload| workload.name == self.probe.workload)
    }

    /// The server's component.
    const fn component(&self) -> Option<Component> {
        match self.target.kind {
            TargetKind::Redis => Some(Component::Redis),
            TargetKind::Postgresql => Some(Component::Postgresql),
            TargetKind::Etcd => Some(Component::Etcd),
            TargetKind::ClusterDns | TargetKind::Http => None,
        }
    }

    /// The server, if it runs in one of the clusters: the one whose Service the endpoint means,
    /// else the only one there is.
    fn server(&self) -> Option<Server<'a>> {
        let component = self.component()?;
        let host = self.host();
        let servers: Vec<Server<'a>> = self
            .observed
            .sites
            .iter()
            .flat_map(|site| {
                site.objects
                    .workloads_of(component)
                    .map(move |workload| Server {
                        site,
                        workload,
                        service: service_of(site, workload),
                    })
            })
            .collect();
        let meant = servers.iter().position(|server| {
            server
                .service
                .is_some_and(|service| service.is_meant_by(&host))
        });
        match meant {
            Some(index) => servers.into_iter().nth(index),
            None if servers.len() == 1 => servers.into_iter().next(),
            None => None,
        }
    }

    /// What is said about a pod of the server that runs and is not ready: pod and complaint.
    pub(super) fn complaint_of_server(&self) -> Option<(&'a str, &'a str)> {
        let server = self.server()?;
        let mut pods = server.site.objects.pods_of(server.workload);
        pods.find_map(|pod| Some((pod.name.as_str(), pod.complaint.as_deref()?)))
    }

    /// The host of the endpoint as it is configured.
    fn host(&self) -> String {
        let endpoint = &self.target.endpoint;
        if let Ok(url) = url::Url::parse(endpoint)
            && let Some(host) = url.host_str()
        {
            return host.trim_matches(['[', ']']).to_owned();
        }
        let host = endpoint
            .rsplit_once(':')
            .map_or(endpoint.as_str(), |(host, _)| host);
        host.trim_matches(['[', ']']).to_owned()
    }

    /// The variables that configure the target: address, password, authority.
    fn variables(&self) -> (&'static str, &'static str, &'static str) {
        match self.target.kind {
            TargetKind::Redis => {
                let is_set = |name: &&str| {
                    let workload = self.workload();
                    workload.is_some_and(|workload| workload.variable(name).is_some())
                };
                let address = REDIS_ADDRESSES.into_iter().find(is_set);
                let address = address.unwrap_or("REDIS_URL");
                (address, "REDIS_PASSWORD", "REDIS_CA_CERT")
            }
            TargetKind::Postgresql => ("DB_HOST", "DB_PASSWORD", "DB_CA_CERT"),
            TargetKind::Etcd => ("ETCD_ENDPOINTS", "ETCD_CLIENT_CERT", "ETCD_CA_CERT"),
            TargetKind::ClusterDns | TargetKind::Http => ("", "", ""),
        }
    }

    /// Where a variable of the worker comes from, in words.
    fn origin(&self, variable: &str) -> String {
        let Some(workload) = self.workload() else {
            return variable.to_owned();
        };
        let of = format!("{variable} of {}", workload.argument());
        match workload.variable(variable) {
            Some(EnvSource::Secret { name, key }) => format!("{of} (Secret {name}, key {key})"),
            Some(EnvSource::ConfigMap { name, key }) => {
                format!("{of} (ConfigMap {name}, key {key})")
            }
            Some(EnvSource::Literal | EnvSource::Downward) | None => of,
        }
    }

    fn look_at_server(&self, text: &str) -> Remedy {
        match self.server() {
            Some(server) => Remedy::run(
                text,
                vec![format!(
                    "{} logs {} --tail 50",
                    kubectl(server.site, &server.workload.namespace),
                    argument(server.workload)
                )],
            ),
            None => Remedy::text(format!("{text}: {}", self.target.endpoint)),
        }
    }
}

/// The Service that selects a workload's pods; one with an address for everybody before others.
fn service_of<'a>(site: &'a SiteFacts, workload: &Workload) -> Option<&'a ServiceFacts> {
    let labels = crate::validate::facts::text_map(&workload.template["metadata"]["labels"]);
    let mut services: Vec<&ServiceFacts> = site
        .objects
        .services
        .iter()
        .filter(|service| service.namespace == workload.namespace)
        .filter(|service| {
            let selects = !service.selector.labels.is_empty() && service.selector.selects(&labels);
            selects || service.name == workload.name
        })
        .collect();
    services.sort_by_key(|service| (service.external.is_empty(), service.is_headless));
    services.into_iter().next()
}

/// Names of pods, for a message.
fn listed(pods: &[&Pod]) -> String {
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    names.join(", ")
}
