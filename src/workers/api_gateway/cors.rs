//! Which pages of other origins a browser lets ask.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::worker::CorsOrigins;

/// How long a browser may remember the answer.
const MEMORY: Duration = Duration::from_secs(600);

/// The answers to browsers; `None` if there are none, and so no other origin may ask. Credentials of
/// the browser's own (cookies, passwords) are never let through: a page shows the token itself.
pub(super) fn layer(origins: &CorsOrigins) -> Option<CorsLayer> {
    let allowed = match origins {
        CorsOrigins::None => return None,
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::These(origins) => {
            let values = origins.iter();
            AllowOrigin::list(values.filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    let own = HeaderName::from_static;
    let sent = [
        header::AUTHORIZATION,
        own("x-api-token"),
        own("last-event-id"),
    ];
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers(sent)
        .expose_headers([header::RETRY_AFTER, header::WWW_AUTHENTICATE])
        .max_age(MEMORY);
    Some(layer)
}
