//! `POST /api/v1/csv/upload`, and what became of uploads.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::model::causes::chain;
use crate::workers::runtime::http::is_from_here;
use crate::workers::runtime::problem::problem;
use crate::workers::runtime::token::shown;

use super::Uploads;
use super::receive::{Refusal, Taken, bounded, name, receive};

/// Longest time for one upload, however slowly it comes.
const LONGEST: Duration = Duration::from_secs(3600);

/// The routes for uploads. They ask for the token; without one, for a connection from this host.
pub fn router(uploads: Uploads) -> Router {
    let access = middleware::from_fn_with_state(uploads.clone(), admit);
    Router::new()
        .route("/api/v1/csv/upload", post(upload))
        .route("/api/v1/csv/uploads", get(list))
        .route("/api/v1/csv/uploads/{file_id}", get(one))
        .layer(access)
        .layer(DefaultBodyLimit::disable())
        .with_state(uploads)
}

async fn admit(State(uploads): State<Uploads>, request: Request, next: Next) -> Response {
    let refused = match &uploads.0.token {
        None if is_from_here(&request) => return next.run(request).await,
        None => {
            return problem(
                StatusCode::FORBIDDEN,
                "without UPLOAD_TOKEN, uploads come from within the pod only: `kubectl \
                 port-forward` leads there",
            );
        }
        Some(token) => match shown(request.headers()) {
            Some(shown) if token.is(&shown) => return next.run(request).await,
            Some(_) => "the token is another one",
            None => "a token is needed: `Authorization: Bearer …` or `X-API-Token`",
        },
    };
    let mut response = problem(StatusCode::UNAUTHORIZED, refused);
    let challenge = header::HeaderValue::from_static("Bearer");
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, challenge);
    response
}

#[derive(Deserialize)]
struct Named {
    filename: Option<String>,
}

async fn upload(
    State(uploads): State<Uploads>,
    Query(named): Query<Named>,
    request: Request,
) -> Response {
    let Ok(_slot) = uploads.0.slots.try_acquire() else {
        return refused(&Refusal::Busy(super::AT_ONCE));
    };
    let limit = uploads.0.limit;
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let is_form =
        content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    let taking = async {
        if is_form {
            let bounded = request.map(|body| Body::from_stream(bounded(body, limit)));
            match Multipart::from_request(bounded, &()).await {
                Ok(form) => from_form(&uploads, form).await,
                Err(rejection) => Err(Refusal::Broken(rejection.body_text())),
            }
        } else {
            let name = named.filename.as_deref();
            from_body(&uploads, name, bounded(request.into_body(), limit)).await
        }
    };
    let taken = timeout(LONGEST, taking)
        .await
        .unwrap_or(Err(Refusal::Stalled));
    match taken {
        Ok((name, Taken { id, digest, size })) => {
            tracing::info!(file = name, size, digest, "uploaded");
            let place = format!("/api/v1/csv/uploads/{id}");
            let body = json!({
                "file_id": id,
                "filename": name,
                "size": size,
                "sha256": digest,
                "status": "accepted",
                "status_url": place,
            });
            let headers = [(header::LOCATION, place)];
            (StatusCode::ACCEPTED, headers, Json(body)).into_response()
        }
        Err(refusal) => refused(&refusal),
    }
}

/// The first field of a form that is a file.
async fn from_form(uploads: &Uploads, mut form: Multipart) -> Result<(String, Taken), Refusal> {
    loop {
        let field = form.next_field().await;
        let field = field.map_err(|error| Refusal::Broken(error.body_text()))?;
        let Some(field) = field else {
            return Err(Refusal::Broken(
                "the form has no file: `curl -F file=@node-7.csv`".to_owned(),
            ));
        };
        if field.name() != Some("file") {
            continue;
        }
        let name = name(field.file_name())?.to_owned();
        let pieces = stream::unfold(field, async |mut field| {
            let piece = field.chunk().await;
            let piece = piece.map_err(|error| Refusal::Broken(error.body_text()));
            piece.transpose().map(|piece| (piece, field))
        });
        let taken = receive(uploads, &name, pieces).await?;
        return Ok((name, taken));
    }
}

async fn from_body(
    uploads: &Uploads,
    given: Option<&str>,
    pieces: impl Stream<Item = Result<Bytes, Refusal>>,
) -> Result<(String, Taken), Refusal> {
    let name = name(given)?.to_owned();
    let taken = receive(uploads, &name, pieces).await?;
    Ok((name, taken))
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Name(_) | Refusal::Broken(_) => StatusCode::BAD_REQUEST,
        Refusal::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
        Refusal::Stalled => StatusCode::REQUEST_TIMEOUT,
        Refusal::Empty | Refusal::Header(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Disk(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        Refusal::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let why = chain(refusal);
    tracing::warn!(why, "an upload was refused");
    let mut response = problem(status, &why);
    if matches!(refusal, Refusal::Busy(_) | Refusal::Full(_)) {
        let later = header::HeaderValue::from_static("10");
        response.headers_mut().insert(header::RETRY_AFTER, later);
    }
    response
}

async fn list(State(uploads): State<Uploads>) -> Response {
    Json(json!({ "uploads": uploads.told() })).into_response()
}

async fn one(State(uploads): State<Uploads>, Path(file_id): Path<String>) -> Response {
    let found = uploads.told().into_iter();
    match found.into_iter().find(|one| one["file_id"] == file_id) {
        Some(one) => Json(one).into_response(),
        None => problem(
            StatusCode::NOT_FOUND,
            "no upload of this name is here: it never was, or it was stored and its room was needed",
        ),
    }
}
