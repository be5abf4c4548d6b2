//! One run over several stages: what it is given, and what it learns on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::error::DeployError;
use super::event::Event;
use super::handover::Handover;
use super::layout::{Stage, check_identities};
use super::plan::StagePlan;
use super::preflight::Finding;
use super::secrets::Vault;
use crate::cluster::Cluster;
use crate::cluster::apply::Ownership;
use crate::model::manifest::RenderedSet;
use crate::model::object::ObjectRef;
use crate::model::profile::Profile;

/// Renders a stage with values (dotted key, value) that come from other stages.
pub type Renderer<'a> = dyn Fn(&Stage, &[(String, Value)]) -> Result<RenderedSet, DeployError> + 'a;

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What happens to fields of others.
    pub ownership: Ownership,
    /// The longest time that one stage may take to become ready; the profile's if `None`.
    pub deadline: Option<Duration>,
    /// Who runs this, for locks and history: user and host.
    pub who: String,
    /// The values files and overlays that were given, for the record.
    pub files: Vec<String>,
    /// The ids of the preflight's checks whose errors are let through.
    pub skip_preflight: BTreeSet<&'static str>,
}

/// One run. Stages that are only looked at (`observed`) give addresses and passwords; stages that
/// are `applied` are planned and written.
pub struct Run<'a> {
    pub(super) clusters: &'a BTreeMap<String, Cluster>,
    pub(super) render: &'a Renderer<'a>,
    pub(super) options: Options,
    pub(super) stages: Vec<(Stage, Part)>,
    pub(super) handover: Handover,
    pub(super) vault: Vault,
    /// What the look beforehand found.
    pub(super) findings: Vec<Finding>,
    /// Whether a plan has told that the private authority will be made.
    pub(super) authority_planned: bool,
    /// What the plan said is deleted: nothing else ever is.
    pub(super) to_delete: BTreeSet<(Stage, ObjectRef)>,
    pub(super) stop: CancellationToken,
    pub(super) events: &'a mut (dyn FnMut(Event) + Send),
}

/// What a stage is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is only looked at.
    Observed,
    /// It is planned and written.
    Applied,
}

/// What a run is made from.
pub struct Inputs<'a> {
    /// The clusters, by context.
    pub clusters: &'a BTreeMap<String, Cluster>,
    /// How stages are rendered.
    pub render: &'a Renderer<'a>,
    /// How the run behaves.
    pub options: Options,
    /// The stages, in order.
    pub stages: Vec<(Stage, Part)>,
    /// Where servers are that no stage deploys.
    pub handover: Handover,
    /// Secrets that the user gave.
    pub vault: Vault,
    /// Is cancelled when the user wants to stop.
    pub stop: CancellationToken,
}

impl<'a> Run<'a> {
    /// A run. Nothing is sent yet.
    pub fn new(inputs: Inputs<'a>, events: &'a mut (dyn FnMut(Event) + Send)) -> Self {
        let Inputs {
            clusters,
            render,
            options,
            stages,
            handover,
            vault,
            stop,
        } = inputs;
        Self {
            clusters,
            render,
            options,
            stages,
            handover,
            vault,
            findings: Vec::new(),
            authority_planned: false,
            to_delete: BTreeSet::new(),
            stop,
            events,
        }
    }

    /// Looks at every cluster, refuses those that do not fit their roles, then plans every stage.
    /// Writes nothing.
    ///
    /// # Errors
    /// [`DeployError::Preflight`] with all that stands in the way; else when a cluster cannot be asked, or a stage cannot be rendered or planned.
    pub async fn plan(&mut self) -> Result<Vec<StagePlan>, DeployError> {
        self.findings = self.preflight().await?;
        self.check_clusters().await?;
        let mut plans = Vec::new();
        for (stage, part) in self.stages.clone() {
            let observed = self.observe(&stage).await?;
            self.learn(&stage, &observed);
            if part == Part::Applied {
                self.require_provider(&stage)?;
                let plan = self.plan_stage(&stage, &observed).await?;
                let unwanted = plan.unwanted.iter().cloned();
                self.to_delete
                    .extend(unwanted.map(|object| (stage.clone(), object)));
                plans.push(plan);
            }
        }
        Ok(plans)
    }

    /// An address that is not known yet must come from a stage that this run deploys.
    fn require_provider(&self, stage: &Stage) -> Result<(), DeployError> {
        let provided = self
            .stages
            .iter()
            .any(|(stage, part)| stage.profile == Profile::Shared && *part == Part::Applied);
        if provided {
            Ok(())
        } else {
            self.require_addresses(stage)
        }
    }

    async fn check_clusters(&self) -> Result<(), DeployError> {
        let asked = self.clusters.iter().map(|(context, cluster)| async move {
            Ok::<_, DeployError>((context.clone(), cluster.identity().await?))
        });
        let identities: BTreeMap<String, String> = futures::future::try_join_all(asked)
            .await?
            .into_iter()
            .collect();
        let stages: Vec<Stage> = self.stages.iter().map(|(stage, _)| stage.clone()).collect();
        check_identities(&stages, |context| {
            identities.get(context).cloned().unwrap_or_default()
        })?;
        Ok(())
    }

    pub(super) fn cluster(&self, stage: &Stage) -> &'a Cluster {
        // Every stage's context was connected before the run was made.
        &self.clusters[&stage.context]
    }

    pub(super) fn say(&mut self, event: Event) {
        (self.events)(event);
    }
}
