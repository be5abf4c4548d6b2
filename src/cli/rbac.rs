//! `telectl rbac`: the Roles that an operator's account needs, from the table of what telectl asks.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::cluster::rights::{Activity, Place, Right, Weight, rights};
use crate::model::component::Component;
use crate::model::exit::ExitCode;
use crate::model::labels;
use crate::model::profile::Profile;

use super::error::CliError;
use super::session::Session;
use super::targets::Targets;
use super::values;

/// The name of everything that is printed.
const NAME: &str = "telectl-operator";

/// Who needs the rights
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Purpose {
    /// `plan`, `deploy` and `deploy-all`
    Deploy,
    /// `validate`
    Validate,
    /// `status`
    Status,
    /// `uninstall`
    Uninstall,
    /// `backup` and `restore`, which run programs in pods: whoever may do that can read the database
    Backup,
    /// All commands of an operator but `backup` and `restore`
    Operator,
    /// The workers' pods: they never call the API server
    Worker,
}

impl Purpose {
    fn activities(self) -> Vec<Activity> {
        match self {
            Self::Deploy => vec![Activity::Deploy],
            Self::Validate => vec![Activity::Validate],
            Self::Status => vec![Activity::Status],
            Self::Uninstall => vec![Activity::Uninstall],
            Self::Backup => vec![Activity::Backup],
            Self::Operator => {
                let all = Activity::ALL.into_iter();
                all.filter(|one| *one != Activity::Backup).collect()
            }
            Self::Worker => Vec::new(),
        }
    }
}

/// Arguments of `telectl rbac`
#[derive(Debug, Args)]
#[command(
    after_help = "An administrator applies it: telectl rbac edge | kubectl --context CONTEXT apply \
                  -f -. It names the namespaces, too, so that the account needs no right to make \
                  them."
)]
pub(super) struct RbacArgs {
    /// The profiles of the cluster, which say the namespaces; all of a deployment over several
    /// clusters if none is given
    #[arg(value_name = "PROFILE", value_parser = values::profile())]
    profiles: Vec<Profile>,
    /// Which commands the account runs; may be given several times
    #[arg(long = "for", value_name = "PURPOSE", default_value = "operator")]
    purposes: Vec<Purpose>,
    /// An existing user that gets the rights, instead of the service account telectl-operator
    #[arg(long, value_name = "NAME", conflicts_with = "group")]
    user: Option<String>,
    /// An existing group that gets the rights
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Leave out what only makes the look beforehand see more: nodes, storage classes, other
    /// namespaces' pods and Services
    #[arg(long)]
    needed_only: bool,
}

pub(super) fn run(
    args: &RbacArgs,
    targets: &Targets,
    session: &Session,
) -> Result<ExitCode, CliError> {
    let namespaces = namespaces(&args.profiles, targets);
    let activities: BTreeSet<Activity> = args
        .purposes
        .iter()
        .flat_map(|purpose| purpose.activities())
        .collect();
    let mut objects = Vec::new();
    if !activities.is_empty() {
        let weight = if args.needed_only {
            Weight::Needed
        } else {
            Weight::Helpful
        };
        objects.extend(operator(
            &activities,
            &namespaces,
            &subject(args, &namespaces),
            weight,
        ));
    }
    if args.purposes.contains(&Purpose::Worker) {
        objects.extend(workers(&args.profiles, &namespaces));
    }
    let mut text = String::new();
    for object in &objects {
        let document = serde_yaml::to_string(object)
            .map_err(|error| CliError::failed("cannot write YAML").because(error))?;
        text.push_str("---\n");
        text.push_str(&document);
    }
    session.ui.data(&text)?;
    Ok(ExitCode::Ok)
}

/// The namespaces of profiles, in order.
fn namespaces(profiles: &[Profile], targets: &Targets) -> Vec<String> {
    let all = [Profile::Central, Profile::Edge, Profile::Shared];
    let profiles = if profiles.is_empty() { &all } else { profiles };
    let names: BTreeSet<String> = profiles
        .iter()
        .map(|profile| match (profile, &targets.namespace) {
            (Profile::Shared, _) | (_, None) => profile.default_namespace().to_owned(),
            (_, Some(namespace)) => namespace.clone(),
        })
        .collect();
    names.into_iter().collect()
}

