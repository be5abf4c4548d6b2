//! Metrics of real workers during a real run, held against what is known from elsewhere, and against
//! the page that describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use telectl::registry::Registry as _;

use crate::pipeline::Worker;
use crate::program::LIMIT;
use crate::servers::etcd::Data;
use crate::servers::eventually;

use super::{BATCHES, Lab, ROWS, SAMPLE, until_drained};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

/// What a worker exposes.
#[derive(Debug, Default)]
struct Scraped {
    /// Type and help of each metric.
    families: BTreeMap<String, (String, String)>,
    /// Values by name and labels, as they stand.
    samples: BTreeMap<String, f64>,
}

impl Scraped {
    fn value(&self, sample: &str) -> f64 {
        let found = self.samples.get(sample);
        *found.unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }

    /// The labels that a metric's samples have, but for a histogram's bounds.
    fn labels(&self, family: &str) -> BTreeSet<String> {
        let endings = ["", "_total", "_info", "_sum", "_count", "_bucket"];
        let names = endings.map(|ending| format!("{family}{ending}"));
        let samples = self.samples.keys().filter_map(|sample| {
            let (name, labels) = sample.split_once('{')?;
            names
                .iter()
                .any(|one| one == name)
                .then(|| labels.trim_end_matches('}'))
        });
        let pairs = samples.flat_map(|labels| labels.split("\",").map(str::to_owned));
        let labels = pairs.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        labels.filter(|label| label != "le").collect()
    }
}

async fn scrape(worker: &Worker) -> Scraped {
    let answer = crate::servers::get(format!("{}/metrics", worker.url)).await;
    let text = answer.expect("it answers").text().await.expect("text");
    let mut scraped = Scraped::default();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a text");
            let family = scraped.families.entry(name.to_owned()).or_default();
            // The library closes every text with a full stop.
            help.trim_end_matches('.').clone_into(&mut family.1);
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            let family = scraped.families.entry(name.to_owned()).or_default();
            kind.clone_into(&mut family.0);
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and a value");
            let value = value.parse().expect("a number");
            scraped.samples.insert(sample.to_owned(), value);
        }
    }
    scraped
}

/// A row of the page.
#[derive(Debug, PartialEq, Eq)]
struct Described {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
}

/// The metrics of a worker by the page.
fn described(worker: &str) -> BTreeMap<String, Described> {
    let page = std::fs::read_to_string(PAGE).expect("there is a page");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect());
    let mut found = BTreeMap::new();
    for row in cells {
        let row: Vec<&str> = row;
        let [name, kind, labels, workers, help] = row[..] else {
            panic!("a row has five cells: {row:?}")
        };
        if workers != "all" && !workers.split(", ").any(|one| one == worker) {
            continue;
        }
        let plain = |text: &str| text.trim_matches('`').to_owned();
        let labels = labels.split(", ").filter(|label| !label.is_empty());
        let described = Described {
            kind: kind.to_owned(),
            labels: labels.map(plain).collect(),
            help: help.to_owned(),
        };
        let twice = found.insert(plain(name), described);
        assert!(twice.is_none(), "{name} twice");
    }
    found
}

/// The metrics of a worker as it exposes them.
fn exposed(scraped: &Scraped) -> BTreeMap<String, Described> {
    let families = scraped.families.iter();
    families
        .map(|(name, (kind, help))| {
            let described = Described {
                kind: kind.clone(),
                labels: scraped.labels(name),
                help: help.clone(),
            };
            (name.clone(), described)
        })
        .collect()
}

#[tokio::test]
async fn o08_the_page_of_metrics_is_what_the_workers_expose() {
    let Some(lab) = Lab::start().await else {
        return;
    };
    let workers = ["streamer", "collector", "api-gateway"].map(|name| (name, lab.worker(name)));
    until_drained(&workers[0].1).await;
    for (name, worker) in &workers {
        let described = described(name);
        // Some are there only once somebody is registered, or has asked.
        eventually("a metric of every name", LIMIT, async || {
            drop(crate::servers::get(format!("{}/api/v1/gpus", worker.url)).await);
            let scraped = scrape(worker).await;
            described
                .keys()
                .all(|name| scraped.families.contains_key(name))
                .then_some(())
        })
        .await;
        let exposed = exposed(&scrape(worker).await);
        assert_eq!(
            exposed.keys().collect::<Vec<_>>(),
            described.keys().collect::<Vec<_>>(),
            "{name}"
        );
        for (metric, exposed) in &exposed {
            assert_eq!(exposed, &described[metric], "{name}: {metric}");
        }
    }
}

