//! What a stage is, out of its values and of what its namespace holds. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::advertised;
use super::error::DeployError;
use super::handover::{service_of, values_for};
use super::knowledge::Knowledge;
use super::layout::Stage;
use super::plan::secrets_of;
use super::run::Renderer;
use super::secrets::{AUTHORITY_SECRET, LiveSecret, SecretData, SecretPlan, digest};
use crate::cluster::inventory;
use crate::cluster::snapshot::Snapshot;
use crate::model::component::Component;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;

/// The annotation of a pod template that changes when a Secret does, so that pods restart.
const SECRETS_ANNOTATION: &str = "telectl.io/secrets";
/// Stands for the digest in a plan while a Secret is still to be made.
const SECRETS_TO_COME: &str = "known-once-the-secrets-are-made";

/// A stage as rendered and as it is.
pub struct Observed {
    /// What it should be.
    pub set: RenderedSet,
    /// What its namespace holds.
    pub live: Snapshot,
    /// The needed Secrets that exist, and the authority's, by name.
    pub secrets: BTreeMap<String, LiveSecret>,
    /// The Services of servers, by component: name, port and the live one, if it is there.
    pub services: BTreeMap<Component, (String, u16, Option<Value>)>,
}

impl Observed {
    /// Renders a stage with what is known (`nodes` are those of its cluster), and finds its Secrets and servers' Services in what its
    /// namespace holds.
    ///
    /// # Errors
    /// When the stage's values do not render.
    pub fn new(
        stage: &Stage,
        live: Snapshot,
        nodes: &[Value],
        knowledge: &Knowledge,
        render: &Renderer<'_>,
    ) -> Result<Self, DeployError> {
        let parent = inventory::parent(&stage.namespace, stage.profile.name());
        let cluster_id = live.get(&parent).and_then(inventory::recorded_cluster_id);
        let mut values = values_for(stage, &knowledge.handover, cluster_id);
        let mut set = render(stage, &values)?;
        // Only the objects tell which Services there are.
        let advertised = advertised::values(&set, &live, nodes);
        if !advertised.is_empty() {
            values.extend(advertised);
            set = render(stage, &values)?;
        }
        set.manifests
            .iter_mut()
            .for_each(|manifest| inventory::adopt(manifest, &parent));
        Ok(Self {
            secrets: needed_secrets(&set, &live),
            services: services(&set, &live),
            set,
            live,
        })
    }

    /// The inventory's parent of the stage, with the record of the last deployment.
    pub fn record(&self) -> Option<&Value> {
        let profile = self.set.profile.name();
        self.live
            .get(&inventory::parent(&self.set.namespace, profile))
    }

    /// Whether anything of ours was there before, so that others may trust an earlier authority.
    pub(super) fn was_deployed(&self) -> bool {
        self.record()
            .is_some_and(|record| inventory::recorded(record).is_some())
            || self.secrets.values().any(|secret| secret.ours)
    }

    /// The manifests, with a digest of the Secrets that their pods read, once these are known.
    pub(super) fn with_digests(
        &self,
        planned: &[SecretPlan],
        knowledge: &Knowledge,
    ) -> Vec<Manifest> {
        let key = knowledge.vault.authority.as_ref();
        let key = key.map(|authority| &authority.key);
        with_digests(self.set.manifests.clone(), &self.secrets, planned, key)
    }
}

fn needed_secrets(set: &RenderedSet, live: &Snapshot) -> BTreeMap<String, LiveSecret> {
    let needed = set.secrets.iter().map(|need| need.name.as_str());
    needed
        .chain([AUTHORITY_SECRET])
        .filter_map(|name| {
            let object = ObjectRef::new(ObjectKind::Secret, &set.namespace, name);
            let found = live.get(&object)?;
            Some((name.to_owned(), LiveSecret::from_object(found)))
        })
        .collect()
}

fn services(
    set: &RenderedSet,
    live: &Snapshot,
) -> BTreeMap<Component, (String, u16, Option<Value>)> {
    Component::ALL
        .into_iter()
        .filter_map(|component| {
            let (name, port) = service_of(set, component)?;
            let object = ObjectRef::new(ObjectKind::Service, &set.namespace, &name);
            let found = live.get(&object).cloned();
            Some((component, (name, port, found)))
        })
        .collect()
}

/// The manifests, with a digest of the Secrets that their pods read; with a word that stands for
/// it while one of these is still to be made, or the key that signs digests is.
fn with_digests(
    mut manifests: Vec<Manifest>,
    live: &BTreeMap<String, LiveSecret>,
    planned: &[SecretPlan],
    key: Option<&Secret<String>>,
) -> Vec<Manifest> {
    let mut data: BTreeMap<&str, Option<SecretData>> = live
        .iter()
        .map(|(name, live)| (name.as_str(), Some(live.data.clone())))
        .collect();
    for plan in planned.iter().filter(|plan| plan.changes()) {
        let made = plan.manifest.as_ref();
        let made = made.map(|manifest| LiveSecret::from_object(&manifest.value).data);
        data.insert(&plan.name, made);
    }
    for manifest in &mut manifests {
        let names = secrets_of(manifest);
        if names.is_empty() {
            continue;
        }
        let known: Option<Vec<(&str, &SecretData)>> = names
            .iter()
            .filter_map(|name| data.get_key_value(name.as_str()))
            .map(|(name, data)| Some((*name, data.as_ref()?)))
            .collect();
        let digest = match (key, known) {
            (Some(key), Some(known)) => digest(key, &known),
            _ => SECRETS_TO_COME.to_owned(),
        };
        manifest.value["spec"]["template"]["metadata"]["annotations"][SECRETS_ANNOTATION] =
            digest.into();
    }
    manifests
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::secrets::Origin;
    use super::*;

    #[test]
    fn pods_restart_in_the_plan_when_a_secret_that_they_read_is_still_to_be_made() {
        let manifest = Manifest {
            object: ObjectRef::new(ObjectKind::StatefulSet, "ns", "redis"),
            value: json!({"spec": {"template": {"spec": {
                "volumes": [{"secret": {"secretName": "redis-tls"}}],
            }}}}),
        };
        let data = SecretData::from([("tls.crt".to_owned(), Secret::new(b"old".to_vec()))]);
        let live = BTreeMap::from([(
            "redis-tls".to_owned(),
            LiveSecret {
                ours: true,
                rotated_at: None,
                data,
            },
        )]);
        let planned = |origin| SecretPlan {
            name: "redis-tls".to_owned(),
            keys: vec![("tls.crt".to_owned(), origin)],
            renewals: Vec::new(),
            holds_foreign_certificate: false,
            manifest: None,
            exists: true,
        };
        let key = Secret::from("key");
        let annotation = |plans: &[SecretPlan], key| {
            let made = with_digests(vec![manifest.clone()], &live, plans, key);
            let annotations = &made[0].value["spec"]["template"]["metadata"]["annotations"];
            annotations[SECRETS_ANNOTATION].as_str().unwrap().to_owned()
        };
        let now = annotation(&[], Some(&key));
        assert_eq!(annotation(&[planned(Origin::Kept)], Some(&key)), now);
        assert_eq!(
            annotation(&[planned(Origin::Issued)], Some(&key)),
            SECRETS_TO_COME
        );
        assert_eq!(annotation(&[], None), SECRETS_TO_COME);
    }
}
