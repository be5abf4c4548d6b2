//! Rules that hold between values, beyond their types.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::quantity::Quantity;
use super::values::{Autoscaling, Budget, Resources, Texts, Values, Worker};
use super::worker::parse_duration;

mod exposure;
mod images;
mod operation;
mod servers;

/// A rule that a value breaks: its key, and a text that follows "`key`".
pub(super) type Broken = (String, String);

/// Everything that is wrong, but for budgets and quotas.
pub(super) fn check(values: &Values) -> Vec<Broken> {
    let mut broken = Vec::new();
    for worker in &WorkerFacts::all(values) {
        worker.check(&mut broken);
    }
    durations(values, &mut broken);
    names(values, &mut broken);
    numbers(values, &mut broken);
    quantities(values, &mut broken);
    images::check(values, &mut broken);
    exposure::check(values, &mut broken);
    servers::check(values, &mut broken);
    operation::check(values, &mut broken);
    broken
}

/// Disruption budgets that would block each drain of a node.
pub(super) fn budgets(values: &Values) -> Vec<Broken> {
    let mut broken = Vec::new();
    for worker in WorkerFacts::all(values).iter().filter(|one| one.enabled) {
        worker.check_budget(&mut broken);
    }
    broken
}

/// How many pods a quota is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Those that start.
    Start,
    /// Those that the autoscalers may ask for.
    Most,
}

/// What of the quota is smaller than the demand. The quantities have to be sound.
pub(super) fn quota(values: &Values, demand: Demand) -> Vec<Broken> {
    let mut broken = Vec::new();
    if values.resource_quota.enabled {
        short(values, demand, &mut broken);
    }
    broken
}

/// What the rules need to know about a worker, whatever its kind.
struct WorkerFacts<'a> {
    key: &'static str,
    enabled: bool,
    replicas: u32,
    scaling: Autoscaling,
    budget: Budget,
    resources: &'a Resources,
    log_level: &'a str,
    /// Pods beyond the replicas while it is updated.
    surge: u32,
}

impl<'a> WorkerFacts<'a> {
    fn all(values: &'a Values) -> [Self; 3] {
        let Values {
            streamer,
            collector,
            api_gateway,
            ..
        } = values;
        [
            Self::new("streamer", values, streamer, &streamer.config.log_level, 0),
            Self::new(
                "collector",
                values,
                collector,
                &collector.config.log_level,
                1,
            ),
            Self::new(
                "apiGateway",
                values,
                api_gateway,
                &api_gateway.config.log_level,
                1,
            ),
        ]
    }

    fn new<C>(
        key: &'static str,
        values: &Values,
        worker: &'a Worker<C>,
        log_level: &'a str,
        surge: u32,
    ) -> Self {
        Self {
            key,
            enabled: worker.enabled,
            replicas: worker.replica_count,
            scaling: values.autoscaling.overridden(&worker.autoscaling),
            budget: values
                .pod_disruption_budget
                .overridden(&worker.pod_disruption_budget),
            resources: &worker.resources,
            log_level,
            surge,
        }
    }

    fn fewest(&self) -> u32 {
        if self.scaling.enabled {
            self.scaling.min_replicas
        } else {
            self.replicas
        }
    }

    /// The most pods at a time: while it is updated.
    fn pods(&self, demand: Demand) -> u32 {
        let bound = match demand {
            _ if !self.scaling.enabled => 0,
            Demand::Start => self.scaling.min_replicas,
            Demand::Most => self.scaling.max_replicas,
        };
        self.replicas.max(bound) + self.surge
    }

    fn check(&self, broken: &mut Vec<Broken>) {
        const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
        let key = self.key;
        if !LEVELS.contains(&self.log_level) {
            let text = format!("must be one of {}", LEVELS.join(", "));
            broken.push((format!("{key}.config.logLevel"), text));
        }
        if !self.enabled {
            return;
        }
        let scaling = &self.scaling;
        if scaling.enabled
            && (scaling.min_replicas < 1 || scaling.max_replicas < scaling.min_replicas)
        {
            let text = format!(
                "asks for {} to {} replicas; the minimum is at least 1 and at most the maximum",
                scaling.min_replicas, scaling.max_replicas
            );
            broken.push((format!("{key}.autoscaling.minReplicas"), text));
        }
        if scaling.enabled && self.replicas > scaling.max_replicas {
            let text = format!(
                "is {}, above the autoscaler's maximum of {}",
                self.replicas, scaling.max_replicas
            );
            broken.push((format!("{key}.replicaCount"), text));
        }
        if scaling.enabled && scaling.target_cpu.is_none() && scaling.target_memory.is_none() {
            let text = "needs a target for CPU or memory".to_owned();
            broken.push((format!("{key}.autoscaling.enabled"), text));
        }
    }

