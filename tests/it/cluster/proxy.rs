//! Proxies in front of the clusters' API servers: they count what telectl asks, make the way longer,
//! refuse, and kill it at any of its writes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::response::Response;
use axum::serve::IncomingStream;
use base64::Engine as _;
use futures::StreamExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::lab::Clusters;
use super::stand_in::StandIn;
use super::traffic::{Refusal, Seen, gone, locked, refused};
use crate::servers::{Certificates, install_tls_provider};

/// What a new connection costs beside the request: TCP's round trip, and TLS's.
const CONNECTING: u32 = 2;
/// A connection that waited this long for its first request was made ahead of the need for it.
const AHEAD: Duration = Duration::from_millis(50);
/// More than any request of telectl is long.
const LONGEST: usize = 16 << 20;

/// When a process dies: at one of its writes, counted over all clusters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The write is sent and never arrives.
    Before,
    /// The write is made, and its answer never arrives.
    Within,
    /// The answer has arrived, and the next request is never made.
    After,
}

/// The order to kill a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    /// Its id.
    pub(crate) process: u32,
    /// At which write.
    pub(crate) write: usize,
    /// When.
    pub(crate) moment: Moment,
}

type Refuse = Box<dyn FnMut(&Seen) -> Option<Refusal> + Send>;

#[derive(Default)]
struct Orders {
    delay: Duration,
    refuse: Option<Refuse>,
    kill: Option<Kill>,
    /// Writes since the last reset.
    writes: usize,
    /// The write after which the process is to be killed was answered.
    is_answered: bool,
    killed_at: Option<String>,
}

#[derive(Default)]
struct Books {
    seen: Mutex<Vec<Seen>>,
    orders: Mutex<Orders>,
    /// Who answers for pods, where none run.
    stand_in: OnceLock<StandIn>,
}

/// What becomes of a request.
enum Verdict {
    Forward,
    ForwardAndKill(u32),
    Refuse(Refusal),
    Swallow,
}

impl Books {
    fn begin(&self, seen: Seen) -> (usize, Verdict) {
        let verdict = locked(&self.orders).judge(&seen);
        let mut all = locked(&self.seen);
        all.push(seen);
        (all.len() - 1, verdict)
    }

    fn note(&self, number: usize, note: impl FnOnce(&mut Seen)) {
        // Those of before a reset are forgotten.
        if let Some(seen) = locked(&self.seen).get_mut(number) {
            note(seen);
        }
    }
}

impl Orders {
    fn judge(&mut self, seen: &Seen) -> Verdict {
        if self.killed_at.is_some() {
            return Verdict::Swallow;
        }
        if let Some(kill) = self.kill.filter(|_| self.is_answered) {
            self.kill_now(kill.process, seen);
            return Verdict::Swallow;
        }
        if let Some(refusal) = self.refuse.as_mut().and_then(|refuse| refuse(seen)) {
            return Verdict::Refuse(refusal);
        }
        if !seen.is_write() {
            return Verdict::Forward;
        }
        self.writes += 1;
        match self.kill.filter(|kill| kill.write == self.writes) {
            Some(kill) if kill.moment == Moment::Before => {
                self.kill_now(kill.process, seen);
                Verdict::Swallow
            }
            Some(kill) if kill.moment == Moment::Within => Verdict::ForwardAndKill(kill.process),
            _ => Verdict::Forward,
        }
    }

    fn kill_now(&mut self, process: u32, seen: &Seen) {
        signal("-KILL", process);
        self.killed_at = Some(seen.to_string());
    }
}

/// Sends a signal to a process of the test.
pub(crate) fn signal(signal: &str, process: u32) {
    let status = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(status.expect("kill starts").success());
}

