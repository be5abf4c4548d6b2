//! What a run may do to what others own and to what cannot be changed, as flags say it; and what to
//! say where these flags are missing or are about nothing. Pure.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::deploy::DeployError;
use crate::deploy::layout::Stage;
use crate::deploy::plan::{Action, ObjectPlan, StagePlan};
use crate::deploy::policy::{Adoption, Named, Policy, Take};
use crate::model::exit::ExitCode;
use crate::model::object::ObjectKind;
use crate::model::shell::quoted;

use super::super::error::CliError;
use super::view;

/// What may be done to what others own
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub(super) struct PolicyArgs {
    /// Take over fields that somebody else changed: this field and what is below it (.spec.replicas),
    /// those of this manager (kubectl-edit), or all; may be given several times; alone it means all
    #[arg(long, value_name = "FIELD|MANAGER", num_args = 0..=1, default_missing_value = "all")]
    take: Vec<String>,
    /// Adopt objects that exist and are somebody else's, such as those of an earlier helm release
    #[arg(long)]
    adopt: bool,
    /// Delete this object and make it anew if it cannot be changed in place; may be given several
    /// times
    #[arg(long, value_name = "KIND/NAME", value_parser = named)]
    recreate: Vec<Named>,
}

impl PolicyArgs {
    /// What the flags allow.
    pub(super) fn policy(&self) -> Policy {
        Policy {
            take: self.take.iter().map(|text| take(text)).collect(),
            adoption: if self.adopt {
                Adoption::Granted
            } else {
                Adoption::Refused
            },
            recreate: self.recreate.iter().cloned().collect(),
        }
    }
}

fn take(text: &str) -> Take {
    match text {
        "all" => Take::All,
        path if path.starts_with('.') => Take::Field(path.to_owned()),
        name => Take::Manager(name.to_owned()),
    }
}

fn named(text: &str) -> Result<Named, String> {
    let malformed = || format!("`{text}` is no KIND/NAME such as StatefulSet/etcd");
    let (kind, name) = text.split_once('/').ok_or_else(malformed)?;
    let known = ObjectKind::ALL
        .into_iter()
        .find(|known| known.name().eq_ignore_ascii_case(kind));
    let kind = known.ok_or_else(|| {
        let kinds = ObjectKind::ALL.into_iter().filter(|kind| {
            !matches!(
                kind,
                ObjectKind::Namespace | ObjectKind::Secret | ObjectKind::Lease
            )
        });
        let names: Vec<&str> = kinds.map(ObjectKind::name).collect();
        format!(
            "`{kind}` is no kind that telectl makes: {}",
            names.join(", ")
        )
    })?;
    if name.is_empty() {
        return Err(malformed());
    }
    Ok(Named {
        kind,
        name: name.to_owned(),
    })
}

/// Refuses flags that are about nothing in the plan: they are misspelt, or not needed any more.
pub(super) fn refuse_unmatched(policy: &Policy, plans: &[StagePlan]) -> Result<(), CliError> {
    let objects = || plans.iter().flat_map(|plan| &plan.objects);
    let taken = |take: &Take| {
        let mut taken = objects().flat_map(|plan| &plan.taken);
        *take == Take::All || taken.any(|conflict| take.covers(conflict))
    };
    if let Some(take) = policy.take.iter().find(|take| !taken(take)) {
        return Err(unmatched_take(take, plans));
    }
    let is_planned = |named: &Named| objects().any(|plan| named.is(&plan.object));
    if let Some(named) = policy.recreate.iter().find(|named| !is_planned(named)) {
        let error = CliError::usage(format!("--recreate {named}: no stage has such an object"));
        return Err(error.hint("telectl plan names the objects that cannot be changed in place"));
    }
    Ok(())
}

fn unmatched_take(take: &Take, plans: &[StagePlan]) -> CliError {
    let message = format!("--take {take} matches nothing that somebody else changed");
    let error = CliError::usage(message);
    let mut there: Vec<String> = Vec::new();
    for object in plans.iter().flat_map(|plan| &plan.objects) {
        for conflict in object.conflicts.iter().chain(&object.taken) {
            there.push(format!("{} {}", object.object, view::clash(conflict)));
        }
    }
    if there.is_empty() {
        return error.hint("leave it out: nobody else changed what telectl manages");
    }
    there
        .into_iter()
        .fold(error, CliError::cause)
        .hint("a field begins with a dot: --take .spec.replicas; anything else is a manager")
}

/// The error about fields of others, with how to take them over.
pub(super) fn conflicting(error: &DeployError, objects: &[ObjectPlan]) -> CliError {
    let mut made = CliError::from_error(ExitCode::Error, error);
    let mut managers: Vec<&str> = Vec::new();
    for object in objects {
        for conflict in &object.conflicts {
            made = made.cause(format!("{} {}", object.object, view::clash(conflict)));
            managers.push(&conflict.manager);
        }
    }
    managers.sort_unstable();
    managers.dedup();
    let flags: Vec<String> = managers
        .iter()
        .map(|manager| format!("--take {}", quoted(manager)))
        .collect();
    made.hint(format!(
        "{} makes telectl's values win (or --take FIELD, or --take all); or put the wanted value \
         into a values file",
        flags.join(" ")
    ))
}

/// The error about objects of somebody else, with how to adopt them.
pub(super) fn foreign(error: &DeployError, objects: &[(Stage, ObjectPlan)]) -> CliError {
    let mut made = CliError::from_error(ExitCode::Error, error);
    for (stage, plan) in objects {
        let Some(owner) = &plan.owner else { continue };
        made = made.cause(format!(
            "cluster {}: {} belongs to {owner}",
            stage.context, plan.object
        ));
    }
    made.hint(
        "--adopt makes them telectl's; `telectl plan --adopt` shows what that changes and what \
         becomes of a helm release",
    )
    .hint("or deploy into another namespace: --namespace NAME")
}

