//! One run over several stages: what it is given, and how it is planned.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{Either, join_all, select, try_join, try_join_all};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::error::DeployError;
use super::event::Event;
use super::handover::unknown_address;
use super::history;
use super::knowledge::Knowledge;
use super::layout::{Stage, check_identities};
use super::observe::Observed;
use super::plan::StagePlan;
use super::planning::Prepared;
use super::policy::Policy;
use super::preflight::{Finding, Place, refuse, warned};
use super::secrets::SecretError;
use super::settle::unready;
use crate::cluster::snapshot::Snapshot;
use crate::cluster::{Cluster, ClusterError};
use crate::model::manifest::RenderedSet;
use crate::model::object::ObjectRef;
use crate::model::profile::Profile;

/// Renders a stage with values (dotted key, value) that come from other stages.
pub type Renderer<'a> = dyn Fn(&Stage, &[(String, Value)]) -> Result<RenderedSet, DeployError> + 'a;

/// What becomes of a run that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It ends, and what it wrote stays.
    Stop,
    /// What it wrote is taken back, cluster by cluster, to what was deployed before.
    Rollback,
}

/// What an edge cluster that does not answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The run ends.
    Fail,
    /// The run goes on without it.
    Skip,
}

/// How a run behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it may do to what others own and to what cannot be changed.
    pub policy: Policy,
    /// The longest time that one stage may take to become ready; the profile's if `None`.
    pub deadline: Option<Duration>,
    /// The longest time that the whole run may take; unlimited if `None`.
    pub run_deadline: Option<Duration>,
    /// What becomes of the run if it fails.
    pub on_failure: OnFailure,
    /// What an edge that does not answer means.
    pub unreachable: Unreachable,
    /// How many edges may be away at the same time: being deployed, or failed. All if `None`.
    pub max_unavailable: Option<usize>,
    /// After how many edges the run ends, for somebody to look; never if `None`.
    pub pause_after: Option<usize>,
    /// Who runs this, for locks and history: user and host.
    pub who: String,
    /// The values files and overlays that were given, for the record.
    pub files: Vec<String>,
    /// The number of the run that this one goes on with, if it does.
    pub goes_on_with: Option<u32>,
    /// What another telectl needs in order to go on with this run, if it is one that can be.
    pub intent: Option<Value>,
    /// The ids of the preflight's checks whose errors are let through.
    pub skip_preflight: BTreeSet<&'static str>,
    /// What the history says about the run, such as `rollback to 3`.
    pub note: Option<String>,
}

/// One run. Stages that are only looked at (`observed`) give addresses and passwords; stages that
/// are `applied` are planned and written.
pub struct Run<'a> {
    pub(super) clusters: &'a BTreeMap<String, Cluster>,
    pub(super) render: &'a Renderer<'a>,
    pub(super) options: Options,
    pub(super) stages: Vec<(Stage, Part)>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) knowledge: Knowledge,
    /// Whether that includes what the clusters hold.
    pub(super) has_looked: bool,
    /// The nodes of each cluster, by context; none where they may not be read.
    nodes: BTreeMap<String, Vec<Value>>,
    /// What the look beforehand found.
    pub(super) findings: Vec<Finding>,
    /// The number of this run in the history of its clusters.
    pub(super) generation: u32,
    /// Whether a plan has told that the private authority will be made.
    pub(super) authority_planned: bool,
    /// What the plan said is deleted: nothing else ever is.
    pub(super) to_delete: BTreeSet<(Stage, ObjectRef)>,
    /// The objects that the plan found not ready, and why.
    unready: Vec<(Stage, ObjectRef, String)>,
    /// What the servers said to changes.
    pub(super) answers: Answers,
    /// What the places of the stages were like when they were looked at.
    pub(super) places: BTreeMap<Stage, Place>,
    pub(super) stop: CancellationToken,
    pub(super) events: &'a dyn Fn(Event),
}

/// What a stage is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is only looked at.
    Observed,
    /// It is planned and written.
    Applied,
}

/// A stage whose cluster does not answer, so that the run goes on without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which.
    pub stage: Stage,
    /// Why.
    pub why: String,
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
    /// Where servers are that no stage deploys, and secrets that the user gave.
    pub knowledge: Knowledge,
    /// Is cancelled when the user wants to stop.
    pub stop: CancellationToken,
}

/// The plans of the stages, or why there are none.
type Planned = Result<Vec<StagePlan>, DeployError>;

/// What one look at the clusters showed.
#[derive(Default)]
struct Look {
    identities: BTreeMap<String, String>,
    snapshots: BTreeMap<(String, String), Snapshot>,
}

