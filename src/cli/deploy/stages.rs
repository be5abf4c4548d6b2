//! From flags to the stages of a run, and what each command requires.

use std::collections::BTreeSet;

use crate::cluster::kubeconfig::Contexts;
use crate::config::{self, FlagValue, Layers};
use crate::deploy::handover::{Handover, Reach};
use crate::deploy::layout::{Infrastructure, Stage, across};
use crate::deploy::run::Part;
use crate::deploy::secrets::Vault;
use crate::model::component::Component;
use crate::model::endpoint::Endpoint;
use crate::model::manifest::SecretContent;
use crate::model::profile::Profile;
use crate::model::secret::Secret;

use super::super::error::CliError;
use super::super::secret_reference;
use super::super::session::Session;
use super::super::targets::Targets;
use super::{SourceArgs, preflight};

/// A run, as far as flags and files tell.
pub(super) struct Job {
    /// The stages, in order.
    pub(super) stages: Vec<(Stage, Part)>,
    /// Where servers are that no stage deploys.
    pub(super) handover: Handover,
    /// Secrets that the user gave, by what they are.
    pub(super) given: Vec<(SecretContent, Secret<String>)>,
    /// What values come from.
    pub(super) layers: Layers,
    /// The contexts.
    pub(super) contexts: Contexts,
    /// The checks of the clusters whose errors are let through.
    pub(super) skip_preflight: BTreeSet<&'static str>,
}

impl Job {
    /// The secrets that the user gave.
    pub(super) fn vault(&self) -> Vault {
        Vault {
            known: self.given.iter().cloned().collect(),
            authority: None,
        }
    }
}