/// The objects that are deleted and made anew, as `KIND/NAME`.
pub(super) fn recreated(plans: &[StagePlan]) -> Vec<String> {
    let objects = plans.iter().flat_map(|plan| &plan.objects);
    objects
        .filter(|plan| plan.action == Action::Recreate)
        .map(|plan| format!("{}/{}", plan.object.kind, plan.object.name))
        .collect()
}

/// How many objects of somebody else become ours.
pub(super) fn adopted(plans: &[StagePlan]) -> usize {
    let objects = plans.iter().flat_map(|plan| &plan.objects);
    objects
        .filter(|plan| plan.owner.is_some() && plan.action != Action::Refuse)
        .count()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::cluster::diff::FieldChange;
    use crate::deploy::plan::FieldConflict;
    use crate::model::object::ObjectRef;
    use crate::model::profile::Profile;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        policy: PolicyArgs,
        #[arg(long)]
        yes: bool,
    }

    fn parsed(arguments: &[&str]) -> Policy {
        let command = Command::try_parse_from([&["telectl"][..], arguments].concat()).unwrap();
        command.policy.policy()
    }

    #[test]
    fn take_alone_means_all_and_may_be_repeated_with_fields_and_managers() {
        assert_eq!(parsed(&[]).take, []);
        assert_eq!(parsed(&["--take"]).take, [Take::All]);
        assert_eq!(parsed(&["--take", "--yes"]).take, [Take::All]);
        let both = ["--take", ".spec.replicas", "--take=kubectl-edit"];
        let field = Take::Field(".spec.replicas".to_owned());
        let manager = Take::Manager("kubectl-edit".to_owned());
        assert_eq!(parsed(&both).take, [field, manager]);
        assert_eq!(parsed(&["--adopt"]).adoption, Adoption::Granted);
    }

    #[test]
    fn an_object_to_recreate_is_named_by_kind_and_name() {
        let policy = parsed(&["--recreate", "statefulset/etcd"]);
        let etcd = ObjectRef::new(ObjectKind::StatefulSet, "ns", "etcd");
        assert!(policy.recreates(&etcd));
        let other = ObjectRef::new(ObjectKind::Service, "ns", "etcd");
        assert!(!policy.recreates(&other));
        for (wrong, says) in [
            ("etcd", "no KIND/NAME"),
            ("Service/", "no KIND/NAME"),
            (
                "DaemonSet/etcd",
                "no kind that telectl makes: ResourceQuota",
            ),
        ] {
            let error = named(wrong).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    fn plan(conflicts: &[FieldConflict], taken: &[FieldConflict]) -> StagePlan {
        let collector = ObjectRef::new(ObjectKind::Deployment, "ns", "collector");
        StagePlan {
            stage: Stage {
                profile: Profile::Central,
                context: "west".to_owned(),
                namespace: "ns".to_owned(),
            },
            server: String::new(),
            namespace_missing: false,
            objects: vec![ObjectPlan {
                conflicts: conflicts.to_vec(),
                taken: taken.to_vec(),
                ..ObjectPlan::new(collector, Action::Conflict)
            }],
            secrets: Vec::new(),
            unwanted: Vec::new(),
            kept: Vec::new(),
            awaits_addresses: false,
            preflight: Vec::new(),
            held: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn edited() -> FieldConflict {
        FieldConflict {
            change: FieldChange {
                field: ".spec.paused".to_owned(),
                before: Some(json!(true)),
                after: Some(json!(false)),
            },
            manager: "kubectl-edit".to_owned(),
            since: Some("2026-01-01T00:00:00Z".to_owned()),
        }
    }

    #[test]
    fn a_flag_that_is_about_nothing_is_refused_and_what_there_is_is_shown() {
        let unmatched = |arguments: &[&str], plan: StagePlan| {
            refuse_unmatched(&parsed(arguments), &[plan]).map_err(|error| error.text())
        };
        let taken = || plan(&[], &[edited()]);
        assert_eq!(unmatched(&["--take", "kubectl-edit"], taken()), Ok(()));
        assert_eq!(unmatched(&["--take"], plan(&[], &[])), Ok(()));
        insta::assert_snapshot!(
            unmatched(&["--take", "kubectl-edti"], plan(&[edited()], &[])).unwrap_err(),
            @r"
        --take kubectl-edti matches nothing that somebody else changed
          caused by: Deployment/ns/collector .spec.paused: is true (set by `kubectl-edit` at 2026-01-01T00:00:00Z), telectl has false
        a field begins with a dot: --take .spec.replicas; anything else is a manager
        "
        );
        let none = unmatched(&["--take", ".spec"], plan(&[], &[])).unwrap_err();
        assert!(none.contains("leave it out"), "{none}");
        let recreate = |name| unmatched(&["--recreate", name], plan(&[], &[]));
        assert_eq!(recreate("Deployment/collector"), Ok(()));
        let error = recreate("Deployment/colector").unwrap_err();
        assert!(error.contains("no stage has such an object"), "{error}");
    }

    #[test]
    fn a_conflict_says_which_flags_take_it_over() {
        let plan = plan(&[edited()], &[]);
        let error = DeployError::Conflicts {
            stage: "central".to_owned(),
            objects: Vec::new(),
        };
        insta::assert_snapshot!(conflicting(&error, &plan.objects).text(), @r"
        central: somebody else changed what telectl manages
          caused by: Deployment/ns/collector .spec.paused: is true (set by `kubectl-edit` at 2026-01-01T00:00:00Z), telectl has false
        --take kubectl-edit makes telectl's values win (or --take FIELD, or --take all); or put the wanted value into a values file
        ");
    }
}
