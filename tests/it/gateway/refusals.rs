//! What the gateway does not answer, and what it says about itself.

use reqwest::StatusCode;
use serde_json::Value;
use telectl::store::Store as _;

use crate::store_data::MadeUp;
use crate::store_fixture::{InPostgres, InSqlite, StoreFixture as _};

use super::{Gateway, text};

#[tokio::test]
async fn w13_every_error_is_a_problem_that_helps() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = Gateway::of(fixture.open(), None).await;
    gateway
        .problem("/nowhere", 404, "see / for the routes")
        .await;
    gateway
        .problem("/api/v1/gpus?x=1", 400, "`x` must be left out")
        .await;
    let path = "/api/v1/gpus/GPU-1/telemetry";
    for (query, name, expected) in [
        ("limit=0", "limit", "from 1 to 10000"),
        ("limit=ten", "limit", "from 1 to 10000"),
        ("start_time=yesterday", "start_time", "RFC 3339"),
        ("end_time=2025-07-18", "end_time", "now-5m"),
        ("order=random", "order", "asc or desc"),
        ("cursor=AAAA", "cursor", "next_cursor"),
        ("strat_time=1", "strat_time", "start_time"),
        ("start_time=2&end_time=1", "start_time", "end_time"),
    ] {
        let body = gateway
            .problem(&format!("{path}?{query}"), 400, expected)
            .await;
        assert_eq!(body["parameter"], name);
    }
    gateway.problem(path, 404, "no GPU `GPU-1`").await;
    gateway
        .problem("/api/v1/gpus/%ff/telemetry", 400, "UTF-8")
        .await;
    let long = format!("{path}?metric={}", "x".repeat(9000));
    gateway.problem(&long, 413, "too long").await;
    let post = gateway.client.post(format!("{}/api/v1/gpus", gateway.base));
    let response = post.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(
        response.headers()["allow"]
            .to_str()
            .unwrap()
            .contains("GET")
    );
}

#[tokio::test]
async fn a_token_is_asked_for_when_one_is_set() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = Gateway::of(fixture.open(), Some("canary-token-77")).await;
    for path in [
        "/api/v1/gpus",
        "/api/v1/gpus/x/aggregate",
        "/api/v1/stats",
        "/api/v1/stream",
        "/metrics/gpu",
        "/nowhere",
    ] {
        let body = gateway.problem(path, 401, "any user name").await;
        assert_eq!(body["title"], "token required", "{path}");
        assert!(!body.to_string().contains("canary-token"));
    }
    let url = format!("{}/api/v1/gpus", gateway.base);
    let wrong = gateway.client.get(&url).bearer_auth("canary-token-7");
    let response = wrong.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenges = response.headers().get_all("www-authenticate");
    let challenges: Vec<&str> = challenges.iter().map(|it| it.to_str().unwrap()).collect();
    assert!(challenges[0].starts_with("Bearer"), "{challenges:?}");
    assert!(challenges[0].contains("invalid_token"), "{challenges:?}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["type"], "/docs#wrong-token", "{body}");
    let right = gateway.client.get(&url).bearer_auth("canary-token-77");
    assert_eq!(right.send().await.unwrap().status(), StatusCode::OK);
    let browser = gateway
        .client
        .get(&url)
        .basic_auth("me", Some("canary-token-77"));
    assert_eq!(browser.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_documents_need_no_token_and_hold_no_data() {
    let fixture = InSqlite::prepared().await.unwrap();
    let store = fixture.open();
    let source = MadeUp::of("edge", "secret-source.csv", 30);
    store.store(&source.cut(30)).await.unwrap();
    let gateway = Gateway::of(store, Some("canary-token-77")).await;
    for path in ["/", "/docs", "/api/v1/openapi.json"] {
        let request = gateway.client.get(format!("{}{path}", gateway.base));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let text = response.text().await.unwrap();
        assert!(!text.contains("canary-token"), "{path}");
        assert!(!text.contains("secret-source"), "{path}");
        let post = gateway.client.post(format!("{}{path}", gateway.base));
        assert_eq!(post.send().await.unwrap().status(), 405, "{path}");
    }
    let document = gateway.ok("/api/v1/openapi.json").await;
    assert!(document["security"][0]["token"].is_array(), "{document}");
}

#[tokio::test]
async fn the_page_explains_every_problem_and_shows_answers_as_text() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = Gateway::of(fixture.open(), Some("canary-token-77")).await;
    let page = gateway.client.get(format!("{}/docs", gateway.base));
    let page = page.send().await.unwrap().text().await.unwrap();
    for path in ["/api/v1/gpus", "/api/v1/gpus/%ff/telemetry"] {
        let (_, body) = gateway.get(path).await;
        let kind = text(&body["type"]).replace("/docs#", "");
        assert!(page.contains(&format!("id=\"{kind}\"")), "{kind}");
    }
    // What others wrote into labels never becomes markup, and the token never a part of an address.
    for unsafe_word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "http:",
        "Storage",
        "cookie",
    ] {
        assert!(!page.contains(unsafe_word), "{unsafe_word}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_503_and_comes_back() {
    let Some(fixture) = InPostgres::unprepared().await else {
        return;
    };
    let store = fixture.open();
    let gateway = Gateway::of(store.clone(), None).await;
    // No collector has made the tables yet.
    for path in ["/api/v1/gpus", "/api/v1/stats", "/api/v1/gpus/x/telemetry"] {
        gateway.problem(path, 503, "try again later").await;
    }
    let mut settings = fixture.settings.clone();
    settings.endpoint.port = 1;
    let nowhere = telectl::store::postgres::PostgresStore::new(&settings).unwrap();
    let lost = Gateway::of(nowhere, None).await;
    let body = lost.problem("/api/v1/hosts", 503, "try again later").await;
    assert!(
        !body.to_string().contains("127.0.0.1"),
        "an address in {body}"
    );
    store.migrate().await.unwrap();
    assert_eq!(gateway.ok("/api/v1/gpus").await["count"], 0);
    let metrics = gateway.metrics();
    let expected = "telectl_gateway_requests_total{route=\"/api/v1/gpus\",status=\"503\"} 1";
    assert!(metrics.contains(expected), "{metrics}");
}
