//! From flags to the stages of a run, and what each command requires.

use std::collections::BTreeMap;

use crate::cluster::kubeconfig::Contexts;
use crate::config::{self, FlagValue, Layers, ValuesFile};
use crate::deploy::handover::{Handover, Reach};
use crate::deploy::knowledge::Knowledge;
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
use super::intent::Intent;
use super::past::Target;
use super::{SecretArgs, SourceArgs};

/// A run, as far as flags and files tell.
pub(super) struct Job {
    /// The stages, in order.
    pub(super) stages: Vec<(Stage, Part)>,
    /// Where servers are that no stage deploys, and secrets that the user gave.
    pub(super) knowledge: Knowledge,
    /// What values come from.
    pub(super) layers: Layers,
    /// Values of single clusters, by stage.
    pub(super) of_stages: BTreeMap<Stage, ValuesFile>,
    /// The contexts.
    pub(super) contexts: Contexts,
    /// What the run is made from, where it can be gone on with.
    pub(super) intent: Option<Intent>,
    /// What the run goes back to, instead of rendering values.
    pub(super) past: Option<Target>,
}

/// The stages of `plan`, `deploy-all` and `resume`.
pub(super) fn all(
    command: &str,
    intent: &Intent,
    secrets: &SecretArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Job, CliError> {
    let mut missing = Vec::new();
    if intent.edges.is_empty() {
        missing.push("--edge-context (or EDGE_CONTEXT, or a fleet file)");
    }
    if intent.central.is_none() {
        missing.push("--central-context (or CENTRAL_CONTEXT, or a fleet file)");
    }
    let central = intent.central.clone().unwrap_or_default();
    refuse_missing(command, &missing)?;
    let infrastructure = infrastructure(intent, &central)?;
    let namespace = intent.namespace.as_deref();
    let stages = across(&infrastructure, &central, &intent.edges, namespace);
    let stages = stages
        .into_iter()
        .map(|stage| (stage, Part::Applied))
        .collect();
    let mut job = job(stages, intent, secrets, targets, session)?;
    job.intent = Some(intent.clone());
    Ok(job)
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
    let from_environment = session.environment.get("NAMESPACE");
    refuse_namespace(profile, targets.namespace.as_deref(), from_environment)?;
    let from_targets = match profile {
        Profile::Edge => targets.edges.first(),
        Profile::Shared => targets.shared.as_ref().or(targets.central.as_ref()),
        Profile::Dev | Profile::SameCluster | Profile::Central => targets.central.as_ref(),
    };
    let context = context.map(str::to_owned).or_else(|| from_targets.cloned());
    let mut of_context = targets.clone();
    if let (Profile::Edge, Some(context)) = (profile, &context) {
        of_context.edges = vec![context.clone()];
    }
    let intent = Intent::of(source, &of_context, session)?;
    let mut missing = Vec::new();
    if context.is_none() {
        missing.push("--context");
    }
    if profile == Profile::Edge
        && intent.redis_host.is_none()
        && targets.central.is_none()
        && targets.shared.is_none()
    {
        missing.push("--central-context, --shared-context or --redis-host (where Redis is)");
    }
    refuse_missing(&command, &missing)?;
    let stages = parts(profile, context.unwrap_or_default(), &intent)?;
    job(stages, &intent, &source.secrets, targets, session)
}

/// The stage of a profile, and before it those that it gets addresses and passwords from.
fn parts(
    profile: Profile,
    context: String,
    intent: &Intent,
) -> Result<Vec<(Stage, Part)>, CliError> {
    let namespace = intent.namespace.as_deref();
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
        _ => intent
            .central
            .clone()
            .or_else(|| intent.shared.clone())
            .unwrap_or_default(),
    };
    let infrastructure = infrastructure(intent, &central)?;
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

/// The namespace on the command line is that of the workers; what they share has one of its own,
/// where every edge looks for it. Said by the environment it holds for other commands, too.
fn refuse_namespace(
    profile: Profile,
    namespace: Option<&str>,
    from_environment: Option<&str>,
) -> Result<(), CliError> {
    let own = profile.default_namespace();
    match namespace {
        Some(asked) if profile == Profile::Shared && asked != own && namespace != from_environment => {
            Err(CliError::usage(format!(
                "--namespace {asked} is for the workers: the shared profile is always in {own}, where \
                 the workers look for it"
            ))
            .hint("leave --namespace out"))
        }
        _ => Ok(()),
    }
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

fn infrastructure(intent: &Intent, central: &str) -> Result<Infrastructure, CliError> {
    match (&intent.redis_host, &intent.shared) {
        (Some(_), Some(_)) => Err(CliError::usage(
            "--redis-host and --shared-context exclude each other: Redis is either given or deployed",
        )),
        (Some(_), None) if intent.etcd_endpoints.is_empty() => Err(CliError::usage(
            "--redis-host needs --etcd-endpoints: where Redis is given, the registry has to be, too",
        )),
        (Some(_), None) => Ok(Infrastructure::External),
        (None, Some(shared)) => Ok(Infrastructure::Deployed(shared.clone())),
        (None, None) => Ok(Infrastructure::Deployed(central.to_owned())),
    }
}

fn job(
    stages: Vec<(Stage, Part)>,
    intent: &Intent,
    secrets: &SecretArgs,
    targets: &Targets,
    session: &Session,
) -> Result<Job, CliError> {
    let mut layers = intent.layers(session);
    let mut handover = Handover::default();
    if let Some(host) = &intent.redis_host {
        handover.redis = elsewhere(host, Component::Redis)?;
        let urls = &intent.etcd_endpoints;
        if let Some(first) = urls.first() {
            let bare = first
                .trim_start_matches("https://")
                .trim_start_matches("http://");
            handover.etcd = elsewhere(bare, Component::Etcd)?;
        }
        layers.flags.push(FlagValue {
            flag: "--etcd-endpoints".to_owned(),
            key: "etcd.endpoints".to_owned(),
            value: urls.clone().into(),
        });
    }
    let contexts = Contexts::read(&targets.kubeconfig)?;
    for (stage, _) in &stages {
        contexts.require(&stage.context)?;
    }
    let of_stages: BTreeMap<Stage, ValuesFile> = stages
        .iter()
        .filter_map(|(stage, _)| Some((stage.clone(), of_stage(stage, intent)?.clone())))
        .collect();
    let mut known = given_by_values(&stages, &layers, &of_stages)?;
    known.extend(given(secrets, session)?);
    let vault = Vault {
        known: known.into_iter().collect(),
        authority: None,
        rotation: intent.rotation.clone(),
    };
    Ok(Job {
        stages,
        knowledge: Knowledge { handover, vault },
        layers,
        of_stages,
        contexts,
        intent: None,
        past: None,
    })
}

/// What the fleet file says about the cluster of a stage alone.
fn of_stage<'a>(stage: &Stage, intent: &'a Intent) -> Option<&'a ValuesFile> {
    match stage.profile {
        Profile::Edge => intent.of_edges.get(&stage.context),
        Profile::Shared => intent.of_shared.as_ref(),
        Profile::Central | Profile::Dev | Profile::SameCluster => intent.of_central.as_ref(),
    }
}