/// The proxies of some clusters. They end with the value.
pub(crate) struct Proxies {
    kubeconfig: PathBuf,
    books: Arc<Books>,
    _folder: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Proxies {
    /// One proxy before each of these contexts, and a kubeconfig with contexts of the same names.
    pub(crate) fn before(clusters: &Clusters, contexts: &[&str]) -> Self {
        install_tls_provider();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let books = Arc::new(Books::default());
        let certificates = Certificates::for_names(&["127.0.0.1"]);
        let upstream = Kubeconfig::read_from(&clusters.kubeconfig).expect("a kubeconfig");
        let servers: BTreeMap<String, String> = contexts
            .iter()
            .map(|context| {
                let door = open(&upstream, context, &certificates, &books);
                ((*context).to_owned(), runtime.block_on(door))
            })
            .collect();
        let folder = TempDir::new().expect("a folder");
        let kubeconfig = folder.path().join("config");
        let text = kubeconfig_of(&servers, &certificates.ca).to_string();
        std::fs::write(&kubeconfig, text).expect("the file can be written");
        Self {
            kubeconfig,
            books,
            _folder: folder,
            _runtime: runtime,
        }
    }

    /// The clusters, by way of the proxies.
    pub(crate) fn clusters(&self, direct: &Clusters) -> Clusters {
        Clusters {
            kubeconfig: self.kubeconfig.clone(),
            ..direct.clone()
        }
    }

    /// Forgets what was seen and every order; each answer, and each step of making a connection,
    /// takes this much longer from now on.
    pub(crate) fn reset(&self, delay: Duration) {
        *locked(&self.books.orders) = Orders {
            delay,
            ..Orders::default()
        };
        locked(&self.books.seen).clear();
    }

    /// Answers for pods from now on: the clusters have none that run.
    pub(crate) fn stand_in_for_pods(&self) {
        let _once = self.books.stand_in.set(StandIn::default());
    }

    /// Refuses what the function says.
    pub(crate) fn refuse(&self, refuse: impl FnMut(&Seen) -> Option<Refusal> + Send + 'static) {
        locked(&self.books.orders).refuse = Some(Box::new(refuse));
    }

    /// Kills a process at one of the writes that are seen from the last reset on.
    pub(crate) fn kill(&self, kill: Kill) {
        locked(&self.books.orders).kill = Some(kill);
    }

    /// The request at which a process was killed.
    pub(crate) fn killed_at(&self) -> Option<String> {
        locked(&self.books.orders).killed_at.clone()
    }

    /// What was seen since the last reset.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        locked(&self.books.seen).clone()
    }

    /// The writes among it.
    pub(crate) fn writes(&self) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(Seen::is_write);
        seen
    }
}

fn kubeconfig_of(servers: &BTreeMap<String, String>, ca: &str) -> serde_json::Value {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let each = |make: &dyn Fn(&String, &String) -> serde_json::Value| -> Vec<serde_json::Value> {
        servers.iter().map(|(name, at)| make(name, at)).collect()
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": each(&|name, at| json!({
            "name": name, "cluster": {"server": at, "certificate-authority-data": ca},
        })),
        "users": [{"name": "nobody", "user": {}}],
        "contexts": each(&|name, _| json!({
            "name": name, "context": {"cluster": name, "user": "nobody"},
        })),
    })
}

/// One cluster's proxy.
struct Proxy {
    context: String,
    upstream: kube::Client,
    books: Arc<Books>,
}

/// A connection.
#[derive(Debug, Clone)]
struct Line {
    accepted: Instant,
    ready: Instant,
    is_used: Arc<Mutex<bool>>,
}

/// The connections whose handshake is done.
struct Lines(
    mpsc::Receiver<(TlsStream<TcpStream>, Line)>,
    std::net::SocketAddr,
);

impl axum::serve::Listener for Lines {
    type Io = TlsStream<TcpStream>;
    type Addr = (std::net::SocketAddr, Option<Line>);

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.0.recv().await {
            Some((stream, line)) => (stream, (self.1, Some(line))),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok((self.1, None))
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().1.clone().expect("it was accepted")
    }
}

/// Begins to serve; gives the URL.
async fn open(
    kubeconfig: &Kubeconfig,
    context: &str,
    certificates: &Certificates,
    books: &Arc<Books>,
) -> String {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await;
    let mut config = config.expect("the context is there");
    config.default_retry = false;
    let proxy = Proxy {
        context: context.to_owned(),
        upstream: kube::Client::try_from(config).expect("a client"),
        books: Arc::clone(books),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (send, lines) = mpsc::channel(16);
    tokio::spawn(accept(
        listener,
        acceptor(certificates),
        Arc::clone(books),
        send,
    ));
    let router = Router::new()
        .fallback(handle)
        .with_state(Arc::new(proxy))
        .into_make_service_with_connect_info::<Line>();
    tokio::spawn(async move { axum::serve(Lines(lines, address), router).await });
    format!("https://{address}")
}

fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_slice(certificates.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(certificates.key.as_bytes());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![chain.expect("a certificate")], key.expect("a key"))
        .expect("they fit");
    TlsAcceptor::from(Arc::new(config))
}

