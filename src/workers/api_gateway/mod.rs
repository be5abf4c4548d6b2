//! The API gateway: answers questions about what the store holds, over HTTP.
//!
//! Health, status and metrics are the endpoints of every worker (`runtime::http`); these routes
//! are merged with them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio_util::sync::CancellationToken;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::worker::GatewaySettings;
use crate::store::Store;

use super::vitals::Vitals;

mod aggregate;
mod answers;
mod cors;
mod cursor;
mod description;
mod exposition;
mod guard;
mod instant;
mod meters;
mod parameters;
mod problem;
mod questions;
mod reader;
mod stream;

use crate::workers::runtime::token::Token;
use meters::Meters;
use problem::Problem;
use reader::Reader;
use stream::Streams;

/// Longest time for an answer; the store gives up a little earlier.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// What the routes need.
#[derive(Clone)]
struct Shared {
    reader: Reader,
    streams: Streams,
}

impl FromRef<Shared> for Reader {
    fn from_ref(shared: &Shared) -> Self {
        shared.reader.clone()
    }
}

impl FromRef<Shared> for Streams {
    fn from_ref(shared: &Shared) -> Self {
        shared.streams.clone()
    }
}

/// All routes but those of every worker. With a token in the settings, each that answers with data
/// asks for it. Streams end once `stop` is told; nothing else would end them.
pub fn router<S: Store>(
    store: S,
    settings: &GatewaySettings,
    vitals: &Vitals,
    stop: CancellationToken,
) -> Router {
    let (routes, mut description) = routes().split_for_parts();
    description::complete(&mut description);
    let token = settings.token.as_ref().map(Token::new);
    if token.is_some() {
        description::ask_for_token(&mut description);
    }
    let shared = Shared {
        reader: Reader::of(&store),
        streams: Streams::new(settings.stream_limit, stop, vitals),
    };
    let guarded = routes
        .with_state(shared)
        .fallback(async || Problem::NoRoute)
        .method_not_allowed_fallback(async || Problem::Method)
        .layer(middleware::from_fn_with_state(
            token.map(Arc::new),
            guard::authenticate,
        ));
    let limited = guarded
        .merge(documents(description))
        .layer(middleware::from_fn_with_state(
            guard::Turns::default(),
            guard::limit,
        ));
    // A browser asks beforehand, without a token.
    let crossed = match cors::layer(&settings.cors_origins) {
        Some(layer) => limited.layer(layer),
        None => limited,
    };
    crossed.layer(middleware::from_fn_with_state(
        Meters::register(vitals),
        meters::measure,
    ))
}

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(description::start())
        .routes(routes!(questions::gpus))
        .routes(routes!(questions::hosts))
        .routes(routes!(questions::host_gpus))
        .routes(routes!(questions::telemetry))
        .routes(routes!(aggregate::aggregate))
        .routes(routes!(questions::gpu_latest))
        .routes(routes!(questions::latest))
        .routes(routes!(stream::stream))
        .routes(routes!(questions::statistics))
        .routes(routes!(questions::sources))
        .routes(routes!(questions::canary))
        .routes(routes!(exposition::gpu_metrics))
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
