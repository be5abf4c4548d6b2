//! etcd: logged in, with a leader, and what is registered there.

use etcd_client::{Client, ConnectOptions, Error as EtcdError, GetOptions};
use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::config::worker::EtcdSettings;
use crate::registry::PREFIX;
use crate::registry::etcd::connect_options;

use super::course::{Failure, HOP_LIMIT, Reached, cause_of_io, words};
use super::result::{Cause, Registration};
use super::tls::{client_rejected, tls_error};

const LEASES_AT_ONCE: usize = 16;

/// Numbers of gRPC status codes.
mod status_code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const UNAVAILABLE: i32 = 14;
    pub(super) const UNAUTHENTICATED: i32 = 16;
}

/// The first bytes of a client of HTTP/2, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Makes the server speak first: with TLS 1.3 it says only after the handshake that it does not
/// accept the client's certificate, and the client library loses what it says.
pub(super) async fn greet<S>(stream: &mut S) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let rejected = |error: std::io::Error| match tls_error(&error).and_then(client_rejected) {
        Some(detail) => Failure::new(Cause::AuthenticationFailed, detail),
        None => Failure::new(cause_of_io(&error), error.to_string()),
    };
    stream.write_all(PREFACE).await.map_err(rejected)?;
    stream.flush().await.map_err(rejected)?;
    stream.read_u8().await.map_err(rejected)?;
    Ok(())
}

/// Connects, logs in, and makes sure that there is a leader; answers the server's version, too.
pub(super) async fn log_in(
    settings: &EtcdSettings,
    endpoint: &str,
) -> Result<Reached<(Client, String)>, Failure> {
    let mut client = Client::connect([endpoint], Some(options(settings, endpoint)))
        .await
        .map_err(|error| failure(&error))?;
    let status = client.status().await.map_err(|error| failure(&error))?;
    if status.leader() == 0 {
        return Err(Failure::new(
            Cause::NotReady,
            "the etcd cluster has no leader",
        ));
    }
    let version = status.version().to_owned();
    Ok(Reached {
        value: (client, version),
        address: None,
    })
}

/// Everything that is registered; a read that needs a quorum.
pub(super) async fn registrations(
    mut client: Client,
) -> Result<Reached<Vec<Registration>>, Failure> {
    let answer = client
        .get(PREFIX, Some(GetOptions::new().with_prefix()))
        .await
        .map_err(|error| failure(&error))?;
    let found = futures::stream::iter(answer.kvs())
        .map(|pair| {
            let mut client = client.clone();
            async move {
                let lease_remaining_s = match pair.lease() {
                    0 => None,
                    lease => client
                        .lease_time_to_live(lease, None)
                        .await
                        .ok()
                        .map(|answer| answer.ttl()),
                };
                let parsed = serde_json::from_slice(pair.value());
                Registration {
                    key: String::from_utf8_lossy(pair.key()).into_owned(),
                    malformed: parsed.as_ref().err().map(ToString::to_string),
                    record: parsed.ok(),
                    lease_remaining_s,
                }
            }
        })
        .buffered(LEASES_AT_ONCE)
        .collect()
        .await;
    Ok(Reached {
        value: found,
        address: None,
    })
}

/// What the workers' client takes, with the limits of a probe. A cluster without a leader must be
/// able to say so.
fn options(settings: &EtcdSettings, endpoint: &str) -> ConnectOptions {
    connect_options(settings, endpoint)
        .with_connect_timeout(HOP_LIMIT)
        .with_timeout(HOP_LIMIT)
        .with_require_leader(false)
}

fn failure(error: &EtcdError) -> Failure {
    match error {
        EtcdError::GRpcStatus(status) => {
            let text = status.message().to_owned();
            match cause_in_chain(std::error::Error::source(status)) {
                Some(failure) => failure,
                None => Failure::new(cause_of_status(i32::from(status.code()), &text), text),
            }
        }
        EtcdError::TransportError(transport) => cause_in_chain(Some(transport))
            .unwrap_or_else(|| Failure::new(Cause::ProtocolError, words(transport))),
        other => Failure::new(Cause::ProtocolError, other.to_string()),
    }
}

fn cause_of_status(code: i32, text: &str) -> Cause {
    match code {
        status_code::UNAUTHENTICATED => Cause::AuthenticationFailed,
        // etcd answers a wrong or missing login with this code, too.
        status_code::INVALID_ARGUMENT
            if text.contains("authentication failed") || text.contains("user name is empty") =>
        {
            Cause::AuthenticationFailed
        }
        status_code::PERMISSION_DENIED => Cause::PermissionDenied,
        status_code::UNAVAILABLE => Cause::NotReady,
        status_code::DEADLINE_EXCEEDED => Cause::TimedOut,
        _ => Cause::ProtocolError,
    }
}

/// The layers above hide the error of the connection deep in their chain.
fn cause_in_chain(mut next: Option<&(dyn std::error::Error + 'static)>) -> Option<Failure> {
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(match tls_error(io).and_then(client_rejected) {
                Some(detail) => Failure::new(Cause::AuthenticationFailed, detail),
                None => Failure::new(cause_of_io(io), io.to_string()),
            });
        }
        next = error.source();
    }
    None
}