/// Accepts connections; handshakes go on side by side.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    books: Arc<Books>,
    lines: mpsc::Sender<(TlsStream<TcpStream>, Line)>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let accepted = Instant::now();
        let (acceptor, lines, books) = (acceptor.clone(), lines.clone(), Arc::clone(&books));
        tokio::spawn(async move {
            let delay = locked(&books.orders).delay;
            tokio::time::sleep(delay * CONNECTING).await;
            // A client that is killed meanwhile is no matter.
            if let Ok(stream) = acceptor.accept(stream).await {
                let line = Line {
                    accepted,
                    ready: Instant::now(),
                    is_used: Arc::default(),
                };
                drop(lines.send((stream, line)).await);
            }
        });
    }
}

impl Line {
    /// From when on the client waits for this request, and its round trips.
    fn begin(&self) -> (Instant, u32) {
        let now = Instant::now();
        let was_used = std::mem::replace(&mut *locked(&self.is_used), true);
        if was_used || now.duration_since(self.ready) > AHEAD {
            (now, 1)
        } else {
            (self.accepted, 1 + CONNECTING)
        }
    }
}

/// Notes the end of an answer, however it comes.
struct Answering {
    books: Arc<Books>,
    number: usize,
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.books
            .note(self.number, |seen| seen.ended = Some(Instant::now()));
    }
}

async fn handle(
    State(proxy): State<Arc<Proxy>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (began, cost) = line.begin();
    let path = request.uri().path_and_query();
    let seen = Seen {
        cluster: proxy.context.clone(),
        method: request.method().clone(),
        path: path.map_or_else(String::new, ToString::to_string),
        code: None,
        began,
        ended: None,
        cost,
    };
    let books = Arc::clone(&proxy.books);
    let (number, verdict) = books.begin(seen.clone());
    let answering = Answering {
        books: Arc::clone(&books),
        number,
    };
    let answer = match verdict {
        Verdict::Swallow => std::future::pending().await,
        Verdict::Refuse(refusal) => refused(refusal),
        Verdict::Forward => proxy.forward(request).await,
        Verdict::ForwardAndKill(process) => {
            drop(proxy.forward(request).await);
            locked(&books.orders).kill_now(process, &seen);
            std::future::pending().await
        }
    };
    let delay = locked(&books.orders).delay;
    tokio::time::sleep(delay).await;
    books.note(number, |seen| seen.code = Some(answer.status().as_u16()));
    books.answered(&seen);
    answer.map(|body| {
        let data = body.into_data_stream().map(move |part| {
            let _until_the_end = &answering;
            part
        });
        Body::from_stream(data)
    })
}

impl Books {
    /// Whoever is to be killed after a write is so at what it asks next.
    fn answered(&self, seen: &Seen) {
        let mut orders = locked(&self.orders);
        let is_last = orders.kill.is_some_and(|kill| kill.write <= orders.writes);
        orders.is_answered |= is_last && seen.is_write();
    }
}

impl Proxy {
    /// What the API server says; 502 if it says nothing.
    async fn forward(&self, request: Request) -> Response {
        let (mut head, body) = request.into_parts();
        // The client puts the server's own host and credentials.
        for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        head.uri = head
            .uri
            .path_and_query()
            .map_or_else(|| http::Uri::from_static("/"), |path| path.clone().into());
        let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
            return gone("the request broke off");
        };
        let path = head.uri.to_string();
        let stand_in = self.books.stand_in.get();
        if let Some(answer) = stand_in.and_then(|one| one.answer(&head.method, &path, &body)) {
            return answer;
        }
        let request = Request::from_parts(head, kube::client::Body::from(body));
        match self.upstream.send(request).await {
            Ok(answer) => {
                let mut answer = answer.map(Body::new);
                answer.headers_mut().remove(header::TRANSFER_ENCODING);
                answer.headers_mut().remove(header::CONNECTION);
                answer
            }
            Err(error) => gone(&error.to_string()),
        }
    }
}
