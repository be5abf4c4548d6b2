//! The only writer to a cluster: server-side apply, creation of Jobs and Leases, deletion.

#![expect(clippy::disallowed_methods, reason = "this file is the one writer")]

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::client::Cluster;
use super::error::ClusterError;
use crate::model::consent::Confirmed;
use crate::model::manifest::Manifest;
use crate::model::object::ObjectRef;

/// The name under which telectl owns fields.
pub const FIELD_MANAGER: &str = "telectl";

/// What happens to fields that somebody else owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// The apply fails and says whose they are.
    Respect,
    /// They become ours.
    Take,
}

/// What becomes of the pods of a workload that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cascade {
    /// They run on, and belong to nobody until somebody's selector finds them.
    Orphan,
    /// They are deleted, too.
    Background,
}

/// What an apply would do.
#[derive(Debug, Clone)]
pub enum DryRun {
    /// The object as it would be.
    Accepted(Value),
    /// Others own fields: these (field, manager); and the object as it would be if they were taken.
    Conflict {
        /// Field and manager of each.
        fields: Vec<(String, String)>,
        /// The object as it would be.
        taken: Value,
    },
    /// The namespace does not exist, so the server cannot say.
    NamespaceMissing,
}

/// Writes to one cluster. Exists only with consent.
#[derive(Debug)]
pub struct Writer<'a> {
    cluster: &'a Cluster,
}

impl<'a> Writer<'a> {
    /// A writer, for as long as the consent is held.
    pub const fn new(cluster: &'a Cluster, _consent: &Confirmed) -> Self {
        Self { cluster }
    }

    /// Applies one object and returns it as it is then.
    ///
    /// # Errors
    /// [`ClusterError::Conflict`] when ownership is respected and others own fields; otherwise
    /// when the API server cannot be asked or refuses.
    pub async fn apply(
        &self,
        manifest: &Manifest,
        ownership: Ownership,
    ) -> Result<Value, ClusterError> {
        patch(self.cluster, manifest, parameters(ownership)).await
    }

    /// Deletes an object, if it still is the one with this UID.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses; that it is gone already is no error.
    pub async fn delete(&self, object: &ObjectRef, uid: &str) -> Result<(), ClusterError> {
        remove(self.cluster, object, &of_uid(uid)).await
    }

    /// Deletes an object, if it still is exactly this one: same UID and resource version.
    ///
    /// # Errors
    /// As [`Self::delete`]; one that changed meanwhile is refused with 409.
    pub async fn delete_unchanged(
        &self,
        object: &ObjectRef,
        seen: &Value,
    ) -> Result<(), ClusterError> {
        let text = |field: &str| seen["metadata"][field].as_str().map(str::to_owned);
        let parameters = DeleteParams::background().preconditions(Preconditions {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
        });
        remove(self.cluster, object, &parameters).await
    }

    /// Deletes an object that is made anew, if it still is the one with this UID.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn make_way(
        &self,
        object: &ObjectRef,
        uid: &str,
        cascade: Cascade,
    ) -> Result<(), ClusterError> {
        let base = match cascade {
            Cascade::Orphan => DeleteParams::orphan(),
            Cascade::Background => DeleteParams::background(),
        };
        let parameters = base.preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        remove(self.cluster, object, &parameters).await
    }

    /// Changes who owns fields of an object, by a merge patch that names its resource version.
    ///
    /// # Errors
    /// When the API server cannot be asked or refuses; with 409 if the object changed meanwhile.
    pub async fn hand_over(&self, object: &ObjectRef, patch: &Value) -> Result<(), ClusterError> {
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let action = format!("taking over {object}");
        merge(self.cluster, object, patch, &parameters, &action)
            .await
            .map(drop)
    }

    /// Deletes a pod, if it still is the one with this UID; its controller makes another.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_pod(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ClusterError> {
        let pods = self.cluster.typed::<Pod>(namespace);
        let action = format!("deleting pod {namespace}/{name}");
        self.remove_from(&pods, &action, (name, uid)).await
    }

    /// Deletes a volume claim and with it what it holds, if it still is the one with this UID.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_claim(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<(), ClusterError> {
        let claims = self.cluster.typed::<PersistentVolumeClaim>(namespace);
        let action = format!("deleting PersistentVolumeClaim {namespace}/{name}");
        self.remove_from(&claims, &action, (name, uid)).await
    }

    async fn remove_from<K>(
        &self,
        api: &Api<K>,
        action: &str,
        (name, uid): (&str, &str),
    ) -> Result<(), ClusterError>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let parameters = of_uid(uid);
        let removing = api.delete(name, &parameters);
        match self.cluster.request(action, removing).await {
            Ok(_) | Err(ClusterError::Refused { code: 404, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn of_uid(uid: &str) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: None,
    })
}

/// What applying a manifest would do. Writes nothing.
///
/// # Errors
/// When the API server cannot be asked, or refuses the object itself.
pub async fn dry_run(cluster: &Cluster, manifest: &Manifest) -> Result<DryRun, ClusterError> {
    match patch(cluster, manifest, parameters(Ownership::Respect).dry_run()).await {
        Ok(value) => Ok(DryRun::Accepted(value)),
        // The answer to a conflict carries no object: ask again as if the fields were taken.
        Err(ClusterError::Conflict { fields, .. }) => {
            let forced = parameters(Ownership::Take).dry_run();
            Ok(DryRun::Conflict {
                fields,
                taken: patch(cluster, manifest, forced).await?,
            })
        }
        Err(ClusterError::Refused { code: 404, .. }) if !manifest.object.namespace.is_empty() => {
            Ok(DryRun::NamespaceMissing)
        }
        Err(error) => Err(error),
    }
}

