//! The zero-trust checklist: whether a profile, as it would be deployed, trusts nobody for being near.
//! Unlike the rules of lint it also tells what holds, and by which objects; nothing of it is an error.

use serde_json::Value;

use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::profile::Profile;

use super::subject::{Pod, Subject, items, selects};
use super::{exposure, secrets};

/// One principle of the checklist.
#[derive(Debug, PartialEq, Eq)]
pub struct Principle {
    /// Never changes and is never used again.
    pub id: &'static str,
    /// What holds where it is kept.
    pub title: &'static str,
    /// What anybody could do otherwise.
    pub why: &'static str,
    /// What to set.
    pub remedy: &'static str,
}

/// How a profile stands to a principle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Kept,
    /// It does not hold: where, in a few words each.
    Broken(Vec<String>),
    /// There is nothing in the profile that it is about.
    NotConcerned,
}

/// The answer to one principle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The principle.
    pub principle: &'static Principle,
    /// The profile.
    pub profile: Profile,
    /// How it stands.
    pub standing: Standing,
}

type Judge = fn(Subject<'_>) -> Standing;

/// The principles, in the order of the ids, and how each is judged.
static PRINCIPLES: &[(Principle, Judge)] = &[
    (
        Principle {
            id: "TEL-ZT-001",
            title: "every pod accepts only connections that a policy allows",
            why: "whoever is in any pod of the cluster could open every port of the pipeline",
            remedy: "networkPolicy.enabled=true, in a cluster whose network enforces policies",
        },
        |subject| shut(subject, "Ingress"),
    ),
    (
        Principle {
            id: "TEL-ZT-002",
            title: "every pod opens only connections that a policy allows",
            why: "whoever takes a pod over could carry data to anywhere",
            remedy: "networkPolicy.enabled=true and networkPolicy.defaultDeny=true",
        },
        |subject| shut(subject, "Egress"),
    ),
    (
        Principle {
            id: "TEL-ZT-003",
            title: "connections to Redis, etcd and PostgreSQL are encrypted",
            why: "whoever sees the network, inside a cluster too, could read passwords and data",
            remedy: "redis.tls, externalRedis.tls, etcd.tls and postgresql.tls: enabled=true",
        },
        encrypted,
    ),
    (
        Principle {
            id: "TEL-ZT-004",
            title: "these servers have to prove who they are",
            why: "whoever answers in their place could read and change everything",
            remedy: "externalDatabase.sslMode=verify-full, and an authority for each server",
        },
        proven,
    ),
    (
        Principle {
            id: "TEL-ZT-005",
            title: "these servers ask everybody who it is",
            why: "whoever reaches a port could read and write",
            remedy: "redis.auth.enabled=true, externalRedis.auth.enabled=true; etcd asks for a \
                     certificate or a password",
        },
        asked,
    ),
    (
        Principle {
            id: "TEL-ZT-006",
            title: "the API asks for a token",
            why: "whoever reaches the gateway could read all telemetry",
            remedy: "apiGateway.config.auth.enabled=true",
        },
        token,
    ),
    (
        Principle {
            id: "TEL-ZT-007",
            title: "the API is reached from outside over TLS only",
            why: "tokens and data could be read on the way",
            remedy: "apiGateway.service.type=ClusterIP and apiGateway.ingress with tls",
        },
        api_encrypted,
    ),
    (
        Principle {
            id: "TEL-ZT-008",
            title: "no pod has an identity towards Kubernetes",
            why: "whoever takes a pod over could ask the API server in its name",
            remedy: "telectl renders it so; a cluster's own admission may not undo it",
        },
        no_identity,
    ),
    (
        Principle {
            id: "TEL-ZT-009",
            title: "containers have no more rights than they need",
            why: "whoever takes a process over could go on to its node",
            remedy: "telectl renders what Pod Security calls restricted; \
                     podSecurityContext may not loosen it",
        },
        restricted,
    ),
    (
        Principle {
            id: "TEL-ZT-010",
            title: "secrets stand in Secrets only",
            why: "whoever may read workloads or history could read passwords",
            remedy: "telectl explain TEL-LNT-016",
        },
        by_reference,
    ),
    (
        Principle {
            id: "TEL-ZT-011",
            title: "images cannot become others under the same name",
            why: "whoever may write to the registry could run anything in the pipeline",
            remedy: "pin them: image.tag=TAG@sha256:…, and so in redis.image, postgresql.image, \
                     etcd.image",
        },
        pinned,
    ),
    (
        Principle {
            id: "TEL-ZT-012",
            title: "what is open to other clusters is encrypted and asks for a login",
            why: "the network between clusters is anybody's",
            remedy: "telectl explain TEL-LNT-030, TEL-LNT-033 and TEL-LNT-034",
        },
        guarded,
    ),
];

/// Every principle.
pub fn principles() -> impl Iterator<Item = &'static Principle> {
    PRINCIPLES.iter().map(|(principle, _)| principle)
}

/// A principle by its id, in any case.
pub fn find(id: &str) -> Option<&'static Principle> {
    principles().find(|principle| principle.id.eq_ignore_ascii_case(id))
}

