//! Plans a stage from what is known and seen. Writes nothing; asks the cluster only about objects
//! that are not proven to be as they should.

use futures::{StreamExt as _, TryStreamExt as _};

use super::advertised;
use super::advertised::is_awaited;
use super::belongings::{Belongings, find};
use super::error::DeployError;
use super::handover::{certificate_names, unknown_address};
use super::knowledge::Knowledge;
use super::layout::Stage;
use super::object::{Judging, plan_object};
use super::observe::Observed;
use super::plan::{
    Action, AuthorityChange, ObjectPlan, SecretChange, StagePlan, authority_change,
    authority_warning, hosts, identity_warning, later_addresses, name_restarts, record_plan,
    secret_change,
};
use super::refusal::note_record;
use super::releases;
use super::role::{held, others};
use super::run::{Part, Run};
use super::scaling::Scaling;
use super::secrets::{AUTHORITY_SECRET, Circumstances, Making, SecretPlan, plan, random_password};
use crate::cluster::{Cluster, ClusterError};
use crate::model::component::Component;
use crate::model::manifest::Manifest;

/// How many objects are asked about at once; the cluster limits requests further.
const AT_ONCE: usize = 64;

/// A stage of which everything is decided that needs no answer of its cluster.
pub(super) struct Prepared {
    pub(super) stage: Stage,
    observed: Observed,
    secrets: Vec<SecretChange>,
    manifests: Vec<Manifest>,
    belongings: Belongings,
    warnings: Vec<String>,
    awaits_addresses: bool,
}

impl Run<'_> {
    /// Decides what it can about a stage, in the order of the stages: each may tell something to
    /// the next.
    pub(super) fn prepare(
        &mut self,
        stage: &Stage,
        observed: Observed,
        knowledge: &mut Knowledge,
    ) -> Result<Prepared, DeployError> {
        let live = observed.secrets.get(AUTHORITY_SECRET);
        let rotation = &knowledge.vault.rotation;
        rotation.refuse_foreign_authority(&stage.namespace, live)?;
        let planned = plan_secrets(stage, &observed, knowledge, Making::Planned)?;
        let is_made = knowledge.makes_authority(&observed.set) && !self.authority_planned;
        let authority = AuthorityChange {
            is_made,
            is_there: observed.secrets.contains_key(AUTHORITY_SECRET),
            was_deployed: observed.was_deployed(),
            secrets: &planned,
        };
        let applied: Vec<&Stage> = self
            .stages
            .iter()
            .filter(|(_, part)| *part == Part::Applied)
            .map(|(stage, _)| stage)
            .collect();
        let warnings = [
            identity_warning(&observed.set, observed.record()),
            authority_warning(stage, &applied, &authority),
        ];
        let rotation = knowledge.vault.rotation.warnings(stage, &planned);
        self.authority_planned |= is_made;
        let changes = planned
            .iter()
            .map(|plan| secret_change(&stage.namespace, plan));
        Ok(Prepared {
            stage: stage.clone(),
            secrets: authority_change(&stage.namespace, &authority)
                .into_iter()
                .chain(changes)
                .collect(),
            manifests: observed.with_digests(&planned, knowledge),
            belongings: find(&observed),
            warnings: warnings.into_iter().flatten().chain(rotation).collect(),
            awaits_addresses: unknown_address(&observed.set).is_some() || is_awaited(&observed.set),
            observed,
        })
    }

    /// Asks the cluster about what differs, and puts the plan together.
    pub(super) async fn plan_stage(&self, prepared: Prepared) -> Result<StagePlan, DeployError> {
        let Prepared {
            stage,
            observed,
            mut secrets,
            manifests,
            belongings,
            mut warnings,
            awaits_addresses,
        } = prepared;
        let cluster = self.cluster(&stage);
        let scaling = Scaling::of(&observed.set, &belongings);
        let judging = self.judging(&scaling);
        let mut objects = plan_objects(cluster, judging, manifests, &observed).await?;
        warnings.extend(releases::warnings(cluster, &stage, &objects).await?);
        note_record(&mut objects, observed.record());
        name_restarts(&mut secrets, &observed.set.manifests, &objects);
        let members = belongings.members(&observed.set);
        let Belongings { unwanted, kept, .. } = belongings;
        let mut plan = StagePlan {
            server: cluster.server().to_owned(),
            namespace_missing: !observed.live.has_namespace(),
            objects,
            secrets,
            unwanted: unwanted.into_iter().map(|one| one.object).collect(),
            kept,
            awaits_addresses,
            held: held(observed.record(), &others(&observed.live, &stage)),
            warnings,
            preflight: Vec::new(),
            stage,
        };
        let record = record_plan(&plan, &observed.set, observed.record(), &members);
        plan.objects.push(record);
        Ok(plan)
    }
}

/// Decides about every Secret that a stage needs.
pub(super) fn plan_secrets(
    stage: &Stage,
    observed: &Observed,
    knowledge: &mut Knowledge,
    make: Making,
) -> Result<Vec<SecretPlan>, DeployError> {
    let names = |component: Component| {
        let mut names = Vec::new();
        for component in advertised::sharing(&observed.set, component) {
            let (name, _, live) = observed.services.get(&component)?;
            let own = certificate_names(&stage.namespace, name, live.as_ref());
            for name in own
                .into_iter()
                .chain(advertised::hosts(&observed.set, component))
            {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Some(names)
    };
    let circumstances = Circumstances {
        namespace: &stage.namespace,
        names: &names,
        hosts: &|component| hosts(&observed.set, component),
        make,
        password: random_password,
        now: jiff::Timestamp::now(),
    };
    let mut plans = Vec::new();
    for need in &observed.set.secrets {
        let live = observed.secrets.get(&need.name);
        plans.push(plan(need, live, &mut knowledge.vault, &circumstances)?);
    }
    Ok(plans)
}

/// Plans objects, given what their namespace held a moment ago.
pub(super) async fn plan_objects(
    cluster: &Cluster,
    judging: Judging<'_>,
    manifests: Vec<Manifest>,
    observed: &Observed,
) -> Result<Vec<ObjectPlan>, ClusterError> {
    let has_namespace = observed.live.has_namespace();
    futures::stream::iter(manifests)
        .map(|manifest| async move {
            // Whether a kind that is not built in is known there tells only the server.
            if !has_namespace && manifest.object.kind.is_built_in() {
                return Ok(ObjectPlan::new(manifest.object, Action::Create));
            }
            let live = observed.live.get(&manifest.object);
            let plan = plan_object(cluster, judging, manifest, live).await?;
            Ok(later_addresses(plan))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}
