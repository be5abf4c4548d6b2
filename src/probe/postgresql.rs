//! PostgreSQL: TLS as its `sslmode` says, a login, a query, a server that takes writes.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_postgres::config::SslMode as Negotiation;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::config::worker::{DatabaseSettings, SslMode};

use super::course::{Failure, Reached, cause_of_io, words};
use super::result::Cause;
use super::tls::Scrutiny;

/// Length 8, then the number that asks for TLS.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How closely a mode looks at the certificate.
pub(super) const fn scrutiny(mode: SslMode) -> Scrutiny {
    match mode {
        SslMode::Disable | SslMode::Prefer | SslMode::Require => Scrutiny::Nothing,
        SslMode::VerifyCa => Scrutiny::ChainOnly,
        SslMode::VerifyFull => Scrutiny::Full,
    }
}

/// What the server says to a request for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// It goes on with TLS.
    Tls,
    /// It goes on without.
    Plain,
}

/// Asks for TLS.
pub(super) async fn request_tls(stream: &mut TcpStream) -> Result<Offer, Failure> {
    let io = |error: std::io::Error| Failure::new(cause_of_io(&error), error.to_string());
    stream.write_all(&TLS_REQUEST).await.map_err(io)?;
    match stream.read_u8().await.map_err(io)? {
        b'S' => Ok(Offer::Tls),
        b'N' => Ok(Offer::Plain),
        _ => Err(Failure::new(
            Cause::ProtocolError,
            "the server does not speak the protocol of PostgreSQL",
        )),
    }
}

/// A connection and the task that drives it; the task ends with it.
pub(super) struct Session {
    client: Client,
    _driver: JoinSet<()>,
}

/// Logs in over a connection on which TLS, if any, has been negotiated.
pub(super) async fn log_in<S>(
    stream: S,
    settings: &DatabaseSettings,
) -> Result<Reached<Session>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut config = Config::new();
    config
        .user(&settings.user)
        .dbname(&settings.name)
        .application_name("telectl probe")
        .ssl_mode(Negotiation::Disable);
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    let (client, connection) = config
        .connect_raw(stream, NoTls)
        .await
        .map_err(|error| failure(&error))?;
    let mut tasks = JoinSet::new();
    // Its error is that of the query that was under way, which says it, too.
    tasks.spawn(async move { drop(connection.await) });
    Ok(Reached {
        value: Session {
            client,
            _driver: tasks,
        },
        address: None,
    })
}

/// `SELECT 1`.
pub(super) async fn query(session: Session) -> Result<Reached<Session>, Failure> {
    let row = session.client.query_one("SELECT 1", &[]).await;
    row.map_err(|error| failure(&error))?;
    Ok(Reached {
        value: session,
        address: None,
    })
}

/// Whether the server takes writes; answers its version.
pub(super) async fn role(session: Session) -> Result<Reached<String>, Failure> {
    let row = session
        .client
        .query_one(
            "SELECT pg_is_in_recovery(), current_setting('server_version')",
            &[],
        )
        .await
        .map_err(|error| failure(&error))?;
    let unexpected = |error: tokio_postgres::Error| failure(&error);
    if row.try_get::<_, bool>(0).map_err(unexpected)? {
        return Err(Failure::new(
            Cause::ReadOnly,
            "the server is a standby and takes no writes",
        ));
    }
    Ok(Reached {
        value: row.try_get(1).map_err(unexpected)?,
        address: None,
    })
}

fn failure(error: &tokio_postgres::Error) -> Failure {
    if let Some(refusal) = error.as_db_error() {
        let cause = cause_of_state(refusal.code());
        return Failure::new(
            cause,
            format!("{} ({})", refusal.message(), refusal.code().code()),
        );
    }
    let text = words(error);
    let source = std::error::Error::source(error);
    let cause = match source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
        Some(io) => cause_of_io(io),
        None if error.is_closed() => Cause::ConnectionClosed,
        None if text.contains("password missing") => Cause::AuthenticationFailed,
        None => Cause::ProtocolError,
    };
    Failure::new(cause, text)
}

fn cause_of_state(state: &SqlState) -> Cause {
    match *state {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            Cause::AuthenticationFailed
        }
        SqlState::INSUFFICIENT_PRIVILEGE => Cause::PermissionDenied,
        SqlState::INVALID_CATALOG_NAME => Cause::DatabaseNotFound,
        SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS => Cause::NotReady,
        _ => Cause::ProtocolError,
    }
}
