//! What was deployed before, over all clusters, and how to go back to it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::inventory;
use crate::cluster::kubeconfig::Contexts;
use crate::cluster::snapshot::Snapshot;
use crate::config::Layers;
use crate::deploy::history::{Generation, generations, set_of};
use crate::deploy::knowledge::Knowledge;
use crate::deploy::layout::{Infrastructure, Stage, across};
use crate::deploy::run::Part;
use crate::model::manifest::RenderedSet;
use crate::model::profile::Profile;
use crate::report::{Cell, Table};

use super::super::error::CliError;
use super::super::targets::Targets;
use super::stages::Job;

/// Version of the JSON form; fields are only ever added.
const SCHEMA: u32 = 1;

/// The history of the stages that a command names.
pub(super) struct Past {
    contexts: Contexts,
    stages: Vec<(Stage, Snapshot)>,
}

/// Reads the history of all clusters that are given; one is enough.
pub(super) async fn read(targets: &Targets) -> Result<Past, CliError> {
    let stages = stages(targets);
    if stages.is_empty() {
        return Err(CliError::usage("no cluster is given").hint(
            "--edge-context, --central-context and --shared-context name contexts of the kubeconfig",
        ));
    }
    let contexts = Contexts::read(&targets.kubeconfig)?;
    let mut clusters = BTreeMap::new();
    for stage in &stages {
        let cluster = Cluster::from_context(&contexts, &stage.context).await?;
        clusters.insert(stage.context.clone(), cluster);
    }
    let looks = stages.into_iter().map(|stage| {
        let cluster = &clusters[&stage.context];
        async move {
            let live = Snapshot::take(cluster, &stage.namespace).await?;
            Ok::<_, CliError>((stage, live))
        }
    });
    let stages = futures::future::try_join_all(looks).await?;
    Ok(Past { contexts, stages })
}

/// The stages of the clusters that are given, as a deployment over all of them has them.
fn stages(targets: &Targets) -> Vec<Stage> {
    let central = targets.central.clone().unwrap_or_default();
    let shared = targets.shared.clone().or_else(|| targets.central.clone());
    let infrastructure = shared.map_or(Infrastructure::External, Infrastructure::Deployed);
    let namespace = targets.namespace.as_deref();
    let mut stages = across(&infrastructure, &central, &targets.edges, namespace);
    if let Some(context) = &targets.central {
        let profile = Profile::SameCluster;
        stages.push(Stage {
            profile,
            context: context.clone(),
            namespace: namespace.unwrap_or(profile.default_namespace()).to_owned(),
        });
    }
    stages.retain(|stage| !stage.context.is_empty());
    stages
}

impl Past {
    fn of(&self, number: u32) -> impl Iterator<Item = (&Stage, Generation)> {
        self.stages.iter().filter_map(move |(stage, live)| {
            let mut known = generations(live, stage.profile).into_iter();
            Some((stage, known.find(|known| known.number == number)?))
        })
    }

    /// The numbers of all runs, oldest first.
    fn numbers(&self) -> Vec<u32> {
        let all = self
            .stages
            .iter()
            .flat_map(|(stage, live)| generations(live, stage.profile));
        let mut numbers: Vec<u32> = all.map(|generation| generation.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The generation that a stage has now.
    fn deployed(stage: &Stage, live: &Snapshot) -> Option<u32> {
        let parent = inventory::parent(&stage.namespace, stage.profile.name());
        inventory::recorded(live.get(&parent)?)?.generation
    }

    /// A run that goes back to a generation: each stage to its newest that is not above it.
    pub(super) fn job(&self, to: Option<u32>) -> Result<Job, CliError> {
        let numbers = self.numbers();
        let to = self.target(to, &numbers)?;
        let mut sets = BTreeMap::new();
        for (stage, live) in &self.stages {
            let found = set_of(live, stage.profile, to);
            let found = found.map_err(|error| {
                CliError::from_error(crate::model::exit::ExitCode::Error, &error)
                    .hint("telectl history lists the others")
            })?;
            if let Some((_, set)) = found {
                sets.insert(stage.clone(), set);
            }
        }
        let stages: Vec<(Stage, Part)> = self
            .stages
            .iter()
            .filter(|(stage, _)| sets.contains_key(stage))
            .map(|(stage, _)| (stage.clone(), Part::Applied))
            .collect();
        Ok(Job {
            stages,
            knowledge: Knowledge::default(),
            layers: Layers::default(),
            of_stages: BTreeMap::new(),
            contexts: self.contexts.clone(),
            intent: None,
            past: Some((to, sets)),
        })
    }

    fn target(&self, to: Option<u32>, numbers: &[u32]) -> Result<u32, CliError> {
        let listed: Vec<String> = numbers.iter().map(u32::to_string).collect();
        let listed = listed.join(", ");
        let deployed = self
            .stages
            .iter()
            .filter_map(|(stage, live)| Self::deployed(stage, live));
        let newest = deployed.max();
        match (to, newest) {
            (Some(to), _) if numbers.contains(&to) => Ok(to),
            (Some(to), _) => Err(CliError::usage(format!(
                "there is no generation {to}; there are: {listed}"
            ))),
            (None, None) => Err(CliError::usage("nothing is deployed in these clusters")),
            (None, Some(newest)) => {
                let before = numbers.iter().rev().find(|number| **number < newest);
                before.copied().ok_or_else(|| {
                    CliError::usage(format!("there is nothing before generation {newest}"))
                })
            }
        }
    }

    /// The history as a table, newest first.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&["GENERATION", "WHEN", "WHO", "VERSION", "VALUES", "STAGES"]);
        for number in self.numbers().into_iter().rev() {
            let of_run: Vec<(&Stage, Generation)> = self.of(number).collect();
            let Some((_, about)) = of_run.first() else {
                continue;
            };
            let stages: Vec<String> = of_run
                .iter()
                .map(|(stage, _)| self.named(stage, number))
                .collect();
            let note = about.note.as_ref();
            let values = note.cloned().unwrap_or_else(|| about.files.join(", "));
            let cells = [
                number.to_string(),
                about.at.clone(),
                about.by.clone(),
                about.version.clone(),
                values,
                stages.join(", "),
            ];
            table.row(cells.map(Cell::from).into());
        }
        table
    }

    /// A stage, with a mark where this generation is what is deployed now.
    fn named(&self, stage: &Stage, number: u32) -> String {
        let live = self.stages.iter().find(|(known, _)| known == stage);
        let now = live.and_then(|(stage, live)| Self::deployed(stage, live));
        let mark = if now == Some(number) { " (now)" } else { "" };
        format!("{stage}{mark}")
    }

    /// The history for programs.
    pub(super) fn json(&self) -> String {
        let stages = self.stages.iter().map(|(stage, live)| {
            json!({
                "profile": stage.profile.name(),
                "cluster": stage.context,
                "namespace": stage.namespace,
                "deployed": Self::deployed(stage, live),
                "generations": generations(live, stage.profile),
            })
        });
        let view = json!({"schema": SCHEMA, "stages": stages.collect::<Vec<_>>()});
        serde_json::to_string_pretty(&view).unwrap_or_default()
    }
}

/// What a run goes back to: the number of the generation, and the objects of each stage.
pub(super) type Target = (u32, BTreeMap<Stage, RenderedSet>);
