//! An autoscaler.

use serde_json::Value;

use super::{items, text};

/// An autoscaler, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Autoscaler {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Kind and name of what it scales, for example `StatefulSet/streamer`.
    pub target: String,
    /// Replicas now.
    pub current: i64,
    /// Replicas that it wants.
    pub desired: i64,
    /// Fewest.
    pub min: i64,
    /// Most.
    pub max: i64,
    /// What it scales by, with what it sees and what it aims at, for example `cpu 35%/70%`.
    pub metrics: Vec<String>,
    /// Why it cannot change the number of replicas, if it says so.
    pub unable: Option<Denied>,
    /// Why it does not know the load, if it says so.
    pub blind: Option<Denied>,
}

impl Autoscaler {
    /// From the object.
    pub fn from_object(object: &Value) -> Self {
        let target = &object["spec"]["scaleTargetRef"];
        let count = |value: &Value, default| value.as_i64().unwrap_or(default);
        Self {
            name: text(&object["metadata"]["name"]),
            namespace: text(&object["metadata"]["namespace"]),
            target: format!("{}/{}", text(&target["kind"]), text(&target["name"])),
            current: count(&object["status"]["currentReplicas"], 0),
            desired: count(&object["status"]["desiredReplicas"], 0),
            min: count(&object["spec"]["minReplicas"], 1),
            max: count(&object["spec"]["maxReplicas"], 0),
            metrics: items(&object["spec"]["metrics"])
                .map(|metric| aim(metric, &object["status"]["currentMetrics"]))
                .collect(),
            unable: denied(object, "AbleToScale"),
            blind: denied(object, "ScalingActive"),
        }
    }
}

/// A condition that is false.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denied {
    /// Reason and message.
    pub why: String,
    /// Since when, RFC 3339; empty if it does not say.
    pub since: String,
}

/// What an object says about a condition that is false.
fn denied(object: &Value, condition: &str) -> Option<Denied> {
    let found = items(&object["status"]["conditions"]).find(|one| one["type"] == condition)?;
    let (reason, message) = (text(&found["reason"]), text(&found["message"]));
    (found["status"] == "False").then(|| Denied {
        why: format!("{reason}: {message}"),
        since: text(&found["lastTransitionTime"]),
    })
}

/// `cpu 35%/70%`: a metric, what is seen of it and what is aimed at; `?` where nothing is seen.
fn aim(metric: &Value, current: &Value) -> String {
    let kind = text(&metric["type"]);
    // `ContainerResource` stands below `containerResource`.
    let field = kind[..kind.len().min(1)].to_lowercase() + kind.get(1..).unwrap_or_default();
    let name = |metric: &Value| {
        let of = &metric[&field];
        let named = if of["name"].is_string() {
            &of["name"]
        } else {
            &of["metric"]["name"]
        };
        text(named)
    };
    let amount = |of: &Value| match of["averageUtilization"].as_i64() {
        Some(percent) => format!("{percent}%"),
        None => ["averageValue", "value"]
            .into_iter()
            .find_map(|field| of[field].as_str())
            .unwrap_or("?")
            .to_owned(),
    };
    let is_same = |one: &&Value| one["type"] == metric["type"] && name(one) == name(metric);
    let seen = items(current).find(is_same);
    let seen = seen.map_or_else(|| "?".to_owned(), |seen| amount(&seen[&field]["current"]));
    let aimed_at = amount(&metric[&field]["target"]);
    format!("{} {seen}/{aimed_at}", name(metric))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Autoscaler;

    #[test]
    fn s01_an_autoscaler_says_what_it_sees_aims_at_and_cannot_do() {
        let metric = |target| {
            json!({"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": target},
            }})
        };
        let mut object = json!({
            "metadata": {"name": "streamer", "namespace": "ns"},
            "spec": {"metrics": [metric(70)], "maxReplicas": 8},
            "status": {
                "currentMetrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "current": {"averageUtilization": 35, "averageValue": "9m"},
                }}],
                "conditions": [
                    {"type": "AbleToScale", "status": "False", "reason": "FailedGetScale",
                     "message": "not found"},
                    {"type": "ScalingActive", "status": "True"},
                ],
            },
        });
        let able = Autoscaler::from_object(&object);
        assert_eq!(able.metrics, ["cpu 35%/70%"]);
        let unable = able.unable.as_ref().unwrap();
        assert_eq!(unable.why, "FailedGetScale: not found");
        assert_eq!(able.blind, None);
        object["status"]["currentMetrics"] = json!(null);
        assert_eq!(Autoscaler::from_object(&object).metrics, ["cpu ?/70%"]);
        object["spec"]["metrics"] = json!([{"type": "Pods", "pods": {
            "metric": {"name": "queue"}, "target": {"averageValue": "30"},
        }}]);
        assert_eq!(Autoscaler::from_object(&object).metrics, ["queue ?/30"]);
    }
}
