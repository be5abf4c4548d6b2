//! Whether the quotas and limits of an existing namespace admit the pods of a set. Pure.

use serde_json::Value;

use super::amounts::{Amounts, add, limits, read, requests, workloads};
use super::catalogue::LIMITS;
use super::finding::{Finding, Severity};
use super::ground::Ground;
use super::prospect::Prospect;
use super::wanting::items;
use crate::config::quantity::Quantity;
use crate::model::labels;
use crate::model::manifest::RenderedSet;
use crate::model::object::ObjectKind;

/// What the namespace does not admit.
pub(super) fn judge(prospect: &Prospect, ground: &Ground) -> Vec<Finding> {
    let mut found = Vec::new();
    match &ground.quotas {
        Err(why) => found.push(Finding::unchecked(&LIMITS, "ResourceQuotas", why)),
        Ok(quotas) => found.extend(against_quotas(prospect, quotas, ground)),
    }
    match &ground.limit_ranges {
        Err(why) => found.push(Finding::unchecked(&LIMITS, "LimitRanges", why)),
        Ok(ranges) => found.extend(against_ranges(&prospect.set, ranges)),
    }
    found
}

/// What all pods and claims of a set ask for, as quotas count it.
fn asked(set: &RenderedSet) -> Amounts {
    let mut asked = Amounts::new();
    let mut count = |name: &str, amount: &str, times: u32| {
        if let Some(amount) = Quantity::parse(amount) {
            add(
                &mut asked,
                &Amounts::from([(name.to_owned(), amount)]),
                times,
            );
        }
    };
    for (manifest, pod, pods) in workloads(set) {
        count("pods", "1", pods);
        for (resource, amount) in requests(pod) {
            count(&format!("requests.{resource}"), &amount.canonical(), pods);
        }
        for (resource, amount) in limits(pod) {
            count(&format!("limits.{resource}"), &amount.canonical(), pods);
        }
        for claim in items(&manifest.value["spec"]["volumeClaimTemplates"]) {
            let size = claim["spec"]["resources"]["requests"]["storage"].as_str();
            count("persistentvolumeclaims", "1", pods);
            count("requests.storage", size.unwrap_or("0"), pods);
        }
    }
    for manifest in &set.manifests {
        let (group, _, plural) = manifest.object.kind.resource();
        let counted = match group {
            "" => format!("count/{plural}"),
            group => format!("count/{plural}.{group}"),
        };
        count(&counted, "1", 1);
        if manifest.object.kind == ObjectKind::Service {
            count("services", "1", 1);
            match manifest.value["spec"]["type"].as_str() {
                Some("LoadBalancer") => count("services.loadbalancers", "1", 1),
                Some("NodePort") => count("services.nodeports", "1", 1),
                _ => {}
            }
        }
    }
    asked
}

/// The name under which quotas count a resource that they may name in short.
fn counted(resource: &str) -> String {
    match resource {
        "cpu" | "memory" | "ephemeral-storage" => format!("requests.{resource}"),
        other => other.to_owned(),
    }
}

fn against_quotas(prospect: &Prospect, quotas: &[Value], ground: &Ground) -> Vec<Finding> {
    let is_ours =
        |quota: &Value| quota["metadata"]["labels"][labels::MANAGED_BY] == labels::TELECTL;
    let has_scopes = |quota: &Value| {
        let spec = &quota["spec"];
        items(&spec["scopes"]).next().is_some() || !spec["scopeSelector"].is_null()
    };
    let asked = asked(&prospect.set);
    let mine = running(prospect, ground);
    let judged = quotas
        .iter()
        .filter(|quota| !is_ours(quota) && !has_scopes(quota));
    let mut found = Vec::new();
    for quota in judged {
        let used = read(&quota["status"]["used"]);
        for (resource, hard) in read(&quota["spec"]["hard"]) {
            let counted = counted(&resource);
            let asked = asked.get(&counted).copied().unwrap_or_default();
            let mine = mine.get(&counted).copied().unwrap_or_default();
            let used = used.get(&resource).copied().unwrap_or_default();
            let others = used.minus(mine);
            found.extend(beyond(quota, &resource, hard, asked, others));
        }
        found.extend(unbounded(quota, &prospect.set));
    }
    found
}

/// What of the stage's pods runs already, and so is in what a quota counts as used.
fn running(prospect: &Prospect, ground: &Ground) -> Amounts {
    let instances: Vec<&Value> = workloads(&prospect.set)
        .map(|(manifest, _, _)| &manifest.value["metadata"]["labels"]["app.kubernetes.io/instance"])
        .collect();
    let is_mine = |pod: &&Value| {
        let labels = &pod["metadata"]["labels"];
        pod["metadata"]["namespace"] == prospect.stage.namespace.as_str()
            && labels[labels::PART_OF] == labels::PIPELINE
            && instances.contains(&&labels["app.kubernetes.io/instance"])
    };
    let mut sum = Amounts::new();
    let one = Quantity::parse("1").unwrap_or_default();
    for pod in ground.pods.iter().flatten().filter(is_mine) {
        add(&mut sum, &Amounts::from([("pods".to_owned(), one)]), 1);
        let parts = [
            ("requests", requests(&pod["spec"])),
            ("limits", limits(&pod["spec"])),
        ];
        for (part, amounts) in parts {
            let named = amounts
                .into_iter()
                .map(|(resource, amount)| (format!("{part}.{resource}"), amount));
            add(&mut sum, &named.collect(), 1);
        }
    }
    // Claims, Services and counted objects of an earlier deployment are there as they will be.
    if !ground
        .pods
        .as_ref()
        .is_ok_and(|pods| pods.iter().any(|pod| is_mine(&pod)))
    {
        return sum;
    }
    let asked = asked(&prospect.set);
    let is_of_pods = |resource: &str| {
        let is_storage = resource == "requests.storage";
        resource == "pods"
            || (!is_storage && resource.starts_with("requests."))
            || resource.starts_with("limits.")
    };
    sum.extend(
        asked
            .into_iter()
            .filter(|(resource, _)| !is_of_pods(resource)),
    );
    sum
}

