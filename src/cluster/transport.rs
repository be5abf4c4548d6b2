//! The way to an API server: one HTTP/2 connection that all requests share; where the server, or
//! something in front of it, speaks nothing newer than HTTP/1.1, a connection for each request that
//! is under way.
//!
//! kube's own client speaks HTTP/1.1 only, because it also does what needs a connection to itself
//! (`exec`, port forwarding), which telectl has no use for. Each of its connections costs the round
//! trips of TCP and TLS, and with many clusters the time of two processors.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{
    FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream,
};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::retry::RetryLayer;
use tower::util::option_layer;
use tower::{BoxError, Layer as _, Service};

/// The longest time in which a cluster must accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(8);
/// Connections at once where each request needs one.
const CONNECTIONS: usize = 16;
/// A connection on which nothing has come for this long is asked whether it is alive …
const SILENCE: Duration = Duration::from_secs(15);
/// … and given up if that is not answered: a way that vanished, as a tunnel's does, tells nobody.
const ANSWER: Duration = Duration::from_secs(10);
/// A connection that was made ahead is not used later than this: the server may have closed it.
const FRESH: Duration = Duration::from_secs(5);

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Sender = legacy::Client<Connector, Body>;

/// Two clients with the same connections: one that asks again when the server is too busy to answer
/// (429, 503, 504), and one that takes every answer for one.
pub(super) fn clients(config: &Config) -> Result<(Client, Client), kube::Error> {
    if config.proxy_url.is_some() {
        // kube knows which proxies it was built for, and says so.
        let mut once = config.clone();
        once.default_retry = false;
        return Ok((Client::try_from(config.clone())?, Client::try_from(once)?));
    }
    let (base, headers) = (config.base_uri_layer(), config.extra_headers_layer()?);
    let known = option_layer(config.auth_layer()?).layer(headers.layer(Transport::new(config)?));
    let retry = RetryLayer::new(RetryPolicy::server_retry());
    let namespace = &config.default_namespace;
    let again = ClientBuilder::new(base.layer(retry.layer(known.clone())), namespace).build();
    let once = ClientBuilder::new(base.layer(known), namespace).build();
    Ok((again, once))
}

/// The protocol that server and client agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// No connection was made; everybody who waited for it is told why.
#[derive(Debug, Clone)]
struct Unconnected(Arc<BoxError>);

impl std::fmt::Display for Unconnected {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("no connection")
    }
}

impl std::error::Error for Unconnected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&**self.0)
    }
}

type Agreement = Shared<BoxFuture<'static, Result<Protocol, Unconnected>>>;

/// Sends requests.
#[derive(Clone)]
struct Transport {
    server: Uri,
    connector: Connector,
    http1: Sender,
    http2: Sender,
    agreement: Arc<Mutex<Option<Agreement>>>,
    /// Turns of requests that need a connection to themselves until they are answered.
    turns: Arc<Semaphore>,
}

impl Transport {
    fn new(config: &Config) -> Result<Self, kube::Error> {
        let connector = Connector::new(config)?;
        let mut builder = legacy::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new());
        let http1 = builder.build(connector.clone());
        builder
            .http2_only(true)
            .http2_keep_alive_interval(SILENCE)
            .http2_keep_alive_timeout(ANSWER);
        Ok(Self {
            server: config.cluster_url.clone(),
            http2: builder.build(connector.clone()),
            http1,
            connector,
            agreement: Arc::default(),
            turns: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// What is spoken with the server. The first who asks makes a connection and finds it out; the
    /// others wait for it, and only later ones try again where it failed.
    async fn protocol(&self) -> Result<Protocol, Unconnected> {
        let agreement = {
            let mut current = locked(&self.agreement);
            let made = || {
                self.connector
                    .clone()
                    .negotiate(self.server.clone())
                    .boxed()
                    .shared()
            };
            current.get_or_insert_with(made).clone()
        };
        let outcome = agreement.clone().await;
        if outcome.is_err() {
            let mut current = locked(&self.agreement);
            if current.as_ref().is_some_and(|one| one.ptr_eq(&agreement)) {
                *current = None;
            }
        }
        outcome
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        async move {
            match this.protocol().await? {
                Protocol::Http2 => Ok(this.http2.request(request).await?),
                Protocol::Http1 => {
                    let _turn = this.turns.acquire().await?;
                    Ok(this.http1.request(request).await?)
                }
            }
        }
        .boxed()
    }
}

/// Makes connections.
#[derive(Clone)]
struct Connector {
    https: HttpsConnector<HttpConnector>,
    /// The connection on which the protocol was found out, for the first request.
    ahead: Arc<Mutex<Option<(Stream, Instant)>>>,
}

impl Connector {
    fn new(config: &Config) -> Result<Self, kube::Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // A request goes out in several pieces: the last one is not to wait for an answer to the first.
        tcp.set_nodelay(true);
        let mut builder = HttpsConnectorBuilder::new()
            .with_tls_config(config.rustls_client_config()?)
            .https_or_http();
        if let Some(name) = &config.tls_server_name {
            let name = ServerName::try_from(name.clone())
                .map_err(|error| kube::Error::Service(Box::new(error)))?;
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        Ok(Self {
            https: builder.enable_all_versions().wrap_connector(tcp),
            ahead: Arc::default(),
        })
    }

    async fn negotiate(mut self, server: Uri) -> Result<Protocol, Unconnected> {
        let connected = self.connect(server).await;
        let stream = connected.map_err(|error| Unconnected(Arc::new(error)))?;
        let protocol = if stream.connected().is_negotiated_h2() {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        *locked(&self.ahead) = Some((stream, Instant::now()));
        Ok(protocol)
    }

    fn connect(&mut self, server: Uri) -> BoxFuture<'static, Result<Stream, BoxError>> {
        let connecting = timeout(CONNECT_DEADLINE, self.https.call(server));
        async move {
            connecting.await.unwrap_or_else(|_| {
                let limit = CONNECT_DEADLINE.as_secs();
                let text = format!("no connection within {limit} s");
                Err(io::Error::new(io::ErrorKind::TimedOut, text).into())
            })
        }
        .boxed()
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let ahead = locked(&self.ahead).take();
        match ahead {
            Some((stream, at)) if at.elapsed() < FRESH => std::future::ready(Ok(stream)).boxed(),
            _ => self.connect(server),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
