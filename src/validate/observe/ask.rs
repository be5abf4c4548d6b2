//! Asks pods over HTTP, through the API server's proxy.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::cluster::pod::HttpPort;
use crate::cluster::{Cluster, ClusterError};
use crate::probe::{Cause, cause_in_chain};
use crate::validate::facts::Pod;

use super::{Answer, AnsweredBy};

/// Longest time for one question.
const LIMIT: Duration = Duration::from_secs(10);

/// The API server's words for a request that it does not pass on; a pod's 401 or 403 has no such.
const REFUSALS: [&str; 2] = ["Forbidden", "Unauthorized"];

/// One question to one pod.
pub async fn ask(cluster: &Cluster, pod: &Pod, port: HttpPort, path: &str) -> Answer {
    let started = Instant::now();
    let asking = cluster.ask_pod(&pod.namespace, &pod.name, port, path);
    let mut by = AnsweredBy::Pod;
    let (code, body) = match timeout(LIMIT, asking).await {
        Ok(Ok(body)) => (Some(200), body),
        Ok(Err(ClusterError::Refused {
            code: code @ (401 | 403),
            message,
            reason,
            ..
        })) if REFUSALS.contains(&reason.as_str()) => {
            by = AnsweredBy::ApiServer;
            (Some(code), message)
        }
        Ok(Err(ClusterError::Refused { code, message, .. })) => (Some(code), message),
        Ok(Err(error)) => (None, error.to_string()),
        Err(_) => (None, format!("no answer within {} s", LIMIT.as_secs())),
    };
    Answer {
        by,
        path: path.to_owned(),
        code,
        body,
        latency_ms: started.elapsed().as_secs_f64() * 1000.0,
    }
}

/// The cause of an error of a cluster.
pub fn cause_of(error: &ClusterError) -> Cause {
    match error {
        ClusterError::TimedOut { .. } | ClusterError::Deadline { .. } => Cause::TimedOut,
        ClusterError::Refused { code: 401, .. } => Cause::AuthenticationFailed,
        ClusterError::Refused { code: 403, .. } => Cause::PermissionDenied,
        other => cause_in_chain(other).unwrap_or(Cause::Unreachable),
    }
}
