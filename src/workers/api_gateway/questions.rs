//! The routes.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use jiff::Timestamp;

use crate::model::canary::CanaryId;
use crate::store::canary::FoundCanary;
use crate::store::{Gpu, Statistics};

use super::answers::{Gpus, Hosts, Latest, Page, Sources};
use super::parameters::{self, TelemetryRequest};
use super::problem::{Problem, ProblemDetails};
use super::reader::Reader;

/// The body of an answer, or why there is none.
pub(super) type Answer<T> = Result<Json<T>, Problem>;
/// A part of the path.
pub(super) type Name = Result<Path<String>, PathRejection>;

/// Every GPU that was ever seen.
#[utoipa::path(get, path = "/api/v1/gpus", tag = "inventory", responses(
    (status = OK, description = "GPUs", body = Gpus),
))]
pub(super) async fn gpus(State(store): State<Reader>, RawQuery(query): RawQuery) -> Answer<Gpus> {
    parameters::none(query.as_deref())?;
    let gpus = (store.gpus)(()).await?;
    Ok(Json(Gpus {
        count: gpus.len(),
        gpus,
    }))
}

/// Every host that was ever seen.
#[utoipa::path(get, path = "/api/v1/hosts", tag = "inventory", responses(
    (status = OK, description = "Hosts", body = Hosts),
))]
pub(super) async fn hosts(State(store): State<Reader>, RawQuery(query): RawQuery) -> Answer<Hosts> {
    parameters::none(query.as_deref())?;
    let hosts = (store.hosts)(()).await?;
    Ok(Json(Hosts {
        count: hosts.len(),
        hosts,
    }))
}

/// The GPUs of a host.
#[utoipa::path(get, path = "/api/v1/hosts/{hostname}/gpus", tag = "inventory",
    params(("hostname" = String, Path, description = "Name of the host", min_length = 1,
        example = "mtv5-dgx1-hgpu-031")),
    responses(
        (status = OK, description = "GPUs", body = Gpus),
        (status = NOT_FOUND, description = "Nothing has this name", body = ProblemDetails, content_type = "application/problem+json"),
    ))]
pub(super) async fn host_gpus(
    State(store): State<Reader>,
    hostname: Name,
    RawQuery(query): RawQuery,
) -> Answer<Gpus> {
    parameters::none(query.as_deref())?;
    let hostname = name("hostname", hostname)?;
    let mut gpus = (store.gpus)(()).await?;
    gpus.retain(|gpu| gpu.hostname == hostname);
    if gpus.is_empty() {
        return Err(Problem::NoHost(hostname));
    }
    Ok(Json(Gpus {
        count: gpus.len(),
        gpus,
    }))
}

/// Samples of a GPU, a page at a time.
#[utoipa::path(get, path = "/api/v1/gpus/{id}/telemetry", tag = "telemetry",
    params(
        ("id" = String, Path, description = "UUID of the GPU, or host:index", min_length = 1,
        example = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"),
        ("start_time" = Option<String>, Query, description =
            "From this instant on: RFC 3339, seconds (not milliseconds) since 1970, or relative such as \
             now-5m or now-1h30m (units s, m, h, d)", example = "2025-07-18T20:42:34Z"),
        ("end_time" = Option<String>, Query, description = "Up to but not including this instant",
            example = "now"),
        ("metric" = Option<String>, Query, description = "Only this metric",
            example = "DCGM_FI_DEV_GPU_UTIL"),
        ("limit" = Option<u32>, Query, description = "At most so many; 1000 if unset",
            minimum = 1, maximum = 10000, example = 100),
        ("order" = Option<String>, Query, description = "asc (oldest first) or desc; asc if unset",
            pattern = "^(asc|desc)$", example = "desc"),
        ("cursor" = Option<String>, Query, description =
            "`next_cursor` of the page before, with the same filters"),
    ),
    responses(
        (status = OK, description = "A page of samples", body = Page),
        (status = NOT_FOUND, description = "Nothing has this name", body = ProblemDetails, content_type = "application/problem+json"),
    ))]
pub(super) async fn telemetry(
    State(store): State<Reader>,
    id: Name,
    RawQuery(query): RawQuery,
) -> Answer<Page> {
    let id = name("id", id)?;
    // Parameters first: whether they are right does not depend on the store.
    let now = Timestamp::now();
    let mut request = TelemetryRequest::read(&id, id.clone(), query.as_deref(), now)?;
    if let Some(uuid) = by_place(&store, "id", &id).await? {
        request.query.uuid = uuid;
    }
    let mut data_points = (store.telemetry)(request.query.clone()).await?;
    if data_points.is_empty() && request.query.uuid == id {
        known(&store, &id).await?;
    }
    let has_more = data_points.len() > request.page();
    data_points.truncate(request.page());
    let last = data_points.last().filter(|_| has_more);
    Ok(Json(Page {
        next_cursor: last.map(|point| request.cursor(point.position)),
        count: data_points.len(),
        has_more,
        data_points,
    }))
}

/// The newest sample of each metric of a GPU.
#[utoipa::path(get, path = "/api/v1/gpus/{id}/latest", tag = "telemetry",
    params(("id" = String, Path, description = "UUID of the GPU, or host:index", min_length = 1,
        example = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50")),
    responses(
        (status = OK, description = "The newest samples", body = Latest),
        (status = NOT_FOUND, description = "Nothing has this name", body = ProblemDetails, content_type = "application/problem+json"),
    ))]
