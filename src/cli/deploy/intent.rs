//! What a deployment over all clusters is made from, in a form that can be kept: in a saved plan,
//! and on the cluster until the run is done. Holds names, values and references, never a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::fleet::FleetRole;
use crate::config::{self, ConfigError, Layers, ValuesFile};
use crate::deploy::rotation::Rotation;

use super::super::error::CliError;
use super::super::session::Session;
use super::super::targets::Targets;
use super::policy::PolicyArgs;
use super::{ApplyArgs, OnFailure, SourceArgs, SpreadArgs};

/// Everything about a deployment that neither the clusters nor the kubeconfig know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// Contexts of the edge clusters.
    pub(super) edges: Vec<String>,
    /// Context of the central cluster.
    pub(super) central: Option<String>,
    /// Context of the shared cluster, if it is one of its own.
    pub(super) shared: Option<String>,
    /// Namespace of the workers, if it is not the profile's.
    pub(super) namespace: Option<String>,
    /// Redis that somebody else runs.
    pub(super) redis_host: Option<String>,
    /// etcd that somebody else runs.
    pub(super) etcd_endpoints: Vec<String>,
    /// The user's own file of values.
    pub(super) user_file: Option<ValuesFile>,
    /// The fleet file's values for all clusters.
    pub(super) fleet: Vec<ValuesFile>,
    /// The fleet file's values for single edges, by context.
    pub(super) of_edges: BTreeMap<String, ValuesFile>,
    /// The fleet file's values for the central cluster.
    pub(super) of_central: Option<ValuesFile>,
    /// The fleet file's values for the shared cluster.
    pub(super) of_shared: Option<ValuesFile>,
    /// Files given with `-f`.
    pub(super) files: Vec<ValuesFile>,
    /// Variables that set values.
    pub(super) variables: BTreeMap<String, String>,
    /// Texts given with `--set`.
    pub(super) sets: Vec<String>,
    /// What is made anew although it would do.
    #[serde(default)]
    pub(super) rotation: Rotation,
    /// How the run behaves.
    pub(super) behaviour: Behaviour,
}

/// How a run behaves, as flags say it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Behaviour {
    /// What it may do to what others own.
    pub(super) policy: PolicyArgs,
    /// The checks of the clusters whose errors are let through.
    #[serde(default)]
    pub(super) skip_preflight: Vec<String>,
    /// Longest time for one stage.
    pub(super) timeout: Option<Duration>,
    /// Longest time for the whole run.
    pub(super) run_timeout: Option<Duration>,
    /// What becomes of a run that fails.
    pub(super) on_failure: OnFailure,
    /// Go on without edges that do not answer.
    pub(super) skip_unreachable: bool,
    /// How many edges may be away at the same time.
    pub(super) max_unavailable: Option<usize>,
    /// After how many edges the run ends.
    pub(super) pause_after: Option<usize>,
}

impl Behaviour {
    /// What the flags say.
    pub(super) fn of(apply: &ApplyArgs, spread: Option<&SpreadArgs>) -> Self {
        Self {
            policy: apply.policy.clone(),
            skip_preflight: apply.skip_preflight.clone(),
            timeout: apply.timeout,
            run_timeout: apply.run_timeout,
            on_failure: apply.on_failure,
            skip_unreachable: spread.is_some_and(|spread| spread.skip_unreachable),
            max_unavailable: spread.and_then(|spread| spread.max_unavailable),
            pause_after: spread.and_then(|spread| spread.pause_after),
        }
    }
}

impl Intent {
    /// What the command line, its files and the environment say.
    pub(super) fn of(
        source: &SourceArgs,
        targets: &Targets,
        session: &Session,
    ) -> Result<Self, CliError> {
        let layers = source.values.layers(targets, session)?;
        let of = |role, context: &str| {
            let fleet = targets.fleet.as_ref();
            let values = fleet.map(|fleet| fleet.of_context(role, context));
            Ok::<_, ConfigError>(values.transpose()?.flatten())
        };
        let mut of_edges = BTreeMap::new();
        for edge in &targets.edges {
            if let Some(values) = of(FleetRole::Edge, edge)? {
                of_edges.insert(edge.clone(), values);
            }
        }
        let central = targets.central.as_deref().unwrap_or_default();
        let shared = targets.shared.as_deref().unwrap_or_default();
        let environment = &session.environment;
        Ok(Self {
            edges: targets.edges.clone(),
            central: targets.central.clone(),
            shared: targets.shared.clone(),
            namespace: targets.namespace.clone(),
            redis_host: source
                .redis_host
                .clone()
                .or_else(|| environment.get("REDIS_HOST").map(str::to_owned)),
            etcd_endpoints: source.etcd_endpoints.clone(),
            user_file: layers.user_file,
            fleet: layers.fleet,
            of_edges,
            of_central: of(FleetRole::Central, central)?,
            of_shared: of(FleetRole::Shared, shared)?,
            files: layers.files,
            variables: config::variables(environment)?,
            sets: layers.sets,
            rotation: Rotation::of(source.rotate.iter().copied(), jiff::Timestamp::now()),
            behaviour: Behaviour::default(),
        })
    }

    /// The layers of values that all stages have. Secrets that values refer to come from the
    /// environment of this process.
    pub(super) fn layers(&self, session: &Session) -> Layers {
        Layers {
            user_file: self.user_file.clone(),
            fleet: self.fleet.clone(),
            files: self.files.clone(),
            environment: session.environment.clone().or(&self.variables),
            sets: self.sets.clone(),
            ..Layers::default()
        }
    }
}
