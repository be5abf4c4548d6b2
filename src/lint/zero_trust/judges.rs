//! How each principle of the checklist is judged. Pure.

use serde_json::Value;

use crate::config::worker::REDIS_ADDRESSES;
use crate::lint::finding::Finding;
use crate::lint::subject::{Pod, Subject, items, selects};
use crate::lint::{exposure, secrets};
use crate::model::component::Component;
use crate::model::labels::COMPONENT;

use super::Standing;

/// Of what is looked at, what is wrong; not concerned where nothing is looked at.
fn standing<T>(all: impl Iterator<Item = T>, wrong: impl Fn(T) -> Option<String>) -> Standing {
    let judged: Vec<Option<String>> = all.map(wrong).collect();
    let is_empty = judged.is_empty();
    let broken: Vec<String> = judged.into_iter().flatten().collect();
    match (is_empty, broken.is_empty()) {
        (true, _) => Standing::NotConcerned,
        (_, true) => Standing::Kept,
        (_, false) => Standing::Broken(broken),
    }
}

/// Whether some policy of this direction selects each pod, so that what none allows is refused, and
/// none of them allows everything.
pub(super) fn shut(subject: Subject<'_>, direction: &str) -> Standing {
    let list = direction.to_lowercase();
    standing(subject.pods(), |pod| {
        let labels = &pod.template["metadata"]["labels"];
        let policies = subject.of_kind("NetworkPolicy").filter(|policy| {
            let spec = &policy.value["spec"];
            let selector = &spec["podSelector"];
            let is_everybody = selector.as_object().is_none_or(serde_json::Map::is_empty);
            (is_everybody || selects(&selector["matchLabels"], labels))
                && items(&spec["policyTypes"]).any(|kind| kind == direction)
        });
        let policies: Vec<_> = policies.collect();
        if policies.is_empty() {
            return Some(format!("no policy selects {}", who(pod)));
        }
        let is_open = |rule: &Value| rule.as_object().is_some_and(serde_json::Map::is_empty);
        let open = policies
            .into_iter()
            .find(|policy| items(&policy.value["spec"][&list]).any(is_open))?;
        let name = &open.object.name;
        Some(format!(
            "NetworkPolicy/{name} allows {} everything",
            who(pod)
        ))
    })
}

/// Workers' variables with the address of a server, and what each says about the connection.
fn connections<'a>(subject: Subject<'a>) -> impl Iterator<Item = (Pod<'a>, Server)> {
    let of_pod = |pod: Pod<'a>| {
        let known = Server::ALL.into_iter();
        known
            .filter(move |server| {
                let mut names = server.addresses().iter();
                names.any(|name| pod.has_variable(name))
            })
            .map(move |server| (pod, server))
    };
    subject.workers().flat_map(of_pod)
}

/// A server that workers connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Redis,
    Etcd,
    Database,
}

impl Server {
    const ALL: [Self; 3] = [Self::Redis, Self::Etcd, Self::Database];

    /// The variables with its address: one of these.
    const fn addresses(self) -> &'static [&'static str] {
        match self {
            Self::Redis => &REDIS_ADDRESSES,
            Self::Etcd => &["ETCD_ENDPOINTS"],
            Self::Database => &["DB_HOST"],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Etcd => "etcd",
            Self::Database => "PostgreSQL",
        }
    }
}

/// A workload: everything else is in one namespace.
fn who(pod: Pod<'_>) -> String {
    let object = &pod.manifest.object;
    format!("{}/{}", object.kind, object.name)
}

fn at(pod: Pod<'_>, server: Server, what: &str) -> String {
    format!("{} {what} {}", who(pod), server.name())
}

fn has_only_https(pod: Pod<'_>) -> bool {
    let urls = pod.variable("ETCD_ENDPOINTS").unwrap_or_default();
    urls.split(',').all(|url| url.starts_with("https://"))
}

fn ssl_mode(pod: Pod<'_>) -> &str {
    pod.variable("DB_SSL_MODE").unwrap_or_default()
}

