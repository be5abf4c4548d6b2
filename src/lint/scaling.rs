//! Rules about counts: autoscalers, budgets, quotas, requests, and what is scraped.

use serde_json::Value;

use crate::config::quantity::Quantity;
use crate::model::manifest::Manifest;

use super::finding::Finding;
use super::rule;
use super::subject::{Pod, Subject, items, selects, texts};

/// The port that Prometheus is told to scrape.
const SCRAPED: &str = "prometheus.io/port";

/// The key of a component's settings in the values.
fn key_of(component: &str) -> &str {
    match component {
        "api-gateway" => "apiGateway",
        "postgresql" => "postgresql.primary",
        "redis" => "redis.master",
        other => other,
    }
}

/// What Prometheus is told to scrape is there.
pub(super) fn scraped_ports(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pod in subject.pods() {
        let named = pod.template["metadata"]["annotations"][SCRAPED].as_str();
        let listens = |port: &str| pod.ports().any(|number| number.to_string() == port);
        if let Some(port) = named.filter(|port| !listens(port)) {
            let key = format!("{}.podAnnotations", key_of(pod.component()));
            let says = format!("says {SCRAPED} {port}, on which nothing listens");
            found.push(subject.about_key(&rule::SCRAPED_PORT, &key, says));
        }
    }
    for monitor in subject.of_kind("ServiceMonitor") {
        let spec = &monitor.value["spec"];
        let has_port = |port: &str| {
            let mut services = subject.of_kind("Service");
            services.any(|service| {
                let labels = &service.value["metadata"]["labels"];
                let mut ports = items(&service.value["spec"]["ports"]);
                selects(&spec["selector"]["matchLabels"], labels)
                    && ports.any(|known| known["name"] == port)
            })
        };
        let scraped = items(&spec["endpoints"]).filter_map(|endpoint| endpoint["port"].as_str());
        found.extend(scraped.filter(|port| !has_port(port)).map(|port| {
            let says = format!("scrapes the port `{port}`, which no Service that it selects has");
            subject.about_object(&rule::SCRAPED_PORT, monitor, says)
        }));
    }
    found
}

/// An autoscaler has pods to scale and something to measure.
pub(super) fn autoscalers(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for autoscaler in subject.of_kind("HorizontalPodAutoscaler") {
        let spec = &autoscaler.value["spec"];
        let Some(pod) = target(subject, spec) else {
            let says = "scales a workload that is not made";
            found.push(subject.about_object(&rule::AUTOSCALER, autoscaler, says));
            continue;
        };
        let count = pod.manifest.value["spec"]["replicas"].as_u64();
        let bounds = (spec["minReplicas"].as_u64(), spec["maxReplicas"].as_u64());
        if count.is_some() && (count < bounds.0 || count > bounds.1) {
            let says = "has another count of replicas than its autoscaler allows";
            found.push(subject.about_object(&rule::AUTOSCALER, pod.manifest, says));
        }
        for resource in measured(spec) {
            if pod.containers().any(|one| request(one, resource).is_none()) {
                let key = key_of(pod.component());
                let key = format!("{key}.resources.requests.{resource}");
                let says = "is not set, and the autoscaler aims at a percentage of it";
                found.push(subject.about_key(&rule::AUTOSCALER, &key, says));
            }
        }
    }
    found
}

fn target<'a>(subject: Subject<'a>, spec: &Value) -> Option<Pod<'a>> {
    let target = &spec["scaleTargetRef"];
    subject.pods().find(|pod| {
        let object = &pod.manifest.object;
        target["kind"] == object.kind.name() && target["name"] == object.name.as_str()
    })
}

/// Resources whose use an autoscaler measures against the request.
fn measured(spec: &Value) -> impl Iterator<Item = &str> {
    items(&spec["metrics"])
        .map(|metric| &metric["resource"])
        .filter(|resource| !resource["target"]["averageUtilization"].is_null())
        .filter_map(|resource| resource["name"].as_str())
}

/// What a container asks for; a limit alone is its request, too.
fn request<'a>(container: &'a Value, resource: &str) -> Option<&'a str> {
    let resources = &container["resources"];
    ["requests", "limits"]
        .into_iter()
        .find_map(|part| resources[part][resource].as_str())
}

/// The streamer's source is read once.
pub(super) fn repeated(subject: Subject<'_>) -> Vec<Finding> {
    let streamer = &subject.values().streamer;
    if !streamer.enabled || !streamer.config.loop_mode {
        return Vec::new();
    }
    let says = "is true: each round is stored as new data";
    vec![subject.about_key(&rule::REPEATED, "streamer.config.loopMode", says)]
}

/// A budget leaves at least one pod to be taken.
pub(super) fn drains(subject: Subject<'_>) -> Vec<Finding> {
    let fewest = |budget: &Manifest| {
        let selector = &budget.value["spec"]["selector"]["matchLabels"];
        let mut pods = subject.pods();
        let pod = pods.find(|pod| selects(selector, &pod.template["metadata"]["labels"]))?;
        let mut autoscalers = subject.of_kind("HorizontalPodAutoscaler");
        let object = &pod.manifest.object;
        let of_pod = autoscalers
            .find(|one| one.value["spec"]["scaleTargetRef"]["name"] == object.name.as_str());
        match of_pod {
            Some(autoscaler) => autoscaler.value["spec"]["minReplicas"].as_u64(),
            None => pod.manifest.value["spec"]["replicas"].as_u64(),
        }
    };
    let budgets = subject.of_kind("PodDisruptionBudget");
    let blocking = budgets.filter(|budget| {
        let kept = budget.value["spec"]["minAvailable"].as_u64();
        kept.is_some() && kept >= fewest(budget)
    });
    blocking
        .map(|budget| {
            let says = "keeps as many pods as there are at least";
            subject.about_object(&rule::DRAIN, budget, says)
        })
        .collect()
}

/// What a quota counts is set on every container: without it, its pods are refused.
pub(super) fn quota(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for quota in subject.of_kind("ResourceQuota") {
        for (name, _) in texts(&quota.value["spec"]["hard"]) {
            let Some((part @ ("limits" | "requests"), resource)) = name.split_once('.') else {
                continue;
            };
            let lacks = |container: &Value| match part {
                "requests" => request(container, resource).is_none(),
                _ => container["resources"]["limits"][resource].is_null(),
            };
            let refused = subject.pods().filter(|pod| pod.containers().any(lacks));
            found.extend(refused.map(|pod| {
                let key = format!("{}.resources.{part}.{resource}", key_of(pod.component()));
                let says = "is not set, and a quota on it refuses pods without";
                subject.about_key(&rule::QUOTA, &key, says)
            }));
        }
    }
    found
}

/// No container asks for more than it may get.
pub(super) fn requests(subject: Subject<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for pod in subject.pods() {
        for resources in pod.containers().map(|container| &container["resources"]) {
            let above = texts(&resources["requests"]).filter(|(name, asked)| {
                let limit = resources["limits"][*name].as_str();
                let limit = limit.and_then(Quantity::parse);
                limit.is_some() && Quantity::parse(asked) > limit
            });
            found.extend(above.map(|(name, asked)| {
                let key = format!("{}.resources.requests.{name}", key_of(pod.component()));
                let limit = &resources["limits"][name];
                let says = format!(
                    "is {asked}, and the limit is {}",
                    limit.as_str().unwrap_or("?")
                );
                subject.about_key(&rule::REQUEST_ABOVE_LIMIT, &key, says)
            }));
        }
    }
    found
}