impl<'a> Run<'a> {
    /// A run. Nothing is sent yet.
    pub fn new(inputs: Inputs<'a>, events: &'a dyn Fn(Event)) -> Self {
        let Inputs {
            clusters,
            render,
            options,
            stages,
            knowledge,
            stop,
        } = inputs;
        Self {
            clusters,
            render,
            options,
            stages,
            skipped: Vec::new(),
            knowledge,
            has_looked: false,
            nodes: BTreeMap::new(),
            findings: Vec::new(),
            generation: 1,
            authority_planned: false,
            to_delete: BTreeSet::new(),
            unready: Vec::new(),
            answers: Answers::default(),
            places: BTreeMap::new(),
            stop,
            events,
        }
    }

    /// Looks at all clusters at once, refuses those that do not fit their roles, and plans every
    /// stage. Where anything is to be written, or a cluster cannot be asked, every cluster is looked
    /// at for what would stand in the way ([`Self::findings`]). Writes nothing.
    ///
    /// # Errors
    /// When a cluster cannot be asked ([`DeployError::Preflight`] if more stands in the way), or a
    /// stage cannot be rendered or planned.
    pub async fn plan(&mut self) -> Result<Vec<StagePlan>, DeployError> {
        let (planned, found) = match self.prepare_stages().await {
            Ok(prepared) => self.plan_and_look(prepared).await,
            Err(error) => (Err(error), None),
        };
        let mut plans = match planned {
            Ok(plans) if plans.iter().any(StagePlan::has_changes) => plans,
            Err(
                error
                @ (DeployError::Cluster(_) | DeployError::Secret(SecretError::Missing { .. })),
            ) => {
                // Whatever else is wrong is told together with it.
                refuse(&self.found(found).await?)?;
                return Err(error);
            }
            planned => return planned,
        };
        let deleted = plans.iter().flat_map(|plan| {
            let unwanted = plan.unwanted.iter().cloned();
            unwanted.map(|object| (plan.stage.clone(), object))
        });
        self.to_delete.extend(deleted);
        self.findings = self.found(found).await?;
        for plan in &mut plans {
            plan.preflight = self.findings_of(&plan.stage);
            plan.warnings.extend(warned(&plan.preflight));
        }
        Ok(plans)
    }

    /// Asks the clusters about what differs; as soon as that is anything, what may stand in the way
    /// is looked for beside it.
    async fn plan_and_look(
        &self,
        prepared: Vec<Prepared>,
    ) -> (Planned, Option<Result<Vec<Finding>, DeployError>>) {
        let planning = prepared
            .into_iter()
            .map(|prepared| self.plan_stage(prepared));
        let planning = Box::pin(try_join_all(planning));
        let looking = Box::pin(async {
            self.answers.wanted().await;
            self.preflight().await
        });
        match select(planning, looking).await {
            Either::Left((plans, looking)) if self.answers.are_wanted() => {
                (plans, Some(looking.await))
            }
            Either::Left((plans, _)) => (plans, None),
            Either::Right((found, planning)) => (planning.await, Some(found)),
        }
    }

    /// What was found in the way, or is now.
    async fn found(
        &self,
        found: Option<Result<Vec<Finding>, DeployError>>,
    ) -> Result<Vec<Finding>, DeployError> {
        match found {
            Some(found) => found,
            None => self.preflight().await,
        }
    }

    /// Looks at all clusters and decides what needs no further answer of theirs.
    async fn prepare_stages(&mut self) -> Result<Vec<Prepared>, DeployError> {
        let Look {
            identities,
            mut snapshots,
        } = self.look().await?;
        let stages: Vec<Stage> = self.stages.iter().map(|(stage, _)| stage.clone()).collect();
        check_identities(&stages, |context| {
            identities.get(context).cloned().unwrap_or_default()
        })?;
        let mut knowledge = self.knowledge.clone();
        let (mut prepared, mut unready_now, mut latest) = (Vec::new(), Vec::new(), 0);
        let mut rendered = Vec::new();
        for (stage, part) in self.stages.clone() {
            let place = (stage.context.clone(), stage.namespace.clone());
            let live = snapshots.remove(&place).unwrap_or_default();
            latest = latest.max(history::latest(&live, stage.profile));
            self.places
                .insert(stage.clone(), Place::seen(&stage, &live));
            let nodes = self.nodes(&stage);
            let observed = Observed::new(&stage, live, nodes, &knowledge, self.render)?;
            knowledge.learn(&stage, &observed);
            rendered.push((stage.clone(), part, observed.set.clone()));
            if part == Part::Applied {
                self.require_provider(&stage, &observed)?;
                let found = unready(&observed).into_iter();
                unready_now.extend(found.map(|(object, why)| (stage.clone(), object, why)));
                prepared.push(self.prepare(&stage, observed, &mut knowledge)?);
            }
        }
        knowledge.vault.rotation.refuse_unserved(&rendered)?;
        self.generation = history::number_of(self.options.goes_on_with, latest);
        self.unready = unready_now;
        self.knowledge = knowledge;
        self.has_looked = true;
        Ok(prepared)
    }