/// Who gets the rights. The service account is in the workers' namespace if there is one.
fn subject(args: &RbacArgs, namespaces: &[String]) -> Value {
    let api_group = "rbac.authorization.k8s.io";
    let is_shared = |name: &&String| name.as_str() == Profile::Shared.default_namespace();
    let of_workers = namespaces.iter().find(|name| !is_shared(name));
    let home = of_workers.or(namespaces.first());
    match (&args.user, &args.group) {
        (Some(user), _) => json!({"kind": "User", "name": user, "apiGroup": api_group}),
        (None, Some(group)) => json!({"kind": "Group", "name": group, "apiGroup": api_group}),
        (None, None) => json!({
            "kind": "ServiceAccount",
            "name": NAME,
            "namespace": home,
        }),
    }
}

/// The namespaces, the account if it is telectl's, and Roles with their bindings.
fn operator(
    activities: &BTreeSet<Activity>,
    namespaces: &[String],
    subject: &Value,
    weight: Weight,
) -> Vec<Value> {
    let all: Vec<Right> = activities
        .iter()
        .flat_map(|activity| rights(*activity))
        .filter(|right| right.weight <= weight)
        .collect();
    let in_place = |place: Place, name: Option<&str>| rules(&all, place, name);
    let mut objects: Vec<Value> = namespaces
        .iter()
        .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        .collect();
    if subject["kind"] == "ServiceAccount" {
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(NAME, subject["namespace"].as_str()),
            "automountServiceAccountToken": false,
        }));
    }
    for namespace in namespaces {
        let rules = in_place(Place::Namespace, Some(namespace));
        objects.extend(bound("Role", Some(namespace), rules, subject));
    }
    let of_system = in_place(Place::KubeSystem, None);
    objects.extend(bound("Role", Some("kube-system"), of_system, subject));
    let anywhere = in_place(Place::Cluster, None);
    objects.extend(bound("ClusterRole", None, anywhere, subject));
    objects
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata["labels"] = json!({(labels::PART_OF): labels::PIPELINE});
    metadata
}

/// A role and its binding; nothing without rules.
fn bound(kind: &str, namespace: Option<&str>, rules: Vec<Value>, subject: &Value) -> Vec<Value> {
    if rules.is_empty() {
        return Vec::new();
    }
    let api_version = "rbac.authorization.k8s.io/v1";
    vec![
        json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": metadata(NAME, namespace),
            "rules": rules,
        }),
        json!({
            "apiVersion": api_version,
            "kind": format!("{kind}Binding"),
            "metadata": metadata(NAME, namespace),
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": kind,
                "name": NAME,
            },
            "subjects": [subject],
        }),
    ]
}

/// What a rule is about: API group, the only object that is meant, and the verbs.
type Subject<'a> = (&'a str, Option<&'a str>, Vec<&'a str>);

/// The rules of one place: resources with the same verbs together, verbs sorted. `namespace` is the
/// only object that rights to namespaces are about.
fn rules(all: &[Right], place: Place, namespace: Option<&str>) -> Vec<Value> {
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), BTreeSet<&str>> = BTreeMap::new();
    for right in all.iter().filter(|right| right.place == place) {
        let name = match right.resource {
            "namespaces" => right.name.or(namespace),
            _ => right.name,
        };
        let key = (right.group, right.resource, name);
        verbs.entry(key).or_default().extend(&right.verbs);
    }
    let mut grouped: BTreeMap<Subject<'_>, Vec<&str>> = BTreeMap::new();
    for ((group, resource, name), verbs) in verbs {
        let verbs: Vec<&str> = verbs.into_iter().collect();
        let resources = grouped.entry((group, name, verbs)).or_default();
        resources.push(resource);
    }
    grouped
        .into_iter()
        .map(|((group, name, verbs), resources)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources});
            if let Some(name) = name {
                rule["resourceNames"] = json!([name]);
            }
            rule["verbs"] = json!(verbs);
            rule
        })
        .collect()
}

