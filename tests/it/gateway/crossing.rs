//! Pages of other origins, as a browser asks for them.

use reqwest::{Method, Response, StatusCode};
use telectl::config::worker::{CorsOrigins, GatewaySettings, parse_origins};
use telectl::model::secret::Secret;

use crate::store_fixture::{InSqlite, StoreFixture as _};

use super::Gateway;

const APP: &str = "https://app.example.com";

async fn gateway(fixture: &InSqlite, origins: CorsOrigins) -> Gateway {
    let settings = GatewaySettings {
        token: Some(Secret::from("canary-token-77")),
        cors_origins: origins,
        ..GatewaySettings::default()
    };
    Gateway::with(fixture.open(), settings).await
}

/// What a browser asks before it lets a page show the token.
async fn preflight(gateway: &Gateway, origin: &str) -> Response {
    let url = format!("{}/api/v1/gpus", gateway.base);
    let request = gateway.client.request(Method::OPTIONS, url);
    let request = request
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "GET")
        .header(
            "Access-Control-Request-Headers",
            "authorization,last-event-id",
        );
    request.send().await.unwrap()
}

async fn question(gateway: &Gateway, origin: &str) -> Response {
    let request = gateway.client.get(format!("{}/api/v1/gpus", gateway.base));
    let request = request
        .header("Origin", origin)
        .bearer_auth("canary-token-77");
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    let value = response.headers().get(name)?;
    Some(value.to_str().unwrap())
}

#[tokio::test]
async fn w13_no_other_origin_may_ask_unless_the_settings_say_so() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = gateway(&fixture, CorsOrigins::None).await;
    for response in [
        preflight(&gateway, APP).await,
        question(&gateway, APP).await,
    ] {
        assert_eq!(header(&response, "access-control-allow-origin"), None);
    }
    assert!(!preflight(&gateway, APP).await.status().is_success());
}

#[tokio::test]
async fn w13_the_origins_of_the_settings_may_ask_and_no_others() {
    let fixture = InSqlite::prepared().await.unwrap();
    let origins = parse_origins(&format!("{APP},http://localhost:3000")).unwrap();
    let gateway = gateway(&fixture, origins).await;
    for origin in [APP, "http://localhost:3000"] {
        let asked = preflight(&gateway, origin).await;
        assert_eq!(asked.status(), StatusCode::OK, "without a token");
        assert_eq!(header(&asked, "access-control-allow-origin"), Some(origin));
        let methods = header(&asked, "access-control-allow-methods").unwrap();
        assert_eq!(methods, "GET,HEAD");
        let headers = header(&asked, "access-control-allow-headers").unwrap();
        assert_eq!(headers, "authorization,x-api-token,last-event-id");
        let answered = question(&gateway, origin).await;
        assert_eq!(answered.status(), StatusCode::OK);
        assert_eq!(
            header(&answered, "access-control-allow-origin"),
            Some(origin)
        );
        // Or a cache would answer one origin with what was meant for another.
        assert!(header(&answered, "vary").unwrap().contains("origin"));
    }
    for other in [
        "https://evil.example",
        "https://app.example.com.evil.example",
    ] {
        for response in [
            preflight(&gateway, other).await,
            question(&gateway, other).await,
        ] {
            assert_eq!(header(&response, "access-control-allow-origin"), None);
        }
    }
}

#[tokio::test]
async fn w13_any_origin_may_ask_but_not_with_credentials_of_the_browser() {
    let fixture = InSqlite::prepared().await.unwrap();
    let gateway = gateway(&fixture, CorsOrigins::Any).await;
    for response in [
        preflight(&gateway, APP).await,
        question(&gateway, APP).await,
    ] {
        assert_eq!(header(&response, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&response, "access-control-allow-credentials"), None);
    }
    // A page can read why it was refused.
    let url = format!("{}/api/v1/gpus", gateway.base);
    let refused = gateway.client.get(url).header("Origin", APP).send().await;
    let refused = refused.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&refused, "access-control-allow-origin"), Some("*"));
}
