//! The probe: looks at what a worker depends on, from where the worker is.
//!
//! It reads the same environment as the worker it stands for, so it uses the worker's addresses,
//! credentials and authorities; run in a Job made from the worker's pod template, it is under the
//! worker's network policies and service account, too.

use std::time::Instant;

use futures::future::join_all;
use url::Url;

use crate::config::environment::Environment;
use crate::config::worker::{DatabaseSettings, EtcdSettings, RedisSettings, SettingError};
use crate::model::canary::CanaryId;
use crate::model::component::Component;
use crate::probe::canary::{self, CanaryReport};
use crate::probe::dns::Resolver;
use crate::probe::{Authority, HttpTarget, ProbeReport, SCHEMA_VERSION, Target, TargetKind, probe};

/// What to probe.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// For which component the probe stands.
    pub component: Component,
    /// Health endpoints to ask besides.
    pub http: Vec<Url>,
    /// The resolver of this pod.
    pub resolver: Resolver,
}

impl ProbeRequest {
    /// A request with the resolver that the files in `/etc` describe.
    pub async fn in_this_pod(component: Component, http: Vec<Url>) -> Self {
        // A pod without these files has no name resolution, which the probe then reports.
        let resolv_conf = tokio::fs::read_to_string("/etc/resolv.conf").await;
        let hosts = tokio::fs::read_to_string("/etc/hosts").await;
        Self {
            component,
            http,
            resolver: Resolver::from_files(
                &resolv_conf.unwrap_or_default(),
                &hosts.unwrap_or_default(),
            ),
        }
    }
}

/// Probes everything at once. Bounded: each hop has its deadline, and there are at most seven.
pub async fn run(environment: &Environment, request: ProbeRequest) -> ProbeReport {
    let started = Instant::now();
    let targets = targets(environment, &request);
    let probed = join_all(
        targets
            .iter()
            .map(|target| probe(target, &request.resolver)),
    )
    .await;
    let mut reports = Vec::with_capacity(probed.len());
    let mut registrations = None;
    for (report, registered) in probed {
        reports.push(report);
        registrations = registrations.or(registered);
    }
    let text = |name| environment.get(name).map(str::to_owned);
    ProbeReport {
        schema_version: SCHEMA_VERSION,
        component: request.component,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster_id: text("CLUSTER_ID"),
        pod: text("POD_NAME"),
        node: text("NODE_NAME"),
        targets: reports,
        registrations,
        elapsed_ms: started.elapsed().as_secs_f64() * 1000.0,
    }
}

/// Sends canaries as a streamer publishes batches. Bounded: each hop and each canary has its
/// deadline, and nothing is sent after a hop that failed.
pub async fn send_canaries(
    environment: &Environment,
    request: &ProbeRequest,
    ids: &[CanaryId],
) -> CanaryReport {
    let settings = RedisSettings::from_environment(environment);
    let target = understood(TargetKind::Redis, settings.map(Target::Redis));
    let cluster = environment.get("CLUSTER_ID").unwrap_or_default();
    let (redis, canaries) = canary::send(&target, &request.resolver, cluster, ids).await;
    CanaryReport {
        schema_version: canary::SCHEMA_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pod: environment.get("POD_NAME").map(str::to_owned),
        redis,
        canaries,
    }
}

/// What a component depends on: everybody on DNS and etcd, streamer and collector on Redis,
/// collector and gateway on PostgreSQL.
fn targets(environment: &Environment, request: &ProbeRequest) -> Vec<Target> {
    let component = request.component;
    let mut targets = vec![Target::ClusterDns];
    if matches!(component, Component::Streamer | Component::Collector) {
        let settings = RedisSettings::from_environment(environment);
        targets.push(understood(TargetKind::Redis, settings.map(Target::Redis)));
    }
    if matches!(component, Component::Collector | Component::ApiGateway) {
        let settings = DatabaseSettings::from_environment(environment);
        targets.push(understood(
            TargetKind::Postgresql,
            settings.map(Target::Postgresql),
        ));
    }
    match EtcdSettings::from_environment(environment) {
        // Without endpoints the worker does not register, and nothing is to be probed.
        Ok(None) => {}
        Ok(Some(settings)) => {
            targets.extend(settings.endpoints.iter().map(|endpoint| Target::Etcd {
                endpoint: endpoint.clone(),
                settings: settings.clone(),
            }));
        }
        Err(error) => targets.push(understood(TargetKind::Etcd, Err(error))),
    }
    let authority = authority(environment);
    targets.extend(request.http.iter().map(|url| {
        Target::Http(HttpTarget {
            url: url.clone(),
            authority: authority.clone(),
        })
    }));
    targets
}

/// The authority by which this pod knows other workers: that of its own port, else the one behind
/// its servers, which signs all certificates where telectl makes them.
pub fn authority(environment: &Environment) -> Option<Authority> {
    let variables = [
        "HTTP_CA_CERT",
        "ETCD_CA_CERT",
        "REDIS_CA_CERT",
        "DB_CA_CERT",
    ];
    variables.into_iter().find_map(|variable| {
        let pem = environment.get(variable)?.to_owned();
        Some(Authority { variable, pem })
    })
}

fn understood(kind: TargetKind, settings: Result<Target, SettingError>) -> Target {
    settings.unwrap_or_else(|error| Target::Misconfigured {
        kind,
        detail: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(component: Component) -> ProbeRequest {
        ProbeRequest {
            component,
            http: Vec::new(),
            resolver: Resolver::from_files("", ""),
        }
    }

    #[test]
    fn v08_every_component_is_probed_for_what_it_depends_on() {
        let environment = Environment::from([
            ("REDIS_URL", "rediss://redis:6379"),
            ("DB_HOST", "postgresql"),
            ("ETCD_ENDPOINTS", "https://a:2379,https://b:2379"),
        ]);
        let kinds = |component| {
            let targets = targets(&environment, &request(component));
            targets.iter().map(kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(Component::Streamer), ["dns", "redis", "etcd", "etcd"]);
        assert_eq!(
            kinds(Component::Collector),
            ["dns", "redis", "postgresql", "etcd", "etcd"]
        );
        assert_eq!(
            kinds(Component::ApiGateway),
            ["dns", "postgresql", "etcd", "etcd"]
        );
    }

    fn kind(target: &Target) -> &'static str {
        match target {
            Target::ClusterDns => "dns",
            Target::Redis(_) => "redis",
            Target::Postgresql(_) => "postgresql",
            Target::Etcd { .. } => "etcd",
            Target::Http(_) => "http",
            Target::Misconfigured { .. } => "misconfigured",
        }
    }

    #[tokio::test]
    async fn a_missing_variable_is_a_finding_and_not_an_abort() {
        let report = run(&Environment::default(), request(Component::Streamer)).await;
        let redis = &report.targets[1];
        let (cause, detail) = redis.failed_hop().unwrap().outcome.failure().unwrap();
        assert_eq!(cause.word(), "misconfigured");
        assert!(detail.contains("REDIS_URL"), "{detail}");
    }
}
