//! The endpoints of every worker: health, status and metrics.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, RawQuery, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Json, Router};
use jiff::Timestamp;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::workers::vitals::Vitals;

use super::about::About;
use super::tls::{Acceptor, Secured};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Listens on every address of this host, of both families where it has both. Port 0 is any.
///
/// # Errors
/// When the port is taken or may not be used.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    // An IPv6 socket takes IPv4 connections, too, unless the host is told otherwise.
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

/// Answers requests, over TLS if there is some, until `stop`; then finishes those that are under
/// way.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Acceptor>,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let stopped = stop.cancelled_owned();
    let router = router.into_make_service_with_connect_info::<Ends>();
    match tls {
        None => {
            let serving = axum::serve(listener, router);
            serving.with_graceful_shutdown(stopped).await
        }
        Some(tls) => {
            let serving = axum::serve(tls.listen(listener), router);
            serving.with_graceful_shutdown(stopped).await
        }
    }
}

/// Both ends of the connection that a request came by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    /// Here; `None` if the connection broke before anybody asked.
    local: Option<IpAddr>,
    /// There.
    peer: IpAddr,
}

impl Ends {
    fn of(connection: &TcpStream, peer: SocketAddr) -> Self {
        let local = connection.local_addr().ok();
        Self {
            local: local.map(|address| address.ip().to_canonical()),
            peer: peer.ip().to_canonical(),
        }
    }

    /// Whether it never left this host. Both ends have to say so: the proxy beside a pod in a mesh
    /// connects from a loopback address for whoever asks, but to the address of the pod.
    fn are_here(&self) -> bool {
        self.peer.is_loopback() && self.local.is_some_and(|local| local.is_loopback())
    }
}

/// Whether a request comes from within the pod, by a connection that never left this host; not from
/// a page in somebody's browser, who has a forwarded port open.
pub(crate) fn is_from_here(request: &Request) -> bool {
    let ends = request.extensions().get::<ConnectInfo<Ends>>();
    let is_here = ends.is_some_and(|ConnectInfo(ends)| ends.are_here());
    is_here && names_this_host(request) && !request.headers().contains_key(header::ORIGIN)
}

/// Whether a request was meant for this host by its own words: a page may have a name of its own that
/// leads here.
fn names_this_host(request: &Request) -> bool {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        let address = name.parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self::of(stream.io(), *stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, Secured>> for Ends {
    fn connect_info(stream: IncomingStream<'_, Secured>) -> Self {
        Self::of(stream.io().get_ref().0, *stream.remote_addr())
    }
}

#[derive(Clone)]
struct Shared(Arc<Worker>);

struct Worker {
    about: About,
    vitals: Vitals,
    ready: Gauge,
    dependencies: Family<Vec<(String, String)>, Gauge>,
}

/// `/livez`, `/readyz`, `/health`, `/api/v1/health`, `/api/v1/status` and `/metrics`; registers
/// the metrics that every worker has.
pub fn router(about: About, vitals: Vitals) -> Router {
    let recoveries = vitals.recoveries();
    let (ready, dependencies) = vitals.with_metrics(|registry| {
        let build = Info::new(vec![
            ("version".to_owned(), about.version.to_owned()),
            ("component".to_owned(), about.component.to_string()),
            ("cluster".to_owned(), about.cluster_id.clone()),
        ]);
        registry.register("telectl_build", "What runs here", build);
        let started = Gauge::<i64>::default();
        started.set(about.started_at.as_second());
        registry.register(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970",
            started,
        );
        let ready = Gauge::default();
        registry.register(
            "telectl_ready",
            "1 if the worker is ready, else 0",
            ready.clone(),
        );
        let dependencies = Family::<_, Gauge>::default();
        registry.register(
            "telectl_dependency_up",
            "1 if the last use of a dependency worked, else 0",
            dependencies.clone(),
        );
        registry.register(
            "telectl_dependency_recoveries",
            "Times that a dependency worked again after it had not",
            recoveries,
        );
        (ready, dependencies)
    });
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready_page))
        .route("/health", get(health))
        .route("/api/v1/health", get(health))
        .route("/api/v1/status", get(status))
        .route("/metrics", get(metrics))
        .with_state(Shared(Arc::new(Worker {
            about,
            vitals,
            ready,
            dependencies,
        })))
}

