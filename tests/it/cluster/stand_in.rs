//! Answers in the place of pods that do not run: in clusters without a node there are no collectors,
//! no gateway and no sender of canaries, and a deployment over several edges asks all three.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};
use telectl::probe::canary::{CanaryReport, SCHEMA_VERSION, Sending, SentCanary};
use telectl::probe::{TargetKind, TargetReport};
use telectl::store::canary::{CanaryRecord, FoundCanary};

use super::traffic::locked;

/// What stands in for the pods of one cluster after the other.
#[derive(Debug, Default)]
pub(super) struct StandIn {
    /// The canaries that Jobs were made to send, by the Jobs' names.
    canaries: Mutex<BTreeMap<String, Vec<String>>>,
}

impl StandIn {
    /// What a pod would answer; `None` if the API server is asked for something that it knows.
    pub(super) fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Option<Response> {
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        if *method == Method::POST && place.ends_with("/jobs") && !query.contains("dryRun=All") {
            self.remember(body);
        }
        let (_, pod) = place.split_once("/pods/")?;
        if let Some(pod) = pod.strip_suffix("/log") {
            return Some(text(self.log(pod)));
        }
        let (_, page) = pod.split_once("/proxy/")?;
        let answer = match page.strip_prefix("api/v1/canaries/") {
            Some(id) => json!(found(id)),
            None => json!({"details": {"canaries": []}, "dependencies": {}}),
        };
        Some(text(answer.to_string()))
    }

    fn remember(&self, body: &[u8]) {
        let job: Value = serde_json::from_slice(body).unwrap_or_default();
        let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array();
        let words: Vec<&str> = arguments
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let ids = words
            .windows(2)
            .filter(|pair| pair[0] == "--canary")
            .map(|pair| pair[1].to_owned())
            .collect();
        let name = job["metadata"]["name"].as_str().unwrap_or_default();
        let _before = locked(&self.canaries).insert(name.to_owned(), ids);
    }

    /// What the sender logs whose pod this is.
    fn log(&self, pod: &str) -> String {
        let canaries = locked(&self.canaries);
        let sent = canaries
            .iter()
            .find(|(job, _)| pod.starts_with(&***job))
            .map(|(_, ids)| ids.clone());
        let report = CanaryReport {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pod: Some(pod.to_owned()),
            redis: TargetReport {
                kind: TargetKind::Redis,
                endpoint: "redis".to_owned(),
                hops: Vec::new(),
                certificate: None,
                facts: BTreeMap::new(),
            },
            canaries: sent.unwrap_or_default().into_iter().map(sending).collect(),
        };
        report.encode().expect("a report can be written")
    }
}

fn sending(id: String) -> SentCanary {
    let now = Timestamp::now();
    SentCanary {
        id,
        sent_at: now,
        outcome: Sending::Published {
            shard: 0,
            published_at: now,
            took_ms: 0.0,
        },
    }
}

fn found(id: &str) -> FoundCanary {
    let now = Timestamp::now();
    FoundCanary {
        record: CanaryRecord {
            id: id.to_owned(),
            cluster: "edge".to_owned(),
            sent_at: now,
            published_at: now,
            received_at: now,
            stored_at: now,
            collector: "collector".to_owned(),
            deliveries: 1,
        },
        answered_at: now,
    }
}

fn text(answer: String) -> Response {
    Response::new(Body::from(answer))
}
