//! Looks at a stage as it is, and plans it. Writes nothing.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::belongings::{Belongings, find};
use super::certificates::Pair;
use super::error::DeployError;
use super::handover::{certificate_names, is_complete, reach, service_of, values_for};
use super::layout::Stage;
use super::plan::{
    AuthorityChange, ObjectPlan, StagePlan, authority_change, authority_warning, hosts,
    identity_warning, later_addresses, name_restarts, object_plan, record_plan, secret_change,
    secrets_of,
};
use super::preflight::told;
use super::refusal::{note_record, refused};
use super::role::{held, others};
use super::run::{Part, Run};
use super::scaling::Scaling;
use super::secrets::{
    AUTHORITY_SECRET, Circumstances, LiveSecret, Making, SecretData, SecretPlan, digest, plan,
};
use crate::cluster::apply::{DryRun, dry_run};
use crate::cluster::{Cluster, ClusterError, inventory};
use crate::model::component::Component;
use crate::model::labels::COMPONENT;
use crate::model::manifest::{Manifest, RenderedSet};
use crate::model::object::{ObjectKind, ObjectRef};
use crate::model::secret::Secret;

/// How many objects are looked at at once; the cluster limits requests further.
const AT_ONCE: usize = 16;
/// The annotation of a pod template that changes when a Secret does, so that pods restart.
const SECRETS_ANNOTATION: &str = "telectl.io/secrets";
/// Stands for the digest in a plan while a Secret is still to be made.
const SECRETS_TO_COME: &str = "known-once-the-secrets-are-made";

/// A stage as rendered and as it is.
pub struct Observed {
    /// What it should be.
    pub set: RenderedSet,
    /// Whether its namespace is missing.
    pub namespace_missing: bool,
    /// The inventory's parent, with the record of the last deployment.
    pub record: Option<Value>,
    /// The needed Secrets that exist, and the authority's, by name.
    pub secrets: BTreeMap<String, LiveSecret>,
    /// Whether the database already has a volume.
    pub database_initialised: bool,
    /// The Services of servers that exist, by component.
    pub services: BTreeMap<Component, (String, u16, Option<Value>)>,
}

impl Observed {
    /// Whether anything of ours was there before, so that others may trust an earlier authority.
    fn was_deployed(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| inventory::recorded(record).is_some())
            || self.secrets.values().any(|secret| secret.ours)
    }
}

