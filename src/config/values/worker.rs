//! What the workers are given.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{AutoscalingOverride, BudgetOverride, Ingress, PullPolicy, Texts};

/// One worker; `C` is what only this kind of worker has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Worker<C> {
    /// Whether it is deployed.
    pub enabled: bool,
    /// How many start; raised to the autoscaler's minimum.
    pub replica_count: u32,
    /// Its own image, where it differs.
    pub image: ImageOverride,
    /// What it does.
    pub config: C,
    /// What it registers.
    pub advertise: Advertise,
    /// The Service in front of it.
    pub service: Service,
    /// The Ingress in front of that.
    pub ingress: Ingress,
    /// TLS of its HTTP port.
    pub tls: WorkerTls,
    /// What it asks of its node.
    pub resources: Resources,
    /// Labels of the nodes that it runs on.
    #[serde(default)]
    pub node_selector: Texts,
    /// Tolerations, as Kubernetes has them.
    #[serde(default)]
    pub tolerations: Vec<Value>,
    /// Affinity, as Kubernetes has it.
    #[serde(default)]
    pub affinity: Map<String, Value>,
    /// Annotations of its pods.
    #[serde(default)]
    pub pod_annotations: Texts,
    /// Labels of its pods.
    #[serde(default)]
    pub pod_labels: Texts,
    /// Its own autoscaler, where it differs.
    #[serde(default)]
    pub autoscaling: AutoscalingOverride,
    /// Its own disruption budget, where it differs.
    #[serde(default)]
    pub pod_disruption_budget: BudgetOverride,
}

/// An image that differs from the common one; what is empty is taken from there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageOverride {
    /// Name without registry and tag.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// When nodes pull it.
    #[serde(
        deserialize_with = "optional_policy",
        serialize_with = "policy_or_empty"
    )]
    pub pull_policy: Option<PullPolicy>,
}

/// The original's values say "" for "as the common one".
fn optional_policy<'de, D: Deserializer<'de>>(input: D) -> Result<Option<PullPolicy>, D::Error> {
    let text = String::deserialize(input)?;
    if text.is_empty() {
        return Ok(None);
    }
    PullPolicy::deserialize(serde::de::value::StringDeserializer::<D::Error>::new(text)).map(Some)
}

fn policy_or_empty<S: serde::Serializer>(
    policy: &Option<PullPolicy>,
    output: S,
) -> Result<S::Ok, S::Error> {
    match policy {
        Some(policy) => policy.serialize(output),
        None => output.serialize_str(""),
    }
}

/// What a streamer does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamerConfig {
    /// File to stream: a name in the source's folder, or a path.
    pub csv_file: String,
    /// Rows per batch, from 1 to 5000.
    pub batch_size: u32,
    /// Pause between batches, for example `1s`; empty for none.
    #[serde(default)]
    pub stream_interval: String,
    /// Whether to read again and again.
    pub loop_mode: bool,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// Where the file comes from.
    pub csv_source: CsvSource,
    /// The write-ahead spool.
    pub spool: Spool,
    /// Files that are uploaded.
    pub upload: Upload,
}

/// Where the streamer's file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CsvSource {
    /// Which of them.
    #[serde(rename = "type")]
    pub kind: CsvSourceType,
    /// Name of the ConfigMap.
    #[serde(default)]
    pub config_map_name: String,
    /// Key in the ConfigMap.
    #[serde(default)]
    pub config_map_key: String,
    /// Its content, for telectl to make the ConfigMap; empty if somebody else does.
    #[serde(default)]
    pub data: String,
    /// Name of the PersistentVolumeClaim.
    #[serde(default)]
    pub pvc_name: String,
    /// Folder at which the volume is mounted.
    #[serde(default)]
    pub mount_path: String,
    /// File in the claim, or name of a download; empty for `csvFile`.
    #[serde(default)]
    pub file_name: String,
    /// Where to download the file from.
    #[serde(default)]
    pub url: String,
    /// SHA-256 of the download, 64 hexadecimal digits.
    #[serde(default)]
    pub sha256: String,
    /// Longest download, a Kubernetes quantity.
    pub max_size: String,
    /// Secret with `ca.crt` of the authority behind an `https` URL; empty for the public ones.
    #[serde(default)]
    pub ca_secret: String,
    /// What to make up, as `hosts=2,gpus=8,rows=100000,interval=1s`.
    pub generate: String,
    /// Whether the files of the claim grow and are followed.
    #[serde(default)]
    pub follow: bool,
    /// Time between two looks at what is followed, for example `500ms`.
    pub follow_linger: String,
    /// How long a followed file that was renamed or deleted has to be quiet before it is signed off.
    pub follow_grace: String,
    /// URLs of the exporters to scrape.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Time between two scrapes, for example `15s`.
    pub interval: String,
    /// Longest time for a scrape, up to the interval.
    pub timeout: String,
    /// Secret with what the exporters ask for: `token`, or `username` and `password`.
    #[serde(default)]
    pub login_secret: String,
}

