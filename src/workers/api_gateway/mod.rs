//! The API gateway: answers questions about what the store holds, over HTTP.
//!
//! Health, status and metrics are the endpoints of every worker (`runtime::http`); these routes
//! are merged with them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::worker::GatewaySettings;
use crate::store::Store;

use super::vitals::Vitals;

mod answers;
mod cursor;
mod guard;
mod meters;
mod parameters;
mod problem;
mod questions;
mod reader;

use crate::workers::runtime::token::Token;
use meters::Meters;
use problem::Problem;
use reader::Reader;

/// Longest time for an answer; the store gives up a little earlier.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "telectl GPU telemetry",
    description = "GPUs, hosts and samples that the pipeline has stored. Times are RFC 3339 in \
                   UTC, ranges include their start and not their end, errors are RFC 9457 problems."
))]
struct Description;

/// All routes but those of every worker. With a token in the settings, each that answers with data
/// asks for it.
pub fn router<S: Store>(store: S, settings: &GatewaySettings, vitals: &Vitals) -> Router {
    let (routes, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(questions::gpus))
        .routes(routes!(questions::hosts))
        .routes(routes!(questions::host_gpus))
        .routes(routes!(questions::telemetry))
        .routes(routes!(questions::gpu_latest))
        .routes(routes!(questions::latest))
        .routes(routes!(questions::statistics))
        .routes(routes!(questions::sources))
        .routes(routes!(questions::canary))
        .split_for_parts();
    let token = settings.token.as_ref().map(Token::new);
    if token.is_some() {
        ask_for_token(&mut description);
    }
    let guarded = routes
        .with_state(Reader::of(&store))
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::Method)
        .layer(middleware::from_fn_with_state(
            token.map(Arc::new),
            guard::authenticate,
        ));
    guarded
        .merge(documents(description))
        .layer(middleware::from_fn(guard::limit))
        .layer(middleware::from_fn_with_state(
            Meters::register(vitals),
            meters::measure,
        ))
}

/// What describes the routes. It holds no data, so that nobody needs a token to read how to show it.
fn documents(description: OpenApi) -> Router {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .with_state(Arc::new(description))
        .route("/", get(page))
        .route("/docs", get(page))
        .method_not_allowed_fallback(async || Problem::Method)
}

fn ask_for_token(description: &mut OpenApi) {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let header = ApiKey::Header(ApiKeyValue::new("X-API-Token"));
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    components.add_security_scheme("header", SecurityScheme::ApiKey(header));
    let either = ["token", "header"].map(|name| SecurityRequirement::new(name, [""; 0]));
    description.security = Some(either.into());
}

/// What is here, for machines.
async fn openapi(State(description): State<Arc<OpenApi>>) -> Json<OpenApi> {
    Json(OpenApi::clone(&description))
}

/// What is here, for people. Needs nothing from elsewhere.
async fn page() -> impl IntoResponse {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
                          script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, include_str!("page.html"))
}
