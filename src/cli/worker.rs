//! `telectl worker`: what runs in the pods. Everything comes from the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use clap::{Args, Subcommand};

use crate::config::environment::Environment;
use crate::config::worker::{
    CollectorSettings, DatabaseSettings, EtcdSettings, GatewaySettings, IdentitySettings,
    RedisSettings, SettingError, StreamerSettings,
};
use crate::model::component::Component;
use crate::model::exit::ExitCode;
use crate::queue::redis::RedisQueue;
use crate::registry::address::Reach;
use crate::registry::etcd::EtcdRegistry;
use crate::store::postgres::PostgresStore;
use crate::store::{Store as _, StoreError};
use crate::workers::collector::streamers::Streamers;
use crate::workers::runtime::about::About;
use crate::workers::runtime::log_level::LogSwitch;
use crate::workers::runtime::logging::{self, LogFormat};
use crate::workers::runtime::registration::Advertisement;
use crate::workers::runtime::signals::signals;
use crate::workers::runtime::supervisor::{Phase, StopTimes, Supervisor};
use crate::workers::runtime::tls::ServerTls;
use crate::workers::runtime::worker::{self, Frame};
use crate::workers::runtime::{dependency, http};
use crate::workers::streamer::Uploads;
use crate::workers::vitals::Vitals;
use crate::workers::{api_gateway, collector, streamer};

use super::ended;
use super::error::CliError;
use super::session::Session;
use super::worker_fetch;
use super::worker_probe::{self, ProbeArgs};

/// Longest time for blocking work to end after everything else has.
const BLOCKING_LIMIT: Duration = Duration::from_secs(1);

/// Time for others to notice that a gateway stops, before it refuses connections.
const GATEWAY_NOTICE: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(subcommand)]
    worker: Worker,
}

#[derive(Debug, Subcommand)]
enum Worker {
    /// Read sources and publish them to the queue
    Streamer(StreamerArgs),
    /// Move batches from the queue into the store
    Collector,
    /// Answer queries over HTTP
    ApiGateway,
    /// Download the file that a streamer reads, then end
    Fetch,
    /// Look at what a worker depends on, from where it is, and report
    Probe(ProbeArgs),
}

#[derive(Debug, Args)]
struct StreamerArgs {
    /// Make telemetry up instead of reading `CSV_FILE`: hosts, GPUs of each, rows of all together up
    /// to now, time between two looks
    #[arg(
        long,
        value_name = "WHAT",
        num_args = 0..=1,
        default_missing_value = "default"
    )]
    generate: Option<String>,
    /// Follow `CSV_FILE` (a file, a folder or a pattern) as it grows, instead of reading it once
    #[arg(long, conflicts_with = "generate")]
    follow: bool,
}

/// What a worker does, once its settings are known.
enum Work {
    Streamer(StreamerSettings, RedisQueue, Option<Uploads>),
    Collector(CollectorSettings, RedisQueue, PostgresStore, Peers),
    ApiGateway(GatewaySettings, PostgresStore),
}

/// Where a collector hears of the streamers of its pipeline.
struct Peers {
    registry: Option<EtcdRegistry>,
    pipeline: String,
}

pub(super) fn run(args: &WorkerArgs, session: &Session) -> Result<ExitCode, CliError> {
    let environment = &environment(&args.worker, session);
    let component = match &args.worker {
        Worker::Streamer(_) => Component::Streamer,
        Worker::Collector => Component::Collector,
        Worker::ApiGateway => Component::ApiGateway,
        Worker::Fetch => return worker_fetch::run(session),
        Worker::Probe(probe) => return worker_probe::run(probe, session),
    };
    let mut problems = Problems::default();
    let identity = problems.take(IdentitySettings::from_environment(component, environment));
    let etcd = problems.take(EtcdSettings::from_environment(environment));
    let settings = match component {
        Component::Streamer => Settings::streamer(&mut problems, environment),
        Component::Collector => Settings::collector(&mut problems, environment),
        _ => Settings::api_gateway(&mut problems, environment),
    };
    let (Some(identity), Some(etcd), Some(settings)) = (identity, etcd, settings) else {
        return Err(problems.into_error(component));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::failed("cannot start the asynchronous runtime").because(error)
        })?;
    let outcome = runtime.block_on(supervise(component, identity, etcd, settings, environment));
    runtime.shutdown_timeout(BLOCKING_LIMIT);
    outcome
}

/// The variables, with what flags say instead of them.
fn environment(worker: &Worker, session: &Session) -> Environment {
    let variables = session.environment.clone();
    match worker {
        Worker::Streamer(StreamerArgs {
            generate: Some(what),
            ..
        }) => variables.with("GENERATE", what),
        Worker::Streamer(StreamerArgs { follow: true, .. }) => variables.with("FOLLOW", "true"),
        _ => variables,
    }
}

