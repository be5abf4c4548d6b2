//! Sources, scrapers and backups.

use super::{Broken, Quantity, parse_duration};
use crate::config::values::{BackupStorageType, CsvSourceType, Values};
use crate::config::worker::{FollowSettings, GenerateSettings, ScrapeSettings, ScrapeTarget};

/// Most bytes that the API server takes in a ConfigMap, keys and texts together.
const CONFIG_MAP_LIMIT: usize = 1 << 20;

pub(super) fn check(values: &Values, broken: &mut Vec<Broken>) {
    let source = &values.streamer.config.csv_source;
    let size = source.data.len() + source.config_map_key.len();
    if size > CONFIG_MAP_LIMIT {
        let text = format!(
            "has {size} bytes, and a ConfigMap holds {CONFIG_MAP_LIMIT} at most: use type pvc, or \
             url"
        );
        broken.push(("streamer.config.csvSource.data".to_owned(), text));
    }
    if values.streamer.enabled && values.streamer.config.csv_source.kind == CsvSourceType::Url {
        download(values, broken);
    }
    let is_generated = source.kind == CsvSourceType::Generated;
    if values.streamer.enabled
        && is_generated
        && GenerateSettings::parse(&source.generate).is_none()
    {
        let text = format!("must be {}", GenerateSettings::EXPECTED);
        broken.push(("streamer.config.csvSource.generate".to_owned(), text));
    }
    if values.streamer.enabled && values.streamer.config.upload.enabled {
        upload(values, broken);
    }
    if values.streamer.enabled && source.kind == CsvSourceType::Scrape {
        scrape(values, broken);
    }
    if values.streamer.enabled && source.follow {
        follow(values, broken);
    }
    monitoring(values, broken);
    if values.backup.enabled {
        backup(values, broken);
    }
}

/// Exporters have to be named, and answer before they are asked again.
fn scrape(values: &Values, broken: &mut Vec<Broken>) {
    let source = &values.streamer.config.csv_source;
    let mut refuse = |key: &str, text: String| {
        let key = format!("streamer.config.csvSource.{key}");
        broken.push((key, text));
    };
    let is_wrong = |target: &&String| ScrapeTarget::parse(target).is_none();
    if source.targets.is_empty() {
        let text = "must name what is scraped while type is scrape".to_owned();
        refuse("targets", text);
    } else if source.targets.iter().any(|target| is_wrong(&target)) {
        // Not the one that is wrong: it may have a password in it.
        refuse("targets", format!("must be {}", ScrapeTarget::EXPECTED));
    }
    let interval = parse_duration(&source.interval)
        .filter(|interval| *interval >= ScrapeSettings::SHORTEST_INTERVAL);
    let Some(interval) = interval else {
        let text = "must be a time from 100ms on, for example 15s".to_owned();
        return refuse("interval", text);
    };
    let timeout = parse_duration(&source.timeout);
    if !timeout.is_some_and(|timeout| !timeout.is_zero() && timeout <= interval) {
        let text = "must be a time up to streamer.config.csvSource.interval".to_owned();
        refuse("timeout", text);
    }
}

/// Only a volume has files that others write to.
fn follow(values: &Values, broken: &mut Vec<Broken>) {
    let config = &values.streamer.config;
    let source = &config.csv_source;
    let mut refuse = |key: &str, text: &str| {
        let key = format!("streamer.config.csvSource.{key}");
        broken.push((key, text.to_owned()));
    };
    if source.kind != CsvSourceType::Pvc {
        refuse(
            "follow",
            "needs streamer.config.csvSource.type pvc: nothing else grows",
        );
    }
    if config.loop_mode {
        refuse(
            "follow",
            "excludes streamer.config.loopMode: a growing file is read once, as it grows",
        );
    }
    match parse_duration(&source.follow_linger) {
        Some(linger) if linger >= FollowSettings::SHORTEST_LINGER => {}
        _ => refuse(
            "followLinger",
            "must be a time from 10ms on, for example 500ms",
        ),
    }
    if parse_duration(&source.follow_grace).is_none() {
        refuse("followGrace", "must be a time, for example 10s");
    }
}

/// Uploads share the volume with the spool and with a download.
fn upload(values: &Values, broken: &mut Vec<Broken>) {
    let config = &values.streamer.config;
    let mut quantity = |key: &str, text: &str| {
        let quantity = Quantity::parse(text);
        if quantity.is_none() {
            let key = format!("streamer.config.upload.{key}");
            broken.push((key, format!("`{text}` is no Kubernetes quantity")));
        }
        quantity
    };
    let (longest, keep) = (
        quantity("maxSize", &config.upload.max_size),
        quantity("keep", &config.upload.keep),
    );
    let (Some(longest), Some(keep)) = (longest, keep) else {
        return;
    };
    let mut refuse = |text: String| broken.push(("streamer.config.upload.keep".to_owned(), text));
    if keep < longest {
        let longest = &config.upload.max_size;
        refuse(format!(
            "must be at least streamer.config.upload.maxSize, which is {longest}"
        ));
    }
    let download = match config.csv_source.kind {
        CsvSourceType::Url => config.csv_source.max_size.as_str(),
        _ => "0",
    };
    let parts = [download, &config.spool.limit].map(Quantity::parse);
    if let ([Some(download), Some(limit)], Some(size)) =
        (parts, Quantity::parse(&config.spool.size))
        && size < keep.plus(limit).plus(download)
    {
        refuse(format!(
            "is {}: beside a spool of up to {} it does not fit onto the volume of {} \
             (streamer.config.spool)",
            config.upload.keep, config.spool.limit, config.spool.size
        ));
    }
}