/// Servers that the profile runs, whoever connects to them: whether TLS is spoken, and whether
/// anybody is asked who it is.
fn hosted(subject: Subject<'_>) -> Vec<(Server, bool, bool)> {
    let values = subject.values();
    let (redis, etcd) = (&values.redis, &values.etcd);
    let postgresql = &values.postgresql;
    [
        (
            values.deploys_redis(),
            (Server::Redis, redis.tls.enabled, redis.auth.enabled),
        ),
        // Its clients show certificates.
        (
            etcd.enabled,
            (Server::Etcd, etcd.tls.enabled, etcd.tls.enabled),
        ),
        (
            postgresql.enabled,
            (Server::Database, postgresql.tls.enabled, true),
        ),
    ]
    .into_iter()
    .filter_map(|(is_hosted, server)| is_hosted.then_some(server))
    .collect()
}

/// What holds for the servers that the profile runs and for the connections of its workers.
fn both(hosted: Standing, connections: Standing) -> Standing {
    match (hosted, connections) {
        (Standing::Broken(mut one), Standing::Broken(other)) => {
            one.extend(other);
            Standing::Broken(one)
        }
        (broken @ Standing::Broken(_), _) | (_, broken @ Standing::Broken(_)) => broken,
        (Standing::NotConcerned, other) => other,
        (Standing::Kept, _) => Standing::Kept,
    }
}

pub(super) fn encrypted(subject: Subject<'_>) -> Standing {
    let hosted = standing(hosted(subject).into_iter(), |(server, is_encrypted, _)| {
        (!is_encrypted).then(|| format!("{} is offered without TLS", server.name()))
    });
    both(hosted, encrypted_connections(subject))
}

fn encrypted_connections(subject: Subject<'_>) -> Standing {
    let etcd = &subject.values().etcd;
    // A deployment finds them out, and then the setting decides.
    let is_found_out = !etcd.enabled && etcd.endpoints.is_empty();
    standing(connections(subject), |(pod, server)| {
        let is_encrypted = match server {
            Server::Redis => pod.variable("REDIS_TLS_ENABLED") == Some("true"),
            Server::Etcd if is_found_out => etcd.tls.enabled,
            Server::Etcd => has_only_https(pod),
            Server::Database => ["require", "verify-ca", "verify-full"].contains(&ssl_mode(pod)),
        };
        (!is_encrypted).then(|| at(pod, server, "speaks without TLS to"))
    })
}

/// TLS of Redis and etcd is always verified, with the system's authorities where none is given.
pub(super) fn proven(subject: Subject<'_>) -> Standing {
    standing(connections(subject), |(pod, server)| {
        let is_proven = match server {
            Server::Redis => pod.variable("REDIS_TLS_ENABLED") == Some("true"),
            Server::Etcd => pod.has_variable("ETCD_CA_CERT") && has_only_https(pod),
            Server::Database => ssl_mode(pod) == "verify-full",
        };
        (!is_proven).then(|| at(pod, server, "takes anybody for"))
    })
}

pub(super) fn asked(subject: Subject<'_>) -> Standing {
    let hosted = standing(hosted(subject).into_iter(), |(server, _, is_asked)| {
        (!is_asked).then(|| format!("{} lets anybody in", server.name()))
    });
    both(hosted, asked_connections(subject))
}

fn asked_connections(subject: Subject<'_>) -> Standing {
    standing(connections(subject), |(pod, server)| {
        let has = |variables: &[&str]| variables.iter().any(|name| pod.has_variable(name));
        let is_asked = match server {
            Server::Redis => has(&["REDIS_PASSWORD", "REDIS_CLIENT_CERT"]),
            Server::Etcd => has(&["ETCD_PASSWORD", "ETCD_CLIENT_CERT"]),
            Server::Database => has(&["DB_PASSWORD"]),
        };
        (!is_asked).then(|| at(pod, server, "is not asked who it is by"))
    })
}

fn gateways<'a>(subject: Subject<'a>) -> impl Iterator<Item = Pod<'a>> {
    let is_gateway = |pod: &Pod<'a>| pod.component() == Component::ApiGateway.name();
    subject.workers().filter(is_gateway)
}

