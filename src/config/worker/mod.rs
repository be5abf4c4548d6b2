//! Typed settings of the workers, read from the environment that the manifests give them.
//!
//! This file is the contract between `templates/` and the workers: every variable is named once,
//! in [`VARIABLES`], which `tests/it` holds against the rendered manifests.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::endpoint::Endpoint;
use crate::model::secret::Secret;

mod generate;
mod parse;
mod redis;
mod scrape;
mod streamer;
mod upkeep;
mod variables;

pub use parse::{listen_port, parse_duration, parse_origins};
pub use redis::{ADDRESSES as REDIS_ADDRESSES, RedisServers, SentinelSettings};
pub use scrape::{ScrapeLogin, ScrapeSettings, ScrapeTarget};
pub use upkeep::{IngestProfile, UpkeepSettings};
pub use variables::VARIABLES;

/// A variable that is missing or cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    /// It has to be set.
    #[error("environment variable `{name}` is not set ({meaning})")]
    Missing {
        /// Which.
        name: &'static str,
        /// What it means.
        meaning: &'static str,
    },
    /// Two that exclude each other are set.
    #[error("environment variables `{one}` and `{other}` exclude each other: unset one of them")]
    Conflict {
        /// One.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// It is not what it has to be.
    #[error("environment variable `{name}` must be {expected}")]
    Malformed {
        /// Which.
        name: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

/// What every worker needs to know about itself.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Name of the cluster.
    pub cluster_id: String,
    /// Namespace of the pod; `None` outside a cluster.
    pub namespace: Option<String>,
    /// Name of the worker, unique in its type.
    pub id: String,
    /// Port to listen on.
    pub listen_port: u16,
    /// Folder with the certificate and key that the port shows; plain HTTP without.
    pub tls_folder: Option<PathBuf>,
    /// What is known about the address to advertise.
    pub advertise: AdvertiseSettings,
    /// Longest time to stop in.
    pub shutdown_grace: Duration,
    /// Log level, as `tracing` writes its directives.
    pub log_level: String,
    /// Whether to log JSON lines.
    pub log_json: bool,
}

/// The ladder from which the advertised address is chosen, first that is set.
#[derive(Debug, Clone, Default)]
pub struct AdvertiseSettings {
    /// `SERVICE_ADDRESS`.
    pub service_address: Option<String>,
    /// `EXTERNAL_SERVICE_ADDRESS`.
    pub external_service_address: Option<String>,
    /// `POD_IP`.
    pub pod_ip: Option<String>,
    /// `SERVICE_NAME` and `NAMESPACE`, for the lookup of the Service's name.
    pub service: Option<(String, String)>,
    /// `HTTP_PORT`.
    pub port: Option<u16>,
    /// `ADVERTISED_SCHEME`.
    pub scheme: Option<String>,
}

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where.
    pub servers: RedisServers,
    /// Whether to speak TLS.
    pub tls: bool,
    /// PEM text of the authority; the built-in roots of nobody if unset: TLS then fails clearly.
    pub ca_cert: Option<String>,
    /// User; Redis' `default` if unset.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret<String>>,
    /// Number of the database.
    pub database: i64,
    /// PEM texts of the client's certificate and key, if the server asks for them.
    pub client: Option<(String, Secret<String>)>,
    /// Name of the pipeline, part of every key.
    pub pipeline: String,
    /// Number of streams.
    pub shards: u32,
    /// Silence after which another consumer takes over an entry.
    pub claim_idle: Duration,
}

/// How to reach etcd.
#[derive(Debug, Clone)]
pub struct EtcdSettings {
    /// URLs.
    pub endpoints: Vec<String>,
    /// PEM text of the authority.
    pub ca_cert: Option<String>,
    /// PEM texts of the client's certificate and key.
    pub client: Option<(String, Secret<String>)>,
    /// User and password.
    pub login: Option<(String, Secret<String>)>,
    /// Life of a registration after its worker's.
    pub lease_ttl: Duration,
}

