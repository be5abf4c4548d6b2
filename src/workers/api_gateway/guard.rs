//! What stands before every route: the token, and the bounds of a request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::workers::runtime::token::{Token, shown};

use super::ANSWER_LIMIT;
use super::problem::Problem;

/// Longest path and query in bytes.
const URI_LIMIT: usize = 8 * 1024;

/// Requests under way at most, streams not counted: those that have begun are not in the way. Each may
/// wait for a connection to the store, of which there are few.
const REQUESTS: usize = 256;

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

/// The requests that may be under way.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    fn of(requests: usize) -> Self {
        Self(Arc::new(Semaphore::new(requests)))
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self::of(REQUESTS)
    }
}

/// Bounds the number and the size of requests and the time of their answers. No route reads a body.
pub(super) async fn limit(State(turns): State<Turns>, request: Request, next: Next) -> Response {
    let Ok(_turn) = turns.0.try_acquire() else {
        return Problem::Busy.into_response();
    };
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tokio::sync::oneshot;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn w13_a_request_beyond_those_under_way_is_turned_away_until_one_ends() {
        let turns = Turns::of(1);
        let (began, beginning) = oneshot::channel();
        let (end, ending) = oneshot::channel();
        let signals = Arc::new(tokio::sync::Mutex::new(Some((began, ending))));
        // The first request stays until it is told to end.
        let route = get(async move || {
            if let Some((began, ending)) = signals.lock().await.take() {
                began.send(()).unwrap();
                ending.await.unwrap();
            }
        });
        let layer = from_fn_with_state(turns, limit);
        let router = Router::new().route("/", route).layer(layer);
        let ask = || {
            let request = Request::get("/").body(axum::body::Body::empty()).unwrap();
            router.clone().oneshot(request)
        };
        let first = tokio::spawn(ask());
        beginning.await.unwrap();
        let refused = ask().await.unwrap();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        end.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
    }
}
