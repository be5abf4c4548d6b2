//! The whole data path in one process, without any server: spool as queue, SQLite as store, a
//! table in the process as registry. The workers are those that run in the pods.

pub mod folder;
pub mod sample;
pub mod source;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::worker::{
    AdvertiseSettings, CollectorSettings, GatewaySettings, IdentitySettings, SourceSettings,
    StreamerSettings, UpkeepSettings,
};
use crate::model::component::Component;
use crate::queue::embedded::SpoolQueue;
use crate::queue::{Queue as _, QueueError};
use crate::registry::address::Reach;
use crate::registry::memory::MemoryRegistry;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store as _, StoreError};
use crate::workers::collector::streamers::Streamers;
use crate::workers::runtime::about::About;
use crate::workers::runtime::http;
use crate::workers::runtime::registration::{Advertisement, advertise};
use crate::workers::runtime::supervisor::{Phase, StopTimes, Supervisor};
use crate::workers::vitals::Vitals;
use crate::workers::{api_gateway, collector, streamer};

/// The name of the cluster that the demo plays.
pub const CLUSTER: &str = "demo";

/// Rows per batch: small, so that the rows arrive in several steps that can be watched.
const BATCH_ROWS: usize = 250;

const CLAIM_IDLE: Duration = Duration::from_secs(8);
const LEASE_TTL: Duration = Duration::from_secs(15);
const GRACE: Duration = Duration::from_secs(10);

