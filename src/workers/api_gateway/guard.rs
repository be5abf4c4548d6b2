//! What stands before every route: the token, and the bounds of a request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use crate::workers::runtime::token::{Token, shown};

use super::ANSWER_LIMIT;
use super::problem::Problem;

/// Longest path and query in bytes.
const URI_LIMIT: usize = 8 * 1024;

/// Lets requests pass that show the token, if there is one.
pub(super) async fn authenticate(
    State(token): State<Option<Arc<Token>>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = token else {
        return next.run(request).await;
    };
    match shown(request.headers()) {
        None => Problem::NoToken.into_response(),
        Some(shown) if token.is(&shown) => next.run(request).await,
        Some(_) => Problem::WrongToken.into_response(),
    }
}

/// Bounds the size of a request and the time of its answer. No route reads a body.
pub(super) async fn limit(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path().len() + uri.query().map_or(0, str::len);
    if length > URI_LIMIT {
        return Problem::TooLarge("the address").into_response();
    }
    let has_body = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length.as_bytes() != b"0")
        || request.headers().contains_key(header::TRANSFER_ENCODING);
    if has_body {
        return Problem::TooLarge("the body (no route takes one)").into_response();
    }
    match timeout(ANSWER_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::Time.into_response(),
    }
}
