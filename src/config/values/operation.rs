//! What looks after the pipeline: scrapers and backups.

use serde::{Deserialize, Serialize};

use super::{Resources, Texts};

/// Metrics for Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Whether anything is made for it.
    pub enabled: bool,
    /// What the Prometheus operator reads.
    pub service_monitor: ServiceMonitor,
}

/// `ServiceMonitor`s of the workers, for clusters that have the Prometheus operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceMonitor {
    /// Whether there are any; counts only with `monitoring.enabled`.
    pub enabled: bool,
    /// Labels by which a Prometheus finds them.
    #[serde(default)]
    pub labels: Texts,
    /// How often to scrape, for example `30s`.
    pub interval: String,
    /// Longest time for an answer; at most the interval.
    pub scrape_timeout: String,
}

/// Dumps of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Whether there are any.
    pub enabled: bool,
    /// When, as cron has it, in UTC.
    pub schedule: String,
    /// How long a dump in the volume is kept, for example `30d`; the newest always is.
    pub retention: String,
    /// Image with `pg_dump`, `pg_restore` and a shell; empty for `postgresql.image`.
    #[serde(default)]
    pub image: String,
    /// Where dumps go.
    pub storage: BackupStorage,
    /// What the Job asks of its node.
    pub resources: Resources,
}

/// Where dumps go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupStorage {
    /// Which of them.
    #[serde(rename = "type")]
    pub kind: BackupStorageType,
    /// Size of the volume, or of the room for one dump on its way to S3.
    pub size: String,
    /// Storage class of the volume; empty for the cluster's default.
    #[serde(default)]
    pub storage_class: String,
    /// A claim that exists, instead of one that telectl makes.
    #[serde(default)]
    pub existing_claim: String,
    /// Name of the bucket.
    #[serde(default)]
    pub bucket: String,
    /// Folder in the bucket.
    #[serde(default)]
    pub prefix: String,
    /// Region of the bucket.
    #[serde(default)]
    pub region: String,
    /// URL of a service that is not Amazon's.
    #[serde(default)]
    pub endpoint: String,
    /// Secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; empty for none.
    #[serde(default)]
    pub existing_secret: String,
    /// Image of the upload.
    pub upload_image: String,
    /// Its command. It finds the dump in `/backup`, and the variables `S3_BUCKET` and `S3_PREFIX`.
    pub upload_command: Vec<String>,
}

/// Where dumps go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupStorageType {
    /// Into a volume beside the database.
    Volume,
    /// Into a bucket, by way of a command.
    S3,
}

impl Backup {
    /// `retention` in days; `None` if it is no such time.
    pub fn retention_days(&self) -> Option<u32> {
        let days = self.retention.strip_suffix('d')?;
        days.parse().ok().filter(|days| *days > 0)
    }
}
