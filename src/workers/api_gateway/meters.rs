//! What a gateway counts.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::workers::vitals::Vitals;

type Labels = Vec<(&'static str, String)>;

/// Upper bounds of the histogram, in seconds.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0,
];

/// The counters, shared with the metrics registry.
#[derive(Clone)]
pub(super) struct Meters {
    requests: Family<Labels, Counter>,
    times: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Meters {
    /// Registers them.
    pub(super) fn register(vitals: &Vitals) -> Self {
        let meters = Self {
            requests: Family::default(),
            times: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        };
        vitals.with_metrics(|registry| {
            registry.register(
                "telectl_gateway_requests",
                "Requests by route and status",
                meters.requests.clone(),
            );
            registry.register(
                "telectl_gateway_request_seconds",
                "Seconds until the answer begins, by route",
                meters.times.clone(),
            );
        });
        meters
    }
}

/// Counts requests by the route that they match, so that nobody can make labels up.
pub(super) async fn measure(
    State(meters): State<Meters>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let labels = vec![("route", route.clone())];
    meters
        .times
        .get_or_create(&labels)
        .observe(started.elapsed().as_secs_f64());
    let status = response.status().as_str().to_owned();
    let labels = vec![("route", route), ("status", status)];
    meters.requests.get_or_create(&labels).inc();
    response
}