/// How a profile that could be rendered stands to every principle.
pub fn checklist(subject: &Subject<'_>) -> Vec<Answer> {
    let answers = PRINCIPLES.iter().map(|(principle, judge)| Answer {
        principle,
        profile: subject.profile(),
        standing: judge(*subject),
    });
    answers.collect()
}

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

/// Whether some policy of this direction selects each pod, so that what none allows is refused.
fn shut(subject: Subject<'_>, direction: &str) -> Standing {
    standing(subject.pods(), |pod| {
        let labels = &pod.template["metadata"]["labels"];
        let mut policies = subject
            .of_kind("NetworkPolicy")
            .map(|one| &one.value["spec"]);
        let is_shut = policies.any(|spec| {
            let selector = &spec["podSelector"];
            let is_everybody = selector.as_object().is_none_or(serde_json::Map::is_empty);
            (is_everybody || selects(&selector["matchLabels"], labels))
                && items(&spec["policyTypes"]).any(|kind| kind == direction)
        });
        (!is_shut).then(|| format!("no policy selects {}", who(pod)))
    })
}

/// Workers' variables with the address of a server, and what each says about the connection.
fn connections<'a>(subject: Subject<'a>) -> impl Iterator<Item = (Pod<'a>, Server)> {
    let of_pod = |pod: Pod<'a>| {
        let known = Server::ALL.into_iter();
        known
            .filter(move |server| pod.has_variable(server.address()))
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

    /// The variable with its address.
    const fn address(self) -> &'static str {
        match self {
            Self::Redis => "REDIS_URL",
            Self::Etcd => "ETCD_ENDPOINTS",
            Self::Database => "DB_HOST",
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

fn ssl_mode(pod: Pod<'_>) -> &str {
    pod.variable("DB_SSL_MODE").unwrap_or_default()
}

fn encrypted(subject: Subject<'_>) -> Standing {
    standing(connections(subject), |(pod, server)| {
        let is_encrypted = match server {
            Server::Redis => pod.variable("REDIS_TLS_ENABLED") == Some("true"),
            Server::Etcd => {
                let urls = pod.variable("ETCD_ENDPOINTS").unwrap_or_default();
                urls.split(',').all(|url| url.starts_with("https://"))
            }
            Server::Database => ["require", "verify-ca", "verify-full"].contains(&ssl_mode(pod)),
        };
        (!is_encrypted).then(|| at(pod, server, "speaks without TLS to"))
    })
}

/// TLS of Redis and etcd is always verified, with the system's authorities where none is given.
fn proven(subject: Subject<'_>) -> Standing {
    standing(connections(subject), |(pod, server)| {
        let is_proven = match server {
            Server::Redis => pod.variable("REDIS_TLS_ENABLED") == Some("true"),
            Server::Etcd => pod.has_variable("ETCD_CA_CERT"),
            Server::Database => ssl_mode(pod) == "verify-full",
        };
        (!is_proven).then(|| at(pod, server, "takes anybody for"))
    })
}

fn asked(subject: Subject<'_>) -> Standing {
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

fn token(subject: Subject<'_>) -> Standing {
    standing(gateways(subject), |pod| {
        let has_token = pod.has_variable("API_TOKEN");
        (!has_token).then(|| format!("{} answers anybody", who(pod)))
    })
}

fn api_encrypted(subject: Subject<'_>) -> Standing {
    let is_of_gateway =
        |value: &Value| value["metadata"]["labels"][COMPONENT] == Component::ApiGateway.name();
    let services = subject.of_kind("Service").filter_map(|service| {
        let kind = service.value["spec"]["type"]
            .as_str()
            .unwrap_or("ClusterIP");
        let is_open = is_of_gateway(&service.value) && kind != "ClusterIP";
        is_open.then(|| format!("Service/{} is a {kind} without TLS", service.object.name))
    });
    let ingresses = subject.of_kind("Ingress").filter_map(|ingress| {
        let is_plain = items(&ingress.value["spec"]["tls"]).next().is_none();
        (is_of_gateway(&ingress.value) && is_plain)
            .then(|| format!("Ingress/{} has no tls", ingress.object.name))
    });
    let broken: Vec<String> = services.chain(ingresses).collect();
    match gateways(subject).next() {
        None => Standing::NotConcerned,
        Some(_) if broken.is_empty() => Standing::Kept,
        Some(_) => Standing::Broken(broken),
    }
}

fn no_identity(subject: Subject<'_>) -> Standing {
    standing(subject.pods(), |pod| {
        let has_none = pod.template["spec"]["automountServiceAccountToken"] == false;
        (!has_none).then(|| format!("{} mounts a token", who(pod)))
    })
}

fn restricted(subject: Subject<'_>) -> Standing {
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

fn by_reference(subject: Subject<'_>) -> Standing {
    found(secrets::inline(subject))
}

fn pinned(subject: Subject<'_>) -> Standing {
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

fn guarded(subject: Subject<'_>) -> Standing {
    let all = [
        exposure::plaintext,
        exposure::public_database,
        exposure::open_servers,
    ];
    found(all.iter().flat_map(|rule| rule(subject)).collect())
}

fn found(findings: Vec<super::Finding>) -> Standing {
    if findings.is_empty() {
        return Standing::Kept;
    }
    let told = findings.into_iter();
    Standing::Broken(
        told.map(|one| format!("{} {}", one.subject, one.says))
            .collect(),
    )
}
