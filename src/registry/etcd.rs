//! The registry in etcd.
//!
//! One endpoint is used at a time; a call that fails there is tried on the others, each try within
//! [`REQUEST_LIMIT`]. Connections are made on demand, so a registry that is down at the start is no
//! different from one that goes down later.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error as EtcdError, Identity, KeyValue, PutOptions,
    TlsOptions,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::worker::EtcdSettings;
use crate::model::causes::{causes, chain};
use crate::model::service_record::ServiceRecord;

use super::{KeepAlive, LeaseId, Registered, Registry, RegistryError};

/// Longest time for one call to one endpoint, connecting included.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(3);

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(3);

/// Code `NOT_FOUND` of gRPC: an answer, not a failure of the endpoint.
const NOT_FOUND: i32 = 5;

/// The registry in etcd. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct EtcdRegistry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: EtcdSettings,
    current: Mutex<Current>,
}

/// The endpoint in use, and the connection to it if there is one.
#[derive(Default)]
struct Current {
    endpoint: usize,
    client: Option<Client>,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Current")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Why a call to one endpoint failed.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint}: {reason}")]
struct Failure {
    endpoint: String,
    reason: String,
}

impl EtcdRegistry {
    /// A registry behind these endpoints. Connects with the first call.
    pub fn new(settings: EtcdSettings) -> Self {
        Self(Arc::new(Inner {
            settings,
            current: Mutex::default(),
        }))
    }

    /// Runs a call on the endpoint in use, then on each of the others until one answers.
    pub(super) async fn call<T, F>(
        &self,
        action: &str,
        run: impl Fn(Client) -> F + Send + Sync,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, EtcdError>> + Send,
    {
        let mut failures = Vec::new();
        for _ in 0..self.0.settings.endpoints.len() {
            match self.try_once(&run).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failures.push(failure.to_string()),
            }
        }
        if failures.is_empty() {
            failures.push("no endpoint is configured".to_owned());
        }
        Err(RegistryError::Unavailable {
            endpoints: self.0.settings.endpoints.join(","),
            action: action.to_owned(),
            source: failures.join("; ").into(),
        })
    }

    async fn try_once<T, F>(&self, run: &(impl Fn(Client) -> F + Send + Sync)) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, EtcdError>> + Send,
    {
        let endpoints = &self.0.settings.endpoints;
        let index = self.0.current.lock().await.endpoint;
        let attempt = async {
            let client = self.client(index).await?;
            run(client).await
        };
        let reason = match timeout(REQUEST_LIMIT, attempt).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => describe(&error),
            Err(_) => format!("no answer within {} s", REQUEST_LIMIT.as_secs()),
        };
        let mut current = self.0.current.lock().await;
        if current.endpoint == index {
            // A broken connection is not repaired but replaced, at the next endpoint.
            current.client = None;
            current.endpoint = (index + 1) % endpoints.len();
        }
        Err(Failure {
            endpoint: endpoints[index].clone(),
            reason,
        })
    }

    async fn client(&self, index: usize) -> Result<Client, EtcdError> {
        let mut current = self.0.current.lock().await;
        if current.endpoint == index
            && let Some(client) = &current.client
        {
            return Ok(client.clone());
        }
        let settings = &self.0.settings;
        let endpoint = with_scheme(&settings.endpoints[index], settings);
        let options = connect_options(settings, &endpoint);
        let client = Client::connect([endpoint], Some(options)).await?;
        if current.endpoint == index {
            current.client = Some(client.clone());
        }
        Ok(client)
    }

    async fn remaining(&self, lease: i64) -> Result<Option<i64>, RegistryError> {
        let answer = self
            .call("read a lease", |mut client| async move {
                client.lease_time_to_live(lease, None).await
            })
            .await?;
        // -1: the lease expired since the key was read, and the key with it.
        Ok(Some(answer.ttl()).filter(|seconds| *seconds >= 0))
    }

    pub(super) async fn registered(
        &self,
        pair: &KeyValue,
    ) -> Result<Option<Registered>, RegistryError> {
        let lease_remaining = match pair.lease() {
            0 => None,
            lease => match self.remaining(lease).await? {
                Some(seconds) => Some(seconds),
                None => return Ok(None),
            },
        };
        Ok(Some(Registered {
            key: String::from_utf8_lossy(pair.key()).into_owned(),
            record: serde_json::from_slice(pair.value()).map_err(|error| error.to_string()),
            lease_remaining,
        }))
    }
}