    /// What the look beforehand found; with errors, nothing is to be written.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The stages that the plan leaves out because their clusters do not answer.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The objects of applied stages that the plan found not ready, and why.
    pub fn not_ready(&self) -> &[(Stage, ObjectRef, String)] {
        &self.unready
    }

    /// Reads everything that a plan needs, from all clusters at once.
    async fn look(&mut self) -> Result<Look, DeployError> {
        let contexts: BTreeSet<&String> = self
            .stages
            .iter()
            .map(|(stage, _)| &stage.context)
            .collect();
        let this = &*self;
        let asked = contexts
            .into_iter()
            .map(|context| async move { (context.clone(), this.look_at(context).await) });
        let answers = join_all(asked).await;
        let mut look = Look::default();
        for (context, answer) in answers {
            match answer {
                Ok((identity, nodes, snapshots)) => {
                    look.identities.insert(context.clone(), identity);
                    self.nodes.insert(context.clone(), nodes);
                    let placed = snapshots.into_iter();
                    look.snapshots
                        .extend(placed.map(|(at, live)| ((context.clone(), at), live)));
                }
                Err(error) => self.leave_out(&context, error)?,
            }
        }
        Ok(look)
    }

    /// One cluster: its identity, its nodes, and what its namespaces hold.
    async fn look_at(
        &self,
        context: &str,
    ) -> Result<(String, Vec<Value>, Vec<(String, Snapshot)>), ClusterError> {
        let cluster = &self.clusters[context];
        let namespaces: BTreeSet<&String> = self
            .stages
            .iter()
            .filter(|(stage, _)| stage.context == context)
            .map(|(stage, _)| &stage.namespace)
            .collect();
        let snapshots = namespaces.into_iter().map(|namespace| async move {
            let snapshot = Snapshot::take(cluster, namespace).await?;
            Ok::<_, ClusterError>((namespace.clone(), snapshot))
        });
        let (identity, (nodes, snapshots)) = try_join(
            cluster.identity(),
            try_join(nodes_of(cluster), try_join_all(snapshots)),
        )
        .await?;
        Ok((identity, nodes, snapshots))
    }

    /// Goes on without a cluster that does not answer, where that is asked for and only edges are
    /// missing then.
    fn leave_out(&mut self, context: &str, error: ClusterError) -> Result<(), DeployError> {
        let is_silent = matches!(
            error,
            ClusterError::Unreachable { .. } | ClusterError::TimedOut { .. }
        );
        let is_there = |stage: &Stage| stage.context == context;
        let may_miss = self
            .stages
            .iter()
            .filter(|(stage, _)| is_there(stage))
            .all(|(stage, _)| stage.profile == Profile::Edge);
        if !(is_silent && may_miss && self.options.unreachable == Unreachable::Skip) {
            return Err(error.into());
        }
        let why = error.to_string();
        let (missed, left) = std::mem::take(&mut self.stages)
            .into_iter()
            .partition(|(stage, _)| is_there(stage));
        self.stages = left;
        let missed: Vec<(Stage, Part)> = missed;
        self.skipped
            .extend(missed.into_iter().map(|(stage, _)| Skipped {
                stage,
                why: why.clone(),
            }));
        Ok(())
    }

    /// An address that is not known yet must come from a stage that this run deploys.
    fn require_provider(&self, stage: &Stage, observed: &Observed) -> Result<(), DeployError> {
        let provided = self
            .stages
            .iter()
            .any(|(stage, part)| stage.profile == Profile::Shared && *part == Part::Applied);
        if provided {
            Ok(())
        } else {
            require_addresses(stage, &observed.set)
        }
    }

    /// The nodes of a stage's cluster; none where they may not be read.
    pub(super) fn nodes(&self, stage: &Stage) -> &[Value] {
        let nodes = self.nodes.get(&stage.context);
        nodes.map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn cluster(&self, stage: &Stage) -> &'a Cluster {
        // Every stage's context was connected before the run was made.
        &self.clusters[&stage.context]
    }

    pub(super) fn say(&self, event: Event) {
        (self.events)(event);
    }
}

/// The nodes of a cluster; none where the user may not read them.
async fn nodes_of(cluster: &Cluster) -> Result<Vec<Value>, ClusterError> {
    let nodes = ("", "v1", "Node", "nodes");
    match cluster.list_other(nodes, "", "").await {
        Err(ClusterError::Refused { .. }) => Ok(Vec::new()),
        listed => listed,
    }
}

/// Refuses a stage that needs an address which nobody knows.
pub(super) fn require_addresses(stage: &Stage, set: &RenderedSet) -> Result<(), DeployError> {
    match unknown_address(set) {
        None => Ok(()),
        Some(server) => Err(DeployError::NoAddress {
            stage: stage.to_string(),
            server: server.to_string(),
        }),
    }
}