    /// A budget that keeps every pod would block each drain of a node for ever.
    fn check_budget(&self, broken: &mut Vec<Broken>) {
        let fewest = self.fewest();
        let blocks = match (&self.budget.min_available, &self.budget.max_unavailable) {
            (Some(IntOrString::Int(kept)), _) => i64::from(*kept) >= i64::from(fewest),
            (_, Some(IntOrString::Int(taken))) => *taken < 1,
            (Some(IntOrString::String(kept)), _) => kept == "100%",
            (_, Some(IntOrString::String(taken))) => taken == "0%",
            (None, None) => false,
        };
        if self.budget.enabled && blocks {
            let text = format!(
                "keeps every pod when there are {fewest}, which blocks each drain of a node; \
                 lower it, raise the replicas, or set {}.podDisruptionBudget.enabled to false",
                self.key
            );
            broken.push((
                format!("{}.podDisruptionBudget.minAvailable", self.key),
                text,
            ));
        }
    }
}

fn durations(values: &Values, broken: &mut Vec<Broken>) {
    let required = [
        (
            "collector.config.pollInterval",
            &values.collector.config.poll_interval,
        ),
        (
            "collector.config.ingestQuiet",
            &values.collector.config.ingest_quiet,
        ),
        ("queue.claimIdle", &values.queue.claim_idle),
        ("discovery.leaseTTL", &values.discovery.lease_ttl),
    ];
    let optional = [
        (
            "streamer.config.streamInterval",
            &values.streamer.config.stream_interval,
        ),
        (
            "collector.config.commitInterval",
            &values.collector.config.commit_interval,
        ),
    ];
    let given = optional.into_iter().filter(|(_, text)| !text.is_empty());
    for (key, text) in required.into_iter().chain(given) {
        if parse_duration(text).is_none() {
            let text = format!("is `{text}`, but must be a time such as 500ms, 15s or 2m");
            broken.push((key.to_owned(), text));
        }
    }
}

fn names(values: &Values, broken: &mut Vec<Broken>) {
    for (key, name) in [
        ("nameOverride", &values.name_override),
        ("namespace", &values.namespace),
        ("global.pipeline", &values.global.pipeline),
    ] {
        let valid = name.len() <= 40
            && !name.starts_with('-')
            && !name.ends_with('-')
            && name.bytes().all(|symbol| {
                symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == b'-'
            });
        if !valid {
            let text = "must be at most 40 lower-case letters, digits and `-`".to_owned();
            broken.push((key.to_owned(), text));
        }
    }
}

fn numbers(values: &Values, broken: &mut Vec<Broken>) {
    let at_least_one = [
        ("queue.shards", i64::from(values.queue.shards)),
        (
            "streamer.config.batchSize",
            i64::from(values.streamer.config.batch_size),
        ),
        (
            "collector.config.batchSize",
            i64::from(values.collector.config.batch_size),
        ),
        // The restricted security context forbids root.
        (
            "podSecurityContext.runAsUser",
            values.pod_security_context.run_as_user,
        ),
    ];
    for (key, number) in at_least_one {
        if number < 1 {
            broken.push((key.to_owned(), "must be at least 1".to_owned()));
        }
    }
    if values.streamer.config.batch_size > 5000 {
        let text = "must be at most 5000".to_owned();
        broken.push(("streamer.config.batchSize".to_owned(), text));
    }
}

fn quantities(values: &Values, broken: &mut Vec<Broken>) {
    let single = [
        (
            "streamer.config.spool.size",
            &values.streamer.config.spool.size,
        ),
        (
            "streamer.config.spool.limit",
            &values.streamer.config.spool.limit,
        ),
        (
            "postgresql.primary.persistence.size",
            &values.postgresql.primary.persistence.size,
        ),
        (
            "redis.master.persistence.size",
            &values.redis.master.persistence.size,
        ),
        ("etcd.persistence.size", &values.etcd.persistence.size),
        (
            "streamer.config.csvSource.maxSize",
            &values.streamer.config.csv_source.max_size,
        ),
        ("backup.storage.size", &values.backup.storage.size),
    ];
    let maps = [
        ("streamer.resources", &values.streamer.resources),
        ("collector.resources", &values.collector.resources),
        ("apiGateway.resources", &values.api_gateway.resources),
        (
            "postgresql.primary.resources",
            &values.postgresql.primary.resources,
        ),
        ("redis.master.resources", &values.redis.master.resources),
        ("etcd.resources", &values.etcd.resources),
        ("backup.resources", &values.backup.resources),
    ];
    let mut all: Vec<(String, &str)> = single
        .into_iter()
        .map(|(key, text)| (key.to_owned(), text.as_str()))
        .collect();
    for (key, resources) in maps {
        for (part, texts) in [
            ("limits", &resources.limits),
            ("requests", &resources.requests),
        ] {
            all.extend(named(&format!("{key}.{part}"), texts));
            broken.extend(unknown_resources(&format!("{key}.{part}"), texts));
        }
    }
    all.extend(named("resourceQuota.hard", &values.resource_quota.hard));
    for (key, text) in all {
        if Quantity::parse(text).is_none() {
            let text = format!("is `{text}`, but must be a quantity such as 500m, 2 or 1Gi");
            broken.push((key, text));
        }
    }
}

