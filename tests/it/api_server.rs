//! Jobs, waits and lists against an API server that refuses, forgets and answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use telectl::cluster::job::{self, JobEnd};
use telectl::cluster::kubeconfig::Contexts;
use telectl::cluster::pod::HttpPort;
use telectl::cluster::wait::{Waiting, until, until_ready};
use telectl::cluster::{Cluster, ClusterError};
use telectl::model::object::{ObjectKind, ObjectRef};
use telectl::validate::facts::{Listing, Pod};
use telectl::validate::observe::{AnsweredBy, ask, objects};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::servers::install_tls_provider;

/// What no wait of these tests comes near, unless it does not end when it should.
const LONG: Duration = Duration::from_secs(60);
/// Within what a refusal ends a wait.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A cluster whose API server is this handler.
async fn cluster(
    answer: impl Fn(&Request) -> Response + Clone + Send + Sync + 'static,
) -> (Cluster, TempDir) {
    // A client would install one by itself, in the way of the tests that do it afterwards.
    install_tls_provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().fallback(async move |request: Request| answer(&request));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("config");
    let text = format!(
        "clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
         users: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: edge, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&file, text).expect("the file can be written");
    let contexts = Contexts::read(&[file]).expect("a kubeconfig");
    let cluster = Cluster::from_context(&contexts, "edge").await;
    (cluster.expect("a client"), folder)
}

fn answered(code: StatusCode, body: &Value) -> Response {
    (code, body.to_string()).into_response()
}

fn refused() -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "it is forbidden", "reason": "Forbidden", "code": 403,
    });
    answered(StatusCode::FORBIDDEN, &body)
}

/// The objects of a kind, or a watch of them in which nothing happens.
fn list(request: &Request, kind: &str, items: &[Value]) -> Response {
    if request.uri().query().unwrap_or_default().contains("watch=") {
        let nothing = futures::stream::pending::<Result<String, std::io::Error>>();
        return Response::new(Body::from_stream(nothing));
    }
    let body = json!({
        "kind": format!("{kind}List"), "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"}, "items": items,
    });
    answered(StatusCode::OK, &body)
}

fn probe() -> (ObjectRef, Value) {
    let manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "probe-1", "namespace": "ns"},
        "spec": {"template": {"spec": {"containers": [{"name": "probe"}]}}},
    });
    (ObjectRef::new(ObjectKind::Job, "ns", "probe-1"), manifest)
}

/// A pod of the probe that is at its end, with a sidecar before it.
fn ended() -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "probe-1-x", "namespace": "ns"},
        "spec": {"containers": [{"name": "istio-proxy"}, {"name": "probe"}]},
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "istio-proxy", "image": "", "imageID": "", "ready": true,
                "restartCount": 0, "state": {"running": {}}},
            {"name": "probe", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0}}},
        ]},
    })
}