/// The workers' accounts: no Role, and no token in their pods.
fn workers(profiles: &[Profile], namespaces: &[String]) -> Vec<Value> {
    let runs = |component: Component| {
        let of = |profile: &Profile| match profile {
            Profile::Dev | Profile::SameCluster => true,
            Profile::Edge => component == Component::Streamer,
            Profile::Central => component != Component::Streamer,
            Profile::Shared => false,
        };
        profiles.is_empty() || profiles.iter().any(of)
    };
    let shared = Profile::Shared.default_namespace();
    let of_workers = namespaces
        .iter()
        .filter(|namespace| namespace.as_str() != shared);
    let account = |namespace: &String, component: Component| {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(component.name(), Some(namespace)),
            "automountServiceAccountToken": false,
        })
    };
    of_workers
        .flat_map(|namespace| {
            let components = Component::WORKERS.into_iter().filter(|one| runs(*one));
            components.map(|component| account(namespace, component))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(activities: &[Activity], weight: Weight) -> Vec<Value> {
        let namespaces = [
            "shared-infrastructure".to_owned(),
            "telemetry-system".to_owned(),
        ];
        let subject = json!({"kind": "ServiceAccount", "name": NAME, "namespace": "x"});
        let activities = activities.iter().copied().collect();
        operator(&activities, &namespaces, &subject, weight)
    }

    #[test]
    fn n12_status_needs_little() {
        let objects = printed(&[Activity::Status], Weight::Needed);
        let kinds: Vec<&str> = objects
            .iter()
            .filter_map(|object| object["kind"].as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "Namespace",
                "Namespace",
                "ServiceAccount",
                "Role",
                "RoleBinding",
                "Role",
                "RoleBinding"
            ]
        );
        let rules = objects[3]["rules"].as_array().unwrap();
        let lines: Vec<String> = rules
            .iter()
            .map(|rule| {
                format!(
                    "{} {} {}",
                    rule["apiGroups"], rule["resources"], rule["verbs"]
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        [""] ["configmaps","pods/log","pods/proxy"] ["get"]
        [""] ["events","services"] ["list"]
        [""] ["pods"] ["list","watch"]
        ["apps"] ["deployments","statefulsets"] ["list"]
        ["autoscaling"] ["horizontalpodautoscalers"] ["list"]
        ["batch"] ["jobs"] ["create","delete","list"]
        ["discovery.k8s.io"] ["endpointslices"] ["list"]
        ["networking.k8s.io"] ["networkpolicies"] ["list"]
        "#);
    }

    #[test]
    fn n12_nobody_gets_a_star_or_secrets_without_a_namespace() {
        for object in printed(&Activity::ALL, Weight::Helpful) {
            let text = object.to_string();
            assert!(!text.contains("\"*\""), "{text}");
            if object["kind"] == "ClusterRole" {
                assert!(!text.contains("secrets"), "{text}");
                assert!(!text.contains("create"), "{text}");
            }
        }
    }

    #[test]
    fn n12_what_only_helps_can_be_left_out() {
        let has_cluster_role = |weight| {
            let objects = printed(&Activity::ALL, weight);
            objects.iter().any(|object| object["kind"] == "ClusterRole")
        };
        assert!(has_cluster_role(Weight::Helpful));
        assert!(!has_cluster_role(Weight::Needed));
    }

    #[test]
    fn n12_workers_have_accounts_without_roles_and_tokens() {
        let namespaces = namespaces(&[Profile::Edge], &Targets::default());
        let accounts = workers(&[Profile::Edge], &namespaces);
        assert_eq!(accounts.len(), 1);
        assert_eq!(accounts[0]["metadata"]["name"], "streamer");
        assert_eq!(accounts[0]["automountServiceAccountToken"], false);
    }
}
