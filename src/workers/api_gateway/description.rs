//! What the OpenAPI document says about all routes alike, so that none forgets it.

use utoipa::OpenApi as _;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use super::problem::ProblemDetails;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "telectl GPU telemetry",
        description = "GPUs, hosts and samples that the pipeline has stored. Times are RFC 3339 in \
                       UTC, ranges include their start and not their end, errors are RFC 9457 \
                       problems."
    ),
    components(schemas(ProblemDetails))
)]
struct Description;

/// Problems that every route may answer with, beside those of its own.
const PROBLEMS: [(&str, &str); 4] = [
    ("400", "A parameter is unknown or not what it has to be"),
    ("405", "The route answers to GET and HEAD only"),
    ("413", "The address is too long, or there is a body"),
    (
        "503",
        "The store does not answer, the answer took too long, or there is too much to do",
    ),
];

/// The document before there are routes.
pub(super) fn start() -> OpenApi {
    Description::openapi()
}

/// Adds to every route the problems that all have.
pub(super) fn complete(description: &mut OpenApi) {
    for (status, words) in PROBLEMS {
        add(description, status, words);
    }
}

/// Says how to show the token, and what the answer is without it.
pub(super) fn ask_for_token(description: &mut OpenApi) {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let header = ApiKey::Header(ApiKeyValue::new("X-API-Token"));
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    components.add_security_scheme("header", SecurityScheme::ApiKey(header));
    let either = ["token", "header"].map(|name| SecurityRequirement::new(name, [""; 0]));
    description.security = Some(either.into());
    add(description, "401", "There is no token, or another one");
}

fn add(description: &mut OpenApi, status: &str, words: &str) {
    let operations = description
        .paths
        .paths
        .values_mut()
        .filter_map(|path| path.get.as_mut());
    for operation in operations {
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_owned(), RefOr::T(problem(words)));
    }
}

fn problem(words: &str) -> Response {
    let schema = Ref::from_schema_name("ProblemDetails");
    ResponseBuilder::new()
        .description(words)
        .content("application/problem+json", Content::new(Some(schema)))
        .build()
}
