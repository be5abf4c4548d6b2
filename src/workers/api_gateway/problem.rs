//! Errors as RFC 9457 problems.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::model::causes::chain;
use crate::store::StoreError;

/// Why a request is not answered.
#[derive(Debug)]
pub(super) enum Problem {
    /// There is no such route.
    NoRoute,
    /// The route exists, for another method.
    Method,
    /// A parameter is not what it has to be.
    Parameter {
        /// Its name.
        name: String,
        /// What it is; `None` if that is not what is wrong.
        value: Option<String>,
        /// What it has to be.
        expected: String,
    },
    /// Nobody knows this GPU.
    NoGpu(String),
    /// Nobody knows this host.
    NoHost(String),
    /// No canary of this name has arrived, or it is forgotten.
    NoCanary(String),
    /// There is no token.
    NoToken,
    /// There is one, but it is another.
    WrongToken,
    /// The request is larger than any that makes sense.
    TooLarge(&'static str),
    /// As many streams are open as may be; how many that is.
    Streams(usize),
    /// As many requests are under way as may be.
    Busy,
    /// The store does not answer now.
    Store,
    /// It took too long.
    Time,
}

/// The body.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ProblemDetails {
    /// Which problem: a stable reference, explained on the page that it leads to.
    #[serde(rename = "type")]
    #[schema(example = "/docs#parameter")]
    kind: String,
    /// The same in words.
    #[schema(example = "bad parameter")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// What is wrong with this request.
    #[schema(example = "`limit` must be a number from 1 to 10000; it is `0`")]
    detail: String,
    /// The parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    parameter: Option<String>,
}

impl Problem {
    const fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, "no-route", "no such route"),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "method not allowed",
            ),
            Self::Parameter { .. } => (StatusCode::BAD_REQUEST, "parameter", "bad parameter"),
            Self::NoGpu(_) => (StatusCode::NOT_FOUND, "no-gpu", "no such GPU"),
            Self::NoHost(_) => (StatusCode::NOT_FOUND, "no-host", "no such host"),
            Self::NoCanary(_) => (StatusCode::NOT_FOUND, "no-canary", "no such canary"),
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no-token", "token required"),
            Self::WrongToken => (StatusCode::UNAUTHORIZED, "wrong-token", "wrong token"),
            Self::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "request too large",
            ),
            Self::Streams(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "streams",
                "too many streams",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many requests at once",
            ),
            Self::Store => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store",
                "store unavailable",
            ),
            Self::Time => (StatusCode::SERVICE_UNAVAILABLE, "time", "took too long"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NoRoute => "see / for the routes".to_owned(),
            Self::Method => "the Allow header names the methods of this route".to_owned(),
            Self::Parameter {
                name,
                value,
                expected,
            } => match value {
                Some(value) => format!("`{name}` must be {expected}; it is `{value}`"),
                None => format!("`{name}` must be {expected}"),
            },
            Self::NoGpu(id) => {
                format!("no GPU `{id}`: give its UUID as /api/v1/gpus lists it, or host:index")
            }
            Self::NoHost(name) => format!("no host `{name}`: /api/v1/hosts lists them"),
            Self::NoCanary(id) => {
                format!("no canary `{id}` has arrived; one is remembered for a day")
            }
            Self::NoToken => {
                "send `Authorization: Bearer TOKEN`, the token as the password of any user name, or \
                 `X-API-Token: TOKEN`"
                    .to_owned()
            }
            Self::WrongToken => "the gateway was given another token than this one".to_owned(),
            Self::TooLarge(what) => format!("{what} is too long"),
            Self::Streams(limit) => format!(
                "STREAM_LIMIT allows {limit} at a time: try again later, or at another replica"
            ),
            Self::Busy => "try again in a second".to_owned(),
            Self::Store => "try again later; /readyz?verbose says what is wrong".to_owned(),
            Self::Time => "ask for a shorter range of time or fewer rows".to_owned(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // Addresses and the like are for the log, not for whoever asks.
        tracing::warn!(error = chain(&error), "a request was not answered");
        match error {
            StoreError::TooSlow { .. } => Self::Time,
            _ => Self::Store,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, kind, title) = self.kind();
        let body = ProblemDetails {
            kind: format!("/docs#{kind}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            parameter: match &self {
                Self::Parameter { name, .. } => Some(name.clone()),
                _ => None,
            },
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem);
        match self {
            Self::NoToken => challenge(headers, "Bearer realm=\"telectl\""),
            Self::WrongToken => {
                challenge(headers, "Bearer realm=\"telectl\", error=\"invalid_token\"");
            }
            Self::Store | Self::Streams(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Self::Busy => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// Says how to show the token: `bearer`, or what lets a browser ask for it.
fn challenge(headers: &mut HeaderMap, bearer: &'static str) {
    const BASIC: &str = "Basic realm=\"telectl: any user name, the token as password\"";
    for challenge in [bearer, BASIC] {
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w20_the_page_explains_every_problem() {
        let problems = [
            Problem::NoRoute,
            Problem::Method,
            Problem::Parameter {
                name: String::new(),
                value: None,
                expected: String::new(),
            },
            Problem::NoGpu(String::new()),
            Problem::NoHost(String::new()),
            Problem::NoCanary(String::new()),
            Problem::NoToken,
            Problem::WrongToken,
            Problem::TooLarge(""),
            Problem::Streams(0),
            Problem::Busy,
            Problem::Store,
            Problem::Time,
        ];
        for problem in problems {
            let (_, kind, _) = problem.kind();
            let place = format!("<tr id=\"{kind}\">");
            assert!(include_str!("page.html").contains(&place), "{kind}");
        }
    }
}
