//! The zero-trust checklist: whether a profile, as it would be deployed, trusts nobody for being near.
//! Unlike the rules of lint it also tells what holds, and by which objects; nothing of it is an error.

mod judges;

use crate::model::profile::Profile;

use super::subject::Subject;

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
        |subject| judges::shut(subject, "Ingress"),
    ),
    (
        Principle {
            id: "TEL-ZT-002",
            title: "every pod opens only connections that a policy allows",
            why: "whoever takes a pod over could reach every port of every machine",
            remedy: "networkPolicy.enabled=true; rules of networkPolicy.egress name peers or ports",
        },
        |subject| judges::shut(subject, "Egress"),
    ),
    (
        Principle {
            id: "TEL-ZT-003",
            title: "connections to Redis, etcd and PostgreSQL are encrypted",
            why: "whoever sees the network, inside a cluster too, could read passwords and data",
            remedy: "redis.tls, externalRedis.tls, etcd.tls and postgresql.tls: enabled=true",
        },
        judges::encrypted,
    ),
    (
        Principle {
            id: "TEL-ZT-004",
            title: "these servers have to prove who they are",
            why: "whoever answers in their place could read and change everything",
            remedy: "externalDatabase.sslMode=verify-full, and an authority for each server",
        },
        judges::proven,
    ),
    (
        Principle {
            id: "TEL-ZT-005",
            title: "these servers ask everybody who it is",
            why: "whoever reaches a port could read and write",
            remedy: "redis.auth.enabled=true, externalRedis.auth.enabled=true; etcd asks for a \
                     certificate or a password",
        },
        judges::asked,
    ),
    (
        Principle {
            id: "TEL-ZT-006",
            title: "the API asks for a token",
            why: "whoever reaches the gateway could read all telemetry",
            remedy: "apiGateway.config.auth.enabled=true",
        },
        judges::token,
    ),
    (
        Principle {
            id: "TEL-ZT-007",
            title: "the API is reached from outside over TLS only",
            why: "tokens and data could be read on the way",
            remedy: "apiGateway.tls.enabled=true, or apiGateway.service.type=ClusterIP and \
                     apiGateway.ingress with tls",
        },
        judges::api_encrypted,
    ),
    (
        Principle {
            id: "TEL-ZT-008",
            title: "no pod has an identity towards Kubernetes",
            why: "whoever takes a pod over could ask the API server in its name",
            remedy: "telectl renders it so; a cluster's own admission may not undo it",
        },
        judges::no_identity,
    ),
    (
        Principle {
            id: "TEL-ZT-009",
            title: "containers have no more rights than they need",
            why: "whoever takes a process over could go on to its node",
            remedy: "telectl renders what Pod Security calls restricted; \
                     podSecurityContext may not loosen it",
        },
        judges::restricted,
    ),
    (
        Principle {
            id: "TEL-ZT-010",
            title: "secrets stand in Secrets only",
            why: "whoever may read workloads or history could read passwords",
            remedy: "telectl explain TEL-LNT-016",
        },
        judges::by_reference,
    ),
    (
        Principle {
            id: "TEL-ZT-011",
            title: "images cannot become others under the same name",
            why: "whoever may write to the registry could run anything in the pipeline",
            remedy: "pin them: image.tag=TAG@sha256:…, and so in redis.image, postgresql.image, \
                     etcd.image",
        },
        judges::pinned,
    ),
    (
        Principle {
            id: "TEL-ZT-012",
            title: "servers that are open to other clusters are encrypted and ask for a login",
            why: "the network between clusters is anybody's",
            remedy: "telectl explain TEL-LNT-030, TEL-LNT-033 and TEL-LNT-034",
        },
        judges::guarded,
    ),
];

/// Every principle.
pub fn principles() -> impl Iterator<Item = &'static Principle> {
    PRINCIPLES.iter().map(|(principle, _)| principle)
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
