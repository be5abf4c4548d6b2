//! What to do about objects that cannot be changed in place. Pure.

use crate::deploy::DeployError;
use crate::deploy::layout::Stage;
use crate::deploy::plan::ObjectPlan;
use crate::model::exit::ExitCode;
use crate::model::object::ObjectKind;
use crate::model::shell::quoted;

use super::super::error::CliError;
use super::difference;

/// The error, with the fields, what keeps them, and how to take the new ones.
pub(super) fn explained(error: &DeployError, objects: &[(Stage, ObjectPlan)]) -> CliError {
    let mut made = CliError::from_error(ExitCode::Error, error);
    for (stage, plan) in objects {
        for line in fields(plan) {
            let named = format!("{}/{}", plan.object.kind, plan.object.name);
            made = made.detail(format!("cluster {}: {named} {line}", stage.context));
        }
    }
    made = made.hint(keep(objects));
    let replaceable = objects.iter().filter(|(_, plan)| !plan.changes.is_empty());
    let commands: Vec<String> = replaceable
        .map(|(stage, plan)| format!("\n  {}", delete(stage, plan)))
        .collect();
    if commands.is_empty() {
        return made;
    }
    made.hint(format!(
        "or delete the object, so that the next deploy makes it anew; its pods run on meanwhile, \
         and volumes stay as they are, with their old size and class:{}",
        commands.concat()
    ))
}

/// The fixed fields that differ; what the server says where none was found.
pub(super) fn fields(plan: &ObjectPlan) -> Vec<String> {
    if plan.changes.is_empty() {
        let message = plan
            .refusal
            .as_ref()
            .map(|refusal| refusal.message.as_str());
        return vec![format!("the server says: {}", message.unwrap_or_default())];
    }
    let changes = plan.changes.iter();
    let lines = |change: &crate::cluster::diff::FieldChange| {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        difference::lines(&change.field, before, after)
    };
    changes.flat_map(lines).collect()
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

fn delete(stage: &Stage, plan: &ObjectPlan) -> String {
    let object = &plan.object;
    let kind = object.kind.name().to_lowercase();
    let note = if object.kind == ObjectKind::Service {
        "   # its address may change"
    } else {
        ""
    };
    format!(
        "kubectl --context {} -n {} delete {kind}/{} --cascade=orphan{note}",
        quoted(&stage.context),
        quoted(&object.namespace),
        quoted(&object.name)
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
        ObjectPlan {
            object: ObjectRef::new(ObjectKind::StatefulSet, "shared-infrastructure", "etcd"),
            action: Action::Refuse,
            refusal: Some(Refusal {
                message: "updates are forbidden".to_owned(),
                keep: changes
                    .iter()
                    .map(|_| "etcd.persistence.size=256Mi".to_owned())
                    .collect(),
                deployed_with,
            }),
            changes,
            conflicts: Vec::new(),
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
        or delete the object, so that the next deploy makes it anew; its pods run on meanwhile, and volumes stay as they are, with their old size and class:
          kubectl --context west -n shared-infrastructure delete statefulset/etcd --cascade=orphan
        "#);
    }

    #[test]
    fn without_a_fixed_field_the_server_speaks_and_nothing_is_to_be_deleted() {
        let (_, text) = text(&etcd(Vec::new(), None));
        assert!(
            text.contains("the server says: updates are forbidden"),
            "{text}"
        );
        assert!(!text.contains("delete"), "{text}");
    }
}