impl Registry for EtcdRegistry {
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        let seconds = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX);
        let answer = self
            .call("grant a lease", |mut client| async move {
                client.lease_grant(seconds, None).await
            })
            .await?;
        Ok(LeaseId(answer.id()))
    }

    async fn put(&self, record: &ServiceRecord, lease: LeaseId) -> Result<(), RegistryError> {
        let key = record.key();
        let value = serde_json::to_vec(record).map_err(|error| RegistryError::Unavailable {
            endpoints: self.0.settings.endpoints.join(","),
            action: format!("store `{key}`"),
            source: Box::new(error),
        })?;
        self.call(&format!("store `{key}`"), |mut client| {
            let (key, value) = (key.clone(), value.clone());
            let options = PutOptions::new().with_lease(lease.0);
            async move { client.put(key, value, Some(options)).await.map(drop) }
        })
        .await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<KeepAlive, RegistryError> {
        self.call("keep a lease alive", |client| keep_alive(client, lease))
            .await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.call("revoke a lease", |mut client| async move {
            match client.lease_revoke(lease.0).await {
                Err(error) if is_not_found(&error) => Ok(()),
                answer => answer.map(drop),
            }
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Registered>, RegistryError> {
        let answer = self
            .call(&format!("read `{key}`"), |mut client| {
                let key = key.to_owned();
                async move { client.get(key, None).await }
            })
            .await?;
        match answer.kvs().first() {
            Some(pair) => self.registered(pair).await,
            None => Ok(None),
        }
    }

    async fn list(&self) -> Result<Vec<Registered>, RegistryError> {
        let entries = self.entries().await?.entries.into_iter();
        Ok(entries.map(|entry| entry.registered).collect())
    }
}

/// One keep-alive on a stream of its own.
///
/// Opening the stream sends the first request. On a lease that is gone, the client makes an error
/// of the answer to that one, but hands out the answer to any later one as a life of 0 s.
async fn keep_alive(mut client: Client, lease: LeaseId) -> Result<KeepAlive, EtcdError> {
    let (mut keeper, mut answers) = match client.lease_keep_alive(lease.0).await {
        Ok(opened) => opened,
        Err(EtcdError::LeaseKeepAliveError(_)) => return Ok(KeepAlive::Gone),
        Err(error) => return Err(error),
    };
    keeper.keep_alive().await?;
    match answers.message().await? {
        Some(answer) if answer.ttl() > 0 => Ok(KeepAlive::Alive {
            ttl: Duration::from_secs(answer.ttl().unsigned_abs()),
        }),
        Some(_) => Ok(KeepAlive::Gone),
        None => Err(EtcdError::LeaseKeepAliveError(
            "the stream ended".to_owned(),
        )),
    }
}

fn is_not_found(error: &EtcdError) -> bool {
    matches!(error, EtcdError::GRpcStatus(status) if i32::from(status.code()) == NOT_FOUND)
}

/// An endpoint may be given as `host:port`: TLS if there is anything to do TLS with.
pub(crate) fn with_scheme(endpoint: &str, settings: &EtcdSettings) -> String {
    if endpoint.contains("://") {
        endpoint.to_owned()
    } else if settings.ca_cert.is_some() || settings.client.is_some() {
        format!("https://{endpoint}")
    } else {
        format!("http://{endpoint}")
    }
}

/// Login, TLS and limits of a connection to one endpoint.
pub(crate) fn connect_options(settings: &EtcdSettings, endpoint: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_timeout(REQUEST_LIMIT)
        .with_keep_alive(PING_INTERVAL, REQUEST_LIMIT)
        .with_keep_alive_while_idle(true)
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if let Some((user, password)) = &settings.login {
        options = options.with_user(user, password.expose());
    }
    if endpoint.starts_with("https://") {
        let mut tls = TlsOptions::new();
        if let Some(ca) = &settings.ca_cert {
            tls = tls.ca_certificate(Certificate::from_pem(ca));
        }
        if let Some((certificate, key)) = &settings.client {
            tls = tls.identity(Identity::from_pem(certificate, key.expose()));
        }
        options = options.with_tls(tls);
    }
    options
}

/// An error of the client in one line: its own text hides what caused it.
pub(super) fn describe(error: &EtcdError) -> String {
    match error {
        EtcdError::GRpcStatus(status) if status.source().is_none() => status.message().to_owned(),
        EtcdError::GRpcStatus(status) => causes("", status.source()).join(": "),
        EtcdError::TransportError(error) => chain(error),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::secret::Secret;

    fn settings(ca_cert: Option<&str>) -> EtcdSettings {
        EtcdSettings {
            endpoints: Vec::new(),
            ca_cert: ca_cert.map(str::to_owned),
            client: None,
            login: Some(("root".to_owned(), Secret::from("canary-51c7"))),
            lease_ttl: Duration::from_secs(15),
        }
    }

    #[test]
    fn an_endpoint_without_scheme_speaks_tls_if_there_is_an_authority() {
        assert_eq!(with_scheme("a:2379", &settings(None)), "http://a:2379");
        assert_eq!(
            with_scheme("a:2379", &settings(Some("pem"))),
            "https://a:2379"
        );
        assert_eq!(
            with_scheme("http://a:2379", &settings(Some("pem"))),
            "http://a:2379"
        );
    }

    #[test]
    fn the_password_is_in_no_debug_text() {
        let shown = format!("{:?}", EtcdRegistry::new(settings(None)));
        assert!(!shown.contains("canary-51c7"), "{shown}");
    }
}