/// The process answers: no dependency is looked at, or an outage would restart every worker.
async fn live() -> &'static str {
    "ok\n"
}

async fn ready_page(State(Shared(worker)): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let is_ready = worker.vitals.is_ready();
    let mut text = String::new();
    if query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose"))) {
        for (name, state) in worker.vitals.dependencies() {
            let mark = if state.ok { '+' } else { '-' };
            let weight = if state.required {
                "required"
            } else {
                "advisory"
            };
            let detail = if state.ok { "ok" } else { &state.detail };
            writeln!(text, "[{mark}] {name} ({weight}): {detail}").unwrap_or_default();
        }
    }
    text.push_str(if is_ready { "ok\n" } else { "not ready\n" });
    (status_code(is_ready), text).into_response()
}

async fn health(State(Shared(worker)): State<Shared>) -> Response {
    let is_ready = worker.vitals.is_ready();
    (status_code(is_ready), Json(worker.health(is_ready))).into_response()
}

async fn status(State(Shared(worker)): State<Shared>) -> Json<Value> {
    let mut body = worker.health(worker.vitals.is_ready());
    let mut details = worker.vitals.details();
    body["component"] = worker.about.component.name().into();
    body["instance_uid"] = worker.about.instance_uid.clone().into();
    body["started_at"] = worker.about.started_at.to_string().into();
    body["address"] = details.remove("address").unwrap_or_default();
    body["registration"] = details.remove("registration").unwrap_or_default();
    body["details"] = json!(details);
    Json(body)
}

async fn metrics(State(Shared(worker)): State<Shared>) -> Response {
    worker.ready.set(worker.vitals.is_ready().into());
    for (name, state) in worker.vitals.dependencies() {
        worker
            .dependencies
            .get_or_create(&vec![("dependency".to_owned(), name)])
            .set(state.ok.into());
    }
    let mut text = String::new();
    let encoded = worker
        .vitals
        .with_metrics(|registry| prometheus_client::encoding::text::encode(&mut text, registry));
    match encoded {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Worker {
    fn health(&self, is_ready: bool) -> Value {
        json!({
            "status": if is_ready { "healthy" } else { "unhealthy" },
            "service": self.about.service(),
            "id": self.about.id,
            "cluster_id": self.about.cluster_id,
            "version": self.about.version,
            "timestamp": Timestamp::now().to_string(),
            "uptime_seconds": self.about.uptime().as_secs(),
            "dependencies": self.vitals.dependencies(),
        })
    }
}

const fn status_code(is_ready: bool) -> StatusCode {
    if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o12_a_connection_is_from_here_only_if_both_of_its_ends_are() {
        let is_here = |local: Option<&str>, peer: &str| {
            let address = |text: &str| text.parse::<IpAddr>().unwrap().to_canonical();
            let (local, peer) = (local.map(address), address(peer));
            Ends { local, peer }.are_here()
        };
        assert!(is_here(Some("127.0.0.1"), "127.0.0.1"));
        assert!(is_here(Some("::1"), "::1"));
        assert!(is_here(Some("::ffff:127.0.0.1"), "::ffff:127.0.0.1"));
        // A proxy beside the worker, and the pod's own address used from within the pod.
        assert!(!is_here(Some("10.1.2.3"), "127.0.0.6"));
        assert!(!is_here(Some("10.1.2.3"), "10.1.2.3"));
        assert!(!is_here(Some("127.0.0.1"), "10.1.2.4"));
        assert!(!is_here(None, "127.0.0.1"));
    }
}