/// Every streamer downloads for itself, so the checksum is what makes their sources one.
fn download(values: &Values, broken: &mut Vec<Broken>) {
    let config = &values.streamer.config;
    let source = &config.csv_source;
    let key = |name: &str| format!("streamer.config.csvSource.{name}");
    let url = url::Url::parse(&source.url);
    if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        let text = "must be an http or https URL while type is url".to_owned();
        broken.push((key("url"), text));
    }
    let is_digest = source.sha256.len() == 64
        && source
            .sha256
            .bytes()
            .all(|symbol| symbol.is_ascii_hexdigit());
    if !is_digest {
        let text = "must be the file's SHA-256, 64 hexadecimal digits (sha256sum FILE)".to_owned();
        broken.push((key("sha256"), text));
    }
    if source.file_name.contains('/') {
        let text = "must be a name without `/` while type is url".to_owned();
        broken.push((key("fileName"), text));
    }
    let quantity = |text: &str| Quantity::parse(text);
    let (largest, limit, size) = (
        quantity(&source.max_size),
        quantity(&config.spool.limit),
        quantity(&config.spool.size),
    );
    if let (Some(largest), Some(limit), Some(size)) = (largest, limit, size)
        && size < largest.plus(limit)
    {
        let text = format!(
            "is {}: with a spool of up to {} it does not fit onto the volume of {} \
             (streamer.config.spool)",
            source.max_size, config.spool.limit, config.spool.size
        );
        broken.push((key("maxSize"), text));
    }
}

fn monitoring(values: &Values, broken: &mut Vec<Broken>) {
    let monitor = &values.monitoring.service_monitor;
    let times = [
        ("interval", &monitor.interval),
        ("scrapeTimeout", &monitor.scrape_timeout),
    ];
    for (name, text) in times {
        if parse_duration(text).is_none() {
            let text = format!("is `{text}`, but must be a time such as 15s or 1m");
            broken.push((format!("monitoring.serviceMonitor.{name}"), text));
        }
    }
    let (interval, longest) = (
        parse_duration(&monitor.interval),
        parse_duration(&monitor.scrape_timeout),
    );
    if interval
        .zip(longest)
        .is_some_and(|(every, longest)| longest > every)
    {
        let text = format!(
            "is {}, longer than the interval of {}; Prometheus refuses that",
            monitor.scrape_timeout, monitor.interval
        );
        broken.push(("monitoring.serviceMonitor.scrapeTimeout".to_owned(), text));
    }
}

fn backup(values: &Values, broken: &mut Vec<Broken>) {
    let backup = &values.backup;
    let fields = backup.schedule.split_whitespace().count();
    if fields != 5 && !backup.schedule.starts_with('@') {
        let text = format!(
            "is `{}`, but must have the five fields of cron, such as `0 2 * * *`",
            backup.schedule
        );
        broken.push(("backup.schedule".to_owned(), text));
    }
    if backup.retention_days().is_none() {
        let text = format!(
            "is `{}`, but must be a number of days such as 30d",
            backup.retention
        );
        broken.push(("backup.retention".to_owned(), text));
    }
    if backup.storage.kind == BackupStorageType::S3 {
        if backup.storage.bucket.is_empty() {
            let text = "must be given while backup.storage.type is s3".to_owned();
            broken.push(("backup.storage.bucket".to_owned(), text));
        }
        if backup.storage.upload_command.is_empty() {
            let text = "must be the command that uploads /backup".to_owned();
            broken.push(("backup.storage.uploadCommand".to_owned(), text));
        }
    }
}

/// Settings that have no effect.
pub(super) fn odd(values: &Values, odd: &mut Vec<String>) {
    let source = &values.streamer.config.csv_source;
    if values.streamer.enabled && source.kind != CsvSourceType::Url && !source.url.is_empty() {
        odd.push(
            "streamer.config.csvSource.url has no effect: streamer.config.csvSource.type is not \
             url"
            .to_owned(),
        );
    }
    let is_in_map = source.kind == CsvSourceType::ConfigMap;
    if values.streamer.enabled && !is_in_map && !source.data.is_empty() {
        odd.push(
            "streamer.config.csvSource.data has no effect: streamer.config.csvSource.type is not \
             configmap"
                .to_owned(),
        );
    }
    let backup = &values.backup;
    if backup.enabled && !values.dumps_database() {
        odd.push("backup.enabled has no effect: no database is used here".to_owned());
    }
    if values.dumps_database() && backup.storage.kind == BackupStorageType::S3 {
        odd.push(
            "backup.retention has no effect on a bucket: give it a rule that expires old objects"
                .to_owned(),
        );
    }
}
