//! How a plan looks.

use serde::Serialize;

use super::{difference, policy, refusals, roles};
use crate::cluster::diff::FieldChange;
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
    recreate: usize,
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
        recreate: sum(Action::Recreate),
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
        recreate,
    } = counts(plans);
    let also = |count: usize, word: &str| match count {
        0 => String::new(),
        count => format!(", {count} {word}"),
    };
    let refused = also(refuse, "refused");
    let recreated = also(recreate, "to recreate");
    lines.push(format!(
        "Plan: {create} to create, {update} to update{recreated}, {delete} to delete, {conflict} \
         in conflict{refused}, {keep} unchanged."
    ));
    lines.join("\n")
}

/// What is asked before a plan is applied.
pub(super) fn question(plans: &[StagePlan], clusters: &str) -> String {
    let mut means = String::new();
    let deleted = counts(plans).delete;
    if deleted > 0 {
        means.push_str(&format!(", deleting {}", counted(deleted, "object")));
    }
    let adopted = policy::adopted(plans);
    if adopted > 0 {
        means.push_str(&format!(", adopting {}", counted(adopted, "object")));
    }
    let recreated = policy::recreated(plans);
    if !recreated.is_empty() {
        let recreated = recreated.join(", ");
        means.push_str(&format!(", deleting and making anew {recreated}"));
    }
    format!("Apply this to {clusters}{means}?")
}

/// What was done to objects: `3 objects written`, `1 object written, 2 deleted`.
pub(super) fn touched(written: usize, deleted: usize) -> String {
    let objects = counted(written, "object");
    match deleted {
        0 => format!("{objects} written"),
        deleted => format!("{objects} written, {deleted} deleted"),
    }
}

/// `1 request`, `3 requests`.
pub(super) fn requests(count: usize) -> String {
    counted(count, "request")
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
            "  Addresses that are not known yet are filled in once the cluster has given them."
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
        Action::Refuse => refused(plan, &name, lines),
        Action::Delete => lines.push(format!("  - {name}")),
        Action::Recreate => {
            lines.push(format!("  -/+ {name} is deleted and made anew"));
            let means = plan.recreation.iter().map(|anew| anew.means.to_owned());
            let below = means.chain(refusals::fields(plan)).chain(adopted(plan));
            lines.extend(below.map(|line| format!("      {line}")));
        }
        Action::Update => changed(plan, &format!("  ~ {name}"), lines),
        Action::Conflict => changed(plan, &format!("  ! {name}"), lines),
    }
}

fn refused(plan: &ObjectPlan, name: &str, lines: &mut Vec<String>) {
    if let (true, Some(owner)) = (plan.is_anothers(), &plan.owner) {
        lines.push(format!("  x {name} belongs to {owner}"));
        return;
    }
    lines.push(if plan.is_rejected() {
        format!("  x {name} is refused by a policy of the cluster")
    } else {
        format!("  x {name} cannot be changed in place")
    });
    let fields = refusals::fields(plan);
    lines.extend(fields.iter().map(|line| format!("      {line}")));
}

/// From whom an object is adopted.
fn adopted(plan: &ObjectPlan) -> Option<String> {
    let owner = plan.owner.as_ref()?;
    Some(format!("adopted from {owner}"))
}

fn changed(plan: &ObjectPlan, title: &str, lines: &mut Vec<String>) {
    lines.push(title.to_owned());
    let mut below: Vec<String> = adopted(plan).into_iter().collect();
    below.extend(fields(&plan.changes));
    if let Some(takeover) = &plan.takeover {
        let from = takeover.from.join(", ");
        below.push(if takeover.dropped.is_empty() {
            format!("taken over from {from}; nothing is dropped")
        } else {
            format!("taken over from {from}; nothing asks for these any more:")
        });
        let dropped = fields(&takeover.dropped);
        below.extend(dropped.into_iter().map(|line| format!("  {line}")));
    }
    let taken = plan.taken.iter();
    below.extend(taken.map(|conflict| format!("{}: taken over", clash(conflict))));
    below.extend(plan.conflicts.iter().map(clash));
    lines.extend(below.into_iter().map(|line| format!("      {line}")));
}

/// Changed fields, not more than are read.
fn fields(changes: &[FieldChange]) -> Vec<String> {
    let shown = changes.iter().take(FIELDS_SHOWN).flat_map(|change| {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        difference::lines(&change.field, before, after)
    });
    let mut lines: Vec<String> = shown.collect();
    if changes.len() > FIELDS_SHOWN {
        let more = changes.len() - FIELDS_SHOWN;
        lines.push(format!("and {more} more fields (all with -o json)"));
    }
    lines
}

