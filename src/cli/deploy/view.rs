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
        refuse,
    } = counts(plans);
    let refused = if refuse > 0 {
        format!(", {refuse} refused")
    } else {
        String::new()
    };
    lines.push(format!(
        "Plan: {create} to create, {update} to update, {conflict} in conflict{refused}, {keep} \
         unchanged."
    ));
    lines.join("\n")
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
    if plan.awaits_addresses {
        lines.push(
            "  Addresses of Redis and etcd are filled in once the stages before are deployed."
                .to_owned(),
        );
    }
    lines.push(String::new());
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
    use crate::deploy::plan::Renewal;
    use crate::model::object::{ObjectKind, ObjectRef};

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
}