impl Run<'_> {
    /// Renders a stage with what is known, and reads its Secrets and servers' Services.
    pub(super) async fn observe(&self, stage: &Stage) -> Result<Observed, DeployError> {
        let cluster = self.cluster(stage);
        let parent = inventory::parent(&stage.namespace, stage.profile.name());
        let record = cluster.get(&parent).await?;
        let cluster_id = record.as_ref().and_then(inventory::recorded_cluster_id);
        let mut set = (self.render)(stage, &values_for(stage, &self.handover, cluster_id))?;
        set.manifests
            .iter_mut()
            .for_each(|manifest| inventory::adopt(manifest, &parent));
        let namespace = ObjectRef::new(ObjectKind::Namespace, "", &stage.namespace);
        let namespace_missing = cluster.get(&namespace).await?.is_none();
        let mut names: Vec<&str> = set.secrets.iter().map(|need| need.name.as_str()).collect();
        names.push(AUTHORITY_SECRET);
        let secrets = read_secrets(cluster, &stage.namespace, &names).await?;
        let database_initialised = has_database_volume(cluster, &set).await?;
        let mut services = BTreeMap::new();
        for component in [Component::Redis, Component::Etcd, Component::Postgresql] {
            let Some((name, port)) = service_of(&set, component) else {
                continue;
            };
            let object = ObjectRef::new(ObjectKind::Service, &stage.namespace, &name);
            services.insert(component, (name, port, cluster.get(&object).await?));
        }
        Ok(Observed {
            set,
            namespace_missing,
            record,
            secrets,
            database_initialised,
            services,
        })
    }

    /// Takes note of what a stage tells about servers and passwords.
    pub(super) fn learn(&mut self, stage: &Stage, observed: &Observed) {
        for (component, (name, port, live)) in &observed.services {
            let reached = reach(stage, name, *port, live.as_ref());
            match component {
                Component::Redis => self.handover.redis = reached,
                Component::Etcd => self.handover.etcd = reached,
                _ => {}
            }
        }
        if self.vault.authority.is_none()
            && let Some(secret) = observed.secrets.get(AUTHORITY_SECRET)
            && let (Some(certificate), Some(key)) = (secret.text("tls.crt"), secret.text("tls.key"))
        {
            self.vault.authority = Some(Pair {
                certificate,
                key: Secret::new(key),
            });
        }
        for need in &observed.set.secrets {
            let Some(live) = observed.secrets.get(&need.name) else {
                continue;
            };
            for key in &need.keys {
                // A stage that only uses a password is not where it is decided.
                if self.decides(key.content, &observed.set)
                    && let Some(value) = live.text(&key.key)
                {
                    self.vault
                        .known
                        .entry(key.content)
                        .or_insert(Secret::new(value));
                }
            }
        }
    }

    fn decides(&self, content: crate::model::manifest::SecretContent, set: &RenderedSet) -> bool {
        use crate::model::manifest::SecretContent as Content;
        let host = match content {
            Content::RedisPassword => Component::Redis,
            Content::DatabasePassword | Content::DatabaseSuperuserPassword => Component::Postgresql,
            Content::ApiToken => Component::ApiGateway,
            _ => return false,
        };
        hosts(set, host)
    }

    /// Whether a stage with these objects has to make the private authority.
    pub(super) fn makes_authority(&self, set: &RenderedSet) -> bool {
        let servers = [Component::Redis, Component::Etcd, Component::Postgresql];
        self.vault.authority.is_none() && servers.iter().any(|server| hosts(set, *server))
    }

    /// Plans a stage as it would be with what is known now.
    pub(super) async fn plan_stage(
        &mut self,
        stage: &Stage,
        observed: &Observed,
    ) -> Result<StagePlan, DeployError> {
        let planned = self.plan_secrets(stage, observed, Making::Planned)?;
        let mut secrets: Vec<_> = planned
            .iter()
            .map(|plan| secret_change(&stage.namespace, plan))
            .collect();
        let is_made = self.makes_authority(&observed.set) && !self.authority_planned;
        let authority = AuthorityChange {
            is_made,
            is_there: observed.secrets.contains_key(AUTHORITY_SECRET),
            was_deployed: observed.was_deployed(),
            secrets: &planned,
        };
        let applied = self
            .stages
            .iter()
            .filter(|(_, part)| *part == Part::Applied);
        let applied: Vec<&Stage> = applied.map(|(stage, _)| stage).collect();
        let preflight = self.findings_of(stage);
        let warnings = [
            identity_warning(&observed.set, observed.record.as_ref()),
            authority_warning(stage, &applied, &authority),
        ];
        let warnings = warnings.into_iter().flatten().chain(told(&preflight));
        let warnings = warnings.collect();
        if is_made {
            self.authority_planned = true;
        }
        secrets.splice(0..0, authority_change(&stage.namespace, &authority));
        let manifests = self.with_digests(observed, &planned);
        let cluster = self.cluster(stage);
        let belongings = find(cluster, stage, observed).await?;
        let scaling = Scaling::of(&observed.set, &belongings);
        let (objects, others) = tokio::try_join!(
            plan_objects(cluster, &scaling, manifests, observed.namespace_missing),
            others(cluster, stage)
        )?;
        let mut objects: Vec<ObjectPlan> = objects.into_iter().map(later_addresses).collect();
        note_record(&mut objects, observed.record.as_ref());
        name_restarts(&mut secrets, &observed.set.manifests, &objects);
        let members = belongings.members(&observed.set);
        let Belongings { unwanted, kept, .. } = belongings;
        let mut plan = StagePlan {
            stage: stage.clone(),
            server: cluster.server().to_owned(),
            namespace_missing: observed.namespace_missing,
            objects,
            secrets,
            unwanted: unwanted.into_iter().map(|one| one.object).collect(),
            kept,
            awaits_addresses: !is_complete(stage, &self.handover),
            held: held(observed.record.as_ref(), &others),
            warnings,
            preflight,
        };
        let record = record_plan(&plan, &observed.set, observed.record.as_ref(), &members);
        plan.objects.push(record);
        Ok(plan)
    }

    /// Decides about every Secret that the stage needs.
    pub(super) fn plan_secrets(
        &mut self,
        stage: &Stage,
        observed: &Observed,
        make: Making,
    ) -> Result<Vec<SecretPlan>, DeployError> {
        let names = |component: Component| {
            let (name, _, live) = observed.services.get(&component)?;
            Some(certificate_names(&stage.namespace, name, live.as_ref()))
        };
        let circumstances = Circumstances {
            namespace: &stage.namespace,
            names: &names,
            hosts: &|component| hosts(&observed.set, component),
            make,
            database_initialised: observed.database_initialised,
            password: super::secrets::random_password,
            now: jiff::Timestamp::now(),
        };
        let mut plans = Vec::new();
        for need in &observed.set.secrets {
            let live = observed.secrets.get(&need.name);
            plans.push(plan(need, live, &mut self.vault, &circumstances)?);
        }
        Ok(plans)
    }

    /// The manifests, with a digest of the Secrets that their pods read, once these are known.
    pub(super) fn with_digests(
        &self,
        observed: &Observed,
        planned: &[SecretPlan],
    ) -> Vec<Manifest> {
        let key = self
            .vault
            .authority
            .as_ref()
            .map(|authority| &authority.key);
        with_digests(
            observed.set.manifests.clone(),
            &observed.secrets,
            planned,
            key,
        )
    }
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

