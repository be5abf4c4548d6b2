use serde_json::json;

use super::super::policy::Take;
use super::*;

fn deployment() -> ObjectRef {
    ObjectRef::new(ObjectKind::Deployment, "ns", "api-gateway")
}

#[test]
fn an_object_that_is_as_rendered_is_kept() {
    let live = json!({"spec": {"replicas": 1}, "status": {"replicas": 1}});
    let plan = object_plan(&deployment(), Some(&live), &DryRun::Accepted(live.clone()));
    assert_eq!(plan.action, Action::Keep);
}

#[test]
fn a_scaled_workload_names_field_both_values_and_manager() {
    let live = json!({"spec": {"replicas": 3}});
    let answer = DryRun::Conflict {
        fields: vec![(".spec.replicas".to_owned(), "kubectl".to_owned())],
        taken: json!({"spec": {"replicas": 1}}),
    };
    let plan = object_plan(&deployment(), Some(&live), &answer);
    assert_eq!(plan.action, Action::Conflict);
    let conflict = &plan.conflicts[0];
    assert_eq!(conflict.manager, "kubectl");
    assert_eq!(conflict.change.field, ".spec.replicas");
    assert_eq!(
        (&conflict.change.before, &conflict.change.after),
        (&Some(json!(3)), &Some(json!(1)))
    );
}

#[test]
fn paths_of_list_items_are_matched_without_their_keys() {
    let conflicts = [(
        ".spec.ports[port=80,protocol=\"TCP\"].targetPort".to_owned(),
        "kubectl-edit".to_owned(),
    )];
    let manager = owner(".spec.ports[name=\"http\"].targetPort", &conflicts);
    assert_eq!(manager.as_deref(), Some("kubectl-edit"));
    assert_eq!(owner(".spec.type", &conflicts), None);
}

/// An object that a person and helm changed.
fn edited() -> Value {
    let entry = |manager: &str, operation: &str, time: &str, fields: Value| {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    };
    let field = |name: &str| json!({"f:spec": {(format!("f:{name}")): {}}});
    json!({
        "metadata": {"managedFields": [
            entry("kubectl-edit", "Update", "2026-01-01T00:00:00Z", field("paused")),
            entry("kubectl-edit", "Update", "2026-02-01T00:00:00Z", field("other")),
            entry("helm", "Apply", "2025-01-01T00:00:00Z", field("replicas")),
            entry("kubectl", "Apply", "2025-01-01T00:00:00Z", field("minReadySeconds")),
            entry("kubectl", "Update", "2025-01-01T00:00:00Z", field("progressDeadlineSeconds")),
        ]},
        "spec": {"paused": true, "replicas": 3},
    })
}

fn conflict(fields: &[(&str, &str)], taken: Value) -> DryRun {
    let named = fields.iter();
    DryRun::Conflict {
        fields: named
            .map(|(field, manager)| ((*field).to_owned(), (*manager).to_owned()))
            .collect(),
        taken,
    }
}

#[test]
fn d07_a_field_of_a_person_says_when_it_was_written() {
    let fields = [
        (".spec.paused", "kubectl-edit"),
        (".spec.replicas", "nobody"),
    ];
    let answer = conflict(&fields, json!({"spec": {"paused": false, "replicas": 1}}));
    let plan = object_plan(&deployment(), Some(&edited()), &answer);
    let since = |index: usize| plan.conflicts[index].since.as_deref();
    assert_eq!(since(0), Some("2026-01-01T00:00:00Z"), "of this very field");
    assert_eq!(since(1), None);
}

fn conflicts_left(fields: &[(&str, &str)], owner: Option<&Claim>) -> Vec<(String, String)> {
    let named = fields.iter();
    let fields = named.map(|(field, manager)| ((*field).to_owned(), (*manager).to_owned()));
    without_earlier(fields.collect(), &edited(), owner)
}

#[test]
fn d07_what_helm_owns_is_no_conflict_and_what_a_person_owns_is_one() {
    let person = (".spec.paused", "kubectl-edit");
    let left = conflicts_left(&[(".spec.replicas", "helm"), person], None);
    assert_eq!(left, [(person.0.to_owned(), person.1.to_owned())]);
    assert_eq!(conflicts_left(&[(".spec.replicas", "helm")], None), []);
}

#[test]
fn of_two_managers_with_one_name_the_one_that_owns_the_field_counts() {
    let stranger = Claim::Stranger {
        managers: Vec::new(),
    };
    let applied = (".spec.minReadySeconds", "kubectl");
    let patched = (".spec.progressDeadlineSeconds", "kubectl");
    let left = conflicts_left(&[applied, patched], Some(&stranger));
    assert_eq!(left, [(patched.0.to_owned(), patched.1.to_owned())]);
    assert_eq!(
        conflicts_left(&[applied, patched], None).len(),
        2,
        "our own"
    );
}

#[test]
fn d07_taking_some_fields_leaves_the_others_in_conflict() {
    let fields = [(".spec.paused", "kubectl-edit"), (".spec.replicas", "k9s")];
    let taken = json!({"spec": {"paused": false, "replicas": 1}});
    let planned = || {
        object_plan(
            &deployment(),
            Some(&edited()),
            &conflict(&fields, taken.clone()),
        )
    };
    let with = |take: &[Take]| {
        let policy = Policy {
            take: take.to_vec(),
            ..Policy::default()
        };
        let plan = allowed(planned(), &policy);
        (plan.action, plan.taken.len(), plan.conflicts.len())
    };
    assert_eq!(with(&[]), (Action::Conflict, 0, 2));
    let (person, field) = (
        Take::Manager("kubectl-edit".to_owned()),
        Take::Field(".spec.replicas".to_owned()),
    );
    assert_eq!(
        with(std::slice::from_ref(&person)),
        (Action::Conflict, 1, 1)
    );
    assert_eq!(with(&[person, field]), (Action::Update, 2, 0));
    assert_eq!(with(&[Take::All]), (Action::Update, 2, 0));
}

#[test]
fn somebody_elses_object_is_refused_with_its_owner() {
    let owner = Claim::Helm {
        release: "old".to_owned(),
        namespace: "ns".to_owned(),
    };
    let plan = somebody_elses(&deployment(), &owner);
    assert!(plan.is_anothers());
    let shown = serde_json::to_value(&plan).unwrap();
    assert_eq!(
        (&shown["owner"], &shown["release"]),
        (&json!("helm"), &json!("old"))
    );
    assert_eq!(shown["action"], "refuse");
}
