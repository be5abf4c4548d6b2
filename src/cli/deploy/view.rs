//! How a plan looks.

use serde::Serialize;

use super::{difference, refusals, roles};
use crate::deploy::plan::{Action, FieldConflict, ObjectPlan, SecretChange, StagePlan};

/// Version of the JSON form; fields are only ever added.
const SCHEMA: u32 = 1;
/// How many changed fields of one object are shown unless all are asked for.
const FIELDS_SHOWN: usize = 12;

#[derive(Debug, Serialize)]
struct PlanView<'a> {
    schema: u32,
    changes: bool,
    counts: Counts,
    stages: Vec<StageView<'a>>,
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Counts {
    create: usize,
    update: usize,
    conflict: usize,
    keep: usize,
    delete: usize,
    refuse: usize,
}

#[derive(Debug, Serialize)]
struct StageView<'a> {
    profile: &'a str,
    cluster: &'a str,
    namespace: &'a str,
    #[serde(flatten)]
    plan: &'a StagePlan,
}

/// The plan as JSON.
pub(super) fn json(plans: &[StagePlan]) -> String {
    let view = PlanView {
        schema: SCHEMA,
        changes: plans.iter().any(StagePlan::has_changes),
        counts: counts(plans),
        stages: plans
            .iter()
            .map(|plan| StageView {
                profile: plan.stage.profile.name(),
                cluster: &plan.stage.context,
                namespace: &plan.stage.namespace,
                plan,
            })
            .collect(),
    };
    serde_json::to_string_pretty(&view).unwrap_or_default()
}

fn counts(plans: &[StagePlan]) -> Counts {
    let sum = |action| plans.iter().map(|plan| plan.count(action)).sum();
    Counts {
        create: sum(Action::Create),
        update: sum(Action::Update),
        conflict: sum(Action::Conflict),
        keep: sum(Action::Keep),
        delete: sum(Action::Delete),
        refuse: sum(Action::Refuse),
    }
}

/// The plan as text, grouped by cluster, with a line that counts.
pub(super) fn text(plans: &[StagePlan]) -> String {
    let changed = roles::changed(plans);
    let mut lines: Vec<String> = changed
        .iter()
        .map(|line| format!("warning: {line}"))
        .collect();
    for plan in plans {
        stage(plan, &mut lines);
    }
    let Counts {
        create,
        update,
        conflict,
        keep,
        delete,
        refuse,
    } = counts(plans);
    let refused = if refuse > 0 {
        format!(", {refuse} refused")
    } else {
        String::new()
    };
    lines.push(format!(
        "Plan: {create} to create, {update} to update, {delete} to delete, {conflict} in \
         conflict{refused}, {keep} unchanged."
    ));
    lines.join("\n")
}

/// What is asked before a plan is applied.
pub(super) fn question(plans: &[StagePlan], clusters: &str) -> String {
    match counts(plans).delete {
        0 => format!("Apply this to {clusters}?"),
        deleted => format!(
            "Apply this to {clusters}, deleting {}?",
            counted(deleted, "object")
        ),
    }
}

