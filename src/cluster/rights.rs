//! What telectl asks of API servers, as one table: `telectl rbac` prints Roles from it, and a run
//! asks beforehand whether it may do what stands here. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::readiness::is_awaited;
use crate::model::object::ObjectKind;

/// Commands that need the same rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// `plan`, `deploy` and `deploy-all`.
    Deploy,
    /// `validate`.
    Validate,
    /// `status`.
    Status,
    /// `uninstall`.
    Uninstall,
    /// `backup` and `restore`.
    Backup,
}

impl Activity {
    /// Every activity.
    pub const ALL: [Self; 5] = [
        Self::Deploy,
        Self::Validate,
        Self::Status,
        Self::Uninstall,
        Self::Backup,
    ];

    /// The activity as it is named in help and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Validate => "validate",
            Self::Status => "status",
            Self::Uninstall => "uninstall",
            Self::Backup => "backup",
        }
    }
}

/// Where a right has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the namespace of a profile.
    Namespace,
    /// In `kube-system`: its UID is the identity of the cluster, and its name service is looked at
    /// when names do not resolve.
    KubeSystem,
    /// Everywhere: kinds without a namespace, and what is counted over all of them.
    Cluster,
}

/// What follows if a right is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// The command fails.
    Needed,
    /// Less is looked at, and the command says so.
    Helpful,
}

/// A right to a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// Where.
    pub place: Place,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural name, with its subresource as in `pods/log`.
    pub resource: &'static str,
    /// The verbs, as RBAC names them.
    pub verbs: BTreeSet<&'static str>,
    /// The only object that is meant, if it is one.
    pub name: Option<&'static str>,
    /// What follows if it is missing.
    pub weight: Weight,
}

/// A row of the table: group, resource, verbs.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// Of objects that are rendered: looked at, dry-run, applied, pruned.
const RENDERED: &[&str] = &["create", "delete", "get", "list", "patch"];
/// Of objects that are waited for, too.
const AWAITED: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];
/// Of a lock.
const LOCK: Row = (
    "coordination.k8s.io",
    "leases",
    &["create", "delete", "get", "update"],
);

/// What `deploy` asks for besides the kinds that are rendered.
const DEPLOY: &[Row] = &[
    ("", "secrets", &["create", "delete", "get", "list", "patch"]),
    LOCK,
    ("", "namespaces", &["get"]),
    ("", "pods", &["delete", "list", "watch"]),
    ("", "pods/log", &["get"]),
    ("", "pods/proxy", &["get"]),
    ("", "persistentvolumeclaims", &["list", "watch"]),
    ("", "events", &["list", "watch"]),
    ("apps", "replicasets", &["list", "watch"]),
];

/// What `validate` and `status` look at.
const LOOK: &[Row] = &[
    // The records of what was deployed.
    ("", "configmaps", &["get"]),
    ("", "services", &["list"]),
    ("", "events", &["list"]),
    ("", "pods", &["list", "watch"]),
    ("", "pods/log", &["get"]),
    ("", "pods/proxy", &["get"]),
    ("apps", "deployments", &["list"]),
    ("apps", "statefulsets", &["list"]),
    ("autoscaling", "horizontalpodautoscalers", &["list"]),
    ("discovery.k8s.io", "endpointslices", &["list"]),
    ("networking.k8s.io", "networkpolicies", &["list"]),
    // The probes.
    ("batch", "jobs", &["create", "delete", "list"]),
];

/// What `uninstall` asks for besides the kinds that are rendered.
const UNINSTALL: &[Row] = &[
    ("", "secrets", &["delete", "get"]),
    LOCK,
    ("", "namespaces", &["get"]),
    ("", "pods", &["list", "watch"]),
    ("", "pods/proxy", &["get"]),
    ("", "persistentvolumeclaims", &["delete", "list"]),
];

/// What `backup` and `restore` ask for. A program is started with a GET that becomes a WebSocket; newer
/// API servers hold that against the right to create, too.
const BACKUP: &[Row] = &[
    ("", "pods", &["list"]),
    ("", "pods/exec", &["create", "get"]),
];

/// What makes a namespace.
pub const MAKE_NAMESPACE: &[&str] = &["create", "patch"];

/// The kinds that are rendered, and so listed, applied and pruned.
pub fn rendered_kinds() -> impl Iterator<Item = ObjectKind> {
    ObjectKind::ALL.into_iter().filter(|kind| {
        !matches!(
            kind,
            ObjectKind::Namespace | ObjectKind::Secret | ObjectKind::Lease
        )
    })
}

/// What applying and pruning objects of a kind needs.
const fn verbs_of(kind: ObjectKind) -> &'static [&'static str] {
    if is_awaited(kind) { AWAITED } else { RENDERED }
}