/// How strictly the database's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server offers it, unchecked.
    Prefer,
    /// TLS, unchecked.
    Require,
    /// TLS, certificate signed by the given authority.
    VerifyCa,
    /// TLS, certificate signed by the given authority for the given host.
    VerifyFull,
}

/// How to reach PostgreSQL.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where.
    pub endpoint: Endpoint,
    /// Database.
    pub name: String,
    /// User.
    pub user: String,
    /// Password.
    pub password: Option<Secret<String>>,
    /// How strictly to look at the certificate.
    pub ssl_mode: SslMode,
    /// PEM text of the authority.
    pub ca_cert: Option<String>,
}

/// What is streamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSettings {
    /// Uploads only.
    Nothing,
    /// A file, the files of a folder, or those that a pattern in the last part of the path names.
    Files(PathBuf),
    /// Files that grow, at the same places.
    Followed(FollowSettings),
    /// Exporters that are scraped.
    Scraped(ScrapeSettings),
    /// Telemetry that is made up.
    Generated(GenerateSettings),
}

/// Files to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowSettings {
    /// A file, a folder, or a pattern in the last part of the path.
    pub path: PathBuf,
    /// Time between two looks, which is how long a new line waits at most.
    pub linger: Duration,
    /// How long a file that was renamed or deleted has to be quiet before it is signed off.
    pub grace: Duration,
}

/// What may be uploaded to a streamer.
#[derive(Debug, Clone)]
pub struct UploadSettings {
    /// Bytes of one file.
    pub limit: u64,
    /// Bytes of all files that are kept.
    pub total: u64,
    /// Token that an upload has to show; without, uploads come from this host only.
    pub token: Option<Secret<String>>,
}

/// Telemetry to make up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerateSettings {
    /// Hosts, from 1 on.
    pub hosts: u64,
    /// GPUs of each, from 1 on.
    pub gpus: u64,
    /// Rows of all of them together, from 1 on.
    pub rows: u64,
    /// Time from one look at all GPUs to the next; at least a millisecond.
    pub interval: Duration,
}

/// What a streamer does.
#[derive(Debug, Clone)]
pub struct StreamerSettings {
    /// What to stream.
    pub source: SourceSettings,
    /// What may be uploaded besides.
    pub uploads: Option<UploadSettings>,
    /// Rows per batch.
    pub batch_size: usize,
    /// Pause between batches.
    pub stream_interval: Option<Duration>,
    /// Whether to read again and again.
    pub loop_mode: bool,
    /// Folder of the spool.
    pub spool_dir: std::path::PathBuf,
    /// Bytes that the spool may hold.
    pub spool_limit: u64,
    /// How many streamers start together.
    pub replicas: u32,
}

/// What is downloaded before a streamer starts.
#[derive(Debug, Clone)]
pub struct FetchSettings {
    /// From where.
    pub url: url::Url,
    /// SHA-256 of the content, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Most bytes.
    pub limit: u64,
    /// Where to.
    pub file: std::path::PathBuf,
    /// PEM text of the authority; the public ones if unset.
    pub ca_cert: Option<String>,
}

/// What a collector does.
#[derive(Debug, Clone)]
pub struct CollectorSettings {
    /// Rows per transaction at most.
    pub batch_size: usize,
    /// Longest wait for new entries.
    pub poll_interval: Duration,
    /// Pause after every transaction; unpaced if unset. Slows the flow down on purpose.
    pub pace: Option<Duration>,
    /// How the partitions of the store are kept.
    pub upkeep: UpkeepSettings,
}

/// What a gateway does.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Bearer token to ask for.
    pub token: Option<Secret<String>>,
    /// Whose pages a browser lets ask.
    pub cors_origins: CorsOrigins,
    /// Streams of events at a time.
    pub stream_limit: usize,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            token: None,
            cors_origins: CorsOrigins::None,
            stream_limit: 32,
        }
    }
}

/// Origins of pages that may ask the gateway from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// None but the gateway's own.
    None,
    /// All.
    Any,
    /// These, as browsers write them.
    These(Vec<String>),
}
