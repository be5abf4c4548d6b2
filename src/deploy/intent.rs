//! What a run set out to do, noted on the cluster while it is not done: so that somebody else can
//! go on with it, on another machine. Holds values and names, never a secret.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::DeployError;
use super::execute::Writing;
use super::layout::Stage;
use super::run::Run;
use super::stage_run::StageRun;
use crate::cluster::apply::Writer;
use crate::cluster::{Cluster, ClusterError};
use crate::model::labels;
use crate::model::manifest::Manifest;
use crate::model::object::{ObjectKind, ObjectRef};

/// The ConfigMap that holds it, in the namespace of a run's first stage.
const NAME: &str = "telectl-unfinished-run";
/// Its key.
const RUN: &str = "run";

/// A run that is not done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The number of the run in the history.
    pub generation: u32,
    /// When it began, RFC 3339.
    pub since: String,
    /// Who began it: user and host.
    pub by: String,
    /// The version of telectl.
    pub version: String,
    /// What the run is made from, as the command line that began it wrote it.
    pub intent: Value,
}

fn reference(namespace: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::ConfigMap, namespace, NAME)
}

/// The run that a namespace knows to be unfinished, if there is one.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn unfinished(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Option<Unfinished>, ClusterError> {
    let found = cluster.get(&reference(namespace)).await?;
    let text = found.as_ref().and_then(|found| found["data"][RUN].as_str());
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

impl Run<'_> {
    /// Notes what the run is about to do; gives back the note as it is on the cluster.
    pub(super) async fn open_intent(
        &self,
        writing: &Writing<'_>,
    ) -> Result<Option<Value>, DeployError> {
        let (Some(intent), Some(first)) = (&self.options.intent, self.applied().next()) else {
            return Ok(None);
        };
        let run = Unfinished {
            generation: self.generation,
            since: format!("{:.0}", jiff::Timestamp::now()),
            by: self.options.who.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            intent: intent.clone(),
        };
        let manifest = manifest(first, &run);
        StageRun::new(self, first, writing)
            .write_quietly(&manifest)
            .await
            .map(Some)
    }

    /// The run is done: there is nothing to go on with.
    pub(super) async fn close_intent(
        &self,
        writing: &Writing<'_>,
        noted: Option<Value>,
    ) -> Result<(), DeployError> {
        let (Some(noted), Some(first)) = (noted, self.applied().next()) else {
            return Ok(());
        };
        let closing = StageRun::new(self, first, writing);
        closing.require_leave()?;
        let writer = Writer::new(closing.cluster(), writing.consent);
        let object = reference(&first.namespace);
        match writer.delete_unchanged(&object, &noted).await {
            // A run of another profile in this namespace has put its own note in its place.
            Err(ClusterError::Refused { code: 409, .. }) => Ok(()),
            closed => Ok(closed?),
        }
    }
}

fn manifest(stage: &Stage, run: &Unfinished) -> Manifest {
    let object = reference(&stage.namespace);
    let value = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": object.name,
            "namespace": object.namespace,
            "labels": {
                (labels::MANAGED_BY): labels::TELECTL,
                (labels::PART_OF): labels::PIPELINE,
            },
        },
        "data": {RUN: json!(run).to_string()},
    });
    Manifest { object, value }
}