fn right(place: Place, (group, resource, verbs): Row, weight: Weight) -> Right {
    Right {
        place,
        group,
        resource,
        verbs: verbs.iter().copied().collect(),
        name: None,
        weight,
    }
}

/// The right to everything that is done with objects of a kind that is rendered.
pub fn right_to(kind: ObjectKind) -> Right {
    let (group, _, plural) = kind.resource();
    let row = (group, plural, verbs_of(kind));
    right(Place::Namespace, row, Weight::Needed)
}

/// Everything that an activity asks for, in a namespace that exists.
pub fn rights(activity: Activity) -> Vec<Right> {
    let needed = |rows: &[Row]| -> Vec<Right> {
        let rows = rows.iter();
        rows.map(|row| right(Place::Namespace, *row, Weight::Needed))
            .collect()
    };
    match activity {
        Activity::Deploy => {
            let mut all = needed(DEPLOY);
            all.extend(rendered_kinds().map(right_to));
            all.push(identity());
            all.extend(surroundings());
            all
        }
        Activity::Validate => {
            let mut all = needed(LOOK);
            let in_namespace = ("", "secrets", &["get"][..]);
            all.push(right(Place::Namespace, in_namespace, Weight::Helpful));
            all.extend(name_service());
            all
        }
        Activity::Status => needed(LOOK),
        Activity::Backup => needed(BACKUP),
        Activity::Uninstall => {
            let mut all = needed(UNINSTALL);
            all.extend(rendered_kinds().map(|kind| {
                let (group, _, plural) = kind.resource();
                let verbs: &[&str] = match kind {
                    // The record of what is kept.
                    ObjectKind::ConfigMap => &["delete", "get", "list", "patch"],
                    _ => &["delete", "get", "list"],
                };
                right(Place::Namespace, (group, plural, verbs), Weight::Needed)
            }));
            all
        }
    }
}

/// What a run asks for where it only looks for addresses and passwords: it lists what a namespace
/// holds, as everywhere.
pub fn looking_on() -> Vec<Right> {
    let listed = |kind: ObjectKind| {
        let (group, _, plural) = kind.resource();
        right(Place::Namespace, (group, plural, &["list"]), Weight::Needed)
    };
    let others: [Row; 2] = [
        ("", "namespaces", &["get"]),
        ("", "persistentvolumeclaims", &["list"]),
    ];
    rendered_kinds()
        .chain([ObjectKind::Secret])
        .map(listed)
        .chain(others.map(|row| right(Place::Namespace, row, Weight::Needed)))
        .chain([identity()])
        .collect()
}

/// What tells clusters apart.
fn identity() -> Right {
    let row = ("", "namespaces", &["get"][..]);
    Right {
        name: Some("kube-system"),
        ..right(Place::KubeSystem, row, Weight::Needed)
    }
}

/// What a run looks at before it plans, to tell early what would be waited for in vain.
fn surroundings() -> [Right; 5] {
    let anywhere = |group, resource| {
        let row = (group, resource, &["list"][..]);
        right(Place::Cluster, row, Weight::Helpful)
    };
    let limits = ("", "limitranges", &["list"][..]);
    [
        anywhere("", "nodes"),
        anywhere("storage.k8s.io", "storageclasses"),
        anywhere("", "pods"),
        anywhere("", "services"),
        right(Place::Namespace, limits, Weight::Helpful),
    ]
}

/// What explains that names do not resolve.
fn name_service() -> [Right; 3] {
    let there = |group, resource| {
        let row = (group, resource, &["list"][..]);
        right(Place::KubeSystem, row, Weight::Helpful)
    };
    [
        there("apps", "deployments"),
        there("", "services"),
        there("discovery.k8s.io", "endpointslices"),
    ]
}

/// One question: whether one verb is allowed on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural name, with its subresource as in `pods/log`.
    pub resource: &'static str,
    /// The verb.
    pub verb: &'static str,
    /// The namespace; empty for every one.
    pub namespace: String,
    /// The object; empty for every one.
    pub name: String,
}

impl Question {
    /// The resource and its subresource.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.resource.split_once('/').unwrap_or((self.resource, ""))
    }
}

impl Right {
    /// One question for each verb, in a namespace.
    pub fn questions(&self, namespace: &str) -> Vec<Question> {
        let namespace = match self.place {
            Place::Namespace => namespace,
            Place::KubeSystem => "kube-system",
            Place::Cluster => "",
        };
        // A namespace is in itself.
        let name = match (self.name, self.resource) {
            (Some(name), _) => name,
            (None, "namespaces") => namespace,
            (None, _) => "",
        };
        let question = |verb: &&'static str| Question {
            group: self.group,
            resource: self.resource,
            verb,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.verbs.iter().map(question).collect()
    }
}

