//! Connections to one server: how they are made, and what is known of them.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisResult, TlsCertificates, cmd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::timeout;

use crate::config::worker::RedisSettings;
use crate::model::endpoint::Endpoint;
use crate::model::secret::Secret;

use super::failure::{Failure, Trouble};

/// Longest time to resolve, connect, shake hands and log in.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// A connection, and the server at its other end.
#[derive(Clone)]
pub(super) struct Connection {
    redis: MultiplexedConnection,
    server: Server,
    /// Whether each command has to say that it comes because of an `ASK`.
    asking: bool,
}

/// A server, and how it was learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    /// Who named it; `None` if the settings do.
    pub(super) learnt: Option<Arc<str>>,
}

impl Server {
    /// As errors name it.
    pub(super) fn address(&self) -> String {
        match &self.learnt {
            None => self.endpoint.to_string(),
            Some(learnt) => format!("{} ({learnt})", self.endpoint),
        }
    }

    /// Something went wrong there.
    pub(super) fn trouble(&self, failure: impl Into<Failure>) -> Trouble {
        Trouble {
            address: self.address(),
            failure: failure.into(),
        }
    }
}

impl Connection {
    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    /// The connection for one command, one transaction or one script.
    pub(super) async fn ready(&mut self) -> RedisResult<MultiplexedConnection> {
        if self.asking {
            let command = cmd("ASKING");
            command.query_async::<()>(&mut self.redis).await?;
        }
        Ok(self.redis.clone())
    }

    /// The same for commands that come because of an `ASK`. It has to be nobody else's.
    pub(super) fn asking(self) -> Self {
        Self {
            asking: true,
            ..self
        }
    }

    /// Whether it may be used for commands that come because of an `ASK`, and no others.
    pub(super) const fn is_asking(&self) -> bool {
        self.asking
    }
}

/// How to log in, and how to know a server.
pub(super) struct Dialer {
    login: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
}

impl Dialer {
    /// For the servers of the queue.
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, &'static str> {
        let mut login = RedisConnectionInfo::default().set_db(settings.database);
        if let Some(username) = &settings.username {
            login = login.set_username(username);
        }
        if let Some(password) = &settings.password {
            login = login.set_password(password.expose());
        }
        let certificates = settings.tls.then(|| certificates(settings)).transpose()?;
        let dialer = Self {
            login,
            certificates,
        };
        // Whether the certificates can be used does not depend on the server.
        let anywhere = Endpoint::new("localhost", 6379);
        let client = dialer.client(&anywhere);
        client.map_err(|_| "REDIS_CA_CERT, REDIS_CLIENT_CERT or REDIS_CLIENT_KEY is not valid")?;
        Ok(dialer)
    }

    /// For sentinels: the same certificates, another login.
    pub(super) fn with_login(
        &self,
        username: Option<&str>,
        password: Option<&Secret<String>>,
    ) -> Self {
        let mut login = RedisConnectionInfo::default();
        if let Some(username) = username {
            login = login.set_username(username);
        }
        if let Some(password) = password {
            login = login.set_password(password.expose());
        }
        Self {
            login,
            certificates: self.certificates.clone(),
        }
    }

    fn client(&self, endpoint: &Endpoint) -> RedisResult<Client> {
        let (host, port) = (endpoint.host.clone(), endpoint.port);
        let to = if self.certificates.is_some() {
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
            .into_connection_info()?
            .set_redis_settings(self.login.clone())
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    /// A new connection that waits for an answer at most for `answer_limit`, or for ever: then the
    /// caller has a deadline.
    pub(super) async fn dial(
        &self,
        server: &Server,
        answer_limit: Option<Duration>,
    ) -> Result<Connection, Trouble> {
        let client = self.client(&server.endpoint);
        let client = client.map_err(|error| server.trouble(error))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(answer_limit);
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(redis)) => Ok(Connection {
                redis,
                server: server.clone(),
                asking: false,
            }),
            Ok(Err(error)) => Err(server.trouble(error)),
            Err(_) => Err(server.trouble(Failure::timed_out())),
        }
    }
}

fn certificates(settings: &RedisSettings) -> Result<TlsCertificates, &'static str> {
    Ok(TlsCertificates {
        client_tls: settings.client.as_ref().map(client_certificate),
        root_cert: Some(authority(settings)?),
    })
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