/// Where the streamer's file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CsvSourceType {
    /// In the image.
    Embedded,
    /// A key of a ConfigMap.
    ConfigMap,
    /// A file in a claimed volume.
    Pvc,
    /// A download.
    Url,
    /// None: telemetry is made up.
    Generated,
    /// None: exporters are scraped.
    Scrape,
}

/// Files that are uploaded to a streamer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upload {
    /// Whether they are taken.
    pub enabled: bool,
    /// Longest file, a Kubernetes quantity.
    pub max_size: String,
    /// All files that are kept on the spool's volume, a Kubernetes quantity.
    pub keep: String,
    /// Secret with the token that an upload has to show; empty if uploads come from the pod only.
    #[serde(default)]
    pub existing_secret: String,
    /// Its key.
    pub existing_secret_token_key: String,
}

/// The write-ahead spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spool {
    /// Size of the volume, a Kubernetes quantity.
    pub size: String,
    /// Storage class; empty for the cluster's default.
    #[serde(default)]
    pub storage_class: String,
    /// Bytes before reading pauses, a Kubernetes quantity.
    pub limit: String,
}

/// What a collector does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectorConfig {
    /// Rows per transaction at most.
    pub batch_size: u32,
    /// Longest wait for new entries, for example `1s`.
    pub poll_interval: String,
    /// Pause between transactions; empty for none.
    #[serde(default)]
    pub commit_interval: String,
    /// What the store does first with rows that arrive.
    pub ingest: Ingest,
    /// How long nothing must have arrived for a day until it is closed, for example `1h`.
    pub ingest_quiet: String,
    /// How many days of event time before today are kept; 0 for all.
    pub retention: u32,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
}

/// What the store does first with rows that arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ingest {
    /// Index every row by its series at once.
    Default,
    /// Index a day by series once it is closed.
    Max,
}

/// What a gateway does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayConfig {
    /// Port listened on.
    pub port: u16,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// Origins whose pages may ask from a browser, or `*` alone.
    #[serde(default)]
    pub cors_origins: Vec<String>,
    /// Streams of events that each gateway serves at a time.
    pub stream_limit: u32,
    /// Who may ask.
    pub auth: GatewayAuth,
}

/// Who may ask the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAuth {
    /// Whether a bearer token is asked for; `None` means when reachable from outside the cluster.
    pub enabled: Option<bool>,
    /// Secret with the token.
    pub existing_secret: String,
    /// Its key.
    pub existing_secret_token_key: String,
}

/// What a worker registers, where it differs from what it finds out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Advertise {
    /// `SERVICE_ADDRESS`; empty if not set.
    pub service_address: String,
    /// `EXTERNAL_SERVICE_ADDRESS`; empty if not set.
    pub external_service_address: String,
    /// `HTTP_PORT`; 0 for the port listened on.
    pub port: u16,
    /// `ADVERTISED_SCHEME`; empty if not set.
    pub scheme: String,
}

/// TLS of a worker's HTTP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerTls {
    /// Whether the port speaks TLS, and nothing else.
    pub enabled: bool,
    /// Secret with `tls.crt`, `tls.key` and `ca.crt`.
    pub existing_secret: String,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// From where it is reached.
    #[serde(rename = "type")]
    pub kind: ServiceType,
    /// Its port.
    pub port: u16,
    /// The nodes' port, for `NodePort` and `LoadBalancer`.
    pub node_port: Option<u16>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: Texts,
}

/// From where a Service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    /// From inside the cluster.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// From whoever reaches the nodes.
    NodePort,
    /// From outside the cluster.
    LoadBalancer,
}

impl ServiceType {
    /// Whether something outside the cluster reaches it.
    pub const fn is_external(self) -> bool {
        !matches!(self, Self::ClusterIp)
    }
}

/// What a container asks of its node: Kubernetes quantities by resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Most that it gets.
    #[serde(deserialize_with = "quantities")]
    pub limits: Texts,
    /// What is kept for it.
    #[serde(deserialize_with = "quantities")]
    pub requests: Texts,
}

/// Quantities may be written as numbers (`cpu: 1`).
pub(super) fn quantities<'de, D: Deserializer<'de>>(input: D) -> Result<Texts, D::Error> {
    Map::<String, Value>::deserialize(input)?
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(number) => Ok((name, number.to_string())),
            other => Err(serde::de::Error::custom(format!(
                "`{name}` must be a quantity such as 500m or 1Gi, not {other}"
            ))),
        })
        .collect()
}
