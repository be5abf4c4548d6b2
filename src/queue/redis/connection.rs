//! Connections: how they are made, and the shared one for everything but blocking reads.

use std::collections::BTreeSet;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisResult, TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::worker::RedisSettings;
use crate::model::secret::Secret;
use crate::queue::QueueError;

use super::advice;
use super::failure::Failure;

/// Longest time to resolve, connect, shake hands and log in.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Longest time from a command to its answer. A batch of some 200 KiB needs time on a slow line.
const ANSWER_LIMIT: Duration = Duration::from_secs(8);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    client: Client,
    address: String,
}

impl Connector {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, QueueError> {
        let address = settings.endpoint.to_string();
        let misconfigured = |reason| QueueError::Misconfigured {
            address: address.clone(),
            reason,
        };
        let mut login = RedisConnectionInfo::default().set_db(settings.database);
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.expose());
        }
        let host = settings.endpoint.host.clone();
        let port = settings.endpoint.port;
        let to = if settings.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = to
            .into_connection_info()
            .map_err(|_| misconfigured("the address is not valid"))?
            .set_redis_settings(login)
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = if settings.tls {
            let root_cert = Some(authority(settings).map_err(misconfigured)?);
            let client_tls = settings.client.as_ref().map(client_certificate);
            Client::build_with_tls(
                info,
                TlsCertificates {
                    client_tls,
                    root_cert,
                },
            )
        } else {
            Client::open(info)
        };
        let client = client.map_err(|_| {
            misconfigured("REDIS_CA_CERT, REDIS_CLIENT_CERT or REDIS_CLIENT_KEY is not valid")
        })?;
        Ok(Self { client, address })
    }

    /// A new connection that waits for an answer at most for `answer_limit`, or for ever: then the
    /// caller has a deadline.
    pub(super) async fn connect(
        &self,
        answer_limit: Option<Duration>,
    ) -> Result<MultiplexedConnection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(answer_limit);
        let connecting = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Failure::timed_out()),
        }
    }

    pub(super) fn unavailable(&self, action: &str, failure: Failure) -> QueueError {
        QueueError::Unavailable {
            address: self.address.clone(),
            action: action.to_owned(),
            source: failure.into(),
        }
    }
}

/// The authority's certificates. Without any, nothing could be verified, and an unverified
/// connection is never made.
fn authority(settings: &RedisSettings) -> Result<Vec<u8>, &'static str> {
    let pem = settings
        .ca_cert
        .as_ref()
        .ok_or("TLS is on, but no authority is given (REDIS_CA_CERT)")?;
    let sound = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .is_ok_and(|certificates| !certificates.is_empty());
    if sound {
        Ok(pem.clone().into_bytes())
    } else {
        Err("REDIS_CA_CERT is not a certificate in PEM form")
    }
}

fn client_certificate((certificate, key): &(String, Secret<String>)) -> ClientTlsConfig {
    ClientTlsConfig {
        client_cert: certificate.clone().into_bytes(),
        client_key: key.expose().clone().into_bytes(),
    }
}

/// The connection that all callers share. It is made when it is needed and replaced when it broke.
pub(super) struct Link {
    connector: Connector,
    /// Servers whose settings were looked at.
    known: Mutex<BTreeSet<String>>,
    current: Mutex<(u64, Option<MultiplexedConnection>)>,
}

impl Link {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            known: Mutex::default(),
            current: Mutex::new((0, None)),
        }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Runs commands on the shared connection, within a deadline.
    pub(super) async fn run<T>(
        &self,
        action: &str,
        commands: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, QueueError> {
        self.attempt(commands)
            .await
            .map_err(|failure| self.connector.unavailable(action, failure))
    }

    async fn attempt<T>(
        &self,
        commands: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let (number, connection) = {
            let mut current = self.current.lock().await;
            let connection = match &current.1 {
                Some(connection) => connection.clone(),
                None => {
                    let connection = self.connector.connect(Some(ANSWER_LIMIT)).await?;
                    self.advise(&self.connector.address, connection.clone())
                        .await;
                    *current = (current.0 + 1, Some(connection.clone()));
                    connection
                }
            };
            (current.0, connection)
        };
        let outcome = match timeout(ANSWER_LIMIT, commands(connection)).await {
            Ok(outcome) => outcome.map_err(Failure::from),
            Err(_) => Err(Failure::timed_out()),
        };
        if let Err(failure) = &outcome
            && failure.breaks_connection()
        {
            let mut current = self.current.lock().await;
            // Somebody else may have replaced it already.
            if current.0 == number {
                current.1 = None;
            }
        }
        outcome
    }

    /// Tells, once per server, what should be set otherwise there. A server that does not answer
    /// is asked again with the next connection.
    async fn advise(&self, address: &str, mut connection: MultiplexedConnection) {
        if self.known.lock().await.contains(address) {
            return;
        }
        let Ok(information) = timeout(ANSWER_LIMIT, advice::ask(&mut connection)).await else {
            return;
        };
        for says in advice::advice(&information) {
            tracing::warn!(server = address, "Redis: {says}");
        }
        self.known.lock().await.insert(address.to_owned());
    }
}