pub(super) fn token(subject: Subject<'_>) -> Standing {
    standing(gateways(subject), |pod| {
        let has_token = pod.has_variable("API_TOKEN");
        (!has_token).then(|| format!("{} answers anybody", who(pod)))
    })
}

pub(super) fn api_encrypted(subject: Subject<'_>) -> Standing {
    let is_of_gateway =
        |value: &Value| value["metadata"]["labels"][COMPONENT] == Component::ApiGateway.name();
    let speaks_tls = gateways(subject).all(|pod| pod.has_variable("HTTP_TLS_DIR"));
    let services = subject.of_kind("Service").filter_map(|service| {
        let kind = service.value["spec"]["type"]
            .as_str()
            .unwrap_or("ClusterIP");
        let is_open = is_of_gateway(&service.value) && kind != "ClusterIP" && !speaks_tls;
        is_open.then(|| format!("Service/{} is a {kind} without TLS", service.object.name))
    });
    let ingresses = subject.of_kind("Ingress").filter_map(|ingress| {
        let spec = &ingress.value["spec"];
        let is_covered = |rule: &Value| {
            let mut hosts = items(&spec["tls"]).flat_map(|tls| items(&tls["hosts"]));
            hosts.any(|host| *host == rule["host"])
        };
        let is_plain = !items(&spec["rules"]).all(is_covered);
        (is_of_gateway(&ingress.value) && is_plain)
            .then(|| format!("Ingress/{} has a host without tls", ingress.object.name))
    });
    let broken: Vec<String> = services.chain(ingresses).collect();
    match gateways(subject).next() {
        None => Standing::NotConcerned,
        Some(_) if broken.is_empty() => Standing::Kept,
        Some(_) => Standing::Broken(broken),
    }
}

pub(super) fn no_identity(subject: Subject<'_>) -> Standing {
    standing(subject.pods(), |pod| {
        let has_none = pod.template["spec"]["automountServiceAccountToken"] == false;
        (!has_none).then(|| format!("{} mounts a token", who(pod)))
    })
}

pub(super) fn restricted(subject: Subject<'_>) -> Standing {
    let containers = subject
        .pods()
        .flat_map(|pod| pod.containers().map(move |container| (pod, container)));
    standing(containers, |(pod, container)| {
        let (of_pod, own) = (
            &pod.template["spec"]["securityContext"],
            &container["securityContext"],
        );
        let is_restricted = of_pod["runAsNonRoot"] == true
            && of_pod["seccompProfile"]["type"] == "RuntimeDefault"
            && own["allowPrivilegeEscalation"] == false
            && own["readOnlyRootFilesystem"] == true
            && items(&own["capabilities"]["drop"]).any(|dropped| dropped == "ALL");
        let name = container["name"].as_str().unwrap_or_default();
        (!is_restricted).then(|| format!("{}, container {name}", who(pod)))
    })
}

pub(super) fn by_reference(subject: Subject<'_>) -> Standing {
    found(secrets::inline(subject))
}

pub(super) fn pinned(subject: Subject<'_>) -> Standing {
    let images = subject
        .pods()
        .flat_map(|pod| pod.containers().filter_map(|one| one["image"].as_str()));
    let mut images: Vec<&str> = images.collect();
    images.sort_unstable();
    images.dedup();
    standing(images.into_iter(), |image| {
        (!image.contains("@sha256:")).then(|| image.to_owned())
    })
}

pub(super) fn guarded(subject: Subject<'_>) -> Standing {
    let all = [
        exposure::plaintext,
        exposure::public_database,
        exposure::open_servers,
    ];
    found(all.iter().flat_map(|rule| rule(subject)).collect())
}

fn found(findings: Vec<Finding>) -> Standing {
    if findings.is_empty() {
        return Standing::Kept;
    }
    let told = findings.into_iter();
    Standing::Broken(
        told.map(|one| format!("{} {}", one.subject, one.says))
            .collect(),
    )
}