#[tokio::test]
async fn o08_the_workers_count_what_there_is() {
    let Some(lab) = Lab::start().await else {
        return;
    };
    let begun = Instant::now();
    let (streamer, collector) = (lab.worker("streamer"), lab.worker("collector"));
    until_drained(&streamer).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let bytes = sent_is_the_file(&scrape(&streamer).await);
    // The collector looks at the queue every few seconds.
    let stored = eventually("an empty queue", LIMIT, async || {
        let stored = scrape(&collector).await;
        let is_empty = stored.samples.get("telectl_queue_entries") == Some(&0.0);
        let is_told = stored
            .samples
            .get("telectl_collector_streamers{state=\"registered\"}");
        (is_empty && is_told == Some(&1.0)).then_some(stored)
    })
    .await;
    stored_is_what_was_sent(&stored, bytes);
    let way = "{source_cluster=\"edge\",target_cluster=\"central\",component=\"collector\"}";
    let count = stored.value(&format!("cross_cluster_latency_seconds_count{way}"));
    assert_eq!(count, BATCHES as f64);
    let sum = stored.value(&format!("cross_cluster_latency_seconds_sum{way}"));
    assert!(sum > 0.0 && sum < elapsed * count, "{sum} s in {elapsed} s");
    let lag = stored.value("telectl_collector_lag_seconds");
    assert!(lag > 0.0 && lag < elapsed, "{lag} s in {elapsed} s");
    let commits = stored.value("telectl_collector_commit_seconds_count");
    assert!((1.0..=BATCHES as f64).contains(&commits), "{commits}");
}

/// Holds a streamer's counts against the file; answers the bytes that it published.
fn sent_is_the_file(sent: &Scraped) -> f64 {
    let size = std::fs::metadata(SAMPLE).expect("the file").len();
    for (name, value) in [
        ("rows_total", ROWS),
        ("source_bytes_total", size),
        ("rows_quarantined_total", 0),
        ("chunks_claimed_total", BATCHES),
        ("batches_published_total", BATCHES + 1),
        ("batches_acknowledged_total", BATCHES + 1),
        ("batches_lost_total", 0),
        ("spool_messages", 0),
        ("spool_oldest_seconds", 0),
    ] {
        let name = format!("telectl_streamer_{name}");
        assert_eq!(sent.value(&name), value as f64, "{name}");
    }
    let bytes = sent.value("telectl_streamer_published_bytes_total");
    assert!(bytes > 0.0 && bytes < size as f64, "{bytes}");
    bytes
}

/// Holds a collector's counts against what was published.
fn stored_is_what_was_sent(stored: &Scraped, bytes: f64) {
    for (name, value) in [
        ("telectl_collector_rows_total", ROWS as f64),
        (
            "telectl_collector_entries_received_total",
            (BATCHES + 1) as f64,
        ),
        ("telectl_collector_received_bytes_total", bytes),
        (
            "telectl_collector_batches_total{outcome=\"stored\"}",
            BATCHES as f64,
        ),
        ("telectl_collector_batches_total{outcome=\"refused\"}", 0.0),
        ("telectl_collector_dead_letters_total", 0.0),
        ("telectl_collector_clock_backward_total", 0.0),
        ("telectl_queue_pending_entries", 0.0),
        ("telectl_queue_undelivered_entries", 0.0),
        ("telectl_queue_oldest_entry_seconds", 0.0),
        ("telectl_collector_streamers{state=\"silent\"}", 0.0),
        ("telectl_collector_streamers{state=\"unregistered\"}", 0.0),
    ] {
        assert_eq!(stored.value(name), value, "{name}");
    }
}

#[tokio::test]
async fn o02_a_queue_and_a_registry_that_go_and_come_are_seen_in_the_metrics() {
    let Some(mut lab) = Lab::start().await else {
        return;
    };
    let workers = [
        ("edge", "streamer", lab.worker("streamer")),
        ("central", "collector", lab.worker("collector")),
    ];
    until_drained(&workers[0].2).await;
    until(&workers, 1.0, 1.0).await;
    lab.redis.stop();
    until(&workers, 0.0, 1.0).await;
    lab.redis.start_again().await;
    until(&workers, 1.0, 1.0).await;
    lab.etcd.stop();
    until(&workers, 1.0, 0.0).await;
    lab.etcd.start_again(Data::Kept).await;
    until(&workers, 1.0, 1.0).await;
    for (_, _, worker) in &workers {
        let scraped = scrape(worker).await;
        for dependency in ["queue", "registry"] {
            let name =
                format!("telectl_dependency_recoveries_total{{dependency=\"{dependency}\"}}");
            assert!(scraped.value(&name) >= 1.0, "{name}");
        }
    }
    assert_eq!(
        lab.etcd.registry().list().await.expect("it answers").len(),
        2
    );
}

/// Waits until every worker shows this about its queue and its registration.
async fn until(workers: &[(&str, &str, Worker)], queue: f64, registered: f64) {
    for (cluster, component, worker) in workers {
        let labels = format!("{{cluster=\"{cluster}\",component=\"{component}\"}}");
        let status = format!("message_queue_connection_status{labels}");
        let what = format!("{component}: queue {queue}, registered {registered}");
        eventually(&what, LIMIT, async || {
            let scraped = scrape(worker).await;
            let is = |sample: &str, value| scraped.samples.get(sample) == Some(&value);
            let is_so = is(&status, queue) && is("telectl_registered{rung=\"POD_IP\"}", registered);
            is_so.then_some(())
        })
        .await;
    }
}