fn beyond(
    quota: &Value,
    resource: &str,
    hard: Quantity,
    asked: Quantity,
    others: Quantity,
) -> Option<Finding> {
    if asked == Quantity::default() || asked.plus(others) <= hard {
        return None;
    }
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    let (hard_text, asked_text) = (hard.canonical(), asked.canonical());
    let finding = Finding::warning(
        &LIMITS,
        format!(
            "ResourceQuota {name} admits {hard_text} {resource}; others use {}, all pods together \
             ask for {asked_text}",
            others.canonical()
        ),
        "what is asked for is within every quota of the namespace",
        "raise the quota, or lower replicas and resources",
    );
    let severity = if asked > hard {
        Severity::Error
    } else {
        // Others may go before the pods come.
        Severity::Warning
    };
    Some(finding.being(severity))
}

/// A quota of an amount refuses every pod that does not say how much of it it takes.
fn unbounded(quota: &Value, set: &RenderedSet) -> Vec<Finding> {
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    let hard = read(&quota["spec"]["hard"]);
    let mut found = Vec::new();
    for resource in hard.keys() {
        let counted = counted(resource);
        let Some((part, amount)) = counted.split_once('.') else {
            continue;
        };
        if !matches!((part, amount), ("requests" | "limits", "cpu" | "memory")) {
            continue;
        }
        let lacking: Vec<String> = workloads(set)
            .filter(|(_, pod, _)| {
                let containers = items(&pod["containers"]).chain(items(&pod["initContainers"]));
                let of_part = |container: &Value| !container["resources"][part][amount].is_null();
                let limit = |container: &Value| !container["resources"]["limits"][amount].is_null();
                containers
                    .into_iter()
                    .any(|container| !of_part(container) && !limit(container))
            })
            .map(|(manifest, _, _)| format!("{}/{}", manifest.object.kind, manifest.object.name))
            .collect();
        if !lacking.is_empty() {
            found.push(Finding::warning(
                &LIMITS,
                format!(
                    "ResourceQuota {name} counts {resource}, and pods of {} do not say it",
                    lacking.join(", ")
                ),
                format!("every container has resources.{counted}, or a LimitRange gives it"),
                "set resources of the component",
            ));
        }
    }
    found
}

fn against_ranges(set: &RenderedSet, ranges: &[Value]) -> Vec<Finding> {
    let mut found = Vec::new();
    let rules = ranges.iter().flat_map(|range| {
        let name = range["metadata"]["name"].as_str().unwrap_or_default();
        items(&range["spec"]["limits"]).map(move |rule| (name, rule))
    });
    for (name, rule) in rules {
        for (manifest, pod, _) in workloads(set) {
            let subject = format!("{}/{}", manifest.object.kind, manifest.object.name);
            let parts: Vec<(String, Amounts, Amounts)> = match rule["type"].as_str() {
                Some("Container") => items(&pod["containers"])
                    .chain(items(&pod["initContainers"]))
                    .map(|container| {
                        let alone = serde_json::json!({"containers": [container]});
                        (
                            format!("a container of {subject}"),
                            requests(&alone),
                            limits(&alone),
                        )
                    })
                    .collect(),
                Some("Pod") => vec![(format!("a pod of {subject}"), requests(pod), limits(pod))],
                Some("PersistentVolumeClaim") => {
                    items(&manifest.value["spec"]["volumeClaimTemplates"])
                        .map(|claim| {
                            let sizes = read(&claim["spec"]["resources"]["requests"]);
                            (format!("a volume of {subject}"), sizes.clone(), sizes)
                        })
                        .collect()
                }
                _ => Vec::new(),
            };
            for (what, least, most) in parts {
                found.extend(outside(name, rule, &what, (&least, &most)));
            }
        }
    }
    found
}

/// What a rule of a LimitRange does not admit: less than its minimum, more than its maximum.
fn outside(
    range: &str,
    rule: &Value,
    what: &str,
    (least, most): (&Amounts, &Amounts),
) -> Vec<Finding> {
    let finding = |resource: &str, has: Quantity, bound: &str, limit: Quantity| {
        let (has, limit) = (has.canonical(), limit.canonical());
        let finding = Finding::warning(
            &LIMITS,
            format!("{what} has {has} {resource}, and LimitRange {range} admits {bound} {limit}"),
            "what is asked for is within every LimitRange of the namespace",
            "change the LimitRange, or resources of the component",
        );
        finding.being(Severity::Error)
    };
    let over = read(&rule["max"])
        .into_iter()
        .filter_map(|(resource, limit)| {
            let has = *most.get(&resource)?;
            (has > limit).then(|| finding(&resource, has, "at most", limit))
        });
    let under = read(&rule["min"])
        .into_iter()
        .filter_map(|(resource, limit)| {
            let has = *least.get(&resource)?;
            (has < limit).then(|| finding(&resource, has, "at least", limit))
        });
    over.chain(under).collect()
}
