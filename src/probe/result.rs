//! What a probe found. This is what travels from the pod to whoever asked, as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::component::Component;
use crate::model::service_record::ServiceRecord;

/// Version of [`ProbeReport`] as JSON. Fields are only ever added within one version.
pub const SCHEMA_VERSION: u32 = 1;

/// One step from a name to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hop {
    /// Reading the settings from the environment.
    Settings,
    /// Asking sentinels or nodes of a Redis Cluster which server has the queue.
    Lookup,
    /// Name to addresses.
    Dns,
    /// A TCP connection.
    Tcp,
    /// The TLS handshake, with chain, name and validity of the certificate.
    Tls,
    /// Logging in.
    Authentication,
    /// The first command: `PING`, `SELECT 1`, the list of registrations.
    Command,
    /// What the workload needs beyond an answer: a server that takes writes, its own stream.
    Role,
    /// An HTTP request whose answer is looked at.
    Http,
}

impl Hop {
    /// The hop as a person reads it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Lookup => "look-up",
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Authentication => "authentication",
            Self::Command => "command",
            Self::Role => "role",
            Self::Http => "HTTP",
        }
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// Why something does not work. Each has a word of its own, and the words never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A variable is missing or cannot be understood.
    Misconfigured,
    /// The name servers answer, and say that there is no such name.
    NameNotFound,
    /// No name server can be reached.
    DnsUnreachable,
    /// No name server answers.
    DnsTimedOut,
    /// The name servers answer with an error of their own.
    DnsFailed,
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// There is no way there.
    Unreachable,
    /// The other side ended the connection.
    ConnectionClosed,
    /// The certificate is not signed by the authority that is trusted here.
    CertificateNotTrusted,
    /// The certificate is for another name.
    CertificateNameMismatch,
    /// The certificate is not valid now.
    CertificateExpired,
    /// The handshake failed for another reason.
    TlsFailed,
    /// The credentials are wrong.
    AuthenticationFailed,
    /// The credentials are right and do not suffice.
    PermissionDenied,
    /// The database does not exist.
    DatabaseNotFound,
    /// A replica, or a server that takes no writes.
    ReadOnly,
    /// The server is there and not ready yet.
    NotReady,
    /// A Service selects no pod that is ready.
    NoEndpoints,
    /// It answers that it is not healthy.
    Unhealthy,
    /// The answer makes no sense.
    ProtocolError,
    /// A cause that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Cause {
    /// The cause as a person reads it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Misconfigured => "misconfigured",
            Self::NameNotFound => "name not found",
            Self::DnsUnreachable => "DNS unreachable",
            Self::DnsTimedOut => "DNS unreachable (no answer)",
            Self::DnsFailed => "DNS server failure",
            Self::Refused => "connection refused",
            Self::TimedOut => "timed out",
            Self::Unreachable => "network unreachable",
            Self::ConnectionClosed => "connection closed",
            Self::CertificateNotTrusted => "certificate not trusted",
            Self::CertificateNameMismatch => "certificate name mismatch",
            Self::CertificateExpired => "certificate expired",
            Self::TlsFailed => "TLS handshake failed",
            Self::AuthenticationFailed => "authentication failed",
            Self::PermissionDenied => "permission denied",
            Self::DatabaseNotFound => "database not found",
            Self::ReadOnly => "read-only",
            Self::NotReady => "not ready",
            Self::NoEndpoints => "no endpoints",
            Self::Unhealthy => "unhealthy",
            Self::ProtocolError => "protocol error",
            Self::Unknown => "unknown cause",
        }
    }

    /// Whether name resolution itself does not work, whatever the name.
    pub const fn is_of_dns_itself(self) -> bool {
        matches!(
            self,
            Self::DnsUnreachable | Self::DnsTimedOut | Self::DnsFailed
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// How a hop ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// It works.
    Passed,
    /// It does not work.
    Failed {
        /// Why.
        cause: Cause,
        /// What was seen, for a person; no secrets.
        detail: String,
    },
    /// There was no answer within the hop's deadline.
    TimedOut {
        /// The deadline in milliseconds.
        after_ms: u64,
    },
    /// It was not tried.
    Skipped {
        /// Why not.
        because: String,
    },
}

impl Outcome {
    /// Why it failed: the cause, and what was seen. `None` if it passed or was skipped.
    pub fn failure(&self) -> Option<(Cause, String)> {
        match self {
            Self::Passed | Self::Skipped { .. } => None,
            Self::Failed { cause, detail } => Some((*cause, detail.clone())),
            Self::TimedOut { after_ms } => {
                Some((Cause::TimedOut, format!("no answer within {after_ms} ms")))
            }
        }
    }
}

/// One hop and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HopResult {
    /// Which hop.
    pub hop: Hop,
    /// How it ended.
    pub outcome: Outcome,
    /// What was talked to: `address:port`, or the name server for [`Hop::Dns`].
    pub address: Option<String>,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// The cluster's own name `kubernetes.default.svc`.
    ClusterDns,
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgresql,
    /// etcd.
    Etcd,
    /// An HTTP endpoint.
    Http,
}

impl TargetKind {
    /// The target as a person reads it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ClusterDns => "cluster DNS",
            Self::Redis => "Redis",
            Self::Postgresql => "PostgreSQL",
            Self::Etcd => "etcd",
            Self::Http => "HTTP endpoint",
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// What the server's certificate says, also when it was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// Whom it is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Names and addresses that it is good for.
    pub names: Vec<String>,
    /// RFC 3339, UTC.
    pub not_after: String,
    /// Whole days until then; negative once it has passed.
    pub days_left: i64,
}

/// What was found about one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// What it is.
    pub kind: TargetKind,
    /// Where it is, as configured: `host:port`, a URL, or a name.
    pub endpoint: String,
    /// The hops, in order.
    pub hops: Vec<HopResult>,
    /// The server's certificate, if one was shown.
    #[serde(default)]
    pub certificate: Option<CertificateFacts>,
    /// More facts by name: versions, roles, name servers.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

impl TargetReport {
    /// The hop that failed; at most one does.
    pub fn failed_hop(&self) -> Option<&HopResult> {
        self.hops.iter().find(|hop| hop.outcome.failure().is_some())
    }

    /// The address that was used last.
    pub fn address(&self) -> Option<&str> {
        self.hops
            .iter()
            .rev()
            .find_map(|hop| hop.address.as_deref())
    }

    /// The time of all hops together, in milliseconds.
    pub fn latency_ms(&self) -> f64 {
        self.hops.iter().map(|hop| hop.latency_ms).sum()
    }
}

/// One registration as a probe saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The key.
    pub key: String,
    /// The record; `None` if the value is none.
    pub record: Option<ServiceRecord>,
    /// Why the value is no record.
    #[serde(default)]
    pub malformed: Option<String>,
    /// Seconds that the lease has left; `None` if the key hangs on no lease.
    pub lease_remaining_s: Option<i64>,
}

/// Everything that one probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// For which component the probe stood.
    pub component: Component,
    /// Version of the binary.
    pub version: String,
    /// `CLUSTER_ID`, if it is set.
    pub cluster_id: Option<String>,
    /// Name of the pod.
    pub pod: Option<String>,
    /// Name of the node.
    pub node: Option<String>,
    /// The targets, in the order in which the workload needs them.
    pub targets: Vec<TargetReport>,
    /// The registrations, if etcd answered.
    pub registrations: Option<Vec<Registration>>,
    /// How long the whole probe took, in milliseconds.
    pub elapsed_ms: f64,
}