/// What was done to objects: `3 objects written`, `1 object written, 2 deleted`.
pub(super) fn touched(written: usize, deleted: usize) -> String {
    let objects = counted(written, "object");
    match deleted {
        0 => format!("{objects} written"),
        deleted => format!("{objects} written, {deleted} deleted"),
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn stage(plan: &StagePlan, lines: &mut Vec<String>) {
    let named = format!(
        "{} → cluster {} ({}), namespace {}",
        plan.stage.profile, plan.stage.context, plan.server, plan.stage.namespace
    );
    let warnings = roles::earlier(plan)
        .into_iter()
        .chain(plan.warnings.iter().cloned())
        .map(|warning| format!("  warning: {warning}"));
    if !plan.has_changes() {
        lines.push(format!("{named}: no changes"));
        lines.extend(warnings);
        unwanted(plan, lines);
        return;
    }
    lines.push(named);
    lines.extend(warnings);
    if plan.namespace_missing {
        lines.push(format!("  + Namespace/{}", plan.stage.namespace));
    }
    let first = plan
        .objects
        .iter()
        .filter(|object| object.object.kind < KIND_OF_SECRETS);
    first.for_each(|object| object_lines(object, lines));
    plan.secrets
        .iter()
        .for_each(|secret| secret_line(secret, lines));
    let later = plan
        .objects
        .iter()
        .filter(|object| object.object.kind > KIND_OF_SECRETS);
    later.for_each(|object| object_lines(object, lines));
    unwanted(plan, lines);
    if plan.awaits_addresses {
        lines.push(
            "  Addresses of Redis and etcd are filled in once the stages before are deployed."
                .to_owned(),
        );
    }
    lines.push(String::new());
}

/// What nothing asks for any more: what is deleted, and what stays nevertheless.
fn unwanted(plan: &StagePlan, lines: &mut Vec<String>) {
    if plan.unwanted.is_empty() && plan.kept.is_empty() {
        return;
    }
    lines.push("  no longer wanted:".to_owned());
    let deleted = plan.unwanted.iter();
    lines.extend(deleted.map(|object| format!("  - {}/{}", object.kind, object.name)));
    let kept = plan.kept.iter();
    lines.extend(kept.map(|kept| format!("    {} is kept: {}", kept.object, kept.because)));
}

const KIND_OF_SECRETS: crate::model::object::ObjectKind = crate::model::object::ObjectKind::Secret;

fn object_lines(plan: &ObjectPlan, lines: &mut Vec<String>) {
    let name = format!("{}/{}", plan.object.kind, plan.object.name);
    match plan.action {
        Action::Keep => {}
        Action::Create => lines.push(format!("  + {name}")),
        Action::Refuse => {
            lines.push(format!("  x {name} cannot be changed in place"));
            let fields = refusals::fields(plan);
            lines.extend(fields.iter().map(|line| format!("      {line}")));
        }
        Action::Delete => lines.push(format!("  - {name}")),
        Action::Update | Action::Conflict => {
            let sign = if plan.action == Action::Update {
                '~'
            } else {
                '!'
            };
            lines.push(format!("  {sign} {name}"));
            for change in plan.changes.iter().take(FIELDS_SHOWN) {
                let (before, after) = (change.before.as_ref(), change.after.as_ref());
                let changed = difference::lines(&change.field, before, after);
                lines.extend(changed.iter().map(|line| format!("      {line}")));
            }
            if plan.changes.len() > FIELDS_SHOWN {
                let more = plan.changes.len() - FIELDS_SHOWN;
                lines.push(format!("      and {more} more fields (all with -o json)"));
            }
            lines.extend(
                plan.conflicts
                    .iter()
                    .map(|conflict| format!("      {}", clash(conflict))),
            );
        }
    }
}

/// One field of somebody else: the field, both values and whose it is.
pub(super) fn clash(conflict: &FieldConflict) -> String {
    let FieldConflict { change, manager } = conflict;
    let (before, after) = difference::sides(change.before.as_ref(), change.after.as_ref());
    let field = &change.field;
    format!("{field}: is {before} (set by `{manager}`), telectl has {after}")
}

fn secret_line(plan: &SecretChange, lines: &mut Vec<String>) {
    let sign = match plan.action {
        Action::Keep | Action::Refuse => return,
        Action::Create => '+',
        Action::Delete => '-',
        Action::Update | Action::Conflict => '~',
    };
    let keys: Vec<String> = plan
        .keys
        .iter()
        .map(|(key, origin)| format!("{key} {origin}"))
        .collect();
    lines.push(format!(
        "  {sign} Secret/{} ({})",
        plan.object.name,
        keys.join(", ")
    ));
    for renewal in &plan.renewals {
        let (certificate, because) = (&renewal.certificate, &renewal.because);
        lines.push(format!("      {certificate}: {because}; it is signed anew"));
    }
    if !plan.restarts.is_empty() {
        lines.push(format!("      restarts {}", plan.restarts.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::belongings::Kept;
    use crate::deploy::layout::Stage;
    use crate::deploy::plan::Renewal;
    use crate::model::object::{ObjectKind, ObjectRef};
    use crate::model::profile::Profile;

    #[test]
    fn a_renewal_names_the_certificate_the_days_left_and_what_restarts() {
        let change = SecretChange {
            object: ObjectRef::new(ObjectKind::Secret, "shared", "redis-tls"),
            action: Action::Update,
            keys: vec![("tls.crt".to_owned(), "signed".to_owned())],
            renewals: vec![Renewal {
                certificate: "server certificate of redis".to_owned(),
                because: "it has 12 days left".to_owned(),
                days_left: Some(12),
            }],
            restarts: vec!["StatefulSet/redis".to_owned()],
        };
        let mut lines = Vec::new();
        secret_line(&change, &mut lines);
        assert_eq!(
            lines,
            [
                "  ~ Secret/redis-tls (tls.crt signed)",
                "      server certificate of redis: it has 12 days left; it is signed anew",
                "      restarts StatefulSet/redis",
            ]
        );
    }

    fn pruning() -> StagePlan {
        StagePlan {
            stage: Stage {
                profile: Profile::Central,
                context: "west".to_owned(),
                namespace: "ns".to_owned(),
            },
            server: "https://192.0.2.1".to_owned(),
            namespace_missing: false,
            objects: Vec::new(),
            secrets: Vec::new(),
            unwanted: vec![
                ObjectRef::new(ObjectKind::HorizontalPodAutoscaler, "ns", "collector"),
                ObjectRef::new(ObjectKind::Deployment, "ns", "collector"),
            ],
            kept: vec![Kept {
                object: "Secret/api-gateway-auth".to_owned(),
                because: "its data cannot be made again".to_owned(),
                member: None,
            }],
            held: Vec::new(),
            awaits_addresses: false,
            warnings: Vec::new(),
            preflight: Vec::new(),
        }
    }

    #[test]
    fn what_is_no_longer_wanted_has_a_section_and_a_count_of_its_own() {
        insta::assert_snapshot!(text(&[pruning()]), @"
        central → cluster west (https://192.0.2.1), namespace ns
          no longer wanted:
          - HorizontalPodAutoscaler/collector
          - Deployment/collector
            Secret/api-gateway-auth is kept: its data cannot be made again

        Plan: 0 to create, 0 to update, 2 to delete, 0 in conflict, 1 unchanged.
        ");
        let shown: serde_json::Value = serde_json::from_str(&json(&[pruning()])).unwrap();
        assert_eq!(shown["counts"]["delete"], 2);
        assert_eq!(shown["changes"], true);
        let stage = &shown["stages"][0];
        assert_eq!(stage["unwanted"][1]["kind"], "Deployment");
        assert_eq!(stage["kept"][0]["object"], "Secret/api-gateway-auth");
    }

    #[test]
    fn what_is_only_kept_is_said_and_is_no_change() {
        let mut plan = pruning();
        plan.unwanted.clear();
        let said = text(&[plan]);
        assert!(said.contains("namespace ns: no changes"), "{said}");
        assert!(said.contains("api-gateway-auth is kept"), "{said}");
    }

    #[test]
    fn the_question_says_how_many_objects_are_deleted() {
        let mut plan = pruning();
        let asked = |plan: &StagePlan| question(std::slice::from_ref(plan), "west");
        assert_eq!(asked(&plan), "Apply this to west, deleting 2 objects?");
        plan.unwanted.pop();
        assert_eq!(asked(&plan), "Apply this to west, deleting 1 object?");
        plan.unwanted.pop();
        assert_eq!(asked(&plan), "Apply this to west?");
    }

    #[test]
    fn one_object_is_counted_in_the_singular() {
        assert_eq!(touched(1, 0), "1 object written");
        assert_eq!(touched(0, 1), "0 objects written, 1 deleted");
    }
}
