//! Where the streamer's file comes from.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::config::quantity::Quantity;
use crate::config::values::{CsvSource, CsvSourceType, Upload, Values};
use crate::config::worker::ScrapeTarget;

/// Where the sample file is in the image.
const IMAGE_DATA: &str = "/data";
/// Where a download lies: on the spool's volume, beside the spool's own files.
const DOWNLOADS: &str = "/var/lib/telectl/spool/source";
/// What a download is called whose URL ends in no name.
const NAMELESS: &str = "source.csv";

/// A file and how it gets there.
struct Place<'a> {
    folder: &'a str,
    name: String,
    volume: Value,
}

/// What the streamer's template is filled with.
pub(super) fn streamer(values: &Values) -> Value {
    let streamer = &values.streamer;
    let config = &streamer.config;
    let Place {
        folder,
        name,
        volume,
    } = place(values);
    let limit = Quantity::parse(&config.spool.limit).unwrap_or_default();
    let scaling = values.autoscaling.overridden(&streamer.autoscaling);
    let fewest = if scaling.enabled {
        scaling.min_replicas
    } else {
        0
    };
    json!({
        "file": if name.starts_with('/') { name } else { format!("{folder}/{name}") },
        "batchSize": config.batch_size.to_string(),
        "interval": config.stream_interval,
        "loopMode": config.loop_mode.to_string(),
        "replicas": streamer.replica_count.max(fewest).to_string(),
        "spoolLimit": limit.whole().to_string(),
        "upload": upload(&config.upload),
        "generate": generate(&config.csv_source),
        "follow": follow(&config.csv_source),
        "scrape": scrape(&config.csv_source),
        "volume": volume,
        "download": download(&config.csv_source),
        "mountPath": config.csv_source.mount_path,
    })
}

fn place(values: &Values) -> Place<'_> {
    let config = &values.streamer.config;
    let source = &config.csv_source;
    match source.kind {
        CsvSourceType::Embedded => Place {
            folder: IMAGE_DATA,
            name: config.csv_file.clone(),
            volume: Value::Null,
        },
        CsvSourceType::ConfigMap => Place {
            folder: &source.mount_path,
            name: source.config_map_key.clone(),
            volume: json!({ "name": "csv", "configMap": { "name": source.config_map_name } }),
        },
        CsvSourceType::Pvc => {
            let claim = json!({ "claimName": source.pvc_name, "readOnly": true });
            Place {
                folder: &source.mount_path,
                name: first(&source.file_name, &config.csv_file),
                volume: json!({ "name": "csv", "persistentVolumeClaim": claim }),
            }
        }
        CsvSourceType::Url => Place {
            folder: DOWNLOADS,
            name: download_name(source),
            volume: Value::Null,
        },
        // There is no file.
        CsvSourceType::Generated | CsvSourceType::Scrape => Place {
            folder: IMAGE_DATA,
            name: String::new(),
            volume: Value::Null,
        },
    }
}

/// What is taken; the limits are empty if nothing may be uploaded.
fn upload(upload: &Upload) -> Value {
    let bytes = |text: &str| match Quantity::parse(text) {
        Some(bytes) if upload.enabled => bytes.whole().to_string(),
        _ => String::new(),
    };
    json!({
        "limit": bytes(&upload.max_size),
        "total": bytes(&upload.keep),
        "secret": upload.existing_secret,
        "key": upload.existing_secret_token_key,
    })
}

/// What is made up; empty if there is a file.
fn generate(source: &CsvSource) -> &str {
    match source.kind {
        CsvSourceType::Generated => &source.generate,
        _ => "",
    }
}

/// How files are followed; empty if they are not.
fn follow(source: &CsvSource) -> Value {
    let linger = if source.follow {
        source.follow_linger.as_str()
    } else {
        ""
    };
    json!({ "linger": linger, "grace": source.follow_grace })
}

/// What is scraped; the targets are empty if nothing is.
fn scrape(source: &CsvSource) -> Value {
    let targets = match source.kind {
        CsvSourceType::Scrape => source.targets.join(","),
        _ => String::new(),
    };
    json!({
        "targets": targets,
        "interval": source.interval,
        "timeout": source.timeout,
        "caSecret": source.ca_secret,
        "loginSecret": source.login_secret,
    })
}

fn first(chosen: &str, other: &str) -> String {
    if chosen.is_empty() { other } else { chosen }.to_owned()
}

/// The name is part of the source's identity: the URL's last part, unless the values have one.
fn download_name(source: &CsvSource) -> String {
    let url = url::Url::parse(&source.url).ok();
    let last = url
        .as_ref()
        .and_then(|url| url.path_segments()?.next_back())
        .filter(|last| !last.is_empty())
        .unwrap_or(NAMELESS);
    first(&source.file_name, last)
}

/// The URL is empty if the file comes from elsewhere.
fn download(source: &CsvSource) -> Value {
    let most = Quantity::parse(&source.max_size).unwrap_or_default();
    let is_one = source.kind == CsvSourceType::Url;
    json!({
        "url": if is_one { source.url.as_str() } else { "" },
        "sha256": source.sha256.to_ascii_lowercase(),
        "limit": most.whole().to_string(),
        "caSecret": source.ca_secret,
    })
}

/// The ConfigMap that telectl makes of the values' own text: its name, key and content.
pub(super) fn config_map(values: &Values) -> Option<(&str, &str, &str)> {
    let source = &values.streamer.config.csv_source;
    let is_made = source.kind == CsvSourceType::ConfigMap && !source.data.is_empty();
    is_made.then_some((
        &source.config_map_name,
        &source.config_map_key,
        &source.data,
    ))
}

/// The ports that sources come from over the network.
pub(super) fn ports(values: &Values) -> Vec<u16> {
    let source = &values.streamer.config.csv_source;
    if source.kind != CsvSourceType::Scrape {
        return download_port(values).into_iter().collect();
    }
    let targets = source
        .targets
        .iter()
        .filter_map(|text| ScrapeTarget::parse(text));
    let ports: BTreeSet<u16> = targets
        .filter_map(|target| target.url.port_or_known_default())
        .collect();
    ports.into_iter().collect()
}

/// The port that a download comes from; `None` if there is none.
pub(super) fn download_port(values: &Values) -> Option<u16> {
    let source = &values.streamer.config.csv_source;
    if source.kind != CsvSourceType::Url {
        return None;
    }
    url::Url::parse(&source.url).ok()?.port_or_known_default()
}