/// Why the demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file or folder cannot be used.
    #[error("cannot {action} `{path}`")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The address of the listener is unknown.
    #[error("cannot tell the address of the listener")]
    Listener(#[source] std::io::Error),
    /// The queue does not open.
    #[error("cannot open the demo's queue")]
    Queue(#[source] QueueError),
    /// The store does not open.
    #[error("cannot open the demo's store")]
    Store(#[source] Box<StoreError>),
    /// Opening was cut short.
    #[error("cannot open the demo's files")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// A demo whose workers run.
pub struct Demo {
    /// Where the gateway answers.
    pub address: SocketAddr,
    /// What has been stored.
    pub store: SqliteStore,
    /// What the workers say about themselves.
    pub vitals: Vitals,
    /// Runs the workers.
    pub supervisor: Supervisor,
}

/// Opens queue and store in `folder` and starts the workers on `source`.
///
/// # Errors
/// When a file cannot be used.
pub async fn start(source: &Path, folder: &Path, listener: TcpListener) -> Result<Demo, DemoError> {
    let address = listener.local_addr().map_err(DemoError::Listener)?;
    let (queue, store) = open(folder.to_owned()).await?;
    let token = store.migrate().await.map_err(store_failed)?;
    // Before the streamer begins, so that it knows for which store it reads.
    queue
        .announce_store(&token)
        .await
        .map_err(DemoError::Queue)?;
    let vitals = Vitals::default();
    let times = StopTimes {
        notice: Duration::ZERO,
        grace: GRACE,
    };
    let mut supervisor = Supervisor::new(vitals.clone(), times);
    start_streamer(source, folder, queue.clone(), &mut supervisor, &vitals);
    start_collector(queue, store.clone(), &mut supervisor, &vitals);
    start_gateway(store.clone(), listener, &mut supervisor, &vitals);
    start_registrations(address, &mut supervisor, &vitals);
    Ok(Demo {
        address,
        store,
        vitals,
        supervisor,
    })
}

/// Both wait for the disk, so it happens where waiting is allowed.
async fn open(folder: PathBuf) -> Result<(SpoolQueue, SqliteStore), DemoError> {
    let opened = tokio::task::spawn_blocking(move || {
        let queue = SpoolQueue::open(&folder.join("queue"), CLAIM_IDLE);
        let store = SqliteStore::open(&folder.join("store.sqlite"));
        Ok((
            queue.map_err(DemoError::Queue)?,
            store.map_err(store_failed)?,
        ))
    });
    opened.await.map_err(DemoError::Interrupted)?
}

fn store_failed(error: StoreError) -> DemoError {
    DemoError::Store(Box::new(error))
}

fn identity(component: Component) -> IdentitySettings {
    IdentitySettings {
        cluster_id: CLUSTER.to_owned(),
        namespace: None,
        id: format!("{component}-0"),
        listen_port: 0,
        tls_folder: None,
        advertise: AdvertiseSettings::default(),
        shutdown_grace: GRACE,
        log_level: String::new(),
        log_json: false,
    }
}

fn start_streamer(
    source: &Path,
    folder: &Path,
    queue: SpoolQueue,
    supervisor: &mut Supervisor,
    vitals: &Vitals,
) {
    let settings = StreamerSettings {
        source: SourceSettings::Files(source.to_owned()),
        uploads: None,
        batch_size: BATCH_ROWS,
        stream_interval: None,
        loop_mode: false,
        spool_dir: folder.join("spool"),
        spool_limit: 512 * 1024 * 1024,
        replicas: 1,
    };
    let (told, stop) = (vitals.clone(), supervisor.token(Phase::Work));
    supervisor.start("streamer", Phase::Work, async move {
        let identity = identity(Component::Streamer);
        Ok(streamer::run(&settings, &identity, queue, None, (told, stop)).await?)
    });
}

fn start_collector(
    queue: SpoolQueue,
    store: SqliteStore,
    supervisor: &mut Supervisor,
    vitals: &Vitals,
) {
    let settings = CollectorSettings {
        batch_size: 20_000,
        poll_interval: Duration::from_millis(200),
        pace: None,
        upkeep: UpkeepSettings::default(),
    };
    let streamers = Streamers::of(CLUSTER, vitals);
    let (told, stop) = (vitals.clone(), supervisor.token(Phase::Work));
    supervisor.start("collector", Phase::Work, async move {
        let identity = identity(Component::Collector);
        Ok(collector::run(&settings, &identity, queue, store, streamers, told, stop).await?)
    });
}

fn start_gateway(
    store: SqliteStore,
    listener: TcpListener,
    supervisor: &mut Supervisor,
    vitals: &Vitals,
) {
    let settings = GatewaySettings::default();
    let stop = supervisor.token(Phase::Work);
    let about = About::starting_now(Component::ApiGateway, &identity(Component::ApiGateway));
    let routes = api_gateway::router(store, &settings, vitals, stop)
        .merge(http::router(about, vitals.clone()));
    let last = supervisor.token(Phase::Last);
    supervisor.start("http", Phase::Last, async move {
        Ok(http::serve(listener, None, routes, last).await?)
    });
}

/// Every worker registers; all of them at the one address that this process has.
fn start_registrations(address: SocketAddr, supervisor: &mut Supervisor, vitals: &Vitals) {
    let registry = MemoryRegistry::default();
    for (component, mode) in [
        (Component::Streamer, "once"),
        (Component::Collector, "collect"),
        (Component::ApiGateway, "serve"),
    ] {
        let advertisement = Advertisement {
            about: About::starting_now(component, &identity(component)),
            settings: AdvertiseSettings {
                service_address: Some(address.ip().to_string()),
                ..AdvertiseSettings::default()
            },
            listen_port: address.port(),
            reach: Reach::Host,
            host_name: None,
            mode,
            facts: BTreeMap::new(),
        };
        // The status page is the gateway's, so it shows the gateway's registration.
        let vitals = match component {
            Component::ApiGateway => vitals.clone(),
            _ => Vitals::default(),
        };
        let (registry, stop) = (registry.clone(), supervisor.token(Phase::Work));
        supervisor.start("registration", Phase::Work, async move {
            advertise(&advertisement, Some((registry, LEASE_TTL)), &vitals, &stop).await;
            Ok(())
        });
    }
}