fn start_logging(identity: &IdentitySettings) -> Result<LogSwitch, CliError> {
    let format = if identity.log_json {
        LogFormat::Json
    } else {
        LogFormat::Text
    };
    logging::start(&identity.log_level, format)
        .map_err(|error| CliError::from_error(ExitCode::Usage, &error))
}

/// The settings of each worker's own work.
enum Settings {
    Streamer(StreamerSettings, RedisSettings),
    Collector(CollectorSettings, RedisSettings, DatabaseSettings),
    ApiGateway(GatewaySettings, DatabaseSettings),
}

impl Settings {
    fn streamer(problems: &mut Problems, environment: &Environment) -> Option<Self> {
        let streamer = problems.take(StreamerSettings::from_environment(environment));
        let redis = problems.take(RedisSettings::from_environment(environment));
        Some(Self::Streamer(streamer?, redis?))
    }

    fn collector(problems: &mut Problems, environment: &Environment) -> Option<Self> {
        let collector = problems.take(CollectorSettings::from_environment(environment));
        let redis = problems.take(RedisSettings::from_environment(environment));
        let database = problems.take(DatabaseSettings::from_environment(environment));
        Some(Self::Collector(collector?, redis?, database?))
    }

    fn api_gateway(problems: &mut Problems, environment: &Environment) -> Option<Self> {
        let database = problems.take(DatabaseSettings::from_environment(environment));
        let gateway = problems.take(GatewaySettings::from_environment(environment));
        Some(Self::ApiGateway(gateway?, database?))
    }

    /// How the worker works, in one word.
    const fn mode(&self) -> &'static str {
        match self {
            Self::Streamer(settings, _) if settings.loop_mode => "loop",
            Self::Streamer(..) => "once",
            Self::Collector(..) => "collect",
            Self::ApiGateway(..) => "serve",
        }
    }

    /// Makes the clients. Nothing is reached yet.
    fn work(self, registry: Option<EtcdRegistry>) -> Result<Work, CliError> {
        let queue = |settings: &RedisSettings| {
            RedisQueue::new(settings).map_err(|error| CliError::from_error(ExitCode::Usage, &error))
        };
        let opened = |store: Result<PostgresStore, StoreError>| {
            store.map_err(|error| CliError::from_error(ExitCode::Usage, &error))
        };
        Ok(match self {
            Self::Streamer(settings, redis) => {
                let uploads = uploads(&settings)?;
                Work::Streamer(settings, queue(&redis)?, uploads)
            }
            Self::Collector(settings, redis, database) => {
                let upkeep = settings.upkeep.clone();
                let store = opened(PostgresStore::of_collector(&database, upkeep))?;
                let queue = queue(&redis)?;
                let pipeline = redis.pipeline;
                Work::Collector(settings, queue, store, Peers { registry, pipeline })
            }
            Self::ApiGateway(settings, database) => {
                Work::ApiGateway(settings, opened(PostgresStore::new(&database))?)
            }
        })
    }
}

/// What was uploaded to a streamer that takes uploads.
fn uploads(settings: &StreamerSettings) -> Result<Option<Uploads>, CliError> {
    let Some(uploads) = &settings.uploads else {
        return Ok(None);
    };
    let opened = Uploads::open(uploads, &settings.spool_dir);
    opened.map(Some).map_err(|error| {
        CliError::failed("cannot keep uploads in the spool's folder (SPOOL_DIR)").because(error)
    })
}

/// Everything that is wrong with the environment, so that it is said at once.
#[derive(Debug, Default)]
struct Problems(Vec<SettingError>);

impl Problems {
    fn take<T>(&mut self, read: Result<T, SettingError>) -> Option<T> {
        read.map_err(|problem| self.0.push(problem)).ok()
    }

    fn into_error(self, component: Component) -> CliError {
        let list: Vec<String> = self
            .0
            .iter()
            .map(|problem| format!("\n  {problem}"))
            .collect();
        CliError::usage(format!(
            "the {component} cannot start with this environment:{}",
            list.concat()
        ))
    }
}

async fn supervise(
    component: Component,
    identity: IdentitySettings,
    etcd: Option<EtcdSettings>,
    settings: Settings,
    environment: &Environment,
) -> Result<ExitCode, CliError> {
    let logs = start_logging(&identity)?;
    let failed = |what: &'static str| move |error| CliError::failed(what).because(error);
    let signals = signals().map_err(failed("cannot wait for signals"))?;
    let port = identity.listen_port;
    let listener = http::listen(port).await.map_err(|error| {
        CliError::failed(format!("cannot listen on port {port}")).because(error)
    })?;
    let tls = identity.tls_folder.as_deref().map(ServerTls::from_folder);
    let tls = tls
        .transpose()
        .map_err(|error| CliError::from_error(ExitCode::Usage, &error))?;
    let reach = reach(environment);
    // A connection of its own, so that watching and registering do not wait for each other.
    let peers = etcd.clone().map(EtcdRegistry::new);
    let registry = etcd.map(|etcd| {
        let lease_ttl = etcd.lease_ttl;
        (EtcdRegistry::new(etcd), lease_ttl)
    });
    let frame = Frame {
        advertisement: Advertisement {
            about: About::starting_now(component, &identity),
            settings: identity.advertise.clone(),
            listen_port: port,
            reach,
            host_name: host_name(environment).await,
            mode: settings.mode(),
            facts: facts(environment),
        },
        registry,
        times: stop_times(component, reach, identity.shutdown_grace),
        tls,
        logs: Some(logs),
    };
    let work = settings.work(peers)?;
    let ended = worker::run(frame, listener, signals, |supervisor, vitals| {
        start(work, identity, supervisor, vitals)
    })
    .await
    .map_err(failed("cannot start"))?;
    Ok(ended::after(&ended))
}

