//! Canaries at the gateway.

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::Value;
use telectl::store::Store as _;

use crate::conformance::store::canaries::arrival;
use crate::store_fixture::{InPostgres, InSqlite, StoreFixture};

use super::{Gateway, text};

const ID: &str = "00000000000000000000000000000001";

async fn a_canary_is_answered(fixture: &impl StoreFixture) {
    let store = fixture.open();
    store.note_canary(&arrival(1)).await.unwrap();
    let gateway = Gateway::of(store, None).await;
    let found = gateway.ok(&format!("/api/v1/canaries/{ID}")).await;
    assert_eq!(found["id"], ID);
    assert_eq!(found["cluster"], "edge");
    assert_eq!(found["sent_at"], "2025-07-18T12:00:00.000001Z");
    assert_eq!(found["published_at"], "2025-07-18T12:00:00.005Z");
    assert_eq!(found["received_at"], "2025-07-18T12:00:00.25Z");
    assert_eq!(found["collector"], "collector-0");
    assert_eq!(found["deliveries"], 1);
    let time = |field: &str| -> Timestamp { text(&found[field]).parse().unwrap() };
    assert!(time("stored_at") <= time("answered_at"), "{found}");
    let none = "00000000000000000000000000000002";
    for unknown in [none, "what", "%00"] {
        let path = format!("/api/v1/canaries/{unknown}");
        let problem = gateway.problem(&path, 404, "no canary").await;
        assert_eq!(problem["type"], "/docs#no-canary");
    }
    let document = gateway.ok("/api/v1/openapi.json").await;
    let route = &document["paths"]["/api/v1/canaries/{id}"]["get"];
    assert!(route["responses"]["404"].is_object(), "{document}");
    assert_eq!(gateway.ok("/api/v1/stats").await["total_records"], 0);
    assert_eq!(gateway.ok("/api/v1/sources").await["count"], 0);
}

#[tokio::test]
async fn v10_a_canary_is_answered_from_postgresql() {
    if let Some(fixture) = InPostgres::prepared().await {
        a_canary_is_answered(&fixture).await;
    }
}

#[tokio::test]
async fn v10_a_canary_is_answered_from_sqlite() {
    let fixture = InSqlite::prepared().await.unwrap();
    a_canary_is_answered(&fixture).await;
}

/// A proxy such as Kubernetes' API server keeps `Authorization` to itself; the token may come in a
/// header of its own.
#[tokio::test]
async fn v10_the_token_may_come_through_a_proxy() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = Gateway::of(fixture.open(), Some("canary-token-77")).await;
    let path = format!("/api/v1/canaries/{ID}");
    gateway.problem(&path, 401, "X-API-Token").await;
    let asked = async |token: &str| -> (StatusCode, Value) {
        let request = gateway.client.get(format!("{}{path}", gateway.base));
        let response = request.header("X-API-Token", token).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    };
    let (status, body) = asked("canary-token-7").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    assert_eq!(body["type"], "/docs#wrong-token");
    let (status, body) = asked("canary-token-77").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    let document = gateway.ok("/api/v1/openapi.json").await;
    let scheme = &document["components"]["securitySchemes"]["header"];
    assert_eq!(scheme["name"], "X-API-Token", "{document}");
}
