//! What went wrong with the server, in words that tell causes apart.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use ::redis::{ErrorKind, RedisError};

use crate::model::endpoint::Endpoint;
use crate::queue::QueueError;

/// The cause of a failure, as far as a remedy depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The host name does not resolve.
    NameNotFound,
    /// The server's certificate was not signed by the given authority, is expired, or is for
    /// another name.
    CertificateNotTrusted,
    /// User or password are wrong or missing.
    AuthenticationFailed,
    /// The user may not do this.
    NotPermitted,
    /// The server is at its memory limit.
    OutOfMemory,
    /// The server is loading its data after a start.
    Loading,
    /// The server is a replica, or not allowed to write.
    ReadOnly,
    /// The key is on another server: this one is part of a Redis Cluster.
    Elsewhere,
    /// The keys are on two servers, as long as they move.
    TryAgain,
    /// Nobody has the key, or nobody says who.
    NoMaster,
    /// The connection broke.
    ConnectionLost,
    /// Anything else; the source says what.
    Other,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refused => "connection refused",
            Self::TimedOut => "timed out",
            Self::NameNotFound => "name not found",
            Self::CertificateNotTrusted => "certificate not trusted",
            Self::AuthenticationFailed => "authentication failed",
            Self::NotPermitted => "not permitted",
            Self::OutOfMemory => "server is out of memory",
            Self::Loading => "server is still loading its data",
            Self::ReadOnly => "server is read-only",
            Self::Elsewhere => {
                "the key is on another server of a Redis Cluster (REDIS_CLUSTER_NODES names one)"
            }
            Self::TryAgain => "the keys are just being moved to another server",
            Self::NoMaster => "no server is known to be in charge",
            Self::ConnectionLost => "connection lost",
            Self::Other => "command failed",
        })
    }
}

/// A failure of the server or of the way to it: the source of
/// [`QueueError::Unavailable`](crate::queue::QueueError::Unavailable).
#[derive(Debug)]
pub struct Failure {
    /// The cause.
    pub kind: FailureKind,
    /// More than the kind says.
    says: Option<String>,
    /// What the driver says; `None` where we found it out ourselves.
    source: Option<RedisError>,
}

/// A failure, and where it was.
pub(super) struct Trouble {
    /// The server, and how it was learnt.
    pub(super) address: String,
    pub(super) failure: Failure,
}

impl Trouble {
    pub(super) fn unavailable(self, action: &str) -> QueueError {
        QueueError::Unavailable {
            address: self.address,
            action: action.to_owned(),
            source: self.failure.into(),
        }
    }
}

/// Where a server says that a key is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// There from now on.
    Moved(Endpoint),
    /// There for this command: the slot is moving.
    Ask(Endpoint),
}

impl Redirection {
    /// From a code and `SLOT HOST:PORT`. The host may be empty: that of the server that says so.
    fn read(code: &str, detail: &str) -> Option<Self> {
        let (host, port) = detail.split_whitespace().nth(1)?.rsplit_once(':')?;
        let endpoint = Endpoint::new(host, port.parse().ok()?);
        match code {
            "MOVED" => Some(Self::Moved(endpoint)),
            "ASK" => Some(Self::Ask(endpoint)),
            _ => None,
        }
    }
}

impl Failure {
    /// Our own deadline passed.
    pub(super) const fn timed_out() -> Self {
        Self {
            kind: FailureKind::TimedOut,
            says: None,
            source: None,
        }
    }

    /// What we found out ourselves.
    pub(super) const fn told(kind: FailureKind, says: String) -> Self {
        Self {
            kind,
            says: Some(says),
            source: None,
        }
    }

    /// The server's word for it.
    pub(super) fn code(&self) -> Option<&str> {
        self.source.as_ref()?.code()
    }

    /// Where the server says that the key is, also within a transaction that it refused for that.
    pub(super) fn redirection(&self) -> Option<Redirection> {
        let errors = self.source.clone()?.into_server_errors()?;
        let mut errors = errors.iter();
        errors.find_map(|(_, error)| Redirection::read(error.code(), error.details()?))
    }

    /// Whether the connection has to be replaced.
    pub(super) fn breaks_connection(&self) -> bool {
        match &self.source {
            None => true,
            // Another server may be the one to write to by now.
            Some(_) if matches!(self.kind, FailureKind::ReadOnly | FailureKind::NoMaster) => true,
            Some(error) => error.is_io_error() || error.is_unrecoverable_error(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.says {
            Some(says) => formatter.write_str(says),
            None => self.kind.fmt(formatter),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self {
            kind: kind(&error),
            says: None,
            source: Some(error),
        }
    }
}

fn kind(error: &RedisError) -> FailureKind {
    if is_about_certificate(error) {
        return FailureKind::CertificateNotTrusted;
    }
    let codes = error.clone().into_server_errors();
    let has = |wanted: &[&str]| {
        let mut codes = codes.iter().flat_map(|errors| errors.iter());
        codes.any(|(_, error)| wanted.contains(&error.code()))
    };
    if has(&["MOVED", "ASK"]) {
        return FailureKind::Elsewhere;
    }
    if has(&["TRYAGAIN"]) {
        return FailureKind::TryAgain;
    }
    if has(&["CLUSTERDOWN", "MASTERDOWN", "UNBLOCKED"]) {
        return FailureKind::NoMaster;
    }
    let text = error.to_string();
    let says = |words: &str| text.contains(words);
    match error.kind() {
        ErrorKind::AuthenticationFailed => FailureKind::AuthenticationFailed,
        // The resolver's errors have no kind of their own.
        ErrorKind::Io if says("lookup address") => FailureKind::NameNotFound,
        ErrorKind::Io if error.is_timeout() => FailureKind::TimedOut,
        ErrorKind::Io if error.is_connection_refusal() => FailureKind::Refused,
        ErrorKind::Io => FailureKind::ConnectionLost,
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => FailureKind::AuthenticationFailed,
            Some("NOPERM") => FailureKind::NotPermitted,
            Some("OOM") => FailureKind::OutOfMemory,
            Some("LOADING") => FailureKind::Loading,
            Some("READONLY") => FailureKind::ReadOnly,
            // Within a transaction the code is that of the transaction.
            _ if says("NOAUTH") || says("WRONGPASS") || says("Authentication required") => {
                FailureKind::AuthenticationFailed
            }
            _ if says("NOPERM") => FailureKind::NotPermitted,
            _ if says("OOM") => FailureKind::OutOfMemory,
            _ if says("LOADING") => FailureKind::Loading,
            _ if says("READONLY") => FailureKind::ReadOnly,
            _ => FailureKind::Other,
        },
    }
}

/// Looks for rustls' verdict: inside an I/O error, which the driver keeps in an `Arc`.
fn is_about_certificate(error: &RedisError) -> bool {
    let kept = error
        .source()
        .and_then(|source| source.downcast_ref::<Arc<dyn Error + Send + Sync>>());
    let verdict = kept
        .and_then(|kept| kept.downcast_ref::<io::Error>())
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(verdict, Some(rustls::Error::InvalidCertificate(_)))
}
