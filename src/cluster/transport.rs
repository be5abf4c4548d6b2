//! The way to an API server: one HTTP/2 connection that all requests share; where the server, or
//! something in front of it, speaks nothing newer than HTTP/1.1, a connection for each request that
//! is under way.
//!
//! kube's own client speaks HTTP/1.1 only, because it also does what needs a connection to itself
//! (`super::exec` uses it for that). Each of its connections costs the round trips of TCP and TLS, and
//! with many clusters the time of two processors.

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
const SILENCE: Duration = Duration::from_secs(5);
/// … and given up if that is not answered: a way that vanished, as a tunnel's does, tells nobody. All
/// requests are on it, so that has to be noticed while a lock lives, with time left to renew it.
const ANSWER: Duration = Duration::from_secs(6);
/// How often a request is sent again that the server says it has not begun with.
const AGAIN: u32 = 3;
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
                Protocol::Http2 => send_until_begun(&this.http2, request).await,
                Protocol::Http1 => {
                    let _turn = this.turns.acquire().await?;
                    Ok(this.http1.request(request).await?)
                }
            }
        }
        .boxed()
    }
}

/// Sends a request, and sends it again where the server has said that it has not begun with it, as one
/// does that shuts down, or that sends its clients elsewhere from time to time.
async fn send_until_begun(
    sender: &Sender,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, BoxError> {
    for _ in 0..AGAIN {
        let Some(copy) = copied(&request) else { break };
        match sender.request(request).await {
            Err(error) if is_not_begun(&error) => request = copy,
            answered => return Ok(answered?),
        }
    }
    Ok(sender.request(request).await?)
}

/// The same request again; `None` if its body is gone once it is sent.
fn copied(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Whether the protocol vouches that the server has done nothing for a request (RFC 9113, 8.7).
fn is_not_begun(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    let Some(error) = causes.find_map(|error| error.downcast_ref::<h2::Error>()) else {
        return false;
    };
    let leaves = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    let refuses = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (leaves || refuses)
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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use h2::Reason;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A transport to a server that is known to speak HTTP/2, without TLS.
    async fn transport() -> (Transport, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url: Uri = format!("http://{address}").parse().unwrap();
        // The TLS settings are made even where no TLS is spoken.
        let chosen = rustls::crypto::ring::default_provider().install_default();
        assert!(chosen.is_ok() || rustls::crypto::CryptoProvider::get_default().is_some());
        let transport = Transport::new(&Config::new(url)).unwrap();
        let agreed = std::future::ready(Ok(Protocol::Http2)).boxed().shared();
        *locked(&transport.agreement) = Some(agreed);
        (transport, listener)
    }

    /// Says, once a request has come, that this connection ends and none was begun with; then waits
    /// for the client to close it.
    async fn leave(mut stream: TcpStream) {
        const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        const GO_AWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        const HEADERS: u8 = 1;
        stream.write_all(&SETTINGS).await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        let mut kind = 0;
        while kind != HEADERS {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            kind = head[3];
        }
        stream.write_all(&GO_AWAY).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }

    /// Serves connections: the first request is met with a reset of this reason, or with the end of its
    /// connection; the others are answered.
    async fn serve(listener: TcpListener, mut first: Option<Option<Reason>>) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let deed = first.take();
            if deed == Some(None) {
                tokio::spawn(leave(stream));
                continue;
            }
            let mut connection = h2::server::handshake(stream).await.unwrap();
            tokio::spawn(async move {
                let mut refusal = deed.flatten();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    match refusal.take() {
                        Some(reason) => respond.send_reset(reason),
                        None => drop(respond.send_response(Response::new(()), true)),
                    }
                }
            });
        }
    }

    async fn asked(deed: Option<Reason>) -> Result<Response<Incoming>, BoxError> {
        let (mut transport, listener) = transport().await;
        let server = tokio::spawn(serve(listener, Some(deed)));
        let uri = transport.server.clone();
        let request = Request::builder().method("PATCH").uri(uri);
        let request = request.body(Body::from(b"{}".to_vec())).unwrap();
        let answered = timeout(Duration::from_secs(20), transport.call(request)).await;
        server.abort();
        answered.unwrap()
    }

    #[tokio::test]
    async fn what_a_server_has_not_begun_with_is_sent_again_and_nothing_else_is() {
        for deed in [None, Some(Reason::REFUSED_STREAM)] {
            let answered = asked(deed).await;
            assert!(answered.is_ok(), "{deed:?}: {answered:?}");
        }
        // The server may have done what it was asked for.
        let answered = asked(Some(Reason::INTERNAL_ERROR)).await;
        assert!(answered.is_err(), "{answered:?}");
    }

    #[tokio::test]
    async fn everybody_who_waits_is_told_why_there_is_no_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let transport = Transport::new(&config).unwrap();
        let asking = (0..8).map(|_| transport.protocol());
        for outcome in futures::future::join_all(asking).await {
            let error = outcome.unwrap_err();
            let text = crate::model::causes::chain(&error);
            assert!(text.contains("refused"), "{text}");
        }
    }
}