pub(super) async fn gpu_latest(
    State(store): State<Reader>,
    id: Name,
    RawQuery(query): RawQuery,
) -> Answer<Latest> {
    parameters::none(query.as_deref())?;
    let id = name("id", id)?;
    let uuid = by_place(&store, "id", &id)
        .await?
        .unwrap_or_else(|| id.clone());
    let data_points = (store.latest)(Some(uuid)).await?;
    if data_points.is_empty() {
        known(&store, &id).await?;
    }
    Ok(Json(Latest {
        count: data_points.len(),
        data_points,
    }))
}

/// The newest sample of each metric of every GPU.
#[utoipa::path(get, path = "/api/v1/telemetry/latest", tag = "telemetry", responses(
    (status = OK, description = "The newest samples", body = Latest),
))]
pub(super) async fn latest(
    State(store): State<Reader>,
    RawQuery(query): RawQuery,
) -> Answer<Latest> {
    parameters::none(query.as_deref())?;
    let data_points = (store.latest)(None).await?;
    Ok(Json(Latest {
        count: data_points.len(),
        data_points,
    }))
}

/// How much there is of everything, by the ledger.
#[utoipa::path(get, path = "/api/v1/stats", tag = "inventory", responses(
    (status = OK, description = "Counts", body = Statistics),
))]
pub(super) async fn statistics(
    State(store): State<Reader>,
    RawQuery(query): RawQuery,
) -> Answer<Statistics> {
    parameters::none(query.as_deref())?;
    Ok(Json((store.statistics)(()).await?))
}

/// How much of each source is stored, by the ledger.
#[utoipa::path(get, path = "/api/v1/sources", tag = "inventory", responses(
    (status = OK, description = "Progress by source and pass", body = Sources),
))]
pub(super) async fn sources(
    State(store): State<Reader>,
    RawQuery(query): RawQuery,
) -> Answer<Sources> {
    parameters::none(query.as_deref())?;
    let sources = (store.sources)(()).await?;
    Ok(Json(Sources {
        count: sources.len(),
        sources,
    }))
}

/// A canary that was sent from an edge to see whether it arrives. It is no sample and in no list.
#[utoipa::path(get, path = "/api/v1/canaries/{id}", tag = "health",
    params(("id" = String, Path, description = "Name of the canary: 32 hexadecimal digits",
        min_length = 1, example = "0123456789abcdef0123456789abcdef")),
    responses(
        (status = OK, description = "The canary", body = FoundCanary),
        (status = NOT_FOUND, description = "Nothing has this name", body = ProblemDetails, content_type = "application/problem+json"),
    ))]
pub(super) async fn canary(
    State(store): State<Reader>,
    id: Name,
    RawQuery(query): RawQuery,
) -> Answer<FoundCanary> {
    parameters::none(query.as_deref())?;
    let id = name("id", id)?;
    let record = match CanaryId::parse(&id) {
        Some(id) => (store.canary)(id).await?,
        None => None,
    };
    let record = record.ok_or(Problem::NoCanary(id))?;
    Ok(Json(FoundCanary {
        record,
        answered_at: Timestamp::now(),
    }))
}

/// The name that a part of the path is.
pub(super) fn name(parameter: &str, given: Name) -> Result<String, Problem> {
    match given {
        Ok(Path(name)) => Ok(name),
        Err(_) => Err(Problem::Parameter {
            name: parameter.to_owned(),
            value: None,
            expected: "UTF-8, percent-encoded".to_owned(),
        }),
    }
}

/// The UUID behind `host:index`; `None` if the name has another form.
pub(super) async fn by_place(
    store: &Reader,
    parameter: &str,
    id: &str,
) -> Result<Option<String>, Problem> {
    // No store takes it, so that nothing has such a name.
    if id.contains('\0') {
        return Err(Problem::NoGpu(id.to_owned()));
    }
    let Some((host, index)) = id.rsplit_once(':') else {
        return Ok(None);
    };
    let mut uuids: Vec<String> = (store.gpus)(())
        .await?
        .into_iter()
        .filter(|gpu| gpu.hostname == host && gpu.gpu_id == index)
        .map(|gpu| gpu.uuid)
        .collect();
    uuids.sort();
    uuids.dedup();
    match uuids.len() {
        0 => Err(Problem::NoGpu(id.to_owned())),
        1 => Ok(uuids.pop()),
        _ => Err(Problem::Parameter {
            name: parameter.to_owned(),
            value: Some(id.to_owned()),
            expected: format!(
                "a UUID here, as several GPUs have this place: {}",
                uuids.join(", ")
            ),
        }),
    }
}

/// Whether there is such a GPU, for answers without samples.
pub(super) async fn known(store: &Reader, id: &str) -> Result<(), Problem> {
    let gpus: Vec<Gpu> = (store.gpus)(()).await?;
    let is_known = id.contains(':') || gpus.iter().any(|gpu| gpu.uuid == id);
    is_known
        .then_some(())
        .ok_or_else(|| Problem::NoGpu(id.to_owned()))
}