/// Starts the tasks of a worker and answers the routes that it adds. Streamer and collector note
/// how their queue is with every use of it; the store may be unused for a long time, so it is watched.
fn start(
    work: Work,
    identity: IdentitySettings,
    supervisor: &mut Supervisor,
    vitals: &Vitals,
) -> Router {
    let stop = supervisor.token(Phase::Work);
    let told = vitals.clone();
    match work {
        Work::Streamer(settings, queue, uploads) => {
            dependency::expect(vitals, "queue");
            let routes = uploads.clone().map(streamer::upload_router);
            supervisor.start("streamer", Phase::Work, async move {
                Ok(streamer::run(&settings, &identity, queue, uploads, (told, stop)).await?)
            });
            routes.unwrap_or_default()
        }
        Work::Collector(settings, queue, store, peers) => {
            dependency::expect(vitals, "queue");
            watch_store(&store, supervisor, vitals);
            let streamers = watch_streamers(peers, supervisor, vitals);
            let routes = collector::freshness::router(store.clone());
            supervisor.start("collector", Phase::Work, async move {
                let run = collector::run(&settings, &identity, queue, store, streamers, told, stop);
                Ok(run.await?)
            });
            routes
        }
        Work::ApiGateway(settings, store) => {
            watch_store(&store, supervisor, vitals);
            api_gateway::router(store, &settings, vitals, stop)
        }
    }
}

fn watch_store(store: &PostgresStore, supervisor: &mut Supervisor, vitals: &Vitals) {
    dependency::expect(vitals, "store");
    let (store, vitals) = (store.clone(), vitals.clone());
    let stop = supervisor.token(Phase::Work);
    supervisor.start("store watch", Phase::Work, async move {
        dependency::watch("store", &vitals, &stop, || store.ping()).await;
        Ok(())
    });
}

fn watch_streamers(peers: Peers, supervisor: &mut Supervisor, vitals: &Vitals) -> Streamers {
    let streamers = Streamers::of(&peers.pipeline, vitals);
    if let Some(registry) = peers.registry {
        let (told, vitals) = (streamers.clone(), vitals.clone());
        let stop = supervisor.token(Phase::Work);
        supervisor.start("streamers watch", Phase::Work, async move {
            told.follow(registry, &vitals, &stop).await;
            Ok(())
        });
    }
    streamers
}

/// In a pod, others have to reach the worker.
pub(super) fn reach(environment: &Environment) -> Reach {
    match sign_of_a_pod(environment) {
        Some(_) => Reach::Network,
        None => Reach::Host,
    }
}

/// The variable that tells that this is a pod. `KUBERNETES_SERVICE_HOST` is in every pod.
pub(super) fn sign_of_a_pod(environment: &Environment) -> Option<&'static str> {
    ["KUBERNETES_SERVICE_HOST", "POD_IP", "NAMESPACE"]
        .into_iter()
        .find(|name| environment.get(name).is_some())
}

fn stop_times(component: Component, reach: Reach, grace: Duration) -> StopTimes {
    let notice = match (component, reach) {
        (Component::ApiGateway, Reach::Network) => GATEWAY_NOTICE.min(grace / 4),
        _ => Duration::ZERO,
    };
    StopTimes {
        notice,
        grace: grace.saturating_sub(notice),
    }
}

/// The name that a worker looks up.
pub(super) async fn host_name(environment: &Environment) -> Option<String> {
    if let Some(name) = environment.get("HOSTNAME") {
        return Some(name.to_owned());
    }
    let name = tokio::fs::read_to_string("/proc/sys/kernel/hostname").await;
    name.ok().map(|name| name.trim().to_owned())
}

/// Where the pod is, as far as the environment tells.
fn facts(environment: &Environment) -> BTreeMap<String, String> {
    [
        ("pod", "POD_NAME"),
        ("namespace", "NAMESPACE"),
        ("node", "NODE_NAME"),
        ("pipeline", "PIPELINE"),
    ]
    .into_iter()
    .filter_map(|(fact, name)| Some((fact.to_owned(), environment.get(name)?.to_owned())))
    .collect()
}
