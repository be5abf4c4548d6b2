//! Redis: logged in, answering, and of use to a worker.

use redis::aio::{MultiplexedConnection, MultiplexedConnection as Connection};
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, ServerErrorKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::config::worker::RedisSettings;
use crate::model::causes::chain;
use crate::queue::redis::{FailureKind, Located, RedisQueue, Shard};
use crate::queue::{self, QueueError};

use super::course::{Failure, HOP_LIMIT, Reached, cause_of_io};
use super::result::Cause;

/// A connection and the task that drives it; the task ends with it.
pub(super) struct Session {
    connection: Connection,
    driver: JoinSet<()>,
}

/// Logs in over a connection that is there already.
pub(super) async fn log_in<S>(
    stream: S,
    settings: &RedisSettings,
) -> Result<Reached<Session>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut info = RedisConnectionInfo::default().set_db(settings.database);
    if let Some(username) = &settings.username {
        info = info.set_username(username);
    }
    if let Some(password) = &settings.password {
        info = info.set_password(password.expose());
    }
    // The hop has a deadline; the library's own is shorter and its error says less.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(HOP_LIMIT * 2));
    let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config)
        .await
        .map_err(|error| failure(&error))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    Ok(Reached {
        value: Session {
            connection,
            driver: tasks,
        },
        address: None,
    })
}

/// Why something is not in the queue: the cause, and what was seen.
pub(super) type Refusal = (Cause, String);

/// What an error of the queue means.
pub(super) fn refusal(error: QueueError) -> Refusal {
    (cause(&error), chain(&error))
}

fn cause(error: &QueueError) -> Cause {
    let QueueError::Unavailable { source, .. } = error else {
        return Cause::Misconfigured;
    };
    let Some(failure) = source.downcast_ref::<queue::redis::Failure>() else {
        return Cause::Unknown;
    };
    match failure.kind {
        FailureKind::Refused => Cause::Refused,
        FailureKind::TimedOut => Cause::TimedOut,
        FailureKind::NameNotFound => Cause::NameNotFound,
        FailureKind::CertificateNotTrusted => Cause::CertificateNotTrusted,
        FailureKind::AuthenticationFailed => Cause::AuthenticationFailed,
        FailureKind::NotPermitted => Cause::PermissionDenied,
        FailureKind::Loading | FailureKind::TryAgain | FailureKind::NoMaster => Cause::NotReady,
        // Either takes no writes; the detail tells them apart.
        FailureKind::OutOfMemory | FailureKind::ReadOnly => Cause::ReadOnly,
        FailureKind::ConnectionLost => Cause::ConnectionClosed,
        _ => Cause::ProtocolError,
    }
}

/// Which servers have the queue, as sentinels or nodes of a cluster say.
pub(super) async fn look_up(settings: &RedisSettings) -> Result<Reached<Vec<Located>>, Failure> {
    let located = match RedisQueue::new(settings) {
        Ok(queue) => queue.locate().await,
        Err(error) => Err(error),
    };
    let value = located.map_err(|error| {
        let (cause, detail) = refusal(error);
        Failure::new(cause, detail)
    })?;
    Ok(Reached {
        value,
        address: None,
    })
}

/// `PING`.
pub(super) async fn ping(mut session: Session) -> Result<Reached<Session>, Failure> {
    redis::cmd("PING")
        .query_async::<String>(&mut session.connection)
        .await
        .map_err(|error| failure(&error))?;
    Ok(Reached {
        value: session,
        address: None,
    })
}

/// Whether the server takes writes and lets this user see the pipeline's streams.
/// Answers the role and how many entries the streams hold.
pub(super) async fn role(
    mut session: Session,
    shards: &[Shard],
) -> Result<Reached<(String, u64)>, Failure> {
    let information = redis::cmd("INFO")
        .arg("replication")
        .query_async::<String>(&mut session.connection)
        .await;
    let role = match information {
        Ok(text) => role_in(&text).unwrap_or("unknown").to_owned(),
        // A user without this permission may still do its work.
        Err(error) if code(&error) == Cause::PermissionDenied => "unknown".to_owned(),
        Err(error) => return Err(failure(&error)),
    };
    if role == "slave" {
        return Err(Failure::new(
            Cause::ReadOnly,
            "the server is a replica and takes no writes",
        ));
    }
    let mut entries = 0;
    for shard in shards {
        let key = shard.stream();
        let length = redis::cmd("XLEN")
            .arg(key)
            .query_async::<u64>(&mut session.connection)
            .await;
        entries += length.map_err(|error| {
            let failure = failure(&error);
            Failure::new(failure.cause, format!("stream `{key}`: {}", failure.detail))
        })?;
    }
    drop(session.driver);
    Ok(Reached {
        value: (role, entries),
        address: None,
    })
}

fn role_in(information: &str) -> Option<&str> {
    information
        .lines()
        .find_map(|line| line.trim().strip_prefix("role:"))
}

fn code(error: &RedisError) -> Cause {
    match error.kind() {
        ErrorKind::AuthenticationFailed => Cause::AuthenticationFailed,
        ErrorKind::Server(ServerErrorKind::NoPerm) => Cause::PermissionDenied,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        ) => Cause::NotReady,
        ErrorKind::Server(ServerErrorKind::ReadOnly) => Cause::ReadOnly,
        _ => match error.code() {
            Some("NOAUTH" | "WRONGPASS") => Cause::AuthenticationFailed,
            _ if error.is_timeout() => Cause::TimedOut,
            _ if error.is_connection_refusal() => Cause::Refused,
            _ => std::error::Error::source(error)
                .and_then(|source| source.downcast_ref::<std::io::Error>())
                .map_or_else(|| dropped(error), cause_of_io),
        },
    }
}

fn dropped(error: &RedisError) -> Cause {
    if error.is_connection_dropped() {
        Cause::ConnectionClosed
    } else {
        Cause::ProtocolError
    }
}

fn failure(error: &RedisError) -> Failure {
    let cause = code(error);
    let text = match (cause, error.detail()) {
        (Cause::AuthenticationFailed, None) => "the server refuses user and password".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (_, None) => error.to_string(),
    };
    Failure::new(cause, text)
}

#[cfg(test)]
mod tests {
    use super::role_in;

    #[test]
    fn the_role_is_found_among_other_lines() {
        let information = "# Replication\r\nrole:slave\r\nmaster_host:10.0.0.1\r\n";
        assert_eq!(role_in(information), Some("slave"));
        assert_eq!(role_in(""), None);
    }
}
