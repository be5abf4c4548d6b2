//! A pod.

use serde_json::Value;

use crate::cluster::pod::{self, HttpPort};
use crate::model::component::Component;
use crate::probe::Cause;

use super::labels::Labels;
use super::{component_of, items, text, text_map};

/// A pod as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Tells it from others of the same name before and after it.
    pub uid: String,
    /// Labels.
    pub labels: Labels,
    /// The component, by its label.
    pub component: Option<Component>,
    /// Its address; empty before it has one.
    pub ip: String,
    /// Node; empty before it has one.
    pub node: String,
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub phase: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Whether it is being deleted.
    pub is_going: bool,
    /// What keeps it from starting or lets it crash, if anything does.
    pub trouble: Option<String>,
    /// The last warning about it, such as what its readiness probe printed; only looked up for a
    /// pod that starts or runs and is not ready.
    pub complaint: Option<String>,
    /// How often its containers were started again.
    pub restarts: i64,
    /// Image of the container that does its work.
    pub image: String,
    /// First port of that container.
    pub port: Option<HttpPort>,
    /// RFC 3339; empty before it was started.
    pub started_at: String,
}

impl Pod {
    /// From the object.
    pub fn from_object(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let status = &object["status"];
        let labels = text_map(&metadata["labels"]);
        let container = pod::main_container(object);
        Self {
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"]),
            uid: text(&metadata["uid"]),
            component: component_of(&labels),
            labels,
            ip: text(&status["podIP"]),
            node: text(&object["spec"]["nodeName"]),
            phase: text(&status["phase"]),
            is_ready: pod::is_ready(object),
            is_going: pod::is_going(object),
            trouble: pod::trouble(object),
            complaint: None,
            restarts: items(&status["containerStatuses"])
                .filter_map(|container| container["restartCount"].as_i64())
                .sum(),
            image: text(&container["image"]),
            port: pod::http_port(object),
            started_at: text(&status["startTime"]),
        }
    }
}

impl Pod {
    /// Whether it starts or runs and is not ready, and nothing says why yet.
    pub fn is_unexplained(&self) -> bool {
        let is_on_its_way = matches!(self.phase.as_str(), "Pending" | "Running");
        is_on_its_way && !self.is_ready && !self.is_going && self.trouble.is_none()
    }

    /// Whether it waits for a node.
    pub fn is_unplaced(&self) -> bool {
        self.phase == "Pending" && self.node.is_empty()
    }

    /// Takes the newest warning about this very pod as its complaint.
    pub fn listen_to(&mut self, events: &[Value]) {
        let newest = pod::newest_warning(events, &self.uid);
        self.complaint = newest.map(|message| complaint(&message));
    }
}

/// A message in one line, with the pipeline's own word where a server's is known.
fn complaint(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.contains("WRONGPASS") || line.contains("NOAUTH") {
        return format!("{} ({line})", Cause::AuthenticationFailed);
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_warning_about_this_very_pod_is_its_complaint() {
        let mut pod = Pod::from_object(&json!({
            "metadata": {"name": "redis-0", "uid": "new"},
            "status": {"phase": "Running"},
        }));
        assert!(pod.is_unexplained());
        let starting = |node: &str| {
            Pod::from_object(&json!({
                "metadata": {"name": "streamer-0", "uid": "new"},
                "spec": {"nodeName": node},
                "status": {"phase": "Pending"},
            }))
        };
        assert!(starting("node").is_unexplained());
        assert!(starting("").is_unexplained() && starting("").is_unplaced());
        let event = |uid: &str, time: &str, message: &str| {
            json!({
                "type": "Warning", "message": message, "lastTimestamp": time,
                "involvedObject": {"uid": uid},
            })
        };
        pod.listen_to(&[
            event(
                "new",
                "2025-07-18T12:00:02Z",
                "Readiness probe failed: AUTH failed: WRONGPASS x\n",
            ),
            event("new", "2025-07-18T12:00:01Z", "earlier"),
            event("old", "2025-07-18T12:00:03Z", "of its predecessor"),
        ]);
        assert_eq!(
            pod.complaint.as_deref(),
            Some("authentication failed (Readiness probe failed: AUTH failed: WRONGPASS x)")
        );
    }
}
