//! What is added to the store, as server-sent events.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::store::AdditionsQuery;
use crate::workers::vitals::Vitals;

use super::parameters::{Parameters, bad};
use super::problem::Problem;
use super::questions::by_place;
use super::reader::Reader;

mod event;
mod follower;

use event::EventId;
use follower::Follower;

/// The parameters.
const STREAM: [&str; 4] = ["gpu", "host", "metric", "last_event_id"];
/// What a browser sends when it comes again.
const LAST_EVENT_ID: &str = "last-event-id";
/// Reads of all streams at a time: the other routes need connections to the store, too.
const READS: usize = 2;

/// What all streams share.
#[derive(Clone)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    limit: usize,
    open: Gauge,
    stop: CancellationToken,
}

impl Streams {
    /// At most so many at a time, until `stop`.
    pub(super) fn new(limit: usize, stop: CancellationToken, vitals: &Vitals) -> Self {
        let open = Gauge::default();
        vitals.with_metrics(|registry| {
            registry.register(
                "telectl_gateway_streams",
                "Streams of events that are open",
                open.clone(),
            );
        });
        Self {
            places: Arc::new(Semaphore::new(limit)),
            reads: Arc::new(Semaphore::new(READS)),
            limit,
            open,
            stop,
        }
    }

    fn place(&self) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::Streams(self.limit))?;
        self.open.inc();
        Ok(Place {
            open: self.open.clone(),
            _permit: permit,
        })
    }
}

/// One of the streams that may be open; free again when this value goes.
struct Place {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Samples as they are stored, as server-sent events, each with an id from which `Last-Event-ID` goes
/// on without loss or repetition. An event `reset` says that the store holds other data than before.
#[utoipa::path(get, path = "/api/v1/stream", tag = "telemetry",
    params(
        ("gpu" = Option<String>, Query, description = "Only this GPU: UUID, or host:index"),
        ("host" = Option<String>, Query, description = "Only GPUs of this host"),
        ("metric" = Option<String>, Query, description = "Only this metric",
            example = "DCGM_FI_DEV_GPU_UTIL"),
        ("last_event_id" = Option<String>, Query, description =
            "Go on after this event; the header `Last-Event-ID` goes before it. From now on if unset"),
        ("Last-Event-ID" = Option<String>, Header, description = "Go on after this event"),
    ),
    responses(
        (status = OK, description = "Events; the data of each is a TelemetryPoint", body = String,
            content_type = "text/event-stream",
            example = "id: AQID\ndata: {\"timestamp\":\"2025-07-18T20:42:34Z\",\
                       \"metric\":\"DCGM_FI_DEV_GPU_UTIL\",\"value\":97.0}\n\n"),
        (status = NOT_FOUND, description = "No GPU has this place", body = super::problem::ProblemDetails,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn stream(
    State(store): State<Reader>,
    State(streams): State<Streams>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (mut asked, from) = read(query.as_deref(), &headers)?;
    if let Some(gpu) = asked.uuid.take() {
        let uuid = by_place(&store, "gpu", &gpu).await?;
        asked.uuid = Some(uuid.unwrap_or(gpu));
    }
    let place = streams.place()?;
    let follower = Follower::start(store, asked, from, place, &streams).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // Or a proxy in front would collect events before it hands them on.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(follower.events())).into_response())
}

fn read(
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<(AdditionsQuery, Option<EventId>), Problem> {
    let parameters = Parameters::read(query, &STREAM)?;
    let text = |name: &str| parameters.get(name).map(str::to_owned);
    let header = headers.get(LAST_EVENT_ID);
    // A browser that has seen no event yet sends an empty one.
    let word = match header.filter(|word| !word.is_empty()) {
        Some(word) => Some(word.to_str().unwrap_or("%")),
        None => parameters.get("last_event_id"),
    };
    let id = |word| {
        EventId::decode(word).ok_or_else(|| {
            bad(
                "last_event_id",
                word,
                "the id of an event of this stream; without it, the events from now on come",
            )
        })
    };
    let asked = AdditionsQuery {
        from: None,
        uuid: text("gpu"),
        hostname: text("host"),
        metric: text("metric"),
        limit: follower::PAGE,
    };
    Ok((asked, word.map(id).transpose()?))
}
