//! What to do about objects that cannot be changed in place. Pure.

use crate::deploy::DeployError;
use crate::deploy::layout::Stage;
use crate::deploy::plan::ObjectPlan;
use crate::model::exit::ExitCode;
use crate::model::object::ObjectKind;

use super::super::error::CliError;
use super::difference;

/// The error, with the fields, what keeps them, and how to take the new ones.
pub(super) fn explained(error: &DeployError, objects: &[(Stage, ObjectPlan)]) -> CliError {
    let made = with_fields(error, objects).hint(keep(objects));
    let replaceable = objects.iter().filter(|(_, plan)| may_be_recreated(plan));
    let mut flags: Vec<String> = replaceable
        .map(|(_, plan)| format!("--recreate {}/{}", plan.object.kind, plan.object.name))
        .collect();
    flags.dedup();
    if flags.is_empty() {
        return made;
    }
    made.hint(format!(
        "or {}: the object is deleted and made anew; volumes stay as they are, with their old size \
         and class, and the plan says what becomes of pods and addresses",
        flags.join(" ")
    ))
}

/// The error about objects that a cluster's policies are against, with their words.
pub(super) fn rejected(error: &DeployError, objects: &[(Stage, ObjectPlan)]) -> CliError {
    with_fields(error, objects).hint(
        "the cluster's own webhooks and admission policies decide this, not telectl: ask who set them",
    )
}

/// The error with what is to be said about each object.
fn with_fields(error: &DeployError, objects: &[(Stage, ObjectPlan)]) -> CliError {
    let mut made = CliError::from_error(ExitCode::Error, error);
    for (stage, plan) in objects {
        for line in fields(plan) {
            let named = format!("{}/{}", plan.object.kind, plan.object.name);
            made = made.detail(format!("cluster {}: {named} {line}", stage.context));
        }
    }
    made
}

/// Whether it may help to make an object anew: not where the server finds something else wrong, and
/// never for a volume.
fn may_be_recreated(plan: &ObjectPlan) -> bool {
    let refusal = plan.refusal.as_ref();
    !plan.changes.is_empty()
        && plan.object.kind != ObjectKind::PersistentVolumeClaim
        && refusal.is_none_or(|refusal| refusal.not_recreated.is_none())
}

/// The fixed fields that differ; what the server says where none was found.
pub(super) fn fields(plan: &ObjectPlan) -> Vec<String> {
    if plan.changes.is_empty() {
        let message = plan
            .refusal
            .as_ref()
            .map(|refusal| refusal.message.as_str());
        // What follows the first line is the server's own idea of a difference.
        let first = message.unwrap_or_default().lines().next();
        return vec![format!("the server says: {}", first.unwrap_or_default())];
    }
    let not_recreated = plan.refusal.as_ref().and_then(|refusal| {
        let why = refusal.not_recreated.as_ref()?;
        Some(format!("it is not made anew: {why}"))
    });
    let changes = plan.changes.iter();
    let lines = |change: &crate::cluster::diff::FieldChange| {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        difference::lines(&change.field, before, after)
    };
    changes.flat_map(lines).chain(not_recreated).collect()
}

/// How the objects stay as they are.
fn keep(objects: &[(Stage, ObjectPlan)]) -> String {
    let refusals = || objects.iter().filter_map(|(_, plan)| plan.refusal.as_ref());
    let mut given: Vec<String> = Vec::new();
    for files in refusals().filter_map(|refusal| refusal.deployed_with.as_ref()) {
        let text: Vec<String> = files.iter().map(|file| format!("-f {file}")).collect();
        let text = if text.is_empty() {
            "no -f".to_owned()
        } else {
            text.join(" ")
        };
        if !given.contains(&text) {
            given.push(text);
        }
    }
    let given = if given.is_empty() {
        String::new()
    } else {
        format!(" (it had {})", given.join("; "))
    };
    let mut settings: Vec<&str> = refusals()
        .flat_map(|refusal| refusal.keep.iter().map(String::as_str))
        .collect();
    settings.sort_unstable();
    settings.dedup();
    let settings = if settings.is_empty() {
        String::new()
    } else {
        format!(", or --set {}", settings.join(","))
    };
    format!(
        "give the same -f and --set as the last deployment{given}{settings}: then the objects stay \
         as they are"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::diff::FieldChange;
    use crate::deploy::plan::Action;
    use crate::deploy::refusal::{Refusal, refuse};
    use crate::model::object::ObjectRef;
    use crate::model::profile::Profile;

    fn etcd(changes: Vec<FieldChange>, deployed_with: Option<Vec<String>>) -> ObjectPlan {
        let object = ObjectRef::new(ObjectKind::StatefulSet, "shared-infrastructure", "etcd");
        ObjectPlan {
            refusal: Some(Refusal {
                message: "updates are forbidden".to_owned(),
                by_admission: false,
                keep: changes
                    .iter()
                    .map(|_| "etcd.persistence.size=256Mi".to_owned())
                    .collect(),
                deployed_with,
                not_recreated: None,
            }),
            changes,
            ..ObjectPlan::new(object, Action::Refuse)
        }
    }

    fn text(plan: &ObjectPlan) -> (ExitCode, String) {
        let stage = Stage {
            profile: Profile::Shared,
            context: "west".to_owned(),
            namespace: "shared-infrastructure".to_owned(),
        };
        let error = refuse([(&stage, plan)]).unwrap_err();
        let DeployError::CannotChange { objects } = &error else {
            panic!("{error}");
        };
        let made = explained(&error, objects);
        (made.exit_code(), made.text())
    }

    #[test]
    fn a_refused_size_names_both_values_what_keeps_it_and_how_to_take_it() {
        let change = FieldChange {
            field: ".spec.volumeClaimTemplates[0].spec.resources.requests.storage".to_owned(),
            before: Some(json!("256Mi")),
            after: Some(json!("8Gi")),
        };
        let (code, text) = text(&etcd(vec![change], Some(vec!["lab".to_owned()])));
        assert_eq!(code, ExitCode::Error);
        insta::assert_snapshot!(text, @r#"
        cluster west: StatefulSet/shared-infrastructure/etcd cannot be changed in place
          cluster west: StatefulSet/etcd .spec.volumeClaimTemplates[0].spec.resources.requests.storage: "256Mi" → "8Gi"
        give the same -f and --set as the last deployment (it had -f lab), or --set etcd.persistence.size=256Mi: then the objects stay as they are
        or --recreate StatefulSet/etcd: the object is deleted and made anew; volumes stay as they are, with their old size and class, and the plan says what becomes of pods and addresses
        "#);
    }

    #[test]
    fn without_a_fixed_field_the_server_speaks_and_nothing_is_to_be_deleted() {
        let (_, text) = text(&etcd(Vec::new(), None));
        assert!(
            text.contains("the server says: updates are forbidden"),
            "{text}"
        );
        assert!(!text.contains("--recreate"), "{text}");
    }

    #[test]
    fn why_an_object_is_not_made_anew_is_said_and_the_flag_not_offered_again() {
        let change = FieldChange {
            field: ".spec.serviceName".to_owned(),
            before: Some(json!("a")),
            after: Some(json!("b")),
        };
        let mut plan = etcd(vec![change], None);
        plan.refusal.as_mut().unwrap().not_recreated = Some("its volumes go".to_owned());
        let (_, text) = text(&plan);
        assert!(text.contains("not made anew: its volumes go"), "{text}");
        assert!(!text.contains("--recreate"), "{text}");
    }
}