/// Field and manager of what others own and applying a manifest would change. Writes nothing. An
/// object that the server would refuse otherwise has none here.
///
/// # Errors
/// When the API server cannot be asked.
pub async fn dry_run_conflicts(
    cluster: &Cluster,
    manifest: &Manifest,
) -> Result<Vec<(String, String)>, ClusterError> {
    match patch(cluster, manifest, parameters(Ownership::Respect).dry_run()).await {
        Ok(_) | Err(ClusterError::Refused { code: 422, .. }) => Ok(Vec::new()),
        Err(ClusterError::Conflict { fields, .. }) => Ok(fields),
        Err(error) => Err(error),
    }
}

/// What a merge patch of an object would make of it, the server's own values included. Writes
/// nothing.
///
/// # Errors
/// When the API server cannot be asked or refuses.
pub async fn dry_run_merge(
    cluster: &Cluster,
    object: &ObjectRef,
    patch: &Value,
) -> Result<Value, ClusterError> {
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let action = format!("the dry run of {object}");
    merge(cluster, object, patch, &parameters.dry_run(), &action).await
}

async fn merge(
    cluster: &Cluster,
    object: &ObjectRef,
    patch: &Value,
    parameters: &PatchParams,
    action: &str,
) -> Result<Value, ClusterError> {
    let api = cluster.api(object.kind, &object.namespace);
    let body = Patch::Merge(patch);
    let work = api.patch(&object.name, parameters, &body);
    let patched = cluster.request(action, work).await?;
    Ok(cluster.value(object.kind, patched))
}

fn parameters(ownership: Ownership) -> PatchParams {
    let parameters = PatchParams::apply(FIELD_MANAGER).validation_strict();
    match ownership {
        Ownership::Respect => parameters,
        Ownership::Take => parameters.force(),
    }
}

async fn patch(
    cluster: &Cluster,
    manifest: &Manifest,
    parameters: PatchParams,
) -> Result<Value, ClusterError> {
    let object = &manifest.object;
    let api = cluster.api(object.kind, &object.namespace);
    let action = if parameters.dry_run {
        format!("the dry run of {object}")
    } else {
        format!("applying {object}")
    };
    let body = Patch::Apply(&manifest.value);
    let work = api.patch(&object.name, &parameters, &body);
    let conflict = |status: &kube::core::Status| ClusterError::Conflict {
        cluster: cluster.name().to_owned(),
        object: object.clone(),
        fields: conflicting_fields(status),
    };
    // A conflict is told apart before the status is turned into text.
    let mut conflicting = None;
    let outcome = cluster
        .request(&action, async {
            work.await.inspect_err(|error| {
                if let kube::Error::Api(status) = error
                    && status.code == 409
                    && status
                        .details
                        .as_ref()
                        .is_some_and(|details| !details.causes.is_empty())
                {
                    conflicting = Some(conflict(status));
                }
            })
        })
        .await;
    match (outcome, conflicting) {
        (_, Some(conflict)) => Err(conflict),
        (outcome, None) => match outcome {
            Ok(applied) => Ok(cluster.value(object.kind, applied)),
            Err(error) => Err(cluster.about_kind(object.kind, error)),
        },
    }
}

/// Field and manager of every cause. The manager stands in the text only:
/// `conflict with "kubectl-edit" using v1: …`.
fn conflicting_fields(status: &kube::core::Status) -> Vec<(String, String)> {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice());
    causes
        .unwrap_or_default()
        .iter()
        .map(|cause| {
            let manager = cause.message.split('"').nth(1).unwrap_or("unknown");
            (cause.field.clone(), manager.to_owned())
        })
        .collect()
}

/// Creates an object that must not exist yet. Only for what cleans up after itself: Jobs, Leases.
pub(super) async fn create(
    cluster: &Cluster,
    object: &ObjectRef,
    value: Value,
) -> Result<Value, ClusterError> {
    let api = cluster.api(object.kind, &object.namespace);
    let action = format!("creating {object}");
    let body = typed_object(cluster, &action, value)?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let created = cluster
        .request(&action, api.create(&parameters, &body))
        .await?;
    Ok(cluster.value(object.kind, created))
}

/// Replaces an object, if it has not changed since it was read (`metadata.resourceVersion`).
pub(super) async fn replace(
    cluster: &Cluster,
    object: &ObjectRef,
    value: Value,
) -> Result<Value, ClusterError> {
    let api = cluster.api(object.kind, &object.namespace);
    let action = format!("updating {object}");
    let body = typed_object(cluster, &action, value)?;
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let replaced = cluster
        .request(&action, api.replace(&object.name, &parameters, &body))
        .await?;
    Ok(cluster.value(object.kind, replaced))
}

pub(super) async fn remove(
    cluster: &Cluster,
    object: &ObjectRef,
    parameters: &DeleteParams,
) -> Result<(), ClusterError> {
    let api = cluster.api(object.kind, &object.namespace);
    match cluster
        .request(
            &format!("deleting {object}"),
            api.delete(&object.name, parameters),
        )
        .await
    {
        Ok(_) | Err(ClusterError::Refused { code: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn typed_object(
    cluster: &Cluster,
    action: &str,
    value: Value,
) -> Result<DynamicObject, ClusterError> {
    serde_json::from_value(value).map_err(|error| ClusterError::Refused {
        cluster: cluster.name().to_owned(),
        action: action.to_owned(),
        code: 0,
        reason: "malformed".to_owned(),
        message: error.to_string(),
    })
}
