//! Fields that Kubernetes does not have, in values that are handed on to it as they are.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use k8s_openapi::api::core::v1::{Affinity, Toleration};
use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{KeyPath, Resolved};
use crate::model::profile::Profile;
use crate::render::{RenderError, strict};

use super::finding::Finding;
use super::rule;

/// What runs pods, by the key of its settings.
const PLACED: [&str; 6] = [
    "streamer",
    "collector",
    "apiGateway",
    "postgresql.primary",
    "redis.master",
    "etcd",
];

/// Reads a value as a type; gives what is wrong, with paths below the value.
type Reader = fn(Value) -> Vec<String>;

/// Every field of the values that Kubernetes does not have, and every value of a wrong type.
pub(super) fn unknown(resolved: &Resolved) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, reader) in handed_on() {
        let path = KeyPath::parse(&key);
        let value = path
            .keys()
            .iter()
            .try_fold(resolved.tree(), |value, key| value.get(key));
        let Some(value) = value.filter(|value| !value.is_null()) else {
            continue;
        };
        let place = resolved.place(&path);
        found.extend(reader(value.clone()).into_iter().map(|says| {
            Finding::new(&rule::UNKNOWN_FIELD, resolved.profile, &key, says).at(place.cloned())
        }));
    }
    found
}

/// The keys whose values are Kubernetes' own.
fn handed_on() -> Vec<(String, Reader)> {
    let mut keys: Vec<(String, Reader)> = vec![
        (
            "networkPolicy.ingress".to_owned(),
            wrong::<Vec<NetworkPolicyIngressRule>>,
        ),
        (
            "networkPolicy.egress".to_owned(),
            wrong::<Vec<NetworkPolicyEgressRule>>,
        ),
    ];
    for placed in PLACED {
        keys.push((format!("{placed}.affinity"), wrong::<Affinity>));
        keys.push((format!("{placed}.tolerations"), wrong::<Vec<Toleration>>));
    }
    for scaled in ["", "streamer.", "collector.", "apiGateway."] {
        let key = format!("{scaled}autoscaling.behavior");
        keys.push((key, wrong::<HorizontalPodAutoscalerBehavior>));
    }
    keys
}

fn wrong<T: DeserializeOwned>(value: Value) -> Vec<String> {
    match strict::read::<T>(value) {
        Ok(read) => read
            .unknown
            .into_iter()
            .map(|field| format!("has the field `{field}`, which Kubernetes does not know"))
            .collect(),
        Err(wrong) => vec![format!(
            "has a wrong value at `{}`: {}",
            wrong.path, wrong.source
        )],
    }
}

/// The finding that an object could not be made; an error of telectl's own is given back.
pub(super) fn refused(profile: Profile, error: RenderError) -> Result<Finding, RenderError> {
    let says = match &error {
        RenderError::UnknownField { kind, field, .. } => {
            format!("would have the field `{field}`, which a {kind} does not have")
        }
        RenderError::NotTheKind {
            kind, path, source, ..
        } => format!("would be no {kind}: `{path}`: {source}"),
        _ => return Err(error),
    };
    Ok(Finding::new(
        &rule::UNKNOWN_FIELD,
        profile,
        "manifests",
        says,
    ))
}
