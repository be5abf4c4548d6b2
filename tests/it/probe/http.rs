//! Health endpoints over HTTP, by the program itself, as it runs in an image without a store of
//! certificates.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::program::run;

/// The address of a server that answers with this at every health path.
async fn gateway(code: StatusCode, body: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let answer = move || async move { (code, axum::Json(body)) };
    let router = Router::new().route("/health", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/health")
}

/// What the program reports about the gateway, where no authority is known to the machine.
async fn reported(url: &str) -> Value {
    let arguments = [
        "worker",
        "probe",
        "--component",
        "api-gateway",
        "--gateway",
        url,
    ];
    let no_authorities = [
        ("SSL_CERT_FILE", "/nonexistent/authorities.pem"),
        ("SSL_CERT_DIR", "/nonexistent"),
    ];
    let output = run(&arguments, &no_authorities).await;
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = said
        .lines()
        .find_map(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("no report: {output:?}"));
    let targets = report["targets"].as_array().expect("there are targets");
    let gateway = targets.iter().find(|target| target["kind"] == "http");
    gateway.expect("the gateway was probed").clone()
}

#[tokio::test]
async fn v05_a_gateway_is_asked_where_no_authority_is_known() {
    let url = gateway(StatusCode::OK, json!({"status": "healthy"})).await;
    let report = reported(&url).await;
    let hops = report["hops"].as_array().expect("there are hops");
    assert!(!hops.is_empty(), "{report}");
    assert!(
        hops.iter().all(|hop| hop["outcome"]["result"] == "passed"),
        "{report}"
    );
}

#[tokio::test]
async fn v05_a_gateway_that_is_not_well_is_told_with_its_answer() {
    let url = gateway(StatusCode::SERVICE_UNAVAILABLE, json!({"status": "down"})).await;
    let report = reported(&url).await.to_string();
    assert!(report.contains("HTTP 503"), "{report}");
    assert!(report.contains("unhealthy"), "{report}");
}