/// The rules that hold for somebody in a namespace, as a SelfSubjectRulesReview gives them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Value>,
    /// Whether these are all.
    pub complete: bool,
}

impl Rules {
    /// From the review's answer.
    pub fn from_review(review: &Value) -> Self {
        let status = &review["status"];
        Self {
            rules: status["resourceRules"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
            complete: status["incomplete"] == false,
        }
    }

    /// Whether a rule allows it.
    pub fn allow(&self, question: &Question) -> bool {
        self.rules.iter().any(|rule| allows(rule, question))
    }
}

fn allows(rule: &Value, question: &Question) -> bool {
    let has = |field: &str, wanted: &[&str]| {
        let mut listed = rule[field].as_array().into_iter().flatten();
        listed.any(|one| {
            one.as_str()
                .is_some_and(|one| one == "*" || wanted.contains(&one))
        })
    };
    let (_, subresource) = question.parts();
    let any_of_subresource = format!("*/{subresource}");
    let resources: &[&str] = if subresource.is_empty() {
        &[question.resource]
    } else {
        &[question.resource, &any_of_subresource]
    };
    let names = rule["resourceNames"].as_array();
    let is_named = names.is_none_or(|names| {
        names.is_empty() || names.iter().any(|name| *name == question.name.as_str())
    });
    has("verbs", &[question.verb])
        && has("apiGroups", &[question.group])
        && has("resources", resources)
        && is_named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(group: &'static str, resource: &'static str, verb: &'static str) -> Question {
        Question {
            group,
            resource,
            verb,
            namespace: "ns".to_owned(),
            name: "one".to_owned(),
        }
    }

    fn rules(rules: Value) -> Rules {
        let review = json!({"status": {"resourceRules": rules, "incomplete": false}});
        Rules::from_review(&review)
    }

    #[test]
    fn d13_a_rule_allows_what_it_names_and_nothing_else() {
        let rules = rules(json!([
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
            {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["deployments"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"],
             "resourceNames": ["one"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"],
             "resourceNames": ["another"]},
        ]));
        assert!(rules.complete);
        assert!(rules.allow(&ask("", "pods", "list")));
        assert!(rules.allow(&ask("", "pods/log", "get")));
        assert!(!rules.allow(&ask("", "pods/proxy", "get")));
        assert!(!rules.allow(&ask("", "pods", "delete")));
        assert!(rules.allow(&ask("apps", "deployments", "patch")));
        assert!(!rules.allow(&ask("batch", "deployments", "patch")));
        assert!(rules.allow(&ask("", "secrets", "get")));
        assert!(!rules.allow(&ask("", "configmaps", "get")));
    }

    #[test]
    fn stars_allow_everything_and_a_subresource_is_not_its_resource() {
        let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
        assert!(rules(all).allow(&ask("apps", "statefulsets", "watch")));
        let logs = rules(json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}]));
        assert!(logs.allow(&ask("", "pods/log", "get")));
        assert!(!logs.allow(&ask("", "pods", "get")));
        assert!(!Rules::from_review(&json!({})).complete, "nothing is known");
    }

    #[test]
    fn deploying_asks_for_what_it_does_with_each_kind() {
        let rights = rights(Activity::Deploy);
        let of = |resource: &str, place: Place| {
            let found = rights
                .iter()
                .find(|right| right.resource == resource && right.place == place);
            let verbs: Vec<&str> = found.unwrap().verbs.iter().copied().collect();
            verbs.join(",")
        };
        let here = Place::Namespace;
        assert_eq!(
            of("statefulsets", here),
            "create,delete,get,list,patch,watch"
        );
        assert_eq!(of("configmaps", here), "create,delete,get,list,patch");
        assert_eq!(of("secrets", here), "create,delete,get,list,patch");
        assert_eq!(of("leases", here), "create,delete,get,update");
        assert_eq!(of("nodes", Place::Cluster), "list");
    }

    #[test]
    fn a_namespace_is_asked_for_by_its_name() {
        let rights = rights(Activity::Deploy);
        let asked: Vec<Question> = rights
            .iter()
            .flat_map(|right| right.questions("ns"))
            .filter(|question| question.resource == "namespaces")
            .collect();
        let names: Vec<(&str, &str)> = asked
            .iter()
            .map(|one| (one.namespace.as_str(), one.name.as_str()))
            .collect();
        assert_eq!(names, [("ns", "ns"), ("kube-system", "kube-system")]);
    }
}
