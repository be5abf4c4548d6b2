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

pub use parse::{listen_port, parse_duration, parse_origins};
pub use redis::{ADDRESSES as REDIS_ADDRESSES, RedisServers, SentinelSettings};
pub use scrape::{ScrapeLogin, ScrapeSettings, ScrapeTarget};
pub use upkeep::{IngestProfile, UpkeepSettings};

/// Every variable that a worker understands, and what it means.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "CLUSTER_ID",
        "name of the cluster, part of every source's identity",
    ),
    ("POD_NAME", "name of the pod (downward API)"),
    ("POD_IP", "address of the pod (downward API)"),
    ("NODE_NAME", "node of the pod (downward API)"),
    ("NAMESPACE", "namespace of the pod (downward API)"),
    ("SERVICE_NAME", "Service in front of the worker"),
    (
        "SERVICE_ADDRESS",
        "address to advertise, before anything else",
    ),
    (
        "EXTERNAL_SERVICE_ADDRESS",
        "address to advertise to other clusters",
    ),
    ("HTTP_PORT", "port to advertise; the listen port if unset"),
    (
        "ADVERTISED_SCHEME",
        "http or https, as others reach the worker",
    ),
    ("LISTEN_PORT", "port to listen on"),
    (
        "HTTP_TLS_DIR",
        "folder with tls.crt and tls.key, for HTTPS on that port; HTTP if unset",
    ),
    (
        "HTTP_CA_CERT",
        "PEM text of the authority that signed tls.crt, for probes of other workers",
    ),
    (
        "STREAMER_ID",
        "name of the streamer; the pod's name if unset",
    ),
    (
        "COLLECTOR_ID",
        "name of the collector; the pod's name if unset",
    ),
    ("GATEWAY_ID", "name of the gateway; the pod's name if unset"),
    ("LOG_LEVEL", "error, warn, info, debug or trace"),
    ("LOG_FORMAT", "text or json"),
    ("SHUTDOWN_GRACE", "longest time to stop in, for example 25s"),
    (
        "REDIS_URL",
        "redis:// or rediss://[user[:password]@]host[:port][/database]",
    ),
    (
        "REDIS_SENTINELS",
        "instead of REDIS_URL: host:port of the sentinels that name the server, comma-separated",
    ),
    (
        "REDIS_MASTER_NAME",
        "the name by which the sentinels know the server",
    ),
    (
        "REDIS_SENTINEL_USERNAME",
        "user at the sentinels, if they ask for one",
    ),
    (
        "REDIS_SENTINEL_PASSWORD",
        "password at the sentinels, if they ask for one",
    ),
    (
        "REDIS_CLUSTER_NODES",
        "instead of REDIS_URL: host:port of nodes of a Redis Cluster, comma-separated",
    ),
    (
        "REDIS_DATABASE",
        "number of the database, if it is not in REDIS_URL",
    ),
    ("REDIS_USERNAME", "user, if it is not in REDIS_URL"),
    ("REDIS_PASSWORD", "password, if it is not in REDIS_URL"),
    (
        "REDIS_TLS_ENABLED",
        "true makes redis:// mean rediss://; sentinels and nodes then speak TLS, too",
    ),
    (
        "REDIS_CA_CERT",
        "PEM text of the authority that signed the server's certificate",
    ),
    (
        "REDIS_CLIENT_CERT",
        "PEM text of a client certificate, if the server asks for one",
    ),
    ("REDIS_CLIENT_KEY", "PEM text of that certificate's key"),
    (
        "PIPELINE",
        "name of the pipeline, the same for all its workers; telemetry-system if unset",
    ),
    ("QUEUE_SHARDS", "number of streams"),
    (
        "CLAIM_IDLE",
        "silence after which another consumer takes over an entry",
    ),
    ("ETCD_ENDPOINTS", "comma-separated URLs"),
    ("ETCD_USERNAME", "user"),
    ("ETCD_PASSWORD", "password"),
    (
        "ETCD_CA_CERT",
        "PEM text of the authority that signed the server's certificate",
    ),
    ("ETCD_CLIENT_CERT", "PEM text of the client certificate"),
    (
        "ETCD_CLIENT_KEY",
        "PEM text of the client certificate's key",
    ),
    (
        "LEASE_TTL",
        "life of the registration after the worker's, for example 15s",
    ),
    ("DB_HOST", "host of the database"),
    ("DB_PORT", "port of the database"),
    ("DB_NAME", "name of the database"),
    ("DB_USER", "user of the database"),
    ("DB_PASSWORD", "password of the user"),
    (
        "DB_SSL_MODE",
        "disable, prefer, require, verify-ca or verify-full",
    ),
    (
        "DB_CA_CERT",
        "PEM text of the authority that signed the server's certificate",
    ),
    (
        "CSV_FILE",
        "file, folder or pattern to stream, or file to download to",
    ),
    (
        "UPLOAD_LIMIT",
        "bytes of one file that is uploaded; nothing can be uploaded if unset",
    ),
    (
        "UPLOAD_TOTAL",
        "bytes of all uploaded files that are kept; four times UPLOAD_LIMIT if unset",
    ),
    (
        "UPLOAD_TOKEN",
        "token that an upload has to show; uploads come from the pod itself only if unset",
    ),
    (
        "FOLLOW",
        "true follows CSV_FILE as it grows: a file, a folder or a pattern",
    ),
    (
        "FOLLOW_LINGER",
        "time between two looks at what is followed; 500ms if unset",
    ),
    (
        "FOLLOW_GRACE",
        "how long a followed file that was renamed or deleted has to be quiet before it is signed \
         off; 10s if unset",
    ),
    (
        "GENERATE",
        "telemetry to make up instead of reading CSV_FILE, for example \
         hosts=2,gpus=8,rows=100000,interval=1s",
    ),
    (
        "SCRAPE_TARGETS",
        "comma-separated URLs of exporters to scrape, dns+ in front of one for every address of its name",
    ),
    ("SCRAPE_INTERVAL", "time between two scrapes; 15s if unset"),
    (
        "SCRAPE_TIMEOUT",
        "longest time for a scrape, up to the interval; 10s if unset",
    ),
    (
        "SCRAPE_LIMIT",
        "most bytes that an exporter may answer; 16 MiB if unset",
    ),
    (
        "SCRAPE_CA_CERT",
        "PEM text of the authority behind https targets; the public ones if unset",
    ),
    ("SCRAPE_TOKEN", "bearer token that all targets ask for"),
    ("SCRAPE_USERNAME", "user that all targets ask for"),
    ("SCRAPE_PASSWORD", "password of that user"),
    ("SOURCE_URL", "http or https URL to download the file from"),
    (
        "SOURCE_SHA256",
        "SHA-256 of that file, in hexadecimal digits",
    ),
    ("SOURCE_LIMIT", "most bytes of that file"),
    (
        "SOURCE_CA_CERT",
        "PEM text of the authority behind SOURCE_URL; the public ones if unset",
    ),
    (
        "COMMIT_INTERVAL",
        "pause between transactions; unpaced if unset",
    ),
    (
        "INGEST",
        "default, or max: a day of samples is indexed by series once nothing arrives for it any more",
    ),
    (
        "INGEST_QUIET",
        "how long nothing must have arrived for a day until it is indexed with INGEST=max; 1h if unset",
    ),
    (
        "RETENTION",
        "days of event time before today that are kept; older ones are dropped; all are kept if unset",
    ),
    (
        "BATCH_SIZE",
        "streamer: rows per batch; collector: rows per transaction at most",
    ),
    ("STREAM_INTERVAL", "pause between batches; unpaced if unset"),
    ("LOOP_MODE", "true reads the source again and again"),
    (
        "SPOOL_DIR",
        "folder of the spool, on a volume that outlives the pod",
    ),
    (
        "SPOOL_LIMIT",
        "bytes that the spool may hold before reading pauses",
    ),
    (
        "STREAMER_REPLICAS",
        "how many streamers start together, to share the chunks fairly",
    ),
    ("POLL_INTERVAL", "longest wait for new entries"),
    (
        "API_TOKEN",
        "bearer token that the gateway asks for; open if unset",
    ),
    (
        "CORS_ORIGINS",
        "comma-separated origins whose pages may ask the gateway, or *; none if unset",
    ),
    (
        "STREAM_LIMIT",
        "streams of events that a gateway serves at a time; 32 if unset, 0 for none",
    ),
];

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