fn named<'a>(key: &str, texts: &'a Texts) -> impl Iterator<Item = (String, &'a str)> {
    texts
        .iter()
        .map(move |(name, text)| (format!("{key}.{}", name.replace('.', "\\.")), text.as_str()))
        .collect::<Vec<_>>()
        .into_iter()
}

/// A container's resource is one of Kubernetes' own or has a domain.
fn unknown_resources(key: &str, texts: &Texts) -> Vec<Broken> {
    texts
        .keys()
        .filter(|name| {
            !matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
                && !name.contains('/')
                && !name.starts_with("hugepages-")
        })
        .map(|name| {
            let text = "is no resource; there are cpu, memory and ephemeral-storage".to_owned();
            (format!("{key}.{name}"), text)
        })
        .collect()
}

/// A quota below what the autoscalers may ask for stops them, or an update, half-way; one below what
/// starts stops the deployment itself.
fn short(values: &Values, demand: Demand, broken: &mut Vec<Broken>) {
    let workers = WorkerFacts::all(values);
    let servers = [
        (
            values.postgresql.enabled,
            &values.postgresql.primary.resources,
        ),
        (values.deploys_redis(), &values.redis.master.resources),
        (values.etcd.enabled, &values.etcd.resources),
        (values.dumps_database(), &values.backup.resources),
    ];
    for (name, hard) in &values.resource_quota.hard {
        let Some((part, resource)) = name.split_once('.') else {
            continue;
        };
        let amount = |resources: &Resources| {
            let texts = match part {
                "limits" => &resources.limits,
                "requests" => &resources.requests,
                _ => return Quantity::default(),
            };
            texts
                .get(resource)
                .and_then(|text| Quantity::parse(text))
                .unwrap_or_default()
        };
        let needed = workers
            .iter()
            .filter(|worker| worker.enabled)
            .map(|worker| amount(worker.resources).times(worker.pods(demand)))
            .chain(
                servers
                    .iter()
                    .filter(|(enabled, _)| *enabled)
                    .map(|(_, resources)| amount(resources)),
            )
            .fold(Quantity::default(), Quantity::plus);
        if Quantity::parse(hard).is_some_and(|hard| hard < needed) {
            let needed = needed.canonical();
            let text = match demand {
                Demand::Start => format!("is {hard}, but what starts asks for {needed} in all"),
                Demand::Most => {
                    format!("is {hard}, but the autoscalers may ask for {needed} in all")
                }
            };
            let name = name.replace('.', "\\.");
            broken.push((format!("resourceQuota.hard.{name}"), text));
        }
    }
}

/// Settings that make little sense together, but may be meant.
pub(super) fn odd(values: &Values) -> Vec<String> {
    let mut odd = Vec::new();
    if values.redis.enabled && values.external_redis.enabled {
        odd.push("redis.enabled has no effect: externalRedis.enabled is true".to_owned());
    }
    let gateway = &values.api_gateway;
    let is_exposed = gateway.service.kind.is_external() || gateway.ingress.enabled;
    if gateway.enabled && is_exposed && !values.gateway_asks_for_token() {
        odd.push(
            "the gateway is reachable from outside the cluster and asks for no token: \
             apiGateway.config.auth.enabled is false"
                .to_owned(),
        );
    }
    if values.has_workers() && values.external_redis.enabled && !values.external_redis.tls.enabled {
        odd.push(
            "the way to Redis is not encrypted: externalRedis.tls.enabled is false".to_owned(),
        );
    }
    exposure::odd(values, &mut odd);
    servers::odd(values, &mut odd);
    operation::odd(values, &mut odd);
    odd
}