#[tokio::test]
async fn v08_a_probe_whose_pods_may_not_be_watched_fails_at_once() {
    let (cluster, _folder) = cluster(|request| match *request.method() {
        Method::GET => refused(),
        _ => answered(StatusCode::OK, &probe().1),
    })
    .await;
    let (object, manifest) = probe();
    let started = Instant::now();
    let stop = CancellationToken::new();
    let ran = job::run(&cluster, &object, manifest, LONG, &stop).await;
    let error = ran.expect_err("nobody may watch");
    assert!(
        matches!(&error, ClusterError::Refused { code: 403, action, .. } if action.contains("pods")),
        "{error:?}"
    );
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn v08_a_probe_beside_a_sidecar_reports_even_if_its_clean_up_fails() {
    let is_deleted = Arc::new(AtomicBool::new(false));
    let (cluster, _folder) = cluster(move |request| {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        match *request.method() {
            Method::DELETE => {
                is_deleted.store(true, Ordering::SeqCst);
                answered(StatusCode::OK, &probe().1)
            }
            Method::GET if path.ends_with("/log") && query.contains("container=probe") => {
                Response::new(Body::from("the report"))
            }
            // As the API server does, if no container is named.
            Method::GET if path.ends_with("/log") => StatusCode::BAD_REQUEST.into_response(),
            Method::GET if is_deleted.load(Ordering::SeqCst) => refused(),
            Method::GET => list(request, "Pod", &[ended()]),
            _ => answered(StatusCode::OK, &probe().1),
        }
    })
    .await;
    let (object, manifest) = probe();
    let stop = CancellationToken::new();
    let ran = job::run(&cluster, &object, manifest, LONG, &stop).await;
    let ran = ran.expect("it ran");
    let log = "the report".to_owned();
    assert_eq!(ran.end, JobEnd::Finished { log });
    assert!(
        matches!(ran.left, Some(ClusterError::Refused { code: 403, .. })),
        "{:?}",
        ran.left
    );
}

#[tokio::test]
async fn v08_a_probe_that_is_out_of_time_says_how_its_pod_stood() {
    let is_deleted = Arc::new(AtomicBool::new(false));
    let (cluster, _folder) = cluster(move |request| match *request.method() {
        Method::DELETE => {
            is_deleted.store(true, Ordering::SeqCst);
            answered(StatusCode::OK, &probe().1)
        }
        Method::GET if is_deleted.load(Ordering::SeqCst) => list(request, "Pod", &[]),
        Method::GET => {
            let mut pod = ended();
            pod["status"] = json!({"phase": "Pending", "containerStatuses": []});
            list(request, "Pod", &[pod])
        }
        _ => answered(StatusCode::OK, &probe().1),
    })
    .await;
    let (object, manifest) = probe();
    let stop = CancellationToken::new();
    let deadline = Duration::from_secs(3);
    let ran = job::run(&cluster, &object, manifest, deadline, &stop).await;
    let ran = ran.expect("it ran");
    let state = "pod probe-1-x: Pending".to_owned();
    assert_eq!(ran.end, JobEnd::OutOfTime { state });
    assert!(ran.left.is_none(), "{:?}", ran.left);
    stop.cancel();
    let (object, manifest) = probe();
    let ran = job::run(&cluster, &object, manifest, LONG, &stop).await;
    assert_eq!(ran.expect("it ran").end, JobEnd::Stopped);
}

fn awaited() -> ObjectRef {
    ObjectRef::new(ObjectKind::Deployment, "ns", "collector")
}

async fn wait(cluster: &Cluster, deadline: Duration) -> ClusterError {
    let objects = [awaited()];
    let waiting = Waiting {
        objects: &objects,
        namespace: "ns",
        pods: "app=x",
        deadline,
    };
    let stop = CancellationToken::new();
    let waited = until_ready(cluster, &waiting, &stop, |_, _| {}).await;
    waited.expect_err("it cannot become ready")
}

#[tokio::test]
async fn d12_a_wait_for_what_may_not_be_watched_ends_at_once() {
    let (cluster, _folder) = cluster(|_| refused()).await;
    let started = Instant::now();
    let error = wait(&cluster, LONG).await;
    assert!(
        matches!(&error, ClusterError::Refused { code: 403, action, .. }
            if action == "watching Deployment/ns/collector"),
        "{error:?}"
    );
    let error = until(&cluster, &awaited(), "is there", LONG, |live| {
        live.is_some()
    })
    .await;
    let error = error.expect_err("nobody may watch");
    assert!(
        matches!(error, ClusterError::Refused { code: 403, .. }),
        "{error:?}"
    );
    assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
}

#[tokio::test]
async fn d12_a_wait_says_that_its_object_does_not_exist_and_what_may_not_be_watched() {
    let (cluster, _folder) = cluster(|request| {
        if request.uri().path().ends_with("/deployments") {
            list(request, "Deployment", &[])
        } else {
            refused()
        }
    })
    .await;
    let error = wait(&cluster, Duration::from_secs(3)).await.to_string();
    assert!(error.contains("it does not exist"), "{error}");
    assert!(error.contains("pods cannot be watched: "), "{error}");
    let short = Duration::from_secs(1);
    let error = until(&cluster, &awaited(), "is there", short, |live| {
        live.is_some()
    })
    .await;
    let error = error.expect_err("it never is").to_string();
    assert!(
        error.contains("is there after 1 s: it does not exist"),
        "{error}"
    );
}

#[tokio::test]
async fn v06_a_list_that_is_refused_is_unread_and_not_empty() {
    let (cluster, _folder) = cluster(|request| {
        let path = request.uri().path();
        if path.ends_with("/deployments") || path.contains("/configmaps/") {
            refused()
        } else {
            list(request, "X", &[])
        }
    })
    .await;
    let (found, gaps) = objects(&cluster, &["ns".to_owned()]).await;
    let unread: Vec<Listing> = found.unread.iter().map(|unread| unread.listing).collect();
    assert_eq!(unread, [Listing::Records, Listing::Deployments]);
    assert!(found.unread[1].why.contains("it is forbidden"));
    assert_eq!(gaps, Vec::<String>::new());
}

#[tokio::test]
async fn v03_the_api_servers_refusal_to_ask_a_pod_is_not_the_pods_answer() {
    let (cluster, _folder) = cluster(|request| {
        if request.uri().path().contains("/pods/mine:") {
            let body = json!({"title": "no token", "status": 403});
            answered(StatusCode::FORBIDDEN, &body)
        } else {
            refused()
        }
    })
    .await;
    let pod = |name: &str| Pod {
        namespace: "ns".to_owned(),
        name: name.to_owned(),
        ..Pod::default()
    };
    let forbidden = ask(&cluster, &pod("theirs"), HttpPort::plain(80), "/health").await;
    assert_eq!(forbidden.by, AnsweredBy::ApiServer);
    assert_eq!(forbidden.body, "it is forbidden");
    let answer = ask(&cluster, &pod("mine"), HttpPort::plain(80), "/health").await;
    assert_eq!((answer.by, answer.code), (AnsweredBy::Pod, Some(403)));
}