/// The stages of `plan` and `deploy-all`.
pub(super) fn all(
    command: &str,
    source: &SourceArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Job, CliError> {
    let mut missing = Vec::new();
    if targets.edges.is_empty() {
        missing.push("--edge-context (or EDGE_CONTEXT)");
    }
    if targets.central.is_none() {
        missing.push("--central-context (or CENTRAL_CONTEXT)");
    }
    let central = targets.central.clone().unwrap_or_default();
    refuse_missing(command, &missing)?;
    let infrastructure = infrastructure(source, targets, session, &central)?;
    let stages = across(
        &infrastructure,
        &central,
        &targets.edges,
        targets.namespace.as_deref(),
    );
    let stages = stages
        .into_iter()
        .map(|stage| (stage, Part::Applied))
        .collect();
    job(stages, source, targets, session)
}

/// The stages of `deploy PROFILE`: the one is applied, those that it gets addresses and passwords
/// from are only looked at.
pub(super) fn one(
    profile: Profile,
    context: Option<&str>,
    source: &SourceArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Job, CliError> {
    let command = format!("deploy {profile}");
    let from_targets = match profile {
        Profile::Edge => targets.edges.first(),
        Profile::Shared => targets.shared.as_ref().or(targets.central.as_ref()),
        Profile::Dev | Profile::SameCluster | Profile::Central => targets.central.as_ref(),
    };
    let context = context.map(str::to_owned).or_else(|| from_targets.cloned());
    let external = external_redis(source, session).is_some();
    let mut missing = Vec::new();
    if context.is_none() {
        missing.push("--context");
    }
    if profile == Profile::Edge
        && !external
        && targets.central.is_none()
        && targets.shared.is_none()
    {
        missing.push("--central-context, --shared-context or --redis-host (where Redis is)");
    }
    refuse_missing(&command, &missing)?;
    let stages = parts(
        profile,
        context.unwrap_or_default(),
        source,
        targets,
        session,
    )?;
    job(stages, source, targets, session)
}

/// The stage of a profile, and before it those that it gets addresses and passwords from.
fn parts(
    profile: Profile,
    context: String,
    source: &SourceArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Vec<(Stage, Part)>, CliError> {
    let namespace = targets.namespace.as_deref();
    if matches!(
        profile,
        Profile::Dev | Profile::SameCluster | Profile::Shared
    ) {
        let default = profile.default_namespace();
        let namespace = match profile {
            Profile::Shared => default,
            _ => namespace.unwrap_or(default),
        };
        let stage = Stage {
            profile,
            context,
            namespace: namespace.to_owned(),
        };
        return Ok(vec![(stage, Part::Applied)]);
    }
    let central = match profile {
        Profile::Central => context.clone(),
        _ => targets
            .central
            .clone()
            .or_else(|| targets.shared.clone())
            .unwrap_or_default(),
    };
    let infrastructure = infrastructure(source, targets, session, &central)?;
    let edges = if profile == Profile::Edge {
        vec![context]
    } else {
        Vec::new()
    };
    let part = |stage: &Stage| {
        if stage.profile == profile {
            Part::Applied
        } else {
            Part::Observed
        }
    };
    Ok(across(&infrastructure, &central, &edges, namespace)
        .into_iter()
        .filter(|stage| stage.profile == profile || stage.profile == Profile::Shared)
        .map(|stage| {
            let part = part(&stage);
            (stage, part)
        })
        .collect())
}

fn refuse_missing(command: &str, missing: &[&str]) -> Result<(), CliError> {
    if missing.is_empty() {
        return Ok(());
    }
    let list: String = missing.iter().map(|flag| format!("\n  {flag}")).collect();
    Err(
        CliError::usage(format!("{command} needs more to go on:{list}"))
            .hint(format!("telectl {command} --help")),
    )
}

fn external_redis(source: &SourceArgs, session: &Session) -> Option<String> {
    source
        .redis_host
        .clone()
        .or_else(|| session.environment.get("REDIS_HOST").map(str::to_owned))
}

fn infrastructure(
    source: &SourceArgs,
    targets: &Targets,
    session: &Session,
    central: &str,
) -> Result<Infrastructure, CliError> {
    match (external_redis(source, session), &targets.shared) {
        (Some(_), Some(_)) => Err(CliError::usage(
            "--redis-host and --shared-context exclude each other: Redis is either given or deployed",
        )),
        (Some(_), None) if source.etcd_endpoints.is_empty() => Err(CliError::usage(
            "--redis-host needs --etcd-endpoints: where Redis is given, the registry has to be, too",
        )),
        (Some(_), None) => Ok(Infrastructure::External),
        (None, Some(shared)) => Ok(Infrastructure::Deployed(shared.clone())),
        (None, None) => Ok(Infrastructure::Deployed(central.to_owned())),
    }
}

fn job(
    stages: Vec<(Stage, Part)>,
    source: &SourceArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Job, CliError> {
    let skip_preflight = preflight::skipped(&source.skip_preflight)?;
    let mut layers = source.values.layers(session)?;
    let mut handover = Handover::default();
    if let Some(host) = external_redis(source, session) {
        handover.redis = elsewhere(&host, Component::Redis)?;
        let urls: Vec<String> = source.etcd_endpoints.clone();
        if let Some(first) = urls.first() {
            let bare = first
                .trim_start_matches("https://")
                .trim_start_matches("http://");
            handover.etcd = elsewhere(bare, Component::Etcd)?;
        }
        layers.flags.push(FlagValue {
            flag: "--etcd-endpoints".to_owned(),
            key: "etcd.endpoints".to_owned(),
            value: urls.into(),
        });
    }
    let contexts = Contexts::read(&targets.kubeconfig)?;
    for (stage, _) in &stages {
        contexts.require(&stage.context)?;
    }
    let mut secrets = given_by_values(&stages, &layers)?;
    secrets.extend(given(source, session)?);
    Ok(Job {
        stages,
        handover,
        given: secrets,
        layers,
        contexts,
        skip_preflight,
    })
}

fn elsewhere(text: &str, component: Component) -> Result<Reach, CliError> {
    let malformed = || CliError::usage(format!("`{text}` is no HOST or HOST:PORT for {component}"));
    let url = url::Url::parse(&format!("any://{text}")).map_err(|_| malformed())?;
    let host = url.host_str().ok_or_else(malformed)?;
    let endpoint = Endpoint::new(host, url.port().unwrap_or(component.default_port()));
    Ok(Reach {
        context: None,
        internal: None,
        external: Some(endpoint),
    })
}

/// Secrets that values refer to as `${NAME}`.
fn given_by_values(
    stages: &[(Stage, Part)],
    layers: &Layers,
) -> Result<Vec<(SecretContent, Secret<String>)>, CliError> {
    let mut found = Vec::new();
    for (stage, _) in stages {
        let resolved = config::resolve(stage.profile, layers)?;
        found.extend(
            resolved
                .secrets
                .into_iter()
                .map(|given| (given.content, given.value)),
        );
    }
    Ok(found)
}

fn given(
    source: &SourceArgs,
    session: &Session,
) -> Result<Vec<(SecretContent, Secret<String>)>, CliError> {
    let sources = [
        (
            "--redis-password",
            &source.redis_password,
            "REDIS_PASSWORD",
            SecretContent::RedisPassword,
        ),
        (
            "--db-password",
            &source.db_password,
            "DB_PASSWORD",
            SecretContent::DatabasePassword,
        ),
    ];
    let mut found = Vec::new();
    for (flag, reference, variable, content) in sources {
        let reference = reference.clone().or_else(|| {
            session
                .environment
                .get(variable)
                .map(|_| format!("env:{variable}"))
        });
        if let Some(reference) = reference {
            let secret = secret_reference::resolve(flag, &reference, &session.environment)?;
            found.push((content, secret));
        }
    }
    Ok(found)
}
