//! What went wrong with the server, in words that tell causes apart.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use ::redis::{ErrorKind, RedisError};

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
    /// What the driver says; `None` where our own deadline passed.
    source: Option<RedisError>,
}

impl Failure {
    /// Our own deadline passed.
    pub(super) const fn timed_out() -> Self {
        Self {
            kind: FailureKind::TimedOut,
            source: None,
        }
    }

    /// Whether the connection has to be replaced.
    pub(super) fn breaks_connection(&self) -> bool {
        match &self.source {
            None => true,
            // Another server may be the one to write to by now.
            Some(_) if self.kind == FailureKind::ReadOnly => true,
            Some(error) => error.is_io_error() || error.is_unrecoverable_error(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)
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
            source: Some(error),
        }
    }
}

fn kind(error: &RedisError) -> FailureKind {
    if is_about_certificate(error) {
        return FailureKind::CertificateNotTrusted;
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