fn elsewhere(text: &str, component: Component) -> Result<Reach, CliError> {
    // What stands before an @ may be a password.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let malformed =
        || CliError::usage(format!("`{shown}` is no HOST or HOST:PORT for {component}"));
    let url = url::Url::parse(&format!("any://{text}")).map_err(|_| malformed())?;
    let is_more = !matches!(url.path(), "" | "/")
        || !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some();
    if is_more {
        return Err(malformed());
    }
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
    of_stages: &BTreeMap<Stage, ValuesFile>,
) -> Result<Vec<(SecretContent, Secret<String>)>, CliError> {
    let mut found = Vec::new();
    for (stage, _) in stages {
        let mut layers = layers.clone();
        layers.fleet.extend(of_stages.get(stage).cloned());
        let resolved = config::resolve(stage.profile, &layers)?;
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
    secrets: &SecretArgs,
    session: &Session,
) -> Result<Vec<(SecretContent, Secret<String>)>, CliError> {
    let sources = [
        (
            "--redis-password",
            &secrets.redis_password,
            "REDIS_PASSWORD",
            SecretContent::RedisPassword,
        ),
        (
            "--db-password",
            &secrets.db_password,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_profile_is_not_put_into_the_namespace_of_the_workers() {
        let refused = |profile, asked, environment| {
            refuse_namespace(profile, asked, environment).map_err(|error| error.text())
        };
        let error = refused(Profile::Shared, Some("team-a"), None).unwrap_err();
        assert!(error.contains("--namespace team-a"), "{error}");
        assert!(error.contains("shared-infrastructure"), "{error}");
        let own = Some("shared-infrastructure");
        for (profile, asked, environment) in [
            (Profile::Shared, own, None),
            (Profile::Shared, None, None),
            (Profile::Shared, Some("team-a"), Some("team-a")),
            (Profile::Central, Some("team-a"), None),
        ] {
            assert_eq!(refused(profile, asked, environment), Ok(()), "{profile}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port_and_nothing_else() {
        let of = |text: &str| elsewhere(text, Component::Redis).map(|reach| reach.external);
        let endpoint = |host: &str, port| Some(Endpoint::new(host, port));
        assert_eq!(
            of("redis.example").unwrap(),
            endpoint("redis.example", 6379)
        );
        assert_eq!(of("10.0.0.5:6380").unwrap(), endpoint("10.0.0.5", 6380));
        let urls = [
            "redis://10.0.0.5:6379",
            "user:password@10.0.0.5",
            "10.0.0.5/1",
            "10.0.0.5?tls",
        ];
        for text in urls {
            let error = of(text).unwrap_err().text();
            assert!(error.contains("HOST:PORT"), "{text}: {error}");
            assert!(!error.contains("password"), "{error}");
        }
    }
}
