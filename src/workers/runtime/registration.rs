//! Connects a worker's registration to what it knows about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::worker::AdvertiseSettings;
use crate::model::service_record::ServiceRecord;
use crate::registry::Registry;
use crate::registry::address::{Advertised, Reach, Rung};
use crate::registry::lookup::advertised_address;
use crate::registry::registration::{self, Report, Worker};
use crate::workers::vitals::Vitals;

use super::about::About;

/// Pause before an address is looked for again.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The name of the registry among the dependencies.
const DEPENDENCY: &str = "registry";

/// What is needed to advertise a worker.
#[derive(Debug, Clone)]
pub struct Advertisement {
    /// Who it is.
    pub about: About,
    /// What the environment says about its address.
    pub settings: AdvertiseSettings,
    /// The port that it listens on.
    pub listen_port: u16,
    /// From where it has to be reachable.
    pub reach: Reach,
    /// The name of this host, if it is known.
    pub host_name: Option<String>,
    /// How it works, in one word.
    pub mode: &'static str,
    /// More facts for the record.
    pub facts: BTreeMap<String, String>,
}

/// Finds the address of a worker and puts it on the status page; without `registry` that is all.
/// Otherwise keeps the worker registered until `stop`. Never fails: the registry is advisory.
pub async fn advertise<R: Registry>(
    advertisement: &Advertisement,
    registry: Option<(R, Duration)>,
    vitals: &Vitals,
    stop: &CancellationToken,
) {
    let registered = registry.as_ref().map(|_| Registered::register(vitals));
    let Some(advertised) = address(advertisement, vitals, stop).await else {
        return;
    };
    let Some((registry, lease_ttl)) = registry else {
        vitals.detail("registration", json!({ "state": "not configured" }));
        return;
    };
    let registered = registered.map(|metric| metric.at(advertised.rung));
    let record = record(advertisement, &advertised, lease_ttl);
    let key = record.key();
    let healthy = vitals.clone();
    let told = vitals.clone();
    let worker = Worker {
        is_healthy: move || healthy.is_ready(),
        tell: move |report: Report| {
            told.detail("registration", registration_detail(&key, &report));
            if let Some(registered) = &registered {
                registered.set((report.state == "registered").into());
            }
            told.advisory(DEPENDENCY, report.outcome);
        },
    };
    registration::run(&registry, record, worker, stop).await;
}

/// The metric of the registration.
struct Registered(Family<Vec<(&'static str, String)>, Gauge>);

impl Registered {
    /// Not registered, and without an address yet.
    fn register(vitals: &Vitals) -> Self {
        let metric = Self(Family::default());
        vitals.with_metrics(|registry| {
            registry.register(
                "telectl_registered",
                "1 if the registry has the worker's registration, else 0, with where the advertised \
                 address comes from",
                metric.0.clone(),
            );
        });
        metric.of("none").set(0);
        metric
    }

    /// Not registered, and with an address.
    fn at(&self, rung: Rung) -> Gauge {
        self.0.clear();
        self.of(&rung.to_string())
    }

    fn of(&self, rung: &str) -> Gauge {
        self.0.get_or_create_owned(&vec![("rung", rung.to_owned())])
    }
}

async fn address(
    advertisement: &Advertisement,
    vitals: &Vitals,
    stop: &CancellationToken,
) -> Option<Advertised> {
    loop {
        let found = advertised_address(
            &advertisement.settings,
            advertisement.listen_port,
            advertisement.reach,
            advertisement.host_name.as_deref(),
        )
        .await;
        match found {
            Ok(advertised) => {
                vitals.detail("address", address_detail(&advertised));
                tracing::info!(
                    source = %advertised.rung,
                    not_used = advertised.explanation(),
                    "Service will register with address {}",
                    advertised.endpoint
                );
                return Some(advertised);
            }
            Err(error) => {
                tracing::error!(reason = %error, "not registered: no address to advertise");
                vitals.detail("address", json!({ "error": error.to_string() }));
                vitals.advisory(DEPENDENCY, Err(error.to_string()));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = sleep(ADDRESS_INTERVAL) => {}
        }
    }
}

fn address_detail(advertised: &Advertised) -> Value {
    json!({
        "endpoint": advertised.endpoint.to_string(),
        "address": advertised.endpoint.host,
        "port": advertised.endpoint.port,
        "scheme": advertised.scheme,
        "source": advertised.rung.to_string(),
        "not_used": advertised.skipped,
    })
}

fn registration_detail(key: &str, report: &Report) -> Value {
    json!({
        "state": report.state,
        "key": key,
        "lease": report.lease.map(|lease| lease.to_string()),
        "last_error": report.outcome.as_ref().err(),
    })
}

fn record(
    advertisement: &Advertisement,
    advertised: &Advertised,
    lease_ttl: Duration,
) -> ServiceRecord {
    let about = &advertisement.about;
    let mut metadata = advertisement.facts.clone();
    for (name, value) in [
        ("cluster_id", about.cluster_id.clone()),
        ("mode", advertisement.mode.to_owned()),
        ("version", about.version.to_owned()),
        ("endpoint", advertised.endpoint.to_string()),
        ("scheme", advertised.scheme.clone()),
        ("address_source", advertised.rung.to_string()),
    ] {
        metadata.insert(name.to_owned(), value);
    }
    if let Some(namespace) = &about.namespace {
        metadata.insert("namespace".to_owned(), namespace.clone());
    }
    ServiceRecord {
        id: about.id.clone(),
        service_type: about.service().to_owned(),
        address: advertised.endpoint.host.clone(),
        port: advertised.endpoint.port,
        metadata,
        health: "unhealthy".to_owned(),
        version: about.version.to_owned(),
        registered_at: String::new(),
        instance_uid: about.instance_uid.clone(),
        started_at: about.started_at.to_string(),
        lease_ttl: i64::try_from(lease_ttl.as_secs().max(1)).unwrap_or(i64::MAX),
    }
}
