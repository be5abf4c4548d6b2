//! Names and labels: who selects whom. Selectors of workloads are immutable, so this is fixed.

use std::collections::BTreeMap;

use crate::config::Resolved;
use crate::model::component::Component;
use crate::model::labels::{COMPONENT, MANAGED_BY, PART_OF, PIPELINE, TELECTL};
use crate::model::profile::Profile;

pub use crate::model::labels::SERVING;

/// Which components are together: `same`, `edge`, `central`, `shared` or `custom`.
pub const MODE: &str = "telectl.io/deployment-mode";
/// The tag of a component's image, on its workload and its pods only: on anything else, a new tag
/// would rewrite objects in which nothing else changes.
pub const VERSION: &str = "app.kubernetes.io/version";
/// What a component's configuration files hash to; a change starts its pods anew.
pub const CHECKSUM: &str = "telectl.io/config-checksum";

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// `app.kubernetes.io/instance` of everything in a set.
pub fn instance(resolved: &Resolved) -> String {
    match resolved.values.name_override.as_str() {
        "" => match resolved.profile {
            Profile::Dev | Profile::SameCluster => PIPELINE.to_owned(),
            Profile::Edge | Profile::Central | Profile::Shared => {
                format!("telemetry-{}", resolved.profile)
            }
        },
        chosen => chosen.to_owned(),
    }
}

/// The name of the component's objects.
pub fn object_name(resolved: &Resolved, component: Component) -> String {
    prefixed(resolved, component.name())
}

/// A name with the prefix that the values ask for.
pub fn prefixed(resolved: &Resolved, name: &str) -> String {
    match resolved.values.name_override.as_str() {
        "" => name.to_owned(),
        prefix => format!("{prefix}-{name}"),
    }
}

/// What a network policy selects: every pod of the component, probe pods too.
pub fn policy_selector(resolved: &Resolved, component: Component) -> Labels {
    part_selector(resolved, component.name())
}

/// What workloads, Services, budgets and autoscalers select: the pods that serve.
pub fn selector(resolved: &Resolved, component: Component) -> Labels {
    let mut labels = policy_selector(resolved, component);
    labels.insert(SERVING.to_owned(), "true".to_owned());
    labels
}

/// The labels of an object that belongs to no component.
pub fn common(resolved: &Resolved) -> Labels {
    let mut labels = resolved.values.common_labels.clone();
    labels.extend([
        ("app.kubernetes.io/instance".to_owned(), instance(resolved)),
        (PART_OF.to_owned(), PIPELINE.to_owned()),
        (MANAGED_BY.to_owned(), TELECTL.to_owned()),
        (MODE.to_owned(), mode(resolved).to_owned()),
    ]);
    labels
}

/// The labels of a component's objects, whatever their kind.
pub fn object(resolved: &Resolved, component: Component) -> Labels {
    part(resolved, component.name())
}

/// What selects the pods of a part that is no component, such as the backup.
pub fn part_selector(resolved: &Resolved, part: &str) -> Labels {
    Labels::from([
        ("app.kubernetes.io/instance".to_owned(), instance(resolved)),
        (COMPONENT.to_owned(), part.to_owned()),
    ])
}

/// The labels of such a part's objects and pods.
pub fn part(resolved: &Resolved, part: &str) -> Labels {
    let mut labels = common(resolved);
    labels.extend(part_selector(resolved, part));
    labels.insert("app.kubernetes.io/name".to_owned(), part.to_owned());
    labels
}

/// A text as it may stand in a label.
pub fn label_text(text: &str) -> String {
    let text: String = text
        .chars()
        .take(63)
        .map(|symbol| match symbol {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => symbol,
            _ => '_',
        })
        .collect();
    text.trim_matches(['.', '_', '-']).to_owned()
}

/// Which components are together, whatever the profile is called.
fn mode(resolved: &Resolved) -> &'static str {
    let values = &resolved.values;
    let streams = values.streamer.enabled;
    let stores = values.collector.enabled && values.api_gateway.enabled;
    let stores_none = !values.collector.enabled && !values.api_gateway.enabled;
    let has_database = values.postgresql.enabled;
    let has_redis = values.deploys_redis();
    match (streams, stores, stores_none) {
        (true, true, _) if has_database && has_redis => "same",
        (true, false, true) if !has_database => "edge",
        (false, true, _) => "central",
        (false, false, true) if has_redis || values.etcd.enabled => "shared",
        _ => "custom",
    }
}