/// One field of somebody else: the field, both values, whose it is and since when.
pub(super) fn clash(conflict: &FieldConflict) -> String {
    let FieldConflict {
        change,
        manager,
        since,
    } = conflict;
    let since = since.as_ref().map(|at| format!(" at {at}"));
    let since = since.unwrap_or_default();
    let (before, after) = difference::sides(change.before.as_ref(), change.after.as_ref());
    let field = &change.field;
    format!("{field}: is {before} (set by `{manager}`{since}), telectl has {after}")
}

fn secret_line(plan: &SecretChange, lines: &mut Vec<String>) {
    let sign = match plan.action {
        Action::Keep | Action::Refuse | Action::Recreate => return,
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
    use crate::cluster::apply::Cascade;
    use crate::deploy::belongings::Kept;
    use crate::deploy::claim::Claim;
    use crate::deploy::layout::Stage;
    use crate::deploy::plan::Renewal;
    use crate::deploy::recreate::Recreation;
    use crate::deploy::takeover::Takeover;
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

    fn changed(field: &str, before: &str, after: Option<&str>) -> FieldChange {
        FieldChange {
            field: field.to_owned(),
            before: Some(before.into()),
            after: after.map(Into::into),
        }
    }

    /// An object that is left to helm, one that is made anew, and one that becomes ours.
    fn possessing() -> StagePlan {
        let object = |kind, name: &str| ObjectRef::new(kind, "ns", name);
        let helm = Claim::Helm {
            release: "old".to_owned(),
            namespace: "ns".to_owned(),
        };
        let refused = ObjectPlan {
            owner: Some(helm.clone()),
            ..ObjectPlan::new(object(ObjectKind::Service, "collector"), Action::Refuse)
        };
        let anew = ObjectPlan {
            changes: vec![changed(".spec.serviceName", "a", Some("b"))],
            recreation: Some(Recreation {
                cascade: Cascade::Orphan,
                means: "its pods run on",
                uid: String::new(),
            }),
            ..ObjectPlan::new(object(ObjectKind::StatefulSet, "etcd"), Action::Recreate)
        };
        let adopted = ObjectPlan {
            changes: vec![changed(".spec.paused", "1", Some("2"))],
            owner: Some(helm),
            takeover: Some(Takeover {
                from: vec!["helm".to_owned()],
                dropped: vec![changed(".metadata.labels.chart", "old-1", None)],
                patch: serde_json::Value::Null,
            }),
            taken: vec![FieldConflict {
                change: changed(".spec.strategy", "x", Some("y")),
                manager: "kubectl-edit".to_owned(),
                since: Some("2026-01-01T00:00:00Z".to_owned()),
            }],
            ..ObjectPlan::new(object(ObjectKind::Deployment, "collector"), Action::Update)
        };
        StagePlan {
            objects: vec![refused, anew, adopted],
            unwanted: Vec::new(),
            kept: Vec::new(),
            ..pruning()
        }
    }

    #[test]
    fn d07_whose_an_object_is_and_what_becomes_of_it_is_part_of_the_plan() {
        insta::assert_snapshot!(text(&[possessing()]), @r#"
        central → cluster west (https://192.0.2.1), namespace ns
          x Service/collector belongs to helm release old (namespace ns)
          -/+ StatefulSet/etcd is deleted and made anew
              its pods run on
              .spec.serviceName: "a" → "b"
          ~ Deployment/collector
              adopted from helm release old (namespace ns)
              .spec.paused: "1" → "2"
              taken over from helm; nothing asks for these any more:
                .metadata.labels.chart: "old-1" → (none)
              .spec.strategy: is "x" (set by `kubectl-edit` at 2026-01-01T00:00:00Z), telectl has "y": taken over

        Plan: 0 to create, 1 to update, 1 to recreate, 0 to delete, 0 in conflict, 1 refused, 1 unchanged.
        "#);
        let shown: serde_json::Value = serde_json::from_str(&json(&[possessing()])).unwrap();
        assert_eq!(shown["counts"]["recreate"], 1);
        let objects = &shown["stages"][0]["objects"];
        assert_eq!(objects[0]["release"], "old");
        assert_eq!(objects[1]["recreation"]["cascade"], "orphan");
        assert_eq!(objects[2]["taken_over"]["from"][0], "helm");
        assert_eq!(objects[2]["taken"][0]["manager"], "kubectl-edit");
    }

    #[test]
    fn the_question_names_what_is_deleted_and_made_anew() {
        let asked = question(&[possessing()], "west");
        assert_eq!(
            asked,
            "Apply this to west, adopting 1 object, deleting and making anew StatefulSet/etcd?"
        );
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
