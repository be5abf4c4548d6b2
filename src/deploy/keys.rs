//! The values' keys behind the parts of a rendered object, so that advice can name them. Pure.

use serde_json::Value;

use crate::model::component::Component;
use crate::model::labels::COMPONENT;

/// The component that an object belongs to, by its label.
pub(super) fn component_of(object: &Value) -> Option<Component> {
    Component::from_name(object["metadata"]["labels"][COMPONENT].as_str()?)
}

/// Where `nodeSelector`, `tolerations` and `resources` of a component stand.
pub(super) const fn placement(component: Component) -> &'static str {
    match component {
        Component::Streamer => "streamer",
        Component::Collector => "collector",
        Component::ApiGateway => "apiGateway",
        Component::Redis => "redis.master",
        Component::Postgresql => "postgresql.primary",
        Component::Etcd => "etcd",
    }
}

/// Where `size` and `storageClass` of a component's volume stand, if it has one.
pub(super) const fn volume(component: Component) -> Option<&'static str> {
    match component {
        Component::Streamer => Some("streamer.config.spool"),
        Component::Redis => Some("redis.master.persistence"),
        Component::Postgresql => Some("postgresql.primary.persistence"),
        Component::Etcd => Some("etcd.persistence"),
        Component::Collector | Component::ApiGateway => None,
    }
}

/// Where `size` and `storageClass` of the only claim stand that no workload makes: for dumps.
pub(super) const CLAIM: &str = "backup.storage";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, resolve};
    use crate::model::profile::Profile;

    #[test]
    fn every_key_stands_in_the_values() {
        let resolved = resolve(Profile::Dev, &Layers::default()).unwrap();
        let is_there = |key: &str| {
            let pointer = format!("/{}", key.replace('.', "/"));
            resolved.tree().pointer(&pointer).is_some()
        };
        for field in ["size", "storageClass"] {
            assert!(is_there(&format!("{CLAIM}.{field}")), "{CLAIM}.{field}");
        }
        for component in Component::ALL {
            for field in ["nodeSelector", "tolerations", "resources"] {
                let key = format!("{}.{field}", placement(component));
                assert!(is_there(&key), "{key}");
            }
            for field in ["size", "storageClass"] {
                if let Some(volume) = volume(component) {
                    assert!(is_there(&format!("{volume}.{field}")), "{volume}.{field}");
                }
            }
        }
    }
}