/// Whether the database of a set has a volume from an earlier deployment.
async fn has_database_volume(cluster: &Cluster, set: &RenderedSet) -> Result<bool, ClusterError> {
    let Some(database) = set.manifests.iter().find(|manifest| {
        manifest.object.kind == ObjectKind::StatefulSet
            && manifest.value["metadata"]["labels"][COMPONENT] == Component::Postgresql.name()
    }) else {
        return Ok(false);
    };
    let claims = ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    let of_first_pod = format!("-{}-0", database.object.name);
    let claims = cluster.list_other(claims, &set.namespace, "").await?;
    Ok(claims.iter().any(|claim| {
        let name = claim["metadata"]["name"].as_str().unwrap_or_default();
        name.ends_with(&of_first_pod)
    }))
}

async fn read_secrets(
    cluster: &Cluster,
    namespace: &str,
    names: &[&str],
) -> Result<BTreeMap<String, LiveSecret>, ClusterError> {
    let read = names.iter().map(|name| async move {
        let object = ObjectRef::new(ObjectKind::Secret, namespace, *name);
        let found = cluster.get(&object).await?;
        Ok::<_, ClusterError>(
            found.map(|found| ((*name).to_owned(), LiveSecret::from_object(&found))),
        )
    });
    Ok(futures::future::try_join_all(read)
        .await?
        .into_iter()
        .flatten()
        .collect())
}

async fn plan_objects(
    cluster: &Cluster,
    scaling: &Scaling,
    manifests: Vec<Manifest>,
    namespace_missing: bool,
) -> Result<Vec<ObjectPlan>, ClusterError> {
    futures::stream::iter(manifests)
        .map(|manifest| async move {
            if namespace_missing {
                return Ok(object_plan(
                    &manifest.object,
                    None,
                    &DryRun::NamespaceMissing,
                ));
            }
            plan_object(cluster, scaling, manifest).await
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Plans one object: reads it, keeps an autoscaler's count, and asks the server what would change.
pub(super) async fn plan_object(
    cluster: &Cluster,
    scaling: &Scaling,
    manifest: Manifest,
) -> Result<ObjectPlan, ClusterError> {
    let live = cluster.get(&manifest.object).await?;
    let manifest = scaling.with_live_count(manifest, live.as_ref());
    match (dry_run(cluster, &manifest).await, &live) {
        // What is there cannot become this: the rest of the plan is worth seeing all the same.
        (
            Err(ClusterError::Refused {
                code: 422, message, ..
            }),
            Some(live),
        ) => Ok(refused(&manifest, live, &message)),
        (answer, live) => {
            let plan = object_plan(&manifest.object, live.as_ref(), &answer?);
            Ok(scaling.released(plan))
        }
    }
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
        let live = BTreeMap::from([("redis-tls".to_owned(), LiveSecret { ours: true, data })]);
        let planned = |origin| SecretPlan {
            name: "redis-tls".to_owned(),
            keys: vec![("tls.crt".to_owned(), origin)],
            renewals: Vec::new(),
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
